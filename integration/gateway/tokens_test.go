package gateway

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

var b64 = base64.RawURLEncoding.EncodeToString

// signText signs a header and a payload byte for byte with ES256.
func signText(t testing.TB, key *ecdsa.PrivateKey, header, payload string) string {
	t.Helper()
	input := b64([]byte(header)) + "." + b64([]byte(payload))
	sum := sha256.Sum256([]byte(input))
	r, s, err := ecdsa.Sign(rand.Reader, key, sum[:])
	if err != nil {
		t.Fatal(err)
	}
	sig := make([]byte, 64)
	r.FillBytes(sig[:32])
	s.FillBytes(sig[32:])
	return input + "." + b64(sig)
}

// payload is alice's good claims as text, with more members in front.
func (s *stand) payload(more string) string {
	now := time.Now().Unix()
	return fmt.Sprintf(`{%s"iss":%q,"aud":"intranet","sub":"alice","deviceid":%q,"iat":%d,"exp":%d}`,
		more, s.Issuer.URL, goodID, now, now+3600)
}

const goodHeader = `{"alg":"ES256","typ":"at+jwt","kid":"k1"}`

// refused checks that none of the tokens gets past the gate, whatever the status
// says in detail: 401, the same for all, and nothing reaches the app.
func (s *stand) refused(tokens map[string]string) {
	s.t.Helper()
	for name, token := range tokens {
		before := s.Upstream.Hits()
		a := rig.Do(s.t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(token)...)
		if a.StatusCode != http.StatusUnauthorized || s.Upstream.Hits() != before {
			s.t.Errorf("%s: status %d, want 401: %.300s", name, a.StatusCode, a.Body)
			continue
		}
		if !strings.Contains(a.Header.Get("WWW-Authenticate"), `error="invalid_token"`) {
			s.t.Errorf("%s: WWW-Authenticate %q", name, a.Header.Get("WWW-Authenticate"))
		}
		if len(token) > 20 && strings.Contains(a.Body, token) {
			s.t.Errorf("%s: the answer repeats the token", name)
		}
	}
}

// accepted checks that the tokens pass: tables of refusals alone prove little.
func (s *stand) accepted(tokens map[string]string) {
	s.t.Helper()
	for name, token := range tokens {
		a := rig.Do(s.t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(token)...)
		if a.StatusCode != http.StatusOK {
			s.t.Errorf("%s: status %d, want 200: %.300s", name, a.StatusCode, a.Body)
		}
	}
}

// TestC1Algorithms: none, and every confusion of key and algorithm.
func TestC1Algorithms(t *testing.T) {
	s := newStand(t, standOptions{})
	key := s.Issuer.Key()
	pub, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(jose.JSONWebKey{Key: key.Public(), KeyID: "k1"})
	if err != nil {
		t.Fatal(err)
	}
	hs := func(secret []byte) string {
		input := b64([]byte(`{"alg":"HS256","typ":"at+jwt","kid":"k1"}`)) + "." + b64([]byte(s.payload("")))
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		return input + "." + b64(mac.Sum(nil))
	}
	parts := strings.Split(s.token(goodID, nil), ".")
	none := func(alg string) string {
		return b64([]byte(`{"alg":"`+alg+`","kid":"k1"}`)) + "." + parts[1] + "."
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	s.accepted(map[string]string{"text signed": signText(t, key, goodHeader, s.payload(""))})
	s.refused(map[string]string{
		"none": none("none"), "None": none("None"), "nOnE with signature": none("nOnE") + parts[2], "empty alg": none(""),
		"hs256 with point": hs(pub), "hs256 with jwk": hs(jwk), "hs256 empty": hs(nil),
		"no signature": parts[0] + "." + parts[1] + ".", "zero signature": parts[0] + "." + parts[1] + "." + b64(make([]byte, 64)),
		"es384 named":  signText(t, key, `{"alg":"ES384","kid":"k1"}`, s.payload("")),
		"rs256 named":  signText(t, key, `{"alg":"RS256","kid":"k1"}`, s.payload("")),
		"alg absent":   signText(t, key, `{"kid":"k1"}`, s.payload("")),
		"alg a number": signText(t, key, `{"alg":1,"kid":"k1"}`, s.payload("")),
		"other key":    signText(t, other, goodHeader, s.payload("")),
	})
}

// TestC2CombinedErrors: expired and badly signed is badly signed.
func TestC2CombinedErrors(t *testing.T) {
	s := newStand(t, standOptions{})
	token := s.token(goodID, rig.Claims{"exp": time.Now().Add(-time.Hour).Unix(), "iat": time.Now().Add(-2 * time.Hour).Unix()})
	a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(token)...)
	if !strings.Contains(a.Header.Get("WWW-Authenticate"), "expired") {
		t.Errorf("expired token: WWW-Authenticate %q", a.Header.Get("WWW-Authenticate"))
	}
	other := rig.NewIssuer(t, s.Issuer.URL)
	bad := other.Token(rig.Claims{"deviceid": goodID, "exp": time.Now().Add(-time.Hour).Unix(), "iat": time.Now().Add(-2 * time.Hour).Unix()})
	a = rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(bad)...)
	if !strings.Contains(a.Header.Get("WWW-Authenticate"), "signature") {
		t.Errorf("expired and badly signed: WWW-Authenticate %q", a.Header.Get("WWW-Authenticate"))
	}
}

