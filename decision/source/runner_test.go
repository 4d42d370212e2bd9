package source

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

var errDown = errors.New("connection refused")

func age(r *Runner) time.Duration {
	return time.Duration(decision.Mono(time.Now()) - r.State().Confirmed())
}

func TestPollKeepsFresh(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &lister{fake{devices: fleet(3, nil)}}
		r := run(src, RunnerOptions{Poll: 10 * time.Minute})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		generation := r.Generation()
		r.Start(t.Context())
		for range 12 {
			pass(10 * time.Minute)
			if a := age(r); a > 11*time.Minute {
				t.Fatalf("the facts are %s old, more than a poll and its jitter", a)
			}
		}
		if syncs, _ := src.calls(); syncs < 10 || syncs > 15 {
			t.Errorf("%d sweeps in two hours of 10 minute polls", syncs)
		}
		if r.Generation() != generation {
			t.Error("sweeps without a change raise the generation")
		}
		src.set(func(f *fake) { noncompliant(&f.devices[1]) })
		pass(11 * time.Minute)
		if r.Generation() == generation {
			t.Error("a change does not raise the generation")
		}
		if m := r.Find([]decision.Key{serial(1)}); m.Verdict == nil || m.Verdict.Compliance != decision.NonCompliant {
			t.Errorf("Find = %+v, want the changed device", m)
		}
	})
}

// TestBackoff breaks a source for an hour: few calls, the age grows, and the
// source recovers by itself.
func TestBackoff(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &lister{fake{devices: fleet(3, nil)}}
		r := run(src, RunnerOptions{Poll: 5 * time.Minute})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Start(t.Context())
		src.set(func(f *fake) { f.err = errDown })
		before, _ := src.calls()
		pass(time.Hour)
		calls, _ := src.calls()
		if n := calls - before; n < 11 || n > 120 {
			t.Errorf("%d calls in an hour of failures", n)
		}
		if r.State().Failing() != decision.CauseSourceFailing || age(r) < 50*time.Minute {
			t.Errorf("failing %d, age %s", r.State().Failing(), age(r))
		}
		if s := r.Status(); s.State != HealthFailing || s.LastError != errDown.Error() || s.Devices != 3 {
			t.Errorf("status %+v", s)
		}
		src.set(func(f *fake) { f.err = nil })
		pass(backoffMost)
		if r.State().Failing() != decision.CauseNone || r.Status().State != HealthOK {
			t.Errorf("after recovery: %+v", r.Status())
		}
	})
}

func TestPanicIsAFailure(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &lister{fake{devices: fleet(3, nil), panics: true}}
		r := run(src, RunnerOptions{Poll: time.Minute})
		if err := r.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "panicked") {
			t.Errorf("Load = %v, want the panic", err)
		}
		if r.State().Loaded() || r.Status().State != HealthNotLoaded {
			t.Error("a source that panicked counts as loaded")
		}
		r.Start(t.Context())
		pass(10 * time.Minute)
		if s := r.Status(); s.State != HealthNotLoaded {
			t.Errorf("status %+v", s)
		}
		src.set(func(f *fake) { f.panics = false })
		pass(backoffMost)
		if s := r.Status(); s.State != HealthOK || s.Devices != 3 {
			t.Errorf("status after recovery %+v", s)
		}
	})
}

// follower is a lister that has something to ask after each sweep.
type follower struct {
	lister
	follows int
	news    bool
	takes   time.Duration
	limit   time.Duration // what it was given
}

func (f *follower) FollowUp(ctx context.Context) (news bool) {
	f.mu.Lock()
	f.follows++
	news, takes := f.news, f.takes
	if end, ok := ctx.Deadline(); ok {
		f.limit = time.Until(end)
	}
	f.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
	}
	return news
}

