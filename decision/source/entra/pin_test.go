package entra

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// wide is text as alternativeSecurityIds has it.
func wide(text string) string {
	var b []byte
	for _, c := range []byte(text) {
		b = append(b, c, 0)
	}
	return base64.StdEncoding.EncodeToString(b)
}

func TestParsePin(t *testing.T) {
	cert, key := sha1.Sum([]byte("certificate")), sha256.Sum256([]byte("key"))
	hash := base64.StdEncoding.EncodeToString(key[:])
	want := decision.PinnedCertificate(cert, key)
	if c, ok := decision.CanonicalKey(want.Kind, want.Value); !ok || c != want {
		t.Fatalf("%v is not canonical", want)
	}
	upper := strings.ToUpper(fmt.Sprintf("%x", cert))
	for _, tt := range []struct {
		name, key string
		ok        bool
	}{
		{"as the service writes it", wide(pinPrefix + upper + hash), true},
		{"in small letters", wide(pinPrefix + strings.ToLower(upper) + hash), true},
		{"with the plus of the document", wide(pinPrefix + upper + "+" + hash), true},
		{"empty", "", false},
		{"no base64", "!", false},
		{"odd length", base64.StdEncoding.EncodeToString([]byte("X")), false},
		{"big-endian", base64.StdEncoding.EncodeToString([]byte("\x00X\x005")), false},
		{"not wide", base64.StdEncoding.EncodeToString([]byte(pinPrefix + upper + hash)), false},
		{"other prefix", wide("X509:<SHA1-TP>" + upper + hash), false},
		{"thumbprint alone", wide(pinPrefix + upper), false},
		{"thumbprint cut", wide(pinPrefix + upper[1:] + hash), false},
		{"no hexadecimal digits", wide(pinPrefix + "Z" + upper[1:] + hash), false},
		{"hash cut", wide(pinPrefix + upper + hash[:40]), false},
		{"hash and more", wide(pinPrefix + upper + hash + "AAAA"), false},
		{"two pluses", wide(pinPrefix + upper + "++" + hash), false},
		{"large", wide(pinPrefix + upper + strings.Repeat("A", 2000)), false},
	} {
		got, ok := parsePin(tt.key)
		if ok != tt.ok || ok && got != want {
			t.Errorf("%s: %v, %v", tt.name, got, ok)
		}
	}
}

func FuzzPin(f *testing.F) {
	f.Add(wide(pinPrefix + strings.Repeat("A", 40) + strings.Repeat("A", 43) + "="))
	f.Add("")
	f.Fuzz(func(t *testing.T, key string) {
		k, ok := parsePin(key)
		if c, canonical := decision.CanonicalKey(k.Kind, k.Value); ok && (!canonical || c != k) {
			t.Errorf("%v is not canonical", k)
		}
	})
}

func TestPins(t *testing.T) {
	one := wide(pinPrefix + strings.Repeat("A", 40) + strings.Repeat("A", 43) + "=")
	pin, _ := parsePin(one)
	entry := func(typ, key string) string {
		return `{"type":` + typ + `,"identityProvider":null,"key":` + key + `}`
	}
	for _, tt := range []struct {
		name, member string
		want         int
		problem      string
	}{
		{"none", `[]`, 0, ""},
		{"null", `null`, 0, ""},
		{"one", `[` + entry("2", `"`+one+`"`) + `]`, 1, ""},
		{"another type", `[` + entry("1", `"`+one+`"`) + `]`, 0, ""},
		{"no type", `[{"key":"` + one + `"}]`, 0, "alternativeSecurityIds: wrong type"},
		{"unreadable", `[` + entry("2", `"AAAA"`) + `,` + entry("2", `"`+one+`"`) + `]`, 1, "alternativeSecurityIds: bad text"},
		{"no list", `{"type":2}`, 0, "alternativeSecurityIds: wrong type"},
		{"a number for the key", `[` + entry("2", `7`) + `]`, 0, "alternativeSecurityIds: bad text"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, own, err := decodeDevice([]byte(row(1, `"alternativeSecurityIds":`+tt.member)))
			if err != nil {
				t.Fatal(err)
			}
			var count tally
			d := newDevice(own)
			d.merge(&r, noon, &count)
			got := 0
			for _, k := range d.Keys {
				if k == pin {
					got++
				}
			}
			if got != tt.want || len(d.Keys) != 2+tt.want {
				t.Errorf("keys %v, want %d pins", d.Keys, tt.want)
			}
			if tt.problem != "" && count.problems[tt.problem] != 1 || tt.problem == "" && len(count.problems) > 0 {
				t.Errorf("problems %v, want %q", count.problems, tt.problem)
			}
			// A change that does not mention them keeps them; an empty list ends them.
			r, _, _ = decodeDevice([]byte(row(1, `"isManaged":true`)))
			d.merge(&r, noon, &count)
			if len(d.Keys) != 2+tt.want {
				t.Errorf("after another change: %v", d.Keys)
			}
			r, _, _ = decodeDevice([]byte(row(1, `"alternativeSecurityIds":[]`)))
			d.merge(&r, noon, &count)
			if len(d.Keys) != 2 {
				t.Errorf("after the end: %v", d.Keys)
			}
		})
	}
}

func TestPinsAreAskedForOnlyIfWanted(t *testing.T) {
	for _, wanted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			f, _, _ := scene(1)
			s, done := newSource(t, f, Options{PinnedCertificates: wanted})
			defer done()
			swept(t, s)
			asked := slices.Contains(strings.Split(f.calls()[0].URL.Query().Get("$select"), ","), "alternativeSecurityIds")
			if asked != wanted || s.PinsCertificates() != wanted {
				t.Errorf("asked for certificates: %v, want %v", asked, wanted)
			}
		})
	}
}

func TestEmulatedPins(t *testing.T) {
	e, s, c := connect(t, emulator.Options{Devices: 50, Strict: true}, Options{PinnedCertificates: true})
	var d *emulator.Device
	for _, one := range e.Devices() {
		if one.Name == emulator.CaseHealthy {
			d = one
		}
	}
	cert, err := e.DeviceCertificate(emulator.FormRegistration, d)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	swept(t, s)
	e.Update(func(*emulator.Fleet) { d.Directory.CertificateKey = emulator.CertificateKey(leaf) })
	c.Advance(minute)
	v := verdictOf(t, swept(t, s), emulator.CaseHealthy)
	i := slices.IndexFunc(v.Keys, func(k decision.Key) bool { return k.Kind == decision.KindPinnedCertificate })
	if i < 0 || !strings.HasPrefix(v.Keys[i].Value, fmt.Sprintf("%x:", sha1.Sum(leaf.Raw))) {
		t.Errorf("keys %v", v.Keys)
	}
	one, err := s.Lookup(t.Context(), decision.Key{Kind: decision.KindEntra, Value: d.EntraID.String()})
	if err != nil || !slices.Equal(one.Keys, v.Keys) {
		t.Errorf("look-up: %v, %v", one.Keys, err)
	}
	e.Check(t)
}
