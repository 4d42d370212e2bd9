package identity

import (
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// crl makes a list that is current at certT0 and names the certificates.
func (ca *certCA) crl(t testing.TB, number int64, revoked ...*x509.Certificate) []byte {
	t.Helper()
	return ca.crlWith(t, number, nil, revoked...)
}

func (ca *certCA) crlWith(t testing.TB, number int64, change func(*x509.RevocationList), revoked ...*x509.Certificate) []byte {
	t.Helper()
	template := &x509.RevocationList{
		Number:     big.NewInt(number),
		ThisUpdate: certT0.Add(-time.Hour), NextUpdate: certT0.Add(24 * time.Hour),
	}
	for _, cert := range revoked {
		template.RevokedCertificateEntries = append(template.RevokedCertificateEntries,
			x509.RevocationListEntry{SerialNumber: cert.SerialNumber, RevocationTime: certT0.Add(-2 * time.Hour)})
	}
	if change != nil {
		change(template)
	}
	issuer := *ca.cert
	issuer.KeyUsage |= x509.KeyUsageCRLSign // so that a list can be made that may not be
	der, err := x509.CreateRevocationList(rand.Reader, template, &issuer, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func crlExtension(id asn1.ObjectIdentifier, critical bool, value []byte) func(*x509.RevocationList) {
	return func(l *x509.RevocationList) {
		l.ExtraExtensions = append(l.ExtraExtensions, pkix.Extension{Id: id, Critical: critical, Value: value})
	}
}

// newTestCRL loads a list from a file at certT0.
func newTestCRL(t testing.TB, ca *certCA, der []byte) *CRL {
	t.Helper()
	c, err := NewCRL(CRLOptions{
		File: crlFile(t, der), Issuers: []*x509.Certificate{ca.cert}, Now: func() time.Time { return certT0 },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func crlFile(t testing.TB, data []byte) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "list.crl")
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}