// TestFollowUp: what a source asks beside its listing holds nothing back, its news
// come soon, and never more than once between two polls.
func TestFollowUp(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &follower{news: true, takes: time.Hour}
		src.devices = []decision.Verdict{healthy(1), healthy(2), healthy(3)}
		r := run(src, RunnerOptions{Poll: 10 * time.Minute, Remote: true})
		r.Start(t.Context())
		pass(time.Second)
		if s := r.Status(); s.State != HealthOK || s.Devices != 3 {
			t.Errorf("while the source asks on: %+v", s)
		}
		pass(7 * time.Minute)
		src.mu.Lock()
		if src.syncs != 2 || src.limit != 5*time.Minute {
			t.Errorf("%d sweeps, a limit of %v", src.syncs, src.limit)
		}
		src.takes, src.syncs, src.follows = 0, 0, 0
		src.mu.Unlock()
		pass(time.Hour)
		if syncs, _ := src.calls(); syncs < 10 || syncs > 14 {
			t.Errorf("%d sweeps in an hour of polls of ten minutes, each with news", syncs)
		}
		src.set(func(f *fake) { f.err = errors.New("down") })
		src.mu.Lock()
		src.follows = 0
		src.mu.Unlock()
		pass(time.Hour)
		src.mu.Lock()
		defer src.mu.Unlock()
		if src.follows > 1 {
			t.Errorf("asked %d times although no sweep was taken", src.follows)
		}
	})
}

func TestRetryAfterIsHonoured(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &lister{fake{err: &ThrottledError{RetryAfter: 20 * time.Minute}}}
		r := run(src, RunnerOptions{Poll: time.Minute})
		var throttled *ThrottledError
		if err := r.Load(t.Context()); !errors.As(err, &throttled) {
			t.Fatalf("Load = %v", err)
		}
		r.Start(t.Context())
		for range 5 {
			r.Wake()
			if err := r.SyncNow(t.Context()); !errors.As(err, &throttled) || throttled.RetryAfter <= 0 {
				t.Errorf("SyncNow = %v, want ThrottledError", err)
			}
			if err := r.Refresh(t.Context(), entra(1)); !errors.As(err, &throttled) {
				t.Errorf("Refresh = %v, want ThrottledError", err)
			}
			pass(3 * time.Minute)
		}
		if syncs, lookups := src.calls(); syncs != 1 || lookups != 0 {
			t.Errorf("%d sweeps and %d look-ups in the time that the source asked for", syncs, lookups)
		}
		if r.State().Failing() != decision.CauseThrottled {
			t.Errorf("cause %d", r.State().Failing())
		}
		src.set(func(f *fake) { f.err = nil })
		pass(6 * time.Minute)
		if syncs, _ := src.calls(); syncs < 2 || syncs > 3 || r.State().Failing() != decision.CauseNone {
			t.Errorf("%d sweeps after the pause, cause %d", syncs, r.State().Failing())
		}
	})
}

func TestRetryAfterIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &lister{fake{err: &ThrottledError{RetryAfter: 1000 * time.Hour}}}
		r := run(src, RunnerOptions{})
		_ = r.Load(t.Context())
		r.Start(t.Context())
		pass(3 * maxRetryAfter)
		if syncs, _ := src.calls(); syncs < 2 {
			t.Error("a source can stop us for ever")
		}
	})
}

func TestUnchangedConfirms(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &lister{fake{devices: fleet(3, nil)}}
		r := run(src, RunnerOptions{})
		if err := r.SyncNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		src.set(func(f *fake) { f.err = ErrUnchanged })
		pass(time.Hour)
		if err := r.SyncNow(t.Context()); err != nil || age(r) != 0 {
			t.Errorf("SyncNow = %v, age %s", err, age(r))
		}
		// A file beyond its own limit: unchanged, but only as good as it was then.
		old := time.Now().Add(-time.Hour)
		src.set(func(f *fake) { f.confirm, f.why = old, errors.New("file is too old") })
		if err := r.SyncNow(t.Context()); err != nil || age(r) != time.Hour || r.State().Failing() == decision.CauseNone {
			t.Errorf("SyncNow = %v, age %s, failing %d", err, age(r), r.State().Failing())
		}
		if s := r.Status(); s.State != HealthFailing || s.LastError != "file is too old" {
			t.Errorf("status %+v", s)
		}
		src.set(func(f *fake) { f.confirm, f.why = time.Now().Add(time.Hour), nil })
		if err := r.SyncNow(t.Context()); err != nil || age(r) != 0 || r.State().Failing() != decision.CauseNone {
			t.Errorf("a confirmation in the future: %v, age %s", err, age(r))
		}
	})
}

