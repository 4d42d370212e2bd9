package source

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/gatehouse-project/gatehouse/cache"
	"github.com/gatehouse-project/gatehouse/decision"
)

// CheckInRequester is a Source whose devices can be told to report to their
// management system now (Graph syncDevice).
type CheckInRequester interface {
	Source
	// RequestCheckIn tells the device of a verdict of this source to check in. It
	// returns when the management system has taken the request, which is before
	// the device acts on it. The error wraps [ErrNotPermitted], [ErrNotSupported],
	// [ErrUnknownDevice] or [*ThrottledError] where that is the reason.
	RequestCheckIn(ctx context.Context, v *decision.Verdict) error
}

// ErrNotPermitted says that the source lacks the permission for what it was asked
// to do. Sources wrap it; test with [errors.Is].
var ErrNotPermitted = errors.New("not permitted")

// ErrNotSupported says that what was asked for is impossible for this device, now
// and later. Sources wrap it; test with [errors.Is].
var ErrNotSupported = errors.New("not supported for this device")

// CheckIn is what came of telling a device to check in: a closed set, fit for a
// metric label.
type CheckIn string

// The results. CheckInOff means that the source does not do this at all.
const (
	CheckInOff          CheckIn = ""
	CheckInAsked        CheckIn = "asked"
	CheckInRecently     CheckIn = "asked_recently" // less than 5 minutes ago
	CheckInUnknown      CheckIn = "unknown"        // nothing is known of the device, or it is unclear which it is
	CheckInNotSupported CheckIn = "not_supported"  // its management system cannot reach it that way
	CheckInNotPermitted CheckIn = "not_permitted"
	CheckInThrottled    CheckIn = "throttled"
	CheckInTimeout      CheckIn = "timeout"
	CheckInFailed       CheckIn = "failed"
)

// CheckIns lists the results besides CheckInOff, for metrics that start at 0.
var CheckIns = []CheckIn{
	CheckInAsked, CheckInRecently, CheckInUnknown, CheckInNotSupported, CheckInNotPermitted, CheckInThrottled, CheckInTimeout, CheckInFailed,
}

// The pace of check-ins. A device needs seconds to minutes to act, and asking
// again meanwhile changes nothing. One device per second is a tenth of what
// Microsoft allows for all writes of an application.
const (
	checkInGap     = 5 * time.Minute
	checkInRate    = 1 // devices per second
	checkInBurst   = 20
	checkInDevices = 10_000 // remembered
	maxFollowed    = 300    // devices looked after at the same time
)

// followUps are the pauses between the look-ups after a check-in was asked for:
// about four minutes altogether.
var followUps = [...]time.Duration{10 * time.Second, 20 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute}

// checkIns paces the check-ins of one source. Nil: there are none.
type checkIns struct {
	requester CheckInRequester
	limiter   *rate.Limiter
	following chan struct{} // one per device that is looked after
	forbidden atomic.Bool   // the permission is missing, which is logged

	mu   sync.Mutex
	last *cache.Cache[decision.Key, time.Time]
}

// newCheckIns returns nil if the source cannot do it or shall not.
func newCheckIns(src Source, on bool) *checkIns {
	requester, ok := src.(CheckInRequester)
	if !on || !ok {
		return nil
	}
	last, err := cache.New[decision.Key, time.Time](cache.Options[decision.Key]{Capacity: checkInDevices})
	if err != nil {
		panic("source: " + err.Error()) // only sizes below one fail
	}
	return &checkIns{
		requester: requester, last: last, limiter: rate.NewLimiter(checkInRate, checkInBurst),
		following: make(chan struct{}, maxFollowed),
	}
}

// take reports whether the device may be asked now, and if so takes its turn.
func (c *checkIns) take(own decision.Key, now time.Time) CheckIn {
	c.mu.Lock()
	defer c.mu.Unlock()
	if last, result := c.last.Get(own); result == cache.Hit && now.Sub(last) < checkInGap {
		return CheckInRecently
	}
	if !c.limiter.AllowN(now, 1) {
		return CheckInThrottled
	}
	c.last.Put(own, now, time.Time{})
	return CheckInAsked
}

