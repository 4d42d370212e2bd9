package identity

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
)

var testRules = &jwksRules{algorithms: []string{"RS256", "ES256", "EdDSA"}}

func TestJWKSKeys(t *testing.T) {
	b64 := base64.RawURLEncoding.EncodeToString
	good := func(more map[string]any) map[string]any { return testJWK(t, "ec", "k", more) }
	without := func(name string) map[string]any {
		m := good(nil)
		delete(m, name)
		return m
	}
	modulus := func(bits uint) string {
		n := new(big.Int).Lsh(big.NewInt(1), bits-1)
		return b64(n.Add(n, big.NewInt(1)).Bytes())
	}
	rsaKey := func(more map[string]any) map[string]any {
		return testMerge(map[string]any{"kty": "RSA", "kid": "k", "n": modulus(2048), "e": "AQAB"}, more)
	}
	for _, tc := range []struct {
		name string
		key  map[string]any
		want bool
	}{
		{"EC", good(nil), true},
		{"Ed25519", testJWK(t, "ed", "k", nil), true},
		{"RSA", testJWK(t, "rsa", "k", nil), true},
		{"use sig", good(map[string]any{"use": "sig"}), true},
		{"use enc", good(map[string]any{"use": "enc"}), false},
		{"use a number", good(map[string]any{"use": 1}), false},
		{"key_ops verify", good(map[string]any{"key_ops": []string{"verify"}}), true},
		{"key_ops sign", good(map[string]any{"key_ops": []string{"sign"}}), false},
		{"key_ops empty", good(map[string]any{"key_ops": []string{}}), false},
		{"key_ops a string", good(map[string]any{"key_ops": "verify"}), false},
		{"alg", good(map[string]any{"alg": "ES256"}), true},
		{"alg of another curve", good(map[string]any{"alg": "ES384"}), false},
		{"alg for encryption", testJWK(t, "rsa", "k", map[string]any{"alg": "RSA-OAEP"}), false},
		{"alg not allowed", testJWK(t, "rsa", "k", map[string]any{"alg": "PS256"}), false},
		{"alg empty", good(map[string]any{"alg": ""}), false},
		{"private", good(map[string]any{"d": "AAAA"}), false},
		{"symmetric", map[string]any{"kty": "oct", "kid": "k", "k": "AAAA"}, false},
		{"unknown kty", map[string]any{"kty": "AKP", "kid": "k"}, false},
		{"no kty", without("kty"), false},
		{"no crv", without("crv"), false},
		{"no x", without("x"), false},
		{"x a number", good(map[string]any{"x": 1}), false},
		{"x padded", good(map[string]any{"x": "AAAA="}), false},
		{"x with a line break", good(map[string]any{"x": "AAAA\nAAAA"}), false},
		{"off the curve", good(map[string]any{"x": b64(make([]byte, 32))}), false},
		{"crv not allowed", testJWK(t, "ec384", "k", nil), false},
		{"crv swapped", good(map[string]any{"crv": "P-384"}), false},
		{"kid a number", good(map[string]any{"kid": 1}), false},
		{"kid too long", good(map[string]any{"kid": strings.Repeat("k", 129)}), false},
		{"kid not printable", good(map[string]any{"kid": "a\tb"}), false},
		{"no kid", without("kid"), true},
		{"odd x5c ignored", good(map[string]any{"x5c": []string{"not a certificate"}}), true},
		{"issuer ignored without a rule", good(map[string]any{"issuer": "x"}), true},
		{"RSA 2048", rsaKey(nil), true},
		{"RSA 1024", rsaKey(map[string]any{"n": modulus(1024)}), false},
		{"RSA 2047", rsaKey(map[string]any{"n": modulus(2047)}), false},
		{"RSA 8193", rsaKey(map[string]any{"n": modulus(8193)}), false},
		{"RSA exponent 1", rsaKey(map[string]any{"e": "AQ"}), false},
		{"RSA exponent 3", rsaKey(map[string]any{"e": "Aw"}), true},
		{"RSA exponent even", rsaKey(map[string]any{"e": b64([]byte{1, 0, 0})}), false},
		{"RSA exponent too large", rsaKey(map[string]any{"e": b64([]byte{1, 0, 0, 0, 1})}), false},
		{"RSA modulus even", rsaKey(map[string]any{"n": b64(new(big.Int).Lsh(big.NewInt(1), 2047).Bytes())}), false},
		{"RSA without exponent", rsaKey(map[string]any{"e": nil}), false},
	} {
		set, err := jwksParse(testSet(t, tc.key, testJWK(t, "ed", "other", nil)), testRules)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		want, ignored := 2, 0
		if !tc.want {
			want, ignored = 1, 1
		}
		if len(set.keys) != want || set.ignored != ignored {
			t.Errorf("%s: got %d keys, %d ignored, want %d, %d", tc.name, len(set.keys), set.ignored, want, ignored)
		}
	}
}

