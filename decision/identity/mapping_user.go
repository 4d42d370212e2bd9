package identity

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
)

// UserMapping says where a certificate names a person. Make one with
// [ParseUserMapping].
type UserMapping struct {
	// From is san_upn, san_email or subject_cn.
	From CertField
	// Pattern, if set, is matched against the whole value, and its one capture
	// group is the name.
	Pattern *regexp.Regexp
}

// ParseUserMapping reads the words of a configuration line:
//
//	san_upn | san_email | subject_cn [regexp PATTERN]
func ParseUserMapping(words []string) (UserMapping, error) {
	if len(words) == 0 {
		return UserMapping{}, errors.New("user mapping: want san_upn, san_email or subject_cn")
	}
	prefix, pattern, err := patternWords(words[1:])
	if err != nil {
		return UserMapping{}, fmt.Errorf("user mapping: %w", err)
	}
	if prefix != "" {
		return UserMapping{}, fmt.Errorf("user mapping: unexpected word %q", prefix)
	}
	m := UserMapping{From: CertField(words[0]), Pattern: pattern}
	if _, err := m.rule(); err != nil {
		return UserMapping{}, err
	}
	return m, nil
}

// userRule is a checked mapping.
type userRule struct{ UserMapping }

func (m *UserMapping) rule() (userRule, error) {
	switch m.From {
	case FieldSANUPN, FieldSANEmail, FieldSubjectCN:
	case FieldSerialNumber, FieldSANURI, FieldSANDNS, FieldIntuneMDM, FieldExtension:
		return userRule{}, fmt.Errorf("user mapping: field %s names no person; known: san_upn, san_email, subject_cn", m.From)
	default:
		return userRule{}, fmt.Errorf("user mapping: unknown field %q; known: san_upn, san_email, subject_cn", string(m.From))
	}
	whole, err := wholePattern(m.Pattern)
	if err != nil {
		return userRule{}, fmt.Errorf("user mapping: %w", err)
	}
	r := userRule{*m}
	r.Pattern = whole
	return r, nil
}

// name turns one value into a person's name; false if it cannot be one.
func (r *userRule) name(value string) (string, bool) {
	name, ok := certCapture(r.Pattern, value)
	if !ok || !certPrintable(name) {
		return "", false
	}
	if r.From != FieldSubjectCN && r.Pattern == nil && !validCertAddress(name) {
		return "", false
	}
	return name, true
}

// validCertAddress accepts local@domain with one @ and nothing that another
// program could read as a list of addresses.
func validCertAddress(s string) bool {
	local, domain, ok := strings.Cut(s, "@")
	return ok && local != "" && domain != "" && !strings.ContainsAny(domain, "@") && !strings.ContainsAny(s, " ,;<>\"")
}

var errAmbiguousUser = errors.New("two different users")

// mapUser returns the person that the first fruitful rule names. Later rules
// are alternatives: a certificate may well carry a mail address that differs
// from the user principal name. Two names under one rule are an error.
func mapUser(rules []userRule, chain []*x509.Certificate, names *certNames) (decision.User, error) {
	for i := range rules {
		r := &rules[i]
		found := ""
		for _, value := range names.values(r.From) {
			name, ok := r.name(value)
			if !ok {
				continue
			}
			if found == "" {
				found = name
			} else if !strings.EqualFold(found, name) {
				return decision.User{}, errAmbiguousUser
			}
		}
		if found == "" {
			continue
		}
		u := decision.User{
			Issuer:  decision.IssuerCertificate,
			ID:      certUserID(chain[1], r.From, found),
			Subject: found,
			Name:    found,
		}
		if r.From == FieldSANEmail && validCertAddress(found) {
			u.Email = found
		}
		return u, nil
	}
	return decision.User{}, nil
}

// certUserID is the stable key of a person: the issuing authority's key and
// the field keep equal names apart, and the name itself is hashed because an
// id must not be a mail address. Renewing the authority with the same key
// keeps the id.
func certUserID(issuer *x509.Certificate, from CertField, name string) string {
	authority := sha256.Sum256(issuer.RawSubjectPublicKeyInfo)
	person := sha256.Sum256([]byte(string(from) + "\x00" + strings.ToLower(name)))
	return "cert|" + hex.EncodeToString(authority[:8]) + "|" + hex.EncodeToString(person[:16])
}
