package nac

import (
	"maps"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

// Stats are the counters of a [Source] since its start.
type Stats struct {
	Found   int `json:"found"`   // look-ups that brought a verdict
	Unknown int `json:"unknown"` // look-ups of devices that are not registered
	Failed  int `json:"failed"`  // look-ups that ended with an error
	// Duplicates are records of an answer beyond the first.
	Duplicates int `json:"duplicates"`
	// Problems counts values that count as unknown, as "field: reason".
	Problems map[string]int `json:"problems,omitempty"`
	// Service is where the tenant's service is; empty: not found yet.
	Service string `json:"service,omitempty"`
	// Located is when the service was last found.
	Located time.Time `json:"located,omitzero"`
	// Discoveries counts how often it was looked for.
	Discoveries int `json:"discoveries"`
	// DiscoveryError is why it was not found the last time; empty: it was.
	DiscoveryError string `json:"discovery_error,omitempty"`
}

// Stats returns the counters.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	out := s.stats
	out.Problems = maps.Clone(out.Problems)
	s.mu.Unlock()
	s.service.describe(&out)
	return out
}

func (s *Source) count(change func(*Stats)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(&s.stats)
}

// problem counts one value. Both words are constants: the set is closed.
func (s *Source) problem(field, reason string) {
	s.count(func(st *Stats) {
		if st.Problems == nil {
			st.Problems = map[string]int{}
		}
		st.Problems[field+": "+reason]++
	})
}

// Counters implements [source.Counting].
func (s *Source) Counters() source.Counters {
	st := s.Stats()
	return source.Counters{Skipped: source.SkippedValues(st.Problems), Own: st}
}

var _ source.Counting = (*Source)(nil)
