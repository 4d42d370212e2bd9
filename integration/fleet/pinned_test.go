package fleet

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestPinnedCertificates: the certificate that Entra ID gave a device proves it as
// long as the directory has it in the device's record, and nothing else does.
func TestPinnedCertificates(t *testing.T) {
	t.Parallel()
	s := open(t, options{
		TLS: "mode request",
		Sources: `
		source entra {
			poll 1s
			pinned_certificates experimental
		}`,
		Policies: `
		policy proven {
			require proof certificate
			require compliant
			max_age 30m
			on_unknown warn
		}
		policy anybody {
			require network 127.0.0.0/8
		}`,
	})
	d, other := s.device(emulator.CaseHealthy), s.device(emulator.CaseComanaged)
	issue := func(of *emulator.Device) (tls.Certificate, string) {
		cert, err := s.tenant.DeviceCertificate(emulator.FormRegistration, of)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(cert.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return cert, emulator.CertificateKey(leaf)
	}
	good, key := issue(d)
	forged, _ := issue(d) // the same names and another key
	foreign, foreignKey := issue(other)
	expect := func(name string, cert *tls.Certificate, want int, reasons ...string) {
		t.Helper()
		if n, got := s.overTLS("proven", cert); n != want || !slices.Equal(got, reasons) {
			t.Errorf("%s: %d %v, want %d %v", name, n, got, want, reasons)
		}
	}
	expect("not in the directory", &good, http.StatusForbidden, "device_unidentified")
	s.tenant.Update(func(*emulator.Fleet) { d.Directory.CertificateKey = key })
	rig.Eventually(t, time.Minute, "the directory's word to arrive", func() bool { n, _ := s.overTLS("proven", &good); return n == http.StatusOK })
	expect("pinned", &good, http.StatusOK)
	expect("forged", &forged, http.StatusForbidden, "device_unidentified")
	expect("of another device, not pinned", &foreign, http.StatusForbidden, "device_unidentified")
	expect("no certificate", nil, http.StatusForbidden, "device_unidentified")
	if n, got := s.overTLS("anybody", &forged); n != http.StatusOK {
		t.Errorf("a certificate of nobody counts as none: %d %v", n, got)
	}
	// The certificate of one device in the record of another names neither.
	s.tenant.Update(func(*emulator.Fleet) { d.Directory.CertificateKey = foreignKey })
	rig.Eventually(t, time.Minute, "the other certificate", func() bool { n, _ := s.overTLS("proven", &good); return n == http.StatusForbidden })
	expect("another device's", &foreign, http.StatusForbidden, "device_unidentified")

	s.tenant.Update(func(*emulator.Fleet) { d.Directory.CertificateKey = key })
	rig.Eventually(t, time.Minute, "the pin again", func() bool { n, _ := s.overTLS("proven", &good); return n == http.StatusOK })
	s.tenant.Update(func(f *emulator.Fleet) { f.RemoveDevice(d) })
	rig.Eventually(t, time.Minute, "the end of the device", func() bool { n, _ := s.overTLS("proven", &good); return n == http.StatusForbidden })
	s.tenant.Check(t)
}

// TestPinnedCertificatesAreOff: without the word such a certificate is worth nothing.
func TestPinnedCertificatesAreOff(t *testing.T) {
	t.Parallel()
	s := open(t, options{
		TLS:     "mode request",
		Sources: "source entra",
		Policies: `
		policy proven {
			require device
		}`,
	})
	d := s.device(emulator.CaseHealthy)
	cert, err := s.tenant.DeviceCertificate(emulator.FormRegistration, d)
	if err != nil {
		t.Fatal(err)
	}
	if n, got := s.overTLS("proven", &cert); n != http.StatusForbidden || !slices.Equal(got, []string{"device_unidentified"}) {
		t.Errorf("%d %v", n, got)
	}
}
