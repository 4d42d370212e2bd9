package gateway

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestOutcomes shows each outcome over each protocol, with tokens and with
// client certificates side by side on one site.
func TestOutcomes(t *testing.T) {
	s := newStand(t, standOptions{})
	tests := []struct {
		name      string
		cert      string // device id of the client certificate
		token     string
		path      string
		want      int
		codes     []string
		challenge string // part of WWW-Authenticate
	}{
		{name: "allow by token", token: s.token(goodID, nil), want: http.StatusOK},
		{name: "allow by certificate and token", cert: goodID, token: s.token("", nil), want: http.StatusOK},
		{name: "allow in grace", token: s.token(graceID, nil), want: http.StatusOK},
		{
			name: "block lists every reason", token: s.token(badID, nil), want: http.StatusForbidden,
			codes: []string{"noncompliant", "not_encrypted", "risk_too_high"},
		},
		{
			name: "block by certificate without a user", cert: badID, want: http.StatusForbidden,
			codes: []string{"sign_in_required", "noncompliant", "not_encrypted", "risk_too_high"},
		},
		{name: "hard stop", token: s.token(retiredID, nil), want: http.StatusForbidden, codes: []string{"device_retired"}},
		{name: "unknown device", token: s.token(unknownID, nil), want: http.StatusForbidden, codes: []string{"device_unknown"}},
		{name: "no device", token: s.token("", nil), want: http.StatusForbidden, codes: []string{"device_unidentified"}},
		{
			name: "token and certificate of two devices", cert: badID, token: s.token(goodID, nil), want: http.StatusForbidden,
			codes: []string{"device_ambiguous", "device_unknown"},
		},
		{
			name: "authenticate", want: http.StatusUnauthorized, codes: []string{"sign_in_required"},
			challenge: `Bearer realm="gatehouse"`,
		},
		{
			name: "bad token", token: s.token(goodID, rig.Claims{"aud": "other"}), want: http.StatusUnauthorized,
			codes: []string{"invalid_token"}, challenge: `error="invalid_token"`,
		},
		{
			name: "step-up", token: s.token(goodID, nil), path: "/finance/x", want: http.StatusUnauthorized,
			codes: []string{"step_up_required"}, challenge: `error="insufficient_user_authentication"`,
		},
		{
			name: "step-up shown", token: s.token(goodID, rig.Claims{"acr": "urn:example:mfa"}), path: "/finance/x",
			want: http.StatusOK,
		},
	}
	for _, protocol := range rig.Protocols {
		t.Run(protocol, func(t *testing.T) {
			for _, tc := range tests {
				t.Run(tc.name, func(t *testing.T) {
					c := s.client(protocol, tc.cert)
					var header []string
					if tc.token != "" {
						header = rig.Bearer(tc.token)
					}
					before := s.Upstream.Hits()
					got := rig.Do(t, c, http.MethodGet, s.url(tc.path+"/page"), header...)
					if got.StatusCode != tc.want {
						t.Fatalf("status %d, want %d: %s", got.StatusCode, tc.want, got.Body)
					}
					if want := map[string]int{"h1": 1, "h2": 2, "h3": 3}[protocol]; got.ProtoMajor != want {
						t.Errorf("answered over HTTP/%d", got.ProtoMajor)
					}
					reached := s.Upstream.Hits() - before
					if tc.want == http.StatusOK {
						if reached != 1 {
							t.Errorf("upstream reached %d times, want once", reached)
						}
						return
					}
					if reached != 0 {
						t.Errorf("upstream reached %d times by a refused request", reached)
					}
					p := got.Problem(t)
					codes := p.Codes()
					if strings.Contains(tc.name, "two devices") {
						codes = codes[:1]
						tc.codes = tc.codes[:1]
					}
					if !slices.Equal(codes, tc.codes) {
						t.Errorf("reasons %v, want %v", codes, tc.codes)
					}
					if !strings.Contains(got.Header.Get("WWW-Authenticate"), tc.challenge) {
						t.Errorf("WWW-Authenticate %q, want %q in it", got.Header.Get("WWW-Authenticate"), tc.challenge)
					}
					if got.Header.Get("Cache-Control") != "no-store" {
						t.Errorf("Cache-Control %q, want no-store", got.Header.Get("Cache-Control"))
					}
				})
			}
		})
	}
}
