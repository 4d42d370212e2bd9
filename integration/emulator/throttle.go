package emulator

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// scope is what shares a throttle limit.
type scope uint8

const (
	scopeNone      scope = iota
	scopeIntune          // 2000 in 20 s; writes also 200 in 20 s
	scopeDirectory       // resource units in 10 s, by the size of the tenant
	scopeIdentity        // 1 in 1 s, and no Retry-After
	scopeDefender        // 100 in 1 min and 1500 in 1 h
	scopeNACList         // 1 in 4 h, answered with 503
	scopeReports         // 48 export jobs in 1 min
	numScopes
)

// window is a sliding window: what was spent in the last span.
type window struct {
	span  time.Duration
	limit int
	spent []spending
	sum   int
}

type spending struct {
	at   time.Time
	cost int
}

// take counts a call, refused or not, and says whether the window still has room.
// wait is how long until a call of that cost would fit.
func (w *window) take(now time.Time, cost int) (ok bool, wait time.Duration) {
	n := 0
	for n < len(w.spent) && now.Sub(w.spent[n].at) >= w.span {
		w.sum -= w.spent[n].cost
		n++
	}
	w.spent = append(w.spent[:0], w.spent[n:]...)
	if len(w.spent) < 2*w.limit+16 { // throttled calls keep counting, within bounds
		w.spent = append(w.spent, spending{now, cost})
		w.sum += cost
	}
	if w.sum <= w.limit {
		return true, 0
	}
	left := w.sum
	for _, s := range w.spent {
		if left -= s.cost; left <= w.limit-cost {
			return false, w.span - now.Sub(s.at)
		}
	}
	return false, w.span
}

// limits holds the published limits of every scope for one application and tenant.
type limits struct {
	mu      sync.Mutex
	windows [numScopes][]*window
	writes  *window // of Intune
}

func (l *limits) init(users int) {
	units := 3500
	switch {
	case users > 500:
		units = 8000
	case users >= 50:
		units = 5000
	}
	l.windows = [numScopes][]*window{
		scopeIntune:    {{span: 20 * time.Second, limit: 2000}},
		scopeDirectory: {{span: 10 * time.Second, limit: units}},
		scopeIdentity:  {{span: time.Second, limit: 1}},
		scopeDefender:  {{span: time.Minute, limit: 100}, {span: time.Hour, limit: 1500}},
		scopeNACList:   {{span: 4 * time.Hour, limit: 1}},
		scopeReports:   {{span: time.Minute, limit: 48}},
	}
	l.writes = &window{span: 20 * time.Second, limit: 200}
}

// spend counts the call. It answers false after it refused one above a limit.
func (c *call) spend() bool {
	cost := c.cost()
	l := &c.s.limits
	l.mu.Lock()
	ok, wait, share := true, time.Duration(0), 0.0
	windows := l.windows[c.route.scope]
	if c.route.writes {
		windows = append(windows[:len(windows):len(windows)], l.writes)
	}
	for _, w := range windows {
		fits, d := w.take(c.now, cost)
		ok, wait = ok && fits, max(wait, d)
		share = max(share, float64(w.sum)/float64(w.limit))
	}
	l.mu.Unlock()
	h := c.w.Header()
	if c.route.scope == scopeDirectory {
		h.Set("x-ms-resource-unit", itoa(cost))
		if share >= 0.8 {
			h.Set("x-ms-throttle-limit-percentage", strconv.FormatFloat(min(share, 1.8), 'f', 2, 64))
		}
	}
	if ok {
		return true
	}
	c.violate("published throttle limit exceeded")
	c.throttled(wait)
	return false
}

// cost is the call's price in resource units; 1 outside the directory.
func (c *call) cost() int {
	if c.route.scope != scopeDirectory {
		return 1
	}
	n := max(c.route.cost, 1)
	if c.query.Get("$select") != "" {
		n--
	}
	if c.query.Get("$expand") != "" {
		n++
	}
	if top, err := strconv.Atoi(c.query.Get("$top")); err == nil && top < 20 {
		n--
	}
	return max(n, 1)
}

// throttled answers as the service of the route does when a limit is spent.
func (c *call) throttled(wait time.Duration) {
	h, seconds := c.w.Header(), max(wait.Seconds(), 0.001)
	switch c.route.scope {
	case scopeNACList:
		c.fail(http.StatusServiceUnavailable, "ServiceUnavailable", "The query was made too recently.")
		return
	case scopeIdentity: // never a Retry-After
	case scopeDefender:
		h.Set("Retry-After", itoa(int(math.Ceil(seconds))))
	case scopeDirectory:
		h.Set("Retry-After", itoa(int(math.Ceil(seconds))))
		h.Set("x-ms-throttle-scope", "Tenant_Application/ReadWrite/"+c.s.o.ClientID+"/"+c.s.o.Tenant)
		h.Set("x-ms-throttle-information", "ResourceUnitLimitExceeded")
	default:
		h.Set("Retry-After", strconv.FormatFloat(seconds, 'f', 3, 64))
	}
	c.fail(http.StatusTooManyRequests, "TooManyRequests", "Please retry again later.")
}
