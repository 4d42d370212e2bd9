package gateway

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// with is a client with any certificate.
func (s *stand) with(protocol string, cert tls.Certificate) *http.Client {
	return rig.NewClient(s.t, rig.ClientOptions{Protocol: protocol, Authority: s.ServerCA, Port: s.Port, Certificate: &cert})
}

// TestD1TrustPool: a pool that cannot be read refuses the load, and the running
// configuration goes on.
func TestD1TrustPool(t *testing.T) {
	s := newStand(t, standOptions{})
	good, err := os.ReadFile(s.DeviceCA.File)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string) {
		t.Helper()
		if a := rig.Do(t, s.client("h1", goodID), http.MethodGet, s.url("/"), rig.Bearer(s.token("", nil))...); a.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d", what, a.StatusCode)
		}
		if code := s.Gateway.Call(http.MethodGet, "/compliance/status", nil, nil); code != http.StatusOK {
			t.Errorf("%s: admin status %d", what, code)
		}
	}
	for name, content := range map[string]string{"empty": "", "garbage": "not a certificate", "key only": "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "broken": strings.Replace(string(good), "MII", "MIJ", 1)} {
		err := os.WriteFile(s.DeviceCA.File, []byte(content), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		if s.reload() == nil {
			t.Errorf("%s: the load passes", name)
		}
		check(name)
	}
	if err := os.Remove(s.DeviceCA.File); err != nil {
		t.Fatal(err)
	}
	if err := s.reload(); err == nil {
		t.Error("absent: the load passes")
	}
	check("absent")
}

// TestD2NameMismatch: a connection opened for one site does not speak for
// another, also where Caddy's own check is switched off.
func TestD2NameMismatch(t *testing.T) {
	for _, strict := range []string{"", "servers {\nstrict_sni_host insecure_off\n}"} {
		s := newStand(t, standOptions{Global: strict, Sites: `https://open.corp.example:{port} {
			tls {tls}
			compliance standard
			reverse_proxy {upstream}
		}`})
		for _, protocol := range rig.Protocols {
			token := s.token("", nil)
			c := s.client(protocol, goodID)
			if a := rig.Do(t, c, http.MethodGet, s.url("/"), rig.Bearer(token)...); a.StatusCode != http.StatusOK {
				t.Fatalf("%s: status %d: %s", protocol, a.StatusCode, a.Body)
			}
			before := s.Upstream.Hits()
			a := rig.Do(t, c, http.MethodGet, s.url("/"), append(rig.Bearer(token), "Host", fmt.Sprintf("open.corp.example:%d", s.Port))...)
			if a.StatusCode != http.StatusMisdirectedRequest || s.Upstream.Hits() != before {
				t.Errorf("%s %q: device connection for another host: status %d, want 421", protocol, strict, a.StatusCode)
			}
			a = rig.Do(t, s.client(protocol, goodID), http.MethodGet, fmt.Sprintf("https://open.corp.example:%d/", s.Port),
				append(rig.Bearer(token), "Host", fmt.Sprintf("%s:%d", appHost, s.Port))...)
			if a.StatusCode == http.StatusOK || s.Upstream.Hits() != before {
				t.Errorf("%s %q: open connection for the device site: status %d", protocol, strict, a.StatusCode)
			}
		}
	}
}

// TestD3Resumption: a resumed session carries no identity from elsewhere.
func TestD3Resumption(t *testing.T) {
	s := newStand(t, standOptions{Sites: `https://open.corp.example:{port} {
		tls {tls}
		compliance standard
		reverse_proxy {upstream}
	}`})
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		sessions := tls.NewLRUClientSessionCache(10)
		get := func(host string, cert bool) int {
			c := s.client("h1", "")
			tr := c.Transport.(*http.Transport)
			tr.DisableKeepAlives = true
			tr.TLSClientConfig.ClientSessionCache, tr.TLSClientConfig.MaxVersion = sessions, version
			if cert {
				tr.TLSClientConfig.Certificates = []tls.Certificate{s.DeviceCA.Device(goodID, nil)}
			}
			return rig.Do(t, c, http.MethodGet, fmt.Sprintf("https://%s:%d/", host, s.Port), rig.Bearer(s.token("", nil))...).StatusCode
		}
		for _, step := range []struct {
			host string
			cert bool
			want int
		}{
			{"open.corp.example", false, 403},
			{appHost, true, 200},
			{appHost, false, 403},
			{"open.corp.example", false, 403},
			{appHost, true, 200},
			{"open.corp.example", true, 403},
			{appHost, false, 403},
		} {
			if got := get(step.host, step.cert); got != step.want {
				t.Errorf("TLS %x: %s with certificate %v: status %d, want %d", version, step.host, step.cert, got, step.want)
			}
		}
	}
}

