package msgraph

import "time"

// Scope is how much of one published limit is used.
type Scope struct {
	Name           string        `json:"name"`
	Spent          int           `json:"spent"`                    // calls in the present window
	Budget         int           `json:"budget"`                   // our share of the limit, in calls per window
	Per            time.Duration `json:"per"`                      // the window's length, in nanoseconds
	ThrottledUntil time.Time     `json:"throttled_until,omitzero"` // the service asked us to wait until then; zero: it did not
	// Pressure is the share of its limit that the service said is used, by all
	// callers of the application (x-ms-throttle-limit-percentage, 1 is the limit);
	// 0 if its last answer said nothing, as services do below 0.8.
	Pressure float64 `json:"pressure,omitzero"`
}

// Headroom tells per throttle scope what is spent. Of several limits of one
// scope it shows the one that is nearest.
func (c *Client) Headroom() []Scope {
	now := time.Now()
	all := make([]Scope, 0, numScopes)
	for i := range c.budgets {
		all = append(all, c.budgets[i].scope(now))
	}
	return all
}

func (b *budget) scope(now time.Time) Scope {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := Scope{Name: b.name, Pressure: b.pressure}
	for i := range b.buckets {
		k := &b.buckets[i]
		k.count(now, 0)
		if s.Budget == 0 || k.spent*s.Budget > s.Spent*k.allowed() {
			s.Spent, s.Budget, s.Per = k.spent, k.allowed(), k.per
		}
	}
	if b.until.After(now) {
		s.ThrottledUntil = b.until
	}
	return s
}
