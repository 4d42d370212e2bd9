package rig

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// Protocols are the names that Client takes.
var Protocols = []string{"h1", "h2", "h3"}

// ClientOptions describe a client.
type ClientOptions struct {
	// Protocol is h1, h2 or h3. Without Authority it is plain HTTP/1.1.
	Protocol string
	// Authority signed the server's certificate; nil: plain HTTP.
	Authority *CA
	// Certificate is shown when the server asks for one.
	Certificate *tls.Certificate
	// Port that every host name leads to, on loopback.
	Port int
}

// NewClient makes a client that speaks exactly one protocol and resolves every
// name to loopback. It never follows redirects and keeps no cookies.
func NewClient(t testing.TB, o ClientOptions) *http.Client {
	t.Helper()
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.Authority != nil {
		cfg.RootCAs = o.Authority.Pool()
	}
	if o.Certificate != nil {
		cfg.Certificates = []tls.Certificate{*o.Certificate}
	}
	addr := fmt.Sprintf("127.0.0.1:%d", o.Port)
	c := &http.Client{
		Timeout:       time.Minute,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	if o.Protocol == "h3" {
		tr := &http3.Transport{TLSClientConfig: cfg}
		tr.Dial = dialQUIC(addr)
		t.Cleanup(func() { _ = tr.Close() })
		c.Transport = tr
		return c
	}
	tr := &http.Transport{
		TLSClientConfig: cfg,
		DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, addr)
		},
		Protocols: new(http.Protocols),
	}
	tr.Protocols.SetHTTP1(o.Protocol != "h2")
	tr.Protocols.SetHTTP2(o.Protocol == "h2")
	t.Cleanup(tr.CloseIdleConnections)
	c.Transport = tr
	return c
}

// Answer is a response with its body read.
type Answer struct {
	*http.Response
	Body string
}

// Seen decodes the upstream's report.
func (a *Answer) Seen(t testing.TB) Seen {
	t.Helper()
	var s Seen
	err := json.Unmarshal([]byte(a.Body), &s)
	if err != nil {
		t.Fatalf("not an upstream's report (%s): %s", a.Status, a.Body)
	}
	return s
}

// Problem is the part of a problem document that tests look at.
type Problem struct {
	Type       string `json:"type"`
	Outcome    string `json:"outcome"`
	DecisionID string `json:"decision_id"`
	Reasons    []struct {
		Code        string `json:"code"`
		Message     string `json:"message"`
		Remediation string `json:"remediation"`
		Parameter   string `json:"parameter"`
	} `json:"reasons"`
	ACRValues string `json:"acr_values"`
	MaxAge    int64  `json:"max_age"`
}

// Codes are the reasons' codes in order.
func (p *Problem) Codes() []string {
	codes := make([]string, 0, len(p.Reasons))
	for _, r := range p.Reasons {
		codes = append(codes, r.Code)
	}
	return codes
}

// Problem decodes a problem document.
func (a *Answer) Problem(t testing.TB) *Problem {
	t.Helper()
	if ct := a.Header.Get("Content-Type"); ct != "application/problem+json" {
		t.Fatalf("Content-Type %q, not a problem document (%s): %s", ct, a.Status, a.Body)
	}
	p := &Problem{}
	err := json.Unmarshal([]byte(a.Body), p)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Do sends a request and reads the answer. header are pairs of name and value;
// "Host" sets the host.
func Do(t testing.TB, c *http.Client, method, url string, header ...string) *Answer {
	t.Helper()
	return DoBody(t, c, method, url, "", header...)
}

// DoBody is Do with a body.
func DoBody(t testing.TB, c *http.Client, method, url, body string, header ...string) *Answer {
	t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequest(method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Add(header[i], header[i+1])
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: reading the answer: %v", method, url, err)
	}
	return &Answer{Response: resp, Body: string(raw)}
}

// Bearer makes the header pair of a token.
func Bearer(token string) []string { return []string{"Authorization", "Bearer " + token} }
