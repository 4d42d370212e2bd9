package source

import (
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// taken is a device that is wiped and in the hands of somebody else.
func taken(v *decision.Verdict) {
	v.Lifecycle, v.Risk = decision.LifecycleWiping, decision.LevelCompromised
}

// buryTaken leaves both stops of a device that is gone.
func buryTaken(v *decision.Verdict) time.Duration {
	if v.Lifecycle != decision.LifecycleWiping {
		return 0
	}
	v.Device = decision.Device{Keys: v.Keys, Lifecycle: v.Lifecycle, Risk: v.Risk}
	return time.Hour
}

// TestForgetGivesBackWhatAStopHid: a tombstone stops an older record that has bad news
// of its own. That is there again without the tombstone, be it after a restart or beside
// a change that a guard holds back.
func TestForgetGivesBackWhatAStopHid(t *testing.T) {
	for _, when := range []string{"at once", "after a restart", "beside a held change", "after a restart beside a held change"} {
		for name, own := range map[string]func(*decision.Verdict){
			"stops itself":        func(v *decision.Verdict) { v.Lifecycle, v.Enabled = decision.LifecycleRetiring, decision.No },
			"bad but no stop":     func(v *decision.Verdict) { v.Risk, v.Compliance = decision.LevelHigh, decision.NonCompliant },
			"good":                func(*decision.Verdict) {},
			"nothing is known":    func(v *decision.Verdict) { v.Risk, v.Lifecycle = decision.LevelUnknown, decision.LifecycleUnknown },
			"cannot be read here": unreadable,
		} {
			t.Run(when+"/"+name, func(t *testing.T) {
				bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
					src, o := &registry{bury: buryTaken}, RunnerOptions{Snapshot: &memory{}}
					before := fleet(100, func(i int, v *decision.Verdict) {
						if i < 90 {
							noncompliant(v)
						}
					})[2:]
					src.put(append(before, one(0, taken))...)
					r := run(src, o)
					mustSync(t, r)
					older := twin(177, -weeks)
					own(&older)
					src.put(append(before, older)...)
					mustSync(t, r)
					held := when == "beside a held change" || when == "after a restart beside a held change"
					if held {
						src.put(append(fleet(100, nil)[2:], older)...)
						mustSync(t, r)
						if r.Status().Held == nil {
							t.Fatal("nothing is held")
						}
					}
					if when == "after a restart" || when == "after a restart beside a held change" {
						if err := r.save(false); err != nil {
							t.Fatal(err)
						}
						r = run(src, o)
						r.restore()
					}
					if v := r.Find([]decision.Key{intune(177)}).Verdict; v.Risk != decision.LevelCompromised {
						t.Fatalf("before: %+v", v)
					}
					forgetOne(t, r, intune(177))
					check := func(again string) {
						t.Helper()
						v := r.Find([]decision.Key{intune(177)}).Verdict
						if v == nil || stickyFacts(&v.Device) != stickyFacts(&older.Device) || v.Unreadable != older.Unreadable {
							t.Errorf("%s: %+v", again, v)
						}
					}
					check("at once")
					mustSync(t, r)
					check("after a sweep")
					src.set(func(f *fake) { f.err = ErrUnchanged })
					mustSync(t, r)
					check("unchanged")
				})
			})
		}
	}
}
