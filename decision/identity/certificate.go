package identity

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// The limits on what a client may present. They bound the work before any
// signature is checked; no device authority comes near them.
const (
	maxCertChain = 5        // certificates, leaf and root included
	maxCertBytes = 16 << 10 // DER bytes of one certificate
	maxCertNames = 64       // entries of the subject alternative name
	maxCertRSA   = 8192     // bits of an RSA key, as crypto/tls has it
)

const (
	defaultCertCache = 16 << 10
	maxCertCache     = 1 << 20
)

// CertificateOptions configures [NewCertificates].
type CertificateOptions struct {
	// Roots are the authorities whose certificates identify a device or user.
	// Mandatory: an absent pool would mean the system's, and with it anyone
	// who can get a certificate from a public authority.
	Roots *x509.CertPool
	// RootCerts are the same roots as a list. Mandatory; a difference between
	// the two is an error.
	RootCerts []*x509.Certificate
	// Intermediates complete the chain of a client that sends only its leaf.
	Intermediates *x509.CertPool

	// Devices and Users say where a certificate carries an id. At least one
	// of them is mandatory.
	Devices []DeviceMapping
	Users   []UserMapping

	// IntuneTenant is the Entra tenant id (a GUID). If set, every certificate
	// must name it in extension 1.2.840.113556.5.14. Mandatory where a root is
	// Microsoft's Intune authority, which all tenants of the world share.
	IntuneTenant string

	// CRLs are the revocation lists; none means no revocation checking. With
	// lists, a certificate whose issuer none of them covers is refused. The
	// caller starts and closes them.
	CRLs []*CRL

	// AllowAnyEKU accepts a leaf without an extended key usage, or with only
	// anyExtendedKeyUsage. A leaf for other usages alone is refused all the same.
	AllowAnyEKU bool

	// CacheEntries bounds the certificates kept ready, default 16384, at most
	// 1048576. One entry holds about 4 KiB.
	CacheEntries int
}

// Certificates turns client certificates into identities. It checks validity,
// usage, chain and revocation on every call, never only at the handshake, and
// is safe for concurrent use. It owns no goroutine.
type Certificates struct {
	roots         *x509.CertPool
	intermediates *x509.CertPool
	devices       []deviceRule
	users         []userRule
	tenant        string
	crls          []*CRL
	anyEKU        bool
	cache         *certCache
}

// Certificate is the identity that one certificate carries. It is immutable
// and shared: the same leaf gives the same pointer while it is cached.
type Certificate struct {
	Leaf *x509.Certificate
	// Chain is the verified chain from the leaf to one of our roots.
	Chain []*x509.Certificate
	// Keys are the device ids, at most one of each kind; empty for a
	// certificate that names only a user.
	Keys []decision.Key
	// User is the person the certificate names, with Issuer
	// [decision.IssuerCertificate]; the zero User if it names none.
	User decision.User
	// Thumbprint is the SHA-256 of the leaf's DER bytes (RFC 8705 x5t#S256).
	Thumbprint [sha256.Size]byte
	// NotBefore and NotAfter are when all of the chain is valid.
	NotBefore, NotAfter time.Time

	links []certLink // what has to be looked up in revocation lists
}

// NewCertificates checks the options. It does no input or output.
func NewCertificates(o CertificateOptions) (*Certificates, error) {
	if err := checkRoots(&o); err != nil {
		return nil, err
	}
	if len(o.Devices)+len(o.Users) == 0 {
		return nil, errors.New("certificates: no device or user mapping")
	}
	if o.CacheEntries < 0 || o.CacheEntries > maxCertCache {
		return nil, fmt.Errorf("certificates: cache entries must be between 0 and %d", maxCertCache)
	}
	if o.CacheEntries == 0 {
		o.CacheEntries = defaultCertCache
	}
	if slices.Contains(o.CRLs, nil) {
		return nil, errors.New("certificates: a revocation list is nil")
	}
	c := &Certificates{
		roots: o.Roots.Clone(), intermediates: o.Intermediates, tenant: o.IntuneTenant,
		crls: slices.Clone(o.CRLs), anyEKU: o.AllowAnyEKU,
	}
	if c.intermediates == nil {
		c.intermediates = x509.NewCertPool()
	}
	c.intermediates = c.intermediates.Clone()
	if o.IntuneTenant != "" {
		key, ok := decision.CanonicalKey(decision.KindEntra, o.IntuneTenant)
		if !ok {
			return nil, errors.New("certificates: the intune tenant is not a GUID")
		}
		c.tenant = key.Value
	}
	for i := range o.Devices {
		r, err := o.Devices[i].rule()
		if err != nil {
			return nil, err
		}
		if r.From == FieldIntuneMDM && c.tenant == "" {
			return nil, errors.New("certificates: device mapping intune_mdm needs the intune tenant")
		}
		c.devices = append(c.devices, r)
	}
	for i := range o.Users {
		r, err := o.Users[i].rule()
		if err != nil {
			return nil, err
		}
		c.users = append(c.users, r)
	}
	cache, err := newCertCache(o.CacheEntries)
	if err != nil {
		return nil, err
	}
	c.cache = cache
	return c, nil
}

