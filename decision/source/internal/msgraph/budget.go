package msgraph

import (
	"context"
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// scopeID names a throttle scope: what shares one limit of the service.
type scopeID uint8

const (
	scopeIntune scopeID = iota
	scopeIntuneWrites
	scopeDirectory
	scopeIdentityProtection
	scopeDefender
	scopeNACDevice
	scopeNACList
	scopeReports
	numScopes
)

// window is one published limit: so many calls in that time.
type window struct {
	limit int
	per   time.Duration
	// burst is how many calls may come at once; 0: a tenth of our share.
	burst int
	// left is what sweeps leave of a burst to look-ups; 0: a fifth.
	left int
	// lookUps is how much of limit look-ups may take, so that people who ask again
	// and again never keep a sweep from its end; 0: all.
	lookUps int
}

// limits are the published ones, per application and tenant. We stay at 80 % of
// each, because other software of the tenant shares some of them.
//
// Defender's are small, and somebody waits for a look-up: at most 20 come at once,
// then one a second, and 600 in an hour, which is half of our share. A burst of 20
// and 60 more in a minute are our 80.
var limits = [numScopes]struct {
	name    string
	windows []window
}{
	scopeIntune:             {"intune", []window{{limit: 2000, per: 20 * time.Second}}},
	scopeIntuneWrites:       {"intune_writes", []window{{limit: 200, per: 20 * time.Second}}},
	scopeDirectory:          {"directory", []window{{limit: 3500, per: 10 * time.Second}}}, // the smallest tenant's resource units
	scopeIdentityProtection: {"identity_protection", []window{{limit: 1, per: time.Second}}},
	scopeDefender:           {"defender", []window{{limit: 100, per: time.Minute, burst: 20, left: 12}, {limit: 1500, per: time.Hour, lookUps: 750}}},
	scopeNACDevice:          {"nac_device", []window{{limit: 2000, per: 20 * time.Second}}}, // "as many as needed"
	scopeNACList:            {"nac_list", []window{{limit: 1, per: 4 * time.Hour}}},
	scopeReports:            {"reports", []window{{limit: 48, per: time.Minute}}},
}

const (
	share     = 0.8             // of a published limit
	lowLag    = time.Second     // sweeps resume so much later than look-ups
	pressed   = 2 * time.Second // pause of sweeps when the service says that the limit is near
	tolerance = 1e-6            // rounding of token counts
)

// budget paces the calls of one scope.
type budget struct {
	name string

	mu       sync.Mutex
	buckets  []bucket
	until    time.Time // the service asked us to wait until then
	lowUntil time.Time // only sweeps wait until then
	strikes  int       // throttled answers in a row
	pressure float64   // of the limit, as the service last said; 0: it said nothing
}

type bucket struct {
	window
	limiter *rate.Limiter
	asking  *rate.Limiter // look-ups, beside limiter; nil: they have no limit of their own
	since   time.Time     // start of the counting below
	spent   int
}

func newBudgets() *[numScopes]budget {
	var all [numScopes]budget
	for i := range all {
		all[i].name = limits[i].name
		for _, w := range limits[i].windows {
			k := bucket{window: w, limiter: w.limiter()}
			if w.lookUps > 0 {
				k.asking = window{limit: w.lookUps, per: w.per}.limiter()
			}
			all[i].buckets = append(all[i].buckets, k)
		}
	}
	return &all
}

// allowed is our share of the limit. A limit of one call stays one.
func (w window) allowed() int { return max(1, int(share*float64(w.limit))) }

// limiter spreads the share over the window: a burst of a tenth of it, or as many as
// the window says, and the rest evenly, so that no window of that length ever holds
// more.
func (w window) limiter() *rate.Limiter {
	total := share * float64(w.limit)
	burst := max(1, int(total/10))
	if w.burst > 0 {
		burst = w.burst
	}
	steady := total - float64(burst)
	if w.limit < 10 {
		steady = total
	}
	return rate.NewLimiter(rate.Limit(steady/w.per.Seconds()), burst)
}

// take waits until n calls fit, or says how long that would be when there is no
// time for it. Low calls leave a part of each burst to the others.
func (b *budget) take(ctx context.Context, n int, low bool) (wait time.Duration, err error) {
	for {
		wait = b.delay(time.Now(), n, low)
		if wait <= 0 {
			return 0, nil
		}
		if !fits(ctx, wait) {
			return wait, nil
		}
		if err = sleep(ctx, wait); err != nil {
			return 0, err
		}
	}
}

// delay takes n calls and returns 0, or takes none and returns how long to wait.
func (b *budget) delay(now time.Time, n int, low bool) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	until := b.until
	if low && !until.IsZero() {
		until = until.Add(lowLag)
	}
	if low && b.lowUntil.After(until) {
		until = b.lowUntil
	}
	if wait := until.Sub(now); wait > 0 {
		return wait
	}
	var wait time.Duration
	for i := range b.buckets {
		k := &b.buckets[i]
		need := n
		if low {
			need += k.reserve()
		}
		wait = max(wait, waitFor(k.limiter, now, need))
		if !low && k.asking != nil {
			wait = max(wait, waitFor(k.asking, now, n))
		}
	}
	if wait > 0 {
		return wait
	}
	for i := range b.buckets {
		k := &b.buckets[i]
		k.limiter.AllowN(now, min(n, k.limiter.Burst()))
		if !low && k.asking != nil {
			k.asking.AllowN(now, min(n, k.asking.Burst()))
		}
		k.count(now, n)
	}
	return 0
}

// reserve is what sweeps leave of a burst.
func (k *bucket) reserve() int {
	if k.left > 0 {
		return k.left
	}
	return k.limiter.Burst() / 5
}

// waitFor returns how long until a limiter has n calls, or as many as it ever has.
func waitFor(l *rate.Limiter, now time.Time, n int) time.Duration {
	missing := float64(min(n, l.Burst())) - l.TokensAt(now)
	if missing <= tolerance {
		return 0
	}
	return time.Duration(math.Ceil(missing / float64(l.Limit()) * float64(time.Second)))
}

// count keeps what operators see. It starts anew after each window.
func (k *bucket) count(now time.Time, n int) {
	if now.Sub(k.since) >= k.per {
		k.since, k.spent = now, 0
	}
	k.spent += n
}

// refund gives the only call of a long window back after a try that cannot have
// reached the service.
func (b *budget) refund() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.buckets {
		if k := &b.buckets[i]; k.limit == 1 && k.per >= time.Hour {
			k.limiter, k.spent = k.window.limiter(), 0
		}
	}
}

// throttled records that the service asked us to wait, and returns for how long:
// what it named, or longer and longer.
func (b *budget) throttled(wait time.Duration) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.strikes++
	if wait <= 0 {
		wait = backoff(b.strikes)
	}
	if until := time.Now().Add(wait); until.After(b.until) {
		b.until = until
	}
	return wait
}

// calm reports whether the last answer was not a throttled one.
func (b *budget) calm() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.strikes == 0
}

// answered records an answer that was not throttled.
func (b *budget) answered(h http.Header) {
	percent, err := strconv.ParseFloat(h.Get("x-ms-throttle-limit-percentage"), 64)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.strikes, b.pressure = 0, 0
	if err == nil && percent > 0 && percent < 10 { // NaN is neither
		b.pressure = percent
	}
	if err == nil && percent >= 1 {
		b.lowUntil = time.Now().Add(pressed)
	}
}
