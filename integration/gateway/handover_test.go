package gateway

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestIdentityHeaders: the app gets what the site chose and nothing else.
func TestIdentityHeaders(t *testing.T) {
	s := newStand(t, standOptions{Directives: `
		@usual path /usual
		compliance @usual standard
		@all path /all
		compliance @all standard {
			identity_headers Remote-User Remote-User-Id remote-email Remote-Groups X-Device-Id x-device-compliance X-Decision-Id
		}
		@none path /none
		compliance @none standard {
			identity_headers none
			strip_token
		}`})
	token := s.token(goodID, rig.Claims{"email": "alice@mail.example", "groups": []string{"staff", "owners"}})
	want := map[string]map[string]string{
		"/usual": {"Remote-User": "alice@corp.example", "X-Device-Id": goodID},
		"/all": {
			"Remote-User": "alice@corp.example", "X-Device-Id": goodID, "Remote-User-Id": "https://idp.corp.example|alice",
			"Remote-Email": "alice@mail.example", "Remote-Groups": "staff,owners", "X-Device-Compliance": "compliant", "X-Decision-Id": "?",
		},
		"/none": {},
	}
	for path, headers := range want {
		seen := rig.Do(t, s.plain(), http.MethodGet, s.plainURL(path), rig.Bearer(token)...).Seen(t)
		for _, name := range identityHeaders {
			got, expected := seen.Header[name], headers[name]
			switch {
			case expected == "" && len(got) > 0, expected != "" && len(got) != 1:
				t.Errorf("%s: %s %q, want %q", path, name, got, expected)
			case expected == "?" && len(got[0]) < 10:
				t.Errorf("%s: %s %q", path, name, got)
			case expected != "" && expected != "?" && got[0] != expected:
				t.Errorf("%s: %s %q, want %q", path, name, got, expected)
			}
		}
		if stripped := seen.Header.Get("Authorization") == ""; stripped != (path == "/none") {
			t.Errorf("%s: token stripped: %v", path, stripped)
		}
	}
	// A header of the app's own is not a token of ours and stays.
	s = newStand(t, standOptions{
		Policies: "policy standard {\nrequire compliant\n}", Directives: "compliance standard {\nstrip_token\n}",
	})
	for _, auth := range []string{"Basic YTpi", "Bearer opaque-token-of-the-app"} {
		seen := rig.Do(t, s.client("h1", goodID), http.MethodGet, s.url("/"), "Authorization", auth).Seen(t)
		if got := seen.Header.Get("Authorization"); got != auth {
			t.Errorf("Authorization %q, want %q", got, auth)
		}
	}
}

