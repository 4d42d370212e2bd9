package emulator

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// IdentityHeader is the value of X-IDENTITY-HEADER that the managed identity
// endpoint (/login/msi/token, in the form of App Service) wants.
const IdentityHeader = "emulator-identity"

const (
	tokenLifetime = time.Hour
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
	federationAud = "api://AzureADTokenExchange"
	federationIss = "https://federation.example.com"
)

// login is the state of the authority.
type login struct {
	mu     sync.Mutex
	secret string
	// secretEnd is what the registration says about secret; zero: in half a year.
	secretEnd time.Time
	certs     []*x509.Certificate
	keys      []signingKey    // the last one signs
	denied    map[string]bool // roles that are not granted
	rng       *rand.Rand
	issued    int64 // number of tokens
	revoked   int64 // tokens up to this number are refused
	parsed    map[string]*claims
}

func (l *login) init(o Options) {
	l.secret, l.denied, l.parsed = o.Secret, map[string]bool{}, map[string]*claims{}
	l.keys = []signingKey{{"emulator-key-1", tokenKey()}}
	l.rng = rand.New(rand.NewPCG(o.Seed, 0x6c6f67696e))
}

func (l *login) grant(role string, granted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.denied[role] = !granted
}

// uuid is a new identifier, from the seed like all others.
func (l *login) uuid() (g GUID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := maker{rng: l.rng}
	return m.guid()
}

// SetSecret changes the client secret, as a rotation does.
func (s *Server) SetSecret(secret string) {
	s.login.mu.Lock()
	defer s.login.mu.Unlock()
	s.login.secret = secret
}

// RegisterCertificate lets the application sign in with assertions by the key of cert.
func (s *Server) RegisterCertificate(cert *x509.Certificate) {
	s.login.mu.Lock()
	defer s.login.mu.Unlock()
	s.login.certs = append(s.login.certs, cert)
}

// RevokeTokens makes every token that was issued until now useless: resources answer
// 401 with a claims challenge, as continuous access evaluation does.
func (s *Server) RevokeTokens() {
	s.login.mu.Lock()
	defer s.login.mu.Unlock()
	s.login.revoked = s.login.issued
}

// FederatedToken is a token of a foreign issuer that the application trusts, as a
// workload identity has it in a file. It is good for an hour.
func (s *Server) FederatedToken() string {
	now := s.o.Clock()
	return s.sign(jwt.MapClaims{
		"iss": federationIss, "sub": "system:serviceaccount:gatehouse", "aud": federationAud,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	})
}

// resource is an application that tokens are for.
type resource struct {
	service  service
	audience string
}

// resourceOf finds what a scope or a managed identity's resource names. The audience
// is what was asked; the services compare it themselves.
func (c *call) resourceOf(asked string) (resource, bool) {
	services := []struct {
		audience string
		service  service
	}{
		{"https://graph.microsoft.com", serviceGraph},
		{c.base + "/graph", serviceGraph},
		{"https://api.securitycenter.microsoft.com", serviceDefender},
		{"https://securitycenter.onmicrosoft.com/windowsatpservice", serviceDefender},
		{"https://api.security.microsoft.com", serviceDefender}, // issued, but the service refuses it
		{c.base + "/defender-audience", serviceDefender},
		{c.base + "/defender", serviceDefender}, // as the new host: refused
		{"https://api.manage.microsoft.com/", serviceNAC},
		{"https://api.manage.microsoft.com", serviceNAC}, // one slash too few: refused
		{c.base + "/nac-resource", serviceNAC},
		{c.base + "/nac-resource/", serviceNAC},
	}
	for _, s := range services {
		if s.audience == asked {
			return resource{s.service, asked}, true
		}
	}
	return resource{}, false
}

