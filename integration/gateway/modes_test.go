package gateway

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// soon is a date within the reach of `until`, in UTC as there, and more than a
// day away at any hour.
func soon() string { return time.Now().UTC().AddDate(0, 0, 2).Format(time.DateOnly) }

// TestReportOnlyAndShadow: what is on trial is counted and changes nothing.
func TestReportOnlyAndShadow(t *testing.T) {
	s := newStand(t, standOptions{
		Policies: `
	step_up mfa {
		for corp {
			acr_values urn:example:mfa
		}
	}
	policy standard {
		require user
	}
	policy next {
		extends standard
		require compliant
		require step_up mfa
	}
	policy trial {
		require user
		require compliant
		report_only unenforced until ` + soon() + `
	}
	policy partly {
		extends standard
		require compliant
		report_only until ` + soon() + `
	}`,
		Directives: `
		@trial path /trial
		compliance @trial trial
		@partly path /partly
		compliance @partly partly
		@shadow path /shadow
		compliance @shadow standard {
			shadow next
		}`,
	})
	count := func(policy, outcome, mode string) float64 {
		n, _ := s.Gateway.Metric(`gatehouse_decisions_total{mode="` + mode + `",outcome="` + outcome + `",policy="` + policy + `"}`)
		return n
	}
	other := rig.NewIssuer(t, s.Issuer.URL)
	bad, good, forged := s.token(badID, nil), s.token(goodID, nil), other.Token(nil)
	tests := []struct {
		name, path, token     string
		want                  int
		policy, outcome, mode string
	}{
		{"trial: stranger", "/trial", "", 200, "trial", "authenticate", "report_only"},
		{"trial: bad device", "/trial", bad, 200, "trial", "block", "report_only"},
		{"trial: forged token", "/trial", forged, 200, "trial", "authenticate", "report_only"},
		{"trial: good", "/trial", good, 200, "trial", "allow", "report_only"},
		{"partly: stranger", "/partly", "", 401, "standard", "authenticate", "enforce"},
		{"partly: bad device", "/partly", bad, 200, "partly", "block", "report_only"},
		{"partly: forged token", "/partly", forged, 401, "standard", "authenticate", "enforce"},
		{"shadow: bad device", "/shadow", bad, 200, "next", "block", "shadow"},
		{"shadow: step-up", "/shadow", good, 200, "next", "step_up", "shadow"},
		{"shadow: enforced all the same", "/shadow", "", 401, "next", "authenticate", "shadow"},
	}
	for _, tc := range tests {
		var header []string
		if tc.token != "" {
			header = rig.Bearer(tc.token)
		}
		before := count(tc.policy, tc.outcome, tc.mode)
		a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL(tc.path), header...)
		if a.StatusCode != tc.want {
			t.Errorf("%s: status %d, want %d: %.300s", tc.name, a.StatusCode, tc.want, a.Body)
			continue
		}
		if n := count(tc.policy, tc.outcome, tc.mode) - before; n != 1 {
			t.Errorf("%s: %s %s of %s counted %v times, want once", tc.name, tc.mode, tc.outcome, tc.policy, n)
		}
		if tc.want != 200 {
			continue
		}
		for _, name := range []string{"Www-Authenticate", "Location", "Set-Cookie", "Retry-After", "Cache-Control"} {
			if v := a.Header.Get(name); v != "" {
				t.Errorf("%s: %s %q in an answer that is not ours", tc.name, name, v)
			}
		}
		verified := tc.token == bad || tc.token == good
		if got := a.Seen(t).Header.Get("Remote-User"); (got != "") != verified {
			t.Errorf("%s: Remote-User %q", tc.name, got)
		}
	}
	// Odd requests pass where nothing is enforced, and are no ground for a 400.
	for _, path := range []string{"/trial"} {
		a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL(path), append(rig.Bearer(good), rig.Bearer(bad)...)...)
		if a.StatusCode != http.StatusOK {
			t.Errorf("two tokens on trial: status %d", a.StatusCode)
		} else {
			wantNone(t, a.Seen(t).Header, identityHeaders...)
		}
	}
}

