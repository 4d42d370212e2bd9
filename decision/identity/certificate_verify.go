package identity

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"slices"
	"time"
)

// checkCertLimits refuses what would be expensive to look at.
func checkCertLimits(presented []*x509.Certificate) error {
	if len(presented) > maxCertChain {
		return certError(CertificateChainTooLong, nil)
	}
	for _, cert := range presented {
		if cert == nil || len(cert.Raw) == 0 {
			return certError(CertificateMalformed, errors.New("certificate is empty"))
		}
		if len(cert.Raw) > maxCertBytes {
			return certError(CertificateMalformed, errors.New("certificate is too large"))
		}
		if key, ok := cert.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() > maxCertRSA {
			return certError(CertificateMalformed, errors.New("RSA key is too large"))
		}
	}
	return nil
}

// verify builds the chain to one of our roots, valid at now and usable for
// client authentication.
func (c *Certificates) verify(presented []*x509.Certificate, names *certNames, now time.Time) ([]*x509.Certificate, error) {
	leaf := verifiableLeaf(presented[0], names)
	intermediates := c.intermediates
	if len(presented) > 1 {
		intermediates = intermediates.Clone()
		for _, cert := range presented[1:] {
			intermediates.AddCert(cert)
		}
	}
	opts := x509.VerifyOptions{
		Roots: c.roots, Intermediates: intermediates, CurrentTime: now,
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, // absent would mean server authentication
	}
	chains, err := leaf.Verify(opts)
	if err != nil {
		return nil, whyInvalid(leaf, opts, err)
	}
	// x509 lets a leaf without any usage pass as one for client authentication.
	if !c.anyEKU && !slices.Contains(leaf.ExtKeyUsage, x509.ExtKeyUsageClientAuth) {
		return nil, certError(CertificateUsage, errors.New("extended key usage clientAuth is missing"))
	}
	if leaf.BasicConstraintsValid && leaf.IsCA {
		return nil, certError(CertificateUsage, errors.New("certificate belongs to an authority"))
	}
	chain := bestChain(chains)
	if chain == nil {
		return nil, certError(CertificateChainTooLong, nil)
	}
	if len(chain) < 2 { // a leaf in the pool verifies by itself, with nobody's signature
		return nil, certError(CertificateUsage, errors.New("certificate is itself a trusted root"))
	}
	chain = slices.Clone(chain)
	chain[0] = presented[0]
	return chain, nil
}

// verifiableLeaf is leaf without the mark that a critical subject alternative
// name was not understood, if we did understand it. crypto/x509 has no field
// for otherName and marks an extension that holds nothing else. The leaf is
// shared with its connection, so the change is made to a copy. It helps with
// forwarded certificates only: crypto/tls has no such remedy, so a handshake
// with verification fails before we see the certificate.
func verifiableLeaf(leaf *x509.Certificate, names *certNames) *x509.Certificate {
	if len(leaf.UnhandledCriticalExtensions) == 0 || len(names.upns) == 0 {
		return leaf
	}
	copied := *leaf
	copied.UnhandledCriticalExtensions = slices.DeleteFunc(
		slices.Clone(leaf.UnhandledCriticalExtensions),
		func(id asn1.ObjectIdentifier) bool { return id.Equal(oidSubjectAltName) },
	)
	return &copied
}

// bestChain returns the chain within our length that stays valid longest.
func bestChain(chains [][]*x509.Certificate) []*x509.Certificate {
	var best []*x509.Certificate
	var until time.Time
	for _, chain := range chains {
		if len(chain) > maxCertChain {
			continue
		}
		if _, end := certWindow(chain); best == nil || end.After(until) {
			best, until = chain, end
		}
	}
	return best
}

// certWindow returns when all certificates of a chain are valid.
func certWindow(chain []*x509.Certificate) (from, until time.Time) {
	from, until = chain[0].NotBefore, chain[0].NotAfter
	for _, cert := range chain[1:] {
		if cert.NotBefore.After(from) {
			from = cert.NotBefore
		}
		if cert.NotAfter.Before(until) {
			until = cert.NotAfter
		}
	}
	return from, until
}

// whyInvalid tells a certificate of ours that is refused from a foreign one.
func whyInvalid(leaf *x509.Certificate, opts x509.VerifyOptions, err error) error {
	var invalid x509.CertificateInvalidError
	var unhandled x509.UnhandledCriticalExtension
	switch {
	case errors.As(err, &unhandled):
		if issuedByUs(leaf, opts) {
			return certError(CertificateMalformed, errors.New("a critical extension is unknown"))
		}
		return ErrForeign
	case !errors.As(err, &invalid):
		return ErrForeign
	}
	switch invalid.Reason {
	case x509.Expired: // x509 looks at the leaf's dates before it looks for an issuer
		if !issuedByUs(leaf, opts) {
			return ErrForeign
		}
		if invalid.Cert != nil && opts.CurrentTime.Before(invalid.Cert.NotBefore) {
			return certError(CertificateNotYetValid, nil)
		}
		return certError(CertificateExpired, nil)
	case x509.IncompatibleUsage:
		return certError(CertificateUsage, nil)
	case x509.TooManyIntermediates:
		return certError(CertificateChainTooLong, nil)
	case x509.CANotAuthorizedForThisName, x509.NameConstraintsWithoutSANs, x509.UnconstrainedName,
		x509.TooManyConstraints, x509.CANotAuthorizedForExtKeyUsage, x509.NoValidChains:
		return certError(CertificateMalformed, errors.New("an authority in the chain may not issue it"))
	case x509.NotAuthorizedToSign, x509.NameMismatch:
	}
	return ErrForeign
}

// issuedByUs reports whether a leaf that failed verification chains to our
// roots at some time of its life. It only chooses how to refuse: nothing that
// it finds is ever accepted, which is why any usage and any extension will do.
func issuedByUs(leaf *x509.Certificate, opts x509.VerifyOptions) bool {
	probe := *leaf
	probe.UnhandledCriticalExtensions = nil
	opts.KeyUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageAny}
	for _, at := range []time.Time{opts.CurrentTime, leaf.NotBefore, leaf.NotAfter} {
		opts.CurrentTime = at
		if _, err := probe.Verify(opts); err == nil {
			return true
		}
	}
	return false
}
