package fleet

import (
	"slices"
	"testing"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// TestHealthFacts: what Intune tells computer by computer decides, where it is
// switched on, and what it does not tell of a device is unknown.
func TestHealthFacts(t *testing.T) {
	t.Parallel()
	s := open(t, options{
		Sources: `
		source intune {
			windows_protection on
			health_attestation on
			android_patch_within 90d
		}`,
		Policies: `
		policy clean {
			require not malware
		}
		policy guarded {
			require expression ` + "`device.antivirus`" + ` "The antivirus must be on."
		}
		policy booted {
			require expression ` + "`device.secure_boot`" + ` "Secure boot must be on."
		}
		policy encrypted {
			require encrypted
		}
		policy updated {
			require updated
		}`,
	})
	for _, tc := range []struct {
		device, policy string
		want           int
		reasons        []string
	}{
		{emulator.CaseHealthy, "clean", 200, nil},
		{emulator.CaseHealthy, "guarded", 200, nil},
		{emulator.CaseMalware, "clean", 403, []string{"malware_active"}},
		{emulator.CaseIntuneOnly, "clean", 403, []string{"fact_unknown"}}, // a phone
		{emulator.CaseNoncompliant, "booted", 200, nil},
		{emulator.CaseHealthy, "booted", 403, []string{"fact_unknown"}}, // never attested
		{emulator.CaseNoncompliant, "encrypted", 403, []string{"not_encrypted"}},
		{emulator.CaseHealthy, "encrypted", 200, nil},
		{emulator.CaseHealthy, "updated", 403, []string{"fact_unknown"}}, // no Android
	} {
		status, reasons := s.ask(tc.policy, s.token(s.device(tc.device)))
		if status != tc.want || !slices.Equal(reasons, tc.reasons) {
			t.Errorf("%s under %s: %d %v, want %d %v", tc.device, tc.policy, status, reasons, tc.want, tc.reasons)
		}
	}
	s.tenant.Check(t)
}
