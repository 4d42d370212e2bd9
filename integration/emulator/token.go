package emulator

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"errors"
	"math/big"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// tokenKey is made once per process: it is the slowest part of a new server.
var tokenKey = sync.OnceValue(func() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return key
})

// claims are what the resources read of an access token.
type claims struct {
	Aud     string   `json:"aud"`
	Roles   []string `json:"roles"`
	Expires int64    `json:"exp"`
	Issued  int64    `json:"iat"`
	Tenant  string   `json:"tid"`
	App     string   `json:"appid"`
	Number  int64    `json:"number"` // of tokens issued by this server, in order
}

// sign signs with the present key.
func (s *Server) sign(claims jwt.MapClaims) string {
	k := s.login.signing()
	t := jwt.NewWithClaims(jwt.SigningMethodRS256, claims)
	t.Header["kid"] = k.id
	text, err := t.SignedString(k.key)
	if err != nil {
		panic(err) // claims of this package always marshal
	}
	return text
}

// accessToken makes an app-only token with the roles that are granted now.
func (c *call) accessToken(r resource) string {
	audience := r.audience
	if c.after != nil && c.after.Kind == WrongAudience {
		audience = "https://management.example.com"
	}
	l := &c.s.login
	l.mu.Lock()
	roles := slices.DeleteFunc(slices.Clone(rolesOf[r.service]), func(role string) bool { return l.denied[role] })
	l.issued++
	number := l.issued
	l.mu.Unlock()
	return c.s.sign(jwt.MapClaims{
		"number": number, "aud": audience, "iss": "https://sts.windows.net/" + c.s.o.Tenant + "/", "tid": c.s.o.Tenant,
		"iat": c.now.Unix(), "nbf": c.now.Unix(), "exp": c.now.Add(tokenLifetime).Unix(),
		"appid": c.s.o.ClientID, "appidacr": "1", "idtyp": "app", "ver": "1.0",
		"roles": roles, "uti": c.w.Header().Get("request-id"),
	})
}

// authenticate checks the call's credential and permissions. When it answers false
// the call is refused already.
func (c *call) authenticate() bool {
	switch c.route.service {
	case serviceLogin, serviceBlob:
		return true
	case serviceConfigMgr:
		return c.windowsAuth()
	}
	t, why := c.s.parse(bearer(c.r))
	switch {
	case why != "":
	case !c.audience(t.Aud):
		why = "Access token validation failure. Invalid audience " + strconv.Quote(t.Aud) + "."
	case c.now.Unix() >= t.Expires:
		why = "Lifetime validation failed, the token is expired."
	}
	if why != "" {
		return c.refuse(http.StatusUnauthorized, unauthorizedCode(c.route), why)
	}
	c.token = t
	c.s.login.mu.Lock()
	revoked := t.Number <= c.s.login.revoked
	c.s.login.mu.Unlock()
	if revoked {
		c.challenge(c.now)
		return false
	}
	if !c.has(t.Roles) {
		return c.refuse(http.StatusForbidden, forbiddenCode(c.route), "Application is not authorized to perform this operation. It must have one of the following scopes: "+strings.Join(append(slices.Clone(c.route.any), c.route.needs...), ", "))
	}
	return true
}

// challenge is 401 of continuous access evaluation: a token issued later is needed.
func (c *call) challenge(after time.Time) {
	text := `{"access_token":{"nbf":{"essential":true,"value":"` + strconv.FormatInt(after.Unix(), 10) + `"}}}`
	c.w.Header().Set("WWW-Authenticate", `Bearer realm="", authorization_uri="`+c.base+`/login/common/oauth2/authorize", error="insufficient_claims", claims="`+base64.StdEncoding.EncodeToString([]byte(text))+`"`)
	c.fail(http.StatusUnauthorized, unauthorizedCode(c.route), "Continuous access evaluation resulted in challenge with result: InteractionRequired and code: TokenIssuedBeforeRevocationTimestamp")
}

// unauthorizedCode: the services name the same error differently.
func unauthorizedCode(r *route) string {
	if r.service == serviceDefender {
		return "Unauthorized"
	}
	return "InvalidAuthenticationToken"
}

