package defender

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// overlap is how far a poll for changes looks back before the last one: the
// service shows a report some minutes after it arrived.
const overlap = 30 * time.Minute

// pass is one Sync under way.
type pass struct {
	now   time.Time
	mode  string
	sweep *source.Sweep
	tally tally

	row, bad, changed, rechecked, waiting int
}

// refuse counts a row that cannot be used.
func (p *pass) refuse(err error) {
	p.bad++
	p.sweep.Bad(fmt.Sprintf("machine %d", p.row), err)
}

// Sync implements [source.Syncer]. The first call lists everything, and so does
// one every FullSweep; the others ask for changes. A listing that fails on the way
// is discarded; changes that arrived before a failure stay, and are asked for
// again.
func (s *Source) Sync(ctx context.Context, sweep *source.Sweep) error {
	if err := s.turn.Take(ctx); err != nil {
		return err
	}
	defer s.turn.Give()
	p := &pass{now: s.o.Now(), sweep: sweep, tally: tally{}}
	full := s.begin(p)
	err := s.read(ctx, p, full)
	if err == nil && s.o.Alerts {
		err = s.readAlerts(ctx, p)
	}
	s.end(p, full, err)
	if err != nil {
		return fmt.Errorf("defender: %w", err)
	}
	return s.emit(ctx, sweep)
}

// begin decides how to read.
func (s *Source) begin(p *pass) (full bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.during = map[decision.Key]bool{}
	age := p.now.Sub(s.lastFull) // of a clock that was set back: negative
	full = s.fullDue || s.lastFull.IsZero() || age < 0 || age >= s.o.FullSweep
	s.fullDue = false
	return full
}

func (s *Source) read(ctx context.Context, p *pass, full bool) error {
	if full {
		return s.full(ctx, p)
	}
	return s.changes(ctx, p)
}

func (s *Source) end(p *pass, full bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.during = nil
	if err != nil {
		s.lastGood = time.Time{}
		s.fullDue = s.fullDue || full && !s.lastFull.Equal(p.now)
		return
	}
	s.lastGood = p.now
	s.publish(p)
}

var errEmpty = errors.New("listing is empty but there were machines before")

// full lists every machine.
func (s *Source) full(ctx context.Context, p *pass) error {
	p.mode, p.row, p.changed = modeFull, 0, 0
	var fresh fleet
	err := s.list(ctx, msgraph.DefenderMachines, machinesPath, "", func(raw json.RawMessage) string {
		p.row++
		v, err := decodeMachine(raw, p.now, p.tally)
		if err == nil {
			v = fresh.repeated(v, p.tally)
			s.keep(&v)
			_, err = fresh.put(v, p.now)
		}
		if err != nil {
			p.refuse(err)
			return ""
		}
		return v.Keys[0].Value
	})
	if err != nil {
		return err
	}
	if err := s.confirm(ctx, p, &fresh); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for own := range s.during { // newer than the page that had the machine
		if v, ok := s.fleet.listing.Get(own); ok {
			if _, err := fresh.put(v, p.now); err != nil {
				return err
			}
		} else {
			fresh.remove(own)
		}
	}
	if fresh.listing.Len() == 0 && s.fleet.listing.Len() > 0 {
		return errEmpty
	}
	if fresh.listing.Len() == 0 {
		s.once("lists no machine at all", nil)
	}
	p.changed = fresh.listing.Len()
	fresh.view = s.fleet.view
	s.fleet, s.dirty = fresh, true
	s.lastFull, s.lastPoll = p.now, p.now
	return nil
}

// maxLow bounds the machines at low risk that a poll reads. Where there are more,
// a change to or from low risk waits for the complete listing.
const maxLow = 5000

// changes reads what changed since the last listing: machines that reported, and
// all at risk.
func (s *Source) changes(ctx context.Context, p *pass) error {
	p.mode = modeChanges
	s.mu.Lock()
	since := s.lastPoll.Add(-overlap)
	low := s.fleet.count(decision.LevelLow)
	s.mu.Unlock()
	err := s.list(ctx, msgraph.DefenderMachines, machinesPath, "lastSeen gt "+since.UTC().Format(time.RFC3339), func(raw json.RawMessage) string {
		return s.merge(raw, p)
	})
	if refused(err) {
		s.once("refuses to list changes, listing everything at every poll", err)
		return s.full(ctx, p)
	}
	if err != nil {
		return err
	}
	watched, lowest := []string{"High", "Medium"}, decision.LevelMedium
	if low <= maxLow {
		watched, lowest = append(watched, "Low"), decision.LevelLow
	}
	answer := map[decision.Key]bool{}
	err = s.either(ctx, msgraph.DefenderMachines, machinesPath, "riskScore", watched, func(raw json.RawMessage) string {
		id := s.merge(raw, p)
		if id != "" {
			answer[decision.Key{Kind: decision.KindDefender, Value: id}] = true
		}
		return id
	})
	if refused(err) {
		s.once("refuses to list machines at risk, listing everything at every poll", err)
		return s.full(ctx, p)
	}
	if err != nil {
		return err
	}
	if err := s.recheck(ctx, p, answer, lowest); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.lastPoll = p.now
	return nil
}

// merge takes one machine of a list over and returns its id, or "".
func (s *Source) merge(raw json.RawMessage, p *pass) (id string) {
	p.row++
	v, err := decodeMachine(raw, p.now, p.tally)
	if err != nil {
		p.refuse(err)
		return ""
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.during[v.Keys[0]] {
		return v.Keys[0].Value // a look-up knows better
	}
	s.fleet.keep(&v)
	changed, err := s.fleet.put(v, p.now)
	if err != nil {
		p.refuse(err)
		return ""
	}
	if changed {
		s.dirty = true
		p.changed++
	}
	return v.Keys[0].Value
}

// Forget implements [source.Forgetter].
func (s *Source) Forget(own decision.Key) {
	s.forgotten.Add(own)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dirty = s.fleet.letGo(own) || s.dirty
}

var _ source.Forgetter = (*Source)(nil)

// emit hands everything to the sweep, unless nothing changed since the last time.
func (s *Source) emit(ctx context.Context, sweep *source.Sweep) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.mu.Lock()
	for _, own := range s.forgotten.Take() {
		s.dirty = s.fleet.letGo(own) || s.dirty
	}
	if !s.dirty && s.emitted {
		s.mu.Unlock()
		return source.ErrUnchanged
	}
	t, err := s.fleet.pack()
	if err != nil {
		s.mu.Unlock()
		return fmt.Errorf("defender: %w", err)
	}
	alerts := s.alerts
	s.dirty, s.emitted = false, true
	s.mu.Unlock()

	lost := settle(t)
	devices, without := 0, 0
	for row, v := range t.All() {
		if lost[v.Keys[0]] {
			continue
		}
		devices++
		if len(v.Keys) == 1 {
			without++
		}
		kept, by := t.Kept(row), alerts[v.Keys[0].Value]
		if by.severity >= max(v.Risk, decision.LevelLow) { // an open alert says what is kept, or more
			kept = 0
		}
		raise(&v.Device, by)
		sweep.Kept(v, kept)
	}
	s.mu.Lock()
	before := s.stats.Duplicates
	s.stats.Devices, s.stats.WithoutEntraID, s.stats.Duplicates = devices, without, len(lost)
	s.mu.Unlock()
	if len(lost) != before {
		s.o.Logger.Info("defender has several machines with the same entra device id, the one seen last counts", "replaced_machines", len(lost))
	}
	return nil
}
