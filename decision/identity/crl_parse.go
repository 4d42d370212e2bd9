package identity

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"time"
)

// crlSet is one verified revocation list. It is immutable.
type crlSet struct {
	issuer     *x509.Certificate
	number     *big.Int // nil if the list has none
	thisUpdate time.Time
	nextUpdate time.Time
	points     []string            // non-empty: the list is only for certificates that name one of these
	revoked    map[string]struct{} // by big-endian bytes of the serial number
	sum        [sha256.Size]byte   // of the DER bytes
}

var (
	oidCRLNumber         = asn1.ObjectIdentifier{2, 5, 29, 20}
	oidCRLDelta          = asn1.ObjectIdentifier{2, 5, 29, 27}
	oidCRLDistribution   = asn1.ObjectIdentifier{2, 5, 29, 28}
	oidCRLAuthorityKeyID = asn1.ObjectIdentifier{2, 5, 29, 35}
	oidCRLReason         = asn1.ObjectIdentifier{2, 5, 29, 21}
	oidCRLInvalidityDate = asn1.ObjectIdentifier{2, 5, 29, 24}
)

// crlPEM is the usual block type; RFC 7468 section 6 names no other.
const crlPEM = "X509 CRL"

// parseCRL reads DER or PEM and makes every check that does not depend on the
// time or on what was loaded before. [x509.ParseRevocationList] checks none of
// them: it accepts unknown critical extensions, delta lists and partial lists.
func parseCRL(data []byte, issuers []*x509.Certificate) (*crlSet, error) {
	if trimmed := bytes.TrimSpace(data); bytes.HasPrefix(trimmed, []byte("-----BEGIN ")) {
		block, rest := pem.Decode(trimmed)
		if block == nil || block.Type != crlPEM || len(bytes.TrimSpace(rest)) > 0 {
			return nil, errors.New("PEM is not one X509 CRL")
		}
		data = block.Bytes
	}
	list, err := x509.ParseRevocationList(data)
	if err != nil {
		return nil, err
	}
	if len(list.Raw) != len(data) {
		return nil, errors.New("data follows the list")
	}
	set := &crlSet{
		number: list.Number, thisUpdate: list.ThisUpdate, nextUpdate: list.NextUpdate,
		sum: sha256.Sum256(data),
	}
	if set.issuer, err = crlSigner(list, issuers); err != nil {
		return nil, err
	}
	if list.NextUpdate.IsZero() || !list.NextUpdate.After(list.ThisUpdate) {
		return nil, errors.New("nextUpdate is missing or not after thisUpdate")
	}
	if err := set.parseExtensions(list); err != nil {
		return nil, err
	}
	set.revoked = make(map[string]struct{}, len(list.RevokedCertificateEntries))
	for i := range list.RevokedCertificateEntries {
		entry := &list.RevokedCertificateEntries[i]
		for _, e := range entry.Extensions {
			// A critical certificateIssuer would make the entry, and all that
			// follow, about another authority's certificates.
			if e.Critical && !e.Id.Equal(oidCRLReason) && !e.Id.Equal(oidCRLInvalidityDate) {
				return nil, fmt.Errorf("entry has unknown critical extension %s", e.Id)
			}
		}
		// Every reason counts: a hold is a revocation while it stands, and
		// removeFromCRL has no meaning outside a delta list.
		set.revoked[string(entry.SerialNumber.Bytes())] = struct{}{}
	}
	return set, nil
}

// crlSigner finds the authority that signed the list. CheckSignatureFrom asks
// for a CA certificate whose key usage, if it has one, includes cRLSign.
func crlSigner(list *x509.RevocationList, issuers []*x509.Certificate) (*x509.Certificate, error) {
	err := errors.New("issuer is not among the trusted certificates")
	for _, ca := range issuers {
		if !bytes.Equal(ca.RawSubject, list.RawIssuer) {
			continue
		}
		if err = list.CheckSignatureFrom(ca); err == nil {
			return ca, nil
		}
		err = fmt.Errorf("signature: %w", err)
	}
	return nil, err
}

// parseExtensions refuses lists that do not say everything about their issuer.
func (s *crlSet) parseExtensions(list *x509.RevocationList) error {
	for _, e := range list.Extensions {
		switch {
		case e.Id.Equal(oidCRLDelta):
			return errors.New("a delta list is not supported")
		case e.Id.Equal(oidCRLDistribution):
			points, err := parseCRLScope(e.Value)
			if err != nil {
				return err
			}
			s.points = points
		case e.Id.Equal(oidCRLNumber), e.Id.Equal(oidCRLAuthorityKeyID):
		case e.Critical:
			return fmt.Errorf("unknown critical extension %s", e.Id)
		}
	}
	return nil
}

var errCRLScope = errors.New("issuing distribution point cannot be read")

// parseCRLScope reads an IssuingDistributionPoint (RFC 5280, 5.2.5). It
// accepts only a distribution point given by URIs; a list limited to some
// certificates, some reasons or other issuers is refused as partial.
func parseCRLScope(der []byte) ([]string, error) {
	var scope asn1.RawValue
	rest, err := asn1.Unmarshal(der, &scope)
	if err != nil || len(rest) > 0 || scope.Class != asn1.ClassUniversal || scope.Tag != asn1.TagSequence {
		return nil, errCRLScope
	}
	var points []string
	for rest = scope.Bytes; len(rest) > 0; {
		var field asn1.RawValue
		if rest, err = asn1.Unmarshal(rest, &field); err != nil || field.Class != asn1.ClassContextSpecific {
			return nil, errCRLScope
		}
		switch {
		case field.Tag == 0 && points == nil:
			if points, err = parseCRLPoints(field.Bytes); err != nil {
				return nil, err
			}
		case field.Tag != 0 && field.Tag != 3 && len(field.Bytes) == 1 && field.Bytes[0] == 0:
			// a flag that spells out its default
		default:
			return nil, errors.New("a partial or indirect list is not supported")
		}
	}
	return points, nil
}

// parseCRLPoints reads a DistributionPointName: fullName with URIs.
func parseCRLPoints(der []byte) ([]string, error) {
	var full asn1.RawValue
	rest, err := asn1.Unmarshal(der, &full)
	if err != nil || len(rest) > 0 || full.Class != asn1.ClassContextSpecific || full.Tag != 0 {
		return nil, errCRLScope
	}
	var points []string
	for rest = full.Bytes; len(rest) > 0; {
		var name asn1.RawValue
		if rest, err = asn1.Unmarshal(rest, &name); err != nil {
			return nil, errCRLScope
		}
		if name.Class == asn1.ClassContextSpecific && name.Tag == 6 {
			points = append(points, string(name.Bytes))
		}
	}
	if len(points) == 0 || len(points) > maxCertNames {
		return nil, errCRLScope
	}
	return slices.Clip(points), nil
}

// checkSuccessor refuses a list that is older than the one in use: a replayed
// list would take revocations back.
func (s *crlSet) checkSuccessor(next *crlSet) error {
	if !sameAuthority(s.issuer, next.issuer) {
		return nil // another authority numbers its own lists
	}
	if s.number != nil && (next.number == nil || next.number.Cmp(s.number) < 0) {
		return errors.New("number goes back")
	}
	if next.thisUpdate.Before(s.thisUpdate) {
		return errors.New("thisUpdate goes back")
	}
	return nil
}
