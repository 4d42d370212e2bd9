package source

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// TestSharedSerial: a look-up of one device never speaks for another one that shows
// the same serial number.
func TestSharedSerial(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		good, bad := healthy(1), healthy(2)
		bad.Compliance = decision.NonCompliant
		bad.Keys[2] = serial(1)
		src := &lister{fake{devices: append(fleet(30, nil)[3:], good, bad)}}
		r := run(src, RunnerOptions{})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		for _, asked := range []decision.Key{entra(1), intune(1)} {
			if err := r.Refresh(t.Context(), asked); err != nil {
				t.Fatal(err)
			}
			if m := r.Find([]decision.Key{serial(1)}); m.Verdict != nil || !m.Ambiguous {
				t.Errorf("after a look-up by %s: %+v", asked.Kind, m)
			}
		}
		// A source without a listing: the number was not the question.
		only := run(&fake{devices: []decision.Verdict{good}}, RunnerOptions{})
		if err := only.Refresh(t.Context(), entra(1)); err != nil {
			t.Fatal(err)
		}
		if m := only.Find([]decision.Key{serial(1)}); m.Verdict != nil || m.Answered {
			t.Errorf("by serial number, without having asked: %+v", m)
		}
		// A number that the listing has for another device.
		moved := healthy(50)
		moved.Keys[2] = serial(5)
		src.set(func(f *fake) { f.devices = append(f.devices, moved) })
		if err := r.Refresh(t.Context(), entra(50)); err != nil {
			t.Fatal(err)
		}
		if m := r.Find([]decision.Key{serial(5)}); m.Verdict == nil || m.Verdict.Keys[0] != intune(5) {
			t.Errorf("the listed owner of the number lost it: %+v", m)
		}
	})
}

// TestAskingLiftsNoGuard: good news that a guard holds is not had by asking, bad
// news is.
func TestAskingLiftsNoGuard(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &lister{fake{devices: fleet(100, noncompliantAll)}}
		r := run(src, RunnerOptions{})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		src.set(func(f *fake) { f.devices = fleet(100, nil) })
		if err := r.SyncNow(t.Context()); err != nil || r.Status().Held == nil {
			t.Fatalf("SyncNow = %v, held %v", err, r.Status().Held)
		}
		pass(time.Minute)
		compliance := func() decision.Compliance { return r.Find([]decision.Key{entra(3)}).Verdict.Compliance }
		if err := r.Refresh(t.Context(), entra(3)); err != nil {
			t.Fatal(err)
		}
		if got := compliance(); got != decision.NonCompliant {
			t.Errorf("asking lifted the guard: %v", got)
		}
		src.set(func(f *fake) { f.devices[3].Enabled = decision.No })
		if err := r.Refresh(t.Context(), entra(3)); err != nil {
			t.Fatal(err)
		}
		if m := r.Find([]decision.Key{entra(3)}); m.Verdict.Enabled != decision.No || m.Verdict.Compliance != decision.NonCompliant {
			t.Errorf("bad news was held too: %+v", m.Verdict)
		}
	})
}

// TestUnusableAnswer: one device whose answer cannot be used takes nothing from the
// others.
func TestUnusableAnswer(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &fake{devices: fleet(3, nil), err: fmt.Errorf("%w: two devices", ErrUnusable)}
		r := run(src, RunnerOptions{})
		for range 50 {
			if err := r.Refresh(t.Context(), entra(9)); !errors.Is(err, ErrUnusable) {
				t.Fatalf("Refresh = %v", err)
			}
		}
		if _, n := src.calls(); n != 1 {
			t.Errorf("asked %d times in no time", n)
		}
		if r.State().Failing() != decision.CauseNone {
			t.Error("the source counts as failing")
		}
		src.set(func(f *fake) { f.err = nil })
		if err := r.Refresh(t.Context(), entra(1)); err != nil {
			t.Errorf("another device: %v", err)
		}
		pass(unusableTTL + time.Second)
		if err := r.Refresh(t.Context(), entra(9)); !errors.Is(err, ErrUnknownDevice) {
			t.Errorf("asked again later: %v", err)
		}
	})
}

