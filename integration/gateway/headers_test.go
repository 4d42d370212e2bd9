package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// identityHeaders are the names that only the gateway may set.
var identityHeaders = []string{
	"Remote-User", "Remote-User-Id", "Remote-Email", "Remote-Groups", "X-Device-Id", "X-Device-Compliance",
	"X-Decision-Id", "X-Gatehouse-Assertion",
}

// spellings are the ways in which backends write one header name.
func spellings(name string) []string {
	return []string{
		name, strings.ToLower(name), strings.ToUpper(name), strings.ReplaceAll(name, "-", "_"),
		strings.ReplaceAll(strings.ToLower(name), "-", "_"), strings.ReplaceAll(name, "-", "."),
		strings.Replace(name, "-", "_", 1),
	}
}

// rawSeen sends bytes to the plain site on a connection of its own and returns
// what the upstream saw, which must exist.
func (s *stand) rawSeen(request string) rig.Seen {
	s.t.Helper()
	answers := s.raw(request)
	if len(answers) == 0 || answers[0].StatusCode != http.StatusOK {
		s.t.Fatalf("%q: answers %v, want 200", request, statuses(answers))
	}
	return answers[0].Seen(s.t)
}

// raw sends bytes to the plain site and reads answers until the connection ends
// or is quiet for a moment.
func (s *stand) raw(request string) []*rig.Answer {
	s.t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.Plain))
	if err != nil {
		s.t.Fatal(err)
	}
	defer conn.Close()
	_, err = io.WriteString(conn, request)
	if err != nil {
		s.t.Fatal(err)
	}
	r := bufio.NewReader(conn)
	method, _, _ := strings.Cut(request, " ")
	var answers []*rig.Answer
	for wait := 30 * time.Second; ; wait = time.Second {
		_ = conn.SetReadDeadline(time.Now().Add(wait))
		_, err := r.Peek(1)
		if err != nil {
			return answers
		}
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		resp, err := http.ReadResponse(r, &http.Request{Method: method})
		if err != nil {
			return answers
		}
		body, _ := io.ReadAll(resp.Body)
		answers = append(answers, &rig.Answer{Response: resp, Body: string(body)})
	}
}

func statuses(answers []*rig.Answer) []int {
	var got []int
	for _, a := range answers {
		got = append(got, a.StatusCode)
	}
	return got
}

// head writes the start of a raw request with alice's good token.
func (s *stand) head(method, path string) string {
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\n",
		method, path, s.Plain, s.token(goodID, nil))
}

// wantNone fails if the upstream saw any header that folds to one of names.
func wantNone(t *testing.T, h http.Header, names ...string) {
	t.Helper()
	fold := strings.NewReplacer("_", "-", ".", "-").Replace
	for got, values := range h {
		for _, name := range names {
			if strings.EqualFold(fold(got), name) {
				t.Errorf("the app got %s: %q", got, values)
			}
		}
	}
}

// TestA1StripAlways: identity headers of a client never arrive, whether or not
// the gateway has a value of its own (A1, A3, A4).
func TestA1StripAlways(t *testing.T) {
	s := newStand(t, standOptions{Directives: `
		@exempt path /exempt
		compliance @exempt off because "test"
		compliance standard`})
	for _, protocol := range rig.Protocols {
		t.Run(protocol, func(t *testing.T) {
			c := s.client(protocol, "")
			for _, name := range identityHeaders {
				for _, spelling := range spellings(name) {
					header := append(rig.Bearer(s.token(goodID, nil)), spelling, "evil")
					seen := rig.Do(t, c, http.MethodGet, s.url("/x"), header...).Seen(t)
					for got, values := range seen.Header {
						if strings.Contains(strings.Join(values, " "), "evil") {
							t.Errorf("sent %s, the app got %s: %q", spelling, got, values)
						}
					}
					if got := seen.Header["Remote-User"]; len(got) != 1 || got[0] != "alice@corp.example" {
						t.Errorf("sent %s: Remote-User %q, want alice", spelling, got)
					}
					seen = rig.Do(t, c, http.MethodGet, s.url("/exempt"), spelling, "evil").Seen(t)
					wantNone(t, seen.Header, identityHeaders...)
				}
			}
		})
	}
}

