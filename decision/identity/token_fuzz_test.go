package identity

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// fuzzSeeds adds every file that matches pattern under testdata.
func fuzzSeeds(f *testing.F, pattern string, add func(string)) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds in testdata/%s: %v", pattern, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		add(string(text))
	}
}

// FuzzPreParse takes any text as a token. What the pre-parser accepts must be
// what it says it is.
func FuzzPreParse(f *testing.F) {
	fuzzSeeds(f, "token/*.jwt", func(s string) { f.Add(strings.TrimSuffix(s, "\n")) })
	corp := testCorp(f)
	tokens := testTokens(f, corp)
	f.Fuzz(func(t *testing.T, raw string) {
		owned := tokens.Owns(raw)
		j, reason := joseParse(raw, joseDefaultBytes)
		if (j == nil) != (reason != "") || reason != "" && !slices.Contains(TokenReasons, reason) {
			t.Fatalf("got %v and reason %q", j, reason)
		}
		_, err := tokens.Verify(t.Context(), raw)
		if err == nil {
			t.Fatal("a token that nobody signed was accepted")
		}
		if j == nil {
			return
		}
		if strings.Count(raw, ".") != 2 || strings.ContainsFunc(raw, func(r rune) bool { return r > 0x7f || r != '.' && !joseCharset[byte(r)] }) {
			t.Errorf("accepted %q", raw)
		}
		if !json.Valid([]byte(j.payload)) || j.header.alg == "" || len(j.header.kid) > joseMaxKid {
			t.Errorf("accepted header %+v, payload %q", j.header, j.payload)
		}
		if iss := joseIssuer(j.payload); iss == corpURL && !owned {
			t.Error("issuer is ours, and Owns says no")
		}
		// golang-jwt reads the same header and issuer.
		claims := jwt.MapClaims{}
		token, _, err := jwt.NewParser(jwt.WithStrictDecoding()).ParseUnverified(raw, claims)
		if err != nil && !errors.Is(err, jwt.ErrTokenUnverifiable) { // the latter: alg unknown to it
			t.Errorf("golang-jwt refuses what we accept: %v", err)
		}
		if err == nil && token.Header["alg"] != j.header.alg {
			t.Errorf("alg: got %q, golang-jwt has %v", j.header.alg, token.Header["alg"])
		}
	})
}

// FuzzClaims signs any payload with any header, so that all that comes after
// the signature is reached, and compares with golang-jwt: whenever we accept,
// it must accept, and read the same subject.
func FuzzClaims(f *testing.F) {
	fuzzSeeds(f, "token/*.json", func(s string) { f.Add(`{"alg":"EdDSA","kid":"ed","typ":"JWT"}`, strings.TrimSuffix(s, "\n")) })
	f.Add(`{"alg":"EdDSA","kid":"ed","crit":["x"]}`, `{}`)
	tokens := testTokens(f, testCorp(f), testEntraEd(f))
	public := testSigner(f, "ed").Public()
	// golang-jwt counts in whole seconds from the same clock.
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"EdDSA"}), jwt.WithExpirationRequired(), jwt.WithIssuedAt(), jwt.WithStrictDecoding(),
		jwt.WithLeeway(DefaultLeeway), jwt.WithTimeFunc(func() time.Time { return testNow }),
		jwt.WithAudience("intranet", "other", "api://intranet", "api://intranet/"))
	f.Fuzz(func(t *testing.T, header, payload string) {
		if len(header)+len(payload) > 6000 {
			return
		}
		raw := testSign(t, "EdDSA", "ed", header, payload)
		token, err := tokens.Verify(t.Context(), raw)
		if err != nil {
			testReason(t, err)
			return
		}
		claims := jwt.MapClaims{}
		if _, err := parser.ParseWithClaims(raw, claims, func(*jwt.Token) (any, error) { return public, nil }); err != nil {
			t.Fatalf("golang-jwt refuses what we accept: %v", err)
		}
		if claims["sub"] != token.User.Subject || token.User.ID == "" || token.User.Subject == "" {
			t.Errorf("subject: got %q, golang-jwt has %v", token.User.Subject, claims["sub"])
		}
		if !token.Live(testNow) || token.Expires <= 0 || len(token.Device) > 1 {
			t.Errorf("token: got %+v", token)
		}
		again, ok := tokens.Lookup(raw, testNow)
		if !ok || again != token {
			t.Error("an accepted token is not remembered")
		}
		fuzzSameJSON(t, payload, token.User.Claims)
	})
}

