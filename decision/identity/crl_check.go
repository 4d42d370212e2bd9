package identity

import (
	"bytes"
	"crypto/x509"
	"errors"
	"slices"
	"time"
)

// certLink is one certificate of a chain that a revocation list may name.
// Everything a look-up needs is computed once, so that a look-up is a few
// loads and one map access.
type certLink struct {
	issuer *x509.Certificate
	serial string   // big-endian bytes
	points []string // the certificate's CRL distribution points
	leaf   bool
	lists  []*CRL // those that may speak for the issuer
}

// certLinks prepares the look-ups for a chain; the root has none, since its
// removal from the pool is how one revokes a root.
func certLinks(chain []*x509.Certificate, crls []*CRL) []certLink {
	if len(crls) == 0 {
		return nil
	}
	links := make([]certLink, 0, len(chain)-1)
	for i, cert := range chain[:len(chain)-1] {
		l := certLink{
			issuer: chain[i+1], serial: string(cert.SerialNumber.Bytes()),
			points: cert.CRLDistributionPoints, leaf: i == 0,
		}
		for _, crl := range crls {
			if slices.ContainsFunc(crl.issuers, func(ca *x509.Certificate) bool { return sameAuthority(ca, l.issuer) }) {
				l.lists = append(l.lists, crl)
			}
		}
		links = append(links, l)
	}
	return links
}

// sameAuthority compares name and key, so that a renewed or cross-signed
// authority certificate is still the same issuer.
func sameAuthority(a, b *x509.Certificate) bool {
	return a == b || bytes.Equal(a.RawSubject, b.RawSubject) &&
		bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

var errNoCRL = errors.New("no current revocation list of the issuer is loaded")

// checkRevocation looks every link up at now.
//
// A leaf must be covered by a usable list. An authority in the chain must be
// if a list could cover it: many roots publish none for their few authorities,
// and then the operator configures none. An entry counts even in a list that
// is out of date, because revocation is not undone by silence.
func checkRevocation(links []certLink, now time.Time) error {
	unavailable := false
	for i := range links {
		l := &links[i]
		covered, missing := false, false
		for _, crl := range l.lists {
			set := crl.set.Load()
			if set == nil {
				missing = true
				continue
			}
			if !set.covers(l) {
				continue
			}
			if _, revoked := set.revoked[l.serial]; revoked {
				return certError(CertificateRevoked, nil)
			}
			if set.usable(now, crl.softFor) {
				covered = true
			} else {
				missing = true
			}
		}
		if !covered && (l.leaf || missing) {
			unavailable = true
		}
	}
	if unavailable {
		return certError(CertificateCRLUnavailable, errNoCRL)
	}
	return nil
}

// covers reports whether the list speaks for the certificate of a link
// (RFC 5280, 6.3.3 b): same issuer, and if the list is limited to distribution
// points, one that the certificate names.
func (s *crlSet) covers(l *certLink) bool {
	if !sameAuthority(s.issuer, l.issuer) {
		return false
	}
	if len(s.points) == 0 {
		return true
	}
	for _, p := range s.points {
		if slices.Contains(l.points, p) {
			return true
		}
	}
	return false
}

// usable reports whether an absent entry means not revoked.
func (s *crlSet) usable(now time.Time, softFor time.Duration) bool {
	return !now.Before(s.thisUpdate) && now.Before(s.nextUpdate.Add(softFor))
}
