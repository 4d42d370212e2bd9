// Package rig starts the real gateway binary for black-box tests: with a
// Caddyfile of the test's own, on loopback, with its own state, storage and
// admin port. It brings the components around it, all real: an upstream that
// reports what reached it, a token issuer with a key of its own, certificate
// authorities, and clients for HTTP/1.1, HTTP/2 and HTTP/3.
package rig
