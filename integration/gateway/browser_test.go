package gateway

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

const navigates = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"

// TestE6Clients: people get pages, programs get problem documents, and nobody
// gets the other's.
func TestE6Clients(t *testing.T) {
	s := newStand(t, standOptions{})
	bad := s.token(badID, nil)
	tests := []struct {
		name, method string
		header       []string
		page         bool
	}{
		{"navigation", "GET", []string{"Accept", navigates, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, true},
		{"form", "POST", []string{"Accept", navigates, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document"}, true},
		{"frame", "GET", []string{"Accept", navigates, "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "iframe"}, true},
		{"fetch", "GET", []string{"Accept", "*/*", "Sec-Fetch-Mode", "cors", "Sec-Fetch-Dest", "empty"}, false},
		{"fetch that takes HTML", "GET", []string{"Accept", navigates, "Sec-Fetch-Mode", "cors"}, false},
		{"image", "GET", []string{"Accept", "image/avif,*/*", "Sec-Fetch-Mode", "no-cors", "Sec-Fetch-Dest", "image"}, false},
		{"event stream", "GET", []string{"Accept", "text/event-stream", "Sec-Fetch-Mode", "cors"}, false},
		{"xhr", "GET", []string{"Accept", navigates, "X-Requested-With", "XMLHttpRequest"}, false},
		{"api", "GET", []string{"Accept", "application/json"}, false},
		{"curl", "GET", []string{"Accept", "*/*"}, false},
		{"nothing", "GET", nil, false},
		{"old browser", "GET", []string{"Accept", navigates}, true},
		{"old browser's form", "POST", []string{"Accept", navigates}, false},
		{"prefers json", "GET", []string{"Accept", "application/json, text/html"}, false},
		{"html refused", "GET", []string{"Accept", "text/html;q=0"}, false},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			c := s.client("h2", badID)
			a := rig.Do(t, c, tc.method, s.url("/x"), tc.header...)
			wantType := "application/problem+json"
			if tc.page {
				wantType = "text/html; charset=utf-8"
			}
			if a.StatusCode != http.StatusForbidden || a.Header.Get("Content-Type") != wantType {
				t.Errorf("status %d %s, want 403 %s", a.StatusCode, a.Header.Get("Content-Type"), wantType)
			}
			if loc := a.Header.Get("Location"); loc != "" {
				t.Errorf("redirected to %s", loc)
			}
			if vary := strings.Join(a.Header.Values("Vary"), ","); a.Header.Get("Cache-Control") != "no-store" ||
				!strings.Contains(vary, "Sec-Fetch-Mode") || !strings.Contains(vary, "Authorization") {
				t.Errorf("Cache-Control %q, Vary %q (E12)", a.Header.Get("Cache-Control"), vary)
			}
		})
	}
	a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), append(rig.Bearer(bad), "Accept", navigates)...)
	if a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("a program with a token gets %s", a.Header.Get("Content-Type"))
	}
	a = rig.Do(t, s.plain(), http.MethodHead, s.plainURL("/"), rig.Bearer(bad)...)
	if a.StatusCode != http.StatusForbidden || a.Body != "" {
		t.Errorf("HEAD: status %d with %d bytes", a.StatusCode, len(a.Body))
	}
}

// TestE13Pages: what comes from an inventory or a client is text, never markup.
func TestE13Pages(t *testing.T) {
	const evil = `<script>alert(1)</script>"'><img src=x onerror=alert(1)>`
	rows := append(devices(), device(unknownID, evil, "noncompliant", nil))
	s := newStand(t, standOptions{Rows: rows, Compliance: `support "IT <b>Desk</b>" https://help.corp.example`})
	a := rig.Do(t, s.client("h1", unknownID), http.MethodGet, s.url("/x%3Cscript%3E?%3Cscript%3E=<script>"),
		"Accept", navigates, "Accept-Language", "<script>", "Referer", "<script>", "User-Agent", "<script>")
	if a.StatusCode != http.StatusForbidden {
		t.Fatalf("status %d", a.StatusCode)
	}
	body := strings.ToLower(a.Body)
	for _, bad := range []string{"<script", "<img", "<b>", "onerror=alert(1)>"} {
		if strings.Contains(body, bad) {
			t.Errorf("the page holds %s", bad)
		}
	}
	if !strings.Contains(a.Body, "&lt;script&gt;") {
		t.Error("the device's name is not on the page")
	}
	csp := a.Header.Get("Content-Security-Policy")
	if !strings.HasPrefix(csp, "default-src 'none'") || strings.Contains(csp, "unsafe-inline") || !strings.Contains(csp, "frame-ancestors 'none'") {
		t.Errorf("Content-Security-Policy %q", csp)
	}
	for name, want := range map[string]string{
		"X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "no-referrer", "Cache-Control": "no-store",
	} {
		if got := a.Header.Get(name); got != want {
			t.Errorf("%s %q, want %q", name, got, want)
		}
	}
}

