package configmgr

import (
	"maps"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

// Stats are the counters of a [Source] as of its last Sync that succeeded.
type Stats struct {
	// Devices is how many clients were emitted.
	Devices int `json:"devices"`
	// Duplicates are records of devices of which another record counts, as a new
	// installation leaves them.
	Duplicates int `json:"duplicates"`
	// NeverScanned are clients about which the site has no result of a scan for
	// updates, or none was found. They are not updated as far as anybody knows.
	NeverScanned int `json:"never_scanned"`
	// Bad counts rows and clients of that Sync without a usable id.
	Bad int `json:"bad"`
	// Problems counts values that count as unknown, as "property: reason", since the
	// last complete listing. A row counts each time that it is read.
	Problems map[string]int `json:"problems,omitempty"`
	// Complete is when the last complete listing began.
	Complete time.Time `json:"complete,omitzero"`
}

// Stats returns the counters.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := s.stats
	out.Problems = maps.Clone(out.Problems)
	return out
}

// publish replaces the counters after a complete listing.
func (s *Source) publish(st Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats = st
}

// add counts what a look-up could not use.
func (s *Source) add(c *checks) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for what, n := range c.counted() {
		if s.stats.Problems == nil {
			s.stats.Problems = map[string]int{}
		}
		s.stats.Problems[what] += n
	}
}

// Counters implements [source.Counting].
func (s *Source) Counters() source.Counters {
	st := s.Stats()
	return source.Counters{Skipped: source.SkippedValues(st.Problems), Own: st}
}

var _ source.Counting = (*Source)(nil)
