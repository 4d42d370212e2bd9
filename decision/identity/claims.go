package identity

import (
	"math"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"
)

// Limits of the claims that are read.
const (
	claimMaxText   = 1024
	claimMaxGroups = 1000
	claimMaxList   = 100 // amr, acrs, xms_cc, aud
)

// claimNames are the claims that we read from every token. A member that
// differs from one of them only in case is refused: an app with a laxer parser
// would see another value than we checked.
var claimNames = joseFolded(
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "uti", "sid", "cnf",
	"tid", "oid", "ver", "idtyp", "scp", "scope", "roles", "groups", "wids", "hasgroups", "_claim_names",
	"azp", "appid", "client_id", "cid", "gty", "token_use", "typ", "nonce", "at_hash", "c_hash", "events",
	"acr", "acrs", "amr", "auth_time", "xms_cc", "deviceid",
	"preferred_username", "upn", "unique_name", "email", "email_verified",
)

// claimReserved cannot be configured as the claim of a device, of groups or of
// a name.
var claimReserved = []string{"iss", "aud", "exp", "nbf", "iat", "cnf", "tid", "_claim_names", "hasgroups", "acrs", "amr", "auth_time", "xms_cc"}

// claimReader reads claims and remembers the first one that is present but not
// as it must be.
type claimReader struct {
	m   map[string]any
	bad string
}

func (r *claimReader) fail(name string) {
	if r.bad == "" {
		r.bad = name
	}
}

func (r *claimReader) has(name string) bool {
	_, ok := r.m[name]
	return ok
}

// text returns a string claim, or "" if it is absent.
func (r *claimReader) text(name string) string {
	v, ok := r.m[name]
	if !ok {
		return ""
	}
	s, ok := v.(string)
	if !ok || !claimPrintable(s) {
		r.fail(name)
		return ""
	}
	return s
}

// first returns the first of several string claims that is present.
func (r *claimReader) first(names ...string) string {
	for _, name := range names {
		if s := r.text(name); s != "" {
			return s
		}
	}
	return ""
}

// texts returns a claim that is a list of strings, or one string alone, as some
// issuers shorten a list of one.
func (r *claimReader) texts(name string, most int) []string {
	v, ok := r.m[name]
	if !ok {
		return nil
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	if len(list) > most {
		r.fail(name)
		return nil
	}
	out := make([]string, 0, len(list))
	for _, v := range list {
		s, ok := v.(string)
		if !ok || s == "" || !claimPrintable(s) {
			r.fail(name)
			return nil
		}
		out = append(out, s)
	}
	return out
}

// seconds returns a NumericDate (RFC 7519 section 2) in whole seconds, or 0 if
// it is absent. Only a number between 1 and the year 5138 is one: that refuses
// milliseconds.
func (r *claimReader) seconds(name string) int64 {
	v, ok := r.m[name]
	if !ok {
		return 0
	}
	var t int64
	switch n := v.(type) {
	case int64:
		t = n
	case float64:
		if n < 1 || n > 1e11 {
			break
		}
		t = int64(math.Floor(n))
	}
	if t < 1 || t > 1e11 {
		r.fail(name)
		return 0
	}
	return t
}

// audience returns aud (RFC 7519 section 4.1.3), or nil if it is not a string or
// a list of strings.
func (r *claimReader) audience() []string {
	q := claimReader{m: r.m}
	return q.texts("aud", claimMaxList)
}

// claimPrintable reports whether s is bounded, valid UTF-8 and free of control
// characters, NUL and the replacement character.
func claimPrintable(s string) bool {
	if len(s) > claimMaxText {
		return false
	}
	plain := true
	for i := range len(s) {
		switch c := s[i]; {
		case c < 0x20 || c == 0x7f:
			return false
		case c >= utf8.RuneSelf:
			plain = false
		}
	}
	return plain || utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || 0x80 <= r && r < 0xa0 })
}

// claimRegistered are the claims that golang-jwt's validator judges. It
// implements jwt.Claims, which spares a second parse.
type claimRegistered struct {
	issuer, subject string
	audience        []string
	exp, nbf, iat   int64
}

func claimDate(t int64) (*jwt.NumericDate, error) {
	if t == 0 {
		return nil, nil //nolint:nilnil // jwt.Claims says absent like this
	}
	return jwt.NewNumericDate(time.Unix(t, 0)), nil
}

// The methods of jwt.Claims.

func (c *claimRegistered) GetExpirationTime() (*jwt.NumericDate, error) { return claimDate(c.exp) }
func (c *claimRegistered) GetNotBefore() (*jwt.NumericDate, error)      { return claimDate(c.nbf) }
func (c *claimRegistered) GetIssuedAt() (*jwt.NumericDate, error)       { return claimDate(c.iat) }
func (c *claimRegistered) GetIssuer() (string, error)                   { return c.issuer, nil }
func (c *claimRegistered) GetSubject() (string, error)                  { return c.subject, nil }
func (c *claimRegistered) GetAudience() (jwt.ClaimStrings, error)       { return c.audience, nil }

// claimAccessToken reports whether nothing in the claims marks a token of
// another purpose. typed is true if the header says at+jwt, which settles it
// but for what says otherwise outright.
func (r *claimReader) accessToken(entra, typed bool) bool {
	if r.has("events") { // security event and logout tokens (RFC 8417)
		return false
	}
	if use, ok := r.m["token_use"]; ok && use != "access" { // Cognito
		return false
	}
	if kind, ok := r.m["typ"].(string); ok { // Keycloak
		if slices.Contains([]string{"id", "refresh", "offline", "logout"}, strings.ToLower(kind)) {
			return false
		}
	}
	if typed {
		return true
	}
	// ID tokens: OpenID Connect Core section 2 and 3.3.2.11. Entra's ID tokens
	// may lack all three, but only access tokens name the client there.
	if r.has("nonce") || r.has("at_hash") || r.has("c_hash") {
		return false
	}
	return !entra || r.has("azp") || r.has("appid")
}
