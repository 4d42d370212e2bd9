package caddymodule

import (
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestStepUpChallenges(t *testing.T) {
	c := &challenges{realm: "gatehouse", entra: map[string]entraChallenge{
		"entra": {tenant: "00000000-1111-2222-3333-444444444444", authority: "https://login.microsoftonline.com", clientID: "app-1"},
	}}
	su := &decision.StepUp{Name: "mfa", MaxAge: 5 * time.Minute, For: map[string]decision.StepUpMethod{
		"entra": {AuthContext: "c1"},
		"corp":  {ACRValues: []string{"urn:x:mfa", "urn:x:hw"}},
	}}
	tests := []struct{ issuer, want string }{
		// The claims value is the one that Microsoft's documentation shows for c1.
		{"entra", `Bearer realm="00000000-1111-2222-3333-444444444444", ` +
			`authorization_uri="https://login.microsoftonline.com/00000000-1111-2222-3333-444444444444/oauth2/authorize", ` +
			`client_id="app-1", error="insufficient_claims", ` +
			`claims="eyJhY2Nlc3NfdG9rZW4iOnsiYWNycyI6eyJlc3NlbnRpYWwiOnRydWUsInZhbHVlIjoiYzEifX19", cc_type="authcontext"`},
		{"corp", `Bearer realm="gatehouse", error="insufficient_user_authentication", ` +
			`error_description="A stronger or more recent sign-in is needed.", acr_values="urn:x:mfa urn:x:hw", max_age="300"`},
	}
	for _, tc := range tests {
		h := http.Header{}
		c.stepUp(h, su, &decision.User{Issuer: tc.issuer})
		if got := h.Get("WWW-Authenticate"); got != tc.want {
			t.Errorf("%s:\n got %s\nwant %s", tc.issuer, got, tc.want)
		}
	}
}

func TestCanStepUp(t *testing.T) {
	c := &challenges{entra: map[string]entraChallenge{"entra": {}}}
	tests := []struct {
		name string
		user decision.User
		nav  bool
		want bool
	}{
		{"api client", decision.User{Issuer: "corp"}, false, true},
		{"browser without login", decision.User{Issuer: "corp"}, true, false},
		{"entra client without cp1", decision.User{Issuer: "entra"}, false, false},
		{"entra client with cp1", decision.User{Issuer: "entra", ClaimsChallenge: true}, false, true},
	}
	for _, tc := range tests {
		if got := c.canStepUp(&tc.user, tc.nav); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestQuote(t *testing.T) {
	for in, want := range map[string]string{
		`a"b\c`: `"a\"b\\c"`, "a\r\nb": `"ab"`, "ü": `""`,
	} {
		if got := quote(in); got != want {
			t.Errorf("quote(%q) = %s, want %s", in, got, want)
		}
	}
}
