package rig

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// Issuer signs tokens with a key of its own and publishes the key in a file.
type Issuer struct {
	t testing.TB
	// URL is the iss claim.
	URL string
	// JWKS is the path of the key set.
	JWKS string
	// KID is the id of the present key.
	KID string
	key *ecdsa.PrivateKey
}

// NewIssuer makes an issuer called url with one P-256 key.
func NewIssuer(t testing.TB, url string) *Issuer {
	t.Helper()
	is := &Issuer{t: t, URL: url, JWKS: filepath.Join(t.TempDir(), "jwks.json")}
	is.Rotate("k1")
	return is
}

// Rotate replaces the key; the old one is no longer published.
func (is *Issuer) Rotate(kid string) {
	is.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		is.t.Fatal(err)
	}
	is.key, is.KID = key, kid
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: kid, Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		is.t.Fatal(err)
	}
	tmp := is.JWKS + ".new"
	err = os.WriteFile(tmp, set, 0o600)
	if err == nil {
		err = os.Rename(tmp, is.JWKS)
	}
	if err != nil {
		is.t.Fatal(err)
	}
}

// Claims are a token's claims.
type Claims = map[string]any

// Token signs a token: the defaults are a good access token for audience
// "intranet" of user alice; claims given here replace them, nil removes one.
func (is *Issuer) Token(claims Claims) string {
	is.t.Helper()
	now := time.Now().Unix()
	all := jwt.MapClaims{
		"iss": is.URL, "aud": "intranet", "sub": "alice", "preferred_username": "alice@corp.example",
		"iat": now, "exp": now + 3600, "auth_time": now - 60,
	}
	maps.Copy(all, claims)
	for k, v := range claims {
		if v == nil {
			delete(all, k)
		}
	}
	return is.Sign(map[string]any{"typ": "at+jwt", "kid": is.KID}, all, is.key)
}

// Sign signs any claims with any header and key, for bad tokens.
func (is *Issuer) Sign(header map[string]any, claims jwt.Claims, key crypto.Signer) string {
	is.t.Helper()
	tok := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	maps.Copy(tok.Header, header)
	s, err := tok.SignedString(key)
	if err != nil {
		is.t.Fatal(err)
	}
	return s
}

// Key is the present signing key.
func (is *Issuer) Key() *ecdsa.PrivateKey { return is.key }
