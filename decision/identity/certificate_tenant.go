package identity

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
)

// Extensions of the certificate that Intune gives a Windows device when it
// enrols. Both hold a GUID in [decodeGUID]'s forms.
var (
	oidIntuneDevice = asn1.ObjectIdentifier{1, 2, 840, 113556, 5, 4}
	oidIntuneTenant = asn1.ObjectIdentifier{1, 2, 840, 113556, 5, 14}
)

// intuneAuthority reports whether an authority is the one that issues to the
// devices of every Intune tenant in the world.
func intuneAuthority(cert *x509.Certificate) bool {
	switch cert.Subject.CommonName {
	case "Microsoft Intune MDM Device CA", "Microsoft Intune Root Certification Authority":
		return true
	}
	return false
}

// checkTenant refuses a certificate that belongs to another tenant.
func (c *Certificates) checkTenant(chain []*x509.Certificate) error {
	if c.tenant == "" {
		for _, authority := range chain[1:] {
			if intuneAuthority(authority) {
				return errors.New("issued by the Intune authority, and no tenant is configured")
			}
		}
		return nil
	}
	tenant, ok := certGUID(chain[0], oidIntuneTenant)
	switch {
	case !ok:
		return errors.New("tenant extension is missing or cannot be read")
	case tenant != c.tenant:
		return errors.New("issued for another tenant")
	}
	return nil
}

// certExtension returns the value of an extension. x509 refuses duplicates.
func certExtension(cert *x509.Certificate, id asn1.ObjectIdentifier) ([]byte, bool) {
	for i := range cert.Extensions {
		if cert.Extensions[i].Id.Equal(id) {
			return cert.Extensions[i].Value, true
		}
	}
	return nil, false
}

func certGUID(cert *x509.Certificate, id asn1.ObjectIdentifier) (string, bool) {
	value, ok := certExtension(cert, id)
	if !ok {
		return "", false
	}
	return decodeGUID(value)
}
