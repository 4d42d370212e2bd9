package handover

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// open makes a socket that others may share, as Caddy does.
func open(t *testing.T, address string) net.Listener {
	t.Helper()
	c := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error { return rc.Control(share) }}
	ln, err := c.Listen(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// serve answers each connection with name until the listener ends.
func serve(t *testing.T, ln net.Listener, name string) {
	t.Helper()
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			_, _ = io.WriteString(c, name)
			_ = c.Close()
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		wg.Wait()
	})
}

func ask(t *testing.T, address string) string {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	text, err := io.ReadAll(c)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestMove: after a hand-over whatever the old socket takes is served by the new
// configuration, also by one that is two configurations younger.
func TestMove(t *testing.T) {
	old := listen(open(t, "127.0.0.1:0"), new(Handover))
	serve(t, old, "old")
	address := old.Addr().String()
	if got := ask(t, address); got != "old" {
		t.Errorf("before: %q", got)
	}
	if old.move() {
		t.Error("handed over to nobody")
	}
	second := listen(open(t, address), new(Handover))
	serve(t, second, "second")
	if first, again := old.move(), old.move(); !first || !again {
		t.Error("not handed over")
	}
	for range 100 {
		if got := ask(t, address); got != "second" {
			t.Fatalf("after one hand-over: %q", got)
		}
	}
	third := listen(open(t, address), new(Handover))
	serve(t, third, "third")
	if !second.move() {
		t.Error("not handed over again")
	}
	for range 100 {
		if got := ask(t, address); got != "third" {
			t.Fatalf("after two hand-overs: %q", got)
		}
	}
	for _, l := range []*listener{old, second} {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("second close: %v", err)
		}
	}
	for range 100 {
		if got := ask(t, address); got != "third" {
			t.Fatalf("after the old ones closed: %q", got)
		}
	}
}

// TestFailedStart: a configuration that opened its sockets and then did not start
// gives back what it has taken.
func TestFailedStart(t *testing.T) {
	old := listen(open(t, "127.0.0.1:0"), new(Handover))
	serve(t, old, "old")
	socket := &piped{Listener: open(t, old.Addr().String()), conns: make(chan net.Conn), ended: make(chan struct{})}
	failed := listen(socket, new(Handover)) // nobody calls its Accept
	server, client := net.Pipe()
	defer client.Close()
	socket.conns <- server
	if err := failed.Close(); err != nil {
		t.Error(err)
	}
	text, err := io.ReadAll(client)
	if string(text) != "old" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
}

// piped is a listener whose connections come from the test.
type piped struct {
	net.Listener
	conns chan net.Conn
	ended chan struct{}
}

func (p *piped) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

func (p *piped) Close() error {
	close(p.ended)
	return p.Listener.Close()
}

// TestErrorsReachTheServer: who serves sees the errors of the socket, and may ask
// again after those that pass.
func TestErrorsReachTheServer(t *testing.T) {
	broken := &flaky{Listener: open(t, "127.0.0.1:0"), err: syscall.EMFILE}
	l := listen(broken, new(Handover))
	defer l.Close()
	for range 3 {
		if _, err := l.Accept(); !errors.Is(err, syscall.EMFILE) {
			t.Fatalf("error %v", err)
		}
	}
	_ = l.Close()
	if _, err := l.Accept(); err == nil {
		t.Error("accepted after Close")
	}
}

type flaky struct {
	net.Listener
	err error
}

func (f *flaky) Accept() (net.Conn, error) { return nil, f.err }

// TestRaw: the socket is found below what Caddy and others wrap around it.
func TestRaw(t *testing.T) {
	ln := open(t, "127.0.0.1:0")
	defer ln.Close()
	type counted struct{ net.Listener }
	if raw(counted{&flaky{Listener: ln}}) != ln.(syscall.Conn) {
		t.Error("not found")
	}
	type other struct{ Inner net.Listener }
	if raw(nil) != nil || raw(struct {
		net.Listener
		other
	}{}) != nil {
		t.Error("found where there is none")
	}
}

func TestCaddyfile(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"handover", ""},
		{"handover {\nwait 300ms\n}", ""},
		{"handover {\nwait 10s\n}", ""},
		{"handover now", "wrong argument count"},
		{"handover {\nwait 11s\n}", "at most 10s"},
		{"handover {\nwait 0\n}", "leave handover out"},
		{"handover {\nwait -1s\n}", "more than 0"},
		{"handover {\nwait soon\n}", "wait:"},
		{"handover {\nwait\n}", "wrong argument count"},
		{"handover {\nwait 1s 2s\n}", "wrong argument count"},
		{"handover {\nwait 1s\nwait 2s\n}", "given twice"},
		{"handover {\npause 1s\n}", `unknown word "pause"`},
	} {
		err := new(Handover).UnmarshalCaddyfile(caddyfile.NewTestDispenser(c.text))
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%q: %v", c.text, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%q: error %v, want %q", c.text, err, c.want)
		}
	}
	if err := (&Handover{Wait: -1}).Provision(caddy.Context{Context: context.Background()}); err == nil {
		t.Error("JSON: a negative wait loads")
	}
}
