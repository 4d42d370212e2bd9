package checkup

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// The bounds of a difference between two clocks. A token or a signed assertion is
// refused from five minutes on.
const (
	SkewWarning = time.Minute
	SkewFault   = 5 * time.Minute
)

// Peer remembers what the answers of one service tell about its clock and its TLS
// certificate. The zero value is ready to use. It is safe for concurrent use.
type Peer struct {
	clock atomic.Pointer[clockReading]
	cert  atomic.Pointer[x509.Certificate]
}

type clockReading struct {
	host  string
	ahead time.Duration // the service's clock before ours
}

// Note takes in an answer that came at now. A Date that a cache kept (RFC 9110
// section 6.6.1, RFC 9111 section 5.1) says nothing about a clock.
func (p *Peer) Note(resp *http.Response, now time.Time) {
	host := ""
	if resp.Request != nil && resp.Request.URL != nil {
		host = resp.Request.URL.Host
	}
	if at, err := http.ParseTime(resp.Header.Get("Date")); err == nil && resp.Header.Get("Age") == "" {
		p.clock.Store(&clockReading{host, at.Sub(now)})
	}
	if resp.TLS != nil && len(resp.TLS.PeerCertificates) > 0 {
		p.cert.Store(resp.TLS.PeerCertificates[0])
	}
}

// Clock judges the difference between the service's clock and ours.
func (p *Peer) Clock() Finding {
	r := p.clock.Load()
	if r == nil {
		return Skip(CheckClock, "no answer told the time")
	}
	size, way := r.ahead.Abs(), "behind"
	if r.ahead < 0 {
		way = "ahead of"
	}
	text := fmt.Sprintf("this machine's clock is %s %s that of %s", Span(size.Truncate(time.Second)), way, r.host)
	const fix = "synchronise the clock of this machine (NTP)"
	switch {
	case size >= SkewFault:
		return Fail(CheckClock, text, fix)
	case size > SkewWarning:
		return Warn(CheckClock, text, fix)
	}
	return Ok(CheckClock, "this machine's clock agrees with that of "+r.host+" within a minute")
}

// Certificate judges the end of the service's TLS certificate. It is skipped if no
// answer came over TLS.
func (p *Peer) Certificate(now time.Time) Finding {
	c := p.cert.Load()
	if c == nil {
		return Skip(CheckCertificate, "no answer came over TLS")
	}
	return Expiry(CheckCertificate, "TLS certificate of the service", c.NotBefore, c.NotAfter, now, NoticeCredential, "renew the certificate of the service")
}

// Untrusted tells whether a call failed because of the service's TLS certificate,
// and why.
func Untrusted(err error) (why string, ok bool) {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &unknown):
		return "its certificate comes from an authority that is not trusted", true
	case errors.As(err, &name):
		return "its certificate is for another name", true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired or is not valid yet", true
	case errors.As(err, &invalid):
		return "its certificate is not valid", true
	}
	return "", false
}
