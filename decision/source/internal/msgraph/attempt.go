package msgraph

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"time"
)

func noRedirect(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// newTransport makes the client's own transport. Redirects and cookies do not
// exist at this level: only http.Client knows them.
func newTransport(roots *x509.CertPool) *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  30 * time.Second,
		IdleConnTimeout:        90 * time.Second,
		MaxIdleConnsPerHost:    8,
		MaxConnsPerHost:        32,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // we ask for it ourselves, to bound what comes out
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 15 * time.Second, PingTimeout: 10 * time.Second},
	}
}

// attempt sends one request and reads its answer.
func (c *Client) attempt(ctx context.Context, p *prepared, token string) (*Answer, *Error) {
	start := time.Now()
	limited, cancel := context.WithTimeout(ctx, tryTimeout)
	defer cancel()
	a, status, e := c.exchange(limited, p, token)
	if e != nil && e.cause != nil && ctx.Err() != nil {
		e = ended(p.Endpoint, ctx.Err(), "no answer in time")
	}
	if e == nil && p.check != nil {
		if err := p.check(a); err != nil {
			e = wrongAnswer(p.Endpoint, a.Status, err)
		}
	}
	if e != nil && e.RequestID == "" && a != nil {
		e.RequestID = clean(a.Header.Get("request-id"))
	}
	c.observe(p.Endpoint, status, e, start)
	if e != nil {
		return nil, e
	}
	return a, nil
}

func (c *Client) exchange(ctx context.Context, p *prepared, token string) (a *Answer, status int, e *Error) {
	req, err := http.NewRequestWithContext(ctx, p.Method, p.url.String(), bytes.NewReader(p.body))
	if err != nil {
		return nil, 0, &Error{Endpoint: p.Endpoint, Kind: KindBadRequest, Message: "request cannot be built"}
	}
	p.setHeader(req, token)
	resp, err := c.transport.RoundTrip(req)
	if err != nil {
		return nil, 0, networkError(p.Endpoint, err)
	}
	defer resp.Body.Close()
	c.peers[p.Endpoint.Resource()].Note(resp, time.Now())
	status = resp.StatusCode
	if status < 200 || status > 299 {
		body, _ := readBody(resp, maxErrBody) // a body that breaks off still has a status
		return nil, status, failure(p.Endpoint, status, resp.Header, body, token, c.lastSecret())
	}
	body, err := readBody(resp, p.MaxBody)
	if errors.Is(err, errTooLarge) || errors.Is(err, errEncoding) {
		return nil, status, wrongAnswer(p.Endpoint, status, err)
	}
	if err != nil { // cut off: as good as none
		e = networkError(p.Endpoint, err)
		e.Message, e.Status = "answer broke off: "+e.Message, status
		return nil, status, e
	}
	a = &Answer{Status: status, Header: resp.Header, Body: body}
	if err = p.checkType(a); err != nil {
		return a, status, wrongAnswer(p.Endpoint, status, err)
	}
	return a, status, nil
}

func (c *Client) lastSecret() string {
	if s := c.secret.Load(); s != nil {
		return *s
	}
	return ""
}

func (p *prepared) setHeader(req *http.Request, token string) {
	for name, values := range p.Header {
		req.Header[http.CanonicalHeaderKey(name)] = values
	}
	h := req.Header
	h.Set("Authorization", "Bearer "+token)
	h.Set("Accept", p.Accept)
	h.Set("Accept-Encoding", "gzip")
	h.Set("User-Agent", "gatehouse")
	h.Set("client-request-id", newRequestID())
	if p.Priority != "" {
		h.Set("x-ms-throttle-priority", p.Priority)
	}
	if p.body != nil {
		h.Set("Content-Type", jsonType)
	} else {
		req.Body, req.ContentLength, req.GetBody = http.NoBody, 0, nil
	}
}

// newRequestID is a random UUID (RFC 9562, version 4).
func newRequestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails since Go 1.24
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

func wrongAnswer(ep Endpoint, status int, err error) *Error {
	return &Error{Endpoint: ep, Status: status, Kind: KindAnswer, Message: clean(err.Error())}
}

// networkError keeps the cause but not the URL that the standard library puts in
// front of it: a link can be a secret.
func networkError(ep Endpoint, err error) *Error {
	var u *url.Error
	for errors.As(err, &u) && u.Err != nil {
		err = u.Err
	}
	e := &Error{Endpoint: ep, Kind: KindUnavailable, Message: clean(err.Error()), cause: err, retry: true}
	if isPermanent(err) {
		e.retry, e.hint = false, "if a proxy inspects TLS, trust its certificate authority"
	}
	return e
}

// isPermanent reports whether the network failed in a way that a second try does
// not mend: nobody mends certificates within seconds.
func isPermanent(err error) bool {
	var unknown x509.UnknownAuthorityError
	var name x509.HostnameError
	var invalid x509.CertificateInvalidError
	return errors.As(err, &unknown) || errors.As(err, &name) || errors.As(err, &invalid)
}

func statusClass(status int) string {
	if status < 100 || status > 599 {
		return "error"
	}
	return string(rune('0'+status/100)) + "xx"
}
