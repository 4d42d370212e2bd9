package emulator

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestFaultAnswers(t *testing.T) {
	c := serve(t, Options{Devices: 50}).signIn(graphScope)
	const path, list = "/graph/v1.0/devices?$select=id,deviceId,trustType,approximateLastSignInDateTime&$top=10", "graph/devices"
	tests := []struct {
		fault  Fault
		status int
		check  func(h http.Header, body string) bool
	}{
		{Fault{Kind: Throttle429, RetryAfter: "2.128"}, 429, func(h http.Header, _ string) bool { return h.Get("Retry-After") == "2.128" }},
		{Fault{Kind: Throttle429}, 429, func(h http.Header, b string) bool {
			return h.Get("Retry-After") == "" && strings.Contains(b, "TooManyRequests")
		}},
		{Fault{Kind: Status, Status: 504}, 504, nil},
		{Fault{Kind: Status}, 503, nil},
		{Fault{Kind: Status, Status: 500, Body: "oops"}, 500, func(_ http.Header, b string) bool { return b == "oops" }},
		{Fault{Kind: Garbage}, 200, func(_ http.Header, b string) bool { return !json.Valid([]byte(b)) }},
		{Fault{Kind: HTML200}, 200, func(h http.Header, b string) bool {
			return strings.HasPrefix(b, "<!DOCTYPE") && strings.HasPrefix(h.Get("Content-Type"), "text/html")
		}},
		{Fault{Kind: ShortPage}, 200, func(_ http.Header, b string) bool {
			return strings.Count(b, `"deviceId"`) == 5 && !strings.Contains(b, "nextLink")
		}},
		{Fault{Kind: DuplicateRows}, 200, func(_ http.Header, b string) bool { return strings.Count(b, `"deviceId"`) == 20 }},
		{Fault{Kind: ForeignNextLink}, 200, func(_ http.Header, b string) bool { return strings.Contains(b, "attacker.example") }},
		{Fault{Kind: UnknownEnums}, 200, func(_ http.Header, b string) bool { return strings.Count(b, `"trustType":"valueOfTheYear2031"`) == 10 }},
		{Fault{Kind: NullFields}, 200, func(_ http.Header, b string) bool {
			return strings.Count(b, `"trustType":null`) == 10 && !strings.Contains(b, `"id":null`)
		}},
		{Fault{Kind: FutureDates}, 200, func(_ http.Header, b string) bool {
			return strings.Count(b, time.Now().AddDate(0, 0, 400).UTC().Format(`DateTime":"2006-01`)) == 10
		}},
		{Fault{Kind: WrongAudience}, 401, nil},
		{Fault{Kind: InsufficientClaims}, 401, func(h http.Header, _ string) bool {
			return strings.Contains(h.Get("WWW-Authenticate"), "insufficient_claims")
		}},
	}
	for _, tc := range tests {
		tc.fault.Count = 1
		c.s.Fail(list, tc.fault)
		resp := c.do("GET", path, "")
		b, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil || resp.StatusCode != tc.status || tc.check != nil && !tc.check(resp.Header, string(b)) {
			t.Errorf("%s: %d %v %v %.300s", tc.fault.Kind, resp.StatusCode, err, resp.Header, b)
		}
		if status, _ := c.get(path); status != 200 {
			t.Errorf("%s: %d after the fault", tc.fault.Kind, status)
		}
	}
	c.s.Check(t) // faults are no violations
}

