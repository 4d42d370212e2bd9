package identity

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"
)

// idp makes an IssuingDistributionPoint of context-specific fields.
func idp(t testing.TB, fields ...asn1.RawValue) []byte {
	t.Helper()
	der, err := asn1.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// idpURI is the distributionPoint field with a fullName of URIs.
func idpURI(t testing.TB, uris ...string) asn1.RawValue {
	t.Helper()
	var names []byte
	for _, u := range uris {
		der, err := asn1.Marshal(sanName(6, u))
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, der...)
	}
	full, err := asn1.Marshal(asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: names})
	if err != nil {
		t.Fatal(err)
	}
	return asn1.RawValue{Class: asn1.ClassContextSpecific, IsCompound: true, Bytes: full}
}

func idpFlag(tag int, value byte) asn1.RawValue {
	return asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: tag, Bytes: []byte{value}}
}

func TestCRLParse(t *testing.T) {
	ca := newCertCA(t, "Device Root", nil)
	impostor := newCertCA(t, "Device Root", nil)
	noSign := newCertCA(t, "Device Root", nil, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCertSign })
	leafCA := &certCA{cert: ca.issue(t, func(c *x509.Certificate) { c.SubjectKeyId = []byte{1} }), key: certLeafKey()}
	leaf := ca.issue(t)
	unknown := asn1.ObjectIdentifier{1, 2, 3, 4}
	entry := func(id asn1.ObjectIdentifier, critical bool, value []byte) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) {
			l.RevokedCertificateEntries[0].ExtraExtensions = []pkix.Extension{{Id: id, Critical: critical, Value: value}}
		}
	}
	scope := func(fields ...asn1.RawValue) []byte {
		return ca.crlWith(t, 1, crlExtension(oidCRLDistribution, true, idp(t, fields...)), leaf)
	}
	broken := bytes.Clone(ca.crl(t, 1, leaf))
	broken[len(broken)-1] ^= 1

	tests := []struct {
		name   string
		der    []byte
		issuer *certCA
		want   string // part of the error; "" means accepted
	}{
		{"full", ca.crl(t, 1, leaf), ca, ""},
		{"PEM", pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: ca.crl(t, 1, leaf)}), ca, ""},
		{"PEM of a certificate", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw}), ca, "not one X509 CRL"},
		{"two PEM blocks", bytes.Repeat(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: ca.crl(t, 1)}), 2), ca, "not one X509 CRL"},
		{"web page", []byte("<html>down for maintenance</html>"), ca, "malformed"},
		{"data behind", append(ca.crl(t, 1, leaf), 0), ca, ""}, // set below
		{"other authority", newCertCA(t, "Other", nil).crl(t, 1), ca, "issuer is not among"},
		{"other key, same name", impostor.crl(t, 1), ca, "signature"},
		{"authority without cRLSign", noSign.crl(t, 1), noSign, "signature"},
		{"signed by a device", leafCA.crl(t, 1), leafCA, "signature"},
		{"changed", broken, ca, "signature"},
		{"delta", ca.crlWith(t, 2, crlExtension(oidCRLDelta, true, []byte{2, 1, 1})), ca, "delta"},
		{"delta, not critical", ca.crlWith(t, 2, crlExtension(oidCRLDelta, false, []byte{2, 1, 1})), ca, "delta"},
		{"unknown critical extension", ca.crlWith(t, 1, crlExtension(unknown, true, []byte{5, 0})), ca, "unknown critical"},
		{"unknown extension", ca.crlWith(t, 1, crlExtension(unknown, false, []byte{5, 0}), leaf), ca, ""},
		{"entry for another issuer", ca.crlWith(t, 1, entry(asn1.ObjectIdentifier{2, 5, 29, 29}, true, []byte{48, 0}), leaf), ca, "entry has unknown critical"},
		{"entry with an invalidity date", ca.crlWith(t, 1, entry(oidCRLInvalidityDate, true, []byte{5, 0}), leaf), ca, ""},
		{"hold", ca.crlWith(t, 1, func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].ReasonCode = 6 }, leaf), ca, ""},
		{"removed, in a full list", ca.crlWith(t, 1, func(l *x509.RevocationList) { l.RevokedCertificateEntries[0].ReasonCode = 8 }, leaf), ca, ""},
		{"scope: a point", scope(idpURI(t, "http://pki.example/a.crl")), ca, ""},
		{"scope: flags that are false", scope(idpFlag(1, 0), idpFlag(4, 0)), ca, ""},
		{"scope: users only", scope(idpFlag(1, 0xff)), ca, "partial"},
		{"scope: authorities only", scope(idpFlag(2, 0xff)), ca, "partial"},
		{"scope: some reasons", scope(asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 3, Bytes: []byte{1, 6}}), ca, "partial"},
		{"scope: indirect", scope(idpFlag(4, 0xff)), ca, "partial"},
		{"scope: attributes only", scope(idpFlag(5, 0xff)), ca, "partial"},
		{"scope: point without URI", scope(idpURI(t)), ca, "cannot be read"},
		{"scope: broken", ca.crlWith(t, 1, crlExtension(oidCRLDistribution, true, []byte{48, 3, 1})), ca, "cannot be read"},
	}
	for _, tt := range tests {
		if tt.name == "data behind" {
			tt.want = "data follows"
		}
		t.Run(tt.name, func(t *testing.T) {
			set, err := parseCRL(tt.der, []*x509.Certificate{tt.issuer.cert})
			if tt.want != "" {
				if err == nil || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("got error %v, want one with %q", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, ok := set.revoked[string(leaf.SerialNumber.Bytes())]; !ok || len(set.revoked) != 1 {
				t.Errorf("revoked are %d, want the one certificate", len(set.revoked))
			}
		})
	}
}

func TestCRLDates(t *testing.T) {
	ca := newCertCA(t, "Device Root", nil)
	der := ca.crlWith(t, 1, func(l *x509.RevocationList) { l.NextUpdate = l.ThisUpdate })
	if _, err := parseCRL(der, []*x509.Certificate{ca.cert}); err == nil || !strings.Contains(err.Error(), "nextUpdate") {
		t.Errorf("nextUpdate equal to thisUpdate: got %v", err)
	}
}

func TestCRLSuccessor(t *testing.T) {
	ca, other := newCertCA(t, "Device Root", nil), newCertCA(t, "Other", nil)
	at := func(issuer *certCA, number *big.Int, d time.Duration) *crlSet {
		return &crlSet{issuer: issuer.cert, number: number, thisUpdate: certT0.Add(d)}
	}
	last := at(ca, big.NewInt(7), 0)
	for name, tt := range map[string]struct {
		next *crlSet
		ok   bool
	}{
		"next number":                   {at(ca, big.NewInt(8), 1), true},
		"same number, issued again":     {at(ca, big.NewInt(7), 1), true},
		"number goes back":              {at(ca, big.NewInt(6), 1), false},
		"number is gone":                {at(ca, nil, 1), false},
		"next number, but older":        {at(ca, big.NewInt(8), -1), false},
		"another authority starts anew": {at(other, big.NewInt(1), -1), true},
	} {
		if err := last.checkSuccessor(tt.next); (err == nil) != tt.ok {
			t.Errorf("%s: got %v, want ok = %v", name, err, tt.ok)
		}
	}
}

// Revocation as a certificate meets it: the list changes under a warm cache.
func TestCertificateRevocation(t *testing.T) {
	root := newCertCA(t, "Device Root", nil)
	issuing := newCertCA(t, "Issuing", root)
	other := newCertCA(t, "Other Root", nil)
	sharded := func(c *x509.Certificate) { c.CRLDistributionPoints = []string{"http://pki.example/a.crl"} }
	leaf, deep, second := root.issue(t, sharded), issuing.issue(t), other.issue(t)
	point := func(uri string) func(*x509.RevocationList) {
		return crlExtension(oidCRLDistribution, true, idp(t, idpURI(t, uri)))
	}
	dates := func(from, until time.Duration) func(*x509.RevocationList) {
		return func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = certT0.Add(from), certT0.Add(until) }
	}
	type list struct {
		der     []byte // nil: not loaded yet
		issuers []*certCA
		soft    time.Duration
	}
	one := func(der []byte, issuers ...*certCA) []list { return []list{{der: der, issuers: issuers}} }
	chain := func(certs ...*x509.Certificate) []*x509.Certificate { return certs }

	tests := []struct {
		name  string
		lists []list
		chain []*x509.Certificate
		want  string
	}{
		{"no lists", nil, chain(leaf), "ok"},
		{"good", one(root.crl(t, 1, deep), root), chain(leaf), "ok"},
		{"revoked", one(root.crl(t, 1, leaf), root), chain(leaf), "revoked"},
		{"not loaded", one(nil, root), chain(leaf), "crl_unavailable"},
		{"of another authority", one(other.crl(t, 1), other), chain(leaf), "crl_unavailable"},
		{"another authority's among all", one(other.crl(t, 1), root, other), chain(leaf), "crl_unavailable"},
		{"serial of another authority", []list{
			{der: root.crl(t, 1), issuers: []*certCA{root}},
			{der: other.crl(t, 1, leaf), issuers: []*certCA{other}},
		}, chain(leaf), "ok"},
		{"out of date", one(root.crlWith(t, 1, dates(-48*time.Hour, -time.Hour)), root), chain(leaf), "crl_unavailable"},
		{"ends now", one(root.crlWith(t, 1, dates(-48*time.Hour, 0)), root), chain(leaf), "crl_unavailable"},
		{"out of date and revoked", one(root.crlWith(t, 1, dates(-48*time.Hour, -time.Hour), leaf), root), chain(leaf), "revoked"},
		{"out of date, soft", []list{{der: root.crlWith(t, 1, dates(-48*time.Hour, -time.Hour)), issuers: []*certCA{root}, soft: 2 * time.Hour}}, chain(leaf), "ok"},
		{"out of date, past soft", []list{{der: root.crlWith(t, 1, dates(-48*time.Hour, -3*time.Hour)), issuers: []*certCA{root}, soft: 2 * time.Hour}}, chain(leaf), "crl_unavailable"},
		{"second list is missing", []list{{der: root.crl(t, 1), issuers: []*certCA{root, other}}, {issuers: []*certCA{root, other}}}, chain(leaf), "ok"},
		{"second list is missing, for the other", []list{{der: root.crl(t, 1), issuers: []*certCA{root, other}}, {issuers: []*certCA{root, other}}}, chain(second), "crl_unavailable"},
		{"its distribution point", one(root.crlWith(t, 1, point("http://pki.example/a.crl")), root), chain(leaf), "ok"},
		{"another distribution point", one(root.crlWith(t, 1, point("http://pki.example/b.crl")), root), chain(leaf), "crl_unavailable"},
		{"issuing authority covered only", one(issuing.crl(t, 1), issuing), chain(deep, issuing.cert), "ok"},
		{"root covered only", one(root.crl(t, 1), root), chain(deep, issuing.cert), "crl_unavailable"},
		{"issuing authority revoked", []list{
			{der: issuing.crl(t, 1), issuers: []*certCA{issuing}},
			{der: root.crl(t, 1, issuing.cert), issuers: []*certCA{root}},
		}, chain(deep, issuing.cert), "revoked"},
		{"the root's list is missing", []list{
			{der: issuing.crl(t, 1), issuers: []*certCA{issuing}},
			{issuers: []*certCA{root}},
		}, chain(deep, issuing.cert), "crl_unavailable"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := certOptions(root, other)
			for _, l := range tt.lists {
				co := CRLOptions{URL: "http://pki.example/a.crl", SoftFor: l.soft, Now: func() time.Time { return certT0 }}
				for _, ca := range l.issuers {
					co.Issuers = append(co.Issuers, ca.cert)
				}
				if l.der != nil {
					co.Load = func() ([]byte, error) { return l.der, nil }
				}
				crl, err := NewCRL(co)
				if err != nil {
					t.Fatal(err)
				}
				if crl.Status().Loaded != (l.der != nil) {
					t.Fatalf("status %+v", crl.Status())
				}
				o.CRLs = append(o.CRLs, crl)
			}
			c := newTestCertificates(t, o)
			for range 2 { // cold, then warm
				cert, err := c.FromTLS(certState(tt.chain...), certT0)
				if got := certReason(t, cert, err); got != tt.want {
					t.Errorf("got %s (%v), want %s", got, err, tt.want)
				}
			}
		})
	}
}

