package identity

import (
	"crypto/x509"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

// The Intune authority signs for every tenant in the world, so a chain to it
// proves nothing before the tenant is compared.
func TestCertificateIntuneTenant(t *testing.T) {
	root := newCertCA(t, "Microsoft Intune Root Certification Authority", nil)
	mdm := newCertCA(t, "Microsoft Intune MDM Device CA", root)
	join := func(head ...byte) []byte { return append(head, certIDBytes...) }
	foreign := make([]byte, 16)
	foreign[0] = 1
	const tenant, device = certID, certOther
	deviceBytes := []byte{0xcc, 0xdd, 0xee, 0xff, 0xaa, 0xbb, 0x88, 0x99, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00}

	for name, tt := range map[string]struct {
		tenant, device []byte
		want           string
	}{
		"raw tenant":          {certIDBytes, deviceBytes, "ok"},
		"octet string":        {join(0x04, 0x10), deviceBytes, "ok"},
		"long form":           {join(0x04, 0x81, 0x10), deviceBytes, "ok"},
		"device as octets":    {certIDBytes, append([]byte{0x04, 0x10}, deviceBytes...), "ok"},
		"another tenant":      {foreign, deviceBytes, "tenant"},
		"tenant in text":      {[]byte(certID), deviceBytes, "tenant"},
		"tenant big-endian":   {[]byte{0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}, deviceBytes, "tenant"},
		"no tenant":           {nil, deviceBytes, "tenant"},
		"no device":           {certIDBytes, nil, "unmapped"},
		"device not readable": {certIDBytes, []byte{1, 2, 3}, "unmapped"},
	} {
		t.Run(name, func(t *testing.T) {
			o := certOptions(root)
			o.IntuneTenant = "{00112233-4455-6677-8899-AABBCCDDEEFF}"
			o.Devices = []DeviceMapping{{Kind: decision.KindIntune, From: FieldIntuneMDM}}
			var parts []func(*x509.Certificate)
			if tt.tenant != nil {
				parts = append(parts, withCertExtension(oidIntuneTenant, false, tt.tenant))
			}
			if tt.device != nil {
				parts = append(parts, withCertExtension(oidIntuneDevice, false, tt.device))
			}
			cert, err := newTestCertificates(t, o).FromTLS(certState(mdm.issue(t, parts...), mdm.cert), certT0)
			if got := certReason(t, cert, err); got != tt.want {
				t.Fatalf("got %s (%v), want %s", got, err, tt.want)
			}
			if err == nil && (len(cert.Keys) != 1 || cert.Keys[0] != decision.Key{Kind: decision.KindIntune, Value: device}) {
				t.Errorf("keys are %v, want the intune id %s of tenant %s", cert.Keys, device, tenant)
			}
		})
	}
}

// A corporate root may have signed the Intune authority, which then arrives
// only with the client.
func TestCertificateIntuneIssuerWithoutTenant(t *testing.T) {
	root := newCertCA(t, "Corporate Root", nil)
	mdm := newCertCA(t, "Microsoft Intune MDM Device CA", root)
	c := newTestCertificates(t, certOptions(root))
	leaf := mdm.issue(t, withCertExtension(oidIntuneTenant, false, certIDBytes))
	cert, err := c.FromTLS(certState(leaf, mdm.cert), certT0)
	if got := certReason(t, cert, err); got != CertificateTenant {
		t.Errorf("got %s, want tenant", got)
	}
}
