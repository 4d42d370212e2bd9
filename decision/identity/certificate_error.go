package identity

import "errors"

// ErrForeign says that a certificate is none of ours: the TLS layer did not
// verify it, or it does not chain to the configured roots. The caller ignores
// such a certificate, counts it, and goes on as if there were none.
var ErrForeign = errors.New("client certificate is not from a configured authority")

// The reasons why a certificate of ours gives no identity.
const (
	CertificateExpired        = "expired"         // the leaf or an authority in its chain is past notAfter
	CertificateNotYetValid    = "not_yet_valid"   // the leaf or an authority in its chain is before notBefore
	CertificateRevoked        = "revoked"         // a revocation list names the leaf or an authority in its chain
	CertificateUsage          = "usage"           // not issued for TLS client authentication
	CertificateUnmapped       = "unmapped"        // no mapping yields an id, or two yield different ones
	CertificateTenant         = "tenant"          // issued by Intune for another tenant, or for none that we can read
	CertificateChainTooLong   = "chain_too_long"  // more certificates than we are ready to check
	CertificateMalformed      = "malformed"       // too large, too many names, or a part that cannot be read
	CertificateCRLUnavailable = "crl_unavailable" // no usable revocation list covers the certificate: our fault
)

// CertificateError says why a certificate from one of our authorities was
// refused. It never contains the certificate or a name from it.
type CertificateError struct {
	// Reason is one of the constants above.
	Reason string
	// Unavailable is true if the fault is ours, so that the outcome is
	// undecided and not a refusal. Only crl_unavailable sets it.
	Unavailable bool
	// Err is the cause, for logs; nil if the reason says it all.
	Err error
}

// Error names the reason and the cause.
func (e *CertificateError) Error() string {
	if e.Err != nil {
		return "client certificate: " + e.Reason + ": " + e.Err.Error()
	}
	return "client certificate: " + e.Reason
}

// Unwrap returns the cause.
func (e *CertificateError) Unwrap() error { return e.Err }

func certError(reason string, cause error) *CertificateError {
	return &CertificateError{Reason: reason, Unavailable: reason == CertificateCRLUnavailable, Err: cause}
}
