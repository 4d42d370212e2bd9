package sources

import (
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// gateways is how many read one tenant in a herd test, each with every source that
// the tenant has.
const gateways = 50

// TestHerd: after an outage the gateways of a tenant do not all call at once, also
// when the service named the same moment to all of them.
func TestHerd(t *testing.T) {
	const outageOf = 2 * time.Hour
	all := func(f func() emulator.Fault) func(tn *tenant) func() {
		return func(tn *tenant) func() {
			var mends []func()
			for _, s := range subjects {
				if s.routes != nil {
					mends = append(mends, everywhere(f()).cut(tn, s))
				}
			}
			return func() {
				for _, m := range mends {
					m()
				}
			}
		}
	}
	for name, cut := range map[string]func(tn *tenant) func(){
		"refused": func(tn *tenant) func() { return tn.line.cut(lineRefused) },
		"503":     all(func() emulator.Fault { return emulator.Fault{Kind: emulator.Status, Status: 503} }),
		"one moment": all(func() emulator.Fault {
			return emulator.Fault{Kind: emulator.Throttle429, RetryAfter: time.Now().Add(outageOf).UTC().Format(http.TimeFormat)}
		}),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			inBubble(t, func(t *testing.T) {
				tn := newTenant(t, emulator.Options{Devices: 60})
				good := subjects[0].keyOf(tn, emulator.CaseHealthy)
				var list []*gateway
				for range gateways {
					g := open(t, tn, subjects[:4], "require managed", "require compliant", "require risk at_most low")
					defer g.start(t)()
					list = append(list, g)
					time.Sleep(7 * time.Second) // nobody starts fifty at once
				}
				time.Sleep(2 * time.Hour)
				healthy := time.Now()
				time.Sleep(time.Hour)
				steady, _ := busiest(tn.Pace(healthy))
				for _, g := range list {
					if d, _ := g.ask(t.Context(), good); d.Outcome != decision.Allow {
						t.Fatalf("before the outage: %s %v", d.Outcome, d.Findings)
					}
				}

				mend := cut(tn)
				time.Sleep(outageOf)
				mend()
				back := time.Now()
				time.Sleep(12 * time.Minute)
				for i, g := range list {
					for _, r := range g.runners {
						if st := r.Status(); st.State != "ok" {
							t.Errorf("gateway %d, %s: %s, %s", i, r.Name(), st.State, st.LastError)
						}
					}
					if d, _ := g.ask(t.Context(), good); d.Outcome != decision.Allow || d.Freshness != decision.Fresh {
						t.Errorf("gateway %d: %s %s %v", i, d.Outcome, d.Freshness, d.Findings)
					}
				}
				most, busy := busiest(tn.Pace(back))
				t.Logf("at most %d calls a second before the outage, %d after it, in %d different seconds", steady, most, busy)
				if most > 2*steady {
					t.Errorf("%d calls in one second of the recovery, more than twice the %d of any other second", most, steady)
				}
				if busy < 60 {
					t.Errorf("the recovery took place in %d seconds, want at least 60", busy)
				}
			})
		})
	}
}

// busiest is the highest number of calls in one second, and the number of seconds
// with calls.
func busiest(list []emulator.Second) (most, seconds int) {
	for _, s := range list {
		most = max(most, s.Calls)
	}
	return most, len(list)
}