// TestUnchangedAfterRejection: the source calls unchanged what the guards
// refused. That must not confirm the table from before.
func TestUnchangedAfterRejection(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &lister{fake{devices: fleet(30, nil)}}
		r := run(src, RunnerOptions{})
		if err := r.SyncNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		src.set(func(f *fake) { f.devices = nil })
		pass(time.Hour)
		if err := r.SyncNow(t.Context()); !errors.Is(err, errEmptySweep) {
			t.Errorf("an empty sweep: %v", err)
		}
		src.set(func(f *fake) { f.err = ErrUnchanged })
		for range 3 {
			if err := r.SyncNow(t.Context()); !errors.Is(err, errEmptySweep) || age(r) != time.Hour {
				t.Errorf("unchanged after a rejection: %v, age %s", err, age(r))
			}
		}
		if m := r.Find([]decision.Key{entra(1)}); m.Verdict == nil {
			t.Error("the last good sweep is gone")
		}
		src.set(func(f *fake) { f.err, f.devices = nil, fleet(30, nil) })
		if err := r.SyncNow(t.Context()); err != nil || age(r) != 0 {
			t.Errorf("a good sweep after it: %v, age %s", err, age(r))
		}
	})
}

func TestUnchangedBeforeTheFirstSweep(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		r := run(&lister{fake{err: ErrUnchanged}}, RunnerOptions{})
		if err := r.Load(t.Context()); err == nil || r.State().Loaded() {
			t.Errorf("Load = %v, loaded %t", err, r.State().Loaded())
		}
	})
}

func TestHeldAndAccepted(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		var log bytes.Buffer
		src := &lister{fake{devices: fleet(100, first(60, noncompliant))}}
		r := run(src, RunnerOptions{Logger: slog.New(slog.NewTextHandler(&log, nil))})
		if err := r.SyncNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		src.set(func(f *fake) { f.devices = fleet(100, nil) })
		var held *HeldChange
		for i := range 3 {
			if err := r.SyncNow(t.Context()); err != nil {
				t.Fatal(err)
			}
			h := r.Status().Held
			if h == nil || h.GoodNews != 60 || i > 0 && (h.ID != held.ID || !h.Since.Equal(held.Since)) {
				t.Fatalf("held %+v after %+v", h, held)
			}
			held = h
			pass(time.Minute)
		}
		if m := r.Find([]decision.Key{entra(1)}); m.Verdict.Compliance != decision.NonCompliant {
			t.Error("held good news applies")
		}
		if m := r.Find([]decision.Key{entra(99)}); m.Verdict.Compliance != decision.Compliant || m.Verdict.Confirmed != 0 {
			t.Error("a device beside the held ones is held too")
		}
		if age(r) > time.Minute {
			t.Errorf("the rest of the sweep is %s old", age(r))
		}
		if s := r.Status(); s.State != HealthStale || s.Held == nil {
			t.Errorf("status %+v", s)
		}
		if err := r.Accept(t.Context(), "other"); !errors.Is(err, ErrNothingHeld) {
			t.Errorf("Accept of another id = %v", err)
		}
		src.set(func(f *fake) { f.err = ErrUnchanged })
		pass(time.Hour)
		if err := r.SyncNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		generation := r.Generation()
		if err := r.Accept(t.Context(), held.ID); err != nil {
			t.Fatal(err)
		}
		if age(r) != 0 {
			t.Errorf("the accepted change is %s old, but was confirmed just now", age(r))
		}
		if m := r.Find([]decision.Key{entra(1)}); m.Verdict.Compliance != decision.Compliant || r.Generation() == generation {
			t.Error("the accepted change does not apply")
		}
		if s := r.Status(); s.State != HealthOK || s.Held != nil {
			t.Errorf("status after Accept %+v", s)
		}
		if err := r.Accept(t.Context(), held.ID); !errors.Is(err, ErrNothingHeld) {
			t.Errorf("second Accept = %v", err)
		}
		for _, once := range []string{"change held back", "nothing is held back any more", "held change accepted", "from=ok to=stale", "from=stale to=ok"} {
			if n := strings.Count(log.String(), once); n != 1 {
				t.Errorf("%q is logged %d times, want once:\n%s", once, n, &log)
			}
		}
	})
}