// TestA1NoValueOfOurs: a token without a user claim leaves the header absent,
// not the client's.
func TestA1NoValueOfOurs(t *testing.T) {
	s := newStand(t, standOptions{
		Directives: "compliance standard {\nidentity_headers Remote-User Remote-Email Remote-Groups X-Device-Id\n}",
	})
	seen := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), append(rig.Bearer(s.token(goodID, nil)),
		"Remote-Email", "admin@corp.example", "Remote-Groups", "admins")...).Seen(t)
	wantNone(t, seen.Header, "Remote-Email", "Remote-Groups")
}

// TestA2StripOnEveryPath: also where nothing is enforced.
func TestA2StripOnEveryPath(t *testing.T) {
	s := newStand(t, standOptions{
		Policies: usualPolicies + "\npolicy trial {\nrequire user\nrequire compliant\nreport_only unenforced until " + soon() + "\n}",
		Directives: `
		@exempt path /exempt
		@other path /nobody
		compliance @exempt off because "test"
		compliance @other standard
		@trial path /trial
		compliance @trial trial`,
	})
	for _, path := range []string{"/exempt", "/trial", "/uncovered"} {
		for _, token := range []string{"", s.token(goodID, rig.Claims{"aud": "other"})} {
			header := []string{
				"X-Device-Id", "evil", "X_Device_Id", "evil", "Remote-User", "evil", "X-Device-Compliance", "compliant",
				"X-Forwarded-Uri", "/", "X-Original-Url", "/", "X-Rewrite-Url", "/", "X-Client-Cert", "evil",
			}
			if token != "" {
				header = append(header, rig.Bearer(token)...)
			}
			a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL(path), header...)
			if a.StatusCode != http.StatusOK {
				t.Fatalf("%s: status %d: %s", path, a.StatusCode, a.Body)
			}
			wantNone(t, a.Seen(t).Header, append(identityHeaders, "X-Forwarded-Uri", "X-Original-Url", "X-Rewrite-Url",
				"X-Client-Cert")...)
		}
	}
}

// TestA3ExpectedUnderscoreHeaders: not even a server that lets underscored names
// in brings ours back.
func TestA3ExpectedUnderscoreHeaders(t *testing.T) {
	s := newStand(t, standOptions{Global: `servers {
		expected_underscore_headers X_Device_Id x-device_id Remote_User
	}`})
	seen := s.rawSeen(s.head("GET", "/") + "X_Device_Id: evil\r\nx-device_id: evil\r\nRemote_User: evil\r\nConnection: close\r\n\r\n")
	for name, values := range seen.Header {
		if strings.Contains(strings.Join(values, " "), "evil") {
			t.Errorf("the app got %s: %q", name, values)
		}
	}
}

// TestA5HopByHop: a client cannot make the proxy drop what the gateway set.
func TestA5HopByHop(t *testing.T) {
	s := newStand(t, standOptions{Directives: "compliance standard {\nidentity_headers Remote-User X-Device-Id X-Device-Compliance X-Decision-Id\nassertion on\n}"})
	tests := []struct{ name, lines string }{
		{"one line", "Connection: close, X-Device-Id, Remote-User, X-Gatehouse-Assertion\r\n"},
		{"lower case", "connection: x-device-id,remote-user , x-device-compliance\r\nConnection: close\r\n"},
		{"alone", "Connection: X-Device-Id\r\nConnection: Remote-User\r\n"},
		{"underscores", "Connection: X_Device_Id, close, Remote_User\r\n"},
		{"with keep-alive", "Connection: keep-alive, x-dEVICE-iD\r\nKeep-Alive: X-Device-Id\r\nProxy-Connection: X-Device-Id\r\n"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			before, _ := s.Gateway.Metric(`gatehouse_spoof_attempts_total{kind="hop_by_hop"}`)
			seen := s.rawSeen(s.head("GET", "/") + tc.lines + "\r\n")
			if seen.Header.Get("X-Device-Id") != goodID || seen.Header.Get("Remote-User") != "alice@corp.example" ||
				seen.Header.Get("X-Device-Compliance") != "compliant" || seen.Header.Get("X-Gatehouse-Assertion") == "" {
				t.Errorf("the app lost identity headers: %v", seen.Header)
			}
			after, _ := s.Gateway.Metric(`gatehouse_spoof_attempts_total{kind="hop_by_hop"}`)
			if after <= before {
				t.Errorf("spoof attempts %v, then %v: not counted", before, after)
			}
		})
	}
}

