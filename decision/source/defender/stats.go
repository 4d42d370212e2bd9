package defender

import (
	"maps"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

// The values of [Stats.Mode].
const (
	modeFull    = "full"
	modeChanges = "changes"
)

// Stats are the counters of a [Source] as of its last Sync that succeeded.
type Stats struct {
	// Mode is how that Sync read: full or changes. Empty before the first.
	Mode string `json:"mode"`
	// Devices is how many devices were emitted.
	Devices int `json:"devices"`
	// Duplicates are machines that share their Entra device id with a newer one,
	// such as after a new installation.
	Duplicates int `json:"duplicates"`
	// WithoutEntraID are machines that nobody can find by their Entra device id.
	WithoutEntraID int `json:"without_entra_id"`
	// AtRisk counts machines whose own risk score is low or worse.
	AtRisk int `json:"at_risk"`
	// Alerted counts machines with an open alert of low or higher severity, or of one
	// that cannot be read.
	Alerted int `json:"alerted"`
	// Changed is how many machines that Sync found changed; of a complete
	// listing, how many it read.
	Changed int `json:"changed"`
	// Rechecked is how many single machines that Sync asked for, and Waiting how
	// many more it would have: those keep the risk that was known.
	Rechecked int `json:"rechecked"`
	Waiting   int `json:"waiting"`
	// Bad counts rows of that Sync without a usable id.
	Bad int `json:"bad"`
	// Problems counts values that count as unknown, as "field: reason", since
	// the last complete listing. A machine counts each time that it is read, also
	// by a look-up.
	Problems map[string]int `json:"problems,omitempty"`
	// LookUp is how single devices are asked for by Entra device id: filter, or
	// listing if the service refuses to filter by it.
	LookUp string `json:"look_up"`
	// Complete is when the last complete listing began.
	Complete time.Time `json:"complete,omitzero"`
}

// Stats returns the counters.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Problems = maps.Clone(out.Problems)
	out.LookUp = s.style.name()
	return out
}

// publish writes the counters of a pass. The caller holds mu.
func (s *Source) publish(p *pass) {
	st := &s.stats
	st.Mode, st.Bad, st.Changed, st.Rechecked, st.Waiting = p.mode, p.bad, p.changed, p.rechecked, p.waiting
	st.AtRisk, st.Alerted, st.Complete = len(s.fleet.risky), len(s.alerts), s.lastFull
	if p.mode == modeFull || st.Problems == nil {
		st.Problems = map[string]int{}
	}
	st.add(p.tally)
}

func (st *Stats) add(t tally) {
	if st.Problems == nil && len(t) > 0 {
		st.Problems = map[string]int{}
	}
	for what, n := range t {
		st.Problems[what] += n
	}
}

// count adds what a look-up could not use.
func (s *Source) count(t tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.add(t)
}

// Counters implements [source.Counting].
func (s *Source) Counters() source.Counters {
	st := s.Stats()
	return source.Counters{Skipped: source.SkippedValues(st.Problems), Own: st}
}

var _ source.Counting = (*Source)(nil)
