package identity

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CertField is a place in a certificate that can hold an id.
type CertField string

// The fields. Every one is read only where a mapping names it: an id in
// another field than the configured one counts for nothing.
const (
	FieldSubjectCN    CertField = "subject_cn"    // common name of the subject
	FieldSerialNumber CertField = "serial_number" // subject attribute serialNumber (2.5.4.5), not the certificate's number
	FieldSANURI       CertField = "san_uri"       // uniformResourceIdentifier
	FieldSANDNS       CertField = "san_dns"       // dNSName
	FieldSANEmail     CertField = "san_email"     // rfc822Name
	FieldSANUPN       CertField = "san_upn"       // otherName 1.3.6.1.4.1.311.20.2.3, users only
	FieldIntuneMDM    CertField = "intune_mdm"    // Intune device id of an MDM certificate, 1.2.840.113556.5.4
	FieldExtension    CertField = "extension"     // any extension by its OID: a GUID or one DER string
)

const (
	maxCertPattern = 512 // bytes of a configured pattern
	maxCertValue   = 256 // bytes of an id
)

// values returns all that a field of the leaf holds.
func (n *certNames) values(f CertField) []string {
	switch f {
	case FieldSubjectCN:
		return n.commonNames
	case FieldSerialNumber:
		return n.serials
	case FieldSANURI:
		return n.uris
	case FieldSANDNS:
		return n.dns
	case FieldSANEmail:
		return n.emails
	case FieldSANUPN:
		return n.upns
	case FieldIntuneMDM, FieldExtension: // not names: see deviceRule.texts
	}
	return nil
}

// wholePattern compiles p so that it matches a whole value or nothing. An
// unanchored pattern would find an id inside a name that a stranger chose.
func wholePattern(p *regexp.Regexp) (*regexp.Regexp, error) {
	if p == nil {
		return nil, nil
	}
	if p.NumSubexp() != 1 {
		return nil, errors.New("pattern must have exactly one capture group")
	}
	return regexp.Compile(`\A(?:` + p.String() + `)\z`)
}

// certCapture applies a pattern of [wholePattern]; no pattern captures everything.
func certCapture(p *regexp.Regexp, value string) (string, bool) {
	if p == nil {
		return value, true
	}
	m := p.FindStringSubmatch(value)
	if m == nil {
		return "", false
	}
	return m[1], true
}

// patternWords reads the words [PREFIX] [regexp PATTERN].
func patternWords(words []string) (prefix string, pattern *regexp.Regexp, err error) {
	if len(words) > 0 && words[0] != "regexp" {
		if prefix = words[0]; prefix == "" || len(prefix) > maxCertValue {
			return "", nil, errors.New("prefix is empty or too long")
		}
		words = words[1:]
	}
	if len(words) == 0 {
		return prefix, nil, nil
	}
	if words[0] != "regexp" || len(words) != 2 {
		return "", nil, fmt.Errorf("unexpected word %q, want `regexp PATTERN`", words[len(words)-1])
	}
	if len(words[1]) > maxCertPattern {
		return "", nil, errors.New("pattern is too long")
	}
	if pattern, err = regexp.Compile(words[1]); err != nil {
		return "", nil, err
	}
	_, err = wholePattern(pattern)
	return prefix, pattern, err
}

// parseCertOID reads dotted numbers.
func parseCertOID(s string) (asn1.ObjectIdentifier, error) {
	var id asn1.ObjectIdentifier
	for part := range strings.SplitSeq(s, ".") {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("OID %q is not dotted numbers", s)
		}
		id = append(id, int(n))
	}
	if len(id) < 2 || len(id) > 32 {
		return nil, fmt.Errorf("OID %q is too short or too long", s)
	}
	return id, nil
}

// certPrintable reports whether a name can be shown and logged as it stands: no
// control or invisible characters, no broken UTF-8, not blank, not long.
func certPrintable(s string) bool {
	if s == "" || len(s) > maxCertValue || !utf8.ValidString(s) || strings.TrimSpace(s) != s {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) })
}
