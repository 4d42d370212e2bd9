package msgraph

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	maxSleep      = 20 * time.Second // a longer wait is the caller's to plan
	maxRetryAfter = 24 * time.Hour
	firstBackoff  = time.Second
	mostBackoff   = time.Minute
)

// retryAfter reads the header: seconds, whole or with a fraction as Graph's own
// documentation shows, or a date. named is false if there is none to be read.
func retryAfter(h http.Header, now time.Time) (wait time.Duration, named bool) {
	v := strings.TrimSpace(h.Get("Retry-After"))
	if v == "" {
		return 0, false
	}
	if seconds, err := strconv.ParseFloat(v, 64); err == nil {
		if seconds < 0 || math.IsNaN(seconds) {
			return 0, false
		}
		return time.Duration(min(seconds, maxRetryAfter.Seconds()) * float64(time.Second)), true
	}
	at, err := http.ParseTime(v)
	if err != nil {
		return 0, false
	}
	// Their clock and ours differ; their own Date tells by how much.
	if date, err := http.ParseTime(h.Get("Date")); err == nil {
		now = date
	}
	return min(max(at.Sub(now), 0), maxRetryAfter), true
}

// backoff is the pause after so many failures in a row, counted from 1:
// exponential with full jitter, from 1 s to 60 s.
func backoff(failures int) time.Duration {
	ceiling := min(mostBackoff, firstBackoff<<min(failures, 16))
	return firstBackoff + rand.N(ceiling-firstBackoff)
}

// sleep waits for d or for the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fits reports whether there is time for a pause of d before ctx ends.
func fits(ctx context.Context, d time.Duration) bool {
	end, ok := ctx.Deadline()
	return d <= maxSleep && (!ok || time.Now().Add(d).Before(end))
}
