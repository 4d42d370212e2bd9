package source

import (
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

// TestUnreadableStopsAreGuarded: a word about a hard stop that nobody can read any more is
// bad news, also where nothing was known before. Of half a fleet it applies, of more it is
// held back, and what is held back stops nobody.
func TestUnreadableStopsAreGuarded(t *testing.T) {
	facts := map[decision.Fact]func(*decision.Verdict){
		decision.FactEnabled:    func(v *decision.Verdict) { v.Enabled = decision.Unknown },
		decision.FactLifecycle:  func(v *decision.Verdict) { v.Lifecycle = decision.LifecycleUnknown },
		decision.FactJailbroken: func(v *decision.Verdict) { v.Jailbroken = decision.Unknown },
	}
	for fact, unknown := range facts {
		odd := func(v *decision.Verdict) {
			unknown(v)
			v.Unreadable |= decision.Facts(fact)
		}
		for _, tc := range []struct {
			name          string
			before, after func(int, *decision.Verdict)
			held          int // bad news
			barred        int // devices
		}{
			{"all, nothing was known", first(100, unknown), first(100, odd), 100, 0},
			{"all, good news was known", nil, first(100, odd), 100, 0},
			{"half", first(100, unknown), first(50, odd), 0, 50},
			{"all were before", first(100, odd), first(100, odd), 0, 100},
			{"readable again", first(100, odd), nil, 0, 0},
			{"silent again", first(100, odd), first(100, unknown), 0, 0},
			{"all, and another fact nobody can read", first(100, unknown), first(100, func(v *decision.Verdict) {
				odd(v)
				v.Unreadable |= decision.Facts(decision.FactCompliance)
			}), 100, 0},
		} {
			t.Run(fact.String()+"/"+tc.name, func(t *testing.T) {
				bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
					src := &lister{}
					r := run(src, RunnerOptions{})
					for _, change := range []func(int, *decision.Verdict){tc.before, tc.after, tc.after} {
						src.set(func(f *fake) { f.devices = fleet(100, change) })
						mustSync(t, r)
					}
					held, barred := 0, 0
					if h := r.Status().Held; h != nil {
						held = h.BadNews
					}
					for n := range 100 {
						if r.Find([]decision.Key{entra(n)}).Verdict.Unreadable.Has(fact) {
							barred++
						}
					}
					if held != tc.held || barred != tc.barred {
						t.Errorf("%d held, %d unreadable; want %d and %d", held, barred, tc.held, tc.barred)
					}
					if h := r.Status().Held; h != nil {
						if err := r.Accept(t.Context(), h.ID); err != nil {
							t.Fatal(err)
						}
						if v := r.Find([]decision.Key{entra(0)}).Verdict; !v.Unreadable.Has(fact) {
							t.Error("accepted, and still readable")
						}
					}
				})
			})
		}
	}
}
