package identity

import (
	"crypto/sha1" // the directory names certificates by it; the SHA-256 of the key must match too
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"

	"github.com/gatehouse-project/gatehouse/decision"
)

// registrationIssuer is the authority that Entra ID signs the certificates of
// registered devices with. It is not published and proves nothing here: the name
// only tells which certificates a directory could know.
const registrationIssuer = "MS-Organization-Access"

// PinnedCertificates reads the certificates that Entra ID gives to registered
// devices. No published authority issues them, so no chain is verified: such a
// certificate names a device only if the directory itself has it written down in
// the device's record. It is safe for concurrent use and owns no goroutine.
type PinnedCertificates struct {
	// cache has certificates that a directory knew, and no others: anybody can show
	// any number of them. It is keyed by the SHA-256 of their DER bytes.
	cache *lru.Cache[[sha256.Size]byte, *PinnedCertificate]
}

// PinnedCertificate is such a certificate before anybody has looked it up. It proves
// nothing by itself.
type PinnedCertificate struct {
	// Pins are the ids ([decision.PinnedCertificate]) of which one must be an id of
	// the device in the directory. There are two, for no document says which form of
	// the public key is hashed: the whole SubjectPublicKeyInfo, or the key in it.
	Pins [2]decision.Key
	// Claimed is the device that the certificate names (subject CN). The record with
	// the pin must be this device's.
	Claimed decision.Key

	cert   *Certificate
	reader *PinnedCertificates // that has yet to remember it; nil once it does
}

// NewPinnedCertificates makes a reader that remembers so many certificates; 0 means
// 16384.
func NewPinnedCertificates(entries int) (*PinnedCertificates, error) {
	if entries == 0 {
		entries = defaultCertCache
	}
	if entries < 0 || entries > maxCertCache {
		return nil, fmt.Errorf("pinned certificates: entries must be between 0 and %d", maxCertCache)
	}
	cache, err := lru.New[[sha256.Size]byte, *PinnedCertificate](entries)
	return &PinnedCertificates{cache}, err
}

// FromTLS returns the client's certificate if it is one of Entra ID's registration
// certificates, or nil. The handshake has shown that the client has its private key.
// Certificates that a proxy passes on never count: nobody could tell whether it
// saw that. Nothing is remembered of a certificate before it is Matched.
func (p *PinnedCertificates) FromTLS(cs *tls.ConnectionState) *PinnedCertificate {
	if cs == nil || len(cs.PeerCertificates) == 0 {
		return nil
	}
	leaf := cs.PeerCertificates[0]
	if checkCertLimits([]*x509.Certificate{leaf}) != nil || leaf.Issuer.CommonName != registrationIssuer || leaf.IsCA {
		return nil
	}
	thumbprint := sha256.Sum256(leaf.Raw)
	if c, ok := p.cache.Get(thumbprint); ok {
		return c
	}
	return p.read(leaf, thumbprint)
}

func (p *PinnedCertificates) read(leaf *x509.Certificate, thumbprint [sha256.Size]byte) *PinnedCertificate {
	id, ok := decision.CanonicalKey(decision.KindEntra, leaf.Subject.CommonName)
	if !ok {
		return nil
	}
	key, ok := publicKeyBits(leaf)
	if !ok {
		return nil
	}
	c := &PinnedCertificate{Claimed: id, reader: p, cert: &Certificate{
		Leaf: leaf, Keys: []decision.Key{id}, Thumbprint: thumbprint, NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
	}}
	sha1Thumbprint := sha1.Sum(leaf.Raw)
	c.Pins[0] = decision.PinnedCertificate(sha1Thumbprint, sha256.Sum256(key))
	c.Pins[1] = decision.PinnedCertificate(sha1Thumbprint, sha256.Sum256(leaf.RawSubjectPublicKeyInfo))
	return c
}

// publicKeyBits returns the subjectPublicKey of a SubjectPublicKeyInfo (RFC 5280,
// section 4.1).
func publicKeyBits(leaf *x509.Certificate) ([]byte, bool) {
	var info struct {
		Algorithm asn1.RawValue
		Key       asn1.BitString
	}
	rest, err := asn1.Unmarshal(leaf.RawSubjectPublicKeyInfo, &info)
	if err != nil || len(rest) > 0 || len(info.Key.Bytes) == 0 {
		return nil, false
	}
	return info.Key.Bytes, true
}

// Matched is the identity of the certificate at now, after the caller found one of
// its pins in the record of the claimed device, and only then. It is the same
// pointer while the certificate is remembered. A certificate out of its time is
// refused with a [*CertificateError].
func (c *PinnedCertificate) Matched(now time.Time) (*Certificate, error) {
	switch {
	case now.Before(c.cert.NotBefore):
		return nil, certError(CertificateNotYetValid, nil)
	case now.After(c.cert.NotAfter):
		return nil, certError(CertificateExpired, nil)
	case c.reader == nil:
		return c.cert, nil
	}
	leaf, err := ownCertificate(c.cert.Leaf)
	if err != nil {
		return nil, certError(CertificateMalformed, err)
	}
	cert := *c.cert
	cert.Leaf = leaf
	kept := &PinnedCertificate{Pins: c.Pins, Claimed: c.Claimed, cert: &cert}
	if first, ok, _ := c.reader.cache.PeekOrAdd(cert.Thumbprint, kept); ok {
		return first.cert, nil // of a request at the same time
	}
	return kept.cert, nil
}
