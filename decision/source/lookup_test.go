package source

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestLookupOnce(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &fake{devices: fleet(3, nil), delay: 100 * time.Millisecond}
		r := run(src, RunnerOptions{})
		if m := r.Find([]decision.Key{entra(1)}); m.Verdict != nil || m.Answered {
			t.Errorf("before any look-up: %+v", m)
		}
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if err := r.Refresh(t.Context(), entra(1)); err != nil {
					t.Errorf("Refresh: %v", err)
				}
			})
		}
		wg.Wait()
		if _, n := src.calls(); n != 1 {
			t.Errorf("50 callers cause %d look-ups, want 1", n)
		}
		for _, k := range healthy(1).Keys {
			m := r.Find([]decision.Key{k})
			if k.Kind == decision.KindSerial { // not what was asked for, and others may have it too
				if m.Verdict != nil || m.Answered {
					t.Errorf("Find(%v) after a look-up by another id: %+v", k, m)
				}
				continue
			}
			if m.Verdict == nil || m.Verdict.Confirmed == 0 {
				t.Errorf("Find(%v) after the look-up: %+v", k, m)
			}
		}
		if r.State().Failing() != decision.CauseNone || !r.State().Loaded() {
			t.Error("a source that answered is not loaded")
		}
	})
}

func TestLookupOfUnknownDevice(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &fake{devices: fleet(3, nil)}
		r := run(src, RunnerOptions{NegativeTTL: time.Minute})
		if err := r.Refresh(t.Context(), entra(9)); !errors.Is(err, ErrUnknownDevice) {
			t.Errorf("Refresh = %v", err)
		}
		if m := r.Find([]decision.Key{entra(9)}); m.Verdict != nil || !m.Answered {
			t.Errorf("Find = %+v, want an answer without a verdict", m)
		}
		pass(61 * time.Second)
		if m := r.Find([]decision.Key{entra(9)}); m.Answered {
			t.Error("an unknown device is remembered beyond NegativeTTL")
		}
		// A device that the source loses is forgotten under all its ids.
		if err := r.Refresh(t.Context(), entra(1)); err != nil {
			t.Fatal(err)
		}
		src.set(func(f *fake) { f.devices = nil })
		generation := r.Generation()
		if err := r.Refresh(t.Context(), entra(1)); !errors.Is(err, ErrUnknownDevice) {
			t.Errorf("Refresh = %v", err)
		}
		if m := r.Find([]decision.Key{serial(1)}); m.Verdict != nil || r.Generation() == generation {
			t.Error("a lost device is still there under another id")
		}
	})
}

func TestLookupLimits(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &fake{devices: fleet(100, nil), delay: time.Hour}
		r := run(src, RunnerOptions{MaxLookups: 5, LookupRate: 1000, LookupTimeout: time.Second})
		var mu sync.Mutex
		throttled, timeouts := 0, 0
		var wg sync.WaitGroup
		for i := range 30 {
			wg.Go(func() {
				err := r.Refresh(t.Context(), entra(i))
				var e *ThrottledError
				mu.Lock()
				defer mu.Unlock()
				if errors.As(err, &e) {
					throttled++
				} else if errors.Is(err, context.DeadlineExceeded) {
					timeouts++
				}
			})
		}
		wg.Wait()
		if throttled != 25 || timeouts != 5 {
			t.Errorf("%d throttled and %d timed out, want 25 and 5", throttled, timeouts)
		}
		if _, n := src.calls(); n != 5 {
			t.Errorf("%d look-ups in flight, want 5", n)
		}
		if r.State().Failing() != decision.CauseLookupTimeout {
			t.Errorf("cause %d", r.State().Failing())
		}
	})
}

func TestLookupRate(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &fake{}
		r := run(src, RunnerOptions{MaxLookups: 10, LookupRate: 2})
		for range 60 {
			for i := range 50 {
				_ = r.Refresh(t.Context(), entra(i))
			}
			pass(time.Second)
		}
		if _, n := src.calls(); n > 10+2*60 {
			t.Errorf("%d look-ups in a minute at 2 a second and 10 at once", n)
		}
	})
}

