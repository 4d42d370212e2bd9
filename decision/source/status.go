package source

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Status is what operators see of one source. Times are zero if there is none
// yet.
type Status struct {
	Name          string         `json:"name"`
	State         Health         `json:"state"`
	Authoritative bool           `json:"authoritative"`
	LastSync      time.Time      `json:"last_sync,omitzero"` // last good or unchanged sweep
	Confirmed     time.Time      `json:"confirmed,omitzero"` // how old the facts count as
	Devices       int            `json:"devices"`
	ByCompliance  map[string]int `json:"devices_by_compliance,omitempty"`
	// Kept is how many devices, listed or looked up, have a fact of which the last bad
	// word still counts, because the source says nothing about it any more.
	Kept int `json:"kept"`
	// Gone is how many devices the source does not list any more of which the last
	// word still counts ([Tombstoner]). They are not among Devices.
	Gone          int         `json:"gone"`
	Users         int         `json:"users"`
	AmbiguousKeys int         `json:"ambiguous_keys"` // ids that several devices have
	Bad           int         `json:"bad"`            // records of the last sweep that could not be used
	BadRows       []BadRow    `json:"bad_rows,omitempty"`
	Held          *HeldChange `json:"held,omitempty"`
	LastError     string      `json:"last_error,omitempty"`
	Breaker       string      `json:"breaker"` // closed, half-open or open
	Generation    uint64      `json:"generation"`
	// Counters are what the source itself counts; nil if it does not.
	Counters *Counters `json:"counters,omitempty"`
	// UserGroups is nil unless the source looks up groups of users.
	UserGroups *GroupStatus `json:"user_groups,omitempty"`
}

// Status returns the present state. It reads the whole table: it is meant for
// people and scrapes, not for requests.
func (r *Runner) Status() Status {
	s := Status{
		Name: r.o.Name, State: r.health(), Authoritative: r.state.Authoritative,
		Breaker: r.breaker.State().String(), Generation: r.gen.Load(), UserGroups: r.groups.status(),
	}
	r.mu.Lock()
	j := &r.journal
	s.LastSync, s.Confirmed, s.Bad, s.Held = j.lastSync, j.confirmed, j.bad, copyHeld(j.held)
	s.BadRows = append([]BadRow(nil), j.badRows...)
	if j.lastErr != nil {
		s.LastError = j.lastErr.Error()
	}
	r.mu.Unlock()
	if r.syncer == nil && r.state.Loaded() { // its look-ups, not sweeps, are what counts
		s.Confirmed = time.Now().Add(-time.Duration(decision.Mono(time.Now()) - r.state.Confirmed()))
	}
	if c, ok := r.src.(Counting); ok {
		counters := c.Counters()
		s.Counters = &counters
	}
	v := r.view.Load()
	s.Kept = r.keptNow(v)
	if v != nil {
		s.Devices, s.Users, s.AmbiguousKeys = v.table.Len(), v.table.Users(), v.table.AmbiguousKeys()
		s.Gone = v.table.goneLen(time.Now())
		s.ByCompliance = v.table.complianceCounts()
	}
	return s
}

func copyHeld(h *HeldChange) *HeldChange {
	if h == nil {
		return nil
	}
	c := *h
	return &c
}

// health sums the state up in one word.
func (r *Runner) health() Health {
	r.mu.Lock()
	held, sweepErr := r.journal.held != nil, r.journal.lastErr
	r.mu.Unlock()
	switch {
	case !r.state.Loaded() && r.syncer != nil:
		return HealthNotLoaded
	case !r.state.Loaded() && r.state.Failing() == decision.CauseNone:
		return HealthIdle
	case sweepErr != nil || !held && r.state.Failing() != decision.CauseNone:
		return HealthFailing
	case held || r.syncer != nil && decision.Mono(time.Now())-r.state.Confirmed() > int64(2*r.o.Poll):
		return HealthStale
	}
	return HealthOK
}

// noteHealth logs it if the state has changed.
func (r *Runner) noteHealth(why error) {
	h := r.health()
	r.mu.Lock()
	from := r.journal.health
	r.journal.health = h
	r.mu.Unlock()
	if from == h {
		return
	}
	level := slog.LevelWarn
	if h == HealthOK {
		level = slog.LevelInfo
	}
	r.o.Logger.Log(context.Background(), level, "source state changed", "source", r.o.Name, "from", string(from), "to", string(h), "error", why)
}

// setHeld replaces what is held. The same content keeps its first date.
func (r *Runner) setHeld(h *HeldChange, p *pendingTable) {
	r.mu.Lock()
	before := r.journal.held
	if h != nil {
		h.Since = time.Now()
		if before != nil && before.ID == h.ID {
			h.Since = before.Since
		}
	}
	r.journal.held, r.journal.pending = h, p
	r.mu.Unlock()
	if (before == nil) == (h == nil) && (h == nil || before.ID == h.ID) {
		return
	}
	if h != nil {
		r.o.Logger.Error("change held back until an operator accepts it", "source", r.o.Name, "id", h.ID, "why", h.Why)
	} else {
		r.o.Logger.Info("nothing is held back any more", "source", r.o.Name)
	}
}

// ErrNothingHeld says that no change with that id is held: it was accepted, has
// gone, or a later sweep brought another one.
var ErrNothingHeld = errors.New("no such change is held")

// Accept applies the held change with this id: the operator looked at it and
// says that it is right. It waits for a sweep under way, bounded by ctx.
func (r *Runner) Accept(ctx context.Context, id string) error {
	select {
	case r.syncing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.syncing }()
	r.placing.Lock()
	defer r.placing.Unlock()
	r.mu.Lock()
	held, p := r.journal.held, r.journal.pending
	lastErr := r.journal.lastErr
	r.mu.Unlock()
	if held == nil || p == nil || held.ID != id {
		return fmt.Errorf("source %s: change %q: %w", r.o.Name, cut(id), ErrNothingHeld)
	}
	r.setHeld(nil, nil)
	if v := r.view.Load(); v != nil {
		r.entomb(v.table, p.table, r.latest(v), v.table.lost(p.table))
	}
	r.install(p.table, p, lastErr)
	r.o.Logger.Warn("held change accepted", "source", r.o.Name, "id", id, "why", held.Why)
	r.noteHealth(lastErr)
	return nil
}
