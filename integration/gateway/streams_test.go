package gateway

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// switcher is an app that agrees to whatever upgrade it is offered, and then
// echoes lines.
type switcher struct {
	net.Listener
	switched atomic.Int64
}

func newSwitcher(t testing.TB) *switcher {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &switcher{Listener: l}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	return s
}

func (s *switcher) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	for {
		req, err := http.ReadRequest(r)
		if err != nil {
			return
		}
		offer := req.Header.Get("Upgrade")
		if offer == "" {
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-Method: %s\r\n\r\n", req.Method)
			continue
		}
		s.switched.Add(1)
		fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", offer)
		_, _ = io.Copy(conn, r)
		return
	}
}

// TestUpgrades: websockets open for those who may; nothing opens that could carry
// further requests past the gate (B18).
func TestUpgrades(t *testing.T) {
	app := newSwitcher(t)
	s := newStand(t, standOptions{Directives: `
		@pass path /pass
		compliance @pass standard {
			preflight pass
		}
		@exempt path /exempt
		compliance @exempt off because "test"
		@rest not path /pass
		compliance @rest standard
		reverse_proxy ` + app.Addr().String()})
	open := func(method, path, upgrade, token string, more ...string) (status string, echoed bool) {
		conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.Plain))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(time.Minute))
		request := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: %s\r\nHTTP2-Settings: AAMAAABk\r\n",
			method, path, s.Plain, upgrade)
		if token != "" {
			request += "Authorization: Bearer " + token + "\r\n"
		}
		for i := 0; i+1 < len(more); i += 2 {
			request += more[i] + ": " + more[i+1] + "\r\n"
		}
		_, _ = io.WriteString(conn, request+"\r\n")
		r := bufio.NewReader(conn)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("%s %s: %v", method, upgrade, err)
		}
		if resp.StatusCode != http.StatusSwitchingProtocols {
			return resp.Status, false
		}
		_, _ = io.WriteString(conn, "hello\n")
		line, _ := r.ReadString('\n')
		return resp.Status, line == "hello\n"
	}
	good := s.token(goodID, nil)
	if status, echoed := open("GET", "/x", "websocket", good); !echoed {
		t.Errorf("a websocket of a good device: %s", status)
	}
	for _, path := range []string{"/x", "/exempt"} {
		for _, upgrade := range []string{"h2c", "H2C", "websocket, h2c", "h2c, websocket", "HTTP/2.0", "h2", "TLS/1.2, HTTP/1.1"} {
			before := app.switched.Load()
			if status, _ := open("GET", path, upgrade, good); app.switched.Load() != before || strings.HasPrefix(status, "101") {
				t.Errorf("%s: upgrade to %s: %s", path, upgrade, status)
			}
		}
	}
	before := app.switched.Load()
	for _, token := range []string{"", s.token(badID, nil)} {
		if status, _ := open("GET", "/x", "websocket", token); strings.HasPrefix(status, "101") {
			t.Error("a websocket opens for a bad device")
		}
		// What looks like a preflight does not smuggle an upgrade in.
		if status, _ := open("OPTIONS", "/pass", "websocket", token, "Origin", "https://evil.example", "Access-Control-Request-Method", "PUT"); strings.HasPrefix(status, "101") {
			t.Errorf("an upgrade in a preflight: %s", status)
		}
	}
	if app.switched.Load() != before {
		t.Error("the app was asked to switch")
	}
	if n, _ := s.Gateway.Metric(`gatehouse_spoof_attempts_total{kind="upgrade"}`); n != 14 {
		t.Errorf("%v upgrades counted, want 14", n)
	}
}

// TestB20ExtendedConnect: over HTTP/3 a CONNECT is a websocket or nothing, and a
// websocket has its origin checked.
func TestB20ExtendedConnect(t *testing.T) {
	s := newStand(t, standOptions{})
	for _, tc := range []struct {
		proto, origin, token string
		want                 int
	}{
		{"websocket", "https://evil.example", s.token(goodID, nil), http.StatusForbidden},
		{"websocket", "", "", http.StatusUnauthorized},
		{"websocket", "", s.token(badID, nil), http.StatusForbidden},
		{"connect-udp", "", s.token(goodID, nil), http.StatusMethodNotAllowed},
		{"webtransport", "", s.token(goodID, nil), http.StatusMethodNotAllowed},
	} {
		req, err := http.NewRequest(http.MethodConnect, s.url("/socket"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Proto = tc.proto
		req.Header.Set("Sec-Websocket-Version", "13")
		if tc.origin != "" {
			req.Header.Set("Origin", tc.origin)
		}
		if tc.token != "" {
			req.Header.Set("Authorization", "Bearer "+tc.token)
		}
		resp, err := s.client("h3", "").Transport.RoundTrip(req)
		if err != nil {
			t.Errorf("%s: %v", tc.proto, err)
			continue
		}
		resp.Body.Close()
		if resp.StatusCode != tc.want {
			t.Errorf("%s from %q: status %d, want %d", tc.proto, tc.origin, resp.StatusCode, tc.want)
		}
	}
	if s.Upstream.Hits() != 0 {
		t.Error("the upstream was reached")
	}
	if a := rig.Do(t, s.client("h3", ""), http.MethodGet, s.url("/"), rig.Bearer(s.token(goodID, nil))...); a.StatusCode != http.StatusOK {
		t.Errorf("the next request: status %d", a.StatusCode)
	}
}
