package source

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// TestNothingLiftsUnderWay asks for devices while sweeps come and go, all of which say
// that they are wiped, or nothing: at no moment is one found that is not.
func TestNothingLiftsUnderWay(t *testing.T) {
	const devices = 20
	src := &registry{}
	say := func(quiet bool) {
		src.put(fleet(devices, func(_ int, v *decision.Verdict) {
			if wiping(v); quiet && rand.N(2) == 0 {
				unreadable(v)
			}
		})...)
	}
	say(false)
	r := NewRunner(src, RunnerOptions{Name: "race", LookupRate: 1e6, MaxLookups: 8, LookupTimeout: time.Minute})
	defer r.Stop()
	if err := r.SyncNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for range 300 {
				n := rand.N(devices)
				k := healthy(n).Keys[rand.N(2)]
				_ = r.Refresh(t.Context(), k) // may be throttled
				if m := r.Find([]decision.Key{k}); m.Verdict == nil || m.Verdict.Lifecycle != decision.LifecycleWiping {
					t.Errorf("device %d by %s: %+v", n, k.Kind, m)
					return
				}
			}
		})
	}
	wg.Go(func() {
		for range 100 {
			say(true)
			if err := r.SyncNow(t.Context()); err != nil {
				t.Error(err)
				return
			}
		}
	})
	wg.Wait()
}
