package fleet

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestRecheck: whoever mended a device need not wait for the next poll.
func TestRecheck(t *testing.T) {
	s := open(t, options{
		Sources: `
		source intune {
			poll 1h
		}`,
		Policies: `
		policy app {
			require compliant
			max_age 2h
		}`,
	})
	s.quiet() // the second read of the start must not bring what only a re-check may
	recheck := func(method string, header ...string) *rig.Answer {
		return rig.Do(t, http.DefaultClient, method, fmt.Sprintf("http://127.0.0.1:%d/.gatehouse/recheck", s.port), header...)
	}
	d := s.device(emulator.CaseNoncompliant)
	token := s.token(d)
	if n, reasons := s.ask("app", token); n != http.StatusForbidden {
		t.Fatalf("before: %d %v", n, reasons)
	}
	s.tenant.Update(func(*emulator.Fleet) { d.Managed[0].Compliance = "compliant" })
	if n, _ := s.ask("app", token); n != http.StatusForbidden {
		t.Fatalf("changed before anybody asked: %d", n)
	}

	// Nothing happens for a page of another site, without credentials, or by GET.
	for name, tc := range map[string]struct {
		method string
		header []string
		want   int
		reason string
	}{
		"GET":         {http.MethodGet, rig.Bearer(token), 405, ""},
		"nobody":      {http.MethodPost, nil, 401, "sign_in_required"},
		"no device":   {http.MethodPost, rig.Bearer(s.issuer.Token(rig.Claims{"deviceid": nil})), 403, "device_unidentified"},
		"bad token":   {http.MethodPost, rig.Bearer(token + "x"), 401, "invalid_token"},
		"other page":  {http.MethodPost, append(rig.Bearer(token), "Origin", "https://evil.example"), 403, "origin_not_allowed"},
		"other site":  {http.MethodPost, append(rig.Bearer(token), "Sec-Fetch-Site", "cross-site"), 403, "origin_not_allowed"},
		"sister site": {http.MethodPost, append(rig.Bearer(token), "Sec-Fetch-Site", "same-site"), 403, "origin_not_allowed"},
	} {
		a := recheck(tc.method, tc.header...)
		if a.StatusCode != tc.want {
			t.Errorf("%s: %d, want %d", name, a.StatusCode, tc.want)
			continue
		}
		if tc.reason == "" {
			continue
		}
		p, outcome := a.Problem(t), "block"
		if tc.want == http.StatusUnauthorized {
			outcome = "authenticate"
		}
		if !slices.Equal(p.Codes(), []string{tc.reason}) || p.Outcome != outcome || strings.Contains(a.Body, "decision_id") {
			t.Errorf("%s: %s %v, want %s %s and no decision: %s", name, p.Outcome, p.Codes(), outcome, tc.reason, a.Body)
		}
	}
	if n, _ := s.ask("app", token); n != http.StatusForbidden {
		t.Fatalf("changed by a refused re-check: %d", n)
	}

	a := recheck(http.MethodPost, rig.Bearer(token)...)
	var got struct {
		Compliance string
		Sources    []struct{ Source, Result string }
	}
	err := json.Unmarshal([]byte(a.Body), &got)
	if a.StatusCode != http.StatusOK || err != nil || got.Compliance != "compliant" || len(got.Sources) != 1 || got.Sources[0].Result != "refreshed" {
		t.Errorf("re-check: %d %s", a.StatusCode, a.Body)
	}
	if n, reasons := s.ask("app", token); n != http.StatusOK {
		t.Errorf("after the re-check: %d %v", n, reasons)
	}
	a = recheck(http.MethodPost, rig.Bearer(token)...)
	if a.StatusCode != http.StatusTooManyRequests || a.Header.Get("Retry-After") == "" {
		t.Errorf("a second re-check at once: %d", a.StatusCode)
	}
	s.tenant.Check(t)
}
