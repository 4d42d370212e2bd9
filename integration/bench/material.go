package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

const (
	issuerURL  = "https://idp.corp.example"
	audience   = "intranet"
	siteName   = "app.corp.example"
	identities = 10_000 // devices in the inventory, and users
)

// material is everything that the contestants and the load need on disk.
type material struct {
	dir    string
	tokens int
}

func (m *material) file(name string) string { return filepath.Join(m.dir, name) }

func deviceID(i int) string { return fmt.Sprintf("%08x-1111-4111-8111-%012x", i, i) }

// newMaterial signs the tokens and writes keys, certificates and the inventory.
// Device 0 has token 0 and the client certificate; one further device is
// noncompliant, for the proof that the gateway refuses it.
func newMaterial(dir string, tokens int) (*material, error) {
	m := &material{dir: dir, tokens: tokens}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "RS256", Use: "sig"}}})
	if err != nil {
		return nil, err
	}
	pub, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return nil, err
	}
	signed := make([]string, tokens)
	errs := make([]error, runtime.NumCPU())
	var wg sync.WaitGroup
	for w := range errs {
		wg.Go(func() {
			for i := w; i < tokens && errs[w] == nil; i += len(errs) {
				signed[i], errs[w] = sign(key, i, deviceID(i%identities))
			}
		})
	}
	wg.Wait()
	bad, err := sign(key, tokens, deviceID(identities))
	forged, err2 := sign(other, 0, deviceID(0))
	err = errors.Join(append(errs, err, err2, m.certificates())...)
	if err != nil {
		return nil, err
	}
	var list bytes.Buffer
	for _, t := range signed {
		list.WriteString(t + "\n")
	}
	return m, errors.Join(
		m.write("jwks.json", set), m.write("tokens", list.Bytes()), m.write("bad", []byte(bad)), m.write("forged", []byte(forged)),
		m.write("key.pem", pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: pub})), m.inventory(),
	)
}

func (m *material) write(name string, b []byte) error { return os.WriteFile(m.file(name), b, 0o600) }

// sign makes a token of the usual size: twenty claims, about 1.25 KB.
func sign(key *rsa.PrivateKey, i int, device string) (string, error) {
	now := time.Now().Unix()
	groups := make([]string, 6)
	for g := range groups {
		groups[g] = fmt.Sprintf("%08x-2222-4222-8222-222222222222", g)
	}
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": issuerURL, "aud": audience, "sub": fmt.Sprintf("user-%06d", i), "iat": now - 5, "nbf": now - 5, "exp": now + 6*3600,
		"auth_time": now - 60, "jti": fmt.Sprintf("%032x", i), "sid": fmt.Sprintf("%032x", i+1), "acr": "urn:example:pwd", "amr": []string{"pwd", "mfa"},
		"azp": "5b0c4a9e-1111-4a2b-9a6e-0d3f1c2b4a5d", "scope": "openid profile intranet.read", "name": fmt.Sprintf("Person %06d", i),
		"preferred_username": fmt.Sprintf("person%06d@corp.example", i), "email": fmt.Sprintf("person%06d@corp.example", i),
		"deviceid": device, "groups": groups, "ver": "2.0", "locale": "en-GB",
	})
	t.Header["kid"], t.Header["typ"] = "k1", "at+jwt"
	return t.SignedString(key)
}

func (m *material) inventory() error {
	var b bytes.Buffer
	b.WriteString(`{"version":1,"devices":[`)
	for i := range identities + 1 {
		compliance, sep := "compliant", ","
		if i == identities {
			compliance, sep = "noncompliant", "]}"
		}
		fmt.Fprintf(&b, `{"ids":{"entra":%q},"name":"LAPTOP-%05d","platform":"windows","os_version":"10.0.22631.4460",`+
			`"compliance":%q,"managed":true,"encrypted":true,"jailbroken":false,"risk":"low","last_check_in":%q}%s`+"\n",
			deviceID(i), i, compliance, time.Now().Add(-time.Hour).UTC().Format(time.RFC3339), sep)
	}
	return m.write("devices.json", b.Bytes())
}

// certificates writes an authority, a server certificate and device 0's.
func (m *material) certificates() error {
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Bench CA"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return err
	}
	err = m.write("ca.pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	if err != nil {
		return err
	}
	leaf := func(name string, serial int64, usage x509.ExtKeyUsage, subject string, names ...string) error {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return err
		}
		der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
			SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: subject}, DNSNames: names,
			NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(23 * time.Hour),
			KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage},
		}, ca, key.Public(), caKey)
		if err != nil {
			return err
		}
		raw, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		return errors.Join(m.write(name+".pem", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
			m.write(name+".key", pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw})))
	}
	return errors.Join(leaf("server", 2, x509.ExtKeyUsageServerAuth, siteName, siteName),
		leaf("device", 3, x509.ExtKeyUsageClientAuth, deviceID(0)))
}

func readPublicKey(path string) (*rsa.PublicKey, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return jwt.ParseRSAPublicKeyFromPEM(raw)
}
