// Package authority makes the certificate authorities and certificates of the
// examples, for trying out on one machine. It imports the standard library alone.
package authority
