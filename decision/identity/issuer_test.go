package identity

import (
	"strings"
	"testing"
	"time"
)

func TestNewTokensRefuses(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*IssuerOptions)
		want   string
	}{
		{"as it is", func(*IssuerOptions) {}, ""},
		{"no name", func(o *IssuerOptions) { o.Name = "" }, "name"},
		{"reserved name", func(o *IssuerOptions) { o.Name = "certificate" }, "reserved"},
		{"name with a space", func(o *IssuerOptions) { o.Name = "a b" }, "name"},
		{"no URL", func(o *IssuerOptions) { o.URL = "" }, "URL"},
		{"URL over http", func(o *IssuerOptions) { o.URL = "http://idp.example" }, "loopback"},
		{"URL a template", func(o *IssuerOptions) { o.URL = "https://login.example/{tenantid}/v2.0" }, "URL"},
		{"URL with a bar", func(o *IssuerOptions) { o.URL = "https://idp.example/a|b" }, "URL"},
		{"no audience", func(o *IssuerOptions) { o.Audiences = nil }, "audience"},
		{"empty audience", func(o *IssuerOptions) { o.Audiences = []string{""} }, "audience"},
		{"alg none", func(o *IssuerOptions) { o.Algorithms = []string{"none"} }, "algorithm"},
		{"alg HS256", func(o *IssuerOptions) { o.Algorithms = []string{"RS256", "HS256"} }, "algorithm"},
		{"alg lower case", func(o *IssuerOptions) { o.Algorithms = []string{"rs256"} }, "algorithm"},
		{"type logout", func(o *IssuerOptions) { o.Types = []string{"Logout+JWT"} }, "type"},
		{"type secevent in full", func(o *IssuerOptions) { o.Types = []string{"application/secevent+jwt"} }, "type"},
		{"type dpop", func(o *IssuerOptions) { o.Types = []string{"dpop+jwt"} }, "type"},
		{"leeway negative", func(o *IssuerOptions) { o.Leeway = -1 }, "leeway"},
		{"leeway too long", func(o *IssuerOptions) { o.Leeway = 301 * time.Second }, "leeway"},
		{"lifetime negative", func(o *IssuerOptions) { o.MaxLifetime = -1 }, "lifetime"},
		{"stale too long", func(o *IssuerOptions) { o.MaxStale = 1000 * time.Hour }, "stale"},
		{"device claim without kind", func(o *IssuerOptions) { o.DeviceKind = "" }, "device claim"},
		{"device kind without claim", func(o *IssuerOptions) { o.DeviceClaim = "" }, "device claim"},
		{"groups claim taken", func(o *IssuerOptions) { o.GroupsClaim = "aud" }, "meaning"},
		{"device claim taken in another case", func(o *IssuerOptions) { o.DeviceClaim = "EXP" }, "meaning"},
		{"name claim empty", func(o *IssuerOptions) { o.NameClaims = []string{""} }, "claim name"},
		{"claims in two spellings", func(o *IssuerOptions) { o.NameClaims = []string{"Login", "login"} }, "two spellings"},
		{"key set URL and file", func(o *IssuerOptions) { o.JWKSURL = corpURL + "/k" }, "both"},
		{"key set over http", func(o *IssuerOptions) { o.JWKSFile = ""; o.JWKSURL = "http://idp.example/k" }, "key set URL"},
		{"key set file missing", func(o *IssuerOptions) { o.JWKSFile += ".no" }, "key set file"},
		{"key set file a directory", func(o *IssuerOptions) { o.JWKSFile = t.TempDir() }, "regular"},
		{"key set file empty", func(o *IssuerOptions) { o.JWKSFile = testSetFile(t, nil) }, "key set"},
		{"tenant without Entra", func(o *IssuerOptions) { o.Tenant = entraID }, "Entra"},
		{"Entra with URL", func(o *IssuerOptions) { o.Entra = true; o.Tenant = entraID }, "follows"},
		{"Entra without tenant", func(o *IssuerOptions) { o.Entra = true; o.URL = "" }, "tenant"},
		{"Entra common", func(o *IssuerOptions) { o.Entra = true; o.URL = ""; o.Tenant = "common" }, "tenant"},
		{"Entra by name", func(o *IssuerOptions) { o.Entra = true; o.URL = ""; o.Tenant = "corp.example" }, "tenant"},
		{"Entra unknown cloud", func(o *IssuerOptions) { o.Entra = true; o.URL = ""; o.Tenant = entraID; o.Cloud = "mars" }, "cloud"},
		{"Entra host over http", func(o *IssuerOptions) {
			o.Entra, o.URL, o.Tenant, o.LoginURL = true, "", entraID, "http://login.example"
		}, "cloud host"},
		{"Entra host with slash", func(o *IssuerOptions) {
			o.Entra, o.URL, o.Tenant, o.STSURL = true, "", entraID, "https://sts.example/"
		}, "cloud host"},
	} {
		o := testCorp(t)
		tc.change(&o)
		_, err := NewTokens(TokenOptions{Issuers: []IssuerOptions{o}})
		if tc.want == "" && err != nil || tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)) {
			t.Errorf("%s: got %v, want %q", tc.name, err, tc.want)
		}
	}

	corp := testCorp(t)
	renamed := corp
	renamed.Name = "again"
	elsewhere := corp
	elsewhere.URL = "https://elsewhere.example"
	for name, o := range map[string]TokenOptions{
		"no issuer":        {},
		"same URL":         {Issuers: []IssuerOptions{corp, renamed}},
		"same name":        {Issuers: []IssuerOptions{corp, elsewhere}},
		"tokens too long":  {Issuers: []IssuerOptions{corp}, MaxBytes: 17 << 10},
		"tokens too short": {Issuers: []IssuerOptions{corp}, MaxBytes: -1},
		"negative cache":   {Issuers: []IssuerOptions{corp}, CacheEntries: -1},
	} {
		if _, err := NewTokens(o); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

func TestEntraAddresses(t *testing.T) {
	for _, tc := range []struct {
		name            string
		change          func(*IssuerOptions)
		v2, v1, keysURL string
	}{
		{
			"public", func(*IssuerOptions) {}, entraV2, entraV1,
			"https://login.microsoftonline.com/" + entraID + "/discovery/v2.0/keys",
		},
		{
			"china", func(o *IssuerOptions) { o.Cloud = "china" },
			"https://login.partner.microsoftonline.cn/" + entraID + "/v2.0", "https://sts.chinacloudapi.cn/" + entraID + "/",
			"https://login.partner.microsoftonline.cn/" + entraID + "/discovery/v2.0/keys",
		},
		{
			"us_gov", func(o *IssuerOptions) { o.Cloud = "us_gov"; o.Tenant = strings.ToUpper(entraID) },
			"https://login.microsoftonline.us/" + entraID + "/v2.0", entraV1,
			"https://login.microsoftonline.us/" + entraID + "/discovery/v2.0/keys",
		},
		{
			"own hosts", func(o *IssuerOptions) {
				o.LoginURL, o.STSURL, o.JWKSURL = "http://127.0.0.1:1", "http://127.0.0.1:2", "https://keys.example"
			},
			"http://127.0.0.1:1/" + entraID + "/v2.0", "http://127.0.0.1:2/" + entraID + "/", "https://keys.example",
		},
	} {
		o := IssuerOptions{Name: "entra", Entra: true, Tenant: entraID, Audiences: []string{"a"}}
		tc.change(&o)
		is, err := newIssuer(&o, time.Now)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		origin, ok := is.keys.origin.(*jwksHTTP)
		if !ok || is.urls[0] != tc.v2 || is.urls[1] != tc.v1 || origin.url != tc.keysURL || origin.issuer != "" {
			t.Errorf("%s: got %v, %+v", tc.name, is.urls, origin)
		}
	}
}

func TestIssuerTypes(t *testing.T) {
	strict := testCorp(t)
	strict.Types = []string{"at+jwt"}
	tokens := testTokens(t, strict)
	for typ, want := range map[string]string{`,"typ":"at+JWT"`: "", `,"typ":"JWT"`: ReasonType, ``: ReasonType} {
		raw := testSign(t, "ES256", "ec", `{"alg":"ES256","kid":"ec"`+typ+`}`, testJSON(t, testClaims(nil)))
		if _, err := tokens.Verify(t.Context(), raw); testReason(t, err) != want {
			t.Errorf("%s: got %v, want %q", typ, err, want)
		}
	}
}
