package identity

import (
	"encoding/base64"
	"slices"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
)

// TestRefuseHeaders has one row for every way to misuse a header, with a good
// signature where there can be one.
func TestRefuseHeaders(t *testing.T) {
	tokens := testTokens(t, testCorp(t))
	for _, tc := range []struct{ name, header, want string }{
		{"good", `{"alg":"ES256","kid":"ec","typ":"at+jwt"}`, ""},
		{"typ JWT", `{"alg":"ES256","kid":"ec","typ":"JWT"}`, ""},
		{"typ absent", `{"alg":"ES256","kid":"ec"}`, ""},
		{"typ in full, upper case", `{"alg":"ES256","kid":"ec","typ":"application/AT+JWT"}`, ""},
		{"x5c ignored", `{"alg":"ES256","kid":"ec","x5c":["MIIB"]}`, ""},
		{"crit unknown", `{"alg":"ES256","kid":"ec","crit":["x"],"x":1}`, ReasonHeader},
		{"crit b64", `{"alg":"ES256","kid":"ec","crit":["b64"],"b64":false}`, ReasonHeader},
		{"crit empty", `{"alg":"ES256","kid":"ec","crit":[]}`, ReasonHeader},
		{"crit null", `{"alg":"ES256","kid":"ec","crit":null}`, ReasonHeader},
		{"b64 alone", `{"alg":"ES256","kid":"ec","b64":true}`, ReasonHeader},
		{"embedded jwk", `{"alg":"ES256","kid":"ec","jwk":{"kty":"EC"}}`, ReasonHeader},
		{"jku", `{"alg":"ES256","kid":"ec","jku":"https://a.example/k"}`, ReasonHeader},
		{"x5u", `{"alg":"ES256","kid":"ec","x5u":"https://a.example/k"}`, ReasonHeader},
		{"zip", `{"alg":"ES256","kid":"ec","zip":"DEF"}`, ReasonHeader},
		{"alg twice", `{"alg":"none","alg":"ES256","kid":"ec"}`, ReasonMalformed},
		{"unused member twice", `{"alg":"ES256","kid":"ec","z":1,"z":2}`, ReasonMalformed},
		{"Alg beside alg", `{"alg":"ES256","Alg":"none","kid":"ec"}`, ReasonMalformed},
		{"CRIT", `{"alg":"ES256","kid":"ec","CRIT":["x"]}`, ReasonMalformed},
		{"alg lower case", `{"alg":"es256","kid":"ec"}`, ReasonAlgorithm},
		{"alg none", `{"alg":"none","kid":"ec"}`, ReasonAlgorithm},
		{"alg noNE", `{"alg":"noNE","kid":"ec"}`, ReasonAlgorithm},
		{"alg HS256", `{"alg":"HS256","kid":"ec"}`, ReasonAlgorithm},
		{"alg of another key", `{"alg":"RS256","kid":"ec"}`, ReasonAlgorithm},
		{"alg not allowed", `{"alg":"ES384","kid":"ec384"}`, ReasonAlgorithm},
		{"alg absent", `{"kid":"ec"}`, ReasonAlgorithm},
		{"alg empty", `{"alg":"","kid":"ec"}`, ReasonAlgorithm},
		{"alg a number", `{"alg":1,"kid":"ec"}`, ReasonHeader},
		{"kid a number", `{"alg":"ES256","kid":7}`, ReasonHeader},
		{"kid a list", `{"alg":"ES256","kid":["ec"]}`, ReasonHeader},
		{"kid null", `{"alg":"ES256","kid":null}`, ReasonHeader},
		{"kid empty", `{"alg":"ES256","kid":""}`, ReasonHeader},
		{"kid too long", `{"alg":"ES256","kid":"` + strings.Repeat("k", 129) + `"}`, ReasonHeader},
		{"kid with NUL", `{"alg":"ES256","kid":"ec\u0000"}`, ReasonHeader},
		{"kid a path", `{"alg":"ES256","kid":"../../ec"}`, ReasonKeyUnknown},
		{"kid SQL", `{"alg":"ES256","kid":"' or 1=1"}`, ReasonKeyUnknown},
		{"kid of another key", `{"alg":"ES256","kid":"rsa"}`, ReasonAlgorithm},
		{"kid of a key of a type not allowed", `{"alg":"ES256","kid":"ec521"}`, ReasonKeyUnknown},
		{"typ a list", `{"alg":"ES256","kid":"ec","typ":["JWT"]}`, ReasonHeader},
		{"typ secevent", `{"alg":"ES256","kid":"ec","typ":"secevent+jwt"}`, ReasonType},
		{"typ logout", `{"alg":"ES256","kid":"ec","typ":"logout+jwt"}`, ReasonType},
		{"typ dpop", `{"alg":"ES256","kid":"ec","typ":"dpop+jwt"}`, ReasonType},
		{"typ empty", `{"alg":"ES256","kid":"ec","typ":""}`, ReasonType},
		{"not an object", `["alg"]`, ReasonMalformed},
		{"trailing data", `{"alg":"ES256","kid":"ec"}{}`, ReasonMalformed},
		{"bad UTF-8", "{\"alg\":\"ES256\",\"kid\":\"ec\",\"a\":\"\xff\"}", ReasonMalformed},
		{"too deep", `{"alg":"ES256","kid":"ec","a":` + strings.Repeat("[", 33) + strings.Repeat("]", 33) + `}`, ReasonMalformed},
		{"too long", `{"alg":"ES256","kid":"ec","a":"` + strings.Repeat("a", 4100) + `"}`, ReasonMalformed},
	} {
		raw := testSign(t, "ES256", "ec", tc.header, testJSON(t, testClaims(nil)))
		_, err := tokens.Verify(t.Context(), raw)
		if got := testReason(t, err); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

// TestRefuseKeys covers confusion of algorithms and keys.
func TestRefuseKeys(t *testing.T) {
	other := IssuerOptions{
		Name: "other", URL: "https://other.example", Audiences: []string{"intranet"},
		JWKSFile: testSetFile(t, testSet(t, testJWK(t, "ec2", "ec", nil))),
	}
	one := IssuerOptions{
		Name: "one", URL: "https://one.example", Audiences: []string{"intranet"}, Algorithms: []string{"RS256", "RS512", "ES256"},
		JWKSFile: testSetFile(t, testSet(t, testJWK(t, "ec2", "only", nil), testJWK(t, "rsa", "rsa", map[string]any{"alg": "RS512"}))),
	}
	tokens := testTokens(t, testCorp(t), other, one)
	claims := testJSON(t, testClaims(nil))
	ofOne := testJSON(t, testClaims(map[string]any{"iss": "https://one.example"}))
	public := []byte(testJSON(t, testJWK(t, "rsa", "rsa", nil)))
	hs := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"rsa"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims))
	mac, err := jwt.SigningMethodHS256.Sign(hs, public)
	if err != nil {
		t.Fatal(err)
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + "."
	for _, tc := range []struct{ name, raw, want string }{
		{"none without signature", none, ReasonMalformed},
		{"none with some", none + "AAAA", ReasonAlgorithm},
		{"HS256 with the public key", hs + "." + base64.RawURLEncoding.EncodeToString(mac), ReasonAlgorithm},
		{"key of another issuer, same kid", testSign(t, "ES256", "ec2", `{"alg":"ES256","kid":"ec"}`, claims), ReasonSignature},
		{"two candidates without kid", testSign(t, "RS256", "rsa2", `{"alg":"RS256"}`, claims), ReasonSignature},
		{"one candidate without kid", testSign(t, "ES256", "ec2", `{"alg":"ES256"}`, ofOne), ""},
		{"key bound to another alg", testSign(t, "RS256", "rsa", `{"alg":"RS256","kid":"rsa"}`, ofOne), ReasonAlgorithm},
		{"no candidate without kid", testSign(t, "RS256", "rsa", `{"alg":"RS256"}`, ofOne), ReasonKeyUnknown},
	} {
		_, err := tokens.Verify(t.Context(), tc.raw)
		if got := testReason(t, err); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

// TestRefuseText covers damage to the compact form.
func TestRefuseText(t *testing.T) {
	tokens := testTokens(t, testCorp(t))
	good := testToken(t, testClaims(nil))
	parts := strings.Split(good, ".")
	// The last character of a 64-byte signature has four unused low bits.
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := strings.IndexByte(alphabet, good[len(good)-1])
	for _, tc := range []struct{ name, raw, want string }{
		{"good", good, ""},
		{"empty", "", ReasonMalformed},
		{"newline at the end", good + "\n", ReasonMalformed},
		{"newline inside", good[:len(good)-4] + "\r\n" + good[len(good)-4:], ReasonMalformed},
		{"space before", " " + good, ReasonMalformed},
		{"padding", good + "=", ReasonMalformed},
		{"standard alphabet", parts[0] + "." + parts[1] + ".+/+/", ReasonMalformed},
		{"unused bits", good[:len(good)-1] + alphabet[last+1:last+2], ReasonSignature},
		{"one dot", parts[0] + "." + parts[1], ReasonMalformed},
		{"three dots", good + ".AAAA", ReasonMalformed},
		{"many dots", strings.Repeat(".", 8000), ReasonMalformed},
		{"no signature", parts[0] + "." + parts[1] + ".", ReasonMalformed},
		{"no payload", parts[0] + ".." + parts[2], ReasonMalformed},
		{"no header", "." + parts[1] + "." + parts[2], ReasonMalformed},
		{"JWE", "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIiwiemlwIjoiREVGIn0..AAAA.AAAA.AAAA", ReasonEncrypted},
		{"too large", good + strings.Repeat("A", 8<<10), ReasonTooLarge},
		{"changed payload", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(testJSON(t, testClaims(map[string]any{"sub": "bob"})))) + "." + parts[2], ReasonSignature},
		{"expired and changed", parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(testJSON(t, testClaims(map[string]any{"exp": 5})))) + "." + parts[2], ReasonSignature},
		{"cut signature", good[:len(good)-8], ReasonSignature},
	} {
		_, err := tokens.Verify(t.Context(), tc.raw)
		if got := testReason(t, err); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

// TestRefusePayloads covers payload text that parsers read differently.
func TestRefusePayloads(t *testing.T) {
	tokens := testTokens(t, testCorp(t))
	good := strings.TrimSuffix(testJSON(t, testClaims(nil)), "}")
	for _, tc := range []struct{ name, payload, want string }{
		{"good", good + `}`, ""},
		{"iss twice", good + `,"iss":"` + corpURL + `"}`, ReasonUnknownIssuer},
		{"ISS beside iss", good + `,"ISS":"x"}`, ReasonUnknownIssuer},
		{"iss null", strings.Replace(good, `"`+corpURL+`"`, "null", 1) + `}`, ReasonUnknownIssuer},
		{"sub twice", good + `,"sub":"admin"}`, ReasonMalformed},
		{"SUB", good + `,"SUB":"admin"}`, ReasonMalformed},
		{"long s", good + `,"\u017fub":"admin"}`, ReasonMalformed},
		{"long s, escaped s", good + `,"\u0073ub":"admin"}`, ReasonMalformed},
		{"Kelvin sign has no used claim", good + `,"\u212aey":"x"}`, ""},
		{"DeviceID", good + `,"DeviceID":"` + testDevice + `"}`, ReasonMalformed},
		{"deviceid then DEVICEID", good + `,"deviceid":"` + testDevice + `","DEVICEID":"x"}`, ReasonMalformed},
		{"unused claims may differ in case", good + `,"Team":1,"team":2}`, ""},
		{"nested duplicate", good + `,"a":{"b":1,"b":2}}`, ReasonMalformed},
		{"NUL in sub", strings.Replace(good, `"alice"`, `"a\u0000admin"`, 1) + `}`, ReasonClaim},
		{"control in groups", good + `,"groups":["a\nb"]}`, ReasonClaim},
		{"bad UTF-8", strings.Replace(good, "alice\"", "a\xff\"", 1) + `}`, ReasonMalformed},
		{"half a surrogate", strings.Replace(good, `"alice"`, `"a\ud800"`, 1) + `}`, ReasonMalformed},
		{"replacement character", strings.Replace(good, `"alice"`, "\"a\ufffd\"", 1) + `}`, ReasonClaim},
		{"number out of range", good + `,"n":1e999}`, ReasonMalformed},
		{"trailing data", good + `} {}`, ReasonMalformed},
		{"trailing comma", good + `,}`, ReasonMalformed},
		{"leading space", " " + good + `}`, ReasonMalformed},
		{"byte order mark", "\ufeff" + good + `}`, ReasonMalformed},
		{"too many members", good + `,"a":{` + testMembers(256) + `}}`, ReasonMalformed},
		{"too deep", good + `,"a":` + strings.Repeat("[", 33) + strings.Repeat("]", 33) + `}`, ReasonMalformed},
		{"not an object", `"x"`, ReasonMalformed},
		{"null", `null`, ReasonMalformed},
	} {
		raw := testSign(t, "ES256", "ec", `{"alg":"ES256","kid":"ec"}`, tc.payload)
		_, err := tokens.Verify(t.Context(), raw)
		if got := testReason(t, err); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func testMembers(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(`"m` + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + string(rune('a'+i/26)) + `":1`)
	}
	return b.String()
}

// TestRefuseClaims covers claims that are well formed and not acceptable.
func TestRefuseClaims(t *testing.T) {
	tokens := testTokens(t, testCorp(t))
	thumbprint := strings.Repeat("A", 43)
	for _, tc := range []struct {
		name string
		more map[string]any
		want string
	}{
		{"other issuer", map[string]any{"iss": "https://elsewhere.example"}, ReasonUnknownIssuer},
		{"issuer with a slash", map[string]any{"iss": corpURL + "/"}, ReasonUnknownIssuer},
		{"audience list", map[string]any{"aud": []string{"x", "intranet"}}, ""},
		{"audience empty list", map[string]any{"aud": []string{}}, ReasonAudience},
		{"audience missing", map[string]any{"aud": nil}, ReasonAudience},
		{"audience empty", map[string]any{"aud": ""}, ReasonAudience},
		{"audience an object", map[string]any{"aud": map[string]any{"intranet": 1}}, ReasonAudience},
		{"audience nested", map[string]any{"aud": [][]string{{"intranet"}}}, ReasonAudience},
		{"audience mixed", map[string]any{"aud": []any{"intranet", 1}}, ReasonAudience},
		{"audience longer", map[string]any{"aud": "intranet-evil"}, ReasonAudience},
		{"audience with a slash", map[string]any{"aud": "intranet/"}, ReasonAudience},
		{"subject missing", map[string]any{"sub": nil}, ReasonClaim},
		{"subject empty", map[string]any{"sub": ""}, ReasonClaim},
		{"subject a number", map[string]any{"sub": 1}, ReasonClaim},
		{"name a list", map[string]any{"preferred_username": []string{"a"}}, ReasonClaim},
		{"name with spaces around", map[string]any{"preferred_username": "alice "}, ReasonClaim},
		{"device a number", map[string]any{"deviceid": 5}, ReasonClaim},
		{"device no GUID", map[string]any{"deviceid": "laptop"}, ReasonClaim},
		{"device null GUID", map[string]any{"deviceid": "00000000-0000-0000-0000-000000000000"}, ReasonClaim},
		{"device empty", map[string]any{"deviceid": ""}, ReasonClaim},
		{"device null", map[string]any{"deviceid": (*string)(nil)}, ReasonClaim},
		{"groups an object", map[string]any{"groups": map[string]any{"a": 1}}, ReasonClaim},
		{"acr a number", map[string]any{"acr": 2}, ReasonClaim},
		{"bound by DPoP", map[string]any{"cnf": map[string]any{"jkt": thumbprint}}, ReasonBinding},
		{"bound twice", map[string]any{"cnf": map[string]any{"jkt": thumbprint, "x5t#S256": thumbprint}}, ReasonBinding},
		{"bound to nothing", map[string]any{"cnf": map[string]any{}}, ReasonBinding},
		{"binding a string", map[string]any{"cnf": thumbprint}, ReasonBinding},
		{"binding too short", map[string]any{"cnf": map[string]any{"x5t#S256": "AAAA"}}, ReasonBinding},
		{"binding padded", map[string]any{"cnf": map[string]any{"x5t#S256": thumbprint[:42] + "="}}, ReasonBinding},
		{"security event", map[string]any{"events": map[string]any{}}, ReasonType},
		{"Cognito ID token", map[string]any{"token_use": "id"}, ReasonType},
		{"Keycloak refresh token", map[string]any{"typ": "Refresh"}, ReasonType},
	} {
		_, err := tokens.Verify(t.Context(), testToken(t, testClaims(tc.more)))
		if got := testReason(t, err); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
	// Marks of an ID token count unless the header settles the type.
	for _, mark := range []string{"nonce", "at_hash", "c_hash"} {
		claims := testJSON(t, testClaims(map[string]any{mark: "x"}))
		for typ, want := range map[string]string{"JWT": ReasonType, "at+jwt": ""} {
			raw := testSign(t, "ES256", "ec", `{"alg":"ES256","kid":"ec","typ":"`+typ+`"}`, claims)
			if _, err := tokens.Verify(t.Context(), raw); testReason(t, err) != want {
				t.Errorf("%s with typ %s: got %v, want %q", mark, typ, err, want)
			}
		}
	}
}

func TestRefuseEntra(t *testing.T) {
	tokens := testTokens(t, testEntra(t))
	const other = "9188040d-6c67-4c5b-b112-36a304b66dad"
	for _, tc := range []struct {
		name string
		more map[string]any
		want string
	}{
		{"tid of another tenant", map[string]any{"tid": other}, ReasonTenant},
		{"tid missing", map[string]any{"tid": nil}, ReasonTenant},
		{"tid a list", map[string]any{"tid": []string{entraID}}, ReasonTenant},
		{"tid in upper case", map[string]any{"tid": strings.ToUpper(entraID)}, ""},
		{"iss of another tenant", map[string]any{"iss": strings.Replace(entraV2, entraID, other, 1), "tid": other}, ReasonUnknownIssuer},
		{"iss of the template", map[string]any{"iss": "https://login.microsoftonline.com/{tenantid}/v2.0"}, ReasonUnknownIssuer},
		{"iss v1 without slash", map[string]any{"iss": strings.TrimSuffix(entraV1, "/")}, ReasonUnknownIssuer},
		{"ID token", map[string]any{"azp": nil, "scp": nil}, ReasonType},
		{"oid missing", map[string]any{"oid": nil}, ReasonClaim},
		{"oid no GUID", map[string]any{"oid": "alice"}, ReasonClaim},
		{"audience slash on a GUID", map[string]any{"aud": "11112222-3333-4444-5555-666677778888/"}, ReasonAudience},
		{"proof of possession", map[string]any{"cnf": map[string]any{"kid": "x"}}, ReasonBinding},
	} {
		_, err := tokens.Verify(t.Context(), testEntraToken(t, testEntraClaims(tc.more)))
		if got := testReason(t, err); got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, got, tc.want)
		}
	}
}

func TestTokenReasons(t *testing.T) {
	if len(TokenReasons) != 17 || len(slices.Compact(slices.Sorted(slices.Values(TokenReasons)))) != len(TokenReasons) {
		t.Errorf("reasons: got %d, want 17 different ones", len(TokenReasons))
	}
	for _, reason := range TokenReasons {
		e := &TokenError{Reason: reason, Issuer: "corp", Claim: "aud"}
		if got := e.Unavailable(); got != (reason == "keys_unavailable") {
			t.Errorf("%s: unavailable: got %t", reason, got)
		}
	}
}
