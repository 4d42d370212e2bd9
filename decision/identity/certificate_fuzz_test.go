package identity

import (
	"bufio"
	"bytes"
	"crypto/x509"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

// certFuzzRules map every field there is.
func certFuzzRules(t testing.TB) ([]deviceRule, []userRule) {
	var devices []deviceRule
	for _, line := range []string{
		"entra subject_cn", "serial serial_number", "intune san_uri IntuneDeviceId://", "name san_dns .d.example",
		"mail san_email", "tag subject_cn dev- regexp ([a-z]+)", "intune intune_mdm", "entra extension 1.2.840.113556.1.5.284.2",
	} {
		m, err := ParseDeviceMapping(strings.Fields(line))
		if err != nil {
			t.Fatal(err)
		}
		r, err := m.rule()
		if err != nil {
			t.Fatal(err)
		}
		devices = append(devices, r)
	}
	return devices, []userRule{{UserMapping{From: FieldSANUPN}}, {UserMapping{From: FieldSANEmail}}, {UserMapping{From: FieldSubjectCN}}}
}

// Whatever parses maps to canonical ids or to nothing, and never to an
// identity without a signature of ours.
func FuzzCertificateMapping(f *testing.F) {
	certSeeds(f, "certificates", func(der []byte) { f.Add(der) })
	devices, users := certFuzzRules(f)
	c := newTestCertificates(f, certOptions(newCertCA(f, "Device Root", nil)))
	f.Fuzz(func(t *testing.T, der []byte) {
		leaf, err := x509.ParseCertificate(der)
		if err != nil {
			return
		}
		if cert, err := c.FromForwarded([]*x509.Certificate{leaf}, certT0); err == nil {
			t.Fatalf("a stranger became %v", cert.Keys)
		}
		names, err := parseCertNames(leaf)
		if err != nil {
			return
		}
		keys, err := mapDevice(devices, leaf, names)
		if err != nil && keys != nil {
			t.Errorf("ids %v came with error %v", keys, err)
		}
		kinds := map[string]bool{}
		for _, k := range keys {
			if again, ok := decision.CanonicalKey(k.Kind, k.Value); !ok || again != k {
				t.Errorf("id %q is not canonical", k)
			}
			if kinds[k.Kind] {
				t.Errorf("two ids of kind %s", k.Kind)
			}
			kinds[k.Kind] = true
		}
		u, err := mapUser(users, []*x509.Certificate{leaf, leaf}, names)
		if err == nil && u.Known() && (!certPrintable(u.Name) || strings.Contains(u.ID, "@")) {
			t.Errorf("user %q with id %q", u.Name, u.ID)
		}
	})
}

// FuzzForwarded reads a dialect's name and header lines. What parses is a
// bounded chain, and what fails has one of the known errors and no chain.
func FuzzForwarded(f *testing.F) {
	certSeeds(f, "forwarded", func(data []byte) { f.Add(data) })
	f.Fuzz(func(t *testing.T, data []byte) {
		lines := bufio.NewScanner(bytes.NewReader(data))
		lines.Buffer(nil, 2*maxForwardedText)
		lines.Scan()
		d, err := ParseDialect(lines.Text())
		if err != nil {
			return
		}
		h := http.Header{}
		for lines.Scan() {
			if name, value, ok := strings.Cut(lines.Text(), ": "); ok {
				h.Add(name, value)
			}
		}
		chain, err := d.Parse(h)
		if err != nil {
			if chain != nil || !errors.Is(err, ErrForwardedMalformed) && !errors.Is(err, ErrForwardedDuplicate) && !errors.Is(err, ErrForeign) {
				t.Errorf("got %d certificates and error %v", len(chain), err)
			}
			return
		}
		present := slices.ContainsFunc(d.Headers(), func(n string) bool { return len(h[n]) > 0 && h[n][0] != "" })
		if len(chain) > maxCertChain || len(chain) > 0 && !present {
			t.Errorf("%d certificates out of %v", len(chain), h)
		}
		for _, cert := range chain {
			if len(cert.Raw) > maxCertBytes {
				t.Errorf("a certificate of %d bytes", len(cert.Raw))
			}
		}
	})
}

// What passes as a list is signed by the authority and says all about it. The
// parsers behind the signature get the bytes directly as well.
func FuzzCRL(f *testing.F) {
	certSeeds(f, "crl", func(data []byte) { f.Add(data) })
	der, err := os.ReadFile(filepath.Join("testdata", "crl-authority.der"))
	if err != nil {
		f.Fatal(err)
	}
	ca, err := x509.ParseCertificate(der)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if points, err := parseCRLScope(data); err != nil && points != nil {
			t.Errorf("points %v came with error %v", points, err)
		}
		if list, err := x509.ParseRevocationList(data); err == nil {
			_ = new(crlSet).parseExtensions(list)
		}
		set, err := parseCRL(data, []*x509.Certificate{ca})
		if err != nil {
			return
		}
		if !set.nextUpdate.After(set.thisUpdate) || set.issuer != ca {
			t.Errorf("list from %s until %s", set.thisUpdate, set.nextUpdate)
		}
		if err := set.checkSuccessor(set); err != nil {
			t.Errorf("a list does not follow itself: %v", err)
		}
	})
}
