package identity

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"slices"
)

// maxForwardedText bounds all header text of one forwarded chain; a header of
// five certificates of the largest size stays below it.
const maxForwardedText = 128 << 10

// The ways in which forwarded headers are wrong. The caller answers 400: a
// trusted proxy sends none of these, unless a client got its headers past it.
var (
	ErrForwardedMalformed = errors.New("forwarded certificate header is malformed")
	ErrForwardedDuplicate = errors.New("forwarded certificate header appears more than once")
)

// ErrForwardedUnverified says that the proxy passed on a certificate that it
// could not verify. It is an [ErrForeign]: ignored and counted.
var ErrForwardedUnverified = fmt.Errorf("proxy did not verify the certificate: %w", ErrForeign)

// Dialect is how a proxy writes a client certificate into headers. Make one
// with [ParseDialect]; the zero Dialect reads nothing and fails. Read headers
// only from a peer that the configuration trusts: they prove nothing.
type Dialect struct {
	name   string
	cert   string // canonical names of the headers read
	verify string // nginx
	chain  string // rfc9440, alb: the other form
}

// The dialects.
var (
	dialectRFC9440 = Dialect{name: "rfc9440", cert: "Client-Cert", chain: "Client-Cert-Chain"}
	dialectXFCC    = Dialect{name: "xfcc", cert: "X-Forwarded-Client-Cert"}
	dialectNginx   = Dialect{name: "nginx", cert: "X-Ssl-Client-Cert", verify: "X-Ssl-Client-Verify"}
	dialectALB     = Dialect{name: "alb", cert: "X-Amzn-Mtls-Clientcert-Leaf", chain: "X-Amzn-Mtls-Clientcert"}
)

// ParseDialect reads a name:
//
//   - rfc9440: Client-Cert and Client-Cert-Chain (RFC 9440);
//   - xfcc: X-Forwarded-Client-Cert of Envoy, with Cert or Chain in it;
//   - nginx: X-SSL-Client-Cert from $ssl_client_escaped_cert, and
//     X-SSL-Client-Verify from $ssl_client_verify;
//   - alb: X-Amzn-Mtls-Clientcert-Leaf (verify mode) or
//     X-Amzn-Mtls-Clientcert (passthrough) of AWS load balancers.
func ParseDialect(s string) (Dialect, error) {
	for _, d := range []Dialect{dialectRFC9440, dialectXFCC, dialectNginx, dialectALB} {
		if d.name == s {
			return d, nil
		}
	}
	return Dialect{}, fmt.Errorf("forwarded certificate dialect %q is unknown, want rfc9440, xfcc, nginx or alb", s)
}

// String returns the name that [ParseDialect] reads.
func (d Dialect) String() string { return d.name }

// Headers returns the canonical names of the headers the dialect reads.
func (d Dialect) Headers() []string {
	names := make([]string, 0, 3)
	for _, n := range []string{d.cert, d.chain, d.verify} {
		if n != "" {
			names = append(names, n)
		}
	}
	return names
}

// Parse returns the forwarded chain, leaf first: nil and nil if the headers
// are absent, otherwise [ErrForwardedMalformed], [ErrForwardedDuplicate] or
// [ErrForwardedUnverified], perhaps wrapped. Certificates are parsed but not
// verified: hand them to [Certificates.FromForwarded].
func (d Dialect) Parse(h http.Header) ([]*x509.Certificate, error) {
	total := 0
	for _, name := range []string{d.cert, d.chain, d.verify} {
		for _, v := range h[name] {
			total += len(v)
		}
	}
	if total > maxForwardedText {
		return nil, fwdMalformed("too large")
	}
	switch d.name {
	case dialectRFC9440.name:
		return d.parseRFC9440(h)
	case dialectXFCC.name:
		return d.parseXFCC(h)
	case dialectNginx.name:
		return d.parseNginx(h)
	case dialectALB.name:
		return d.parseALB(h)
	}
	return nil, fwdMalformed("no dialect is configured")
}

// fwdSingle returns the one value of a header that may appear once.
func fwdSingle(h http.Header, name string) (string, bool, error) {
	switch values := h[name]; len(values) {
	case 0:
		return "", false, nil
	case 1:
		return values[0], true, nil
	}
	return "", false, fmt.Errorf("%w: %s", ErrForwardedDuplicate, name)
}

func fwdMalformed(what string) error { return fmt.Errorf("%w: %s", ErrForwardedMalformed, what) }

// fwdCertificates parses a chain of DER certificates within our limits.
func fwdCertificates(ders [][]byte) ([]*x509.Certificate, error) {
	if len(ders) == 0 || len(ders) > maxCertChain {
		return nil, fwdMalformed("no certificate or too many")
	}
	chain := make([]*x509.Certificate, 0, len(ders))
	for _, der := range ders {
		if len(der) > maxCertBytes {
			return nil, fwdMalformed("certificate is too large")
		}
		cert, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fwdMalformed("certificate cannot be parsed")
		}
		chain = append(chain, cert)
	}
	return slices.Clip(chain), nil
}
