package identity

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// certT0 is "now" of the certificate tests.
var certT0 = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

const (
	certID    = "00112233-4455-6677-8899-aabbccddeeff"
	certOther = "ffeeddcc-bbaa-9988-7766-554433221100"
)

// certIDBytes is certID as Windows stores it.
var certIDBytes = []byte{0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff}

var certLeafKey = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

var certSerial int64 = 1000

// certCA is an authority made for one test.
type certCA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newCertCA(t testing.TB, name string, parent *certCA, change ...func(*x509.Certificate)) *certCA {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: name, Organization: []string{"Example"}},
		NotBefore: certT0.AddDate(-5, 0, 0), NotAfter: certT0.AddDate(5, 0, 0),
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, IsCA: true, BasicConstraintsValid: true,
	}
	for _, f := range change {
		f(template)
	}
	ca := &certCA{key: key}
	signer := parent
	if signer == nil {
		signer = &certCA{cert: template, key: key}
	}
	ca.cert = signCert(t, template, signer, &key.PublicKey)
	return ca
}

// issue makes a client certificate, valid for a year around certT0.
func (ca *certCA) issue(t testing.TB, change ...func(*x509.Certificate)) *x509.Certificate {
	t.Helper()
	template := &x509.Certificate{
		Subject:   pkix.Name{CommonName: certID},
		NotBefore: certT0.AddDate(0, -6, 0), NotAfter: certT0.AddDate(0, 6, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		BasicConstraintsValid: true,
	}
	for _, f := range change {
		f(template)
	}
	return signCert(t, template, ca, &certLeafKey().PublicKey)
}

func signCert(t testing.TB, template *x509.Certificate, ca *certCA, public any) *x509.Certificate {
	t.Helper()
	certSerial++
	template.SerialNumber = big.NewInt(certSerial)
	der, err := x509.CreateCertificate(rand.Reader, template, ca.cert, public, ca.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

func withCN(name string) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.Subject = pkix.Name{CommonName: name} }
}

func withSAN(critical bool, names ...asn1.RawValue) func(*x509.Certificate) {
	value, err := asn1.Marshal(names)
	if err != nil {
		panic(err)
	}
	return withCertExtension(oidSubjectAltName, critical, value)
}

func withCertExtension(id asn1.ObjectIdentifier, critical bool, value []byte) func(*x509.Certificate) {
	return func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: id, Critical: critical, Value: value})
	}
}

func withURI(t testing.TB, uri string) func(*x509.Certificate) {
	t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		t.Fatal(err)
	}
	return func(c *x509.Certificate) { c.URIs = append(c.URIs, u) }
}

func sanName(tag int, text string) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte(text)}
}

func sanOtherName(id asn1.ObjectIdentifier, value []byte) asn1.RawValue {
	oid, err := asn1.Marshal(id)
	if err != nil {
		panic(err)
	}
	explicit, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: value})
	if err != nil {
		panic(err)
	}
	return asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: append(oid, explicit...)}
}

func sanUPN(name string) asn1.RawValue {
	value, err := asn1.MarshalWithParams(name, "utf8")
	if err != nil {
		panic(err)
	}
	return sanOtherName(oidUPN, value)
}

// certOptions trusts the given roots and maps the common name to an Entra id.
func certOptions(roots ...*certCA) CertificateOptions {
	o := CertificateOptions{
		Roots:   x509.NewCertPool(),
		Devices: []DeviceMapping{{Kind: decision.KindEntra, From: FieldSubjectCN}},
	}
	for _, r := range roots {
		o.Roots.AddCert(r.cert)
		o.RootCerts = append(o.RootCerts, r.cert)
	}
	return o
}

func newTestCertificates(t testing.TB, o CertificateOptions) *Certificates {
	t.Helper()
	c, err := NewCertificates(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// certState is a connection whose TLS layer verified the chain by itself, with
// whatever pool it has.
func certState(chain ...*x509.Certificate) *tls.ConnectionState {
	return &tls.ConnectionState{PeerCertificates: chain, VerifiedChains: [][]*x509.Certificate{chain}}
}

// certReason is "ok", "foreign" or the reason of a refusal.
func certReason(t testing.TB, cert *Certificate, err error) string {
	t.Helper()
	if err == nil {
		if cert == nil {
			return "none"
		}
		return "ok"
	}
	if cert != nil {
		t.Errorf("an identity came with the error %v", err)
	}
	return certErrorReason(t, err)
}
