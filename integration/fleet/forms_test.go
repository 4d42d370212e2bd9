package fleet

import (
	"net/http"
	"slices"
	"testing"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// TestCertificateForms: every form in which a device certificate carries an id opens
// the door for its device and no other, and that of another tenant does not. (Those
// of the wrong use and the expired ones do not get through the handshake.)
func TestCertificateForms(t *testing.T) {
	tests := []struct {
		form    emulator.CertificateForm
		lines   string
		want    int
		reasons []string
	}{
		{emulator.FormSANIntune, "device_id intune san_uri IntuneDeviceId://", http.StatusOK, nil},
		{emulator.FormUpperCase, "device_id intune san_uri IntuneDeviceId://", http.StatusOK, nil},
		{emulator.FormSANWithSID, "device_id intune san_uri IntuneDeviceId://", http.StatusOK, nil},
		{emulator.FormSANBare, "device_id intune san_uri", http.StatusOK, nil},
		{emulator.FormSANCisco, `device_id intune san_uri "ID:Microsoft Endpoint Manager:GUID:"`, http.StatusOK, nil},
		{emulator.FormSubjectEntra, "device_id entra subject_cn", http.StatusOK, nil},
		{emulator.FormSubjectMDM, "device_id intune subject_cn", http.StatusOK, nil},
		{emulator.FormDNSEntra, "device_id entra san_dns regexp `^([0-9a-fA-F-]{36})\\.corp\\.example\\.com$`", http.StatusOK, nil},
		{emulator.FormIntuneMDM, "device_id intune intune_mdm\n\t\t\tintune_tenant " + emulator.DefaultTenant, http.StatusOK, nil},
		{emulator.FormForeignMDM, "device_id intune intune_mdm\n\t\t\tintune_tenant " + emulator.DefaultTenant, http.StatusForbidden, []string{"certificate_invalid"}},
	}
	for _, tc := range tests {
		t.Run(string(tc.form), func(t *testing.T) {
			t.Parallel()
			s := open(t, options{
				TLS:     "mode verify_if_given\n\t\t\ttrust_pool file {ca}",
				Sources: "client_certificate {\n\t\t\ttrust_pool file {ca}\n\t\t\t" + tc.lines + "\n\t\t}\n\t\tsource intune\n\t\tsource entra",
				Policies: `
		policy proven {
			require proof certificate
			require compliant
		}`,
			})
			for device, want := range map[string]int{emulator.CaseHealthy: tc.want, emulator.CaseNoncompliant: http.StatusForbidden} {
				reasons := tc.reasons
				if device == emulator.CaseNoncompliant && tc.want == http.StatusOK {
					reasons = []string{"noncompliant"}
				}
				cert, err := s.tenant.DeviceCertificate(tc.form, s.device(device))
				if err != nil {
					t.Fatal(err)
				}
				if status, got := s.overTLS("proven", &cert); status != want || !slices.Equal(got, reasons) {
					t.Errorf("%s: %d %v, want %d %v", device, status, got, want, reasons)
				}
			}
			s.tenant.Check(t)
		})
	}
}