// TestReplacedRecord: a device that was enrolled again has a new record with an own
// id and the old Entra id. Once the source found it, the old record is not believed by
// its own id, neither where a look-up brought it nor where the last listing has it.
func TestReplacedRecord(t *testing.T) {
	for _, listed := range []bool{false, true} {
		bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
			old := healthy(1)
			own := old.Keys[0]
			f := fake{devices: append(fleet(5, nil)[2:], old)}
			var src Source = &f
			set := f.set
			if listed {
				l := &lister{fake{devices: f.devices}}
				src, set = l, l.set
			}
			r := run(src, RunnerOptions{AskUnknown: true, Poll: time.Hour})
			if listed {
				if err := r.Load(t.Context()); err != nil {
					t.Fatal(err)
				}
				pass(time.Minute)
			} else if err := r.Refresh(t.Context(), own); err != nil {
				t.Fatal(err)
			}
			if m := r.Find([]decision.Key{own}); m.Verdict == nil {
				t.Fatalf("listed %v: the only record is not found: %+v", listed, m)
			}
			next := healthy(1)
			next.Keys[0], next.Compliance = intune(99), decision.NonCompliant
			set(func(f *fake) { // the source itself knows which record counts
				f.devices = append(f.devices[:len(f.devices)-1:len(f.devices)-1], next)
			})
			if err := r.Refresh(t.Context(), next.Keys[0]); err != nil {
				t.Fatal(err)
			}
			if m := r.Find([]decision.Key{own}); m.Verdict != nil {
				t.Errorf("listed %v: the replaced record is believed: %s", listed, m.Verdict.Compliance)
			}
			if m := r.Find([]decision.Key{next.Keys[1]}); m.Verdict == nil || m.Verdict.Compliance != decision.NonCompliant {
				t.Errorf("listed %v: by the id that both have: %+v", listed, m)
			}
			if err := r.Refresh(t.Context(), own); !errors.Is(err, ErrUnknownDevice) {
				t.Errorf("listed %v: the source about the old record: %v", listed, err)
			}
			if m := r.Find([]decision.Key{own}); m.Verdict != nil || !m.Answered {
				t.Errorf("listed %v: after the source was asked: %+v", listed, m)
			}
		})
	}
}

// TestUnchangedLiftsNoGuard: what is kept of a device that a guard holds is not lifted
// by asking either, once a listing without changes makes the answer part of what is
// known.
func TestUnchangedLiftsNoGuard(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &lister{}
		r := run(src, RunnerOptions{})
		sync := func(err error, devices []decision.Verdict) {
			t.Helper()
			src.set(func(f *fake) { f.err, f.devices = err, devices })
			if err := r.SyncNow(t.Context()); err != nil {
				t.Fatal(err)
			}
			pass(time.Minute)
		}
		with := func(change func(*decision.Verdict)) []decision.Verdict {
			return fleet(100, func(i int, v *decision.Verdict) {
				if noncompliantAll(i, v); i == 3 {
					change(v)
				}
			})
		}
		sync(nil, with(wiping))
		sync(nil, with(unreadable)) // the wipe is kept
		sync(nil, fleet(100, nil))  // too much good news: held
		row, ok := r.view.Load().table.Find(entra(3))
		if s := r.Status(); !ok || s.Held == nil || s.Kept != 1 || !r.view.Load().table.Held(row) {
			t.Fatalf("nothing is held, or kept: %+v", s)
		}
		src.set(func(f *fake) { f.err = nil })
		if err := r.Refresh(t.Context(), entra(3)); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		sync(ErrUnchanged, src.devices)
		v := r.Find([]decision.Key{entra(3)}).Verdict
		if v.Lifecycle != decision.LifecycleWiping || v.Compliance != decision.NonCompliant {
			t.Errorf("asking lifted the guard: %s, %s", v.Lifecycle, v.Compliance)
		}
		if n := r.Status().Kept; n != 1 {
			t.Errorf("%d kept, want 1", n)
		}
	})
}
