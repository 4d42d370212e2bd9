package source

import (
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestSnapshotServesWhenTheSourceIsDown(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		store := &memory{}
		src := &lister{fake{devices: fleet(100, nil)}}
		r := run(src, RunnerOptions{Snapshot: store})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Stop()

		pass(2 * time.Hour)
		src.set(func(f *fake) { f.err = errDown })
		again := run(src, RunnerOptions{Snapshot: store})
		if err := again.Load(t.Context()); err != nil {
			t.Fatalf("Load with a snapshot = %v", err)
		}
		if a := age(again); a != 2*time.Hour || !again.State().Loaded() || again.State().Failing() != decision.CauseSourceFailing {
			t.Errorf("restored at the age of %s, failing %d", a, again.State().Failing())
		}
		if m := again.Find([]decision.Key{entra(5)}); m.Verdict == nil {
			t.Error("the restored table is empty")
		}
		// The restored table is what the first sweep is compared with.
		src.set(func(f *fake) { f.err, f.devices = nil, nil })
		if err := again.SyncNow(t.Context()); !errors.Is(err, errEmptySweep) {
			t.Errorf("an empty first sweep after a snapshot: %v", err)
		}
	})
}

func TestBadSnapshotIsDiscarded(t *testing.T) {
	for name, store := range map[string]*memory{
		"none":            {},
		"unreadable":      {err: errors.New("bad authentication")},
		"not ours":        {body: []byte("something else")},
		"newer version":   {body: []byte(snapshotMagic + "\xff\xff")},
		"header only":     {body: []byte(snapshotMagic + "\x01\x00")},
		"beyond capacity": {body: encoded(t, 200)},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
				src := &lister{fake{err: errDown}}
				r := run(src, RunnerOptions{Snapshot: store, Capacity: 100})
				if err := r.Load(t.Context()); !errors.Is(err, errDown) || r.State().Loaded() {
					t.Errorf("Load = %v, loaded %t", err, r.State().Loaded())
				}
				src.set(func(f *fake) { f.err, f.devices = nil, fleet(3, nil) })
				if err := r.Load(t.Context()); err != nil || !r.State().Loaded() {
					t.Errorf("Load of the recovered source = %v", err)
				}
			})
		})
	}
}

func TestSnapshotIsSavedRarely(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		store := &memory{}
		src := &lister{fake{devices: fleet(10, nil)}}
		r := run(src, RunnerOptions{Snapshot: store, Poll: time.Second})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Start(t.Context())
		for i := range 120 {
			src.set(func(f *fake) { f.devices[0].LastCheckIn = f.devices[0].LastCheckIn.Add(time.Duration(i) * time.Second) })
			pass(time.Second)
		}
		if n, _ := store.saved(); n < 3 || n > 5 {
			t.Errorf("saved %d times in two minutes of changes", n)
		}
		pass(time.Minute)
		saves, _ := store.saved()
		pass(10 * time.Minute)
		if n, _ := store.saved(); n != saves {
			t.Error("saved without a change")
		}
		r.Stop() // the confirmation moved on
		if n, _ := store.saved(); n != saves+1 {
			t.Errorf("saved %d times at the end, want once", n-saves)
		}
	})
}

// A process that is killed saves nothing at its end: what it leaves behind must
// be there from the start and never be much older than what it knew.
func TestSnapshotSurvivesACrash(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		store := &memory{}
		src := &lister{fake{devices: fleet(10, nil)}}
		r := run(src, RunnerOptions{Snapshot: store, Poll: time.Second})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Start(t.Context())
		pass(time.Second)
		if n, _ := store.saved(); n != 1 {
			t.Errorf("saved %d times in the first second, want once", n)
		}
		pass(5 * time.Hour)
		_, body := store.saved()
		s, err := decodeSnapshot(body, 100)
		if err != nil {
			t.Fatal(err)
		}
		if age := time.Since(s.confirmed); age > confirmGap+saveGap {
			t.Errorf("after five quiet hours the snapshot is %s old", age)
		}
		if n, _ := store.saved(); n > 25 {
			t.Errorf("saved %d times in five quiet hours", n)
		}
	})
}

func TestSaveIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		store := &memory{err: errors.New("disk full")}
		r := run(&lister{fake{devices: fleet(10, nil)}}, RunnerOptions{Snapshot: store})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Start(t.Context())
		pass(2 * saveGap)
		store.mu.Lock()
		store.err = nil
		store.mu.Unlock()
		pass(2 * saveGap)
		if _, body := store.saved(); len(body) == 0 {
			t.Error("nothing was saved after the disk had room again")
		}
	})
}

func TestRemoteSourceIsNotReadAtLoad(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		store := &memory{}
		src := &lister{fake{devices: fleet(100, nil)}}
		r := run(src, RunnerOptions{Snapshot: store, Remote: true})
		if err := r.Load(t.Context()); err != nil || src.syncs != 0 || r.State().Loaded() {
			t.Fatalf("Load = %v, after %d sweeps, loaded %t", err, src.syncs, r.State().Loaded())
		}
		r.Start(t.Context())
		pass(time.Second)
		if !r.State().Loaded() || r.State().Failing() != decision.CauseNone {
			t.Fatal("not loaded a second after Start")
		}
		r.Stop()

		again := run(src, RunnerOptions{Snapshot: store, Remote: true})
		if err := again.Load(t.Context()); err != nil || src.syncs != 1 {
			t.Fatalf("Load = %v, after %d sweeps", err, src.syncs)
		}
		if again.Find([]decision.Key{entra(5)}).Verdict == nil || again.State().Failing() != decision.CauseNotLoaded {
			t.Error("the snapshot does not serve, or does not say that it is one")
		}
	})
}
