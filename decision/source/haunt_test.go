package source

import (
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// twin is another record of device 0, heard of so long after its own one.
func twin(own int, after time.Duration) decision.Verdict {
	v := healthy(0)
	v.Keys = []decision.Key{intune(own), entra(0)}
	v.LastCheckIn, v.EvaluatedAt = observed(&v.Device).Add(after), time.Time{}
	return v
}

const weeks = 21 * 24 * time.Hour

// TestOlderRecordLiftsNoTombstone: the record of a device that is being wiped ends, and
// another record of the device is there.
func TestOlderRecordLiftsNoTombstone(t *testing.T) {
	rest := fleet(30, nil)[2:]
	for _, tc := range []struct {
		name   string
		before []decision.Verdict // beside the record that ends
		sweeps [][]decision.Verdict
		ask    []decision.Verdict // listed in vain: found by a look-up at the end
		find   decision.Key
		want   decision.Lifecycle
		gone   int
		kept   int
	}{
		{"an older one that was there before", []decision.Verdict{twin(77, -weeks)}, [][]decision.Verdict{{twin(77, -weeks)}}, nil, entra(0), decision.LifecycleWiping, 1, 1},
		{"by its own id", []decision.Verdict{twin(77, -weeks)}, [][]decision.Verdict{{twin(77, -weeks)}}, nil, intune(77), decision.LifecycleWiping, 1, 1},
		{"an older one that comes", nil, [][]decision.Verdict{{twin(77, -weeks)}}, nil, entra(0), decision.LifecycleWiping, 1, 1},
		{"an older one that comes later", nil, [][]decision.Verdict{nil, {twin(77, -weeks)}, {twin(77, -weeks)}}, nil, entra(0), decision.LifecycleWiping, 1, 1},
		{"without any time", nil, [][]decision.Verdict{{one(0, func(v *decision.Verdict) {
			v.Keys, v.LastCheckIn, v.EvaluatedAt = []decision.Key{intune(77), entra(0)}, time.Time{}, time.Time{}
		})}}, nil, entra(0), decision.LifecycleWiping, 1, 1},
		{"two older ones", nil, [][]decision.Verdict{{twin(77, -weeks), twin(78, -2*weeks)}}, nil, intune(78), decision.LifecycleWiping, 1, 2},
		{"an older and a newer one", nil, [][]decision.Verdict{{twin(77, -weeks), twin(78, time.Hour)}}, nil, intune(77), decision.LifecycleActive, 0, 0},
		{"as old", nil, [][]decision.Verdict{{twin(77, 0)}}, nil, entra(0), decision.LifecycleActive, 0, 0},
		{"newer", nil, [][]decision.Verdict{{twin(77, time.Hour)}}, nil, entra(0), decision.LifecycleActive, 0, 0},
		{"older, then heard of again", nil, [][]decision.Verdict{{twin(77, -weeks)}, {twin(77, time.Hour)}}, nil, entra(0), decision.LifecycleActive, 0, 0},
		{"older, then gone too", nil, [][]decision.Verdict{{twin(77, -weeks)}, nil, {twin(78, -time.Hour)}}, nil, intune(77), decision.LifecycleWiping, 1, 1},
		{"a look-up of an older one", nil, [][]decision.Verdict{nil}, []decision.Verdict{twin(77, -weeks)}, entra(0), decision.LifecycleWiping, 1, 0},
		{"a look-up of a newer one", nil, [][]decision.Verdict{nil}, []decision.Verdict{twin(77, time.Hour)}, entra(0), decision.LifecycleActive, 0, 0},
		{"a look-up of a newer one beside an older one", nil, [][]decision.Verdict{{twin(77, -weeks)}}, []decision.Verdict{twin(78, time.Hour)}, entra(0), decision.LifecycleActive, 0, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
				src, o := &registry{}, RunnerOptions{AskUnknown: true, Snapshot: &memory{}}
				list := func(more ...decision.Verdict) { src.put(append(rest[:len(rest):len(rest)], more...)...) }
				list(append(tc.before, one(0, wiping))...)
				r := run(src, o)
				mustSync(t, r)
				for _, more := range tc.sweeps {
					list(more...)
					mustSync(t, r)
				}
				if tc.ask != nil {
					list(tc.ask...)
					if err := r.Refresh(t.Context(), entra(0)); err != nil {
						t.Fatal(err)
					}
				}
				check := func(when string) {
					t.Helper()
					m := r.Find([]decision.Key{tc.find})
					if m.Verdict == nil || m.Verdict.Lifecycle != tc.want {
						t.Fatalf("%s: found %+v, want %s", when, m.Verdict, tc.want)
					}
					if s := r.Status(); s.Gone != tc.gone || s.Kept != tc.kept || s.Held != nil {
						t.Errorf("%s: %d gone, %d kept, held %+v; want %d, %d", when, s.Gone, s.Kept, s.Held, tc.gone, tc.kept)
					}
				}
				check("at once")
				if tc.ask != nil {
					return
				}
				before := r.Generation()
				mustSync(t, r)
				check("after the same sweep")
				if r.Generation() != before {
					t.Error("the same sweep is a change")
				}
				r.Stop()
				r = run(src, o)
				r.restore()
				check("after a restart")
				mustSync(t, r)
				check("after a restart and a sweep")
				pass(2 * time.Hour)
				mustSync(t, r)
				if v := r.Find([]decision.Key{tc.find}).Verdict; v != nil && v.Lifecycle != decision.LifecycleActive || r.Status().Kept != 0 {
					t.Errorf("after its time: %+v, %d kept", v, r.Status().Kept)
				}
			})
		})
	}
}