// TestA6Trailers: nothing of ours arrives after the body.
func TestA6Trailers(t *testing.T) {
	s := newStand(t, standOptions{})
	tests := []struct{ name, declared, sent string }{
		{"declared", "X-Device-Id", "X-Device-Id: evil\r\n"},
		{"undeclared beside a declared one", "X-Checksum", "X-Checksum: 1\r\nX-Device-Id: evil\r\nx_device_id: evil\r\n"},
		{"not declared at all", "", "X-Device-Id: evil\r\nRemote-User: evil\r\n"},
		{"underscore", "X_Device_Id", "X_Device_Id: evil\r\n"},
		{"certificate", "X-Checksum, X-Client-Cert", "X-Checksum: 1\r\nX-Client-Cert: evil\r\n"},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			head := s.head("POST", "/") + "Transfer-Encoding: chunked\r\nConnection: close\r\n"
			if tc.declared != "" {
				head += "Trailer: " + tc.declared + "\r\n"
			}
			seen := s.rawSeen(head + "\r\n4\r\nbody\r\n0\r\n" + tc.sent + "\r\n")
			if seen.Body != "body" {
				t.Errorf("body %q, want body", seen.Body)
			}
			for _, h := range []http.Header{seen.Trailer, seen.Header} {
				for name, values := range h {
					if strings.Contains(strings.Join(values, " "), "evil") {
						t.Errorf("the app got %s: %q", name, values)
					}
				}
			}
			if strings.Contains(tc.declared, "X-Checksum") && seen.Trailer.Get("X-Checksum") != "1" {
				t.Errorf("the app's own trailer is lost: %v", seen.Trailer)
			}
		})
	}
	for _, protocol := range []string{"h2", "h3"} {
		t.Run(protocol, func(t *testing.T) {
			req, err := http.NewRequest(http.MethodPost, s.url("/"), io.NopCloser(strings.NewReader("body")))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+s.token(goodID, nil))
			req.Trailer = http.Header{"X-Device-Id": {"evil"}, "X-Checksum": {"1"}}
			resp, err := s.client(protocol, "").Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, _ := io.ReadAll(resp.Body)
			seen := (&rig.Answer{Response: resp, Body: string(body)}).Seen(t)
			wantNone(t, seen.Trailer, "X-Device-Id")
			if got := seen.Header.Get("X-Device-Id"); got != goodID {
				t.Errorf("X-Device-Id %q, want the token's", got)
			}
		})
	}
}

