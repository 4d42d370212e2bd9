package intune

import (
	"maps"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// Stats are counters as of the last sync, for operators.
type Stats struct {
	// Mode is how the last listing was read: paged, export or changes.
	Mode string `json:"mode"`
	// Devices is how many devices were emitted.
	Devices int `json:"devices"`
	// Duplicates is how many records lost against a newer one of their device.
	Duplicates int `json:"duplicates"`
	// SharedSerials is how many serial numbers belong to several devices and
	// identify none.
	SharedSerials int `json:"shared_serials"`
	// Changed is how many records the last poll changed.
	Changed int `json:"changed"`
	// Bad is how many records of the last listing could not be read.
	Bad int `json:"bad"`
	// Unlisted is how many devices the last complete listing left out although
	// Intune has them.
	Unlisted int `json:"unlisted"`
	// Fields counts values that could not be used since the last complete
	// listing, by Graph field and reason.
	Fields map[string]int `json:"fields,omitempty"`
	// LastFull and LastPaged are the last complete and the last paged listing.
	LastFull  time.Time `json:"last_full"`
	LastPaged time.Time `json:"last_paged"`
	// ReasonsDue is how many devices wait for their reasons to be fetched.
	ReasonsDue int `json:"reasons_due"`
	// Unproven is how many devices StrictDefault holds back.
	Unproven int `json:"unproven"`
	// SilentPlatforms are the platforms whose threat defense connector does not
	// respond.
	SilentPlatforms []string `json:"silent_platforms,omitempty"`
	// HealthDue is how many computers wait to be asked about (Protection,
	// Attestation) for the first time.
	HealthDue int `json:"health_due"`
	// Refused counts reads of settings, connectors, reasons, policies, health, and
	// devices that are no longer listed as bad, that failed.
	Refused map[string]int `json:"refused,omitempty"`
	// Exports and ExportsFailed count export jobs.
	Exports       int `json:"exports"`
	ExportsFailed int `json:"exports_failed"`
}

// Stats returns the counters.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Fields, st.Refused = maps.Clone(st.Fields), maps.Clone(st.Refused)
	st.ReasonsDue, st.Unproven = len(s.reasons.due), len(s.proofs.pending)
	st.LastFull, st.LastPaged = s.lastFull, s.lastPaged
	st.SilentPlatforms = s.tenant.silentNames()
	for _, h := range s.healths {
		if h.asked.IsZero() {
			st.HealthDue++
		}
	}
	return st
}

// refused counts and logs a read that failed without failing the sync.
func (s *Source) refused(what string, err error) {
	s.bar(what, err)
	s.mu.Lock()
	if s.stats.Refused == nil {
		s.stats.Refused = map[string]int{}
	}
	s.stats.Refused[what]++
	s.mu.Unlock()
	s.once(what, err)
}

// bar notes what lacks a permission: it is not asked for again for a while (see
// barred).
func (s *Source) bar(what string, err error) {
	if kindOf(err) != msgraph.KindPermission {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.barredAt == nil {
		s.barredAt = map[string]time.Time{}
	}
	s.barredAt[what] = s.o.Now()
}

// barred reports whether a permission was missing not long ago: asking for each
// device again would only fill the logs of the tenant.
func (s *Source) barred(what string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.barredAt[what]
	age := s.o.Now().Sub(at)
	return ok && age >= 0 && age < barredFor
}

// Counters implements [source.Counting]. The partners are threat defence
// connectors (Graph mobileThreatDefenseConnector).
func (s *Source) Counters() source.Counters {
	st := s.Stats()
	c := source.Counters{Skipped: source.SkippedValues(st.Fields), Refused: st.Refused, Own: st}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.tenant.heardAt.IsZero() {
		c.SilentPartners = s.tenant.silentByPlatform()
	}
	return c
}

var _ source.Counting = (*Source)(nil)