func TestJWKSSets(t *testing.T) {
	good := testJSON(t, testJWK(t, "ec", "k", nil))
	twice := strings.Replace(good, "{", `{"use":"sig","use":"sig",`, 1)
	var many []map[string]any
	for i := range jwksMaxKeys + 1 {
		many = append(many, testJWK(t, "ec", fmt.Sprint("k", i), nil))
	}
	for _, tc := range []struct {
		name, body string
		want       int // keys; 0: an error
	}{
		{"one key", `{"keys":[` + good + `]}`, 1},
		{"with more members", `{"a":1,"keys":[` + good + `],"b":[{}]}`, 1},
		{"white space around", "\n{ \"keys\" : [ " + good + " ] }\r\n", 1},
		{"no key", `{"keys":[]}`, 0},
		{"no usable key", `{"keys":[{"kty":"oct","k":"AAAA"}]}`, 0},
		{"keys null", `{"keys":null}`, 0},
		{"keys an object", `{"keys":` + good + `}`, 0},
		{"keys of odd things", `{"keys":[1,"x",null,[],` + good + `]}`, 1},
		{"keys twice", `{"keys":[` + good + `],"keys":[]}`, 0},
		{"no keys", `{}`, 0},
		{"a list", `[` + good + `]`, 0},
		{"one key alone", good, 0},
		{"empty", ``, 0},
		{"HTML", `<!doctype html><title>503</title>`, 0},
		{"cut off", `{"keys":[` + good, 0},
		{"member twice in the key", `{"keys":[` + twice + `]}`, 0},
		{"same kid twice", `{"keys":[` + good + `,` + good + `]}`, 0},
		{"same kid three times and another", `{"keys":[` + good + `,` + good + `,` + good + `,` + testJSON(t, testJWK(t, "ed", "o", nil)) + `]}`, 1},
		{"too many", string(testSet(t, many...)), 0},
		{"as many as may be", string(testSet(t, many[1:]...)), jwksMaxKeys},
		{"too long", `{"keys":[` + good + `],"a":"` + strings.Repeat("a", jwksMaxBytes) + `"}`, 0},
	} {
		set, err := jwksParse([]byte(tc.body), testRules)
		if got := err == nil; got != (tc.want > 0) || got && len(set.keys) != tc.want {
			t.Errorf("%s: got %v, %v, want %d keys", tc.name, set, err, tc.want)
		}
	}
}

func TestJWKSTwinKid(t *testing.T) {
	set, err := jwksParse(testSet(t, testJWK(t, "ec", "k", nil), testJWK(t, "ec2", "k", nil), testJWK(t, "ed", "o", nil)), testRules)
	if err != nil {
		t.Fatal(err)
	}
	key, known, reason := set.pick(&joseHeader{alg: "ES256", kid: "k", hasKid: true}, joseAlgorithms["ES256"])
	if key != nil || !known || reason != ReasonKeyUnknown {
		t.Errorf("twin kid: got %v, known %t, %q", key, known, reason)
	}
	if key, _, _ := set.pick(&joseHeader{alg: "ES256"}, joseAlgorithms["ES256"]); key != nil {
		t.Error("without kid: a key whose kid appears twice was picked")
	}
}

func TestJWKSEntraIssuer(t *testing.T) {
	is, err := newIssuer(new(testEntra(t)), nil)
	if err != nil {
		t.Fatal(err)
	}
	for issuer, want := range map[string]bool{
		entraV2: true, entraV1: true, "https://login.microsoftonline.com/{tenantid}/v2.0": true,
		"https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0": false,
	} {
		body := testSet(t, testJWK(t, "rsa", "k", map[string]any{"issuer": issuer}))
		if _, err := jwksParse(body, &is.keys.rules); (err == nil) != want {
			t.Errorf("key of %s: got %v, want usable %t", issuer, err, want)
		}
	}
}

// TestJWKSWeakRSA checks that a key which golang-jwt would use is dropped while
// its neighbours stay.
func TestJWKSWeakRSA(t *testing.T) {
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Skip("this Go refuses to make a weak key: ", err)
	}
	key := map[string]any{"kty": "RSA", "kid": "weak", "e": "AQAB", "n": base64.RawURLEncoding.EncodeToString(weak.N.Bytes())}
	set, err := jwksParse(testSet(t, key, testJWK(t, "rsa", "strong", nil)), testRules)
	if err != nil || len(set.keys) != 1 || set.keys[0].kid != "strong" {
		t.Errorf("got %v, %v, want the strong key only", set, err)
	}
}

func TestJWKSSucceed(t *testing.T) {
	parse := func(keys ...map[string]any) *jwksSet {
		set, err := jwksParse(testSet(t, keys...), testRules)
		if err != nil {
			t.Fatal(err)
		}
		return set
	}
	old := parse(testJWK(t, "ec", "stays", nil), testJWK(t, "rsa", "goes", nil), testJWK(t, "ec2", "changes", nil))
	next := parse(testJWK(t, "ed", "comes", nil), testJWK(t, "rsa2", "changes", nil), testJWK(t, "ec", "stays", nil))
	next.succeed(old)
	if next.byKid["stays"] != old.byKid["stays"] || old.byKid["stays"].retired.Load() {
		t.Error("a key that stays: got a new identity")
	}
	if !old.byKid["goes"].retired.Load() || !old.byKid["changes"].retired.Load() {
		t.Error("a key that left: not retired")
	}
	if next.byKid["changes"].retired.Load() || next.byKid["comes"].retired.Load() {
		t.Error("a key that came: retired")
	}
}