// TestC3C22Shape: size and number of parts are bounded before any decoding.
func TestC3C22Shape(t *testing.T) {
	s := newStand(t, standOptions{})
	good := s.token(goodID, nil)
	parts := strings.Split(good, ".")
	s.refused(map[string]string{
		"dots": strings.Repeat(".", 8000), "large": parts[0] + "." + b64([]byte(s.payload(`"pad":"`+strings.Repeat("x", 9000)+`",`))) + "." + parts[2],
		"signed but large": signText(t, s.Issuer.Key(), goodHeader, s.payload(`"pad":"`+strings.Repeat("x", 7000)+`",`)),
		"two parts":        parts[0] + "." + parts[1], "four parts": good + ".x", "five parts": good + ".x.y", "one": "x",
		"jwe": b64([]byte(`{"alg":"dir","enc":"A256GCM","zip":"DEF"}`)) + "..AAAA.AAAA.AAAA",
	})
}

// TestC4Audience: exact elements only.
func TestC4Audience(t *testing.T) {
	s := newStand(t, standOptions{})
	refused, accepted := map[string]string{}, map[string]string{}
	for name, aud := range map[string]any{
		"empty list": []string{}, "absent": nil, "object": map[string]any{"intranet": 1}, "nested": [][]string{{"intranet"}},
		"suffix": "intranet-evil", "prefix": "xintranet", "capitals": "Intranet", "joined": "x,intranet", "null": json.RawMessage("null"),
		"number": 1, "empty": "", "mixed": []any{"intranet", 1},
	} {
		refused[name] = s.token(goodID, rig.Claims{"aud": aud})
	}
	accepted["string"] = s.token(goodID, rig.Claims{"aud": "intranet"})
	accepted["list"] = s.token(goodID, rig.Claims{"aud": []string{"x", "intranet"}})
	s.refused(refused)
	s.accepted(accepted)
}

// TestC5C6C7Header: nothing in the header may change how a token is verified.
func TestC5C6C7Header(t *testing.T) {
	s := newStand(t, standOptions{})
	var fetched atomic.Int64
	evil := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { fetched.Add(1) }))
	defer evil.Close()
	mine, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	jwk, err := json.Marshal(jose.JSONWebKey{Key: mine.Public(), KeyID: "k1"})
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]string{}
	for name, header := range map[string]string{
		"crit": `"crit":["x"],"x":1,`, "crit b64": `"crit":["b64"],"b64":false,`, "crit empty": `"crit":[],`, "crit null": `"crit":null,`,
		"b64": `"b64":false,`, "jwk": `"jwk":` + string(jwk) + `,`, "jku": `"jku":"` + evil.URL + `",`, "x5u": `"x5u":"` + evil.URL + `",`,
		"duplicate alg": `"alg":"none",`, "ALG": `"ALG":"none",`, "zip": `"zip":"DEF",`,
	} {
		refused[name] = signText(t, s.Issuer.Key(), "{"+header+goodHeader[1:], s.payload(""))
		refused[name+" own key"] = signText(t, mine, "{"+header+goodHeader[1:], s.payload(""))
	}
	for _, kid := range []string{`"../../x"`, `"' or 1=1"`, `["k1"]`, `null`, `1`, `"k2"`, `"K1"`, `"k1\u0000"`, `"` + strings.Repeat("k", 4000) + `"`} {
		refused["kid "+kid[:min(len(kid), 12)]] = signText(t, s.Issuer.Key(), `{"alg":"ES256","typ":"at+jwt","kid":`+kid+`}`, s.payload(""))
	}
	s.refused(refused)
	if n := fetched.Load(); n != 0 {
		t.Errorf("the gateway fetched a key named by a token, %d times", n)
	}
}