// TestGermanPage: pages and problem documents speak the reader's language.
func TestGermanPage(t *testing.T) {
	s := newStand(t, standOptions{})
	c := s.client("h2", badID)
	a := rig.Do(t, c, http.MethodGet, s.url("/"), "Accept", navigates, "Accept-Language", "de-AT,de;q=0.9,en;q=0.5")
	for _, want := range []string{`lang="de"`, "LAPTOP-BAD", "Dieses Gerät erfüllt die Regeln Ihrer Firma nicht"} {
		if !strings.Contains(a.Body, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	p := rig.Do(t, c, http.MethodGet, s.url("/"), "Accept-Language", "de")
	if msg := p.Problem(t).Reasons[1].Message; p.Header.Get("Content-Language") != "de" || !strings.Contains(msg, "Gerät") {
		t.Errorf("problem in %q: %q", p.Header.Get("Content-Language"), msg)
	}
	p = rig.Do(t, c, http.MethodGet, s.url("/"), "Accept-Language", "tlh")
	if p.Header.Get("Content-Language") != "en" {
		t.Errorf("an unknown language is answered in %q", p.Header.Get("Content-Language"))
	}
}

// TestE9WebSocketOrigin: another site's page cannot open a socket on the
// strength of a certificate.
func TestE9WebSocketOrigin(t *testing.T) {
	s := newStand(t, standOptions{
		Policies:   "policy standard {\nrequire compliant\n}",
		Directives: "compliance standard {\ncors_origins https://friend.corp.example\n}",
	})
	site := strings.TrimSuffix(s.url(""), "/")
	tests := []struct {
		origins []string
		want    int
	}{
		{nil, 200},
		{[]string{site}, 200},
		{[]string{strings.ToUpper(site)}, 200},
		{[]string{"https://friend.corp.example"}, 200},
		{[]string{"https://evil.example"}, 403},
		{[]string{"null"}, 403},
		{[]string{""}, 403},
		{[]string{strings.Replace(site, "https", "http", 1)}, 403},
		{[]string{site + ".evil.example"}, 403},
		{[]string{"https://" + appHost}, 403},
		{[]string{"https://evil.example/" + appHost}, 403},
		{[]string{site, "https://evil.example"}, 403},
		{[]string{"https://friend.corp.example.evil"}, 403},
	}
	for _, tc := range tests {
		header := []string{"Connection", "Upgrade", "Upgrade", "websocket", "Sec-Websocket-Version", "13", "Sec-Websocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="}
		for _, o := range tc.origins {
			header = append(header, "Origin", o)
		}
		before := s.Upstream.Hits()
		a := rig.Do(t, s.client("h1", goodID), http.MethodGet, s.url("/socket"), header...)
		if reached := s.Upstream.Hits() > before; reached != (tc.want == 200) || tc.want == 403 && a.StatusCode != 403 {
			t.Errorf("origin %q: status %d, upstream reached: %v; want %d", tc.origins, a.StatusCode, reached, tc.want)
		}
	}
	a := rig.Do(t, s.client("h1", badID), http.MethodGet, s.url("/socket"), "Connection", "Upgrade", "Upgrade", "websocket", "Accept", navigates)
	if a.StatusCode != http.StatusForbidden || a.Header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("websocket of a bad device: status %d %s", a.StatusCode, a.Header.Get("Content-Type"))
	}
}

// TestPreflight: answered for listed origins, refused without a challenge for
// others, never handed to the app unless the site says so.
func TestPreflight(t *testing.T) {
	s := newStand(t, standOptions{Directives: `
		@listed path /listed/*
		compliance @listed standard {
			cors_origins https://friend.corp.example
		}
		@passed path /passed/*
		compliance @passed standard {
			preflight pass
		}
		@both path /both/*
		compliance @both standard {
			preflight pass
		}
		compliance @both standard
		@plain path /plain/*
		compliance @plain standard`})
	friend, evil := "https://friend.corp.example", "https://evil.example"
	tests := []struct {
		path, origin, method string
		want                 int
		reached              bool
	}{
		{"/listed/x", friend, "PUT", 204, false},
		{"/listed/x", strings.ToUpper(friend), "PUT", 204, false},
		{"/listed/x", evil, "PUT", 403, false},
		{"/listed/x", "null", "PUT", 403, false},
		{"/plain/x", friend, "PUT", 403, false},
		{"/passed/x", evil, "PUT", 200, true},
		{"/both/x", evil, "PUT", 403, false},
		{"/plain/x", friend, "", 401, false},
		{"/passed/x", "", "PUT", 401, false},
		{"/passed/x", evil, "", 401, false},
		{"/passed/..%2fplain", evil, "PUT", 400, false},
	}
	for _, tc := range tests {
		var header []string
		if tc.origin != "" {
			header = append(header, "Origin", tc.origin)
		}
		if tc.method != "" {
			header = append(header, "Access-Control-Request-Method", tc.method)
		}
		header = append(header, "X-Device-Id", "evil")
		before := s.Upstream.Hits()
		a := rig.Do(t, s.plain(), http.MethodOptions, s.plainURL(tc.path), header...)
		if a.StatusCode != tc.want || (s.Upstream.Hits() > before) != tc.reached {
			t.Errorf("%s from %q (%s): status %d, want %d", tc.path, tc.origin, tc.method, a.StatusCode, tc.want)
			continue
		}
		allow := a.Header.Get("Access-Control-Allow-Origin")
		if (tc.want == 204) != (allow != "") || allow == "*" {
			t.Errorf("%s from %q: Access-Control-Allow-Origin %q", tc.path, tc.origin, allow)
		}
		if tc.want == 403 && a.Header.Get("Www-Authenticate") != "" {
			t.Errorf("%s: a preflight is challenged", tc.path)
		}
		if tc.reached {
			wantNone(t, a.Seen(t).Header, identityHeaders...)
		}
	}
	// A listed origin may read a refusal, others may not.
	for origin, want := range map[string]string{friend: friend, evil: ""} {
		a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/listed/x"), append(rig.Bearer(s.token(badID, nil)), "Origin", origin)...)
		if got := a.Header.Get("Access-Control-Allow-Origin"); a.StatusCode != http.StatusForbidden || got != want {
			t.Errorf("refusal for %s: status %d, Access-Control-Allow-Origin %q", origin, a.StatusCode, got)
		}
	}
}

// TestGRPC: a gRPC client gets a trailers-only answer with the right status.
func TestGRPC(t *testing.T) {
	s := newStand(t, standOptions{})
	for want, header := range map[string][]string{
		"16": {"Te", "trailers"}, "7": rig.Bearer(s.token(badID, nil)),
	} {
		for _, kind := range []string{"application/grpc", "application/grpc+proto"} {
			a := rig.DoBody(t, s.client("h2", ""), http.MethodPost, s.url("/pkg.Service/Call"), "\x00\x00\x00\x00\x00", append(slices.Clone(header), "Content-Type", kind)...)
			if a.StatusCode != http.StatusOK || a.Header.Get("Grpc-Status") != want || a.Body != "" || a.Header.Get("Content-Type") != "application/grpc" {
				t.Errorf("%s: status %d, grpc-status %q, want %s", kind, a.StatusCode, a.Header.Get("Grpc-Status"), want)
			}
		}
	}
	finance := rig.DoBody(t, s.client("h2", ""), http.MethodPost, s.url("/finance/Call"), "x",
		append(rig.Bearer(s.token(goodID, nil)), "Content-Type", "application/grpc")...)
	if finance.Header.Get("Grpc-Status") != "16" {
		t.Errorf("step-up: grpc-status %q, want 16", finance.Header.Get("Grpc-Status"))
	}
	if s.Upstream.Hits() != 0 {
		t.Error("the upstream was reached")
	}
}

// TestH7SameAnswer: the same question has the same answer and reasons in the
// same order.
func TestH7SameAnswer(t *testing.T) {
	s := newStand(t, standOptions{})
	c := s.plain()
	header := rig.Bearer(s.token(badID, nil))
	want := rig.Do(t, c, http.MethodGet, s.plainURL("/finance/x"), header...).Problem(t).Codes()
	start := time.Now()
	for i := 0; i < 1000 && time.Since(start) < 5*time.Second; i++ {
		got := rig.Do(t, c, http.MethodGet, s.plainURL("/finance/x"), header...).Problem(t).Codes()
		if !slices.Equal(got, want) {
			t.Fatalf("request %d: %v, want %v", i, got, want)
		}
	}
}
