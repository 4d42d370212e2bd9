package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

const pinnedDevice = "5d0c1b7e-2f64-4a1b-9d0e-6a3f1c2b4d5e"

var pinnedNoon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

// registration is a certificate as Entra ID gives one, signed by itself: nobody
// verifies it.
func registration(t *testing.T, change func(subject, issuer *x509.Certificate)) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: pinnedDevice},
		NotBefore: pinnedNoon.AddDate(-1, 0, 0), NotAfter: pinnedNoon.AddDate(9, 0, 0),
	}
	issuer := &x509.Certificate{Subject: pkix.Name{CommonName: registrationIssuer}}
	if change != nil {
		change(leaf, issuer)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, issuer, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func TestPinnedCertificate(t *testing.T) {
	p, err := NewPinnedCertificates(0)
	if err != nil {
		t.Fatal(err)
	}
	leaf := registration(t, nil)
	cs := &tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}
	c := p.FromTLS(cs)
	if c == nil || c.Claimed != (decision.Key{Kind: decision.KindEntra, Value: pinnedDevice}) {
		t.Fatalf("read %+v", c)
	}
	point := leaf.PublicKey.(*ecdsa.PublicKey)
	bits, err := point.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	want := [2]decision.Key{
		decision.PinnedCertificate(sha1.Sum(leaf.Raw), sha256.Sum256(bits)),
		decision.PinnedCertificate(sha1.Sum(leaf.Raw), sha256.Sum256(leaf.RawSubjectPublicKeyInfo)),
	}
	if c.Pins != want {
		t.Errorf("pins %v, want %v", c.Pins, want)
	}
	cert, err := c.Matched(pinnedNoon)
	if err != nil || !cert.Leaf.Equal(leaf) || len(cert.Keys) != 1 || cert.Keys[0] != c.Claimed || cert.User.Known() || cert.Thumbprint != sha256.Sum256(leaf.Raw) {
		t.Errorf("certificate %+v, %v", cert, err)
	}
	again, err := p.FromTLS(cs).Matched(pinnedNoon.Add(time.Hour))
	if err != nil || again != cert {
		t.Error("the same certificate gives another pointer")
	}
	for at, reason := range map[time.Time]string{leaf.NotAfter.Add(time.Second): CertificateExpired, leaf.NotBefore.Add(-time.Second): CertificateNotYetValid} {
		var ce *CertificateError
		if _, err := c.Matched(at); !errors.As(err, &ce) || ce.Reason != reason {
			t.Errorf("at %s: %v, want %s", at, err, reason)
		}
	}
}

func TestNotAPinnedCertificate(t *testing.T) {
	p, err := NewPinnedCertificates(10)
	if err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(leaf, issuer *x509.Certificate){
		"another issuer": func(_, issuer *x509.Certificate) { issuer.Subject.CommonName = "Corp Device CA" },
		"no device id":   func(leaf, _ *x509.Certificate) { leaf.Subject.CommonName = "lt-1" },
		"zero device id": func(leaf, _ *x509.Certificate) { leaf.Subject.CommonName = "00000000-0000-0000-0000-000000000000" },
		"an authority":   func(leaf, _ *x509.Certificate) { leaf.IsCA, leaf.BasicConstraintsValid = true, true },
		"too large": func(leaf, _ *x509.Certificate) {
			leaf.CRLDistributionPoints = []string{string(make([]byte, maxCertBytes))}
		},
	} {
		leaf := registration(t, change)
		for range 2 {
			if c := p.FromTLS(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf}}); c != nil {
				t.Errorf("%s: %+v", name, c)
			}
		}
	}
	unproven := registration(t, nil)
	c := p.FromTLS(&tls.ConnectionState{PeerCertificates: []*x509.Certificate{unproven}})
	if _, err := c.Matched(unproven.NotAfter.Add(time.Hour)); err == nil {
		t.Error("an expired certificate matches")
	}
	if n := p.cache.Len(); n != 0 {
		t.Errorf("%d certificates are remembered before any is proven", n)
	}
	if p.FromTLS(nil) != nil || p.FromTLS(&tls.ConnectionState{}) != nil {
		t.Error("no certificate is one")
	}
	for _, n := range []int{-1, maxCertCache + 1} {
		if _, err := NewPinnedCertificates(n); err == nil {
			t.Errorf("%d entries are accepted", n)
		}
	}
}