func testEntraEd(t testing.TB) IssuerOptions {
	t.Helper()
	o := testEntra(t)
	o.Audiences = []string{"api://intranet"}
	o.JWKSFile = testSetFile(t, testSet(t, testJWK(t, "ed", "ed", nil)))
	return o
}

// fuzzSameJSON compares our decoder with encoding/json.
func fuzzSameJSON(t *testing.T, text string, got map[string]any) {
	t.Helper()
	var want map[string]any
	if err := json.Unmarshal([]byte(text), &want); err != nil {
		t.Fatalf("encoding/json refuses what we accept: %v", err)
	}
	a, err := json.Marshal(fuzzFloats(got))
	if err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(fuzzFloats(want))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a, b) {
		t.Errorf("decoded %s, encoding/json has %s", a, b)
	}
}

// fuzzFloats turns every number into a float64, as encoding/json does.
func fuzzFloats(v any) any {
	switch v := v.(type) {
	case int64:
		return float64(v)
	case float64:
		if v == 0 {
			return 0.0 // not -0
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = fuzzFloats(v[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(v))
		for k, e := range v {
			out[k] = fuzzFloats(e)
		}
		return out
	}
	return v
}

// FuzzJWKS loads any text as a key set. A key that is usable must be strong and
// of an allowed kind.
func FuzzJWKS(f *testing.F) {
	fuzzSeeds(f, "jwks/*.json", func(s string) { f.Add(s) })
	f.Add(string(testSet(f, testJWK(f, "rsa", "r", nil), testJWK(f, "ec", "e", nil), testJWK(f, "ed", "d", nil))))
	f.Fuzz(func(t *testing.T, text string) {
		set, err := jwksParse([]byte(text), testRules)
		if (set == nil) == (err == nil) {
			t.Fatalf("got %v, %v", set, err)
		}
		if err != nil {
			return
		}
		if len(set.keys) == 0 || len(set.keys) > jwksMaxKeys {
			t.Errorf("got %d keys", len(set.keys))
		}
		kids := map[string]bool{}
		for _, k := range set.keys {
			if k.kid != "" && (kids[k.kid] || set.byKid[k.kid] != k) {
				t.Errorf("kid %q twice, or not found by it", k.kid)
			}
			kids[k.kid] = true
			fits := false
			for _, name := range testRules.algorithms {
				fits = fits || k.suits(name, joseAlgorithms[name]) && joseAlgorithms[name].fits(k.public)
			}
			if !fits {
				t.Errorf("key %q fits no allowed algorithm", k.kid)
			}
		}
	})
}

// TestFuzzSeeds keeps the seeds from turning into texts that all fail at the
// first check.
func TestFuzzSeeds(t *testing.T) {
	for name, want := range map[string]int{"both": 2, "rsa": 1, "twins": 1, "rsa_e1": 0, "rsa_short": 0, "off_curve": 0} {
		text, err := os.ReadFile(filepath.Join("testdata", "jwks", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		if set, err := jwksParse(text, testRules); (err == nil) != (want > 0) || err == nil && len(set.keys) != want {
			t.Errorf("%s.json: got %v, %v, want %d keys", name, set, err, want)
		}
	}
	file, err := os.Open(filepath.Join("testdata", "token", "good.json"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	payload, err := io.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	raw := testSign(t, "EdDSA", "ed", `{"alg":"EdDSA","kid":"ed"}`, strings.TrimSpace(string(payload)))
	testMustVerify(t, testTokens(t, testCorp(t)), raw)
	jws, err := os.ReadFile(filepath.Join("testdata", "token", "unsigned.jwt"))
	if err != nil {
		t.Fatal(err)
	}
	j, reason := joseParse(strings.TrimSpace(string(jws)), joseDefaultBytes)
	if reason != "" {
		t.Fatalf("unsigned.jwt: %s", reason)
	}
	if _, err := base64.RawURLEncoding.DecodeString(j.signature); err != nil || joseIssuer(j.payload) != corpURL {
		t.Error("unsigned.jwt: not a token of corp")
	}
}
