package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// allowed is how many decisions let a request pass.
func (s *stand) allowed() int64 {
	n, _ := s.Gateway.Metric(`gatehouse_decisions_total{mode="enforce",outcome="allow",policy="standard"}`)
	return int64(n)
}

// TestB17Smuggling: however a request is framed, the app gets exactly what was
// decided about.
func TestB17Smuggling(t *testing.T) {
	s := newStand(t, standOptions{Directives: "compliance standard"})
	host := fmt.Sprintf("Host: 127.0.0.1:%d\r\n", s.Plain)
	good := "Authorization: Bearer " + s.token(goodID, nil) + "\r\n"
	inner := "GET /smuggled HTTP/1.1\r\n" + host + "\r\n"
	post := "POST / HTTP/1.1\r\n" + host + good
	chunks := "0\r\n\r\n" + inner
	length := func(n int) string { return fmt.Sprintf("Content-Length: %d\r\n", n) }
	corpus := map[string]string{
		"length and chunked":        post + length(len(chunks)) + "Transfer-Encoding: chunked\r\n\r\n" + chunks,
		"chunked and length":        post + "Transfer-Encoding: chunked\r\n" + length(4) + "\r\n" + chunks,
		"two lengths":               post + length(0) + length(len(inner)) + "\r\n" + inner,
		"same lengths":              post + length(0) + length(0) + "\r\n" + inner,
		"length list":               post + fmt.Sprintf("Content-Length: 0, %d\r\n\r\n", len(inner)) + inner,
		"length plus":               post + "Content-Length: +0\r\n\r\n" + inner,
		"length minus":              post + "Content-Length: -1\r\n\r\n" + inner,
		"length hex":                post + "Content-Length: 0x0\r\n\r\n" + inner,
		"length space":              post + "Content-Length : 0\r\n\r\n" + inner,
		"xchunked":                  post + "Transfer-Encoding: xchunked\r\n\r\n" + chunks,
		"chunked twice":             post + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks,
		"chunked, identity":         post + "Transfer-Encoding: chunked, identity\r\n\r\n" + chunks,
		"identity, chunked":         post + "Transfer-Encoding: identity, chunked\r\n\r\n" + chunks,
		"chunked with tab":          post + "Transfer-Encoding:\tchunked\r\n" + length(4) + "\r\n" + chunks,
		"chunked with vertical tab": post + "Transfer-Encoding: \x0bchunked\r\n" + length(4) + "\r\n" + chunks,
		"chunked with space":        post + "Transfer-Encoding : chunked\r\n" + length(4) + "\r\n" + chunks,
		"chunked in capitals":       post + "Transfer-Encoding: CHUNKED\r\n\r\n" + chunks,
		"folded chunked":            post + "Transfer-Encoding:\r\n chunked\r\n" + length(4) + "\r\n" + chunks,
		"chunk extension":           post + "Transfer-Encoding: chunked\r\n\r\n0;x=\r\n\r\n" + inner,
		"chunk extension bare LF":   post + "Transfer-Encoding: chunked\r\n\r\n0;x\nGET /smuggled HTTP/1.1\r\n" + host + "\r\n\r\n",
		"chunk size sign":           post + "Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n" + inner,
		"chunk size huge":           post + "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff0\r\n\r\n" + inner,
		"bare LF":                   "POST / HTTP/1.1\n" + strings.ReplaceAll(host+good, "\r", "") + "Content-Length: 0\n\n" + inner,
		"bare CR":                   post + "X: a\rContent-Length: 100\r\nContent-Length: 0\r\n\r\n" + inner,
		"HTTP/1.0 chunked":          strings.Replace(post, "HTTP/1.1", "HTTP/1.0", 1) + "Transfer-Encoding: chunked\r\n\r\n" + chunks,
		"body of a GET":             "GET / HTTP/1.1\r\n" + host + good + length(len(inner)) + "\r\n" + inner,
		"obsolete fold":             post + "X: a\r\n Content-Length: 100\r\nContent-Length: 0\r\n\r\n" + inner,
		"NUL in a name":             post + "Content-\x00Length: 100\r\nContent-Length: 0\r\n\r\n" + inner,
		"two hosts":                 "GET / HTTP/1.1\r\n" + host + "Host: other\r\n" + good + "\r\n" + inner,
		"absolute target":           "GET http://other/ HTTP/1.1\r\n" + host + good + "\r\n" + inner,
		"expect":                    post + "Expect: 100-continue\r\n" + length(len(inner)) + "\r\n" + inner,
		"upgrade h2c": "GET / HTTP/1.1\r\n" + host + good +
			"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n" + inner,
		"refused with a body": "POST / HTTP/1.1\r\n" + host + length(len(inner)) + "\r\n" + inner + inner,
		"pipelined":           post + length(0) + "\r\n" + inner + inner,
	}
	for name, bytes := range corpus {
		hits, allowed := s.Upstream.Hits(), s.allowed()
		answers := s.raw(bytes)
		hits, allowed = s.Upstream.Hits()-hits, s.allowed()-allowed
		if hits > allowed {
			t.Errorf("%s: the app got %d requests, %d were allowed", name, hits, allowed)
		}
		for _, a := range answers {
			if a.StatusCode == http.StatusOK && a.Body != "" && a.Seen(t).URI == "/smuggled" {
				t.Errorf("%s: the inner request was answered by the app", name)
			}
		}
	}
	if a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(s.token(goodID, nil))...); a.StatusCode != http.StatusOK {
		t.Errorf("the next client gets status %d", a.StatusCode)
	}
}

// TestB18Connect: CONNECT opens no tunnel, and what follows it reaches nobody.
func TestB18Connect(t *testing.T) {
	s := newStand(t, standOptions{})
	for _, target := range []string{appHost + ":443", s.Upstream.Addr(), "/", fmt.Sprintf("127.0.0.1:%d", s.Plain)} {
		request := fmt.Sprintf("CONNECT %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nAuthorization: Bearer %s\r\n\r\nGET /x HTTP/1.1\r\nHost: %s\r\n\r\n",
			target, s.Plain, s.token(goodID, nil), s.Upstream.Addr())
		before := s.Upstream.Hits()
		answers := s.raw(request)
		if len(answers) > 0 && answers[0].StatusCode == http.StatusOK && answers[0].Body != "" || s.Upstream.Hits() != before {
			t.Errorf("CONNECT %s: %v, upstream reached %d times", target, statuses(answers), s.Upstream.Hits()-before)
		}
	}
	a := s.raw(fmt.Sprintf("CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: close\r\n\r\n", s.Plain, s.Plain))
	if len(a) != 1 || a[0].StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("CONNECT to the site: %v, want 405", statuses(a))
	}
	if a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(s.token(goodID, nil))...); a.StatusCode != http.StatusOK {
		t.Errorf("the next client gets status %d", a.StatusCode)
	}
}

// TestH3Headers: more headers than the server takes are refused before us, many
// small ones change nothing.
func TestH3Headers(t *testing.T) {
	s := newStand(t, standOptions{})
	many := strings.Repeat("Cookie: a=b\r\n", 700)
	if a := s.raw(s.head("GET", "/") + many + "Connection: close\r\n\r\n"); len(a) != 1 || a[0].StatusCode != http.StatusOK {
		t.Errorf("many cookies: %v", statuses(a))
	}
	if a := s.raw(s.head("GET", "/") + "X: " + strings.Repeat("x", 40_000) + "\r\n\r\n"); len(a) > 0 && a[0].StatusCode == http.StatusOK {
		t.Errorf("40 kB of headers: %v", statuses(a))
	}
}
