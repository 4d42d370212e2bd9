package source

import (
	"errors"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

func first(n int, change func(v *decision.Verdict)) func(int, *decision.Verdict) {
	return func(i int, v *decision.Verdict) {
		if i < n {
			change(v)
		}
	}
}

func noncompliant(v *decision.Verdict) { v.Compliance = decision.NonCompliant }

func lostWord(v *decision.Verdict) { // compliance in a word that is new
	v.Compliance, v.Unreadable = decision.ComplianceUnknown, decision.Facts(decision.FactCompliance)
}

// TestHeldRowAndUnreadableWord: of a held row a word that nobody can read takes the
// good news away, and leaves no gap that another source fills.
func TestHeldRowAndUnreadableWord(t *testing.T) {
	bad := first(40, func(v *decision.Verdict) { v.Encrypted = decision.No })
	lost := first(1, lostWord)
	for _, tc := range []struct {
		name   string
		before func(int, *decision.Verdict)
		sweeps []func(int, *decision.Verdict)
		ask    bool // with the last of them, instead of a sweep
	}{
		{"a listing", bad, []func(int, *decision.Verdict){lost}, false},
		{"a look-up", bad, []func(int, *decision.Verdict){nil, lost}, true},
		{"of a fact that was not known", func(i int, v *decision.Verdict) {
			bad(i, v)
			if i == 0 {
				v.Compliance = decision.ComplianceUnknown
			}
		}, []func(int, *decision.Verdict){lost}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
				src := &lister{}
				src.set(func(f *fake) { f.devices = fleet(100, tc.before) })
				r := run(src, RunnerOptions{Authority: decision.AuthorityManagement})
				mustSync(t, r)
				for i, change := range tc.sweeps {
					src.set(func(f *fake) { f.devices = fleet(100, change) })
					if tc.ask && i == len(tc.sweeps)-1 {
						if err := r.Refresh(t.Context(), entra(0)); err != nil {
							t.Fatal(err)
						}
						continue
					}
					mustSync(t, r)
				}
				m := r.Find([]decision.Key{entra(0)})
				if m.Verdict == nil || m.Verdict.Encrypted != decision.No || r.Status().Held == nil {
					t.Fatalf("the row is not held: %+v", m)
				}
				if v := m.Verdict; v.Compliance != decision.ComplianceUnknown || v.Unreadable != decision.Facts(decision.FactCompliance) {
					t.Errorf("compliance %s, unreadable %b", v.Compliance, v.Unreadable)
				}
				other := decision.Verdict{Device: decision.Device{Keys: []decision.Key{entra(0)}, Compliance: decision.Compliant}}
				p := decision.Merge([]decision.Report{
					{State: r.State(), Verdict: m.Verdict},
					{State: &decision.SourceState{Name: "entra", Index: 1, Authority: decision.AuthorityDirectory}, Verdict: &other},
				}, decision.Key{})
				if p.Compliance != decision.ComplianceUnknown {
					t.Errorf("merged with another source's word: %s, want unknown", p.Compliance)
				}
			})
		})
	}
}

func TestReject(t *testing.T) {
	some, none := build(t, fleet(400, nil)...), build(t)
	for _, tc := range []struct {
		name       string
		guards     Guards
		old, fresh *Table
		bad        int
		want       string
	}{
		{"nothing bad", Guards{}, some, some, 0, ""},
		{"one per cent is not more than that", Guards{}, nil, some, 4, ""},
		{"a few bad rows", Guards{}, nil, build(t, fleet(10, nil)...), 4, ""},
		{"more than one per cent", Guards{}, nil, some, 5, "5 of 405 records are bad"},
		{"all bad", Guards{}, nil, none, 7, "7 of 7 records are bad"},
		{"own limit", Guards{BadShare: 0.5, BadCount: 2}, nil, some, 100, ""},
		{"empty after some", Guards{}, some, none, 0, errEmptySweep.Error()},
		{"empty at first", Guards{}, nil, none, 0, ""},
		{"empty after empty", Guards{}, none, none, 0, ""},
		{"off", Guards{Off: true}, some, none, 1000, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := tc.guards.withDefaults().reject(tc.old, tc.fresh, tc.bad, nil)
			if got := errString(err); got != tc.want {
				t.Errorf("reject = %q, want %q", got, tc.want)
			}
		})
	}
}

