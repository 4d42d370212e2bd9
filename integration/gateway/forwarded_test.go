package gateway

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestForwardedCertificate: a trusted proxy's word is verified against our own
// pool; nobody else has one (A11).
func TestForwardedCertificate(t *testing.T) {
	for dialect, header := range map[string]func(der []byte, pem string) []string{
		"rfc9440": func(der []byte, _ string) []string {
			return []string{"Client-Cert", ":" + base64.StdEncoding.EncodeToString(der) + ":"}
		},
		"xfcc": func(_ []byte, pem string) []string { return []string{"X-Forwarded-Client-Cert", `Cert="` + pem + `"`} },
		"nginx": func(_ []byte, pem string) []string {
			return []string{"X-SSL-Client-Cert", pem, "X-SSL-Client-Verify", "SUCCESS"}
		},
		"alb": func(_ []byte, pem string) []string { return []string{"X-Amzn-Mtls-Clientcert-Leaf", pem} },
	} {
		t.Run(dialect, func(t *testing.T) {
			s := newStand(t, standOptions{
				Compliance: "forwarded_certificate " + dialect + " {\nfrom 127.0.0.1\n}",
				Policies:   "policy standard {\nrequire compliant\n}\npolicy strong {\nrequire compliant\nrequire proof certificate\n}",
				Directives: "compliance standard {\nidentity_headers X-Device-Id X-Device-Compliance\n}\n@strong path /strong\ncompliance @strong strong",
			})
			shown := func(ca *rig.CA, id string) []string {
				c := ca.Device(id, nil)
				return header(c.Certificate[0], pemOf(c))
			}
			get := func(path string, header ...string) *rig.Answer {
				return rig.Do(t, s.plain(), http.MethodGet, s.plainURL(path), header...)
			}
			a := get("/", shown(s.DeviceCA, goodID)...)
			if a.StatusCode != http.StatusOK {
				t.Fatalf("good device: status %d: %s", a.StatusCode, a.Body)
			}
			seen := a.Seen(t)
			if seen.Header.Get("X-Device-Id") != goodID {
				t.Errorf("X-Device-Id %q", seen.Header.Get("X-Device-Id"))
			}
			wantNone(t, seen.Header, "Client-Cert", "X-Forwarded-Client-Cert", "X-Ssl-Client-Cert", "X-Ssl-Client-Verify", "X-Amzn-Mtls-Clientcert-Leaf")
			for name, tc := range map[string]struct {
				path   string
				header []string
				want   int
				code   string
			}{
				"bad device":      {"/", shown(s.DeviceCA, badID), 403, "noncompliant"},
				"weaker proof":    {"/strong", shown(s.DeviceCA, goodID), 403, "proof_too_weak"},
				"other authority": {"/", shown(rig.NewCA(t, "Device CA"), goodID), 403, "device_unidentified"},
				"none":            {"/", nil, 403, "device_unidentified"},
				"garbage":         {"/", []string{shown(s.DeviceCA, goodID)[0], "garbage", "X-SSL-Client-Verify", "SUCCESS"}, 400, "malformed_request"},
			} {
				a := get(tc.path, tc.header...)
				if a.StatusCode != tc.want || a.Problem(t).Codes()[0] != tc.code {
					t.Errorf("%s: status %d, want %d %s: %.300s", name, a.StatusCode, tc.want, tc.code, a.Body)
				}
			}
			if dialect != "xfcc" { // its header is a list by definition
				twice := append(shown(s.DeviceCA, goodID), shown(s.DeviceCA, badID)[:2]...)
				if a := get("/", twice...); a.StatusCode != http.StatusBadRequest {
					t.Errorf("two certificates: status %d, want 400", a.StatusCode)
				}
			}
		})
	}
}

// TestForwardedCertificateFromElsewhere: a peer that is not named is not
// believed, whatever it says about addresses.
func TestForwardedCertificateFromElsewhere(t *testing.T) {
	s := newStand(t, standOptions{
		Compliance: "forwarded_certificate nginx {\nfrom 10.0.0.0/8\n}",
		Policies:   "policy standard {\nrequire compliant\n}",
		Global:     "servers {\ntrusted_proxies static 127.0.0.1\ntrusted_proxies_strict\n}",
		Directives: "compliance standard",
	})
	pem := pemOf(s.DeviceCA.Device(goodID, nil))
	for _, more := range [][]string{nil, {"X-Forwarded-For", "10.0.0.1"}, {"X-Real-Ip", "10.0.0.1"}, {"Forwarded", "for=10.0.0.1"}} {
		header := append([]string{"X-SSL-Client-Cert", pem, "X-SSL-Client-Verify", "SUCCESS"}, more...)
		a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), header...)
		if a.StatusCode != http.StatusForbidden || a.Problem(t).Codes()[0] != "device_unidentified" {
			t.Errorf("%v: status %d: %.300s", more, a.StatusCode, a.Body)
		}
	}
	if n, _ := s.Gateway.Metric(`gatehouse_spoof_attempts_total{kind="certificate_header"}`); n != 8 {
		t.Errorf("%v spoof attempts, want 8", n)
	}
}

// TestK7TrustEverybody: a configuration that would believe everybody is refused.
func TestK7TrustEverybody(t *testing.T) {
	for _, from := range []string{"0.0.0.0/0", "::/0", "0.0.0.0/1 128.0.0.0/1", "2000::/3", "", "10.0.0.0/33", "corp.example"} {
		s := prepareStand(t, standOptions{Compliance: fmt.Sprintf("forwarded_certificate nginx {\nfrom %s\n}", from)})
		_, err := rig.TryStart(t, s.setup)
		if err == nil {
			t.Errorf("from %s: the load passes", from)
		} else if !strings.Contains(err.Error(), "Caddyfile:") {
			t.Errorf("from %s: the error names no line: %v", from, err)
		}
	}
}