// TestTwoPolicies: the most severe outcome wins, and every reason is told.
func TestTwoPolicies(t *testing.T) {
	s := newStand(t, standOptions{
		Policies: usualPolicies + `
	policy owners {
		require group owners
	}
	policy stronger {
		require step_up mfa
	}`,
		Directives: "compliance owners\ncompliance stronger\ncompliance standard",
	})
	mfa := "urn:example:mfa"
	tests := []struct {
		name, token string
		want        int
		codes       string
	}{
		{"all", s.token(badID, rig.Claims{"groups": []string{"x"}}), 403, "group_missing step_up_required noncompliant not_encrypted risk_too_high"},
		{"two", s.token(goodID, rig.Claims{"groups": []string{"x"}}), 403, "group_missing step_up_required"},
		{"one", s.token(goodID, rig.Claims{"groups": []string{"owners"}}), 401, "step_up_required"},
		{"stranger", "", 401, "sign_in_required"},
		{"none", s.token(goodID, rig.Claims{"groups": []string{"owners"}, "acr": mfa}), 200, ""},
	}
	for _, tc := range tests {
		var header []string
		if tc.token != "" {
			header = rig.Bearer(tc.token)
		}
		a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), header...)
		if a.StatusCode != tc.want {
			t.Errorf("%s: status %d, want %d: %s", tc.name, a.StatusCode, tc.want, a.Body)
		} else if tc.codes != "" && strings.Join(a.Problem(t).Codes(), " ") != tc.codes {
			t.Errorf("%s: reasons %v, want %s", tc.name, a.Problem(t).Codes(), tc.codes)
		}
	}
}

// TestErrorsCaddy: a refusal can be rendered by the site, with what it needs to
// know in placeholders, and stays a refusal.
func TestErrorsCaddy(t *testing.T) {
	s := newStand(t, standOptions{Directives: `
		compliance standard {
			errors caddy
		}
		handle_errors {
			respond "{http.error.status_code} {http.compliance.outcome} {http.compliance.policy} {http.compliance.reasons} {http.compliance.decision_id}."
		}`})
	a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(s.token(badID, nil))...)
	if a.StatusCode != http.StatusForbidden || !strings.HasPrefix(a.Body, "403 block standard noncompliant,not_encrypted,risk_too_high ") ||
		strings.HasSuffix(a.Body, " .") || strings.Contains(a.Body, "{") {
		t.Errorf("status %d: %s", a.StatusCode, a.Body)
	}
	if a.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("Cache-Control %q", a.Header.Get("Cache-Control"))
	}
	a = rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"))
	if a.StatusCode != http.StatusUnauthorized || a.Header.Get("Www-Authenticate") == "" {
		t.Errorf("status %d, WWW-Authenticate %q", a.StatusCode, a.Header.Get("Www-Authenticate"))
	}
	if s.Upstream.Hits() != 0 {
		t.Error("the upstream was reached")
	}
}

