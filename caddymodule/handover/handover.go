package handover

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
)

// Bounds of Handover.Wait.
const (
	DefaultWait = time.Second
	MaxWait     = 10 * time.Second
)

func init() {
	caddy.RegisterModule((*Handover)(nil))
}

// Handover is the module caddy.listeners.handover. In a Caddyfile it stands in
// front of tls, so that it sees connections as they come:
//
//	{
//		servers {
//			listener_wrappers {
//				handover
//				tls
//			}
//		}
//	}
//
// It acts at a reload only, and only for addresses that the new configuration
// listens on with this wrapper, too. When the process ends it does nothing:
// shutdown_delay is for that.
type Handover struct {
	// Wait is how long the old configuration lives on for connections that it has
	// taken and that have not sent a request. A reload takes that much longer; the
	// new configuration serves meanwhile. Default 1s, at most 10s.
	Wait caddy.Duration `json:"wait,omitempty"`

	turn *turn

	mu        sync.Mutex
	listeners []*listener
}

// CaddyModule returns the module's registration.
func (*Handover) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "caddy.listeners.handover", New: func() caddy.Module { return new(Handover) }}
}

// UnmarshalCaddyfile reads
//
//	handover {
//		wait DURATION
//	}
func (h *Handover) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if d.NextArg() {
		return d.ArgErr()
	}
	for d.NextBlock(0) {
		if d.Val() != "wait" {
			return d.Errf("unknown word %q in handover; known: wait", d.Val())
		}
		if h.Wait != 0 {
			return d.Err("wait is given twice in handover")
		}
		if !d.NextArg() {
			return d.ArgErr()
		}
		wait, err := caddy.ParseDuration(d.Val())
		if err != nil {
			return d.Errf("wait: %v", err)
		}
		if wait == 0 {
			return d.Err("wait: 0 would hand over nothing; leave handover out instead")
		}
		h.Wait = caddy.Duration(wait)
		if d.NextArg() {
			return d.ArgErr()
		}
		err = h.validate()
		if err != nil {
			return d.WrapErr(err)
		}
	}
	return nil
}

func (h *Handover) validate() error {
	if w := time.Duration(h.Wait); w < 0 || w > MaxWait {
		return fmt.Errorf("handover: wait is more than 0 and at most %v, not %v", MaxWait, w)
	}
	return nil
}

// Provision asks to be told when this configuration is about to stop.
func (h *Handover) Provision(ctx caddy.Context) error {
	err := h.validate()
	if err != nil {
		return err
	}
	if h.Wait == 0 {
		h.Wait = caddy.Duration(DefaultWait)
	}
	app, err := ctx.App("events")
	if err != nil {
		return err
	}
	events, ok := app.(*caddyevents.App)
	if !ok {
		return errors.New("handover: the events app is not Caddy's")
	}
	h.turn, err = join(events, h)
	return err
}

// Cleanup forgets the configuration.
func (h *Handover) Cleanup() error {
	if h.turn != nil {
		h.turn.leave()
	}
	return nil
}

// WrapListener is called once per address.
func (h *Handover) WrapListener(ln net.Listener) net.Listener {
	l := listen(ln, h)
	h.mu.Lock()
	h.listeners = append(h.listeners, l)
	h.mu.Unlock()
	return l
}

// begin sends new connections to the configuration that follows. It reports
// whether there is one.
func (h *Handover) begin() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	moved := false
	for _, l := range h.listeners {
		moved = l.move() || moved
	}
	return moved
}

// turn is what all servers of one configuration share: they hand over together,
// so that a reload waits once.
type turn struct {
	events *caddyevents.App
	mu     sync.Mutex
	all    []*Handover
}

var turns = struct {
	sync.Mutex
	of map[*caddyevents.App]*turn
}{of: map[*caddyevents.App]*turn{}}

// join adds h to its configuration's turn. A configuration is known by its events
// app, of which each has one.
func join(events *caddyevents.App, h *Handover) (*turn, error) {
	turns.Lock()
	defer turns.Unlock()
	t := turns.of[events]
	if t == nil {
		t = &turn{events: events}
		// Caddy emits it before it stops the first app, and waits for the handlers.
		err := events.On("stopping", t)
		if err != nil {
			return nil, err
		}
		turns.of[events] = t
	}
	t.mu.Lock()
	t.all = append(t.all, h)
	t.mu.Unlock()
	return t, nil
}

func (t *turn) leave() {
	turns.Lock()
	delete(turns.of, t.events)
	turns.Unlock()
}

// Handle runs when the configuration has been replaced and is about to stop.
func (t *turn) Handle(ctx context.Context, _ caddy.Event) error {
	if caddy.Exiting() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var wait time.Duration
	for _, h := range t.all {
		if h.begin() {
			wait = max(wait, time.Duration(h.Wait))
		}
	}
	if wait == 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
	return nil
}

var (
	_ caddy.Provisioner     = (*Handover)(nil)
	_ caddy.CleanerUpper    = (*Handover)(nil)
	_ caddy.ListenerWrapper = (*Handover)(nil)
	_ caddyfile.Unmarshaler = (*Handover)(nil)
	_ caddyevents.Handler   = (*turn)(nil)
)
