package configmgr

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// maxBody bounds one answer after decompression.
const maxBody = 32 << 20

// client asks one AdminService. It is safe for concurrent use.
type client struct {
	base    *url.URL // without /wmi
	auth    authorizer
	http    *http.Client
	timeout time.Duration
	page    int
	now     func() time.Time
	tiers   tiers
	refused source.Refusal // tickets are all different: those have a pace of their own
	peer    checkup.Peer   // what the site's answers tell about it
}

func newClient(base *url.URL, o Options, auth authorizer) *client {
	rt := o.Transport
	if rt == nil {
		rt = newTransport(o)
	}
	return &client{
		base: base, auth: auth, timeout: o.RequestTimeout, page: o.PageSize, now: o.Now,
		http: &http.Client{
			Transport: rt,
			// A redirect would carry the sign-in to another host.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}
}

// newTransport speaks HTTP/1.1 only: Windows does not do integrated authentication
// over HTTP/2.
func newTransport(o Options) *http.Transport {
	var one http.Protocols
	one.SetHTTP1(true)
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: o.RootCAs, MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    10 * time.Second,
		ResponseHeaderTimeout:  o.RequestTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		MaxIdleConnsPerHost:    8,
		MaxConnsPerHost:        16,
		IdleConnTimeout:        90 * time.Second,
		Protocols:              &one,
	}
}

// classURL is the address of a class with its query. Names of query options keep
// their $, and spaces are %20: some servers read + as itself.
func (c *client) classURL(class string, options ...string) string {
	u := *c.base
	u.Path += "/wmi/" + class
	var q strings.Builder
	for i := 0; i+1 < len(options); i += 2 {
		if options[i+1] == "" {
			continue
		}
		if q.Len() > 0 {
			q.WriteByte('&')
		}
		q.WriteString(options[i] + "=" + strings.ReplaceAll(url.QueryEscape(options[i+1]), "+", "%20"))
	}
	u.RawQuery = q.String()
	return u.String()
}

const (
	maxTries  = 3
	firstWait = time.Second
)

// get fetches one address. A patient call tries again when the server is
// unavailable for a moment.
func (c *client) get(ctx context.Context, class, address string, patient bool) ([]byte, error) {
	for try := 1; ; try++ {
		b, err := c.exchange(ctx, class, address)
		if err == nil || !patient || try == maxTries || !transient(err) {
			return b, err
		}
		wait := firstWait<<(try-1) + rand.N(firstWait)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return nil, ctx.Err()
		}
	}
}

// exchange sends one request. A refused sign-in is renewed once.
func (c *client) exchange(ctx context.Context, class, address string) ([]byte, error) {
	bounded, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	for retry := false; ; retry = true {
		resp, err := c.send(bounded, ctx, class, address)
		if err != nil {
			return nil, err
		}
		if resp.StatusCode == http.StatusUnauthorized && !retry && c.auth.again() {
			_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can be used again
			_ = resp.Body.Close()
			continue
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusUnauthorized {
			c.refused.Note(resp.Request.Header.Get("Authorization"))
		}
		return c.read(ctx, class, resp)
	}
}

func (c *client) send(ctx, caller context.Context, class, address string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, &Error{Kind: KindAnswer, Class: class, Reason: "address is not valid"}
	}
	header, err := c.auth.header(ctx)
	switch {
	case err == nil:
	case caller.Err() != nil:
		return nil, caller.Err()
	default:
		return nil, &Error{Kind: KindSignIn, Class: class, Reason: "cannot sign in", Err: err}
	}
	if wait := c.refused.Wait(header); wait > 0 {
		return nil, &Error{Kind: KindUnauthorized, Class: class, Reason: fmt.Sprintf(
			"the server does not accept the credential, which is tried again in %s, or at once when it is changed", wait.Round(time.Second))}
	}
	if header != "" {
		req.Header.Set("Authorization", header)
	}
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "gatehouse")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, transportError(caller, class, c.base.Host, err)
	}
	c.peer.Note(resp, time.Now()) // the clock of the machine is what counts
	return resp, nil
}

func (c *client) read(ctx context.Context, class string, resp *http.Response) ([]byte, error) {
	if resp.StatusCode != http.StatusOK {
		return nil, statusError(class, resp, c.now())
	}
	if media := resp.Header.Get("Content-Type"); strings.HasPrefix(strings.ToLower(media), "text/html") {
		return nil, &Error{Kind: KindAnswer, Class: class, Reason: "the answer is a web page: is this the url of the AdminService?"}
	}
	var buf bytes.Buffer
	n, err := buf.ReadFrom(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return nil, transportError(ctx, class, c.base.Host, err)
	case n > maxBody:
		return nil, &Error{Kind: KindAnswer, Class: class, Reason: fmt.Sprintf("the answer is larger than %d MiB: ask for smaller pages", maxBody>>20)}
	}
	return buf.Bytes(), nil
}
