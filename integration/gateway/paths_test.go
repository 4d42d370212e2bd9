package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// pathStand has one exempt tree and one exempt file; everything else is gated.
func pathStand(t *testing.T) *stand {
	return newStand(t, standOptions{Directives: `
		@public path /public/* /health
		compliance @public off because "test"
		@pattern path_regexp ^/open/
		compliance @pattern off because "test"
		compliance standard
		@finance path /finance/* /a%2Fb
		compliance @finance finance
		uri strip_prefix /api`})
}

// rawGet sends a GET with an exact request target and a token.
func (s *stand) rawGet(target, token string) *rig.Answer {
	s.t.Helper()
	request := fmt.Sprintf("GET %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n", target, s.Plain)
	if token != "" {
		request += "Authorization: Bearer " + token + "\r\n"
	}
	answers := s.raw(request + "\r\n")
	if len(answers) != 1 {
		s.t.Fatalf("%s: %d answers, want one", target, len(answers))
	}
	return answers[0]
}

// TestBPathSpellings: no spelling of a path gets past the gate, and none that a
// backend may read differently reaches it (B1 to B10, B13).
func TestBPathSpellings(t *testing.T) {
	s := pathStand(t)
	bad, good := s.token(badID, nil), s.token(goodID, nil)
	tests := []struct {
		id, target string
		want       int // for a device that is not compliant
	}{
		{"B1 query", "/secret?x=/public/", 403},
		{"B1 query with regexp", "/secret?/open/", 403},
		{"B2 fragment", "/secret#/public", 403},
		{"B2 encoded fragment", "/secret%23/public/", 403},
		{"B3 case and encoded slash", "/SeCrEt%2Fx", 400},
		{"B4 encoded slash", "/public/..%2fsecret", 400},
		{"B4 encoded slash upper case", "/public/..%2Fsecret", 400},
		{"B4 regexp", "/open/..%2fsecret", 400},
		{"B5 no over-match", "/publicx", 403},
		{"B6 dot segment", "/public/../secret", 400},
		{"B6 single dot", "/public/./../secret", 400},
		{"B6 encoded dots", "/public/%2e%2e/secret", 400},
		{"B6 half encoded", "/public/.%2e/secret", 400},
		{"B6 upper case", "/public/%2E%2E/secret", 400},
		{"B6 double encoded", "/public/%252e%252e/secret", 400},
		{"B6 at the end", "/secret/..", 400},
		{"B6 overlong", "/public/%c0%ae%c0%ae/secret", 0}, // a plain name here; only inside /public
		{"B7 prefix strip", "/api../secret", 400},
		{"B7 prefix strip encoded", "/api..%2fsecret", 400},
		{"B7 prefix to exempt", "/api/public/x", 403},
		{"B8 authority", "//secret/x", 400},
		{"B8 authority public", "//public/x", 400},
		{"B8 three", "///public/x", 400},
		{"B9 matrix", "/secret;a=b/x", 400},
		{"B9 matrix dots", "/public/..;/secret", 400},
		{"B9 encoded semicolon", "/public/..%3b/secret", 400},
		{"B9 trailing dot", "/secret.", 400},
		{"B9 trailing space", "/secret%20", 400},
		{"B9 NUL", "/health%00/x", 400},
		{"B9 NUL secret", "/secret%00", 400},
		{"B9 double encoded slash", "/secret%252fx", 400},
		{"B9 backslash", "/\\secret", 400},
		{"B9 tab", "/health%09", 400},
		{"B10 backslash", "/public\\..\\secret", 400},
		{"B10 encoded backslash", "/public%5c..%5csecret", 400},
		{"B13 acme", "/.well-known/acme-challenge/x", 403},
		{"B13 favicon", "/favicon.ico", 403},
		{"B13 robots", "/robots.txt", 403},
		{"B13 health sibling", "/health/", 403},
		{"B13 health child", "/health/../secret", 400},
		{"exempt", "/public/x", 200},
		{"exempt file", "/health", 200},
		{"exempt in capitals", "/PUBLIC/x", 200},
		{"own prefix", "/.gatehouse/../secret", 404},
		{"own prefix encoded", "/.gatehouse/%2e%2e/secret", 404},
		{"own prefix backslash", "/.gatehouse\\..\\secret", 400},
	}
	for _, tc := range tests {
		before := s.Upstream.Hits()
		a := s.rawGet(tc.target, bad)
		reached := s.Upstream.Hits() > before
		if tc.want == 0 {
			if reached && !strings.HasPrefix(a.Seen(t).URI, "/public/") {
				t.Errorf("%s: %s: reached the upstream", tc.id, tc.target)
			}
			continue
		}
		if a.StatusCode != tc.want || reached != (tc.want == 200) {
			t.Errorf("%s: %s: status %d (upstream reached: %v), want %d", tc.id, tc.target, a.StatusCode, reached, tc.want)
		}
		if tc.want == 400 {
			if a := s.rawGet(tc.target, good); a.StatusCode != 400 {
				t.Errorf("%s: %s: status %d for a good device, want 400", tc.id, tc.target, a.StatusCode)
			}
		}
	}
}

