package emulator

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestTokenErrors(t *testing.T) {
	c := serve(t, Options{Devices: 3})
	form := func(change ...string) url.Values {
		v := url.Values{"client_id": {DefaultClientID}, "client_secret": {DefaultSecret}, "scope": {graphScope}, "grant_type": {"client_credentials"}}
		for i := 0; i+1 < len(change); i += 2 {
			v.Set(change[i], change[i+1])
		}
		return v
	}
	tests := []struct {
		name   string
		form   url.Values
		status int
		code   float64
	}{
		{"good", form(), 200, 0},
		{"double slash", form("scope", nacScope), 200, 0},
		{"with standard scopes", form("scope", graphScope+" openid profile offline_access"), 200, 0},
		{"wrong secret", form("client_secret", "nope"), 401, 7000215},
		{"unknown app", form("client_id", "nobody"), 400, 700016},
		{"unknown resource", form("scope", "https://elsewhere.example/.default"), 400, 500011},
		{"no default scope", form("scope", "https://graph.microsoft.com/User.Read"), 400, 1002012},
		{"wrong grant", form("grant_type", "password"), 400, 70003},
		{"bad assertion", form("client_assertion_type", assertionType, "client_assertion", "x.y.z"), 401, 700027},
	}
	for _, tc := range tests {
		status, doc := c.token(tc.form)
		if status != tc.status {
			t.Errorf("%s: %d, want %d", tc.name, status, tc.status)
		}
		if codes, ok := doc["error_codes"].([]any); tc.code != 0 && (!ok || codes[0] != tc.code) {
			t.Errorf("%s: %v, want %v", tc.name, doc, tc.code)
		}
	}
	resp := c.do("POST", "/login/00000000-0000-0000-0000-000000000000/oauth2/v2.0/token", form().Encode())
	if doc := decode(t, resp); resp.StatusCode != 400 || doc["error_codes"].([]any)[0] != 90002.0 {
		t.Errorf("unknown tenant: %v", doc)
	}
	c.s.SetSecret("rotated")
	if status, _ := c.token(form()); status != 401 {
		t.Errorf("old secret: %d", status)
	}
	if status, _ := c.token(form("client_secret", "rotated")); status != 200 {
		t.Errorf("new secret: %d", status)
	}
}

func TestMetadata(t *testing.T) {
	c := serve(t, Options{Devices: 3})
	for path, issuer := range map[string]string{
		"/login/" + DefaultTenant + "/v2.0/.well-known/openid-configuration": c.base + "/login/" + DefaultTenant + "/v2.0",
		"/login/" + DefaultTenant + "/.well-known/openid-configuration":      "https://sts.windows.net/" + DefaultTenant + "/",
		"/login/common/v2.0/.well-known/openid-configuration":                c.base + "/login/{tenantid}/v2.0",
	} {
		_, doc := c.get(path)
		if doc["issuer"] != issuer {
			t.Errorf("%s: issuer %v, want %s", path, doc["issuer"], issuer)
		}
		if _, keys := c.get(doc["jwks_uri"].(string)); len(keys["keys"].([]any)) != 1 {
			t.Errorf("%s: %v", path, keys)
		}
	}
}

// TestRefused: each call is refused as the real service would, and stands in
// Violations, which Check turns into a failure.
func TestRefused(t *testing.T) {
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	c := serve(t, Options{Devices: 50, Clock: func() time.Time { return now }})
	graph, defender, nac := c.signIn(graphScope), c.signIn(defenderScope), c.signIn(nacScope)
	newHost := c.signIn("https://api.security.microsoft.com/.default")
	oneSlash := c.signIn("https://api.manage.microsoft.com/.default")
	c.s.Grant(readRisk, false)
	c.s.Grant(readMachine, false)
	fewer, fewerDefender := c.signIn(graphScope), c.signIn(defenderScope)
	forged := *c
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{"aud": "https://graph.microsoft.com"}).SignedString([]byte("x"))
	if err != nil {
		t.Fatal(err)
	}
	forged.auth = "Bearer " + text
	tests := []struct {
		name   string
		c      *client
		path   string
		status int
		code   string
	}{
		{"no token", c, managed + "?$select=id", 401, "InvalidAuthenticationToken"},
		{"forged token", &forged, managed + "?$select=id", 401, "InvalidAuthenticationToken"},
		{"Graph token at Defender", graph, "/defender/api/machines", 401, "Unauthorized"},
		{"Defender token at Graph", defender, "/graph/v1.0/devices?$select=id", 401, "InvalidAuthenticationToken"},
		{"token of the new host", newHost, "/defender/api/machines", 401, "Unauthorized"},
		{"one slash too few", oneSlash, "/nac/ciscoise/mdminfo/?ise_api_version=3", 401, ""},
		{"missing permission", fewer, "/graph/v1.0/identityProtection/riskyUsers", 403, "Forbidden"},
		{"missing Defender permission", fewerDefender, "/defender/api/machines", 403, "Forbidden"},
		{"unknown route", graph, "/graph/v1.0/deviceManagement/nonsense", 400, "BadRequest"},
		{"unknown host", graph, "/elsewhere", 404, "NotFound"},
		{"$top above the maximum", graph, managed + "?$select=id&$top=1001", 400, "BadRequest"},
		{"$skip", graph, managed + "?$select=id&$skip=1000", 400, "BadRequest"},
		{"unknown field", graph, managed + "?$select=id,nonsense", 400, "BadRequest"},
		{"beta field", graph, managed + "?$select=joinType", 400, "BadRequest"},
		{"NAC criteria", nac, "/nac/cisco/devices/?paging=0&querycriteria=serial&value=1&filter=all", 400, ""},
	}
	for _, tc := range tests {
		before := len(c.s.Violations())
		resp := tc.c.do("GET", tc.path, "")
		body := map[string]any{}
		if strings.Contains(resp.Header.Get("Content-Type"), "json") {
			body = decode(t, resp)
		}
		resp.Body.Close()
		if resp.StatusCode != tc.status || code(body) != tc.code {
			t.Errorf("%s: %d %q, want %d %q", tc.name, resp.StatusCode, code(body), tc.status, tc.code)
		}
		if got := len(c.s.Violations()) - before; got != 1 {
			t.Errorf("%s: %d violations, want 1", tc.name, got)
		}
	}
	now = now.Add(time.Hour)
	if status, _ := graph.get(managed + "?$select=id"); status != 401 {
		t.Errorf("expired token: %d", status)
	}
	var spy spyTB
	c.s.Check(&spy)
	if spy.errors != len(c.s.Violations()) {
		t.Errorf("Check failed the test %d times for %d violations", spy.errors, len(c.s.Violations()))
	}
}

