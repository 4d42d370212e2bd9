package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestRequestTargets: a target that is no path on a site is refused, also where no
// line of the block covers it: a server behind us would take a whole URL from it.
func TestRequestTargets(t *testing.T) {
	s := newStand(t, standOptions{Directives: `
		@admin path /admin/*
		compliance @admin standard
		@root path /
		compliance @root standard
		@off path /off/*
		compliance @off off because "test"`})
	here := fmt.Sprintf("http://127.0.0.1:%d", s.Plain)
	for _, method := range []string{"GET", "POST", "OPTIONS"} {
		for _, target := range []string{
			"x:http://payroll/admin/x", "x:p", "http:p", "x:*", here, here + "?a=b",
		} {
			before := s.Upstream.Hits()
			request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", method, target, s.Plain)
			for _, a := range s.raw(request) {
				if a.StatusCode != http.StatusBadRequest {
					t.Errorf("%s %s: status %d, want 400", method, target, a.StatusCode)
				}
			}
			if s.Upstream.Hits() > before {
				t.Errorf("%s %s: reached the upstream", method, target)
			}
		}
	}
	// Why is said and counted. Some targets are refused by net/http itself.
	for _, tc := range []struct{ request, why, text string }{
		{"GET x:p", "target", "not a path"},
		{"TRACE /", "method", "never passed on"},
	} {
		series := `gatehouse_requests_refused_total{why="` + tc.why + `"}`
		before, _ := s.Gateway.Metric(series)
		for _, a := range s.raw(fmt.Sprintf("%s HTTP/1.1\r\nHost: 127.0.0.1:%d", tc.request, s.Plain) + "\r\nConnection: close\r\n\r\n") {
			if !strings.Contains(a.Body, tc.text) {
				t.Errorf("%s: body %q", tc.why, a.Body)
			}
		}
		if n, ok := s.Gateway.Metric(series); !ok || n != before+1 {
			t.Errorf("%s: %v refusals counted, %v before", tc.why, n, before)
		}
	}
	if a := s.rawGet(here+"/admin/x", s.token(goodID, nil)); a.StatusCode != http.StatusOK {
		t.Errorf("a whole URL of this site: status %d, want 200", a.StatusCode)
	}
	if a := s.rawGet(here+"/admin/x", ""); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("a whole URL of this site, nobody signed in: status %d, want 401", a.StatusCode)
	}
}

// TestTwoLines: a line that says nothing about an option does not take it from
// another one, and a warning of one line is not lost beside a plain allow.
func TestTwoLines(t *testing.T) {
	s := newStand(t, standOptions{
		Policies: `
	policy standard {
		require user
	}
	policy told {
		require user
		require compliant else warn
	}
	policy trial {
		require user
		report_only unenforced until ` + soon() + `
	}`,
		Directives: `
		@most not path /open/*
		compliance @most standard
		@old path /old/*
		compliance @old told {
			strict_path off
		}
		@api path /api/*
		compliance @api standard {
			cors_origins https://spa.example
		}
		@open path /open/*
		compliance @open standard {
			preflight pass
		}
		@trial path /api/* /open/* /old/*
		compliance @trial trial`,
	})
	token := s.token(badID, nil)
	for target, want := range map[string]int{"/old/a;b": 200, "/old/..;/x": 200, "/new/a;b": 400, "/api/a;b": 400} {
		if a := s.rawGet(target, token); a.StatusCode != want {
			t.Errorf("%s: status %d, want %d", target, a.StatusCode, want)
		}
	}
	preflight := func(path, origin string) *rig.Answer {
		return s.raw(fmt.Sprintf("OPTIONS %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\nOrigin: %s\r\nAccess-Control-Request-Method: PUT\r\n\r\n",
			path, s.Plain, origin))[0]
	}
	for _, tc := range []struct {
		path, origin string
		want         int
	}{
		{"/api/x", "https://spa.example", 204},
		{"/api/x", "https://evil.example", 403},
		{"/new/x", "https://spa.example", 403},
		{"/open/x", "https://evil.example", 200},
		{"/open/a;b", "https://evil.example", 400},
		{"/old/a;b", "https://spa.example", 403},
	} {
		if a := preflight(tc.path, tc.origin); a.StatusCode != tc.want {
			t.Errorf("preflight of %s from %s: status %d, want %d", tc.path, tc.origin, a.StatusCode, tc.want)
		}
	}
	before := strings.Count(s.Gateway.Log(), `"outcome":"allow"`)
	if a := s.rawGet("/old/x", token); a.StatusCode != http.StatusOK {
		t.Fatalf("status %d", a.StatusCode)
	}
	if strings.Count(s.Gateway.Log(), `"outcome":"allow"`) == before {
		t.Error("the warning of the second line is not in the decision log")
	}
}