// TestHeldRemovalAges: devices that a guard keeps although they are no longer
// listed must not stay fresh for ever.
func TestHeldRemovalAges(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &lister{fake{devices: fleet(100, nil)}}
		r := run(src, RunnerOptions{})
		if err := r.SyncNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		last := r.State().Confirmed()
		src.set(func(f *fake) { f.devices = f.devices[50:] })
		for range 4 {
			pass(time.Hour)
			if err := r.SyncNow(t.Context()); err != nil {
				t.Fatal(err)
			}
			src.set(func(f *fake) { f.err = nil })
		}
		src.set(func(f *fake) { f.err = ErrUnchanged })
		pass(time.Hour)
		if err := r.SyncNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		m := r.Find([]decision.Key{entra(1)})
		if m.Verdict == nil || m.Verdict.Confirmed != last {
			t.Errorf("a held removal is confirmed later than it was listed: %+v", m.Verdict)
		}
		if age(r) != 0 || r.State().Failing() == decision.CauseNone {
			t.Errorf("age %s, failing %d", age(r), r.State().Failing())
		}
		// The change goes away: nothing is held and everything is fresh.
		src.set(func(f *fake) { f.err, f.devices = nil, fleet(100, nil) })
		if err := r.SyncNow(t.Context()); err != nil || r.Status().Held != nil || r.State().Failing() != decision.CauseNone {
			t.Errorf("SyncNow = %v, held %v", err, r.Status().Held)
		}
		if m := r.Find([]decision.Key{entra(1)}); m.Verdict.Confirmed != 0 {
			t.Error("a device that is listed again keeps its old age")
		}
	})
}

func TestCallerGivesUp(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &lister{fake{devices: fleet(3, nil)}}
		r := run(src, RunnerOptions{})
		if err := r.SyncNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		src.set(func(f *fake) { f.err = context.Canceled })
		if err := r.SyncNow(ctx); !errors.Is(err, context.Canceled) || r.State().Failing() != decision.CauseNone {
			t.Errorf("SyncNow = %v, failing %d", err, r.State().Failing())
		}
	})
}

// watcher is a lister that tells of changes.
type watcher struct {
	lister
	changed chan struct{}
	breaks  int
}

func (w *watcher) Watch(ctx context.Context, changed func()) error {
	w.set(func(*fake) { w.breaks++ })
	if w.breaks == 1 {
		panic("watch")
	}
	if w.breaks == 2 {
		return errDown
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.changed:
			changed()
		}
	}
}

func TestWatch(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &watcher{lister: lister{fake{devices: fleet(3, nil)}}, changed: make(chan struct{})}
		r := run(src, RunnerOptions{Poll: time.Hour})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Start(t.Context())
		pass(10 * time.Second) // the first two watches break
		src.set(func(f *fake) { noncompliant(&f.devices[0]) })
		for range 5 {
			src.changed <- struct{}{}
		}
		pass(2 * wakeGap)
		if m := r.Find([]decision.Key{entra(0)}); m.Verdict.Compliance != decision.NonCompliant {
			t.Error("a watched change is not noticed")
		}
		if syncs, _ := src.calls(); syncs > 3 {
			t.Errorf("five signals at once lead to %d sweeps", syncs-1)
		}
	})
}

func TestOnChange(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &lister{fake{devices: fleet(3, nil)}}
		r := run(src, RunnerOptions{})
		a, b := 0, 0
		remove := r.OnChange(func() { a++ })
		r.OnChange(func() { b++ })
		_ = r.SyncNow(t.Context())
		_ = r.SyncNow(t.Context())
		remove()
		remove()
		src.set(func(f *fake) { f.devices = fleet(4, nil) })
		_ = r.SyncNow(t.Context())
		if a != 1 || b != 2 {
			t.Errorf("called %d and %d times, want 1 and 2", a, b)
		}
	})
}

func TestStopEndsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		r := NewRunner(&watcher{lister: lister{fake{devices: fleet(3, nil)}}, changed: make(chan struct{})}, RunnerOptions{Name: "fake"})
		r.Start(ctx)
		r.Start(ctx)
		pass(time.Minute)
		cancel() // the context of Start ends the work too
		synctest.Wait()
		r.Stop()
		r.Stop()
		if err := r.Refresh(t.Context(), entra(1)); err == nil {
			t.Error("a stopped runner still asks its source")
		}
		if m := r.Find([]decision.Key{entra(1)}); m.Verdict == nil {
			t.Error("a stopped runner forgets")
		}
	})
}