// TestCallerCancelsLookup: the first caller goes away, the second still gets
// the answer of the same look-up.
func TestCallerCancelsLookup(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &fake{devices: fleet(3, nil), delay: 500 * time.Millisecond}
		r := run(src, RunnerOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := r.Refresh(ctx, entra(1)); !errors.Is(err, context.Canceled) {
				t.Errorf("the caller that left: %v", err)
			}
		})
		synctest.Wait()
		wg.Go(func() {
			if err := r.Refresh(t.Context(), entra(1)); err != nil {
				t.Errorf("the caller that stayed: %v", err)
			}
		})
		synctest.Wait()
		cancel()
		wg.Wait()
		if _, n := src.calls(); n != 1 {
			t.Errorf("%d look-ups, want 1", n)
		}
	})
}

func TestBreaker(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &fake{devices: fleet(3, nil), err: errDown}
		r := run(src, RunnerOptions{LookupRate: 1000})
		for range 10 * 60 {
			_ = r.Refresh(t.Context(), entra(1))
			pass(time.Second)
		}
		if _, n := src.calls(); n < 20 || n > 30 {
			t.Errorf("%d look-ups at a dead source in ten minutes, want about one in 30 s", n)
		}
		if r.State().Failing() != decision.CauseSourceFailing {
			t.Errorf("cause %d", r.State().Failing())
		}
		src.set(func(f *fake) { f.err = nil })
		pass(breakerRest + time.Second)
		if err := r.Refresh(t.Context(), entra(1)); err != nil || r.Status().Breaker != "closed" || r.State().Failing() != 0 {
			t.Errorf("after recovery: %v, breaker %s", err, r.Status().Breaker)
		}
	})
}

func TestUnknownDevicesDoNotOpenTheBreaker(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		r := run(&fake{devices: fleet(1, nil)}, RunnerOptions{LookupRate: 10000, MaxLookups: 100})
		for i := range 50 {
			_ = r.Refresh(t.Context(), entra(100+i))
		}
		if err := r.Refresh(t.Context(), entra(0)); err != nil {
			t.Errorf("Refresh = %v", err)
		}
	})
}

func TestLookupPanics(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &fake{devices: fleet(1, nil), panics: true}
		r := run(src, RunnerOptions{})
		if err := r.Refresh(t.Context(), entra(0)); err == nil {
			t.Error("a panic is no error")
		}
		src.set(func(f *fake) { f.panics = false })
		if err := r.Refresh(t.Context(), entra(0)); err != nil {
			t.Errorf("after the panic: %v", err)
		}
	})
}

// mixed answers with another device than the one asked for.
type mixed struct{ fake }

func (m *mixed) Lookup(context.Context, decision.Key) (decision.Verdict, error) {
	return healthy(7), nil
}

func TestAnswerAboutAnotherDevice(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		r := run(&mixed{}, RunnerOptions{})
		if err := r.Refresh(t.Context(), entra(1)); !errors.Is(err, errOtherDevice) {
			t.Errorf("Refresh = %v", err)
		}
		for _, k := range []decision.Key{entra(1), entra(7)} {
			if m := r.Find([]decision.Key{k}); m.Verdict != nil {
				t.Errorf("Find(%v) uses the answer", k)
			}
		}
	})
}

// TestRenewal: a verdict in use is asked for again in the background before it is
// older than Poll (and, here, a request each 15 s), and nobody waits for it.
func TestRenewal(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &fake{devices: fleet(3, nil), delay: 500 * time.Millisecond}
		r := run(src, RunnerOptions{Poll: 4 * time.Minute})
		r.Start(t.Context())
		d := NewDirectory([]*Runner{r}, DirectoryOptions{})
		id := &decision.Identity{Device: decision.DeviceRef{Keys: []decision.Key{entra(1)}}}
		d.Resolve(t.Context(), id)
		for range 120 {
			pass(15 * time.Second)
			start := time.Now()
			p := d.Resolve(t.Context(), id)
			if time.Since(start) != 0 {
				t.Fatal("a request waits for the renewal of a known device")
			}
			if a := time.Duration(decision.Mono(time.Now()) - p.Evidence[0].Confirmed); a > 4*time.Minute+20*time.Second {
				t.Fatalf("a verdict in use is %s old", a)
			}
		}
		if _, n := src.calls(); n < 6 || n > 11 {
			t.Errorf("%d look-ups in half an hour", n)
		}
	})
}