// issue answers the token endpoint (OAuth 2.0, RFC 6749 section 4.4).
func (c *call) issue() {
	form, err := url.ParseQuery(string(c.input))
	if err != nil || form.Get("grant_type") != "client_credentials" {
		c.oauth(http.StatusBadRequest, "unsupported_grant_type", 70003, "The app requested an unsupported grant type.")
		return
	}
	if !c.knownTenant(c.params[0]) {
		c.oauth(http.StatusBadRequest, "invalid_request", 90002, "Tenant '"+c.params[0]+"' not found.")
		return
	}
	id, secret, basic := c.r.BasicAuth()
	if !basic {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	if id != c.s.o.ClientID {
		c.oauth(http.StatusBadRequest, "unauthorized_client", 700016, "Application with identifier '"+id+"' was not found in the directory.")
		return
	}
	if form.Get("client_assertion_type") == assertionType {
		if code, why := c.assertion(form.Get("client_assertion")); code != 0 {
			c.oauth(http.StatusUnauthorized, "invalid_client", code, why)
			return
		}
	} else if c.s.login.wrong(secret) {
		c.oauth(http.StatusUnauthorized, "invalid_client", 7000215, "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value.")
		return
	}
	scope := form.Get("scope")
	for _, extra := range []string{"openid", "profile", "offline_access"} {
		scope = strings.TrimSpace(strings.ReplaceAll(" "+scope+" ", " "+extra+" ", " "))
	}
	asked, ok := strings.CutSuffix(scope, "/.default")
	if !ok {
		c.oauth(http.StatusBadRequest, "invalid_scope", 1002012, "The provided value for scope "+scope+" is not valid. Client credential flows must have a scope value with /.default suffixed.")
		return
	}
	res, ok := c.resourceOf(asked)
	if !ok {
		c.oauth(http.StatusBadRequest, "invalid_resource", 500011, "The resource principal named "+asked+" was not found in the tenant.")
		return
	}
	c.json(map[string]any{
		"token_type": "Bearer", "expires_in": int(tokenLifetime.Seconds()) - 1, "ext_expires_in": int(tokenLifetime.Seconds()) - 1,
		"access_token": c.accessToken(res),
	})
}

// wrong compares the client secret.
func (l *login) wrong(secret string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return subtle.ConstantTimeCompare([]byte(secret), []byte(l.secret)) != 1
}

// knownTenant: a tenant has an id and a domain.
func (c *call) knownTenant(t string) bool {
	return strings.EqualFold(t, c.s.o.Tenant) || strings.EqualFold(t, TenantDomain)
}

// oauth answers an error of the token endpoint.
func (c *call) oauth(status int, code string, number int, text string) {
	c.violate(fmt.Sprintf("AADSTS%d: %s", number, text))
	c.oauthError(status, code, number, text)
}

// oauthError is the error body of the token endpoint; its texts carry the code that
// clients look for.
func (c *call) oauthError(status int, code string, number int, text string) {
	trace, now := c.w.Header().Get("request-id"), c.now.UTC().Format("2006-01-02 15:04:05Z")
	c.json(map[string]any{
		"error":             code,
		"error_description": fmt.Sprintf("AADSTS%d: %s Trace ID: %s Correlation ID: %s Timestamp: %s", number, text, trace, trace, now),
		"error_codes":       []int{number}, "timestamp": now, "trace_id": trace, "correlation_id": trace,
		"error_uri": fmt.Sprintf("%s/login/error?code=%d", c.base, number),
	})
	c.status = status
}

// json answers a value.
func (c *call) json(v any) {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // only values of this package come here
	}
	c.body = append(c.body[:0], b...)
}

// assertion checks a client assertion (RFC 7523): by a registered certificate or by
// the federation's issuer.
func (c *call) assertion(text string) (code int, why string) {
	endpoint := c.base + c.r.URL.Path
	clock := jwt.WithTimeFunc(c.s.o.Clock)
	parsed, err := jwt.NewParser(clock, jwt.WithExpirationRequired(), jwt.WithValidMethods([]string{"RS256", "PS256"})).
		Parse(text, func(t *jwt.Token) (any, error) {
			if iss, _ := t.Claims.GetIssuer(); iss == federationIss {
				return c.s.login.keyOf(t)
			}
			for _, cert := range c.s.login.certificates() {
				if namesCertificate(t, cert) {
					return cert.PublicKey, nil
				}
			}
			return nil, fmt.Errorf("no registered certificate has this thumbprint")
		})
	if err != nil {
		if strings.Contains(err.Error(), "expired") || strings.Contains(err.Error(), "not valid yet") {
			return 700024, "Client assertion is not within its valid time range."
		}
		return 700027, "Client assertion failed signature validation: " + err.Error()
	}
	aud, _ := parsed.Claims.GetAudience()
	iss, _ := parsed.Claims.GetIssuer()
	sub, _ := parsed.Claims.GetSubject()
	want := []string{endpoint, strings.TrimSuffix(endpoint, "/oauth2/v2.0/token") + "/v2.0"}
	if iss == federationIss {
		want = []string{federationAud}
	} else if iss != c.s.o.ClientID || sub != iss {
		return 700021, "Client assertion application identifier doesn't match 'client_id' parameter."
	}
	if !slices.ContainsFunc(aud, func(a string) bool { return slices.Contains(want, a) }) {
		return 700023, "Client assertion audience claim does not match Realm issuer."
	}
	return 0, ""
}

func (l *login) certificates() []*x509.Certificate {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.certs)
}

// namesCertificate: x5t#S256 or x5t, in either base64 alphabet, as Entra ID accepts.
func namesCertificate(t *jwt.Token, cert *x509.Certificate) bool {
	long, short := sha256.Sum256(cert.Raw), sha1.Sum(cert.Raw)
	for name, sum := range map[string][]byte{"x5t#S256": long[:], "x5t": short[:]} {
		if v, _ := t.Header[name].(string); v != "" {
			v = strings.NewReplacer("+", "-", "/", "_", "=", "").Replace(v)
			return v == base64.RawURLEncoding.EncodeToString(sum)
		}
	}
	return false
}

// managedIdentity answers as App Service does.
func (c *call) managedIdentity() {
	if c.r.Header.Get("X-IDENTITY-HEADER") != IdentityHeader || c.query.Get("api-version") != "2019-08-01" {
		c.oauth(http.StatusUnauthorized, "invalid_request", 0, "X-IDENTITY-HEADER or api-version is wrong.")
		return
	}
	res, ok := c.resourceOf(c.query.Get("resource"))
	if !ok {
		c.oauth(http.StatusBadRequest, "invalid_resource", 500011, "The resource principal was not found in the tenant.")
		return
	}
	c.json(map[string]any{
		"access_token": c.accessToken(res), "expires_on": itoa(int(c.now.Add(tokenLifetime).Unix())),
		"resource": res.audience, "token_type": "Bearer",
	})
}
