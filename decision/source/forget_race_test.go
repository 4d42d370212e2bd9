package source

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// slow is a registry whose listing is under way until it is let go.
type slow struct {
	registry
	begun, release chan struct{} // nil: it does not wait
}

func (s *slow) Sync(ctx context.Context, sweep *Sweep) error {
	if s.begun != nil {
		s.begun <- struct{}{}
		<-s.release
	}
	return s.registry.Sync(ctx, sweep)
}

// TestForgetWhileASweepIsRead: it does not wait for the source, and the sweep does not
// bring back what was forgotten meanwhile.
func TestForgetWhileASweepIsRead(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &slow{}
		src.put(append(fleet(30, nil)[2:], one(0, wiping), one(1, wiping))...)
		r := run(src, RunnerOptions{})
		mustSync(t, r)
		src.put(append(fleet(30, nil)[2:], one(0, unreadable))...)
		mustSync(t, r)
		src.begun, src.release = make(chan struct{}), make(chan struct{})
		done := make(chan error, 1)
		go func() { done <- r.SyncNow(t.Context()) }()
		<-src.begun
		forgetOne(t, r, entra(0))
		forgetOne(t, r, entra(1))
		close(src.release)
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for n := range 2 {
			if m := r.Find([]decision.Key{entra(n)}); m.Verdict != nil && m.Verdict.Lifecycle == decision.LifecycleWiping {
				t.Errorf("device %d: %+v", n, m.Verdict)
			}
		}
	})
}

// TestForgetIsSavedLast: a snapshot that was under way does not undo it, and one that
// cannot be written is an error.
func TestForgetIsSavedLast(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src, store := &registry{}, &gate{}
		src.put(append(fleet(30, nil)[1:], one(0, wiping))...)
		r := run(src, RunnerOptions{Snapshot: store})
		mustSync(t, r)
		src.put(append(fleet(30, nil)[1:], one(0, unreadable))...)
		mustSync(t, r)
		store.begun, store.release = make(chan struct{}), make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { _ = r.save(false) })
		<-store.begun
		store.begun = nil
		changed := make(chan struct{})
		remove := r.OnChange(func() { close(changed) })
		wg.Go(func() { forgetOne(t, r, entra(0)) })
		<-changed
		remove()
		close(store.release)
		wg.Wait()
		again := run(src, RunnerOptions{Snapshot: store})
		again.restore()
		if v := again.Find([]decision.Key{entra(0)}).Verdict; v == nil || v.Lifecycle != decision.LifecycleUnknown {
			t.Errorf("after a restart: %+v", v)
		}

		src.put(append(fleet(30, nil)[1:], one(0, wiping))...)
		mustSync(t, r)
		src.put(append(fleet(30, nil)[1:], one(0, unreadable))...)
		mustSync(t, r)
		store.err = errDown
		got, err := only(r).Forget(entra(0), "")
		if !errors.Is(err, ErrNotSaved) || !errors.Is(err, errDown) || len(got) != 1 || !got[0].Any() {
			t.Errorf("%+v, %v", got, err)
		}
		if v := r.Find([]decision.Key{entra(0)}).Verdict; v.Lifecycle != decision.LifecycleUnknown {
			t.Errorf("not saved: %s", v.Lifecycle)
		}
		store.err = nil
		if err := r.save(false); err != nil {
			t.Error(err)
		}
		s, err := decodeSnapshot(store.body, 100)
		if err != nil || s.table.keptRows != 0 {
			t.Errorf("the next snapshot: %v, %+v", err, s.table)
		}
	})
}

// gate is a store whose next Save waits.
type gate struct {
	memory
	begun, release chan struct{}
}

func (g *gate) Save(body []byte) error {
	if g.begun != nil {
		g.begun <- struct{}{}
		<-g.release
	}
	return g.memory.Save(body)
}

// TestForgetBesideEverything: while sweeps and look-ups come and go a device that the
// source calls wiped is found so at every moment, however often it is forgotten, and one
// about which the source is silent is forgotten for good.
func TestForgetBesideEverything(t *testing.T) {
	src := &registry{}
	rest := fleet(30, nil)[3:]
	src.put(append(rest[:27:27], one(0, wiping), one(1, wiping), one(2, wiping))...)
	r := NewRunner(src, RunnerOptions{Name: "race", LookupRate: 1e6, MaxLookups: 8, LookupTimeout: time.Minute, Snapshot: &memory{}})
	defer r.Stop()
	if err := r.SyncNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	src.put(append(rest[:27:27], one(0, wiping), one(1, unreadable))...)
	if err := r.SyncNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := only(r)
	var wg sync.WaitGroup
	for n := range 3 {
		wg.Go(func() {
			for range 60 {
				if _, err := d.Forget(entra(n), ""); err != nil && (n != 2 || !errors.Is(err, ErrUnknownDevice)) {
					t.Errorf("device %d: %v", n, err)
				}
				d.Kept(identity(entra(n)))
			}
		})
	}
	wg.Go(func() {
		for range 100 {
			if err := r.SyncNow(t.Context()); err != nil {
				t.Error(err)
			}
		}
	})
	for range 2 {
		wg.Go(func() {
			for n := range 200 {
				_ = r.Refresh(t.Context(), entra(n%3)) // may be throttled, or not there
				if m := r.Find([]decision.Key{entra(0)}); m.Verdict == nil || m.Verdict.Lifecycle != decision.LifecycleWiping {
					t.Errorf("found %+v", m)
				}
			}
		})
	}
	wg.Wait()
	if err := r.SyncNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	for n, want := range []bool{true, false, false} {
		m := r.Find([]decision.Key{entra(n)})
		if got := m.Verdict != nil && m.Verdict.Lifecycle == decision.LifecycleWiping; got != want {
			t.Errorf("device %d: wiped %t, want %t", n, got, want)
		}
	}
}
