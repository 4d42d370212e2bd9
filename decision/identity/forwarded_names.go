package identity

// fwdPrefixes begin the names of the headers in which proxies and products
// forward a client certificate, or what they found in it: one for the certificate,
// more for single fields and chains. Folded: lower case, hyphens for underscores
// and dots.
var fwdPrefixes = []string{
	"client-cert", "x-forwarded-client-cert", "x-amzn-mtls-", "x-client-cert", "x-client-ssl-", "x-client-verify",
	"x-client-dn", "x-ssl-", "ssl-client-", "x-forwarded-tls-client-", "x-forwarded-ssl-client-", "x-tls-client-",
	"tls-client-", "cloudfront-viewer-cert-", "cf-client-cert", "x-arr-clientcert", "x-mtls-client", "cert-chain",
}

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
