package identity

import (
	"crypto/sha256"
	"errors"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-project/gatehouse/decision"
)

// token checks the signature of j with key and then its claims. j's issuer,
// algorithm and type have been checked.
func (is *issuer) token(j *joseToken, iss string, key *jwk, now time.Time) (*Token, *TokenError) {
	refuse := func(reason, claim string) (*Token, *TokenError) {
		return nil, &TokenError{Reason: reason, Issuer: is.name, Claim: claim}
	}
	if !joseAlgorithms[j.header.alg].verify(j, key.public) {
		return refuse(ReasonSignature, "")
	}
	claims, ok := joseObject(j.payload, joseMaxMembers)
	if !ok {
		return refuse(ReasonMalformed, "")
	}
	for name := range claims {
		if used, ok := is.used[joseFold(name)]; ok && used != name {
			return refuse(ReasonMalformed, used)
		}
	}
	r := &claimReader{m: claims}
	c := &claimRegistered{
		issuer: r.text("iss"), subject: r.text("sub"), audience: r.audience(),
		exp: r.seconds("exp"), nbf: r.seconds("nbf"), iat: r.seconds("iat"),
	}
	if r.bad != "" || c.exp == 0 {
		if r.bad == "" {
			r.bad = "exp"
		}
		return refuse(ReasonClaim, r.bad)
	}
	if err := is.validators[iss].Validate(c); err != nil {
		return refuse(tokenInvalid(err))
	}
	if reason, claim := is.special(r, c, j.header.typ, now); reason != "" {
		return refuse(reason, claim)
	}
	token := &Token{
		Issuer: is.name, User: is.user(r, iss),
		ID: r.first("jti", "uti"), Session: r.text("sid"),
		IssuedAt: c.iat, Expires: c.exp, Until: c.exp + int64(is.leeway/time.Second),
		issuer: is, key: key, size: tokenSize(j, claims),
	}
	if token.notBefore = max(c.nbf, c.iat); token.notBefore != 0 {
		token.notBefore -= int64(is.leeway / time.Second)
	}
	if token.User.AuthTime > now.Add(is.leeway).Unix() {
		return refuse(ReasonClaim, "auth_time")
	}
	if token.Device = is.device(r); r.bad != "" {
		return refuse(ReasonClaim, r.bad)
	}
	var bound bool
	if token.Confirmation, bound = claimConfirmation(r); !bound {
		return refuse(ReasonBinding, "cnf")
	}
	return token, nil
}

// special checks what golang-jwt has no option for.
func (is *issuer) special(r *claimReader, c *claimRegistered, typ string, now time.Time) (reason, claim string) {
	since := c.iat
	if since == 0 {
		since = now.Unix()
	}
	if c.exp-since > int64(is.maxLifetime/time.Second) {
		return ReasonLifetime, ""
	}
	if !r.accessToken(is.entra, issuerType(typ) == "at+jwt") {
		return ReasonType, ""
	}
	if is.entra {
		tenant, ok := r.m["tid"].(string)
		if key, valid := decision.CanonicalKey(decision.KindEntra, tenant); !ok || !valid || key.Value != is.tenant {
			return ReasonTenant, "tid"
		}
	}
	return "", ""
}

// device reads the device's id. A claim that is there and cannot be read is an
// error, because the token would else pass as one that names no device.
func (is *issuer) device(r *claimReader) []decision.Key {
	if is.deviceClaim == "" || !r.has(is.deviceClaim) {
		return nil
	}
	key, ok := decision.CanonicalKey(is.deviceKind, r.text(is.deviceClaim))
	if !ok {
		r.fail(is.deviceClaim)
		return nil
	}
	return []decision.Key{key}
}

// claimConfirmation reads cnf. A member that we do not check, such as jkt, would
// turn a bound token into a bearer token, so it is refused (RFC 7800 section
// 3.1, RFC 8705 section 3.1).
func claimConfirmation(r *claimReader) (thumbprint []byte, ok bool) {
	v, found := r.m["cnf"]
	if !found {
		return nil, true
	}
	cnf, _ := v.(map[string]any)
	s, _ := cnf["x5t#S256"].(string)
	if len(cnf) != 1 || len(s) != joseStrict.EncodedLen(sha256.Size) {
		return nil, false
	}
	thumbprint, err := joseStrict.DecodeString(s)
	return thumbprint, err == nil && len(thumbprint) == sha256.Size
}

// tokenInvalid maps golang-jwt's errors to a reason and a claim.
func tokenInvalid(err error) (reason, claim string) {
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return ReasonExpired, ""
	case errors.Is(err, jwt.ErrTokenNotValidYet):
		return ReasonNotYetValid, "nbf"
	case errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return ReasonNotYetValid, "iat"
	case errors.Is(err, jwt.ErrTokenInvalidAudience), errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return ReasonAudience, "aud" // exp and iss are known to be there
	case errors.Is(err, jwt.ErrTokenInvalidIssuer):
		return ReasonUnknownIssuer, ""
	}
	return ReasonClaim, ""
}

// detach drops the claims and copies what is kept out of the decoded payload,
// so that the payload can be freed. All texts share one piece of memory: with
// many tokens, the collector's work is the number of pieces.
func (k *Token) detach(j *joseToken) {
	k.User.Claims = nil
	u := &k.User
	kept := []*string{&u.ID, &u.Subject, &u.ObjectID, &u.Name, &u.Email, &u.Client, &u.ACR, &k.ID, &k.Session}
	k.size = tokenFixed + len(j.raw)
	for _, list := range [][]string{u.Groups, u.ACRs, u.AMR} {
		for i := range list {
			kept = append(kept, &list[i])
			k.size += tokenPerValue + len(list[i])
		}
	}
	for i := range k.Device {
		kept = append(kept, &k.Device[i].Value)
	}
	var b strings.Builder
	for _, s := range kept {
		b.WriteString(*s)
	}
	all := strings.Clone(b.String()) // without the room that the builder has left
	for _, s := range kept {
		*s, all = all[:len(*s)], all[len(*s):]
	}
}

// Parts of the estimate of a remembered token's memory.
const (
	tokenFixed    = 1200
	tokenPerValue = 40
)

// tokenSize estimates the memory of a remembered token: its text, its decoded
// payload, and the map of claims that shares memory with that.
func tokenSize(j *joseToken, claims map[string]any) int {
	return tokenFixed + len(j.raw) + len(j.payload) + tokenPerValue*tokenValues(claims)
}

func tokenValues(v any) int {
	n := 1
	switch v := v.(type) {
	case map[string]any:
		for _, e := range v {
			n += 1 + tokenValues(e)
		}
	case []any:
		for _, e := range v {
			n += tokenValues(e)
		}
	}
	return n
}
