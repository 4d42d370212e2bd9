package fleet

import (
	"slices"
	"testing"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestSeeds: one row for each situation of a cloud-attached fleet, with the decision
// that a network team expects.
func TestSeeds(t *testing.T) {
	s := open(t, options{
		Sources: `
		source intune
		source entra
		source defender
		source configmgr {base}/cm/AdminService {
			ca_file {ca}
			basic CORP\gatehouse {env.ADMIN_PASSWORD}
		}`,
		Policies: `
		policy compliant {
			require compliant
		}
		policy managed {
			require managed
		}
		policy strict {
			require compliant strict
		}
		policy encrypted {
			require encrypted
		}
		policy updated {
			require updated
		}
		policy clean {
			require not malware
		}
		policy hybrid {
			require trust hybrid_joined
		}
		policy owned {
			require user
			require owner
		}
		policy lowrisk {
			require risk at_most low
		}
		policy mediumrisk {
			require risk at_most medium
		}
		policy userrisk {
			require user
			require user_risk at_most medium
		}`,
	})
	tests := []struct {
		device, policy string
		want           int
		reasons        []string
	}{
		{emulator.CaseHealthy, "compliant", 200, nil},
		{emulator.CaseHealthy, "managed", 200, nil},
		{emulator.CaseHealthy, "encrypted", 200, nil},
		{emulator.CaseHealthy, "owned", 200, nil},
		{emulator.CaseComanaged, "compliant", 200, nil},
		{emulator.CaseComanagedConfigMgr, "compliant", 200, nil},
		{emulator.CaseTenantAttach, "managed", 200, nil},
		{emulator.CaseTenantAttach, "compliant", 200, nil},                        // by Configuration Manager
		{emulator.CaseUpdatesMissing, "compliant", 403, []string{"noncompliant"}}, // the same: it has the workload
		{emulator.CaseIntuneOnly, "compliant", 200, nil},
		{emulator.CaseJamf, "compliant", 200, nil},
		{emulator.CaseHybridOnly, "hybrid", 200, nil},
		{emulator.CaseHybridOnly, "managed", 200, nil}, // by Configuration Manager
		{emulator.CaseGraceFar, "compliant", 200, nil},
		{emulator.CaseGraceFar, "strict", 403, []string{"grace_period"}},
		{emulator.CaseGracePast, "compliant", 403, []string{"grace_expired"}},
		{emulator.CaseNoncompliant, "compliant", 403, []string{"noncompliant"}},
		{emulator.CaseNoncompliant, "encrypted", 403, []string{"not_encrypted"}},
		{emulator.CaseJailbroken, "managed", 403, []string{"jailbroken"}},
		{emulator.CaseMalware, "clean", 403, []string{"malware_active"}},
		{emulator.CaseUpdatesMissing, "updated", 403, []string{"not_updated"}},
		{emulator.CaseThreatCompromised, "managed", 403, []string{"device_compromised"}},
		{emulator.CaseDisabled, "managed", 403, []string{"device_disabled"}},
		{emulator.CaseWiped, "managed", 403, []string{"device_retired"}},
		{emulator.CaseRevoked, "managed", 403, []string{"device_retired"}},
		{emulator.CaseNotEvaluated, "compliant", 403, []string{"fact_unknown"}},
		{emulator.CaseConflict, "compliant", 403, []string{"noncompliant"}},
		{emulator.CaseFutureValues, "compliant", 403, []string{"fact_unknown", "fact_unknown"}}, // of lifecycle and compliance: Intune's word is not understood, and not filled with the directory's
		{emulator.CaseFutureValues, "strict", 403, []string{"fact_unknown", "fact_unknown"}},
		{emulator.CaseError, "compliant", 403, []string{"noncompliant"}},
		{emulator.CaseDefenderAttach, "compliant", 403, []string{"not_managed"}},
		{emulator.CaseHybridPending, "hybrid", 200, nil},   // though Entra ID gives it no token yet
		{emulator.CaseDefenderSilent, "lowrisk", 200, nil}, // by Intune: its partner is heard and says secured
		{emulator.CaseUserHidden, "userrisk", 403, []string{"fact_unknown"}},
		{emulator.CaseUnreported, "encrypted", 403, []string{"fact_unknown"}},
		{emulator.CaseDuplicate, "compliant", 200, nil},
		{emulator.CaseHealthy, "lowrisk", 200, nil},
		{emulator.CaseDefenderMedium, "lowrisk", 403, []string{"risk_too_high"}},
		{emulator.CaseDefenderMedium, "mediumrisk", 200, nil},
		{emulator.CaseDefenderHigh, "mediumrisk", 403, []string{"risk_too_high"}},
		{emulator.CaseThreatUnresponsive, "lowrisk", 403, []string{"fact_unknown"}},
		{emulator.CaseConfigMgrBlocked, "managed", 403, []string{"device_disabled"}},
		{emulator.CaseUserHigh, "userrisk", 403, []string{"user_risk_too_high"}},
		{emulator.CaseUserRemediated, "userrisk", 200, nil},
		{emulator.CaseUserCompromised, "owned", 403, []string{"user_compromised"}},
		{emulator.CaseUserDisabled, "owned", 403, []string{"user_disabled"}},
	}
	for _, tc := range tests {
		status, reasons := s.ask(tc.policy, s.token(s.device(tc.device)))
		if status != tc.want || !slices.Equal(reasons, tc.reasons) {
			t.Errorf("%s under %s: %d %v, want %d %v", tc.device, tc.policy, status, reasons, tc.want, tc.reasons)
		}
	}
	s.tenant.Check(t)
}

// TestWithoutConfigurationManager: what Intune leaves to Configuration Manager is
// nobody's verdict while that is no source.
func TestWithoutConfigurationManager(t *testing.T) {
	s := open(t, options{
		Sources: "source intune\n\t\tsource entra",
		Policies: `
		policy compliant {
			require compliant
		}
		policy managed {
			require managed
		}`,
	})
	tests := []struct {
		device, policy string
		want           int
		reasons        []string
	}{
		{emulator.CaseComanaged, "compliant", 200, nil},
		{emulator.CaseComanagedConfigMgr, "compliant", 403, []string{"fact_unknown"}},
		{emulator.CaseTenantAttach, "compliant", 403, []string{"fact_unknown"}},
		{emulator.CaseHybridOnly, "managed", 403, []string{"not_managed"}},
		{emulator.CaseJamf, "compliant", 200, nil},
	}
	for _, tc := range tests {
		status, reasons := s.ask(tc.policy, s.token(s.device(tc.device)))
		if status != tc.want || !slices.Equal(reasons, tc.reasons) {
			t.Errorf("%s under %s: %d %v, want %d %v", tc.device, tc.policy, status, reasons, tc.want, tc.reasons)
		}
	}
	s.tenant.Check(t)
}

// TestNACOnly: a device that only the network-access service knows, by the Intune id
// of its credential.
func TestNACOnly(t *testing.T) {
	s := open(t, options{
		Kind:    "intune",
		Sources: "source nac",
		Policies: `
		policy app {
			require managed
			require compliant
		}`,
	})
	if n, ok := s.gateway.Metric(`gatehouse_source_state{source="nac"}`); !ok || n != 4 {
		t.Errorf("state before the first question: %v, %v; want 4, idle", n, ok)
	}
	d := s.device(emulator.CaseNACOnly)
	token := func(id emulator.GUID) string {
		return s.issuer.Token(rig.Claims{"deviceid": id.String()})
	}
	if n, reasons := s.ask("app", token(d.NAC.ID)); n != 200 {
		t.Errorf("known to NAC alone: %d %v", n, reasons)
	}
	if n, reasons := s.ask("app", token(emulator.MustGUID("99999999-1111-4111-8111-999999999999"))); n != 403 || !slices.Equal(reasons, []string{"device_unknown"}) {
		t.Errorf("unknown to NAC: %d %v", n, reasons)
	}
	if n, ok := s.gateway.Metric(`gatehouse_source_state{source="nac"}`); !ok || n != 0 {
		t.Errorf("state after it: %v, %v; want 0, ok", n, ok)
	}
	if n, ok := s.gateway.Metric(`gatehouse_verdict_age_seconds{source="nac"}`); ok {
		t.Errorf("a source that is only asked has an age of %v: nobody asking would be an alarm", n)
	}
	s.tenant.Check(t)
}
