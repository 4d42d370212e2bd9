package identity

import "slices"

// fwdNames are the headers in which proxies and products forward a client
// certificate or what they found in it, one list per product.
var fwdNames = []string{
	"Client-Cert", "Client-Cert-Chain", // RFC 9440
	"X-Forwarded-Client-Cert",                                                                       // Envoy
	"X-Amzn-Mtls-Clientcert", "X-Amzn-Mtls-Clientcert-Leaf", "X-Amzn-Mtls-Clientcert-Serial-Number", // AWS ALB
	"X-Amzn-Mtls-Clientcert-Issuer", "X-Amzn-Mtls-Clientcert-Subject", "X-Amzn-Mtls-Clientcert-Validity",
	"X-Client-Cert", "X-Client-Certificate", "X-Client-Verify", "X-Client-Dn", // nginx, Apache, F5, by custom
	"X-Ssl-Cert", "X-Ssl-Client-Cert", "X-Ssl-Client-Verify", "X-Ssl-Client-S-Dn", "X-Ssl-Client-I-Dn", // nginx, HAProxy
	"X-Ssl-Client-Sha1", "X-Ssl-Client-Serial", "X-Ssl-Client-Dn", "X-Ssl-Client-Cn",
	"X-Ssl-Issuer", "X-Ssl-Client-Notbefore", "X-Ssl-Client-Notafter",
	"Ssl-Client-Cert", "Ssl-Client-Verify", "Ssl-Client-Subject-Dn", "Ssl-Client-Issuer-Dn", // ingress-nginx, Apache
	"X-Forwarded-Tls-Client-Cert", "X-Forwarded-Tls-Client-Cert-Info", // Traefik
	"Cloudfront-Viewer-Cert-Serial-Number", "Cloudfront-Viewer-Cert-Issuer", "Cloudfront-Viewer-Cert-Subject", // CloudFront
	"Cloudfront-Viewer-Cert-Present", "Cloudfront-Viewer-Cert-Sha256", "Cloudfront-Viewer-Cert-Pem",
	"Cf-Client-Cert-Der-Base64", "Cf-Client-Cert-Sha256", // Cloudflare
	"X-Client-Cert-Present", "X-Client-Cert-Chain-Verified", "X-Client-Cert-Hash", // Google Cloud load balancing
	"X-Client-Cert-Leaf", "X-Client-Cert-Chain", "X-Client-Cert-Subject-Dn",
	"X-Arr-Clientcert", // Azure App Service
}

// fwdPrefixes cover what such products add for single fields and chains.
// Folded: lower case, hyphens for underscores and dots.
var fwdPrefixes = []string{
	"client-cert", "x-forwarded-client-cert", "x-amzn-mtls-", "x-client-cert", "x-client-ssl-", "x-client-verify",
	"x-client-dn", "x-ssl-", "ssl-client-", "x-forwarded-tls-client-", "x-forwarded-ssl-client-", "x-tls-client-",
	"tls-client-", "cloudfront-viewer-cert-", "cf-client-cert", "x-arr-clientcert", "x-mtls-client", "cert-chain",
}

// ForwardedHeaderNames returns the canonical names of every header that a
// product known to us forwards certificates in. Some products number or extend
// their names: to strip a request, ask [IsForwardedCertificateHeader].
func ForwardedHeaderNames() []string { return slices.Clone(fwdNames) }

// IsForwardedCertificateHeader reports whether a header belongs to the family
// that forwards client certificates. Case does not count, and an underscore or
// dot counts as a hyphen, because applications behind the gateway read
// X_SSL_Client_Cert and X-SSL-Client-Cert as one. It does not allocate.
func IsForwardedCertificateHeader(name string) bool {
	for _, prefix := range fwdPrefixes {
		if fwdHasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// fwdHasPrefix compares name, folded, with a folded prefix.
func fwdHasPrefix(name, prefix string) bool {
	if len(name) < len(prefix) {
		return false
	}
	for i := range len(prefix) {
		c := name[i]
		switch {
		case c == '_' || c == '.':
			c = '-'
		case 'A' <= c && c <= 'Z':
			c |= 0x20
		}
		if c != prefix[i] {
			return false
		}
	}
	return true
}
