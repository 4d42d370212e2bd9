package caddymodule

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// challenges writes the WWW-Authenticate lines of a 401.
type challenges struct {
	// realm of the Bearer scheme, RFC 6750.
	realm string
	// tenants maps an Entra issuer's name to its tenant and client id.
	entra map[string]entraChallenge
}

type entraChallenge struct{ tenant, authority, clientID string }

// plain asks for credentials. Without an error there is no error attribute
// (RFC 6750, section 3.1).
func (c *challenges) plain(h http.Header) { h.Add("WWW-Authenticate", "Bearer realm="+quote(c.realm)) }

// invalid refuses a token that was sent.
func (c *challenges) invalid(h http.Header, why string) {
	line := "Bearer realm=" + quote(c.realm) + `, error="invalid_token"`
	if why != "" {
		line += ", error_description=" + quote(tokenDescription(why))
	}
	h.Add("WWW-Authenticate", line)
}

// stepUp asks for a stronger sign-in: Entra's claims challenge for an
// authentication context, RFC 9470 for everything else.
func (c *challenges) stepUp(h http.Header, su *decision.StepUp, u *decision.User) {
	m := su.For[u.Issuer]
	if ec, ok := c.entra[u.Issuer]; ok && m.AuthContext != "" {
		h.Add("WWW-Authenticate", ec.line(m.AuthContext))
		return
	}
	line := "Bearer realm=" + quote(c.realm) +
		`, error="insufficient_user_authentication", error_description="A stronger or more recent sign-in is needed."`
	if len(m.ACRValues) > 0 {
		line += ", acr_values=" + quote(strings.Join(m.ACRValues, " "))
	}
	if su.MaxAge > 0 {
		line += `, max_age="` + strconv.FormatInt(int64(su.MaxAge/time.Second), 10) + `"`
	}
	h.Add("WWW-Authenticate", line)
}

func (ec entraChallenge) line(authContext string) string {
	claims, _ := json.Marshal(map[string]any{ // only strings: cannot fail
		"access_token": map[string]any{"acrs": map[string]any{"essential": true, "value": authContext}},
	})
	line := "Bearer realm=" + quote(ec.tenant) + ", authorization_uri=" + quote(ec.authority+"/"+ec.tenant+"/oauth2/authorize")
	if ec.clientID != "" {
		line += ", client_id=" + quote(ec.clientID)
	}
	return line + `, error="insufficient_claims", claims="` + base64.StdEncoding.EncodeToString(claims) + `", cc_type="authcontext"`
}

// canStepUp reports whether this client can be sent to a stronger sign-in.
// Entra tokens need the client capability cp1; a browser needs `login`.
func (c *challenges) canStepUp(u *decision.User, nav bool) bool {
	if nav {
		return false
	}
	if _, ok := c.entra[u.Issuer]; ok {
		return u.ClaimsChallenge
	}
	return true
}

// quote makes an HTTP quoted-string of printable text.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case r >= 0x20 && r < 0x7f:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

var tokenDescriptions = map[string]string{
	"malformed":     "the token is malformed",
	"too_large":     "the token is too large",
	"encrypted":     "encrypted tokens are not accepted",
	"header":        "the token's header is not acceptable",
	"type":          "this kind of token is not accepted here",
	"algorithm":     "the token's signature algorithm is not accepted",
	"key_unknown":   "the token is signed with an unknown key",
	"signature":     "the token's signature does not verify",
	"expired":       "the token expired",
	"not_yet_valid": "the token is not valid yet",
	"lifetime":      "the token's lifetime is not acceptable",
	"audience":      "the token is meant for another service",
	"tenant":        "the token is of another tenant",
	"claim":         "a claim of the token is not acceptable",
	"binding":       "the token is bound to another client certificate",
	"foreign":       "the token is not of an accepted issuer",
}

func tokenDescription(why string) string {
	if d, ok := tokenDescriptions[why]; ok {
		return d
	}
	return "the token is not acceptable"
}
