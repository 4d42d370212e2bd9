package gateway

import (
	"crypto/tls"
	"encoding/pem"
	"net/url"
)

// pemOf is a certificate as proxies forward it: PEM, URL-encoded.
func pemOf(c tls.Certificate) string {
	return url.PathEscape(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})))
}
