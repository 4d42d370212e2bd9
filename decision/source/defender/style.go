package defender

import (
	"sync"
	"time"
)

// The values of [Stats.LookUp].
const (
	byFilter  = "filter"
	byListing = "listing"
)

// filters are the ways to ask for an Entra device id, by preference. The documents
// of the service disagree about quotes, and whether it can be asked for at all.
var filters = []string{"aadDeviceId eq %s", "aadDeviceId eq '%s'"}

// styleRest is how long refused filters are not tried again.
const styleRest = 24 * time.Hour

// styles remembers which filter the service takes. The zero value is ready.
type styles struct {
	mu    sync.Mutex
	next  int       // in filters
	until time.Time // when to try again after all were refused
}

// present returns the filter to use, or "" if all were refused.
func (s *styles) present(now time.Time) (style int, format string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next >= len(filters) && now.After(s.until) {
		s.next = 0
	}
	if s.next >= len(filters) {
		return s.next, ""
	}
	return s.next, filters[s.next]
}

// refused goes on to the next filter, unless another look-up did already.
func (s *styles) refused(style int, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next == style {
		s.next, s.until = style+1, now.Add(styleRest)
	}
}

func (s *styles) name() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.next >= len(filters) {
		return byListing
	}
	return byFilter
}
