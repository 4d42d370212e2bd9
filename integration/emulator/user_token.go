package emulator

import (
	"crypto/rand"
	"crypto/rsa"
	"maps"

	"github.com/golang-jwt/jwt/v5"
)

// TokenVersion is the version of a user's access token: the API's own manifest
// decides it, not the endpoint that a client calls.
type TokenVersion int

// The versions. They have different issuers and claims.
const (
	TokenV1 TokenVersion = 1
	TokenV2 TokenVersion = 2
)

// maxGroupClaims is how many groups a token names; with more it points elsewhere.
const maxGroupClaims = 200

// UserToken is an access token of a user for the application itself, as a client
// presents it to the gateway. base is what [Server.Start] answered. A device puts its
// deviceid into the token. extra sets further claims; a nil value takes one away. Not inside [Server.Update].
func (s *Server) UserToken(base string, version TokenVersion, u *User, d *Device, extra map[string]any) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	now, o := s.o.Clock(), s.o
	c := jwt.MapClaims{
		"tid": o.Tenant, "oid": u.OID.String(), "sub": "pairwise-" + u.OID.String(), "name": u.DisplayName, "acct": 0,
		"iat": now.Unix(), "nbf": now.Unix(), "exp": now.Add(tokenLifetime).Unix(), "uti": s.login.uuid().String(), "scp": "access",
	}
	if version == TokenV1 {
		maps.Copy(c, jwt.MapClaims{
			"ver": "1.0", "iss": "https://sts.windows.net/" + o.Tenant + "/", "aud": "api://" + o.ClientID, "upn": u.UPN,
			"appid": o.ClientID, "appidacr": "0", "acr": "1", "amr": []string{"pwd", "mfa"}, "ipaddr": "192.0.2.40",
		})
	} else {
		maps.Copy(c, jwt.MapClaims{
			"ver": "2.0", "iss": base + "/login/" + o.Tenant + "/v2.0", "aud": o.ClientID, "preferred_username": u.UPN,
			"azp": o.ClientID, "azpacr": "0",
		})
	}
	if d != nil {
		c["deviceid"] = d.EntraID.String()
	}
	if len(u.Groups) > maxGroupClaims { // of the retired service: nobody should call it
		c["_claim_names"] = map[string]string{"groups": "src1"}
		c["_claim_sources"] = map[string]any{"src1": map[string]string{"endpoint": "https://graph.windows.net/" + o.Tenant + "/users/" + u.OID.String() + "/getMemberObjects"}}
	} else {
		c["groups"] = u.Groups
	}
	for k, v := range extra {
		if c[k] = v; v == nil {
			delete(c, k)
		}
	}
	return s.sign(c)
}

// signingKey is one key of the authority.
type signingKey struct {
	id  string
	key *rsa.PrivateKey
}

// RollKey makes the authority sign with a new key from now on, without notice. The key
// set has the new one alone. Access tokens that it gave out before stay good.
func (s *Server) RollKey() {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	l := &s.login
	l.mu.Lock()
	defer l.mu.Unlock()
	l.keys = append(l.keys, signingKey{"emulator-key-" + itoa(len(l.keys)+1), key})
}

// signing is the present key.
func (l *login) signing() signingKey {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.keys[len(l.keys)-1]
}

// verifying is the key with an id, or nil.
func (l *login) verifying(id any) *rsa.PublicKey {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, k := range l.keys {
		if k.id == id {
			return &k.key.PublicKey
		}
	}
	return nil
}
