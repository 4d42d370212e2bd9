package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// issuer is the demo's OpenID provider: discovery, keys and tokens, with a key
// that lives as long as the process.
type issuer struct {
	url string
	key *ecdsa.PrivateKey
}

const demoKeyID = "demo"

func newIssuer() (*issuer, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	return &issuer{key: key}, nil
}

// handler serves what the gateway asks for: the discovery document (OpenID
// Connect Discovery 1.0) and the keys (RFC 7517).
func (is *issuer) handler() http.Handler {
	mux := http.NewServeMux()
	answer := func(path string, v func() any) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_ = json.NewEncoder(w).Encode(v()) // the client went away
		})
	}
	answer("/.well-known/openid-configuration", func() any {
		return map[string]any{
			"issuer": is.url, "jwks_uri": is.url + "/keys",
			"response_types_supported": []string{"code"}, "subject_types_supported": []string{"public"},
			"id_token_signing_alg_values_supported": []string{"ES256"},
			"authorization_endpoint":                is.url + "/authorize", "token_endpoint": is.url + "/token",
		}
	})
	answer("/keys", func() any {
		return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
			{Key: is.key.Public(), KeyID: demoKeyID, Algorithm: "ES256", Use: "sig"},
		}}
	})
	return mux
}

// tokenLife covers a long afternoon with the demo.
const tokenLife = 12 * time.Hour

// token signs an access token (RFC 9068) for a person on a device.
func (is *issuer) token(p person) (string, error) {
	now := time.Now()
	claims := jwt.MapClaims{
		"iss": is.url, "aud": "intranet", "sub": p.name, "preferred_username": p.name + "@corp.example",
		"iat": now.Unix(), "exp": now.Add(tokenLife).Unix(), "auth_time": now.Unix(),
		"deviceid": p.device, "groups": []string{"staff"},
	}
	if p.mfa {
		claims["acr"] = "urn:example:mfa"
	}
	t := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
	t.Header["typ"], t.Header["kid"] = "at+jwt", demoKeyID
	return t.SignedString(is.key)
}