// TestB7OriginalURI: rewrites before or after the gate do not change what it sees.
func TestB7OriginalURI(t *testing.T) {
	s := newStand(t, standOptions{Directives: `
		rewrite /moved/* /public/x
		handle_path /app/* {
			reverse_proxy {upstream}
		}
		try_files {path} /public/index
		@public path /public/*
		compliance @public off because "test"
		compliance standard`})
	bad := s.token(badID, nil)
	for _, path := range []string{"/moved/secret", "/app/public/x", "/nosuch"} {
		if a := s.rawGet(path, bad); a.StatusCode != http.StatusForbidden {
			t.Errorf("%s: status %d, want 403", path, a.StatusCode)
		}
	}
	if s.Upstream.Hits() != 0 {
		t.Error("the upstream was reached")
	}
}

// TestBStrictPathOff: without strict paths the request goes on as it is, and the
// policy of the whole site still counts.
func TestBStrictPathOff(t *testing.T) {
	s := newStand(t, standOptions{Directives: `
		@public path /public/*
		compliance @public off because "test"
		compliance standard {
			strict_path off
		}`})
	if a := s.rawGet("/a;b/c%2fd", s.token(goodID, nil)); a.StatusCode != http.StatusOK || a.Seen(t).URI != "/a;b/c%2fd" {
		t.Errorf("status %d: %s", a.StatusCode, a.Body)
	}
	for _, path := range []string{"/public/..%2fsecret", "/public/../secret", "/public/%2e%2e/secret", "//secret", "/secret;x"} {
		before := s.Upstream.Hits()
		a := s.rawGet(path, s.token(badID, nil))
		if a.StatusCode == http.StatusOK || s.Upstream.Hits() > before {
			t.Errorf("%s: status %d, want a refusal", path, a.StatusCode)
		}
	}
}

// TestB11Hosts: case, trailing dot and port of a host do not matter, with more
// hosts than Caddy looks up one by one; an unknown host reaches nothing.
func TestB11Hosts(t *testing.T) {
	var hosts []string
	for i := range 150 {
		hosts = append(hosts, fmt.Sprintf("http://app%d.corp.example:{plain}", i))
	}
	s := newStand(t, standOptions{Sites: strings.Join(hosts, ", ") + ` {
	bind 127.0.0.1
	compliance standard
	reverse_proxy {upstream}
}`})
	good, bad := s.token(goodID, nil), s.token(badID, nil)
	for _, host := range []string{"app7.corp.example", "ApP7.cOrP.eXaMpLe", "APP149.CORP.EXAMPLE", "app7.corp.example:1"} {
		a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), append(rig.Bearer(good), "Host", host)...)
		if a.StatusCode != http.StatusOK || a.Body == "" {
			t.Errorf("%s: status %d for a good device", host, a.StatusCode)
		}
		a = rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), append(rig.Bearer(bad), "Host", host)...)
		if a.StatusCode != http.StatusForbidden {
			t.Errorf("%s: status %d for a bad device", host, a.StatusCode)
		}
	}
	before := s.Upstream.Hits()
	for _, host := range []string{"unknown.example", "app7.corp.example.", "xn--app-.example", "app7.corp.example@evil", "app7 corp", ""} {
		answers := s.raw("GET / HTTP/1.1\r\nHost: " + host + "\r\nAuthorization: Bearer " + bad + "\r\nConnection: close\r\n\r\n")
		if len(answers) > 0 && answers[0].Body != "" && answers[0].StatusCode == http.StatusOK {
			t.Errorf("host %q: status 200 with a body", host)
		}
	}
	if s.Upstream.Hits() != before {
		t.Error("an unknown host reached the upstream")
	}
}

