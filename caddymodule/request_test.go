package caddymodule

import (
	"crypto/tls"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestClientKind(t *testing.T) {
	h := func(pairs ...string) http.Header {
		out := http.Header{}
		for i := 0; i+1 < len(pairs); i += 2 {
			out.Set(pairs[i], pairs[i+1])
		}
		return out
	}
	tests := []struct {
		name   string
		method string
		header http.Header
		want   client
		major  int
	}{
		{"curl", "GET", h("Accept", "*/*"), script, 1},
		{"address bar", "GET", h("Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document", "Accept", "text/html"), navigation, 1},
		{"form", "POST", h("Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"), navigation, 1},
		{"frame", "GET", h("Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"), embedded, 1},
		{"fetch", "GET", h("Sec-Fetch-Mode", "cors", "Accept", "text/html"), script, 1},
		{"image", "GET", h("Sec-Fetch-Mode", "no-cors", "Accept", "image/*"), script, 1},
		{"old browser", "GET", h("Accept", "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"), navigation, 1},
		{"old browser posting", "POST", h("Accept", "text/html"), script, 1},
		{"old browser's XHR", "GET", h("Accept", "text/html", "X-Requested-With", "XMLHttpRequest"), script, 1},
		{"program that takes HTML too", "GET", h("Accept", "application/json, text/html"), script, 1},
		{"program with a token", "GET", h("Accept", "text/html", "Authorization", "Bearer x"), script, 1},
		{"html refused", "GET", h("Accept", "text/html;q=0"), script, 1},
		{"events", "GET", h("Accept", "text/event-stream"), script, 1},
		{"websocket", "GET", h("Upgrade", "WebSocket", "Connection", "Upgrade", "Sec-Fetch-Mode", "websocket"), websocket, 1},
		{"websocket in a list", "GET", h("Upgrade", "foo, WebSocket", "Connection", "Upgrade"), websocket, 1},
		{"websocket in a second line", "GET", http.Header{"Upgrade": {"foo", "websocket"}, "Connection": {"Upgrade"}}, websocket, 1},
		{"grpc", "POST", h("Content-Type", "application/grpc+proto"), grpc, 2},
		{"not quite grpc", "POST", h("Content-Type", "application/grpc-evil"), script, 2},
		{"grpc over HTTP/1.1", "POST", h("Content-Type", "application/grpc"), script, 1},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			got := clientKind(&http.Request{Method: tc.method, Header: tc.header, ProtoMajor: max(tc.major, 1)})
			if got != tc.want {
				t.Errorf("got %d, want %d", got, tc.want)
			}
		})
	}
}

func TestCheckOrigin(t *testing.T) {
	for o, ok := range map[string]bool{
		"https://app.example": true, "http://localhost:3000": true, "https://app.example:8443": true,
		"*": false, "https://*.example": false, "app.example": false, "https://app.example/": false, "null": false,
		"https://user@app.example": false, "": false, "ftp://app.example": false,
	} {
		if err := checkOrigin(o); (err == nil) != ok {
			t.Errorf("checkOrigin(%q) = %v, want ok=%v", o, err, ok)
		}
	}
}

func TestRetryPath(t *testing.T) {
	for path, want := range map[string]string{
		"/a/b": "/a/b", "//evil.example": "/", "/": "/", "/a%20b": "/a%20b",
	} {
		r, err := http.NewRequest(http.MethodGet, "http://x.example", nil)
		if err != nil {
			t.Fatal(err)
		}
		u := *r.URL
		u.Path, u.RawPath = path, path
		if path == "/a%20b" {
			u.Path, u.RawPath = "/a b", ""
		}
		if got := retryPath(r, &u); got != want {
			t.Errorf("retryPath(%q) = %q, want %q", path, got, want)
		}
	}
}

