package configmgr

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

// Kind says who can repair a failed call.
type Kind uint8

// The kinds of failure.
const (
	KindUnavailable  Kind = iota // network, timeout, 5xx
	KindThrottled                // 429, or 503 with Retry-After
	KindUnauthorized             // the server does not accept our sign-in
	KindSignIn                   // we could not make one: keytab, KDC, secret file
	KindPermission               // the account may not read the class
	KindNotFound                 // no such class at this URL
	KindCertificate              // the server's certificate is not trusted
	KindBadRequest               // the server does not understand the query
	KindAnswer                   // not what an AdminService sends
)

// Error is a failed call. Its text is one line without secrets that names what to
// change, where the operator can change something.
type Error struct {
	Kind   Kind
	Class  string // the WMI class that was read
	Status int    // of the HTTP answer; 0 without one
	Reason string
	Err    error // cause; may be nil
}

// Error implements error.
func (e *Error) Error() string {
	s := e.Class + ": " + e.Reason
	if e.Status != 0 {
		s = fmt.Sprintf("%s: %d %s", e.Class, e.Status, e.Reason)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is makes an error [source.ErrNotAccepted] or [source.ErrNotPermitted] if that is what
// it means. The Error of internal/msgraph has a method like this one: two services, whose
// kinds of failure differ, share only what [source] asks of both.
func (e *Error) Is(target error) bool {
	switch e.Kind {
	case KindUnauthorized, KindSignIn:
		return target == source.ErrNotAccepted
	case KindPermission:
		return target == source.ErrNotPermitted
	case KindUnavailable, KindThrottled, KindNotFound, KindCertificate, KindBadRequest, KindAnswer:
	}
	return false
}

// transient reports whether the same call may succeed a moment later.
func transient(err error) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && e.Kind == KindUnavailable && (e.Status == 0 || e.Status == 502 || e.Status == 503 || e.Status == 504)
}

// transportError explains a call that got no answer.
func transportError(ctx context.Context, class, host string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err // without the address, which names the device
	}
	e := &Error{Kind: KindUnavailable, Class: class, Reason: "no answer from " + host, Err: err}
	unknown, isUnknown := errors.AsType[x509.UnknownAuthorityError](err)
	wrongName, isWrongName := errors.AsType[x509.HostnameError](err)
	invalid, isInvalid := errors.AsType[x509.CertificateInvalidError](err)
	switch {
	case isUnknown:
		e.Kind, e.Err = KindCertificate, nil
		issuer := "an unknown authority"
		if unknown.Cert != nil && unknown.Cert.Issuer.CommonName != "" {
			issuer = strconv.Quote(unknown.Cert.Issuer.CommonName)
		}
		e.Reason = fmt.Sprintf("certificate of %s comes from %s, which is not trusted: export the root certificate of the site and name it in ca_file",
			host, issuer)
	case isWrongName:
		e.Kind, e.Err, e.Reason = KindCertificate, wrongName, "url does not use the name that the certificate is for"
	case isInvalid:
		e.Kind, e.Err, e.Reason = KindCertificate, invalid, "certificate of "+host+" is not valid"
	case errors.Is(err, context.DeadlineExceeded):
		e.Err = errors.New("timed out")
	}
	return e
}

// statusError explains an answer that is not 200.
func statusError(class string, resp *http.Response, now time.Time) error {
	e := &Error{Class: class, Status: resp.StatusCode}
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "":
		e.Kind, e.Reason = KindThrottled, "the server asks us to wait"
		e.Err = &source.ThrottledError{RetryAfter: retryAfter(resp.Header.Get("Retry-After"), now)}
	case code == http.StatusUnauthorized:
		e.Kind, e.Reason = KindUnauthorized, unauthorizedReason(resp)
	case code == http.StatusForbidden:
		e.Kind, e.Reason = KindPermission, "the account may not read this class: make it an administrative user of the site, with the role Read-only Analyst"
	case code == http.StatusNotFound:
		e.Kind, e.Reason = KindNotFound, "no such class at this address: the url must end in /AdminService"
	case code >= 300 && code < 400:
		e.Kind, e.Reason = KindAnswer, "the server sends us elsewhere, which is not followed: give the final url"
	case code >= 400 && code < 500:
		e.Kind, e.Reason = KindBadRequest, "the server does not accept the query"
	default:
		e.Kind, e.Reason = KindUnavailable, "the server failed"
	}
	return e
}

// unauthorizedReason says what the server wants instead.
func unauthorizedReason(resp *http.Response) string {
	sent, _, _ := strings.Cut(resp.Request.Header.Get("Authorization"), " ")
	negotiate := false
	for _, v := range resp.Header.Values("WWW-Authenticate") {
		scheme, _, _ := strings.Cut(v, " ")
		negotiate = negotiate || strings.EqualFold(scheme, "Negotiate")
	}
	switch {
	case sent == "Negotiate":
		return "the server refuses our Kerberos ticket: check the service principal name, the clocks, and that the account is an administrative user of the site"
	case negotiate:
		return "the server wants integrated authentication: configure negotiate with a keytab"
	case sent == "":
		return "the server wants somebody to sign in"
	}
	return "the server does not accept the credential"
}

// retryAfter reads delay seconds, also with a fraction, or an HTTP date.
func retryAfter(s string, now time.Time) time.Duration {
	if f, err := strconv.ParseFloat(s, 64); err == nil && f > 0 && f < 1e6 {
		return time.Duration(f * float64(time.Second))
	}
	if t, err := http.ParseTime(s); err == nil && t.After(now) {
		return t.Sub(now)
	}
	return 0
}
