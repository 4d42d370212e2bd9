package identity

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"unicode/utf8"
)

var (
	oidSubjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}
	oidCommonName     = asn1.ObjectIdentifier{2, 5, 4, 3}
	oidSerialNumber   = asn1.ObjectIdentifier{2, 5, 4, 5}
	oidUPN            = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 311, 20, 2, 3}
)

var errCertSAN = errors.New("subject alternative name cannot be read")

// certNames holds every name of a leaf as it is written there. crypto/x509
// keeps one common name of several, rewrites URIs (it folds the scheme) and
// drops otherName, so we read them ourselves.
type certNames struct {
	commonNames []string
	serials     []string // subject attribute serialNumber, not the certificate's own
	uris        []string
	dns         []string
	emails      []string
	upns        []string // Microsoft user principal names, [MS-WCCE] 2.2.2.7.5
}

func parseCertNames(leaf *x509.Certificate) (*certNames, error) {
	n := new(certNames)
	for _, attribute := range leaf.Subject.Names {
		text, ok := attribute.Value.(string)
		switch {
		case !ok:
		case attribute.Type.Equal(oidCommonName):
			n.commonNames = append(n.commonNames, text)
		case attribute.Type.Equal(oidSerialNumber):
			n.serials = append(n.serials, text)
		}
	}
	if len(n.commonNames)+len(n.serials) > maxCertNames {
		return nil, errors.New("subject has too many names")
	}
	for i := range leaf.Extensions {
		if leaf.Extensions[i].Id.Equal(oidSubjectAltName) {
			if err := n.parseSAN(leaf.Extensions[i].Value); err != nil {
				return nil, err
			}
		}
	}
	return n, nil
}

// parseSAN reads GeneralNames (RFC 5280, 4.2.1.6).
func (n *certNames) parseSAN(der []byte) error {
	var names asn1.RawValue
	rest, err := asn1.Unmarshal(der, &names)
	if err != nil || len(rest) > 0 || names.Class != asn1.ClassUniversal || names.Tag != asn1.TagSequence || !names.IsCompound {
		return errCertSAN
	}
	rest = names.Bytes
	for count := 0; len(rest) > 0; count++ {
		if count == maxCertNames {
			return errors.New("subject alternative name has too many entries")
		}
		var name asn1.RawValue
		rest, err = asn1.Unmarshal(rest, &name)
		if err != nil || name.Class != asn1.ClassContextSpecific {
			return errCertSAN
		}
		switch name.Tag {
		case 0:
			if err := n.parseOtherName(&name); err != nil {
				return err
			}
		case 1:
			n.emails = append(n.emails, string(name.Bytes))
		case 2:
			n.dns = append(n.dns, string(name.Bytes))
		case 6:
			n.uris = append(n.uris, string(name.Bytes))
		}
	}
	return nil
}

// parseOtherName reads an OID and an explicitly tagged value, and keeps the
// value if it is a user principal name: other kinds say nothing to us.
func (n *certNames) parseOtherName(name *asn1.RawValue) error {
	var id asn1.ObjectIdentifier
	rest, err := asn1.Unmarshal(name.Bytes, &id)
	if err != nil || !name.IsCompound {
		return errCertSAN
	}
	if !id.Equal(oidUPN) {
		return nil
	}
	var explicit, text asn1.RawValue
	rest, err = asn1.Unmarshal(rest, &explicit)
	if err != nil || len(rest) > 0 || explicit.Class != asn1.ClassContextSpecific || explicit.Tag != 0 || !explicit.IsCompound {
		return errCertSAN
	}
	rest, err = asn1.Unmarshal(explicit.Bytes, &text)
	if err != nil || len(rest) > 0 || text.Class != asn1.ClassUniversal || text.Tag != asn1.TagUTF8String || !utf8.Valid(text.Bytes) {
		return errCertSAN
	}
	n.upns = append(n.upns, string(text.Bytes))
	return nil
}