func errString(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// planOf judges fresh against old, without anything from look-ups.
func planOf(g Guards, old, fresh *Table) plan {
	return g.withDefaults().plan(old, survey(old, fresh, old.facts, keepAll))
}

func TestPlan(t *testing.T) {
	const n = 100
	good := fleet(n, nil)
	bad := func(k int) []decision.Verdict { return fleet(n, first(k, noncompliant)) }
	risk := func(k int, l decision.Level) []decision.Verdict {
		return fleet(n, first(k, func(v *decision.Verdict) { v.Risk = l }))
	}
	unreported := fleet(n, func(_ int, v *decision.Verdict) { v.Encrypted = decision.Unknown })
	for _, tc := range []struct {
		name       string
		guards     Guards
		old, fresh []decision.Verdict
		hold       string // of g(ood), b(ad), r(emovals), a(dditions)
	}{
		{"no change", Guards{}, good, good, ""},
		{"20 points good news pass", Guards{}, bad(20), good, ""},
		{"21 points good news", Guards{}, bad(21), good, "g"},
		{"few devices, large share", Guards{}, fleet(19, noncompliantAll), fleet(19, nil), ""},
		{"20 devices, all good news", Guards{}, fleet(20, noncompliantAll), fleet(20, nil), "g"},
		{"half the fleet bad news", Guards{}, good, bad(50), ""},
		{"more than half bad news", Guards{}, good, bad(51), "b"},
		{"risk rises everywhere", Guards{}, good, risk(n, decision.LevelHigh), "b"},
		{"risk falls everywhere", Guards{}, risk(n, decision.LevelHigh), good, "g"},
		{"disabled everywhere", Guards{}, good, fleet(n, func(_ int, v *decision.Verdict) { v.Enabled = decision.No }), "b"},
		{"no longer jailbroken", Guards{}, fleet(n, func(_ int, v *decision.Verdict) { v.Jailbroken = decision.Yes }), good, "g"},
		{"compliance no longer reported", Guards{}, good, fleet(n, func(_ int, v *decision.Verdict) { v.Compliance = 0 }), "b"},
		{"a fact reported for the first time", Guards{}, unreported, good, ""},
		{"names only", Guards{}, good, fleet(n, func(_ int, v *decision.Verdict) { v.Name = "x" }), ""},
		{"20 removed", Guards{}, good, good[20:], ""},
		{"21 removed", Guards{}, good, good[21:], "r"},
		{"twice the fleet", Guards{}, good, fleet(2*n, nil), ""},
		{"more than twice", Guards{}, good, fleet(2*n+1, nil), "a"},
		{"a small fleet grows", Guards{}, fleet(19, nil), fleet(1000, nil), ""},
		{"good, bad and gone", Guards{BadNewsShare: 0.2}, bad(30), fleet(n, func(i int, v *decision.Verdict) {
			if i >= 30 && i < 60 {
				noncompliant(v)
			}
		})[:75], "gbr"},
		{"own limits", Guards{GoodNewsShare: 0.5, MinDevices: 60}, bad(55), good, ""},
		{"off", Guards{Off: true}, good, good[99:], ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := planOf(tc.guards, build(t, tc.old...), build(t, tc.fresh...))
			got := ""
			for _, h := range []struct {
				on bool
				c  string
			}{{p.holdGood, "g"}, {p.holdBad, "b"}, {p.holdRemovals, "r"}, {p.holdGrowth, "a"}} {
				if h.on {
					got += h.c
				}
			}
			if got != tc.hold {
				t.Errorf("held %q, want %q (%s)", got, tc.hold, p.why)
			}
			if (p.why == "") != (tc.hold == "") {
				t.Errorf("why is %q", p.why)
			}
		})
	}
}

func noncompliantAll(_ int, v *decision.Verdict) { noncompliant(v) }

// apply judges fresh against old and returns what would be in place.
func apply(t *testing.T, old, fresh []decision.Verdict) (*Table, *HeldChange) {
	t.Helper()
	before, after := build(t, old...), build(t, fresh...)
	p := planOf(Guards{}, before, after)
	if !p.holds() {
		t.Fatal("nothing is held")
	}
	table, held, err := p.apply(before, after, 1000, 12345)
	if err != nil {
		t.Fatal(err)
	}
	return table, held
}

func at(t *testing.T, table *Table, n int) decision.Verdict {
	t.Helper()
	row, ok := table.Find(entra(n))
	if !ok {
		t.Fatalf("device %d is not in the table", n)
	}
	return table.Verdict(row)
}