func TestCertificateRevokedUnderAWarmCache(t *testing.T) {
	root := newCertCA(t, "Device Root", nil)
	leaf := root.issue(t)
	crl := newTestCRL(t, root, root.crl(t, 1))
	o := certOptions(root)
	o.CRLs = []*CRL{crl}
	c := newTestCertificates(t, o)
	check := func(now time.Time, want string) {
		t.Helper()
		cert, err := c.FromTLS(certState(leaf), now)
		if got := certReason(t, cert, err); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	check(certT0, "ok")
	check(certT0.Add(25*time.Hour), "crl_unavailable") // nobody renewed the list
	check(certT0.Add(-2*time.Hour), "crl_unavailable") // a list from the future
	check(certT0, "ok")
	if err := crl.install(root.crl(t, 2, leaf), false); err != nil {
		t.Fatal(err)
	}
	check(certT0, "revoked")
	if err := crl.install(root.crl(t, 1), false); err == nil {
		t.Error("an older list took a revocation back")
	}
	check(certT0, "revoked")
}

func TestNewCRLRefuses(t *testing.T) {
	ca := newCertCA(t, "Device Root", nil)
	good := crlFile(t, ca.crl(t, 1))
	tests := []struct {
		name   string
		change func(*CRLOptions)
		want   string
	}{
		{"nothing", func(o *CRLOptions) { o.File = "" }, "exactly one"},
		{"both", func(o *CRLOptions) { o.URL = "http://pki.example/" }, "exactly one"},
		{"ldap", func(o *CRLOptions) { o.File, o.URL = "", "ldap://pki.example/cn=crl" }, "not an http"},
		{"no issuer", func(o *CRLOptions) { o.Issuers = nil }, "no issuer"},
		{"nil issuer", func(o *CRLOptions) { o.Issuers = append(o.Issuers, nil) }, "no issuer"},
		{"size", func(o *CRLOptions) { o.MaxBytes = maxCRLBytes + 1 }, "maximum size"},
		{"soft", func(o *CRLOptions) { o.SoftFor = -1 }, "soft time"},
		{"no file", func(o *CRLOptions) { o.File += ".missing" }, "no such file"},
		{"directory", func(o *CRLOptions) { o.File = t.TempDir() }, "not a regular file"},
		{"empty file", func(o *CRLOptions) { o.File = crlFile(t, nil) }, "empty"},
		{"too large", func(o *CRLOptions) { o.MaxBytes = 16 }, "larger than 16 bytes"},
		{"not a list", func(o *CRLOptions) { o.File = crlFile(t, []byte("hello")) }, "malformed"},
		{"from the future", func(o *CRLOptions) {
			o.File = crlFile(t, ca.crlWith(t, 1, func(l *x509.RevocationList) { l.ThisUpdate = certT0.Add(time.Second) }))
		}, "future"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := CRLOptions{File: good, Issuers: []*x509.Certificate{ca.cert}, Now: func() time.Time { return certT0 }}
			tt.change(&o)
			if _, err := NewCRL(o); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// A gateway restarts while the published file is broken or older.
func TestCRLSavedListStandsIn(t *testing.T) {
	ca := newCertCA(t, "Device Root", nil)
	saved := ca.crl(t, 5)
	for name, file := range map[string][]byte{"broken": []byte("x"), "older": ca.crl(t, 4)} {
		c, err := NewCRL(CRLOptions{
			File: crlFile(t, file), Issuers: []*x509.Certificate{ca.cert}, Now: func() time.Time { return certT0 },
			Load: func() ([]byte, error) { return saved, nil },
		})
		if err != nil {
			t.Errorf("%s file: %v", name, err)
			continue
		}
		if s := c.Status(); !s.Usable || s.Number != "5" || s.Error == "" {
			t.Errorf("%s file: status %+v", name, s)
		}
	}
	c, err := NewCRL(CRLOptions{
		URL: "http://user:hunter2@pki.example/a.crl", Issuers: []*x509.Certificate{ca.cert},
		Load: func() ([]byte, error) { return nil, os.ErrNotExist },
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Status(); s.Loaded || s.Usable || strings.Contains(s.Name, "hunter2") {
		t.Errorf("status %+v", s)
	}
}

func TestCRLSaves(t *testing.T) {
	ca := newCertCA(t, "Device Root", nil)
	der := ca.crl(t, 1)
	var saved []byte
	o := CRLOptions{
		File: crlFile(t, der), Issuers: []*x509.Certificate{ca.cert}, Now: func() time.Time { return certT0 },
		Save: func(data []byte) error { saved = bytes.Clone(data); return nil },
	}
	if _, err := NewCRL(o); err != nil || !bytes.Equal(saved, der) {
		t.Errorf("saved %d bytes of %d, error %v", len(saved), len(der), err)
	}
	o.Save = func([]byte) error { return errors.New("disk full") }
	c, err := NewCRL(o)
	if err != nil {
		t.Fatal(err)
	}
	if s := c.Status(); s.SaveError != "disk full" || !s.Usable || s.Error != "" {
		t.Errorf("status %+v", s)
	}
}