// TestD5Unverified: a certificate that nobody verified is no identity, and a
// verified one of another authority neither.
func TestD5Unverified(t *testing.T) {
	for _, mode := range []string{"mode request", "mode require"} {
		s := newStand(t, standOptions{ClientAuth: mode})
		evil := rig.NewCA(t, "Device CA") // same name, another key
		for name, cert := range map[string]tls.Certificate{"same name": evil.Device(goodID, nil), "other": rig.NewCA(t, "Evil").Device(goodID, nil)} {
			for _, protocol := range rig.Protocols {
				a := rig.Do(t, s.with(protocol, cert), http.MethodGet, s.url("/"), rig.Bearer(s.token("", nil))...)
				if a.StatusCode != http.StatusForbidden || a.Problem(t).Codes()[0] != "device_unidentified" {
					t.Errorf("%s, %s, %s: status %d: %s", mode, name, protocol, a.StatusCode, a.Body)
				}
			}
		}
		if n, _ := s.Gateway.Metric("gatehouse_foreign_certificates_total"); n == 0 {
			t.Error("foreign certificates are not counted")
		}
		if s.Upstream.Hits() != 0 {
			t.Error("the upstream was reached")
		}
	}
	public := rig.NewCA(t, "Public CA")
	s := newStand(t, standOptions{ClientAuth: "mode verify_if_given\ntrust_pool file {device_ca} " + public.File})
	a := rig.Do(t, s.with("h1", public.Device(goodID, nil)), http.MethodGet, s.url("/"), rig.Bearer(s.token("", nil))...)
	if a.StatusCode != http.StatusForbidden || a.Problem(t).Codes()[0] != "device_unidentified" {
		t.Errorf("verified by Caddy, outside our pool: status %d: %s", a.StatusCode, a.Body)
	}
}

// TestD6D7D14Shapes: certificates of our authority that do not name a device
// properly, or are not made for this use, are refused and close the connection.
func TestD6D7D14Shapes(t *testing.T) {
	s := newStand(t, standOptions{ClientAuth: "mode require"})
	for name, change := range map[string]func(*x509.Certificate){
		"server usage":    func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth} },
		"mail usage":      func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageEmailProtection} },
		"no usage":        func(c *x509.Certificate) { c.ExtKeyUsage = nil },
		"id in DNS name":  func(c *x509.Certificate) { c.Subject.CommonName = "x"; c.DNSNames = []string{goodID} },
		"id in mail name": func(c *x509.Certificate) { c.Subject.CommonName = ""; c.EmailAddresses = []string{goodID + "@x"} },
		"id and more":     func(c *x509.Certificate) { c.Subject.CommonName = goodID + ".evil" },
		"NUL":             func(c *x509.Certificate) { c.Subject.CommonName = goodID + "\x00.evil" },
		"many names": func(c *x509.Certificate) {
			for i := range 500 {
				c.DNSNames = append(c.DNSNames, fmt.Sprintf("n%d.example", i))
			}
		},
		"expired":       func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) },
		"not yet valid": func(c *x509.Certificate) { c.NotBefore = time.Now().Add(time.Hour) },
		"an authority":  func(c *x509.Certificate) { c.IsCA, c.BasicConstraintsValid = true, true },
	} {
		a := rig.Do(t, s.with("h1", s.DeviceCA.Device(goodID, change)), http.MethodGet, s.url("/"), rig.Bearer(s.token("", nil))...)
		if a.StatusCode != http.StatusForbidden || s.Upstream.Hits() != 0 {
			t.Errorf("%s: status %d, want 403: %.200s", name, a.StatusCode, a.Body)
		}
	}
	s = newStand(t, standOptions{})
	for name, change := range map[string]func(*x509.Certificate){
		"no usage":       func(c *x509.Certificate) { c.ExtKeyUsage = nil },
		"id in DNS name": func(c *x509.Certificate) { c.Subject.CommonName = "x"; c.DNSNames = []string{goodID} },
		"id and more":    func(c *x509.Certificate) { c.Subject.CommonName = goodID + ".evil" },
	} {
		a := rig.Do(t, s.with("h1", s.DeviceCA.Device(goodID, change)), http.MethodGet, s.url("/"), rig.Bearer(s.token(goodID, nil))...)
		if a.StatusCode != http.StatusForbidden || !a.Close || a.Problem(t).Codes()[0] != "certificate_invalid" {
			t.Errorf("%s beside a good token: status %d, close %v: %s", name, a.StatusCode, a.Close, a.Body)
		}
	}
}