// TestAssertion: an app can check for itself who asks, with published keys.
func TestAssertion(t *testing.T) {
	s := newStand(t, standOptions{Directives: "compliance standard {\nidentity_headers none\nassertion on\n}"})
	var set jose.JSONWebKeySet
	fetch := func() {
		t.Helper()
		a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/.gatehouse/jwks.json"))
		if err := json.Unmarshal([]byte(a.Body), &set); err != nil {
			t.Fatal(err)
		}
	}
	fetch()
	verify := func(raw string) (jwt.MapClaims, error) {
		claims := jwt.MapClaims{}
		_, err := jwt.ParseWithClaims(raw, claims, func(tok *jwt.Token) (any, error) {
			kid, _ := tok.Header["kid"].(string)
			for _, k := range set.Key(kid) {
				return k.Key, nil
			}
			return nil, jwt.ErrTokenUnverifiable
		}, jwt.WithValidMethods([]string{"ES256"}), jwt.WithExpirationRequired(), jwt.WithIssuer("gatehouse"), jwt.WithAudience("127.0.0.1"))
		return claims, err
	}
	header := append(rig.Bearer(s.token(goodID, nil)), "X-Gatehouse-Assertion", "evil")
	seen := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), header...).Seen(t)
	if len(seen.Header["X-Gatehouse-Assertion"]) != 1 {
		t.Fatalf("assertions %q", seen.Header["X-Gatehouse-Assertion"])
	}
	raw := seen.Header.Get("X-Gatehouse-Assertion")
	claims, err := verify(raw)
	if err != nil {
		t.Fatal(err)
	}
	if claims["preferred_username"] != "alice@corp.example" || claims["compliance"] != "compliant" || claims["proof"] != "token" ||
		claims["sub"] != "https://idp.corp.example|alice" {
		t.Errorf("claims %v", claims)
	}
	exp, _ := claims.GetExpirationTime()
	if left := time.Until(exp.Time); left <= 0 || left > 61*time.Second {
		t.Errorf("ends in %s", left)
	}
	again := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), header...).Seen(t)
	if again.Header.Get("X-Gatehouse-Assertion") != raw {
		t.Error("the same person is signed for twice")
	}
	// It is no key to the gateway itself, and another person gets another one.
	if a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(raw)...); a.StatusCode != http.StatusUnauthorized {
		t.Errorf("an assertion as a bearer token: status %d", a.StatusCode)
	}
	bob := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(s.token(goodID, rig.Claims{"sub": "bob", "preferred_username": "bob"}))...).Seen(t)
	claims, err = verify(bob.Header.Get("X-Gatehouse-Assertion"))
	if err != nil || claims["preferred_username"] != "bob" {
		t.Errorf("bob's assertion: %v, %v", claims, err)
	}
	// A changed verdict shows at once, and keys stay the same over a reload.
	rows := devices()
	rows[0]["compliance"], rows[0]["grace_until"] = "in_grace", "2099-01-01T00:00:00Z"
	writeInventory(t, s.Inventory, rows)
	rig.Eventually(t, time.Minute, "the assertion tells the new verdict", func() bool {
		seen := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), header...).Seen(t)
		claims, err := verify(seen.Header.Get("X-Gatehouse-Assertion"))
		return err == nil && claims["compliance"] == "in_grace"
	})
	before := set.Keys[0].KeyID
	if err := s.reload(); err != nil {
		t.Fatal(err)
	}
	fetch()
	if set.Keys[0].KeyID != before {
		t.Error("a reload made a new key")
	}
}

// TestPlaceholders: always set, never left literal, and in the access log.
func TestPlaceholders(t *testing.T) {
	const all = "{http.auth.user.id}|{http.compliance.user.id}|{http.compliance.user.name}|{http.compliance.device.id}|" +
		"{http.compliance.device.name}|{http.compliance.device.compliance}|{http.compliance.device.proof}|{http.compliance.policy}|" +
		"{http.compliance.outcome}|{http.compliance.reasons}|{http.compliance.freshness}|{http.compliance.nosuch}"
	s := newStand(t, standOptions{Directives: `
		log
		@exempt path /exempt
		compliance @exempt off because "test"
		compliance standard
		respond "` + all + `"`})
	a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/x"), rig.Bearer(s.token(goodID, nil))...)
	want := "https://idp.corp.example|alice|https://idp.corp.example|alice|alice@corp.example|" + goodID + "|LAPTOP-GOOD|compliant|token|standard|allow||fresh|"
	if a.Body != want {
		t.Errorf("placeholders\n%s, want\n%s", a.Body, want)
	}
	if a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/exempt"), rig.Bearer(s.token(goodID, nil))...); strings.Trim(a.Body, "|") != "" {
		t.Errorf("placeholders of an exempt path: %s", a.Body)
	}
	rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/refused"), rig.Bearer(s.token(badID, nil))...)
	rig.Eventually(t, time.Minute, "access log lines", func() bool { return strings.Contains(s.Gateway.Log(), `"uri":"/refused"`) })
	for line := range strings.Lines(s.Gateway.Log()) {
		for uri, wants := range map[string][]string{
			`"uri":"/x"`:       {`"compliance.outcome":"allow"`, `"compliance.policy":"standard"`, `"compliance.freshness":"fresh"`},
			`"uri":"/refused"`: {`"compliance.outcome":"block"`, `"compliance.reasons":["noncompliant","not_encrypted","risk_too_high"]`, `"compliance.decision_id":"`},
		} {
			if !strings.Contains(line, uri) {
				continue
			}
			for _, w := range wants {
				if !strings.Contains(line, w) {
					t.Errorf("access log lacks %s: %s", w, line)
				}
			}
		}
	}
}
