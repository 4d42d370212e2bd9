package defender

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// maxSame bounds the machines of one device that a look-up reads.
const maxSame = 100

// maxListingAge is how old the last good Sync may be to say that the service has
// no such device, where it cannot be asked.
const maxListingAge = 15 * time.Minute

var (
	errOther  = errors.New("answer is about another machine")
	errNotNow = errors.New("the service refuses to filter by device id, and the last listing is too old to tell")
)

// Lookup implements [source.Looker] for machine ids and Entra device ids. Of any
// other kind of id it says [source.ErrUnknownDevice], for the service has none
// such. Where the service refuses to filter by Entra device id, the last listing
// says which machine that is.
func (s *Source) Lookup(ctx context.Context, key decision.Key) (decision.Verdict, error) {
	v, err := s.lookup(ctx, key)
	var open worst
	if err == nil && s.o.Alerts {
		open, err = s.alertsOf(ctx, v.Keys[0])
	}
	raise(&v.Device, open)
	if err != nil {
		return decision.Verdict{}, fmt.Errorf("defender: %s %s: %w", key.Kind, key.Value, err)
	}
	return v, nil
}

func (s *Source) lookup(ctx context.Context, key decision.Key) (v decision.Verdict, err error) {
	if err := ctx.Err(); err != nil {
		return v, err
	}
	if k, ok := decision.CanonicalKey(key.Kind, key.Value); !ok || k != key {
		return v, source.ErrUnknownDevice // nothing that the service could have
	}
	switch key.Kind {
	case decision.KindDefender:
		return s.byMachineID(ctx, key)
	case decision.KindEntra:
		return s.byEntraID(ctx, key)
	}
	return v, source.ErrUnknownDevice
}

// machine asks for one machine by its own id.
func (s *Source) machine(ctx context.Context, own decision.Key, priority string, t tally) (v decision.Verdict, err error) {
	if _, ok := machineKey(own.Value); !ok { // the path takes computer names too
		return v, source.ErrUnknownDevice
	}
	a, err := s.o.Client.Do(ctx, msgraph.Request{
		Endpoint: msgraph.DefenderMachines, Path: machinesPath + "/" + url.PathEscape(own.Value), Priority: priority,
	})
	switch {
	case none(err):
		return v, source.ErrUnknownDevice
	case err != nil:
		return v, err
	}
	v, err = decodeMachine(a.Body, s.o.Now(), t)
	if err == nil && v.Keys[0] != own {
		err = errOther
	}
	if err == nil {
		s.keep(&v)
	}
	return v, err
}

func (s *Source) byMachineID(ctx context.Context, own decision.Key) (v decision.Verdict, err error) {
	t := tally{}
	defer func() { s.count(t) }()
	v, err = s.machine(ctx, own, "High", t)
	if errors.Is(err, source.ErrUnknownDevice) {
		s.forget(own)
	}
	if err != nil {
		return v, err
	}
	s.learn(s.o.Now(), v)
	if k, ok := entraKey(&v.Device); ok {
		s.mu.Lock()
		other, found := s.fleet.with(k)
		s.mu.Unlock()
		if found && other.Keys[0] != own && better(&other, &v) {
			// The sweeps leave it out too: it must not speak for the device.
			return v, fmt.Errorf("machine was replaced by a newer one: %w", source.ErrUnknownDevice)
		}
	}
	return v, nil
}

// byEntraID asks for the machines of a device and returns the one seen last.
func (s *Source) byEntraID(ctx context.Context, key decision.Key) (v decision.Verdict, err error) {
	for {
		style, format := s.style.present(s.o.Now())
		if format == "" {
			return s.byListing(ctx, key)
		}
		found, err := s.filtered(ctx, key, fmt.Sprintf(format, key.Value))
		if refused(err) {
			s.style.refused(style, s.o.Now())
			continue
		}
		if err != nil {
			return v, err
		}
		s.learn(s.o.Now(), found...)
		if len(found) == 0 {
			s.gone(key)
			return v, source.ErrUnknownDevice
		}
		v = found[0]
		for i := range found {
			if better(&found[i], &v) {
				v = found[i]
			}
		}
		return v, nil
	}
}

func (s *Source) filtered(ctx context.Context, key decision.Key, filter string) (found []decision.Verdict, err error) {
	t := tally{}
	defer func() { s.count(t) }()
	_, err = s.o.Client.Pages(ctx, msgraph.Request{
		Endpoint: msgraph.DefenderMachines, Path: machinesPath, Query: url.Values{"$filter": {filter}}, Priority: "High",
	}, func(raw json.RawMessage) error {
		v, err := decodeMachine(raw, s.o.Now(), t)
		switch {
		case err != nil:
			return err
		case !slices.Contains(v.Keys, key):
			return errOther
		case len(found) == maxSame:
			return errors.New("too many machines for one device")
		}
		s.keep(&v)
		found = append(found, v)
		return nil
	})
	if none(err) {
		return nil, nil
	}
	return found, err
}

// byListing asks for the machine that the last listing has for a device.
func (s *Source) byListing(ctx context.Context, key decision.Key) (v decision.Verdict, err error) {
	t := tally{}
	defer func() { s.count(t) }()
	for range maxSame {
		s.mu.Lock()
		known, ok := s.fleet.with(key)
		age := s.o.Now().Sub(s.lastGood)
		current := !s.lastGood.IsZero() && age >= 0 && age <= maxListingAge
		s.mu.Unlock()
		switch {
		case !ok && current:
			return v, source.ErrUnknownDevice
		case !ok:
			return v, errNotNow
		}
		v, err = s.machine(ctx, known.Keys[0], "High", t)
		switch {
		case errors.Is(err, source.ErrUnknownDevice):
			s.forget(known.Keys[0])
		case err != nil:
			return v, err
		default:
			s.learn(s.o.Now(), v)
			if slices.Contains(v.Keys, key) {
				return v, nil
			}
		}
	}
	return v, errOther
}

// learn keeps what was asked for singly, so that the next sweep does not fall
// behind the look-up. Before the first listing nothing is kept.
func (s *Source) learn(now time.Time, machines ...decision.Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lastFull.IsZero() {
		return
	}
	for _, v := range machines {
		changed, err := s.fleet.put(v, now)
		if err != nil {
			continue // the listing keeps what it had
		}
		s.dirty = s.dirty || changed
		s.note(v.Keys[0])
	}
}

// keep is [fleet.keep] of the fleet as it is known.
func (s *Source) keep(v *decision.Verdict) {
	if !v.Unreadable.Has(decision.FactRisk) { // nearly always: no lock
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fleet.keep(v)
}

// forget removes a machine that the service says it does not have.
func (s *Source) forget(own decision.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.fleet.listing.Get(own); ok {
		s.fleet.remove(own)
		s.dirty = true
		s.note(own)
	}
}

// note tells a Sync under way that a machine was asked for meanwhile. The caller
// holds mu.
func (s *Source) note(own decision.Key) {
	if s.during != nil {
		s.during[own] = true
	}
}

// gone asks for a complete listing if the service no longer has a device that is
// listed.
func (s *Source) gone(key decision.Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.fleet.with(key); ok {
		s.fullDue = true
	}
}