// giveBack lets a device that was not reached be asked again.
func (c *checkIns) giveBack(own decision.Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last.Delete(own)
}

// RequestCheckIn tells the device with these ids to report to its management
// system, if the source can do that and [RunnerOptions].CheckIns is on. It asks
// for one device at most once in 5 minutes, and for one device per second and 20
// at once altogether. It waits for the management system, bounded by ctx, and
// never for the device: that is looked up again in the background a few times in
// the next four minutes, until it has checked in and is compliant. A request that
// failed is in the log.
func (r *Runner) RequestCheckIn(ctx context.Context, keys []decision.Key) CheckIn {
	if r.checkIns == nil {
		return CheckInOff
	}
	result, err := r.requestCheckIn(ctx, keys)
	if f := r.o.Observer.CheckedIn; f != nil {
		f(r.o.Name, result)
	}
	level := slog.LevelDebug
	switch result {
	case CheckInFailed, CheckInTimeout:
		level = slog.LevelWarn
	case CheckInNotPermitted:
		if !r.checkIns.forbidden.Swap(true) { // once until it works
			level = slog.LevelWarn
		}
	case CheckInAsked:
		r.checkIns.forbidden.Store(false)
	case CheckInOff, CheckInRecently, CheckInUnknown, CheckInNotSupported, CheckInThrottled:
	}
	if err != nil {
		r.o.Logger.Log(ctx, level, "source did not tell a device to check in", "source", r.o.Name, "result", string(result), "error", err)
	}
	return result
}

func (r *Runner) requestCheckIn(ctx context.Context, keys []decision.Key) (CheckIn, error) {
	m := r.Find(keys)
	if m.Verdict == nil || m.Ambiguous || !m.GoneSince.IsZero() {
		return CheckInUnknown, nil
	}
	if r.throttled() > 0 {
		return CheckInThrottled, nil
	}
	c, v := r.checkIns, m.Verdict
	own := v.Keys[0]
	if result := c.take(own, time.Now()); result != CheckInAsked {
		return result, nil
	}
	err := r.protect(func() error { return c.requester.RequestCheckIn(ctx, v) })
	result := checkInResult(err)
	if err == nil {
		r.follow(own, v.LastCheckIn)
	} else {
		c.giveBack(own)
	}
	return result, err
}

func checkInResult(err error) CheckIn {
	var throttled *ThrottledError
	switch {
	case err == nil:
		return CheckInAsked
	case errors.Is(err, ErrNotPermitted):
		return CheckInNotPermitted
	case errors.Is(err, ErrNotSupported):
		return CheckInNotSupported
	case errors.Is(err, ErrUnknownDevice):
		return CheckInUnknown
	case errors.As(err, &throttled):
		return CheckInThrottled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return CheckInTimeout
	}
	return CheckInFailed
}

// follow looks a device up again until its new state arrived, or a few times. If
// too many are followed already the next poll brings the state.
func (r *Runner) follow(own decision.Key, before time.Time) {
	following := r.checkIns.following
	select {
	case following <- struct{}{}:
	default:
		return
	}
	started := r.spawn(func() {
		defer func() { <-following }()
		for _, pause := range followUps {
			if r.pause(jitter(pause)); r.ctx.Err() != nil {
				return
			}
			// A failure is the look-up's to count; the next one may do better.
			_ = r.Refresh(r.ctx, own)
			if v := r.Find([]decision.Key{own}).Verdict; v != nil && v.LastCheckIn.After(before) && v.Compliance == decision.Compliant {
				return
			}
		}
	})
	if !started {
		<-following
	}
}

// jitter varies a pause by up to a fifth, so that devices that were told to check
// in together are not looked up together.
func jitter(d time.Duration) time.Duration {
	return d - d/5 + time.Duration(rand.Int64N(int64(d/5*2)))
}
