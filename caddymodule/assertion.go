package caddymodule

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-project/gatehouse/cache"
	"github.com/gatehouse-project/gatehouse/decision"
)

// assertionLife is how long one assertion is valid; it is reused for half of it.
const (
	assertionLife  = 60 * time.Second
	assertionReuse = 30 * time.Second
)

// asserter signs what the app may believe about a request: an ES256 token per
// identity and host. It is an alternative to trusting headers.
type asserter struct {
	key  *ecdsa.PrivateKey // signs
	kid  string
	keys jose.JSONWebKeySet // every public half, the newest first (RFC 7517)
	made *cache.Cache[assertionKey, string]
}

// assertionKey is everything that an assertion says. The verdict is part of it: an
// app must not read an old one for as long as an assertion is reused.
type assertionKey struct {
	entry      *identityEntry
	host       string
	compliance decision.Compliance
}

// newAsserter signs with the first key and publishes all of them.
func newAsserter(keys []*ecdsa.PrivateKey) (*asserter, error) {
	s := &asserter{key: keys[0]}
	for _, k := range keys {
		pub, err := k.PublicKey.Bytes()
		if err != nil {
			return nil, err
		}
		sum := sha256.Sum256(pub)
		s.keys.Keys = append(s.keys.Keys, jose.JSONWebKey{
			Key: k.Public(), KeyID: base64.RawURLEncoding.EncodeToString(sum[:12]), Algorithm: "ES256", Use: "sig",
		})
	}
	s.kid = s.keys.Keys[0].KeyID
	var err error
	s.made, err = cache.New[assertionKey, string](cache.Options[assertionKey]{Capacity: 50_000})
	return s, err
}

// assert sets the assertion header. If signing fails the header stays absent: the
// app must treat that as no assertion.
func (a *App) assert(r *http.Request, x *exchange) {
	key := assertionKey{entry: x.creds.entry, host: siteName(r), compliance: x.compliance()}
	signed, res := a.asserter.made.Get(key)
	if res != cache.Hit {
		var err error
		signed, err = a.asserter.sign(x, key.host)
		if err != nil {
			a.log.Error("signing assertion failed")
			return
		}
		a.asserter.made.Put(key, signed, x.start.Add(assertionReuse))
	}
	r.Header[headerAssertion] = []string{signed}
}

func (s *asserter) sign(x *exchange, host string) (string, error) {
	e := x.creds.entry
	claims := jwt.MapClaims{
		"iss": "gatehouse", "aud": host, "iat": x.start.Unix(), "exp": x.start.Add(assertionLife).Unix(),
		"proof": e.Device.Proof.String(), "compliance": x.compliance().String(),
	}
	if e.User.Known() {
		claims["sub"], claims["user_issuer"] = e.User.ID, e.User.Issuer
		if e.User.Name != "" {
			claims["preferred_username"] = e.User.Name
		}
	}
	if len(e.Device.Keys) > 0 {
		claims["device"] = e.Device.Keys[0]
	}
	t := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	t.Header["kid"] = s.kid
	t.Header["typ"] = "gatehouse-assertion+jwt"
	return t.SignedString(s.key)
}