// TestC12Encodings: one token has one spelling.
func TestC12Encodings(t *testing.T) {
	s := newStand(t, standOptions{})
	good := s.token(goodID, nil)
	parts := strings.Split(good, ".")
	last := good[len(good)-1]
	flipped := good[:len(good)-1] + string("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"[(strings.IndexByte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_", last)+1)%64])
	s.accepted(map[string]string{"good": good, "again": good})
	s.refused(map[string]string{
		"unused bit": flipped, "padding": good + "=", "padded parts": parts[0] + "=." + parts[1] + "." + parts[2],
		"space": parts[0] + " ." + parts[1] + "." + parts[2], "standard alphabet": parts[0] + "." + parts[1] + "." + "+/" + parts[2][2:],
		"quoted": `"` + good + `"`, "signature cut": good[:len(good)-2],
	})
}

// TestC13C21Members: what two parsers could read differently is refused.
func TestC13C21Members(t *testing.T) {
	s := newStand(t, standOptions{})
	refused := map[string]string{}
	for name, more := range map[string]string{
		"duplicate sub": `"sub":"bob",`, "SUB": `"SUB":"bob",`, "long s": `"` + "\u017f" + `ub":"bob",`, "DeviceID": `"DeviceID":"x",`,
		"deviceId": `"deviceId":"` + badID + `",`, "duplicate device": `"deviceid":"` + badID + `",`, "escaped duplicate": `"\u0073ub":"bob",`,
		"NUL": `"preferred_username":"a\u0000admin",`, "bad UTF-8": "\"preferred_username\":\"a\xff\",", "lone surrogate": `"preferred_username":"a\ud800",`,
		"deep": `"x":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `,`, "many": manyMembers(400), "Exp": `"Exp":1,`,
		"trailing comma": `,`, "groups object": `"groups":{"a":1},`, "cnf unknown": `"cnf":{"jkt":"x"},`, "cnf null": `"cnf":null,`,
	} {
		refused[name] = signText(t, s.Issuer.Key(), goodHeader, s.payload(more))
	}
	refused["trailing data"] = signText(t, s.Issuer.Key(), goodHeader, s.payload("")+"{}")
	refused["array"] = signText(t, s.Issuer.Key(), goodHeader, "["+s.payload("")+"]")
	refused["empty"] = signText(t, s.Issuer.Key(), goodHeader, "")
	refused["bom"] = signText(t, s.Issuer.Key(), goodHeader, "\ufeff"+s.payload(""))
	s.refused(refused)
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `"m%d":1,`, i)
	}
	return b.String()
}

// TestC14Times: exp is required, a number, in seconds, and bounded.
func TestC14Times(t *testing.T) {
	s := newStand(t, standOptions{})
	now := time.Now().Unix()
	refused, accepted := map[string]string{}, map[string]string{}
	for name, claims := range map[string]rig.Claims{
		"exp absent": {"exp": nil}, "exp null": {"exp": json.RawMessage("null")}, "exp text": {"exp": fmt.Sprint(now + 600)},
		"exp 1e30": {"exp": 1e30}, "exp milliseconds": {"exp": (now + 600) * 1000}, "exp negative": {"exp": -1}, "exp zero": {"exp": 0},
		"exp past the leeway": {"exp": now - 62, "iat": now - 600}, "iat in an hour": {"iat": now + 3600, "exp": now + 7200},
		"nbf in an hour": {"nbf": now + 3600}, "nbf text": {"nbf": "x"}, "lives for a week": {"exp": now + 7*86400},
		"auth_time in an hour": {"auth_time": now + 3600}, "exp list": {"exp": []int64{now + 600}},
	} {
		refused[name] = s.token(goodID, claims)
	}
	accepted["exp within the leeway"] = s.token(goodID, rig.Claims{"exp": now - 30, "iat": now - 600})
	accepted["exp fraction"] = s.token(goodID, rig.Claims{"exp": float64(now) + 600.5})
	s.refused(refused)
	s.accepted(accepted)
}

// TestC15C16IssuerBinding: a key counts for its own issuer and tenant only.
func TestC15C16IssuerBinding(t *testing.T) {
	const tenant, otherTenant = "aaaaaaaa-1111-4111-8111-aaaaaaaaaaaa", "bbbbbbbb-1111-4111-8111-bbbbbbbbbbbb"
	second := rig.NewIssuer(t, "https://second.corp.example")
	entra := rig.NewIssuer(t, "https://login.microsoftonline.com/"+tenant+"/v2.0")
	s := newStand(t, standOptions{Compliance: fmt.Sprintf(`
		issuer second %s {
			jwks file %s
			audience intranet
			device_claim deviceid entra
		}
		issuer entra {
			tenant %s
			jwks file %s
			audience intranet
			device_claim deviceid entra
		}`, second.URL, second.JWKS, tenant, entra.JWKS)})
	claims := func(more rig.Claims) rig.Claims {
		c := rig.Claims{"deviceid": goodID, "tid": tenant, "oid": "cccccccc-1111-4111-8111-cccccccccccc", "ver": "2.0", "azp": "x", "scp": "read"}
		for k, v := range more {
			c[k] = v
		}
		return c
	}
	s.accepted(map[string]string{
		"first": s.token(goodID, nil), "second": second.Token(rig.Claims{"deviceid": goodID}), "entra": entra.Token(claims(nil)),
	})
	s.refused(map[string]string{
		"second's key":        second.Token(rig.Claims{"deviceid": goodID, "iss": s.Issuer.URL}),
		"first's key":         s.token(goodID, rig.Claims{"iss": second.URL}),
		"unknown issuer":      s.token(goodID, rig.Claims{"iss": "https://evil.example"}),
		"issuer with slash":   s.token(goodID, rig.Claims{"iss": s.Issuer.URL + "/"}),
		"issuer in capitals":  s.token(goodID, rig.Claims{"iss": strings.ToUpper(s.Issuer.URL)}),
		"issuer absent":       s.token(goodID, rig.Claims{"iss": nil}),
		"other tenant":        entra.Token(claims(rig.Claims{"tid": otherTenant})),
		"other tenant's iss":  entra.Token(claims(rig.Claims{"tid": otherTenant, "iss": strings.Replace(entra.URL, tenant, otherTenant, 1)})),
		"tenant absent":       entra.Token(claims(rig.Claims{"tid": nil})),
		"common":              entra.Token(claims(rig.Claims{"iss": strings.Replace(entra.URL, tenant, "common", 1)})),
		"first's as entra":    s.token(goodID, claims(rig.Claims{"iss": entra.URL})),
		"entra's as first's":  entra.Token(claims(rig.Claims{"iss": s.Issuer.URL})),
		"issuer list":         s.token(goodID, rig.Claims{"iss": []string{s.Issuer.URL}}),
		"fragment of issuer":  s.token(goodID, rig.Claims{"iss": s.Issuer.URL + "#x"}),
		"issuer with NUL end": s.token(goodID, rig.Claims{"iss": s.Issuer.URL + "\x00"}),
	})
}

// TestC17Kinds: tokens for another purpose are no access tokens.
func TestC17Kinds(t *testing.T) {
	s := newStand(t, standOptions{})
	key := s.Issuer.Key()
	s.refused(map[string]string{
		"logout token":      signText(t, key, `{"alg":"ES256","typ":"logout+jwt","kid":"k1"}`, s.payload("")),
		"security event":    signText(t, key, `{"alg":"ES256","typ":"secevent+jwt","kid":"k1"}`, s.payload("")),
		"events":            s.token(goodID, rig.Claims{"events": map[string]any{}}),
		"id token":          signText(t, key, `{"alg":"ES256","typ":"JWT","kid":"k1"}`, s.payload(`"nonce":"n",`)),
		"id token, at_hash": signText(t, key, `{"alg":"ES256","kid":"k1"}`, s.payload(`"at_hash":"n",`)),
		"refresh token":     signText(t, key, `{"alg":"ES256","typ":"JWT","kid":"k1"}`, s.payload(`"typ":"Refresh",`)),
		"token_use id":      s.token(goodID, rig.Claims{"token_use": "id"}),
		"our assertion":     signText(t, key, `{"alg":"ES256","typ":"gatehouse-assertion+jwt","kid":"k1"}`, s.payload("")),
		"dpop proof":        signText(t, key, `{"alg":"ES256","typ":"dpop+jwt","kid":"k1"}`, s.payload("")),
	})
}

// TestC23MalformedIsNotAbsent: a broken credential never counts as none, and none
// never as a good one.
func TestC23MalformedIsNotAbsent(t *testing.T) {
	s := newStand(t, standOptions{
		Policies:   "policy device {\nrequire compliant\n}",
		Directives: "compliance device",
	})
	c := s.client("h1", goodID)
	if a := rig.Do(t, c, http.MethodGet, s.url("/")); a.StatusCode != http.StatusOK {
		t.Fatalf("certificate alone: status %d: %s", a.StatusCode, a.Body)
	}
	for name, token := range map[string]string{
		"signature": rig.NewIssuer(t, s.Issuer.URL).Token(nil), "audience": s.Issuer.Token(rig.Claims{"aud": "x"}),
		"cut": strings.TrimSuffix(s.Issuer.Token(nil), "A") + "!",
	} {
		before := s.Upstream.Hits()
		a := rig.Do(t, c, http.MethodGet, s.url("/"), rig.Bearer(token)...)
		if name != "cut" && (a.StatusCode != http.StatusUnauthorized || s.Upstream.Hits() != before) {
			t.Errorf("%s: a good certificate with a bad token: status %d, want 401", name, a.StatusCode)
		}
	}
	for _, value := range []string{"Basic YTpi", "Negotiate x", "bearer", "Bearer", "Bearer  ", "", "DPoP x", "Bearer\tx"} {
		a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), "Authorization", value)
		if a.StatusCode == http.StatusOK {
			t.Errorf("Authorization %q alone: passes", value)
		}
	}
	for _, cookie := range []string{`a=%zz; s="`, strings.Repeat("a=b;", 1000), "__Host-gatehouse=x", "gatehouse_session=" + strings.Repeat("A", 4000)} {
		a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), "Cookie", cookie)
		if a.StatusCode == http.StatusOK {
			t.Errorf("cookie %.30q alone: passes", cookie)
		}
	}
}

// TestC24BoundTokens: a token of one device does not work from another, and a
// bound token only with its certificate.
func TestC24BoundTokens(t *testing.T) {
	s := newStand(t, standOptions{
		Policies:   "policy standard {\nrequire user\nrequire compliant\n}\npolicy bound {\nrequire user\nrequire proof bound_token\n}",
		Directives: "compliance standard\n@bound path /bound\ncompliance @bound bound",
	})
	cert := s.DeviceCA.Device(goodID, nil)
	c := rig.NewClient(t, rig.ClientOptions{Protocol: "h2", Authority: s.ServerCA, Port: s.Port, Certificate: &cert})
	sum := sha256.Sum256(cert.Certificate[0])
	bound := s.token(goodID, rig.Claims{"cnf": map[string]any{"x5t#S256": b64(sum[:])}})
	if a := rig.Do(t, c, http.MethodGet, s.url("/bound"), rig.Bearer(bound)...); a.StatusCode != http.StatusOK {
		t.Errorf("bound token with its certificate: status %d: %s", a.StatusCode, a.Body)
	}
	for name, client := range map[string]*http.Client{"another certificate": s.client("h2", goodID), "no certificate": s.client("h2", "")} {
		a := rig.Do(t, client, http.MethodGet, s.url("/"), rig.Bearer(bound)...)
		if a.StatusCode != http.StatusUnauthorized {
			t.Errorf("bound token with %s: status %d, want 401", name, a.StatusCode)
		}
	}
	a := rig.Do(t, s.client("h2", graceID), http.MethodGet, s.url("/"), rig.Bearer(s.token(goodID, nil))...)
	if a.StatusCode != http.StatusForbidden || a.Problem(t).Codes()[0] != "device_ambiguous" {
		t.Errorf("token of one device on another: status %d: %s", a.StatusCode, a.Body)
	}
	if a := rig.Do(t, s.client("h2", ""), http.MethodGet, s.url("/bound"), rig.Bearer(s.token(goodID, nil))...); a.StatusCode != http.StatusForbidden {
		t.Errorf("plain token where a bound one is needed: status %d", a.StatusCode)
	}
}

// TestF7TokenEnds: what is remembered about a token ends with the token.
func TestF7TokenEnds(t *testing.T) {
	s := newStand(t, standOptions{Issuer: "leeway 1s"})
	var token string
	get := func() int {
		return rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(token)...).StatusCode
	}
	for life := 2 * time.Second; ; life *= 2 { // a busy machine may need longer than the first ones
		end := time.Now().Add(life).Truncate(time.Second)
		token = s.token(goodID, rig.Claims{"exp": end.Unix()})
		got := get()
		if got == http.StatusOK {
			break
		}
		if time.Now().Before(end) || life > time.Minute {
			t.Fatalf("status %d, want 200", got)
		}
	}
	rig.Eventually(t, time.Minute, "the token ends", func() bool { return get() == http.StatusUnauthorized })
}
