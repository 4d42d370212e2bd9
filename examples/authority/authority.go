package authority

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"time"
)

// Write keeps one file, readable by its owner alone.
type Write func(name string, body []byte) error

// Authority signs certificates. Its key is never written.
type Authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes an authority that is good for a month and writes its certificate, NAME.pem.
func New(write Write, name string, now time.Time) (*Authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	tmpl := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: "Example " + name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(0, 1, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, key.Public(), key)
	if err != nil {
		return nil, err
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &Authority{cert, key}, write(name+".pem", encode("CERTIFICATE", der))
}

// Issue makes a key and a certificate that is good for a week, and writes NAME.pem,
// NAME.key and NAME.client-cert, the header of RFC 9440. tmpl holds the names and
// the purpose; the rest of it is filled in.
func (a *Authority) Issue(write Write, name string, tmpl *x509.Certificate, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	tmpl.SerialNumber, tmpl.KeyUsage = serial(), x509.KeyUsageDigitalSignature
	tmpl.NotBefore, tmpl.NotAfter = now.Add(-time.Hour), now.AddDate(0, 0, 7)
	der, err := x509.CreateCertificate(rand.Reader, tmpl, a.cert, key.Public(), a.key)
	if err != nil {
		return err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for file, body := range map[string][]byte{
		name + ".pem": encode("CERTIFICATE", der),
		name + ".key": encode("PRIVATE KEY", raw),
		// A byte sequence of RFC 8941: base64 between colons.
		name + ".client-cert": []byte("Client-Cert: :" + base64.StdEncoding.EncodeToString(der) + ":\n"),
	} {
		err := write(file, body)
		if err != nil {
			return err
		}
	}
	return nil
}

// Localhost is the template of a server's certificate on this machine.
func Localhost() *x509.Certificate {
	return &x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
}

func serial() *big.Int {
	b := make([]byte, 15)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return new(big.Int).SetBytes(b)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
