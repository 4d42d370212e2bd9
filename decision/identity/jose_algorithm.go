package identity

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"

	"github.com/golang-jwt/jwt/v5"
)

// joseAlgorithm binds a signature algorithm (RFC 7518 section 3.1, RFC 8037) to
// the one kind of key that it may be used with. golang-jwt checks neither the
// curve nor the size of a key.
type joseAlgorithm struct {
	method   jwt.SigningMethod
	kty, crv string
}

// joseAlgorithms are all that can be configured: no symmetric ones, no "none".
var joseAlgorithms = map[string]joseAlgorithm{
	"RS256": {method: jwt.SigningMethodRS256, kty: "RSA"},
	"RS384": {method: jwt.SigningMethodRS384, kty: "RSA"},
	"RS512": {method: jwt.SigningMethodRS512, kty: "RSA"},
	"PS256": {method: josePSS(jwt.SigningMethodPS256), kty: "RSA"},
	"PS384": {method: josePSS(jwt.SigningMethodPS384), kty: "RSA"},
	"PS512": {method: josePSS(jwt.SigningMethodPS512), kty: "RSA"},
	"ES256": {method: jwt.SigningMethodES256, kty: "EC", crv: "P-256"},
	"ES384": {method: jwt.SigningMethodES384, kty: "EC", crv: "P-384"},
	"ES512": {method: jwt.SigningMethodES512, kty: "EC", crv: "P-521"},
	"EdDSA": {method: jwt.SigningMethodEdDSA, kty: "OKP", crv: "Ed25519"},
}

var joseDefaultAlgorithms = []string{"RS256", "ES256", "EdDSA"}

// josePSS asks for a salt as long as the hash (RFC 7518 section 3.5);
// golang-jwt takes any length.
func josePSS(m *jwt.SigningMethodRSAPSS) *jwt.SigningMethodRSAPSS {
	return &jwt.SigningMethodRSAPSS{SigningMethodRSA: m.SigningMethodRSA, Options: m.Options, VerifyOptions: m.Options}
}

// verify checks the signature of t with key, whose kind must fit.
func (a joseAlgorithm) verify(t *joseToken, key crypto.PublicKey) bool {
	if !a.fits(key) {
		return false
	}
	signature, err := joseStrict.DecodeString(t.signature)
	return err == nil && a.method.Verify(t.signed, signature, key) == nil
}

func (a joseAlgorithm) fits(key crypto.PublicKey) bool {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return a.kty == "RSA"
	case *ecdsa.PublicKey:
		return a.kty == "EC" && k.Curve.Params().Name == a.crv
	case ed25519.PublicKey:
		return a.kty == "OKP" && len(k) == ed25519.PublicKeySize
	}
	return false
}
