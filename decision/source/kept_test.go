package source

import (
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// TestKeepUnreadable: a source that remembers puts back what was bad and cannot be read,
// and nothing else.
func TestKeepUnreadable(t *testing.T) {
	odd := decision.Facts(decision.FactCompliance, decision.FactJailbroken, decision.FactRisk, decision.FactEncrypted)
	old := decision.Device{
		Compliance: decision.NonCompliant, Settings: []decision.Setting{{Name: "BitLocker"}},
		Jailbroken: decision.No, Risk: decision.LevelHigh, Encrypted: decision.No, Malware: decision.Yes,
	}
	d := decision.Device{Unreadable: odd, Encrypted: decision.Yes}
	KeepUnreadable(&d, &old)
	if d.Compliance != decision.NonCompliant || len(d.Settings) != 1 || d.Risk != decision.LevelHigh || !d.RiskFloor {
		t.Errorf("bad news is lost: %+v", d)
	}
	if d.Jailbroken != decision.Unknown || d.Encrypted != decision.Yes || d.Malware != decision.Unknown {
		t.Errorf("kept is good news, over a word, or over silence: %+v", d)
	}
	if d.Unreadable != odd {
		t.Errorf("unreadable %b, want %b: the word is still one that nobody can read", d.Unreadable, odd)
	}
}

// TestSweepKept: what a source keeps itself is counted and known; of what it does not
// know nothing is kept.
func TestSweepKept(t *testing.T) {
	said := decision.Facts(decision.FactLifecycle, decision.FactRisk, decision.FactEncrypted, decision.FactSensor)
	v := one(0, wiping, func(v *decision.Verdict) {
		v.Risk, v.Encrypted, v.Sensor, v.Unreadable = decision.LevelUnknown, decision.Yes, decision.SensorNoData, said
	})
	for name, emit := range map[string]func(*Sweep) error{
		"sweep": func(s *Sweep) error { s.Kept(v, said); return nil },
		"listing": func(s *Sweep) error {
			var l Listing
			if err := l.Put(v); err != nil {
				return err
			}
			if err := l.pack(); err != nil {
				return err
			}
			return l.Emit(s)
		},
	} {
		s := NewSweep(1)
		if err := emit(s); err != nil {
			t.Fatal(err)
		}
		table, err := s.Table()
		if err != nil {
			t.Fatal(err)
		}
		lifecycle := decision.Facts(decision.FactLifecycle)
		if got := table.Kept(0); got != lifecycle || table.keptRows != 1 {
			t.Errorf("%s: kept %b in %d rows, want %b", name, got, table.keptRows, lifecycle)
		}
		if got := table.Verdict(0); got.Lifecycle != decision.LifecycleWiping || got.Unreadable != said&^lifecycle {
			t.Errorf("%s: %s, unreadable %b", name, got.Lifecycle, got.Unreadable)
		}
	}
}

// TestKeptCountsLookups: a device counts once, whether a listing or a look-up keeps
// something of it, and not when a newer look-up says it itself.
func TestKeptCountsLookups(t *testing.T) {
	bad, quiet, good := one(0, wiping), one(0, silent), flawless(0)
	for _, tt := range []struct {
		name  string
		sweep []decision.Verdict
		ask   []decision.Verdict
		want  int
	}{
		{"listed", []decision.Verdict{bad, quiet}, nil, 1},
		{"looked up over a listing", []decision.Verdict{bad}, []decision.Verdict{quiet}, 1},
		{"looked up only", nil, []decision.Verdict{bad, quiet}, 1},
		{"both", []decision.Verdict{bad, quiet}, []decision.Verdict{quiet}, 1},
		{"listed, and a look-up is good", []decision.Verdict{bad, quiet}, []decision.Verdict{good}, 0},
		{"listed, and a look-up is silent after a good one", []decision.Verdict{bad, quiet}, []decision.Verdict{good, quiet}, 0},
		{"nothing bad", []decision.Verdict{good, quiet}, []decision.Verdict{quiet}, 0},
	} {
		bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
			l := &lister{}
			r := run(l, RunnerOptions{})
			for _, v := range tt.sweep {
				l.set(func(f *fake) { f.devices = []decision.Verdict{v, one(1)} })
				if err := r.SyncNow(t.Context()); err != nil {
					t.Fatal(err)
				}
				pass(time.Minute)
			}
			for _, v := range tt.ask {
				l.set(func(f *fake) { f.devices = []decision.Verdict{v, one(1)} })
				if err := r.Refresh(t.Context(), v.Keys[1]); err != nil {
					t.Fatal(err)
				}
				pass(time.Minute)
			}
			if got := r.Status().Kept; got != tt.want {
				t.Errorf("%s: %d kept, want %d", tt.name, got, tt.want)
			}
		})
	}
}
