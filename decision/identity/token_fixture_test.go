package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

const (
	corpURL    = "https://idp.corp.example"
	entraID    = "7b0cb5f6-9b1c-4a52-8b8e-3f1c7c1d2e3f"
	entraUser  = "0f0e0d0c-0b0a-4908-8706-050403020100"
	entraV1    = "https://sts.windows.net/" + entraID + "/"
	entraV2    = "https://login.microsoftonline.com/" + entraID + "/v2.0"
	testDevice = "3c5f1a7e-0d7b-4f53-9e9e-2f0b8a4c6d10"
)

// testNow is when every test takes place that does not move time.
var testNow = time.Unix(1_780_000_000, 0)

// testKeys are made once: RSA keys are slow to make.
var testKeys = sync.OnceValue(func() map[string]crypto.Signer {
	keys := make(map[string]crypto.Signer)
	for _, name := range []string{"rsa", "rsa2"} {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err)
		}
		keys[name] = k
	}
	for name, curve := range map[string]elliptic.Curve{"ec": elliptic.P256(), "ec2": elliptic.P256(), "ec384": elliptic.P384(), "ec521": elliptic.P521()} {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		if err != nil {
			panic(err)
		}
		keys[name] = k
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	keys["ed"] = ed
	return keys
})

func testSigner(t testing.TB, name string) crypto.Signer {
	t.Helper()
	k := testKeys()[name]
	if k == nil {
		t.Fatalf("no test key %q", name)
	}
	return k
}

// testJWK returns the public key as a JWK with more members.
func testJWK(t testing.TB, name, kid string, more map[string]any) map[string]any {
	t.Helper()
	text, err := jose.JSONWebKey{Key: testSigner(t, name).Public(), KeyID: kid}.MarshalJSON()
	if err != nil {
		t.Fatal(err)
	}
	m := make(map[string]any)
	if err := json.Unmarshal(text, &m); err != nil {
		t.Fatal(err)
	}
	maps.Copy(m, more)
	return m
}

func testSet(t testing.TB, keys ...map[string]any) []byte {
	t.Helper()
	if keys == nil {
		keys = []map[string]any{}
	}
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func testSetFile(t testing.TB, set []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(path, set, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// testCorp is an issuer with every kind of key in a file.
func testCorp(t testing.TB) IssuerOptions {
	t.Helper()
	return IssuerOptions{
		Name: "corp", URL: corpURL, Audiences: []string{"intranet", "other"},
		DeviceClaim: "deviceid", DeviceKind: "entra",
		JWKSFile: testSetFile(t, testSet(t,
			testJWK(t, "rsa", "rsa", nil), testJWK(t, "ec", "ec", nil), testJWK(t, "ed", "ed", nil),
			testJWK(t, "ec384", "ec384", nil), testJWK(t, "ec521", "ec521", nil))),
	}
}

func testEntra(t testing.TB) IssuerOptions {
	t.Helper()
	return IssuerOptions{
		Name: "entra", Entra: true, Tenant: entraID, Audiences: []string{"11112222-3333-4444-5555-666677778888", "api://intranet"},
		DeviceClaim: "deviceid", DeviceKind: "entra",
		JWKSFile: testSetFile(t, testSet(t, testJWK(t, "rsa", "rsa", map[string]any{"issuer": "https://login.microsoftonline.com/{tenantid}/v2.0", "use": "sig"}))),
	}
}

func testTokens(t testing.TB, issuers ...IssuerOptions) *Tokens {
	t.Helper()
	tokens, err := NewTokens(TokenOptions{Issuers: issuers, Now: func() time.Time { return testNow }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tokens.Close)
	return tokens
}

// testClaims are what a good token of corp says; more replaces members, and a
// member set to nil is left out.
func testClaims(more map[string]any) map[string]any {
	m := map[string]any{
		"iss": corpURL, "sub": "alice", "aud": "intranet", "exp": testNow.Unix() + 600, "iat": testNow.Unix() - 60,
		"client_id": "app", "jti": "t-1", "preferred_username": "alice@corp.example",
	}
	return testMerge(m, more)
}

// testEntraClaims are what a good version 2 token of Entra says.
func testEntraClaims(more map[string]any) map[string]any {
	m := map[string]any{
		"iss": entraV2, "sub": "pairwise", "aud": "11112222-3333-4444-5555-666677778888", "exp": testNow.Unix() + 600,
		"iat": testNow.Unix() - 60, "nbf": testNow.Unix() - 60, "tid": entraID, "oid": entraUser, "azp": "client",
		"scp": "access", "ver": "2.0", "uti": "u-1", "preferred_username": "alice@corp.example",
	}
	return testMerge(m, more)
}

func testMerge(m, more map[string]any) map[string]any {
	for k, v := range more {
		if v == nil {
			delete(m, k)
		} else {
			m[k] = v
		}
	}
	return m
}

func testJSON(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// testSign makes a compact JWS of any header and payload text.
func testSign(t testing.TB, alg, key, header, payload string) string {
	t.Helper()
	signed := base64.RawURLEncoding.EncodeToString([]byte(header)) + "." + base64.RawURLEncoding.EncodeToString([]byte(payload))
	method := jwt.GetSigningMethod(alg)
	if method == nil {
		t.Fatalf("no algorithm %q", alg)
	}
	sig, err := method.Sign(signed, testSigner(t, key))
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + base64.RawURLEncoding.EncodeToString(sig)
}

// testToken signs claims with the EC key.
func testToken(t testing.TB, claims map[string]any) string {
	t.Helper()
	return testSign(t, "ES256", "ec", `{"alg":"ES256","kid":"ec","typ":"at+jwt"}`, testJSON(t, claims))
}

func testEntraToken(t testing.TB, claims map[string]any) string {
	t.Helper()
	return testSign(t, "RS256", "rsa", `{"alg":"RS256","kid":"rsa","typ":"JWT"}`, testJSON(t, claims))
}

// testReason returns the reason of an error of Verify, "" for none.
func testReason(t testing.TB, err error) string {
	t.Helper()
	if err == nil {
		return ""
	}
	var refused *TokenError
	if !errors.As(err, &refused) {
		t.Fatalf("error %T is not a *TokenError: %v", err, err)
	}
	return refused.Reason
}

func testMustVerify(t testing.TB, tokens *Tokens, raw string) *Token {
	t.Helper()
	token, err := tokens.Verify(t.Context(), raw)
	if err != nil {
		t.Fatalf("Verify: %v", err)
	}
	return token
}