// TestA8ForwardedURI: the decision is about the request that Caddy routed (A8,
// A9, A10, B14).
func TestA8ForwardedURI(t *testing.T) {
	s := newStand(t, standOptions{
		Policies: "policy standard {\nrequire user\nrequire compliant\nrequire network 10.0.0.0/8\n}\npolicy open {\nrequire user\nrequire compliant\n}",
		Directives: `
		@exempt path /health
		compliance @exempt off because "test"
		@net path /net
		compliance @net standard
		compliance open`,
	})
	for _, header := range [][]string{
		{"X-Forwarded-Uri", "/health"},
		{"X-Original-Url", "/health"},
		{"X-Original-Uri", "/health"},
		{"X-Rewrite-Url", "/health"},
		{"X-Forwarded-Prefix", "/health"},
		{"X-Forwarded-Path", "/health"},
		{"X-Http-Method-Override", "OPTIONS"},
		{"X-Forwarded-Method", "OPTIONS"},
		{"X-Forwarded-Host", "other.corp.example"},
		{"X-Forwarded-Proto", "https"},
		{"User-Agent", "kube-probe/1.0"},
		{"User-Agent", "GoogleHC/1.0"},
		{"Forwarded", "for=10.0.0.1;proto=https;host=other"},
		{"X-Forwarded-Port", "443"},
	} {
		a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/secret"), append(header, rig.Bearer(s.token(badID, nil))...)...)
		if a.StatusCode != http.StatusForbidden {
			t.Errorf("%q: status %d, want 403", header, a.StatusCode)
		}
	}
	for _, header := range [][]string{
		{"X-Forwarded-For", "10.0.0.1"},
		{"X-Real-Ip", "10.0.0.1"},
		{"Forwarded", "for=10.0.0.1"},
		{"True-Client-Ip", "10.0.0.1"},
		{"Cf-Connecting-Ip", "10.0.0.1"},
		{"X-Client-Ip", "10.0.0.1"},
	} {
		a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/net"), append(header, rig.Bearer(s.token(goodID, nil))...)...)
		if a.StatusCode != http.StatusForbidden || a.Problem(t).Codes()[0] != "network_not_allowed" {
			t.Errorf("%q: status %d: %s", header, a.StatusCode, a.Body)
		}
	}
	if hits := s.Upstream.Hits(); hits != 0 {
		t.Errorf("the upstream was reached %d times", hits)
	}
}

// TestA11ForwardedCertificateHeaders: nobody is believed who is not configured.
func TestA11ForwardedCertificateHeaders(t *testing.T) {
	s := newStand(t, standOptions{Directives: "@exempt path /exempt\ncompliance @exempt off because \"test\"\ncompliance standard"})
	names := []string{
		"X-Forwarded-Client-Cert", "X-Client-Cert", "X-Client-Certificate", "Ssl-Client-Cert", "Ssl-Client-Verify",
		"Ssl-Client-Subject-Dn", "X-Ssl-Client-Cert", "X-Ssl-Client-Verify", "X-Ssl-Cert", "Client-Cert", "Client-Cert-Chain",
		"X-Amzn-Mtls-Clientcert-Leaf", "X-Forwarded-Tls-Client-Cert", "X-Arr-Clientcert", "Cf-Client-Cert-Der-Base64",
	}
	pem := pemOf(s.DeviceCA.Device(goodID, nil))
	for _, name := range names {
		for _, spelling := range spellings(name) {
			a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/x"), spelling, pem)
			if a.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s: status %d, want 401", spelling, a.StatusCode)
			}
		}
		seen := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/exempt"), name, pem).Seen(t)
		wantNone(t, seen.Header, names...)
	}
}

// TestA12ControlHeaders: no header can switch anything off.
func TestA12ControlHeaders(t *testing.T) {
	s := newStand(t, standOptions{})
	bad := s.token(badID, nil)
	var header []string
	for _, product := range []string{"Gatehouse", "Compliance", "Middleware", "Caddy", "Internal", "Auth", "Device", "Policy"} {
		for _, what := range []string{
			"Bypass", "Skip", "Subrequest", "Admin", "Off", "Disable", "Trusted", "Verified", "Authenticated", "Allow",
			"Mode", "Report-Only", "Exempt", "Healthcheck", "Probe", "Monitor", "Debug", "Test",
		} {
			header = append(header, "X-"+product+"-"+what, "true", product+"-"+what, "1")
		}
	}
	want := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(bad)...)
	got := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), append(header, rig.Bearer(bad)...)...)
	if got.StatusCode != want.StatusCode || strings.Join(got.Problem(t).Codes(), " ") != strings.Join(want.Problem(t).Codes(), " ") {
		t.Errorf("%d control headers change %d to %d", len(header)/2, want.StatusCode, got.StatusCode)
	}
	if s.Upstream.Hits() != 0 {
		t.Error("the upstream was reached")
	}
}

