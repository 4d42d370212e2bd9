package gateway

import (
	"bytes"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestJ1AdminCSRF: a page in a browser on the same machine cannot use the admin
// endpoint.
func TestJ1AdminCSRF(t *testing.T) {
	s := newStand(t, standOptions{})
	body := `{"device":"` + goodID + `","reason":"csrf"}`
	for name, header := range map[string][]string{
		"other origin":     {"Origin", "http://evil.example", "Content-Type", "application/json"},
		"null origin":      {"Origin", "null", "Content-Type", "application/json"},
		"no-cors":          {"Origin", "http://evil.example", "Sec-Fetch-Mode", "no-cors", "Content-Type", "text/plain"},
		"plain text":       {"Content-Type", "text/plain"},
		"form":             {"Content-Type", "application/x-www-form-urlencoded"},
		"no type":          {},
		"rebound host":     {"Host", "evil.example:2019", "Content-Type", "application/json"},
		"json with tricks": {"Content-Type", "text/plain; application/json"},
	} {
		req, err := http.NewRequest(http.MethodPost, s.Gateway.Admin+"/compliance/revoke", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(header); i += 2 {
			if header[i] == "Host" {
				req.Host = header[i+1]
			}
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode/100 != 4 {
			t.Errorf("%s: status %d, want 4xx", name, resp.StatusCode)
		}
	}
	if s.code(goodID) != http.StatusOK {
		t.Error("a forged call revoked something")
	}
}

// TestJ2AdminPaths: calls have exact paths and methods, and bounded bodies.
func TestJ2AdminPaths(t *testing.T) {
	s := newStand(t, standOptions{})
	revoke := map[string]string{"device": goodID, "reason": "r"}
	for _, tc := range []struct {
		method, path string
		body         any
	}{
		{"POST", "/compliance/revokex", revoke},
		{"POST", "/compliance/revoke/", revoke},
		{"POST", "/compliance/revoke/x", revoke},
		{"PUT", "/compliance/revoke", revoke},
		{"GET", "/compliance/revoke", nil},
		{"DELETE", "/compliance/devices/" + goodID, nil},
		{"POST", "/compliance/devices/" + goodID + "/refreshx", revoke},
		{"POST", "/compliance/devices//refresh", revoke},
		{"GET", "/compliance/devices/" + goodID + "/refresh", nil},
		{"GET", "/compliance/", nil},
		{"GET", "/compliance/nosuch", nil},
		{"GET", "/complianceX", nil},
		{"POST", "/compliance/sources//accept", map[string]string{"id": "x"}},
		{"GET", "/compliance/devices?limit=0", nil},
		{"GET", "/compliance/devices?limit=1000000", nil},
		{"GET", "/compliance/decisions/nosuch", nil},
		{"GET", "/compliance/devices/x%00y", nil},
		{"POST", "/compliance/explain", map[string]string{"policy": "nosuch"}},
		{"POST", "/compliance/explain", map[string]string{"policy": "standard", "unknown": "x"}},
	} {
		if code := s.Gateway.Call(tc.method, tc.path, tc.body, nil); code/100 != 4 {
			t.Errorf("%s %s: status %d, want 4xx", tc.method, tc.path, code)
		}
	}
	resp, err := http.Post(s.Gateway.Admin+"/compliance/explain", "application/json",
		bytes.NewReader([]byte(`{"policy":"`+strings.Repeat("x", 1<<20)+`"}`)))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a body of a megabyte: status %d", resp.StatusCode)
	}
	resp, err = http.Post(s.Gateway.Admin+"/compliance/revoke", "application/json",
		strings.NewReader(`{"device":"`+goodID+`","reason":"r"} {"reason":"r"}`))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a body of two values: status %d", resp.StatusCode)
	}
	if s.code(goodID) != http.StatusOK {
		t.Error("a refused call revoked something")
	}
}

// TestJ3Loosening: without an operator token nothing can be loosened.
func TestJ3Loosening(t *testing.T) {
	s := newStand(t, standOptions{})
	var entry struct {
		ID string `json:"id"`
	}
	if code := s.Gateway.Call(http.MethodPost, "/compliance/revoke", map[string]string{"device": goodID, "reason": "r"}, &entry); code != http.StatusOK {
		t.Fatalf("revoke answers %d", code)
	}
	for _, header := range [][]string{nil, {"Authorization", "Bearer "}, {"Authorization", "Bearer x"}, {"Authorization", ""}} {
		if code := s.Gateway.Call(http.MethodPost, "/compliance/release", map[string]string{"id": entry.ID}, nil, header...); code != http.StatusForbidden {
			t.Errorf("release with %q answers %d", header, code)
		}
	}
	if s.code(goodID) != http.StatusForbidden {
		t.Error("the revocation is gone")
	}
	for _, token := range []string{"a-token-in-clear-for-all-to-read", "{env.SHORT}", "{env.NOSUCH_VARIABLE}"} {
		s := prepareStand(t, standOptions{Compliance: "operator_token " + token, Env: []string{"SHORT=short"}})
		if _, err := rig.TryStart(t, s.setup); err == nil {
			t.Errorf("operator_token %s: the load passes", token)
		} else if !strings.Contains(err.Error(), "operator_token") {
			t.Errorf("operator_token %s: %v", token, err)
		}
	}
}