func TestGoodNewsIsHeldRowByRow(t *testing.T) {
	old := fleet(100, first(40, noncompliant))
	fresh := fleet(100, func(i int, v *decision.Verdict) {
		v.Name = "renamed"
		switch {
		case i < 5: // better and worse at once
			v.Risk = decision.LevelHigh
		case i == 99: // bad news of a device that is not held
			noncompliant(v)
		}
	})
	table, held := apply(t, old, fresh)
	if held.GoodNews != 40 || held.BadNews != 0 || held.Removals != 0 {
		t.Errorf("held %+v, want 40 good news", held)
	}
	mixed := at(t, table, 0)
	if mixed.Compliance != decision.NonCompliant || mixed.Risk != decision.LevelHigh || mixed.Name == "renamed" {
		t.Errorf("device with mixed news is %s, risk %s, name %s", mixed.Compliance, mixed.Risk, mixed.Name)
	}
	if mixed.Confirmed != 12345 {
		t.Errorf("a held row is confirmed at %d, want its own time", mixed.Confirmed)
	}
	if v := at(t, table, 20); v.Compliance != decision.NonCompliant || v.Name == "renamed" {
		t.Errorf("held device is %s", v.Compliance)
	}
	if v := at(t, table, 60); v.Name != "renamed" || v.Confirmed != 0 {
		t.Errorf("device beside the held ones is %q, confirmed %d", v.Name, v.Confirmed)
	}
	if v := at(t, table, 99); v.Compliance != decision.NonCompliant {
		t.Error("bad news did not apply beside held good news")
	}
}

func TestBadNewsBeyondHalfIsHeld(t *testing.T) {
	old := fleet(100, first(3, noncompliant))
	fresh := fleet(100, func(i int, v *decision.Verdict) {
		if i >= 3 {
			noncompliant(v)
		}
	})
	table, held := apply(t, old, fresh)
	if held.BadNews != 97 || held.GoodNews != 0 {
		t.Errorf("held %+v, want 97 bad news", held)
	}
	if v := at(t, table, 50); v.Compliance != decision.Compliant || v.Confirmed != 12345 {
		t.Errorf("held device is %s, confirmed %d", v.Compliance, v.Confirmed)
	}
	if v := at(t, table, 0); v.Compliance != decision.Compliant || v.Confirmed != 0 {
		t.Errorf("the few good news were not applied: %s", v.Compliance)
	}
}

func TestRemovalsAndGrowthAreHeld(t *testing.T) {
	old := fleet(100, nil)
	table, held := apply(t, old, old[50:])
	if held.Removals != 50 || table.Len() != 100 {
		t.Errorf("held %+v, table of %d", held, table.Len())
	}
	if v := at(t, table, 10); v.Confirmed != 12345 {
		t.Error("a held removal is as fresh as the sweep")
	}
	if v := at(t, table, 70); v.Confirmed != 0 {
		t.Error("a listed device is not as fresh as the sweep")
	}

	table, held = apply(t, old, fleet(300, nil))
	if held.Growth != 200 || table.Len() != 100 {
		t.Errorf("held %+v, table of %d", held, table.Len())
	}
}

// TestHeldRemovalKeepsItsAge holds the same removal in three sweeps: the rows
// must age from the first.
func TestHeldRemovalKeepsItsAge(t *testing.T) {
	first := build(t, fleet(100, nil)...)
	fresh := build(t, fleet(100, nil)[50:]...)
	ids := map[string]bool{}
	before, confirmed := first, int64(1000)
	for range 3 {
		p := planOf(Guards{}, before, fresh)
		table, held, err := p.apply(before, fresh, 1000, confirmed)
		if err != nil {
			t.Fatal(err)
		}
		ids[held.ID] = true
		if v := at(t, table, 10); v.Confirmed != 1000 {
			t.Errorf("confirmed at %d, want 1000", v.Confirmed)
		}
		before, confirmed = table, confirmed+500
	}
	if len(ids) != 1 {
		t.Errorf("the same change has the ids %v", ids)
	}
}