// TestA13SeveralCredentials: two of a kind are refused, never the first or last.
func TestA13SeveralCredentials(t *testing.T) {
	s := newStand(t, standOptions{})
	good, bad := s.token(goodID, nil), s.token(badID, nil)
	for _, pair := range [][2]string{{good, bad}, {bad, good}, {good, good}} {
		a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), append(rig.Bearer(pair[0]), rig.Bearer(pair[1])...)...)
		if a.StatusCode != http.StatusBadRequest || a.Problem(t).Codes()[0] != "ambiguous_credentials" {
			t.Errorf("status %d: %s", a.StatusCode, a.Body)
		}
	}
	for _, value := range []string{"Bearer " + good + ", Bearer " + bad, "Bearer " + good + " " + bad, "Bearer " + good + "," + bad} {
		a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), "Authorization", value)
		if a.StatusCode == http.StatusOK {
			t.Errorf("passes with two tokens in one line")
		}
	}
}

// TestA14UnverifiedIdentity: what was not verified is never shown to the app.
func TestA14UnverifiedIdentity(t *testing.T) {
	s := newStand(t, standOptions{
		Policies:   "policy trial {\nrequire user\nrequire compliant\nreport_only unenforced until " + soon() + "\n}",
		Directives: "compliance trial {\nidentity_headers Remote-User Remote-User-Id X-Device-Id X-Device-Compliance\nassertion on\n}",
	})
	other := rig.NewIssuer(t, s.Issuer.URL)
	a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(other.Token(rig.Claims{"deviceid": goodID}))...)
	wantNone(t, a.Seen(t).Header, identityHeaders...)
	for _, series := range []string{
		`gatehouse_decisions_total{mode="report_only",outcome="authenticate",policy="trial"}`,
		`gatehouse_tokens_rejected_total{issuer="corp",reason="signature"}`,
	} {
		if n, _ := s.Gateway.Metric(series); n != 1 {
			t.Errorf("%s is %v, want 1", series, n)
		}
	}
	seen := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(s.token(badID, nil))...).Seen(t)
	if seen.Header.Get("Remote-User") != "alice@corp.example" || seen.Header.Get("X-Device-Compliance") != "noncompliant" {
		t.Errorf("a verified identity on trial is missing: %v", seen.Header)
	}
}

// TestA15Delimiters: no value can pose as two, or as another header.
func TestA15Delimiters(t *testing.T) {
	s := newStand(t, standOptions{Directives: "compliance standard {\nidentity_headers Remote-User Remote-Groups\n}"})
	seen := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"),
		rig.Bearer(s.token(goodID, rig.Claims{"groups": []string{"a,admin", "b%2Cc", "d"}}))...).Seen(t)
	if got, want := seen.Header["Remote-Groups"], "a%2Cadmin,b%252Cc,d"; len(got) != 1 || got[0] != want {
		t.Errorf("Remote-Groups %q, want %q", got, want)
	}
	for _, name := range []string{"alice\r\nX-Admin: 1", "a\x00admin", "alice\n"} {
		a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(s.token(goodID, rig.Claims{"preferred_username": name}))...)
		if a.StatusCode != http.StatusUnauthorized {
			t.Errorf("name %q: status %d, want 401", name, a.StatusCode)
		}
	}
}

// TestA7ConfiguredNames: header names come from a closed list, in any case, and
// each arrives once.
func TestA7ConfiguredNames(t *testing.T) {
	s := newStand(t, standOptions{Directives: "compliance standard {\nidentity_headers x-device-ID REMOTE-USER\n}"})
	seen := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), append(rig.Bearer(s.token(goodID, nil)), "X-Device-Id", "evil")...).Seen(t)
	if got := seen.Header["X-Device-Id"]; len(got) != 1 || got[0] != goodID {
		t.Errorf("X-Device-Id %q, want ours once", got)
	}
	for _, name := range []string{"X-Auth-User", "X_Device_Id", "Authorization", "Host", "X-Device-Id:", "", "none X-Device-Id"} {
		s := prepareStand(t, standOptions{Directives: "compliance standard {\nidentity_headers " + name + "\n}"})
		if _, err := rig.TryStart(t, s.setup); err == nil {
			t.Errorf("identity_headers %s: the load passes", name)
		}
	}
}
