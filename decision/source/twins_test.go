package source

import (
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// TestHeldBesideTwins: a sweep that is held in part, and has two records of one device
// that differ, is taken.
func TestHeldBesideTwins(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src, o := &lister{}, RunnerOptions{Snapshot: &memory{}}
		src.set(func(f *fake) { f.devices = fleet(200, first(60, noncompliant)) })
		r := run(src, o)
		mustSync(t, r)
		a, b := healthy(500), healthy(500)
		noncompliant(&b)
		src.set(func(f *fake) {
			f.devices = append(fleet(200, func(i int, v *decision.Verdict) {
				if i == 150 {
					v.Lifecycle = decision.LifecycleWiping
				}
			}), a, b)
		})
		mustSync(t, r)
		if r.Status().Held == nil || r.Find([]decision.Key{entra(150)}).Verdict.Lifecycle != decision.LifecycleWiping {
			t.Errorf("held %v, and the wiped device is %s", r.Status().Held, r.Find([]decision.Key{entra(150)}).Verdict.Lifecycle)
		}
		if err := r.save(false); err != nil {
			t.Fatal(err)
		}
		r = run(src, o)
		if err := r.Load(t.Context()); err != nil || r.Status().Held == nil {
			t.Errorf("after a restart: %v, held %v", err, r.Status().Held)
		}
	})
}

// TestTwinUnreadable: of two records of a device, one with a word that nobody can read,
// nobody can say which is true, whatever their order.
func TestTwinUnreadable(t *testing.T) {
	odd, blank := healthy(5), healthy(5)
	odd.Lifecycle, blank.Lifecycle = decision.LifecycleUnknown, decision.LifecycleUnknown
	odd.Unreadable = decision.Facts(decision.FactLifecycle)
	for _, order := range [][]decision.Verdict{{odd, blank}, {blank, odd}} {
		if _, ok := build(t, order...).Find(entra(5)); ok {
			t.Error("one of them is believed")
		}
	}
	if row, ok := build(t, odd, odd).Find(entra(5)); !ok || row < 0 {
		t.Error("the same record twice is no contradiction")
	}
}

// TestPanicWhileTaking: a fault in taking a sweep is seen.
func TestPanicWhileTaking(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		r := run(&lister{fake{devices: fleet(3, nil)}}, RunnerOptions{})
		mustSync(t, r)
		result, err := r.place(func(*Sweep, time.Time) (string, error) { panic("ours") }, NewSweep(0), time.Now())
		if result != "error" || err == nil {
			t.Errorf("%s, %v", result, err)
		}
	})
}