// TestB15Methods: WebDAV passes, TRACE, CONNECT and made-up methods do not.
func TestB15Methods(t *testing.T) {
	s := newStand(t, standOptions{})
	for method, want := range map[string]int{
		"GET": 200, "POST": 200, "PUT": 200, "PATCH": 200, "DELETE": 200, "OPTIONS": 200, "PROPFIND": 200, "MKCOL": 200,
		"LOCK": 200, "REPORT": 200, "QUERY": 200, "TRACE": 405, "GETX": 405, "get": 405, "PURGE": 405, "DEBUG": 405, "TRACK": 405,
	} {
		before := s.Upstream.Hits()
		answers := s.raw(s.head(method, "/x") + "Content-Length: 0\r\nConnection: close\r\n\r\n")
		if len(answers) != 1 || answers[0].StatusCode != want || (s.Upstream.Hits() > before) != (want == 200) {
			t.Errorf("%s: %v, want %d", method, statuses(answers), want)
			continue
		}
		if want == 405 && answers[0].Header.Get("Allow") == "" {
			t.Errorf("%s: 405 without Allow", method)
		}
	}
	for _, method := range []string{"OPTIONS", "HEAD", "PROPFIND"} {
		answers := s.raw(fmt.Sprintf("%s / HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n", method, s.Plain))
		if len(answers) != 1 || answers[0].StatusCode != http.StatusUnauthorized {
			t.Errorf("%s without credentials: %v, want 401", method, statuses(answers))
		}
	}
}

// TestB16PoliciesAddUp: a narrower line adds requirements, it never replaces.
func TestB16PoliciesAddUp(t *testing.T) {
	s := newStand(t, standOptions{
		Policies: usualPolicies + "\npolicy stronger {\nrequire step_up mfa\n}",
		Directives: `compliance standard
		@admin path /admin/*
		compliance @admin stronger
		route /nested/* {
			compliance stronger
		}`,
	})
	mfa := rig.Claims{"acr": "urn:example:mfa"}
	tests := []struct {
		path, token string
		want        int
		codes       string
	}{
		{"/admin/x", s.token(goodID, mfa), 200, ""},
		{"/admin/x", s.token(goodID, nil), 401, "step_up_required"},
		{"/admin/x", s.token(badID, mfa), 403, "noncompliant not_encrypted risk_too_high"},
		{"/admin/x", s.token(badID, nil), 403, "noncompliant not_encrypted risk_too_high step_up_required"},
		{"/nested/x", s.token(goodID, nil), 401, "step_up_required"},
		{"/nested/x", s.token(badID, mfa), 403, "noncompliant not_encrypted risk_too_high"},
		{"/nested/x", s.token(goodID, mfa), 200, ""},
	}
	for _, tc := range tests {
		a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL(tc.path), rig.Bearer(tc.token)...)
		if a.StatusCode != tc.want {
			t.Errorf("%s: status %d, want %d: %s", tc.path, a.StatusCode, tc.want, a.Body)
		} else if tc.codes != "" && strings.Join(a.Problem(t).Codes(), " ") != tc.codes {
			t.Errorf("%s: reasons %v, want %s", tc.path, a.Problem(t).Codes(), tc.codes)
		}
	}
	seen := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/nested/x"), rig.Bearer(s.token(goodID, mfa))...).Seen(t)
	if got := seen.Header["Remote-User"]; len(got) != 1 {
		t.Errorf("Remote-User %q, want it once", got)
	}
}

// TestB19QueryParameters: nothing in a query is a credential.
func TestB19QueryParameters(t *testing.T) {
	s := newStand(t, standOptions{})
	good := s.token(goodID, nil)
	for _, query := range []string{
		"?access_token=" + good, "?token=" + good, "?" + strings.Repeat("a=b&", 3000) + "access_token=" + good,
	} {
		if a := s.rawGet("/x"+query, ""); a.StatusCode != http.StatusUnauthorized {
			t.Errorf("status %d, want 401", a.StatusCode)
		}
	}
	a := rig.DoBody(t, s.plain(), http.MethodPost, s.plainURL("/x"), "access_token="+good, "Content-Type", "application/x-www-form-urlencoded")
	if a.StatusCode != http.StatusUnauthorized {
		t.Errorf("token in a form: status %d, want 401", a.StatusCode)
	}
}