// TestOwnPaths: our own pages answer on every gated site, whatever else the site
// does with paths, and tell a stranger nothing.
func TestOwnPaths(t *testing.T) {
	for name, directives := range map[string]string{
		"plain":       "compliance standard",
		"matched":     "@x path /x/*\ncompliance @x standard",
		"off":         "compliance off because \"test\"",
		"try_files":   "compliance standard\ntry_files {path} /index.html",
		"redir":       "compliance standard\nredir https://elsewhere.example{uri}",
		"rewrite":     "compliance standard\nrewrite * /index.html",
		"handle_path": "compliance standard\nhandle_path /.gatehouse/* {\nrespond \"app\"\n}",
		"respond":     "compliance standard\nrespond 418",
		"basic_auth":  "compliance standard\nbasic_auth {\nbob $2a$14$Zkx19XLiW6VYouLHR5NmfOFU0z2GTNmpkT/5qqR7hx4IjWJPDhjvG\n}",
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t, standOptions{Directives: directives})
			get := func(method, path string) *rig.Answer { return rig.Do(t, s.plain(), method, s.plainURL(path)) }
			if a := get("GET", "/.gatehouse/ready"); a.StatusCode != http.StatusOK || a.Body != "" || a.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("ready: status %d, %d bytes", a.StatusCode, len(a.Body))
			}
			if a := get("HEAD", "/.gatehouse/ready?x=y"); a.StatusCode != http.StatusOK {
				t.Errorf("HEAD ready: status %d", a.StatusCode)
			}
			if a := get("GET", "/.gatehouse/jwks.json"); a.StatusCode != http.StatusOK || !strings.Contains(a.Body, `"kty":"EC"`) || strings.Contains(a.Body, `"d":`) {
				t.Errorf("jwks: status %d: %s", a.StatusCode, a.Body)
			}
			for path, want := range map[string]int{
				"/.gatehouse/": 404, "/.gatehouse/nosuch": 404, "/.gatehouse/ready/": 404, "/.gatehouse/READY": 404, "/.gatehouse/status": 404,
			} {
				if a := get("GET", path); a.StatusCode != want || a.Body != "" {
					t.Errorf("%s: status %d, want %d", path, a.StatusCode, want)
				}
			}
			if a := get("POST", "/.gatehouse/ready"); a.StatusCode != http.StatusMethodNotAllowed {
				t.Errorf("POST: status %d", a.StatusCode)
			}
			if s.Upstream.Hits() != 0 {
				t.Error("the app was asked")
			}
		})
	}
}

// TestValidateBeside: a configuration can be checked on the machine of a running
// gateway, with its state, and nothing of the gateway's is touched.
func TestValidateBeside(t *testing.T) {
	s := newStand(t, standOptions{})
	s.setup.Dir = s.Gateway.Dir
	files := func() (all []string) {
		err := filepath.WalkDir(s.Gateway.Dir, func(path string, d fs.DirEntry, err error) error {
			all = append(all, path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		storage := filepath.Join(s.Gateway.Dir, "storage") + string(filepath.Separator)
		return slices.DeleteFunc(all, func(path string) bool {
			rest, stored := strings.CutPrefix(path, storage) // Caddy's own house-keeping comes and goes there
			return stored && !strings.HasPrefix(rest, "gatehouse") || filepath.Base(path) == "Caddyfile.validate"
		})
	}
	rig.Eventually(t, 20*time.Second, "the snapshot is written", func() bool {
		return slices.ContainsFunc(files(), func(path string) bool { return strings.HasSuffix(path, ".snapshot.seq") })
	})
	before := files()
	t.Setenv("TMPDIR", t.TempDir())
	if err := rig.Validate(t, s.setup); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); len(left) > 0 || err != nil {
		t.Errorf("validate leaves %v, %v", left, err)
	}
	if after := files(); !slices.Equal(after, before) {
		t.Errorf("files before %q, after %q", before, after)
	}
	s.setup.Compliance += "\npolicy broken {\nrequire nonsense\n}"
	if err := rig.Validate(t, s.setup); err == nil || !strings.Contains(err.Error(), "nonsense") {
		t.Errorf("a wrong configuration: %v", err)
	}
	if code := s.code(goodID); code != http.StatusOK {
		t.Errorf("the gateway answers %d", code)
	}
}

// TestStateInUse: a second gateway with the same state is refused, and told which
// directory that is and what to do; the first one goes on.
func TestStateInUse(t *testing.T) {
	s := newStand(t, standOptions{})
	s.setup.Dir = s.Gateway.Dir
	_, err := rig.TryStart(t, s.setup)
	if err == nil {
		t.Fatal("two gateways share one state")
	}
	for _, want := range []string{"Caddyfile:", "state " + filepath.Join(s.Gateway.Dir, "state"), "another gateway on this machine uses it"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q: %v", want, err)
		}
	}
	if code := s.code(goodID); code != http.StatusOK {
		t.Errorf("the first one answers %d", code)
	}
}
