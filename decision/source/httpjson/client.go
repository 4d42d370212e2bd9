package httpjson

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// client asks one service. It is safe for concurrent use.
type client struct {
	http     *http.Client
	own      *http.Transport // nil: somebody else's
	header   http.Header
	cred     credential
	timeout  time.Duration
	notFound []int // nil: 404, unless a web page comes with it
	now      func() time.Time
	refused  source.Refusal
	peer     checkup.Peer // what the service's answers tell about it
}

// errNotFound says that the service answered with one of the statuses that mean
// an unknown device.
var errNotFound = errors.New("not found")

// denial is an error that says why the service lets us not read.
type denial struct {
	text string
	is   error // of package source
}

// Error implements error.
func (d *denial) Error() string { return d.text }

// Unwrap makes it what it is.
func (d *denial) Unwrap() error { return d.is }

var (
	errUnauthorized error = &denial{"status 401: the service refuses", source.ErrNotAccepted}
	errForbidden    error = &denial{"status 403: the service lets", source.ErrNotPermitted}
	errBadRequest         = errors.New("status 400")
)

func newClient(o *Options, notFound []int) (*client, error) {
	c := &client{timeout: o.Timeout, notFound: notFound, now: o.Now}
	if c.timeout == 0 {
		c.timeout = DefaultTimeout
	}
	if c.now == nil {
		c.now = time.Now
	}
	var err error
	if c.cred, err = newCredential(o); err != nil {
		return nil, err
	}
	if c.header, err = newHeader(o.Header, c.cred.kind != noCredential); err != nil {
		return nil, err
	}
	transport := o.Transport
	if transport == nil {
		c.own = &http.Transport{
			Proxy:                  http.ProxyFromEnvironment,
			DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
			TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: 64 << 10,
			ForceAttemptHTTP2:      true,
			MaxConnsPerHost:        32,
			MaxIdleConnsPerHost:    8,
			IdleConnTimeout:        90 * time.Second,
		}
		transport = c.own
	} else if o.RootCAs != nil {
		return nil, errors.New("root CAs have no effect on a transport that is given")
	}
	c.http = &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

func (c *client) close() {
	if c.own != nil {
		c.own.CloseIdleConnections()
	}
}

// get asks for address and reads the answer with d. Errors name the host at
// most: an address holds ids and perhaps keys.
func (c *client) get(ctx context.Context, address string, d *document) (doc any, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, errors.New("address is not a URL")
	}
	req.Header = c.header.Clone()
	token, err := c.cred.apply(req, c)
	if err != nil {
		return nil, err
	}
	sent := req.Header.Get("Authorization")
	if wait := c.refused.Wait(sent); wait > 0 {
		return nil, fmt.Errorf("%s: %w %s: it is tried again in %s, or at once when it is changed", req.URL.Host, errUnauthorized, c.cred, wait.Round(time.Second))
	}
	doc, err = c.do(req, d, http.StatusOK)
	switch {
	case !errors.Is(err, errUnauthorized):
		return doc, err
	case c.cred.kind != oauth:
		c.refused.Note(sent)
		return doc, err
	}
	// The service may have forgotten the token before its time.
	c.cred.tokens.drop(ctx, token)
	if _, err := c.cred.apply(req, c); err != nil {
		return nil, err
	}
	return c.do(req, d, http.StatusOK)
}

// do sends a request and reads the answer with d if its status is a good one.
func (c *client) do(req *http.Request, d *document, good ...int) (doc any, err error) {
	ctx := req.Context()
	res, err := c.http.Do(req)
	if err != nil {
		if where, ok := errors.AsType[*url.Error](err); ok {
			err = where.Err // its text holds the whole address
		}
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("%s: %w", req.URL.Host, err)
	}
	defer res.Body.Close()
	if req.Method == http.MethodGet { // not what a token endpoint says
		c.peer.Note(res, time.Now())
	}
	if !slices.Contains(good, res.StatusCode) {
		err = c.status(res)
		_, _ = io.CopyN(io.Discard, res.Body, 4<<10) // so that the connection can be used again
		return nil, fmt.Errorf("%s: %w", req.URL.Host, err)
	}
	doc, err = readJSON(res, d)
	if err == nil {
		return doc, nil
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return nil, fmt.Errorf("%s: %w", req.URL.Host, err)
}

// status says what a status other than 200 means.
func (c *client) status(res *http.Response) error {
	code := res.StatusCode
	switch {
	case slices.Contains(c.notFound, code):
		return errNotFound
	case code == http.StatusNotFound && c.notFound == nil:
		if webPage(res.Header) {
			return errors.New("status 404 with a web page: the address may be wrong; " +
				"if the service says so about unknown devices, name 404 as a not-found status")
		}
		return errNotFound
	case code == http.StatusUnauthorized:
		return fmt.Errorf("%w %s", errUnauthorized, c.cred)
	case code == http.StatusForbidden:
		return fmt.Errorf("%w %s in but not read this: grant read access to devices", errForbidden, c.cred)
	case code == http.StatusBadRequest:
		return errBadRequest
	case code == http.StatusTooManyRequests:
		return &source.ThrottledError{RetryAfter: retryAfter(res.Header, c.now())}
	case code == http.StatusServiceUnavailable && res.Header.Get("Retry-After") != "":
		return &source.ThrottledError{RetryAfter: retryAfter(res.Header, c.now())}
	case code >= 300 && code <= 399:
		return fmt.Errorf("status %d: redirects are not followed; configure the address that it leads to", code)
	}
	return fmt.Errorf("status %d", code)
}

// readJSON reads the body of a good answer.
func readJSON(res *http.Response, d *document) (any, error) {
	if webPage(res.Header) {
		return nil, errors.New("answer is a web page, not JSON: a sign-in page or a wrong address")
	}
	if enc := res.Header.Get("Content-Encoding"); enc != "" && !strings.EqualFold(enc, "identity") {
		return nil, fmt.Errorf("answer has the unknown content encoding %.20q", enc)
	}
	body := bufio.NewReader(res.Body)
	for {
		b, err := body.Peek(1)
		if err != nil || strings.IndexByte(" \t\r\n", b[0]) < 0 {
			if err == nil && b[0] == '<' {
				return nil, errors.New("answer is HTML or XML, not JSON")
			}
			break
		}
		if d.limit--; d.limit < 0 {
			return nil, errTooLarge
		}
		_, _ = body.Discard(1)
	}
	return d.read(body)
}

func webPage(h http.Header) bool {
	media, _, _ := mime.ParseMediaType(h.Get("Content-Type"))
	return media == "text/html" || media == "application/xhtml+xml"
}
