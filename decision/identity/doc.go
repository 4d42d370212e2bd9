// Package identity turns the credentials of a request into the user and the
// device of [decision.Identity]. It has two halves:
//
//   - tokens: bearer JSON web tokens of configured issuers ([Tokens]);
//   - certificates: client certificates of the TLS connection, or passed on by
//     a trusted proxy, with their revocation lists ([Certificates], [CRL]).
//
// Both halves fail closed. A credential that is present and bad is an error
// with a reason from a closed list; it is never treated as absent. What is our
// own fault (no keys, no revocation list) is told apart from what is the
// client's.
//
// A token passes, in this order: size, shape and character set (jose.go); the
// header's members; the issuer's own key set (jwks.go), chosen by the exact
// unverified iss; the signature; and only then its claims (claims.go). Nothing
// of the payload but iss is read before the signature holds. golang-jwt checks
// signatures and the registered claims; it leaves critical headers, duplicate
// members, key metadata and several odd encodings to its caller, and that is
// what the code around it is for.
//
// The package does no input or output on a request: key sets and revocation
// lists are fetched by goroutines that Start makes and a context or Close ends.
// A request may wait a short, bounded time for a fetch that it caused.
//
// The package imports decision and must never import Caddy, a source or the
// policy language. Start reading at token.go and certificate.go.
package identity