// TestD8ServerName: the same decision over every protocol, however the name is
// written.
func TestD8ServerName(t *testing.T) {
	s := newStand(t, standOptions{})
	for _, protocol := range rig.Protocols {
		for _, host := range []string{appHost, strings.ToUpper(appHost), "App.Corp.Example"} {
			url := fmt.Sprintf("https://%s:%d/", host, s.Port)
			if a := rig.Do(t, s.client(protocol, goodID), http.MethodGet, url, rig.Bearer(s.token("", nil))...); a.StatusCode != http.StatusOK {
				t.Errorf("%s %s: status %d for a good device", protocol, host, a.StatusCode)
			}
			if a := rig.Do(t, s.client(protocol, badID), http.MethodGet, url, rig.Bearer(s.token("", nil))...); a.StatusCode != http.StatusForbidden {
				t.Errorf("%s %s: status %d for a bad device", protocol, host, a.StatusCode)
			}
		}
	}
}

// TestD10WildcardSites: a wildcard site and a specific one keep their own rules.
func TestD10WildcardSites(t *testing.T) {
	wild := `https://*.wild.example:{port} {
		tls {dir}/cert.pem {dir}/key.pem {
			client_auth {
				mode require_and_verify
				trust_pool file {device_ca}
			}
		}
		compliance device
		reverse_proxy {upstream}
	}
	`
	public := `https://public.wild.example:{port} {
		tls {dir}/cert.pem {dir}/key.pem
		compliance standard
		reverse_proxy {upstream}
	}
	`
	for _, sites := range []string{wild + public, public + wild} {
		s := prepareStand(t, standOptions{Sites: sites, Policies: usualPolicies + "\npolicy device {\nrequire compliant\n}"})
		cert, key := s.ServerCA.Server("*.wild.example", "public.wild.example")
		for from, to := range map[string]string{cert: "/cert.pem", key: "/key.pem"} {
			raw, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(strings.TrimSuffix(s.Inventory, "/devices.json")+to, raw, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		s.Gateway = rig.Start(t, s.setup)
		get := func(host, device string, header ...string) string {
			req, _ := http.NewRequest(http.MethodGet, fmt.Sprintf("https://%s:%d/", host, s.Port), nil)
			for i := 0; i+1 < len(header); i += 2 {
				req.Header.Add(header[i], header[i+1])
			}
			resp, err := s.client("h1", device).Do(req)
			if err != nil {
				return "no connection"
			}
			defer resp.Body.Close()
			return fmt.Sprint(resp.StatusCode)
		}
		for _, tc := range []struct{ host, device, token, want string }{
			{"a.wild.example", goodID, "", "200"},
			{"a.wild.example", badID, "", "403"},
			{"a.wild.example", "", "", "no connection"},
			{"public.wild.example", "", "", "401"},
			{"public.wild.example", "", s.token(goodID, nil), "200"},
			{"public.wild.example", "", s.token(badID, nil), "403"},
		} {
			var header []string
			if tc.token != "" {
				header = rig.Bearer(tc.token)
			}
			if got := get(tc.host, tc.device, header...); got != tc.want {
				t.Errorf("%s as %.8s: %s, want %s", tc.host, tc.device, got, tc.want)
			}
		}
	}
}

// TestD11ExpiryOnOpenConnection: a certificate that ends while its connection is
// open is refused on it, and the connection goes.
func TestD11ExpiryOnOpenConnection(t *testing.T) {
	s := newStand(t, standOptions{})
	for _, protocol := range []string{"h1", "h2"} {
		token := s.token("", nil)
		var c *http.Client
		for life := 4 * time.Second; ; life *= 2 { // a busy machine may need longer than the first ones
			end := time.Now().Add(life).Truncate(time.Second)
			c = s.with(protocol, s.DeviceCA.Device(goodID, func(c *x509.Certificate) { c.NotAfter = end }))
			req, err := http.NewRequest(http.MethodGet, s.url("/"), nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			resp, err := c.Do(req)
			late := !time.Now().Before(end)
			if err == nil {
				resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					break
				}
			}
			if !late || life > time.Minute {
				t.Fatalf("%s: before the certificate's end: %v, %v", protocol, resp, err)
			}
		}
		var last *rig.Answer
		rig.Eventually(t, time.Minute, "refused after the certificate's end", func() bool {
			last = rig.Do(t, c, http.MethodGet, s.url("/"), rig.Bearer(token)...)
			return last.StatusCode != http.StatusOK
		})
		if last.StatusCode != http.StatusForbidden || last.Problem(t).Codes()[0] != "certificate_invalid" {
			t.Errorf("%s: status %d: %s", protocol, last.StatusCode, last.Body)
		}
		if protocol == "h1" && !last.Close {
			t.Error("the connection stays open")
		}
	}
}

// TestD15NotEnrolled: a certificate alone is not compliance.
func TestD15NotEnrolled(t *testing.T) {
	s := newStand(t, standOptions{})
	for _, protocol := range rig.Protocols {
		a := rig.Do(t, s.client(protocol, unknownID), http.MethodGet, s.url("/"), rig.Bearer(s.token("", nil))...)
		if a.StatusCode != http.StatusForbidden || a.Problem(t).Codes()[0] != "device_unknown" {
			t.Errorf("%s: status %d: %s", protocol, a.StatusCode, a.Body)
		}
	}
}

// TestD16PlainSites: a gated site in clear is refused, unless on loopback or
// behind a proxy that is named.
func TestD16PlainSites(t *testing.T) {
	tests := []struct {
		name, sites, compliance string
		refused                 bool
	}{
		{"in clear", "http://x.corp.example:{plain2} {\nbind 0.0.0.0\ncompliance standard\n}", "", true},
		{"in clear, other port", "http://:{plain2} {\nbind 0.0.0.0\ncompliance standard\nreverse_proxy {upstream}\n}", "", true},
		{"in clear inside a route", "http://:{plain2} {\nbind 0.0.0.0\nroute /x {\ncompliance standard\n}\n}", "", true},
		{"off", "http://:{plain2} {\nbind 0.0.0.0\ncompliance off because \"test\"\n}", "", false},
		{"loopback", "http://x.corp.example:{plain2} {\nbind 127.0.0.1 ::1\ncompliance standard\n}", "", false},
		{"behind a proxy", "http://:{plain2} {\nbind 0.0.0.0\ncompliance standard\n}", "forwarded_certificate rfc9440 {\nfrom 10.0.0.0/8\n}", false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			s := prepareStand(t, standOptions{
				Sites: strings.ReplaceAll(tc.sites, "{plain2}", fmt.Sprint(rig.FreePort(t))), Compliance: tc.compliance,
			})
			err := rig.Validate(t, s.setup)
			if (err != nil) != tc.refused {
				t.Errorf("load error %v, want one: %v", err, tc.refused)
			}
			if tc.refused && err != nil && !strings.Contains(err.Error(), "without TLS") {
				t.Errorf("the message does not say why: %v", err)
			}
		})
	}
}
