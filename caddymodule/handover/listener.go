package handover

import (
	"net"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// listener takes connections from a socket in a goroutine of its own, so that they
// can go to another configuration than the one that opened the socket. Methods are
// safe for concurrent use.
type listener struct {
	net.Listener
	owner *Handover
	key   string // network and address

	incoming chan net.Conn
	broken   chan error // what the socket's Accept said

	next   atomic.Pointer[listener] // where connections go instead; set once
	moving chan struct{}            // closed after next is set

	closing sync.Once
	closed  chan struct{}
}

// maxHops bounds how often a connection is passed on: configurations that replace
// each other faster than they serve.
const maxHops = 64

// drainLimit bounds how long Close waits for an empty queue.
const drainLimit = 100 * time.Millisecond

// live holds the open listeners of each address, the newest last.
var live = struct {
	sync.Mutex
	at map[string][]*listener
}{at: map[string][]*listener{}}

func listen(ln net.Listener, owner *Handover) *listener {
	l := &listener{
		Listener: ln, owner: owner, key: ln.Addr().Network() + " " + ln.Addr().String(),
		incoming: make(chan net.Conn), broken: make(chan error), moving: make(chan struct{}), closed: make(chan struct{}),
	}
	live.Lock()
	live.at[l.key] = append(live.at[l.key], l)
	live.Unlock()
	go l.take()
	return l
}

// newest returns the latest open listener of another configuration at the same
// address, or nil.
func (l *listener) newest() *listener {
	live.Lock()
	defer live.Unlock()
	for _, other := range slices.Backward(live.at[l.key]) {
		if other.owner != l.owner {
			return other
		}
	}
	return nil
}

// move sends what comes from now on to the newest other listener. It reports
// whether there is one.
func (l *listener) move() bool {
	to := l.newest()
	if to == nil || !l.next.CompareAndSwap(nil, to) {
		return to != nil
	}
	close(l.moving)
	return true
}

// take accepts until the socket is closed.
func (l *listener) take() {
	for {
		c, err := l.Listener.Accept()
		if err == nil {
			l.deliver(c)
			continue
		}
		// Whoever serves knows which errors pass, and asks again then.
		select {
		case l.broken <- err:
		case <-l.closed:
			return
		}
	}
}

// deliver gives the connection to whoever serves its address now.
func (l *listener) deliver(c net.Conn) {
	t := l
	for hops := 0; t != nil && hops < maxHops; hops++ {
		if next := t.next.Load(); next != nil {
			t = next
			continue
		}
		select {
		case t.incoming <- c:
			return
		case <-t.moving:
		case <-t.closed:
			t = t.newest()
		}
	}
	_ = c.Close() // nobody serves this address any more
}

// Accept returns the next connection of the address.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.incoming:
		return c, nil
	case err := <-l.broken:
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close ends the listener. The connections that Accept returned live on.
func (l *listener) Close() error {
	err := net.ErrClosed
	l.closing.Do(func() {
		// Also without a hand-over there may be somebody: a configuration whose
		// successor opened its sockets and then did not start.
		if l.move() {
			drained(raw(l.Listener), drainLimit)
		}
		live.Lock()
		rest := slices.DeleteFunc(live.at[l.key], func(other *listener) bool { return other == l })
		if len(rest) == 0 {
			delete(live.at, l.key)
		} else {
			live.at[l.key] = rest
		}
		live.Unlock()
		close(l.closed)
		err = l.Listener.Close()
	})
	return err
}

// raw finds the socket below. Caddy counts the users of an address in a listener
// of its own that has no way to ask for what it embeds, hence the reflection. Nil
// if there is none.
func raw(ln net.Listener) syscall.Conn {
	for range 8 {
		if sc, ok := ln.(syscall.Conn); ok {
			return sc
		}
		v := reflect.ValueOf(ln)
		if v.Kind() == reflect.Pointer {
			v = v.Elem()
		}
		if v.Kind() != reflect.Struct {
			return nil
		}
		f := v.FieldByName("Listener")
		if !f.IsValid() || !f.CanInterface() {
			return nil
		}
		inner, ok := f.Interface().(net.Listener)
		if !ok {
			return nil
		}
		ln = inner
	}
	return nil
}