// TestPlainSiteIsForProxiesOnly: a site in clear that is not on loopback loads for
// the proxies of forwarded_certificate; nobody else may send tokens to it.
func TestPlainSiteIsForProxiesOnly(t *testing.T) {
	h := &Handler{app: &App{}}
	h.app.identifier = &identifier{forward: &forwardTrust{}}
	tests := []struct {
		name, remote string
		peer         bool
		tls          *tls.ConnectionState
		want         int
	}{
		{"stranger in clear", "192.0.2.1:1234", false, nil, http.StatusMisdirectedRequest},
		{"the proxy in clear", "10.0.0.1:1234", true, nil, 0},
		{"this machine", "127.0.0.1:1234", false, nil, 0},
		{"unix socket", "@", false, nil, 0},
		{"stranger over TLS", "192.0.2.1:1234", false, &tls.ConnectionState{HandshakeComplete: true}, 0},
	}
	for _, tc := range tests {
		r := &http.Request{Method: http.MethodGet, RemoteAddr: tc.remote, TLS: tc.tls, Header: http.Header{}}
		f, _ := h.checkRequest(r, &exchange{fwd: forwardedChain{peer: tc.peer}}, nil)
		if f.status != tc.want {
			t.Errorf("%s: status %d, want %d", tc.name, f.status, tc.want)
		}
	}
}

func TestBadTarget(t *testing.T) {
	tests := []struct {
		target, host string
		want         bool
	}{
		{"/", "app.example", false},
		{"/a?b", "app.example:8443", false},
		{"http://app.example/a", "app.example", false},
		{"http://app.example", "app.example", true},
		{"http://app.example?a=b", "app.example", true},
		{"x:http://other/a", "app.example", true},
		{"x:a", "app.example", true},
		{"*", "app.example", true},
		{"/", strings.Repeat("h", 253) + ":8443", false},
		{"/", strings.Repeat("h", 300), true},
	}
	for _, tc := range tests {
		u, err := url.ParseRequestURI(tc.target)
		if err != nil {
			t.Fatal(err)
		}
		if got := badTarget(&http.Request{URL: u, Host: tc.host}, u); got != tc.want {
			t.Errorf("%s on %.20s: %v, want %v", tc.target, tc.host, got, tc.want)
		}
		rewritten := &url.URL{Path: "/"}
		if got := badTarget(&http.Request{URL: rewritten, Host: tc.host}, u); got != tc.want {
			t.Errorf("%s on %.20s, rewritten: %v, want %v", tc.target, tc.host, got, tc.want)
		}
	}
}

func TestStrictestAges(t *testing.T) {
	now := time.Now()
	rule := func(max, stale time.Duration, trial bool) *Rule {
		p := &decision.Policy{Ages: decision.Ages{MaxAge: max, StaleIfError: stale}}
		if trial {
			p.ReportOnlyUntil = now.Add(time.Hour)
		}
		return &Rule{policy: &boundPolicy{Policy: p}}
	}
	relaxed, critical := rule(time.Hour, 16*time.Hour, false), rule(time.Minute, 0, false)
	trial := rule(time.Second, time.Second, true)
	for name, tc := range map[string]struct {
		rules []*Rule
		want  decision.Ages
	}{
		"one":               {[]*Rule{relaxed}, relaxed.policy.Ages},
		"the strictest":     {[]*Rule{relaxed, critical}, critical.policy.Ages},
		"a trial is silent": {[]*Rule{trial, relaxed}, relaxed.policy.Ages},
		"only a trial":      {[]*Rule{trial}, trial.policy.Ages},
	} {
		if got := strictestAges(tc.rules, now); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

// TestPreflightOverHTTP3: there a request without a body has no known length.
func TestPreflightOverHTTP3(t *testing.T) {
	r := &http.Request{
		Method: http.MethodOptions, ProtoMajor: 3, ContentLength: -1,
		Header: http.Header{"Origin": {"https://spa.example"}, "Access-Control-Request-Method": {"PUT"}},
	}
	if !isPreflight(r) {
		t.Error("a preflight over HTTP/3 is none")
	}
	r.ProtoMajor = 2
	if isPreflight(r) {
		t.Error("a request with a body over HTTP/2 is a preflight")
	}
}