func TestFaultConnections(t *testing.T) {
	for _, h2 := range []bool{false, true} {
		c := serve(t, Options{Devices: 50}).signIn(graphScope)
		if !h2 {
			tr := c.http.Transport.(*http.Transport)
			tr.ForceAttemptHTTP2, tr.Protocols = false, new(http.Protocols)
			tr.Protocols.SetHTTP1(true)
		}
		get := func(ctx context.Context) (string, error) {
			r, err := http.NewRequestWithContext(ctx, "GET", c.base+"/graph/v1.0/devices?$select=id", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", c.auth)
			resp, err := c.http.Do(r)
			if err != nil {
				return "", err
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(io.LimitReader(resp.Body, 40<<20))
			return string(b), err
		}
		for _, kind := range []FaultKind{Reset, HalfPage} {
			clear := c.s.Fail("graph/devices", Fault{Kind: kind})
			if b, err := get(t.Context()); err == nil {
				t.Errorf("%s: no error, %d bytes", kind, len(b))
			}
			clear()
			clear() // may be called again
		}
		clear := c.s.Fail("graph/devices", Fault{Kind: Hang})
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if _, err := get(ctx); err == nil {
			t.Error("hang: an answer")
		}
		cancel()
		clear()
		for _, kind := range []FaultKind{EndlessBody, GzipBomb} {
			clear := c.s.Fail("graph/devices", Fault{Kind: kind})
			if b, err := get(t.Context()); err != nil || len(b) != 40<<20 || !strings.HasPrefix(b, `{"value":[`) {
				t.Errorf("%s: %d bytes, %v", kind, len(b), err)
			}
			clear()
		}
		if _, err := get(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestTokenFaults(t *testing.T) {
	c := serve(t, Options{Devices: 3})
	form := map[string][]string{"client_id": {DefaultClientID}, "client_secret": {DefaultSecret}, "scope": {graphScope}, "grant_type": {"client_credentials"}}
	for kind, want := range map[FaultKind]float64{ExpiredSecret: 7000222, WrongSecret: 7000215, UnknownApp: 700016, UnknownTenant: 90002} {
		c.s.Fail("login/token", Fault{Kind: kind, Count: 1})
		if _, doc := c.token(form); doc["error_codes"].([]any)[0] != want {
			t.Errorf("%s: %v, want %v", kind, doc, want)
		}
	}
	c.s.Check(t)
	c.s.Fail("login/token", Fault{Kind: WrongAudience, Count: 1})
	if status, _ := c.signIn(graphScope).get("/graph/v1.0/devices?$select=id"); status != 401 {
		t.Errorf("token for another audience: %d", status)
	}
	if status, _ := c.signIn(graphScope).get("/graph/v1.0/devices?$select=id"); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}

func TestGoneFault(t *testing.T) {
	c := serve(t, Options{Devices: 3}).signIn(graphScope)
	c.s.Fail("graph/devices/delta", Fault{Kind: Gone410, Count: 1})
	if status, doc := c.get("/graph/v1.0/devices/delta?$select=id"); status != 410 || code(doc) != "resyncRequired" {
		t.Errorf("%d %v", status, doc)
	}
}

func TestFaultPanics(t *testing.T) {
	s := New(Options{Devices: 3})
	for _, tc := range []struct {
		route string
		kind  FaultKind
	}{
		{"graph/nonsense", Hang},
		{"graph/devices", Gone410},
		{"graph/devices", WrongSecret},
		{"login/token", ShortPage},
		{"defender/machines", ForeignNextLink},
		{"nac/devices", NullFields},
		{"graph/devices", "nonsense"},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s on %s: no panic", tc.kind, tc.route)
				}
			}()
			s.Fail(tc.route, Fault{Kind: tc.kind})
		}()
	}
}

// TestTransport: calls without a network, in a bubble whose time is not real.
func TestTransport(t *testing.T) {
	s := New(Options{Devices: 50})
	synctest.Test(t, func(t *testing.T) {
		c := (&client{t: t, s: s, base: "https://graph.test", http: &http.Client{Transport: s.Transport()}}).signIn(graphScope)
		s.Fail("graph/devices", Fault{Kind: Slow, Delay: time.Hour / 2, Count: 1})
		begin := time.Now()
		_, doc := c.rows("/graph/v1.0/devices?$select=id&$top=20")
		if next := doc["@odata.nextLink"].(string); !strings.HasPrefix(next, "https://graph.test/graph/v1.0/devices?") {
			t.Errorf("nextLink %s", next)
		}
		if got := time.Since(begin); got != time.Hour/2 {
			t.Errorf("slow answer took %s of the bubble's time", got)
		}
		s.Fail("graph/devices", Fault{Kind: Hang, Count: 1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, "GET", c.base+"/graph/v1.0/devices", nil)
		if err != nil {
			t.Fatal(err)
		}
		if resp, err := c.http.Do(r); err == nil {
			resp.Body.Close()
			t.Error("hang: an answer")
		}
		for _, kind := range []FaultKind{Reset, HalfPage} {
			s.Fail("graph/devices", Fault{Kind: kind, Count: 1})
			r, err := http.NewRequestWithContext(t.Context(), "GET", c.base+"/graph/v1.0/devices?$select=id", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("Authorization", c.auth)
			resp, err := c.http.Do(r)
			if err == nil {
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
			}
			if err == nil {
				t.Errorf("%s: no error", kind)
			}
		}
		s.Fail("graph/devices", Fault{Kind: GzipBomb, Count: 1})
		resp := c.do("GET", "/graph/v1.0/devices?$select=id", "", "Accept-Encoding", "gzip")
		z, err := gzip.NewReader(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.CopyN(io.Discard, z, 1<<20); err != nil {
			t.Errorf("bomb: %d bytes, %v", n, err)
		}
		resp.Body.Close()
	})
}
