package identity

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/gatehouse-project/gatehouse/decision"
)

// DeviceMapping says where a certificate carries a device id, and of which
// kind. Make one with [ParseDeviceMapping].
type DeviceMapping struct {
	// Kind of the id: entra, intune, serial, or a name of the operator's.
	Kind string
	// From is the field that holds the id; any but san_upn.
	From CertField
	// Prefix is the text before the id; values that do not begin with it are
	// passed over. In a URI its case does not count. For san_dns it is the
	// text after the id instead, as in <id>.devices.corp.example.
	Prefix string
	// Pattern, if set, is matched against the whole rest, and its one capture
	// group is the id.
	Pattern *regexp.Regexp
	// OID is the extension to read; only with FieldExtension.
	OID asn1.ObjectIdentifier
}

// ParseDeviceMapping reads the words of a configuration line:
//
//	KIND FIELD [PREFIX] [regexp PATTERN]
//	intune intune_mdm
//	KIND extension OID
//
// The fields are the [CertField] constants. For san_dns the prefix is a suffix.
func ParseDeviceMapping(words []string) (DeviceMapping, error) {
	if len(words) < 2 {
		return DeviceMapping{}, errors.New("device mapping: want KIND FIELD [PREFIX] [regexp PATTERN]")
	}
	m := DeviceMapping{Kind: words[0], From: CertField(words[1])}
	rest, err := words[2:], error(nil)
	if m.From == FieldExtension {
		if len(rest) != 1 {
			return DeviceMapping{}, errors.New("device mapping: extension wants one OID")
		}
		m.OID, err = parseCertOID(rest[0])
	} else {
		m.Prefix, m.Pattern, err = patternWords(rest)
	}
	if err != nil {
		return DeviceMapping{}, fmt.Errorf("device mapping: %w", err)
	}
	if _, err := m.rule(); err != nil {
		return DeviceMapping{}, err
	}
	return m, nil
}

// deviceRule is a checked mapping.
type deviceRule struct{ DeviceMapping }

func (m *DeviceMapping) rule() (deviceRule, error) {
	fail := func(format string, args ...any) (deviceRule, error) {
		return deviceRule{}, fmt.Errorf("device mapping: "+format, args...)
	}
	if !validCertKind(m.Kind) {
		return fail("kind %q is not a name of letters, digits, _ and -", m.Kind)
	}
	switch m.From {
	case FieldSubjectCN, FieldSerialNumber, FieldSANURI, FieldSANDNS, FieldSANEmail:
		if m.OID != nil {
			return fail("field %s takes no OID", m.From)
		}
	case FieldIntuneMDM:
		if m.Kind != decision.KindIntune || m.Prefix != "" || m.Pattern != nil || m.OID != nil {
			return fail("intune_mdm holds an intune id and takes no further words")
		}
	case FieldExtension:
		if len(m.OID) == 0 || m.Prefix != "" || m.Pattern != nil {
			return fail("extension wants an OID and nothing else")
		}
	case FieldSANUPN:
		return fail("san_upn names a user, not a device")
	default:
		return fail("unknown field %q; known: subject_cn, serial_number, san_uri, san_dns, san_email, intune_mdm, extension", string(m.From))
	}
	whole, err := wholePattern(m.Pattern)
	if err != nil {
		return fail("%w", err)
	}
	r := deviceRule{*m}
	r.Pattern = whole
	return r, nil
}

func validCertKind(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_' && r != '-'
	})
}

// texts returns what the rule's field holds, as text.
func (r *deviceRule) texts(leaf *x509.Certificate, names *certNames) []string {
	switch r.From {
	case FieldIntuneMDM:
		if id, ok := certGUID(leaf, oidIntuneDevice); ok {
			return []string{id}
		}
		return nil
	case FieldExtension:
		value, ok := certExtension(leaf, r.OID)
		if !ok {
			return nil
		}
		if text, ok := extensionText(value); ok {
			return []string{text}
		}
		return nil
	case FieldSubjectCN, FieldSerialNumber, FieldSANURI, FieldSANDNS, FieldSANEmail, FieldSANUPN:
	}
	return names.values(r.From)
}

// extensionText reads a GUID or a DER string.
func extensionText(value []byte) (string, bool) {
	if id, ok := decodeGUID(value); ok {
		return id, true
	}
	var text asn1.RawValue
	rest, err := asn1.Unmarshal(value, &text)
	if err != nil || len(rest) > 0 || text.Class != asn1.ClassUniversal || !utf8.Valid(text.Bytes) {
		return "", false
	}
	switch text.Tag {
	case asn1.TagUTF8String, asn1.TagPrintableString, asn1.TagIA5String:
		return string(text.Bytes), true
	}
	return "", false
}

// key turns one value into an id; false if the rule does not apply to it or
// what remains is no id of the kind.
func (r *deviceRule) key(value string) (decision.Key, bool) {
	if r.Prefix != "" {
		n := len(r.Prefix)
		switch {
		case len(value) <= n:
			return decision.Key{}, false
		case r.From == FieldSANDNS && strings.EqualFold(value[len(value)-n:], r.Prefix):
			value = value[:len(value)-n]
		case r.From == FieldSANURI && strings.EqualFold(value[:n], r.Prefix), r.From != FieldSANDNS && value[:n] == r.Prefix:
			value = value[n:]
		default:
			return decision.Key{}, false
		}
	}
	id, ok := certCapture(r.Pattern, value)
	if !ok || !utf8.ValidString(id) {
		return decision.Key{}, false
	}
	return decision.CanonicalKey(r.Kind, id)
}

var errAmbiguousDevice = errors.New("two different device ids of one kind")

// mapDevice returns the ids that the rules find, one of each kind. Values that
// are no id of their rule's kind are passed over, since other names stand
// beside the id in the field (a SID tag among the URIs, a person as common
// name). Two different ids of one kind leave no right choice and are an error.
func mapDevice(rules []deviceRule, leaf *x509.Certificate, names *certNames) ([]decision.Key, error) {
	var keys []decision.Key
	for i := range rules {
		for _, value := range rules[i].texts(leaf, names) {
			key, ok := rules[i].key(value)
			if !ok {
				continue
			}
			known, same := false, false
			for _, k := range keys {
				if k.Kind == key.Kind {
					known, same = true, k.Value == key.Value
				}
			}
			if known && !same {
				return nil, errAmbiguousDevice
			}
			if !known {
				keys = append(keys, key)
			}
		}
	}
	return keys, nil
}
