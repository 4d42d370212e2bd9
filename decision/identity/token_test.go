package identity

import (
	"crypto/sha256"
	"encoding/base64"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestVerifyAlgorithms(t *testing.T) {
	corp := testCorp(t)
	corp.Algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
	tokens := testTokens(t, corp)
	keys := map[string]string{"RS": "rsa", "PS": "rsa", "ES256": "ec", "ES384": "ec384", "ES512": "ec521", "EdDSA": "ed"}
	for _, alg := range corp.Algorithms {
		key := keys[alg]
		if key == "" {
			key = keys[alg[:2]]
		}
		raw := testSign(t, alg, key, `{"alg":"`+alg+`","kid":"`+key+`"}`, testJSON(t, testClaims(nil)))
		if _, err := tokens.Verify(t.Context(), raw); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	}
	// By default only the three safest of them.
	tokens = testTokens(t, testCorp(t))
	for alg, want := range map[string]string{"RS256": "", "RS512": ReasonAlgorithm, "PS256": ReasonAlgorithm} {
		raw := testSign(t, alg, "rsa", `{"alg":"`+alg+`","kid":"rsa"}`, testJSON(t, testClaims(nil)))
		if _, err := tokens.Verify(t.Context(), raw); testReason(t, err) != want {
			t.Errorf("default %s: got %v, want %q", alg, err, want)
		}
	}
}

func TestVerifyFields(t *testing.T) {
	tokens := testTokens(t, testCorp(t))
	raw := testToken(t, testClaims(map[string]any{
		"deviceid": strings.ToUpper(testDevice), "groups": []string{"staff", "finance-users"}, "acr": "gold", "amr": []string{"pwd", "mfa"},
		"auth_time": testNow.Unix() - 100, "email": "alice@corp.example", "sid": "s-1", "nbf": testNow.Unix() - 60,
		"level": 3, "ratio": 0.5, "nested": map[string]any{"list": []any{true, nil, "x"}},
	}))
	got := testMustVerify(t, tokens, raw)
	if got.Issuer != "corp" || got.ID != "t-1" || got.Session != "s-1" || got.Confirmation != nil ||
		got.IssuedAt != testNow.Unix()-60 || got.Expires != testNow.Unix()+600 || got.Until != got.Expires+60 {
		t.Errorf("token: got %+v", got)
	}
	if want := []decision.Key{{Kind: "entra", Value: testDevice}}; !slices.Equal(got.Device, want) {
		t.Errorf("device: got %v, want %v", got.Device, want)
	}
	claims := got.User.Claims
	got2 := got.User
	got2.Claims = nil
	want := decision.User{
		Issuer: "corp", ID: corpURL + "|alice", Subject: "alice", Name: "alice@corp.example", Email: "alice@corp.example",
		Groups: []string{"staff", "finance-users"}, GroupsKnown: decision.Yes, Client: "app",
		ACR: "gold", AMR: []string{"pwd", "mfa"}, AuthTime: testNow.Unix() - 100,
	}
	if !reflect.DeepEqual(got2, want) {
		t.Errorf("user: got %+v, want %+v", got2, want)
	}
	if claims["level"] != int64(3) || claims["ratio"] != 0.5 ||
		!reflect.DeepEqual(claims["nested"], map[string]any{"list": []any{true, nil, "x"}}) {
		t.Errorf("claims: got %#v", claims)
	}
}

func TestVerifyEntra(t *testing.T) {
	tokens := testTokens(t, testEntra(t), testCorp(t))
	v2 := testMustVerify(t, tokens, testEntraToken(t, testEntraClaims(map[string]any{
		"acrs": []string{"c1", "c3"}, "xms_cc": []string{"CP1"}, "deviceid": testDevice, "hasgroups": true,
	})))
	u := v2.User
	if u.ID != entraID+"/"+entraUser || u.Tenant != entraID || u.ObjectID != entraUser || u.Client != "client" || u.AppOnly ||
		!u.ClaimsChallenge || !slices.Equal(u.ACRs, []string{"c1", "c3"}) || u.GroupsKnown != decision.No || v2.ID != "u-1" {
		t.Errorf("v2: got %+v", u)
	}
	v1 := testMustVerify(t, tokens, testEntraToken(t, testEntraClaims(map[string]any{
		"iss": entraV1, "aud": "api://intranet/", "ver": "1.0", "azp": nil, "appid": "client", "upn": "alice@corp.example", "acr": "1",
	})))
	if v1.User.ID != u.ID || v1.User.Client != "client" || v1.Issuer != "entra" || v1.User.ClaimsChallenge {
		t.Errorf("v1: got %+v", v1.User)
	}
	for name, more := range map[string]map[string]any{
		"idtyp": {"idtyp": "app"}, "no scope": {"scp": nil, "roles": []string{"r"}}, "idtyp and scope": {"idtyp": "app", "scp": "x"},
	} {
		if got := testMustVerify(t, tokens, testEntraToken(t, testEntraClaims(more))); !got.User.AppOnly || got.User.Name != "" {
			t.Errorf("%s: got a person, want an app: %+v", name, got.User)
		}
	}
}

func TestVerifyTime(t *testing.T) {
	now := testNow.Unix()
	for _, tc := range []struct {
		name string
		more map[string]any
		want string
	}{
		{"just expired, within leeway", map[string]any{"exp": now - 59}, ""},
		{"expired", map[string]any{"exp": now - 61}, ReasonExpired},
		{"expired at the leeway's end", map[string]any{"exp": now - 60}, ReasonExpired},
		{"exp with a fraction", map[string]any{"exp": float64(now) + 10.5}, ""},
		{"exp missing", map[string]any{"exp": nil}, ReasonClaim},
		{"exp a string", map[string]any{"exp": "1790000000"}, ReasonClaim},
		{"exp zero", map[string]any{"exp": 0}, ReasonClaim},
		{"exp negative", map[string]any{"exp": -5}, ReasonClaim},
		{"exp in milliseconds", map[string]any{"exp": (now + 600) * 1000}, ReasonClaim},
		{"exp out of all range", map[string]any{"exp": 1e30}, ReasonClaim},
		{"exp a list", map[string]any{"exp": []int64{now + 600}}, ReasonClaim},
		{"nbf ahead, within leeway", map[string]any{"nbf": now + 59}, ""},
		{"nbf ahead", map[string]any{"nbf": now + 61}, ReasonNotYetValid},
		{"iat ahead, within leeway", map[string]any{"iat": now + 59}, ""},
		{"iat ahead", map[string]any{"iat": now + 3600, "exp": now + 4000}, ReasonNotYetValid},
		{"iat a string", map[string]any{"iat": "x"}, ReasonClaim},
		{"no iat", map[string]any{"iat": nil}, ""},
		{"lives 29 h", map[string]any{"iat": now - 60, "exp": now - 60 + 29*3600}, ""},
		{"lives longer", map[string]any{"iat": now - 60, "exp": now - 59 + 29*3600}, ReasonLifetime},
		{"lives longer, no iat", map[string]any{"iat": nil, "exp": now + 1 + 29*3600}, ReasonLifetime},
		{"auth_time ahead", map[string]any{"auth_time": now + 3600}, ReasonClaim},
	} {
		tokens := testTokens(t, testCorp(t))
		_, err := tokens.Verify(t.Context(), testToken(t, testClaims(tc.more)))
		if got := testReason(t, err); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestBoundTo(t *testing.T) {
	// The certificate and thumbprint of RFC 8705 appendix A.
	der, err := base64.StdEncoding.DecodeString("MIIBBjCBrAIBAjAKBggqhkjOPQQDAjAPMQ0wCwYDVQQDDARtdGxzMB4XDTE4MTAx" +
		"ODEyMzcwOVoXDTIyMDUwMjEyMzcwOVowDzENMAsGA1UEAwwEbXRsczBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABNcnyxwqV6hY8QnhxxzFQ03C7HKW9OylMbnQZjjJ" +
		"/Au08/coZwxS7LfA4vOLS9WuneIXhbGGWvsDSb0tH6IxLm8wCgYIKoZIzj0EAwIDSQAwRgIhAP0RC1E+vwJD/D1AGHGzuri+hlV/PpQEKTWUVeORWz83AiEA5x2eXZOV" +
		"bUlJSGQgjwD5vaUaKlLR50Q2DmFfQj1L+SY=")
	if err != nil {
		t.Fatal(err)
	}
	tokens := testTokens(t, testCorp(t))
	token := testMustVerify(t, tokens, testToken(t, testClaims(map[string]any{
		"cnf": map[string]any{"x5t#S256": "A4DtL2JmUMhAsvJj5tKyn64SqzmuXbMrJa0n761y5v0"},
	})))
	if len(token.Confirmation) != sha256.Size {
		t.Fatalf("confirmation: got %x", token.Confirmation)
	}
	if !token.BoundTo(der) {
		t.Error("BoundTo its certificate: got false")
	}
	if token.BoundTo(der[1:]) || token.BoundTo(nil) {
		t.Error("BoundTo another certificate: got true")
	}
	plain := testMustVerify(t, tokens, testToken(t, testClaims(nil)))
	if plain.Confirmation != nil || plain.BoundTo(der) || plain.BoundTo(nil) {
		t.Error("plain token: got bound")
	}
}

func TestOwns(t *testing.T) {
	tokens := testTokens(t, testCorp(t), testEntra(t))
	good := testToken(t, testClaims(nil))
	head, rest, _ := strings.Cut(good, ".")
	payload := func(s string) string { return head + "." + base64.RawURLEncoding.EncodeToString([]byte(s)) + ".c2ln" }
	for _, tc := range []struct {
		name, raw string
		want      bool
	}{
		{"good", good, true},
		{"bad signature", head + "." + strings.Split(rest, ".")[0] + ".AAAA", true},
		{"header not JSON", "AAAA." + rest, true},
		{"entra v1", payload(`{"iss":"` + entraV1 + `"}`), true},
		{"other issuer", payload(`{"iss":"https://elsewhere.example"}`), false},
		{"two issuers, ours second", payload(`{"iss":"https://elsewhere.example","iss":"` + corpURL + `"}`), true},
		{"odd spelling", payload(`{"ISS":"` + corpURL + `"}`), true},
		{"issuer with a slash", payload(`{"iss":"` + corpURL + `/"}`), false},
		{"issuer a list", payload(`{"iss":["` + corpURL + `"]}`), false},
		{"no issuer", payload(`{}`), false},
		{"not JSON", payload(`iss`), false},
		{"nested too deep", payload(`{"iss":"` + corpURL + `","a":` + strings.Repeat("[", 40) + strings.Repeat("]", 40) + `}`), false},
		{"opaque", "0123456789abcdef", false},
		{"two segments", "a.b", false},
		{"five segments", good + ".x.y", false},
		{"empty", "", false},
		{"very long token", good + strings.Repeat("A", 20_000), true},
		{"very long other", strings.Repeat("A", 20_000), false},
	} {
		if got := tokens.Owns(tc.raw); got != tc.want {
			t.Errorf("%s: got %t, want %t", tc.name, got, tc.want)
		}
	}
}

func TestVerifyOnce(t *testing.T) {
	tokens := testTokens(t, testCorp(t))
	raw := testToken(t, testClaims(nil))
	const callers = 64
	got := make([]*Token, callers)
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range callers {
		wg.Go(func() {
			<-start
			got[i], _ = tokens.Verify(t.Context(), raw)
		})
	}
	close(start)
	wg.Wait()
	for i, token := range got {
		if token == nil || token != got[0] {
			t.Fatalf("caller %d: got %p, want the one token %p", i, token, got[0])
		}
	}
	if tokens.Len() != 1 {
		t.Errorf("remembered: got %d, want 1", tokens.Len())
	}
}

func TestLookup(t *testing.T) {
	tokens := testTokens(t, testCorp(t))
	raw := testToken(t, testClaims(map[string]any{"nbf": testNow.Unix() - 10}))
	if _, ok := tokens.Lookup(raw, testNow); ok {
		t.Error("before Verify: got a token")
	}
	want := testMustVerify(t, tokens, raw)
	for _, tc := range []struct {
		name  string
		after time.Duration
		want  bool
	}{
		{"now", 0, true},
		{"clock set back a little", -65 * time.Second, true},
		{"clock set back before nbf and leeway", -80 * time.Second, false},
		{"last second of the leeway", 659 * time.Second, true},
		{"end of the leeway", 660 * time.Second, false},
	} {
		if got := want.Live(testNow.Add(tc.after)); got != tc.want {
			t.Errorf("%s: live: got %t, want %t", tc.name, got, tc.want)
		}
	}
	if got, ok := tokens.Lookup(raw, testNow); !ok || got != want {
		t.Error("hit: got another token or none")
	}
	if _, ok := tokens.Lookup(raw[:len(raw)-1]+"A", testNow); ok && raw[len(raw)-1] != 'A' {
		t.Error("other text: got a token")
	}
	if n := testing.AllocsPerRun(100, func() { tokens.Lookup(raw, testNow) }); n != 0 {
		t.Errorf("hit: got %v allocations, want 0", n)
	}
	if _, ok := tokens.Lookup(raw, testNow.Add(time.Hour)); ok {
		t.Error("expired: got a token")
	}
	if tokens.Len() != 0 {
		t.Error("expired: still remembered")
	}
	if (&Token{Until: 1 << 40}).Live(testNow) {
		t.Error("made by hand: got live")
	}
}

func TestOnReject(t *testing.T) {
	var got [][2]string
	tokens, err := NewTokens(TokenOptions{
		Issuers: []IssuerOptions{testCorp(t)}, Now: func() time.Time { return testNow },
		OnReject: func(issuer, reason string) { got = append(got, [2]string{issuer, reason}) },
	})
	if err != nil {
		t.Fatal(err)
	}
	secret := testToken(t, testClaims(map[string]any{"exp": 5}))
	for _, raw := range []string{"x", secret} {
		_, err := tokens.Verify(t.Context(), raw)
		if err == nil || strings.Contains(err.Error(), secret[:20]) {
			t.Errorf("error: got %v", err)
		}
	}
	if want := [][2]string{{"", ReasonMalformed}, {"corp", ReasonExpired}}; !slices.Equal(got, want) {
		t.Errorf("rejects: got %v, want %v", got, want)
	}
}
