package main

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

// certificates writes an authority for the server, one for devices, and a
// certificate for each device; also as a header of RFC 9440, as a proxy writes it.
func certificates(f folder, now time.Time) error {
	server, err := newAuthority(f, "server-ca", now)
	if err != nil {
		return err
	}
	err = server.issue(f, "server", &x509.Certificate{
		Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}, now)
	if err != nil {
		return err
	}
	devices, err := newAuthority(f, "device-ca", now)
	if err != nil {
		return err
	}
	for name, id := range map[string]string{"good": goodID, "bad": badID, "grace": graceID} {
		err := devices.issue(f, name, &x509.Certificate{
			Subject: pkix.Name{CommonName: id}, EmailAddresses: []string{"alice@corp.example"},
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
		}, now)
		if err != nil {
			return err
		}
	}
	return nil
}

// authority signs certificates. Its key is never written.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(f folder, name string, now time.Time) (*authority, error) {
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
	return &authority{cert, key}, f.write(name+".pem", encode("CERTIFICATE", der))
}

func (a *authority) issue(f folder, name string, tmpl *x509.Certificate, now time.Time) error {
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
		err := f.write(file, body)
		if err != nil {
			return err
		}
	}
	return nil
}

func serial() *big.Int {
	b := make([]byte, 15)
	_, _ = rand.Read(b) // never fails (crypto/rand)
	return new(big.Int).SetBytes(b)
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
