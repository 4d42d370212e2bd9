package rig

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
)

// Upstream is an app behind the gateway that reports what reached it.
type Upstream struct {
	*httptest.Server
	hits atomic.Int64
}

// Seen is one request as the upstream saw it, its answer's body.
type Seen struct {
	Method  string
	URI     string
	Host    string
	Proto   string
	Header  http.Header
	Trailer http.Header
	Body    string
}

// NewUpstream starts an upstream. It ends with the test.
func NewUpstream(t testing.TB) *Upstream {
	t.Helper()
	u := &Upstream{}
	u.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		u.hits.Add(1)
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20))
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(Seen{
			Method: r.Method, URI: r.RequestURI, Host: r.Host, Proto: r.Proto,
			Header: r.Header, Trailer: r.Trailer, Body: string(body),
		})
	}))
	t.Cleanup(u.Close)
	return u
}

// Hits is how many requests reached the upstream.
func (u *Upstream) Hits() int64 { return u.hits.Load() }

// Addr is host:port, for reverse_proxy.
func (u *Upstream) Addr() string { return strings.TrimPrefix(u.URL, "http://") }