// checkRoots makes sure that the pool is ours and says what the list says.
func checkRoots(o *CertificateOptions) error {
	if o.Roots == nil || len(o.RootCerts) == 0 {
		return errors.New("certificates: no trusted roots")
	}
	list := x509.NewCertPool()
	for _, root := range o.RootCerts {
		if root == nil {
			return errors.New("certificates: a trusted root is nil")
		}
		list.AddCert(root)
		if intuneAuthority(root) && o.IntuneTenant == "" {
			return errors.New("certificates: a root is the Intune authority that all tenants share; set the intune tenant")
		}
	}
	if !list.Equal(o.Roots) {
		return errors.New("certificates: the pool and the list of trusted roots differ")
	}
	return nil
}

// FromTLS returns the identity of a connection's client certificate at now:
// nil and nil if the client sent none; [ErrForeign] if the TLS layer did not
// verify it or it is not from our roots; a [*CertificateError] if it is ours
// and refused. A certificate seen before costs no allocation.
//
// The connection alone is not proof that the certificate still holds: one that
// expires or is revoked under an open connection is refused with the next request.
func (c *Certificates) FromTLS(cs *tls.ConnectionState, now time.Time) (*Certificate, error) {
	if cs == nil || len(cs.PeerCertificates) == 0 {
		return nil, nil
	}
	if len(cs.VerifiedChains) == 0 {
		return nil, ErrForeign // client_auth mode request or require: anyone can make such a certificate
	}
	leaf := cs.PeerCertificates[0]
	if cert, ok := c.cache.byPointer(leaf); ok && cert.validAt(now) {
		return cert.checked(now)
	}
	cert, err := c.identify(cs.PeerCertificates, now)
	if err != nil {
		return nil, err
	}
	c.cache.addPointer(leaf, cert)
	return cert, nil
}

// FromForwarded returns the identity of a certificate that a trusted proxy
// passed on, leaf first (see [Dialect.Parse]). Whatever the proxy says it has
// checked is checked again. Results are those of [Certificates.FromTLS].
func (c *Certificates) FromForwarded(chain []*x509.Certificate, now time.Time) (*Certificate, error) {
	if len(chain) == 0 {
		return nil, nil
	}
	return c.identify(chain, now)
}

// identify is the way of a certificate that the pointer cache does not know.
func (c *Certificates) identify(presented []*x509.Certificate, now time.Time) (*Certificate, error) {
	if err := checkCertLimits(presented); err != nil {
		return nil, err
	}
	leaf := presented[0]
	thumbprint := sha256.Sum256(leaf.Raw)
	if cert, ok := c.cache.byThumbprint(thumbprint); ok && cert.validAt(now) {
		return cert.checked(now)
	}
	names, err := parseCertNames(leaf)
	if err != nil {
		return nil, certError(CertificateMalformed, err)
	}
	chain, err := c.verify(presented, names, now)
	if err != nil {
		return nil, err
	}
	if err := c.checkTenant(chain); err != nil {
		return nil, certError(CertificateTenant, err)
	}
	if chain, err = ownChain(chain, presented); err != nil {
		return nil, certError(CertificateMalformed, err)
	}
	leaf = chain[0]
	cert := &Certificate{Leaf: leaf, Chain: chain, Thumbprint: thumbprint}
	cert.NotBefore, cert.NotAfter = certWindow(chain)
	if now.Before(cert.NotBefore) { // x509 reads a zero time as the present; we do not
		return nil, certError(CertificateNotYetValid, nil)
	}
	if cert.Keys, err = mapDevice(c.devices, leaf, names); err != nil {
		return nil, certError(CertificateUnmapped, err)
	}
	if cert.User, err = mapUser(c.users, chain, names); err != nil {
		return nil, certError(CertificateUnmapped, err)
	}
	if len(cert.Keys) == 0 && !cert.User.Known() {
		return nil, certError(CertificateUnmapped, nil)
	}
	cert.links = certLinks(chain, c.crls)
	return c.cache.add(cert, now).checked(now)
}

// validAt is the whole of the check that time can change. The chain itself is
// verified once: our roots do not change under a [Certificates].
func (c *Certificate) validAt(now time.Time) bool {
	return !now.Before(c.NotBefore) && !now.After(c.NotAfter)
}

// checked looks the certificate up in the revocation lists as they are now.
func (c *Certificate) checked(now time.Time) (*Certificate, error) {
	if err := checkRevocation(c.links, now); err != nil {
		return nil, err
	}
	return c, nil
}
