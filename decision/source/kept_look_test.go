package source

import (
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// graveyard is a runner with so many tombstones, of devices from 1000 on, beside ten
// devices.
func graveyard(t *testing.T, run func(Source, RunnerOptions) *Runner, n int) *Runner {
	t.Helper()
	now := time.Now()
	all := make([]tombstone, 0, n)
	for i := range n {
		all = append(all, tombstone{one(1000+i, wiping), now, now.Add(time.Hour)})
	}
	src := &registry{}
	src.put(fleet(10, nil)...)
	r := run(src, RunnerOptions{AskUnknown: true})
	mustSync(t, r)
	table := r.Table().copyFacts()
	table.gone = bury(all)
	r.view.Store(&view{table: table, since: r.view.Load().since})
	return r
}

// TestKeptIsNoWorkForAll: to look what is kept about one device takes as much of
// everything whether few devices are gone or many, and no look-up waits for it.
func TestKeptIsNoWorkForAll(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		few, many := graveyard(t, run, 10), graveyard(t, run, 5000)
		for name, id := range map[string]*decision.Identity{
			"gone": identity(entra(1005)), "listed": identity(entra(5)), "unknown": identity(entra(500)), "gone by its serial number": identity(serial(1005)),
		} {
			count := func(r *Runner) float64 { return testing.AllocsPerRun(10, func() { only(r).Kept(id) }) }
			a, b := count(few), count(many)
			if b > a+20 {
				t.Errorf("%s: %.0f allocations with 10 tombstones, %.0f with 5000", name, a, b)
			}
		}
		many.blend.Lock()
		defer many.blend.Unlock()
		done := make(chan Kept, 1)
		go func() { done <- only(many).Kept(identity(entra(1005)))[0] }()
		select {
		case k := <-done:
			if !k.Facts.Has(decision.FactLifecycle) || k.GoneUntil.IsZero() {
				t.Errorf("kept %+v", k)
			}
		case <-time.After(time.Minute):
			t.Error("it waits for what look-ups hold")
		}
	})
}

// TestForgetLeavesOtherTombstones: of many it takes the one.
func TestForgetLeavesOtherTombstones(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		r := graveyard(t, run, 50)
		forgetOne(t, r, entra(1005))
		if n := r.Status().Gone; n != 49 {
			t.Errorf("%d are gone, want 49", n)
		}
		for n := 1000; n < 1050; n++ {
			if m := r.Find([]decision.Key{entra(n)}); (m.Verdict == nil) != (n == 1005) {
				t.Errorf("device %d: %+v", n, m)
			}
		}
	})
}