type spyTB struct {
	testing.TB
	errors int
}

func (*spyTB) Helper()                 {}
func (s *spyTB) Errorf(string, ...any) { s.errors++ }

func TestMissingSelect(t *testing.T) {
	for _, strict := range []bool{false, true} {
		c := serve(t, Options{Devices: 10, Strict: strict}).signIn(graphScope)
		want := map[bool]int{false: 200, true: 400}[strict]
		for _, path := range []string{managed, "/graph/v1.0/devices"} {
			if status, _ := c.get(path); status != want {
				t.Errorf("strict %v: %s: %d, want %d", strict, path, status, want)
			}
		}
		if got := len(c.s.Violations()); got != 2 {
			t.Errorf("strict %v: %d violations, want 2", strict, got)
		}
	}
}

func TestRevokedTokens(t *testing.T) {
	c := serve(t, Options{Devices: 10}).signIn(graphScope)
	c.s.RevokeTokens()
	resp := c.do("GET", "/graph/v1.0/devices?$select=id", "")
	resp.Body.Close()
	if h := resp.Header.Get("WWW-Authenticate"); resp.StatusCode != 401 || !strings.Contains(h, `error="insufficient_claims", claims="ey`) {
		t.Errorf("revoked token: %d %q", resp.StatusCode, h)
	}
	if status, _ := c.signIn(graphScope).get("/graph/v1.0/devices?$select=id"); status != 200 {
		t.Errorf("new token: %d", status)
	}
	c.s.Check(t) // no fault of the client's
}

// TestThrottle: the published limits, each just reached and then exceeded.
func TestThrottle(t *testing.T) {
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	s := New(Options{Devices: 40, Clock: func() time.Time { return now }})
	c := &client{t: t, s: s, base: "https://graph.test", http: &http.Client{Transport: s.Transport()}}
	graph, defender, nac := c.signIn(graphScope), c.signIn(defenderScope), c.signIn(nacScope)
	tests := []struct {
		name   string
		c      *client
		path   string
		limit  int
		span   time.Duration
		status int
		retry  string // what Retry-After looks like
	}{
		{"Intune", graph, managed + "?$select=id&$filter=azureADDeviceId eq '" + GroupEveryone.String() + "'", 2000, 20 * time.Second, 429, "20.000"},
		{"directory", graph, "/graph/v1.0/devices?$select=id&$top=1", 3500, 10 * time.Second, 429, "10"},
		{"identity", graph, "/graph/v1.0/identityProtection/riskyUsers", 1, time.Second, 429, ""},
		{"Defender", defender, "/defender/api/machines?$top=1", 100, time.Minute, 429, "60"},
		{"NAC list", nac, "/nac/cisco/devices/?paging=0&querycriteria=compliance&value=false&deviceidentifier=guid&filter=all", 1, 4 * time.Hour, 503, ""},
	}
	for _, tc := range tests {
		for i := range tc.limit + 1 {
			resp := tc.c.do("GET", tc.path, "")
			resp.Body.Close()
			want := 200
			if i == tc.limit {
				want = tc.status
				if got := resp.Header.Get("Retry-After"); got != tc.retry {
					t.Errorf("%s: Retry-After %q, want %q", tc.name, got, tc.retry)
				}
			}
			if resp.StatusCode != want {
				t.Fatalf("%s: call %d: status %d, want %d", tc.name, i+1, resp.StatusCode, want)
			}
		}
		if tc.span > time.Minute {
			continue // the token would be too old
		}
		now = now.Add(tc.span)
		resp := tc.c.do("GET", tc.path, "")
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("%s: %d after the span", tc.name, resp.StatusCode)
		}
	}
	if got := len(s.Violations()); got != len(tests) {
		t.Errorf("%d violations, want %d: %v", got, len(tests), s.Violations())
	}
}
