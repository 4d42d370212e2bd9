package identity_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/identity"
)

// A verified token names a user and a device. One that cannot be accepted comes
// with a reason from a closed list.
func Example() {
	file, sign := exampleIssuer()
	defer os.RemoveAll(filepath.Dir(file))
	tokens, err := identity.NewTokens(identity.TokenOptions{Issuers: []identity.IssuerOptions{{
		Name: "corp", URL: "https://idp.corp.example", JWKSFile: file, Audiences: []string{"intranet"},
		DeviceClaim: "deviceid", DeviceKind: decision.KindEntra,
	}}})
	if err != nil {
		fmt.Println(err)
		return
	}
	ctx := context.Background()
	tokens.Start(ctx) // keeps the keys fresh
	defer tokens.Close()

	token, err := tokens.Verify(ctx, sign("intranet"))
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(token.User.Name, token.Device[0].Kind, token.Device[0].Value)

	_, err = tokens.Verify(ctx, sign("payroll"))
	var refused *identity.TokenError
	if errors.As(err, &refused) {
		fmt.Println("refused:", refused.Reason)
	}
	// Output:
	// alice@corp.example entra 11111111-1111-4111-8111-111111111111
	// refused: audience
}

// exampleIssuer publishes a key in a file and signs alice's tokens with it, as an
// identity provider does.
func exampleIssuer() (jwks string, sign func(audience string) string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	must(err)
	dir, err := os.MkdirTemp("", "identity-example-")
	must(err)
	jwks = filepath.Join(dir, "jwks.json")
	must(os.WriteFile(jwks, set, 0o600))
	return jwks, func(audience string) string {
		now := time.Now().Unix()
		t := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": "https://idp.corp.example", "sub": "u-17", "aud": audience, "iat": now, "exp": now + 600,
			"preferred_username": "alice@corp.example", "deviceid": "11111111-1111-4111-8111-111111111111",
		})
		t.Header["kid"] = "k1"
		signed, err := t.SignedString(key)
		must(err)
		return signed
	}
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}
