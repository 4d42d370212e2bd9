package identity

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/checkup"
)

const jwksTimeout = 5 * time.Second // of one request to an issuer

// jwksHTTP is a key set behind a URL, which is given or found by OpenID
// Connect discovery. It is used by one goroutine.
type jwksHTTP struct {
	client *http.Client
	issuer string // discover from here; "" if url is given
	url    string
	reads  int
	peer   *checkup.Peer // takes note of every answer; nil: nobody wants to know
}

// jwksRediscover is after how many reads, about a day, the metadata is read
// again: an old address may go on to serve old keys.
const jwksRediscover = 96

func (o *jwksHTTP) remote() bool { return true }

func (o *jwksHTTP) changed() (bool, error) { return true, nil }

// read fetches the set. It has its own time limit and takes no context of a
// request, so that one client who hangs up does not fail the others.
func (o *jwksHTTP) read(ctx context.Context) ([]byte, time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*jwksTimeout)
	defer cancel()
	if o.reads++; o.url == "" || o.issuer != "" && o.reads%jwksRediscover == 0 {
		found, err := o.discover(ctx)
		switch {
		case err == nil:
			o.url = found
		case o.url == "":
			return nil, 0, err
		}
	}
	body, header, err := o.get(ctx, o.url)
	if err != nil {
		if o.issuer != "" {
			o.url = "" // the issuer may have moved its keys
		}
		return nil, 0, fmt.Errorf("key set: %w", err)
	}
	return body, jwksMaxAge(header), nil
}

// discover reads the issuer's metadata (OpenID Connect Discovery section 4).
func (o *jwksHTTP) discover(ctx context.Context) (string, error) {
	body, _, err := o.get(ctx, strings.TrimSuffix(o.issuer, "/")+"/.well-known/openid-configuration")
	if err != nil {
		return "", fmt.Errorf("discovery: %w", err)
	}
	var doc struct {
		Issuer string `json:"issuer"`
		Keys   string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(body, &doc); err != nil {
		return "", errors.New("discovery: document is not JSON")
	}
	if doc.Issuer != o.issuer {
		return "", fmt.Errorf("discovery: document names issuer %.200q", doc.Issuer)
	}
	if err := issuerCheckURL(doc.Keys); err != nil {
		return "", fmt.Errorf("discovery: jwks_uri: %w", err)
	}
	return doc.Keys, nil
}

// get reads one document of at most jwksMaxBytes.
func (o *jwksHTTP) get(ctx context.Context, address string) ([]byte, http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, jwksTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, errors.New("address is not a URL")
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	res, err := o.client.Do(req)
	if err != nil {
		var where *url.Error // its text holds the whole address
		if errors.As(err, &where) {
			err = where.Err
		}
		return nil, nil, fmt.Errorf("%s: %w", req.URL.Host, err)
	}
	if o.peer != nil {
		o.peer.Note(res, time.Now())
	}
	body, err := jwksReadAll(res.Body)
	if cerr := res.Body.Close(); err == nil {
		err = cerr
	}
	if res.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("%s: status %d", req.URL.Host, res.StatusCode)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", req.URL.Host, err)
	}
	return body, res.Header, nil
}

func jwksReadAll(r io.Reader) ([]byte, error) {
	body, err := io.ReadAll(io.LimitReader(r, jwksMaxBytes+1))
	if err == nil && len(body) > jwksMaxBytes {
		return nil, fmt.Errorf("longer than %d bytes", jwksMaxBytes)
	}
	return body, err
}

// jwksMaxAge reads max-age of Cache-Control (RFC 9111 section 5.2.2.1); 0 if it
// is absent or odd.
func jwksMaxAge(h http.Header) time.Duration {
	for part := range strings.SplitSeq(h.Get("Cache-Control"), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		if !strings.EqualFold(name, "max-age") {
			continue
		}
		seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31)
		if err != nil {
			return 0
		}
		return time.Duration(seconds) * time.Second
	}
	return 0
}

// jwksClient returns a client for an issuer: c with safe defaults filled in, or
// a new one. It follows redirects within one host only, so that an open
// redirect at the issuer cannot choose our keys.
func jwksClient(c *http.Client) *http.Client {
	client := &http.Client{Transport: &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: jwksTimeout}).DialContext,
		// One request in minutes: a kept connection would only leave goroutines.
		DisableKeepAlives:      true,
		TLSHandshakeTimeout:    jwksTimeout,
		ResponseHeaderTimeout:  jwksTimeout,
		MaxResponseHeaderBytes: 64 << 10,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
	}}
	if c != nil {
		copied := *c
		client = &copied
	}
	if client.Timeout == 0 {
		client.Timeout = jwksTimeout
	}
	if client.CheckRedirect == nil {
		client.CheckRedirect = func(req *http.Request, via []*http.Request) error {
			first := via[0].URL
			if len(via) > 3 || req.URL.Host != first.Host || req.URL.Scheme != first.Scheme {
				return errors.New("redirected elsewhere")
			}
			return nil
		}
	}
	return client
}

// issuerCheckURL accepts https addresses, and http ones of this machine.
func issuerCheckURL(address string) error {
	u, err := url.Parse(address)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Fragment != "" || u.Opaque != "":
		return errors.New("not an absolute URL without user and fragment")
	case u.Scheme == "https":
		return nil
	case u.Scheme == "http":
		host := u.Hostname()
		if ip := net.ParseIP(host); host == "localhost" || ip != nil && ip.IsLoopback() {
			return nil
		}
		return errors.New("http is for loopback addresses only")
	}
	return errors.New("scheme is not https")
}