func forbiddenCode(r *route) string {
	if r.scope == scopeDirectory {
		return "Authorization_RequestDenied"
	}
	return "Forbidden"
}

func bearer(r *http.Request) string {
	scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return token
}

// audience reports whether the route's service is what the token is for.
func (c *call) audience(aud string) bool {
	switch c.route.service {
	case serviceGraph:
		return aud == "https://graph.microsoft.com" || aud == c.base+"/graph"
	case serviceDefender: // the old name, also on the new host
		return aud == "https://api.securitycenter.microsoft.com" || aud == "https://securitycenter.onmicrosoft.com/windowsatpservice" || aud == c.base+"/defender-audience"
	}
	return aud == "https://api.manage.microsoft.com/" || strings.TrimSuffix(aud, "/") == c.base+"/nac-resource"
}

// parse verifies a token's signature. Results are kept, since clients send the same
// token with every call.
func (s *Server) parse(text string) (*claims, string) {
	if text == "" {
		return nil, "Access token is empty."
	}
	l := &s.login
	l.mu.Lock()
	t := l.parsed[text]
	l.mu.Unlock()
	if t != nil {
		return t, ""
	}
	t = &claims{}
	_, err := jwt.NewParser(jwt.WithoutClaimsValidation(), jwt.WithValidMethods([]string{"RS256"})).
		ParseWithClaims(text, t, func(t *jwt.Token) (any, error) { return l.keyOf(t) })
	if err != nil {
		return nil, "CompactToken validation failed: " + err.Error()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.parsed) >= 1000 {
		clear(l.parsed)
	}
	l.parsed[text] = t
	return t, ""
}

// keyOf finds the key that a token names, an earlier one included.
func (l *login) keyOf(t *jwt.Token) (any, error) {
	if key := l.verifying(t.Header["kid"]); key != nil {
		return key, nil
	}
	return nil, errors.New("signature key was not found")
}

// The claims are compared by authenticate alone; these satisfy jwt.Claims.
func (*claims) GetExpirationTime() (*jwt.NumericDate, error) { return nil, nil }
func (*claims) GetIssuedAt() (*jwt.NumericDate, error)       { return nil, nil }
func (*claims) GetNotBefore() (*jwt.NumericDate, error)      { return nil, nil }
func (*claims) GetIssuer() (string, error)                   { return "", nil }
func (*claims) GetSubject() (string, error)                  { return "", nil }
func (*claims) GetAudience() (jwt.ClaimStrings, error)       { return nil, nil }

// openID answers the metadata documents: version 1 and 2 have different issuers, and
// that of the tenant "common" has a template in its place.
func (c *call) openID() {
	tenant := c.params[0]
	root := c.base + "/login/" + tenant
	template := tenant
	if tenant == "common" || tenant == "organizations" {
		template = "{tenantid}"
	} else if !c.knownTenant(tenant) {
		c.oauth(http.StatusBadRequest, "invalid_tenant", 90002, "Tenant '"+tenant+"' not found.")
		return
	}
	issuer := c.base + "/login/" + template + "/v2.0"
	if c.route.name == "login/openid-v1" {
		issuer = "https://sts.windows.net/" + template + "/"
	}
	c.json(map[string]any{
		"issuer": issuer, "token_endpoint": root + "/oauth2/v2.0/token", "authorization_endpoint": root + "/oauth2/v2.0/authorize",
		"jwks_uri": root + "/discovery/v2.0/keys", "response_types_supported": []string{"code", "id_token"},
		"subject_types_supported": []string{"pairwise"}, "id_token_signing_alg_values_supported": []string{"RS256"},
	})
}

// keys answers the key set, to be cached for a day, as Entra ID says.
func (c *call) keys() {
	enc := base64.RawURLEncoding.EncodeToString
	k := c.s.login.signing()
	pub := k.key.PublicKey
	c.w.Header().Set("Cache-Control", "max-age=86400, private")
	c.json(map[string]any{"keys": []any{map[string]any{
		"kty": "RSA", "use": "sig", "kid": k.id, "x5t": k.id, "n": enc(pub.N.Bytes()),
		"e": enc(big.NewInt(int64(pub.E)).Bytes()), "issuer": c.base + "/login/{tenantid}/v2.0",
	}}})
}
