package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// adminText reads one page of the admin endpoint.
func (s *stand) adminText(path string) string {
	s.t.Helper()
	resp, err := http.Get(s.Gateway.Admin + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(raw)
}

// TestI1Canary: no token, cookie, secret or certificate is in any output, at the
// most talkative level.
func TestI1Canary(t *testing.T) {
	const operator, cookie = "operator-canary-0123456789", "cookie-canary-0123456789"
	s := newStand(t, standOptions{
		Global:     "debug",
		Compliance: "operator_token {env.OPERATOR}\ndecision_log all",
		Env:        []string{"OPERATOR=" + operator},
		Directives: "log\ncompliance standard {\nassertion on\n}\n@finance path /finance/*\ncompliance @finance finance",
	})
	canaries := map[string]string{"operator token": operator, "cookie": cookie}
	note := func(name, token string) string {
		canaries[name] = token
		if parts := strings.Split(token, "."); len(parts) == 3 {
			canaries[name+" signature"] = parts[2]
			canaries[name+" payload"] = parts[1]
		}
		return token
	}
	other := rig.NewIssuer(t, s.Issuer.URL)
	var answers strings.Builder
	for name, token := range map[string]string{
		"good": s.token(goodID, nil), "bad device": s.token(badID, nil), "forged": other.Token(nil),
		"expired": s.token(goodID, rig.Claims{"exp": time.Now().Add(-time.Hour).Unix()}), "audience": s.token(goodID, rig.Claims{"aud": "x"}),
		"cut": s.token(goodID, nil)[:200], "foreign": rig.NewIssuer(t, "https://elsewhere.example").Token(nil), "opaque": "opaque-canary-0123456789",
		"broken claim": s.token(goodID, rig.Claims{"deviceid": 7, "email": "claim-canary"}),
	} {
		for _, path := range []string{"/x", "/finance/x", "/.gatehouse/ready", "/a%2fb"} {
			for _, accept := range []string{navigates, "application/json"} {
				a := rig.Do(t, s.client("h2", goodID), http.MethodGet, s.url(path), append(rig.Bearer(note(name, token)),
					"Cookie", "session="+cookie, "Accept", accept, "Sec-Fetch-Mode", "navigate")...)
				if a.Header.Get("Content-Type") != "application/json" { // the app's own report repeats its headers
					answers.WriteString(a.Body + fmt.Sprint(a.Header))
				} else {
					note("assertion", a.Seen(t).Header.Get("X-Gatehouse-Assertion"))
				}
			}
		}
	}
	_ = s.Gateway.Call(http.MethodPost, "/compliance/release", map[string]string{"id": "x"}, nil, "Authorization", "Bearer "+operator)
	_ = s.Gateway.Call(http.MethodPost, "/compliance/release", map[string]string{"id": "x"}, nil, "Authorization", "Bearer "+operator+"x")
	_ = s.Gateway.Call(http.MethodPost, "/compliance/explain", map[string]any{"policy": "standard"}, nil)
	delete(canaries, "assertion payload")
	delete(canaries, "assertion") // Caddy's own debug line about the upstream request lists its headers
	delete(canaries, "assertion signature")
	delete(canaries, "cut")
	outputs := map[string]string{
		"answers": answers.String(), "log": s.Gateway.Log(), "metrics": s.adminText("/metrics"), "status": s.adminText("/compliance/status"),
		"decisions": s.adminText("/compliance/decisions?limit=1000"), "devices": s.adminText("/compliance/devices"),
		"revocations": s.adminText("/compliance/revocations"),
	}
	var decisions struct {
		Decisions []struct {
			ID string `json:"decision_id"`
		} `json:"decisions"`
	}
	if err := json.Unmarshal([]byte(outputs["decisions"]), &decisions); err != nil || len(decisions.Decisions) < 20 {
		t.Fatalf("%d decisions, %v", len(decisions.Decisions), err)
	}
	for _, d := range decisions.Decisions[:20] {
		outputs["decision "+d.ID] = s.adminText("/compliance/decisions/" + d.ID)
	}
	for where, text := range outputs {
		for name, canary := range canaries {
			if canary != "" && strings.Contains(text, canary) {
				t.Errorf("%s: holds the %s", where, name)
			}
		}
		if strings.Contains(text, "BEGIN CERTIFICATE") || strings.Contains(text, "PRIVATE KEY") {
			t.Errorf("%s: holds a certificate or key", where)
		}
	}
}

// TestI3LogInjection: what a client sends stays inside its field.
func TestI3LogInjection(t *testing.T) {
	s := newStand(t, standOptions{Compliance: "decision_log all"})
	_ = rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/%0a%7b%22level%22:%22error%22,%22canary%22:1%7d%1b[31m"), "Accept", "x")
	_ = rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/x"), rig.Bearer(s.token(goodID, rig.Claims{"preferred_username": `{"level":"error","canary":1}`}))...)
	_ = rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"+strings.Repeat("y", 5000)))
	rig.Eventually(t, time.Minute, "decision lines", func() bool { return strings.Count(s.Gateway.Log(), "compliance.decisions") >= 3 })
	for line := range strings.Lines(s.Gateway.Log()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Errorf("not one JSON document: %.200q", line)
			continue
		}
		if fields["canary"] != nil || strings.Contains(line, "\x1b") {
			t.Errorf("a client wrote a line of its own: %s", line)
		}
		if path, _ := fields["path"].(string); len(path) > 256 {
			t.Errorf("path of %d bytes", len(path))
		}
	}
}

// TestI4Cardinality: no traffic makes new series.
func TestI4Cardinality(t *testing.T) {
	s := newStand(t, standOptions{Global: "metrics"})
	series := func() (n int) {
		for line := range strings.Lines(s.adminText("/metrics")) {
			if strings.HasPrefix(line, "gatehouse_") {
				n++
			}
		}
		return n
	}
	traffic := func(from, to int) {
		other := rig.NewIssuer(t, s.Issuer.URL)
		c := s.plain()
		for i := from; i < to; i++ {
			token := s.token(fleetID(i), rig.Claims{"sub": fmt.Sprint(i)})
			if i%3 == 0 {
				token = other.Sign(map[string]any{"kid": fmt.Sprintf("k%d", i)}, nil, s.Issuer.Key())
			}
			rig.Do(t, c, fmt.Sprintf("METHOD%d", i%50), s.plainURL(fmt.Sprintf("/p%d", i)), rig.Bearer(token)...)
			rig.Do(t, c, http.MethodGet, s.plainURL(fmt.Sprintf("/p%d", i)), append(rig.Bearer(token), fmt.Sprintf("X-Original-%d", i), "x")...)
		}
	}
	traffic(0, 60)
	first := series()
	traffic(60, 300)
	// A rare reason may show up late; one series per request would be hundreds.
	if last := series(); last > first+10 || last > 2000 {
		t.Errorf("%d series, then %d", first, last)
	}
}

// TestI6Placeholders: text of a client or source is never expanded.
func TestI6Placeholders(t *testing.T) {
	const secret = "placeholder-canary"
	rows := devices()
	rows[0]["name"] = "{env.CANARY}"
	rows[1]["name"] = "{env.CANARY}"
	s := newStand(t, standOptions{
		Rows: rows, Env: []string{"CANARY=" + secret},
		Directives: `
		@respond path /respond
		@errors path /errors
		request_header X-From-Us {http.auth.user.id}
		compliance standard {
			identity_headers Remote-User Remote-Groups
			assertion on
		}
		compliance @errors standard {
			errors caddy
		}
		handle_errors {
			respond "{http.compliance.user.name} {http.compliance.device.name} {http.request.header.x-evil} {http.compliance.reasons}"
		}
		header X-Name {http.compliance.device.name}
		header >X-Deferred {http.compliance.user.groups}
		respond @respond "{http.compliance.user.name} {http.compliance.user.groups} {http.compliance.device.name}"`,
	})
	evil := "{env.CANARY}"
	claims := rig.Claims{"preferred_username": evil, "sub": evil, "groups": []string{evil, "{http.vars.x}"}}
	for _, id := range []string{goodID, badID} {
		for _, path := range []string{"/x", "/respond", "/errors", "/" + evil} {
			a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL(strings.NewReplacer("{", "%7b", "}", "%7d").Replace(path)),
				append(rig.Bearer(s.token(id, claims)), "X-Evil", evil, "Accept", navigates, "Sec-Fetch-Mode", "navigate")...)
			text := a.Body + fmt.Sprint(a.Header)
			if strings.Contains(text, secret) {
				t.Errorf("%s: a client's placeholder was expanded: %.500s", path, text)
			}
			if path == "/respond" && id == goodID && !strings.HasPrefix(a.Body, evil) {
				t.Errorf("%s: %q", path, a.Body)
			}
		}
	}
	seen := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/x"), rig.Bearer(s.token(goodID, claims))...).Seen(t)
	if got := seen.Header.Get("Remote-User"); got != evil {
		t.Errorf("Remote-User %q, want it as it was signed", got)
	}
	if strings.Contains(s.Gateway.Log(), secret) {
		t.Error("the log holds an expanded placeholder")
	}
}

// TestDecisionLogPrivacy: hashed users and devices are hashed everywhere.
func TestDecisionLogPrivacy(t *testing.T) {
	s := newStand(t, standOptions{Compliance: "privacy {\nusers hash\ndevices hash\n}\ndecision_log all"})
	rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/x?secret=query-canary"), rig.Bearer(s.token(badID, nil))...)
	rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/x"), rig.Bearer(s.token(goodID, nil))...)
	for where, text := range map[string]string{
		"log": s.Gateway.Log(), "decisions": s.adminText("/compliance/decisions"), "devices": s.adminText("/compliance/devices"),
	} {
		for _, canary := range []string{"alice", badID, goodID, "LAPTOP-BAD", "query-canary"} {
			if strings.Contains(text, canary) {
				t.Errorf("%s shows %s", where, canary)
			}
		}
		if where != "devices" && !strings.Contains(text, "u_") {
			t.Errorf("%s shows no user at all", where)
		}
	}
}
