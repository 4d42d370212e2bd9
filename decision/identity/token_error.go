package identity

import "fmt"

// The reasons for which a token is refused: a closed list, used as a metric
// label and in logs.
const (
	ReasonMalformed       = "malformed"        // not a compact JWS of strict JSON
	ReasonTooLarge        = "too_large"        // longer than TokenOptions.MaxBytes
	ReasonEncrypted       = "encrypted"        // a JWE; never decoded
	ReasonUnknownIssuer   = "unknown_issuer"   // iss is no configured issuer's
	ReasonAlgorithm       = "algorithm"        // alg not allowed for the issuer, or not the key's
	ReasonHeader          = "header"           // crit, b64, jku, x5u, jwk, or a bad kid
	ReasonType            = "type"             // typ, or marks of another kind of token
	ReasonKeyUnknown      = "key_unknown"      // the issuer has no such key
	ReasonSignature       = "signature"        // the signature does not hold
	ReasonExpired         = "expired"          // exp has passed
	ReasonNotYetValid     = "not_yet_valid"    // nbf or iat lies ahead
	ReasonLifetime        = "lifetime"         // lives longer than IssuerOptions.MaxLifetime
	ReasonAudience        = "audience"         // aud is missing, odd, or names others only
	ReasonTenant          = "tenant"           // Entra tid is not the configured tenant
	ReasonClaim           = "claim"            // a claim is missing, of a wrong type, or unprintable
	ReasonBinding         = "binding"          // cnf asks for a proof that we do not check
	ReasonKeysUnavailable = "keys_unavailable" // we have no keys, or only too old ones: our fault
)

// TokenReasons lists every reason, for metric labels.
var TokenReasons = []string{
	ReasonMalformed, ReasonTooLarge, ReasonEncrypted, ReasonUnknownIssuer, ReasonAlgorithm, ReasonHeader, ReasonType,
	ReasonKeyUnknown, ReasonSignature, ReasonExpired, ReasonNotYetValid, ReasonLifetime, ReasonAudience, ReasonTenant,
	ReasonClaim, ReasonBinding, ReasonKeysUnavailable,
}

// IssuerError says which issuer of [TokenOptions] is wrong, so that the caller can
// add where it was written.
type IssuerError struct {
	Name string // as configured
	Err  error
}

// Error names the issuer, at most 64 bytes of it.
func (e *IssuerError) Error() string { return fmt.Sprintf("issuer %.64q: %v", e.Name, e.Err) }

// Unwrap returns the cause.
func (e *IssuerError) Unwrap() error { return e.Err }

// TokenError says why a token was refused. It never holds any part of the
// token but the name of a claim.
type TokenError struct {
	Reason string // one of TokenReasons
	Issuer string // configured name; "" if the token is no configured issuer's
	Claim  string // the claim at fault, or ""
}

// Error names the reason, the issuer and the claim.
func (e *TokenError) Error() string {
	s := "token refused: " + e.Reason
	if e.Claim != "" {
		s += " " + e.Claim
	}
	if e.Issuer != "" {
		s += " (issuer " + e.Issuer + ")"
	}
	return s
}

// Unavailable reports whether the fault is ours, so that the answer is 503 and
// not 401.
func (e *TokenError) Unavailable() bool { return e.Reason == ReasonKeysUnavailable }