func TestHeldIDFollowsTheContent(t *testing.T) {
	old := fleet(100, noncompliantAll)
	_, a := apply(t, old, fleet(100, nil))
	_, b := apply(t, old, reversed(fleet(100, nil)))
	_, c := apply(t, old, fleet(100, first(1, func(v *decision.Verdict) { v.Risk = decision.LevelHigh })))
	_, d := apply(t, old, fleet(99, nil))
	if a.ID != b.ID {
		t.Errorf("another order gives another id: %s, %s", a.ID, b.ID)
	}
	if a.ID == c.ID || a.ID == d.ID {
		t.Errorf("other content gives the same id: %s, %s, %s", a.ID, c.ID, d.ID)
	}
	if len(a.ID) != 16 || !strings.Contains(a.Why, "100 of 100") {
		t.Errorf("held change %+v", a)
	}
}

func reversed(in []decision.Verdict) []decision.Verdict {
	out := make([]decision.Verdict, 0, len(in))
	for i := range in {
		out = append(out, in[len(in)-1-i])
	}
	return out
}

func TestEveryDeviceTwice(t *testing.T) {
	once := fleet(100, nil)
	twice := build(t, append(fleet(100, nil), once...)...)
	if twice.Len() != 100 || twice.AmbiguousKeys() != 0 {
		t.Errorf("every row twice gives %d devices, %d ambiguous ids", twice.Len(), twice.AmbiguousKeys())
	}
	if p := planOf(Guards{}, build(t, once...), twice); p.holds() {
		t.Errorf("every row twice is held: %s", p.why)
	}
}

func TestHeldBeyondCapacityIsRejected(t *testing.T) {
	old, fresh := build(t, fleet(100, nil)...), build(t, fleet(160, nil)[60:]...)
	p := planOf(Guards{}, old, fresh)
	if _, _, err := p.apply(old, fresh, 120, 1); err == nil || errors.Is(err, ErrUnchanged) {
		t.Errorf("apply beyond the capacity = %v, want an error", err)
	}
}

// TestGuardedOnce: a change that a guard stops is one accident, however often the
// source is asked while it lasts.
func TestGuardedOnce(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		var events []SyncEvent
		src := &lister{fake{devices: fleet(100, nil)}}
		r := run(src, RunnerOptions{Observer: Observer{Synced: func(e SyncEvent) { events = append(events, e) }}})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		for _, tc := range []struct {
			name   string
			change func(f *fake)
			want   string
			again  bool
		}{
			{"rejected", func(f *fake) { f.bad = 50 }, "rejected", false},
			{"the same once more", func(*fake) {}, "rejected", true},
			{"and reported as unchanged", func(f *fake) { f.err = ErrUnchanged }, "rejected", true},
			{"another version", func(f *fake) { f.err, f.bad = nil, 60 }, "rejected", false},
			{"a good one", func(f *fake) { f.bad = 0 }, "same", false},
			{"rejected anew", func(f *fake) { f.bad = 60 }, "rejected", false},
			{"held", func(f *fake) { f.bad, f.devices = 0, fleet(100, nil)[:40] }, "held", false},
			{"held still", func(*fake) {}, "held", true},
			{"another change is held", func(f *fake) { f.devices = f.devices[:30] }, "held", false},
		} {
			src.set(tc.change)
			_ = r.SyncNow(t.Context()) // what came of it is in the event
			if e := events[len(events)-1]; e.Result != tc.want || e.Again != tc.again {
				t.Errorf("%s: %s, again %v; want %s, %v", tc.name, e.Result, e.Again, tc.want, tc.again)
			}
		}
	})
}

// TestFloorIsNotHeld: a partner that fell silent for the whole fleet looks like an
// accident, but what its levels are worth must be known at once.
func TestFloorIsNotHeld(t *testing.T) {
	old := fleet(100, func(_ int, v *decision.Verdict) { v.Risk, v.Sensor = decision.LevelLow, decision.SensorActive })
	fresh := fleet(100, func(i int, v *decision.Verdict) {
		v.Risk, v.Sensor, v.RiskFloor = decision.LevelLow, decision.SensorUnresponsive, i != 0
	})
	table, held := apply(t, old, fresh)
	if held.BadNews != 100 {
		t.Fatalf("held %+v, want 100 bad news", held)
	}
	for i, want := range map[int]bool{0: false, 1: true, 99: true} {
		if v := at(t, table, i); v.RiskFloor != want || v.Risk != decision.LevelLow || v.Sensor != decision.SensorActive {
			t.Errorf("device %d: %+v", i, v.Device)
		}
	}
}
