package source

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"

	"github.com/gatehouse-project/gatehouse/cache"
	"github.com/gatehouse-project/gatehouse/decision"
)

// The circuit breaker of look-ups: it opens after failures in a row or when
// half of many fail, rests, and then lets one probe through. Sweeps are paced by
// back-off instead, so that a repaired source is noticed at once.
const (
	breakerRow    = 5
	breakerMany   = 20
	breakerWindow = time.Minute
	breakerRest   = 30 * time.Second
)

// LookupLimited is a [Looker] that lists devices with kinds of id by which it cannot
// be asked for one. It is never asked by those: only its listing has a say there.
type LookupLimited interface {
	Looker
	// CanLookup reports whether Lookup can answer about an id of this kind, be it
	// that there is none. It never changes.
	CanLookup(kind string) bool
}

// ErrUnusable says that the answer about one device cannot be used, and nothing
// about any other device: it is ambiguous, or about another one. Sources wrap it;
// it makes the decision about that device undecided and leaves the source alone.
var ErrUnusable = errors.New("answer about this device cannot be used")

// errOtherDevice says that the answer is not about the device asked for.
var errOtherDevice = fmt.Errorf("%w: it is about another device", ErrUnusable)

// unusableTTL is how long a device is not asked for again after such an answer.
const unusableTTL = 10 * time.Second

func newBreaker(name string) *gobreaker.CircuitBreaker[decision.Verdict] {
	return gobreaker.NewCircuitBreaker[decision.Verdict](gobreaker.Settings{
		Name:        name,
		MaxRequests: 1,
		Interval:    breakerWindow,
		Timeout:     breakerRest,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.ConsecutiveFailures >= breakerRow ||
				c.Requests >= breakerMany && c.TotalFailures*2 >= c.Requests
		},
		IsSuccessful: func(err error) bool {
			return err == nil || errors.Is(err, ErrUnknownDevice) || errors.Is(err, ErrUnusable)
		},
		IsExcluded: func(err error) bool {
			var t *ThrottledError
			return errors.As(err, &t) || errors.Is(err, context.Canceled)
		},
	})
}

// looked is one verdict that a single look-up brought.
type looked struct {
	verdict decision.Verdict
	kept    bool // it has bad news that the look-up itself was silent about
	// said is the verdict as the source told it, if bad news was added to that from what
	// was known before. Else nil.
	said *decision.Verdict
}

// flight is one look-up that is under way.
type flight struct {
	done chan struct{}
	err  error
}

// flights joins concurrent look-ups of the same device. The key is a struct:
// nothing that a client sends can make two devices share one.
type flights struct {
	mu sync.Mutex
	m  map[decision.Key]*flight
}

