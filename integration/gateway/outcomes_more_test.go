package gateway

import (
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

const tenant = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee"

// TestEntraStepUp: a client of Entra ID that can answer a claims challenge gets
// one, the context in the token satisfies it, and a client that cannot is told so.
func TestEntraStepUp(t *testing.T) {
	entra := rig.NewIssuer(t, "https://login.microsoftonline.com/"+tenant+"/v2.0")
	s := newStand(t, standOptions{
		Compliance: `
		issuer entra {
			tenant ` + tenant + `
			jwks file ` + entra.JWKS + `
			audience intranet
			device_claim deviceid entra
		}`,
		Policies: `
		step_up mfa {
			for entra {
				auth_context c1
			}
		}
		policy standard {
			require user
			require compliant
			require step_up mfa
		}`,
		Directives: "compliance standard",
	})
	token := func(more rig.Claims) string {
		claims := rig.Claims{
			"tid": tenant, "oid": "11111111-aaaa-4bbb-8ccc-222222222222", "ver": "2.0", "scp": "access", "azp": "client",
			"deviceid": goodID, "xms_cc": []string{"cp1"},
		}
		for k, v := range more {
			claims[k] = v
		}
		return entra.Token(claims)
	}
	const challenge = `Bearer realm="` + tenant + `", authorization_uri="https://login.microsoftonline.com/` + tenant +
		`/oauth2/authorize", client_id="intranet", error="insufficient_claims", ` +
		`claims="eyJhY2Nlc3NfdG9rZW4iOnsiYWNycyI6eyJlc3NlbnRpYWwiOnRydWUsInZhbHVlIjoiYzEifX19", cc_type="authcontext"`
	for _, protocol := range rig.Protocols {
		t.Run(protocol, func(t *testing.T) {
			c := s.client(protocol, "")
			a := rig.Do(t, c, http.MethodGet, s.url("/"), rig.Bearer(token(nil))...)
			if got := a.Header.Get("WWW-Authenticate"); a.StatusCode != http.StatusUnauthorized || got != challenge {
				t.Errorf("status %d, challenge\n got %s\nwant %s", a.StatusCode, got, challenge)
			}
			a = rig.Do(t, c, http.MethodGet, s.url("/"), rig.Bearer(token(rig.Claims{"acrs": []string{"c1"}}))...)
			if a.StatusCode != http.StatusOK {
				t.Errorf("with the context: status %d: %s", a.StatusCode, a.Body)
			}
			a = rig.Do(t, c, http.MethodGet, s.url("/"), rig.Bearer(token(rig.Claims{"xms_cc": nil}))...)
			if codes := a.Problem(t).Codes(); a.StatusCode != http.StatusForbidden || codes[len(codes)-1] != "step_up_unavailable" {
				t.Errorf("without cp1: status %d, %v", a.StatusCode, codes)
			}
		})
	}
}

// TestUndecided: where facts are too old the answer is undecided, over each
// protocol, to programs and to people, and never a block or an allow.
func TestUndecided(t *testing.T) {
	s := prepareStand(t, standOptions{Policies: `
	policy standard {
		require user
		require compliant
		freshness critical
	}`, Directives: "compliance standard"})
	old := time.Now().Add(-30 * time.Hour)
	if err := os.Chtimes(s.Inventory, old, old); err != nil {
		t.Fatal(err)
	}
	s.Gateway = rig.Start(t, s.setup)
	for _, protocol := range rig.Protocols {
		t.Run(protocol, func(t *testing.T) {
			c := s.client(protocol, goodID)
			a := rig.Do(t, c, http.MethodGet, s.url("/"), rig.Bearer(s.token("", nil))...)
			p := a.Problem(t)
			if a.StatusCode != http.StatusServiceUnavailable || p.Outcome != "undecided" || p.Codes()[0] != "source_failing" || a.Header.Get("Retry-After") == "" {
				t.Errorf("status %d %s %v, Retry-After %q", a.StatusCode, p.Outcome, p.Codes(), a.Header.Get("Retry-After"))
			}
			page := rig.Do(t, c, http.MethodGet, s.url("/"), append(rig.Bearer(s.token("", nil)), "Sec-Fetch-Mode", "navigate", "Sec-Fetch-Dest", "document")...)
			if page.StatusCode != http.StatusServiceUnavailable || !strings.HasPrefix(page.Header.Get("Content-Type"), "text/html") {
				t.Errorf("page: status %d, %s", page.StatusCode, page.Header.Get("Content-Type"))
			}
		})
	}
	if s.Upstream.Hits() != 0 {
		t.Error("the upstream was reached")
	}
}