// TestLookedUpOlderRecord: a look-up that found an older record while the sweep ran
// that has the end of the newer one lifts nothing either.
func TestLookedUpOlderRecord(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &registry{}
		rest := fleet(30, nil)[1:]
		src.put(append(rest[:29:29], one(0, wiping))...)
		r := run(src, RunnerOptions{})
		mustSync(t, r)
		began := time.Now()
		pass(time.Minute)
		src.put(append(rest[:29:29], twin(77, -weeks))...)
		if err := r.Refresh(t.Context(), intune(77)); err != nil {
			t.Fatal(err)
		}
		listed := NewSweep(100)
		for _, v := range rest {
			listed.Device(v)
		}
		if _, err := r.take(listed, began); err != nil {
			t.Fatal(err)
		}
		for _, k := range []decision.Key{intune(77), entra(0)} {
			if m := r.Find([]decision.Key{k}); m.Verdict == nil || m.Verdict.Lifecycle != decision.LifecycleWiping {
				t.Errorf("by %s: %+v", k.Kind, m.Verdict)
			}
		}
		if n := r.Status().Gone; n != 1 {
			t.Errorf("%d gone, want 1", n)
		}
	})
}

// TestTombstoneWithoutTime: of a source that does not say when it heard of a device any
// record ends a tombstone, and what is left is no observation.
func TestTombstoneWithoutTime(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		timeless := func(v *decision.Verdict) { v.LastCheckIn, v.EvaluatedAt = time.Time{}, time.Time{} }
		src := &registry{}
		rest := fleet(30, nil)[2:]
		src.put(append(rest, one(0, wiping, timeless), one(1, wiping))...)
		r := run(src, RunnerOptions{})
		mustSync(t, r)
		src.put(append(rest, twin(77, -weeks))...)
		mustSync(t, r)
		if m := r.Find([]decision.Key{entra(0)}); m.Verdict == nil || m.Verdict.Lifecycle != decision.LifecycleActive {
			t.Errorf("found %+v", m.Verdict)
		}
		if m := r.Find([]decision.Key{entra(1)}); m.GoneSince.IsZero() || !observed(&m.Verdict.Device).IsZero() {
			t.Errorf("what is left: %+v", m.Verdict)
		}
	})
}
