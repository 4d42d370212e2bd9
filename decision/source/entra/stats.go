package entra

import (
	"errors"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

// The values of [Stats.UserRisk].
const (
	riskOff     = "off"         // not asked for
	riskCurrent = "current"     // read with the last sync or less than a minute before
	riskLate    = "late"        // the last attempt failed; findings stay
	riskDenied  = "unavailable" // no licence, no permission, or not in this cloud
)

// Stats are the counters of a [Source] as of its last Sync that reached the
// service. Problems and Bad count since the last complete listing.
type Stats struct {
	Devices int `json:"devices"`
	Users   int `json:"users"`
	// DeletedUsers are remembered until no token of theirs can be alive.
	DeletedUsers int `json:"deleted_users"`
	// AtRisk counts users at risk or confirmed compromised.
	AtRisk int `json:"at_risk"`
	// UserRisk is off, current, late or unavailable.
	UserRisk string `json:"user_risk"`
	// Duplicates are objects that share their deviceId with a newer one.
	Duplicates int `json:"duplicates"`
	// Bad counts rows without a usable id.
	Bad int `json:"bad"`
	// Problems counts values that count as unknown, as "field: reason", also those
	// of look-ups.
	Problems map[string]int `json:"problems,omitempty"`
	// Complete is when the last complete listing of devices began.
	Complete time.Time `json:"complete,omitzero"`
	// Resyncs counts complete listings that the service asked for, since start.
	Resyncs int `json:"resyncs"`
}

// Stats returns the counters.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Problems = join(&tally{problems: out.Problems}, &s.asked)
	return out
}

// publish copies the counters for Stats.
func (s *Source) publish() {
	st := Stats{
		Devices: s.known.listing.Len(), Users: len(s.people.known), DeletedUsers: len(s.people.gone),
		AtRisk: len(s.risk.found), UserRisk: s.risk.state(s.o.RiskyUsers), Duplicates: len(s.known.twins),
		Bad: s.tally.bad + s.userTally.bad, Problems: join(&s.tally, &s.userTally, &s.risk.tally), Complete: s.devices.complete, Resyncs: s.resyncs,
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !st.Complete.Equal(s.stats.Complete) {
		s.asked = tally{}
	}
	s.stats = st
}

// count adds what a look-up could not use.
func (s *Source) count(t *tally) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked.problems = join(&s.asked, t)
}

// tally counts what could not be used.
type tally struct {
	problems map[string]int
	bad      int
	rows     []source.BadRow // the first of bad
}

// join returns the problems of all.
func join(tallies ...*tally) map[string]int {
	var out map[string]int
	for _, t := range tallies {
		for k, n := range t.problems {
			if out == nil {
				out = map[string]int{}
			}
			out[k] += n
		}
	}
	return out
}

// problem counts one field. Both words are constants: the set is closed.
func (t *tally) problem(field, reason string) {
	if t.problems == nil {
		t.problems = map[string]int{}
	}
	t.problems[field+": "+reason]++
}

// tell hands the unusable rows to the sweep.
func (t *tally) tell(sweep *source.Sweep) {
	for i := range t.bad {
		if i < len(t.rows) {
			sweep.Bad(t.rows[i].Place, errors.New(t.rows[i].Error))
		} else {
			sweep.Bad("", nil)
		}
	}
}

// unusable counts one row.
func (t *tally) unusable(place string, err error) {
	t.bad++
	if len(t.rows) < source.MaxBadRows {
		t.rows = append(t.rows, source.BadRow{Place: place, Error: err.Error()})
	}
}

// Counters implements [source.Counting].
func (s *Source) Counters() source.Counters {
	st := s.Stats()
	return source.Counters{Skipped: source.SkippedValues(st.Problems), Own: st}
}

var _ source.Counting = (*Source)(nil)
