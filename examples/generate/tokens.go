package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"
)

// tokens writes a key set and, for each token, a header file for `curl -H @FILE`.
// The private key is thrown away.
func tokens(f folder, now time.Time) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	set, err := json.MarshalIndent(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: key.Public(), KeyID: "example", Algorithm: "ES256", Use: "sig"},
	}}, "", "  ")
	if err != nil {
		return err
	}
	err = f.write("jwks.json", set)
	if err != nil {
		return err
	}
	for name, more := range map[string]jwt.MapClaims{
		"good.header":   {"deviceid": goodID},
		"bad.header":    {"deviceid": badID},
		"grace.header":  {"deviceid": graceID},
		"new.header":    {"deviceid": newID},
		"mfa.header":    {"deviceid": goodID, "acr": "urn:example:mfa"},
		"nobody.header": {"deviceid": goodID, "groups": []string{}},
	} {
		claims := jwt.MapClaims{
			"iss": "https://idp.corp.example", "aud": "intranet", "sub": "alice", "preferred_username": "alice@corp.example",
			"groups": []string{"staff"}, "iat": now.Unix(), "exp": now.Add(12 * time.Hour).Unix(), "auth_time": now.Unix(),
		}
		for k, v := range more {
			claims[k] = v
		}
		t := jwt.NewWithClaims(jwt.SigningMethodES256, claims)
		t.Header["kid"], t.Header["typ"] = "example", "at+jwt"
		signed, err := t.SignedString(key)
		if err != nil {
			return err
		}
		err = f.write(name, []byte("Authorization: Bearer "+signed+"\n"))
		if err != nil {
			return err
		}
	}
	return nil
}
