package replay

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// tickets is a session cache that tells of every ticket it gets.
type tickets struct {
	tls.ClientSessionCache
	got chan struct{}
}

func (c *tickets) Put(key string, s *tls.ClientSessionState) {
	c.ClientSessionCache.Put(key, s)
	select {
	case c.got <- struct{}{}:
	default:
	}
}

// sendEarly sends a POST in the early data of a resumed HTTP/3 connection (RFC
// 8470), where an attacker could send it again. The server may finish the
// handshake before it looks at the request, so that several attempts are made;
// it returns 425 or the last status.
func (s *faultStage) sendEarly(t *testing.T, path string) int {
	t.Helper()
	cache := &tickets{tls.NewLRUClientSessionCache(4), make(chan struct{}, 1)}
	cfg := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: s.serverCA.Pool(), ServerName: earlyHost, NextProtos: []string{http3.NextProtoH3}, ClientSessionCache: cache}
	status := 0
	// On a busy machine the handshake may be complete before the request is read.
	for end := time.Now().Add(2 * time.Minute); status != http.StatusTooEarly && time.Now().Before(end); {
		status = s.early(t, cfg, cache, path)
	}
	return status
}

// early makes one attempt: a connection for a ticket, and one that uses it.
func (s *faultStage) early(t *testing.T, cfg *tls.Config, cache *tickets, path string) int {
	t.Helper()
	addr := fmt.Sprintf("127.0.0.1:%d", s.tls)
	first, err := quic.DialAddr(t.Context(), addr, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-cache.got:
	case <-time.After(time.Minute):
		t.Fatal("no session ticket")
	}
	_ = first.CloseWithError(0, "")

	conn, err := quic.DialAddrEarly(t.Context(), addr, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.CloseWithError(0, "") }()
	tr := &http3.Transport{}
	defer tr.Close()
	stream, err := tr.NewClientConn(conn).OpenRequestStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, fmt.Sprintf("https://%s:%d%s", earlyHost, s.tls, path), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.SendRequestHeader(req); err != nil {
		t.Fatal(err)
	}
	_ = stream.Close()
	resp, err := stream.ReadResponse()
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}