// Refresh asks the source for one device and returns when the answer is
// visible to every posture, or when ctx ends. Concurrent calls for one device
// share a single look-up, whose time is bounded by LookupTimeout and not by any
// caller's ctx. The error wraps [ErrUnknownDevice] if the source has no such
// device; a sweep, and not this answer, removes a device that it listed before.
// A source that only lists its devices is swept instead, bounded by ctx.
func (r *Runner) Refresh(ctx context.Context, key decision.Key) error {
	if r.looker == nil {
		return r.SyncNow(ctx)
	}
	f, err := r.launch(key)
	if err != nil {
		return err
	}
	select {
	case <-f.done:
		return f.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// launch joins the look-up of key that is under way, or starts one if the
// limits allow it.
func (r *Runner) launch(key decision.Key) (*flight, error) {
	r.flights.mu.Lock()
	defer r.flights.mu.Unlock()
	if f, ok := r.flights.m[key]; ok {
		return f, nil
	}
	if _, result := r.unusable.Get(key); result == cache.Hit {
		return nil, ErrUnusable
	}
	if err := r.admit(r.observe); err != nil {
		return nil, err
	}
	f := &flight{done: make(chan struct{})}
	started := r.spawn(func() {
		f.err = r.protect(func() error { return r.ask(key) })
		r.flights.mu.Lock()
		delete(r.flights.m, key)
		r.flights.mu.Unlock()
		<-r.slots
		close(f.done)
	})
	if !started {
		<-r.slots
		return nil, fmt.Errorf("source %s is stopped", r.o.Name)
	}
	if r.flights.m == nil {
		r.flights.m = map[decision.Key]*flight{}
	}
	r.flights.m[key] = f
	return f, nil
}

// admit takes one of the slots for look-ups, or says why there is none, which
// observe is told: the caller gives it back.
func (r *Runner) admit(observe func(result string, took time.Duration)) error {
	if wait := r.throttled(); wait > 0 {
		observe("throttled", 0)
		return &ThrottledError{RetryAfter: wait}
	}
	if r.limiter.Allow() {
		select {
		case r.slots <- struct{}{}:
			return nil
		default:
		}
	}
	observe("throttled", 0)
	return &ThrottledError{}
}

// ask does one look-up and records the answer.
func (r *Runner) ask(key decision.Key) error {
	ctx, cancel := context.WithTimeout(r.ctx, r.o.LookupTimeout)
	defer cancel()
	start := time.Now()
	v, err := r.breaker.Execute(func() (decision.Verdict, error) {
		v, err := r.looker.Lookup(ctx, key)
		if err == nil {
			err = checkAnswer(&v, key)
		}
		return v, err
	})
	took := time.Since(start)
	var throttled *ThrottledError
	switch {
	case err == nil:
		r.observe("found", took)
		r.remember(v, key, start)
	case errors.Is(err, ErrUnknownDevice):
		r.observe("unknown", took)
		r.forget(key)
	case errors.Is(err, ErrUnusable):
		r.observe("unusable", took)
		r.unusable.Put(key, struct{}{}, time.Now().Add(unusableTTL))
		return err // the source is well
	case errors.As(err, &throttled):
		r.observe("throttled", took)
		r.throttle(throttled.RetryAfter)
	case errors.Is(err, gobreaker.ErrOpenState), errors.Is(err, gobreaker.ErrTooManyRequests):
		r.observe("open", took)
	case errors.Is(err, context.DeadlineExceeded):
		r.observe("timeout", took)
	default:
		r.observe("error", took)
		r.denied(err)
	}
	if r.syncer != nil || r.ctx.Err() != nil {
		return err // the health of a listing source is that of its sweeps
	}
	if cause := causeOf(err); cause != decision.CauseNone {
		r.state.Fail(cause)
		r.keepError(err)
	} else {
		r.state.SetSupplies(r.src.Facts())
		r.state.Confirm(start)
		r.keepError(nil)
	}
	r.noteHealth(err)
	return err
}

// keepError keeps why the last look-up of a source that cannot list failed, for
// status. That the circuit is open is no reason: what opened it is.
func (r *Runner) keepError(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	open := errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests)
	if !open || r.journal.lastErr == nil {
		r.journal.lastErr = err
	}
}

func (r *Runner) observe(result string, took time.Duration) {
	if f := r.o.Observer.LookedUp; f != nil {
		f(r.o.Name, result, took)
	}
}

// checkAnswer refuses a verdict about another device than the one asked for: a
// source that mixes up its answers must not let one device speak for another.
func checkAnswer(v *decision.Verdict, key decision.Key) error {
	if err := checkDevice(&v.Device); err != nil {
		return err
	}
	for _, k := range v.Keys {
		if k == key {
			return nil
		}
	}
	return errOtherDevice
}

// remember keeps a verdict under the id that was asked for and the other ids of
// the device. A serial number counts only where it was the question: makers repeat
// them, and the next one to show it may be another device.
func (r *Runner) remember(v decision.Verdict, asked decision.Key, start time.Time) {
	v.Confirmed = decision.Mono(start)
	if renewed := r.replace(&looked{verdict: v}, asked); renewed && r.syncer == nil {
		r.renewed.Store(true) // the loop tells; many may come at once
		return
	}
	r.bump()
}

// replace puts an answer in the place of what was known of the device, whose bad news
// it keeps. It reports whether it says what an earlier answer said.
func (r *Runner) replace(entry *looked, asked decision.Key) (renewed bool) {
	r.blend.Lock()
	defer r.blend.Unlock()
	v := &entry.verdict
	said := *v
	entry.kept = r.takeOver(v)
	r.raise(v)
	entry.keepSaid(&said)
	renewed = true
	for _, k := range v.Keys {
		if k.Kind == decision.KindSerial && k != asked {
			continue
		}
		old, hit := r.cached(k)
		if hit && old.verdict.Keys[0] != v.Keys[0] {
			r.looked.Delete(old.verdict.Keys[0]) // the device has another record now
		}
		renewed = renewed && hit && pack(&old.verdict.Device) == pack(&v.Device) && old.verdict.OSVersion == v.OSVersion &&
			old.verdict.OwnerID == v.OwnerID && old.verdict.OwnerUPN == v.OwnerUPN && old.verdict.GraceUntil.Equal(v.GraceUntil)
		r.looked.Put(k, entry, time.Time{})
	}
	return renewed
}

// keepSaid notes what the source told, if something was added to it.
func (e *looked) keepSaid(said *decision.Verdict) {
	if pack(&said.Device) != pack(&e.verdict.Device) {
		e.said = said
	}
}

// forget records that the source has no such device.
func (r *Runner) forget(key decision.Key) {
	if r.complete() && !r.o.AskUnknown {
		return
	}
	if old, ok := r.cached(key); ok {
		for _, k := range old.verdict.Keys {
			r.looked.Delete(k)
		}
		defer r.bump()
	}
	r.looked.PutNegative(key)
}
