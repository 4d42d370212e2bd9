package intune

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// hearing is how the asking for threat defense connectors goes. Several may ask at
// the same time: a sync, the first look-up and Watch.
type hearing struct {
	// asked is true once connectors were asked for.
	asked bool
	// turns counts the questions, and heardTurn is the one whose answer counts.
	turns, heardTurn int
	// err is why the last question had no answer; nil: it had one.
	err error
	// unheard tells Watch that connectors should be asked for again.
	unheard chan struct{}
}

// readConnectors reads the threat defense connectors every 15 minutes, or with every
// complete listing where that is more often. Meanwhile what was read last grows old.
func (s *Source) readConnectors(ctx context.Context, d *decoder) {
	s.mu.Lock()
	age := d.now.Sub(s.tenant.connectorsAt)
	ask := age < 0 || age >= min(connectorsAge, s.o.FullSweep)
	s.hearing.asked = true
	if !ask {
		before := s.tenant
		s.hear(&before)
	}
	s.mu.Unlock()
	if ask {
		s.askConnectors(ctx, d)
	}
}

// askConnectors asks for the connectors and reports whether it is known now what they
// say. If a connector is switched, falls silent or speaks again, or it becomes unclear
// whether they do, every device must be read anew.
func (s *Source) askConnectors(ctx context.Context, d *decoder) (heard bool) {
	s.mu.Lock()
	s.hearing.turns++
	turn := s.hearing.turns
	s.mu.Unlock()
	var states connectorStates
	_, err := s.o.Client.Pages(ctx, connectorsRequest(), func(raw json.RawMessage) error { return states.add(d, raw) })
	if err != nil {
		s.refused("connectors", err)
	} else {
		s.once("connectors", nil)
		s.nameTenant(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before, t, h := s.tenant, &s.tenant, &s.hearing
	if err == nil && turn > h.heardTurn { // else the answer to a later question is here already
		t.silent, t.deaf = states.done()
		t.heardAt, h.heardTurn = d.now, turn
	}
	if err == nil || kindOf(err) == msgraph.KindPermission {
		t.connectorsAt = d.now // after any other error the next poll tries again
	}
	h.err = err
	s.hear(&before)
	if s.unheard() {
		select {
		case h.unheard <- struct{}{}:
		default:
		}
	}
	return t.heard
}

// hear decides whether what was read of the connectors last still counts. If that, or
// what they say, is not as before, every device must be read anew. The caller holds mu.
func (s *Source) hear(before *tenant) {
	t := &s.tenant
	t.hear(s.o.Now()) // not the time of a question: the answer to a later one may be here
	if t.silent != before.silent || t.deaf != before.deaf || t.heard != before.heard {
		// A first listing that is under way has judged some devices already.
		s.pagedDue = s.pagedDue || !s.lastFull.IsZero() || s.during != nil
	}
}

// hear decides whether what was read last still counts. A time in the future is that
// of a clock which was set back: nobody knows how long ago it was.
func (t *tenant) hear(now time.Time) {
	age := now.Sub(t.heardAt)
	t.heard = !t.heardAt.IsZero() && age >= 0 && age < connectorsTrust
}

// firstConnectors reads the connectors for the first look-up, if that comes before the
// first listing: without them no risk level meets a limit.
func (s *Source) firstConnectors(ctx context.Context, d *decoder) {
	s.mu.Lock()
	asked := s.hearing.asked
	s.hearing.asked = true
	s.mu.Unlock()
	if asked {
		return
	}
	half, cancel := background(ctx) // the device is the question
	defer cancel()
	s.readConnectors(half, d)
}

// unheard reports whether no risk level meets a limit because the connectors could not
// be read, for a reason that may pass in a moment. The caller holds mu.
func (s *Source) unheard() bool { return !s.tenant.heard && passing(s.hearing.err) }

// passing reports whether an error may be over in a moment. That a permission is
// missing, a credential is wrong or a service has no such list is not: it lasts until
// somebody acts.
func passing(err error) bool {
	if err == nil {
		return false
	}
	switch kindOf(err) {
	case msgraph.KindUnavailable, msgraph.KindThrottled, msgraph.KindUnauthorized, msgraph.KindAnswer:
		return true
	case msgraph.KindPermission, msgraph.KindNotFound, msgraph.KindGone, msgraph.KindConfig, msgraph.KindBadRequest:
	}
	return false
}

// The pace at which connectors are asked for again.
const (
	againFirst = 10 * time.Second
	againMost  = time.Minute
	againWait  = time.Hour       // the longest that the service can make us wait
	againTime  = 2 * time.Minute // of one question
)

// again is the pause before the next question after so many that had no answer:
// exponential from 5-10 s to 30-60 s, and not before the time that the service, or the
// circuit of its endpoint, names. Gateways that were told the same time are spread.
func again(failures int, err error) time.Duration {
	ceiling := min(againMost, againFirst<<min(failures-1, 16))
	pause := ceiling/2 + rand.N(ceiling/2)
	var e *msgraph.Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		wait := min(e.RetryAfter, againWait)
		pause = max(pause, source.Outlast(wait))
	}
	return pause
}

// Watch implements [source.Watcher]. While the threat defense connectors could not be
// read, for a reason that may pass, and nothing that was read of them before counts,
// no risk level meets a limit. It asks for them again, within a minute unless the
// service wants to be left alone, and calls changed when they are known: the next Sync
// reads every device anew. Otherwise it asks for nothing.
func (s *Source) Watch(ctx context.Context, changed func()) error {
	for {
		select {
		case <-s.hearing.unheard:
		case <-ctx.Done():
			return ctx.Err()
		}
		for failures := 1; ; failures++ {
			s.mu.Lock()
			unheard, why := s.unheard(), s.hearing.err
			s.mu.Unlock()
			if !unheard {
				break // a Sync was faster, or it lasts
			}
			if err := sleep(ctx, again(failures, why)); err != nil {
				return err
			}
			if s.hearNow(ctx) {
				changed()
				break
			}
		}
	}
}

// hearNow asks for the connectors unless that is done already.
func (s *Source) hearNow(ctx context.Context) (news bool) {
	s.mu.Lock()
	unheard := s.unheard()
	s.mu.Unlock()
	if !unheard {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, againTime)
	defer cancel()
	d := s.decoder()
	defer func() { s.addOdd(&d) }()
	return s.askConnectors(ctx, &d)
}

var _ source.Watcher = (*Source)(nil)