func TestRefreshBesideATable(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &lister{fake{devices: fleet(100, noncompliantAll)}}
		r := run(src, RunnerOptions{})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		src.set(func(f *fake) { f.devices[1] = healthy(1) })
		generation := r.Generation()
		if err := r.Refresh(t.Context(), entra(1)); err != nil {
			t.Fatal(err)
		}
		if m := r.Find([]decision.Key{serial(1)}); m.Verdict.Compliance != decision.Compliant || r.Generation() == generation {
			t.Error("the answer of Refresh is not visible at once")
		}
		// An unknown device is no news for a complete table.
		src.set(func(f *fake) { f.devices = fleet(50, noncompliantAll) })
		if err := r.Refresh(t.Context(), entra(80)); !errors.Is(err, ErrUnknownDevice) {
			t.Errorf("Refresh = %v", err)
		}
		if m := r.Find([]decision.Key{entra(80)}); m.Verdict == nil {
			t.Error("one answer removes a listed device")
		}
		// The next sweep, or an unchanged one, replaces the single answer.
		src.set(func(f *fake) { f.err = ErrUnchanged })
		pass(time.Minute)
		if err := r.SyncNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if m := r.Find([]decision.Key{entra(1)}); m.Verdict.Compliance != decision.NonCompliant || m.Verdict.Confirmed != 0 {
			t.Error("a single answer outlives a later sweep")
		}
		// A failing look-up does not make a listed source fail.
		src.set(func(f *fake) { f.err = errDown })
		if err := r.Refresh(t.Context(), entra(1)); !errors.Is(err, errDown) || r.State().Failing() != decision.CauseNone {
			t.Errorf("Refresh = %v, failing %d", err, r.State().Failing())
		}
	})
}

// TestLateAnswer: a look-up that began before a sweep and ends after it brings
// older facts than the sweep.
func TestLateAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &lister{fake{devices: fleet(3, nil)}}
		r := run(src, RunnerOptions{})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		src.set(func(f *fake) { f.delay = 500 * time.Millisecond })
		done := make(chan error)
		go func() { done <- r.Refresh(t.Context(), entra(1)) }()
		pass(100 * time.Millisecond)
		src.set(func(f *fake) { noncompliant(&f.devices[1]) })
		if err := r.SyncNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if m := r.Find([]decision.Key{entra(1)}); m.Verdict.Compliance != decision.NonCompliant {
			t.Error("a late answer hides what the sweep found")
		}
	})
}

// TestStrangersDoNotEvict asks for many unknown devices: what is known stays.
func TestStrangersDoNotEvict(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		r := run(&fake{devices: fleet(10, nil)}, RunnerOptions{LookupRate: 1e6, MaxLookups: 1e5, NegativeEntries: 100, Capacity: 100})
		for i := range 10 {
			if err := r.Refresh(t.Context(), entra(i)); err != nil {
				t.Fatal(err)
			}
		}
		for i := range 5000 {
			_ = r.Refresh(t.Context(), entra(1000+i))
		}
		for i := range 10 {
			if m := r.Find([]decision.Key{entra(i)}); m.Verdict == nil {
				t.Errorf("device %d was evicted by strangers", i)
			}
		}
		if n := 5000 - r.looked.Stats().NegativeEvictions; n > 200 {
			t.Errorf("%d strangers are remembered", n)
		}
	})
}

// listOnly is a source that only lists its devices.
type listOnly struct{ l lister }

func (s *listOnly) Facts() decision.FactSet { return s.l.Facts() }

func (s *listOnly) Sync(ctx context.Context, to *Sweep) error { return s.l.Sync(ctx, to) }

// TestListedOnly: a source that cannot be asked for one device never keeps a
// request waiting, and Refresh sweeps it.
func TestListedOnly(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &listOnly{lister{fake{err: errors.New("down")}}}
		r := run(src, RunnerOptions{})
		d := NewDirectory([]*Runner{r}, DirectoryOptions{})
		id := &decision.Identity{Device: decision.DeviceRef{Keys: []decision.Key{entra(1)}}}
		if p := d.Resolve(t.Context(), id); p.Known() || p.Evidence[0].Cause != decision.CauseNotLoaded {
			t.Errorf("before a sweep: %+v", p.Evidence)
		}
		if syncs, _ := src.l.calls(); syncs != 0 {
			t.Errorf("a request caused %d sweeps", syncs)
		}
		if err := r.Refresh(t.Context(), entra(1)); err == nil {
			t.Error("Refresh of a broken source succeeds")
		}
		src.l.set(func(f *fake) { f.err, f.devices = nil, fleet(3, nil) })
		if err := r.Refresh(t.Context(), entra(1)); err != nil {
			t.Fatal(err)
		}
		if p := d.Resolve(t.Context(), id); !p.Known() {
			t.Error("the device is unknown after Refresh")
		}
	})
}
