package sourcetest

import (
	"errors"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// outlives checks that bad news outlives silence about it, and the record if the
// source has tombstones.
func outlives(t *testing.T, f Factory) {
	devices := Devices(6)
	fx := f(t, devices)
	if _, ok := fx.Source.(source.Syncer); !ok {
		t.Skip("the source does not list its devices")
	}
	if fx.Change == nil {
		t.Skip("the devices of the source cannot be changed")
	}
	r := source.NewRunner(fx.Source, source.RunnerOptions{Name: "outlives"})
	t.Cleanup(r.Stop)
	step := func(now []decision.Verdict) {
		t.Helper()
		fx.Change(now)
		if err := r.SyncNow(limit(t)); err != nil && !errors.Is(err, source.ErrUnchanged) {
			t.Fatalf("Sync: %v", err)
		}
	}
	find := func() *decision.Verdict {
		t.Helper()
		m := r.Find(devices[2].Keys[:1])
		if m.Verdict == nil {
			t.Fatalf("the device is not found: %+v", m)
		}
		return m.Verdict
	}
	step(devices)
	if find().Compliance != decision.NonCompliant {
		t.Skip("the source does not report compliance")
	}
	quiet := Devices(6)
	quiet[2].Compliance = decision.ComplianceUnknown
	step(quiet)
	if got := find().Compliance; got == decision.ComplianceUnknown || got == decision.Compliant {
		t.Errorf("noncompliant and then silent is %s", got)
	}
	if r.Status().Kept != 1 {
		t.Errorf("the status tells of %d devices, want 1", r.Status().Kept)
	}
	step(devices[:2])
	m, s := r.Find(devices[2].Keys[:1]), r.Status()
	if s.Devices != 2 {
		t.Errorf("%d devices after four are gone, want 2", s.Devices)
	}
	if _, ok := fx.Source.(source.Tombstoner); !ok && (m.Verdict != nil || s.Gone != 0) {
		t.Errorf("a source without tombstones has one: %+v", m)
	}
	if m.Verdict != nil && m.GoneSince.IsZero() {
		t.Error("a device that is gone is found like one that is not")
	}
	good := Devices(6)
	good[2].Compliance = decision.Compliant
	step(good)
	if got := find().Compliance; got != decision.Compliant {
		t.Errorf("good news does not lift: %s", got)
	}
}

// buries checks what a source leaves of devices that it does not have any more.
func buries(t *testing.T, f Factory) {
	devices := Devices(6)
	fx := f(t, devices)
	b, ok := fx.Source.(source.Tombstoner)
	if !ok {
		t.Skip("the source has no tombstones")
	}
	for _, v := range sweep(t, b) {
		for _, change := range []func(*decision.Verdict){
			func(*decision.Verdict) {},
			func(v *decision.Verdict) { v.Lifecycle = decision.LifecycleWiping },
			func(v *decision.Verdict) { v.Enabled = decision.No },
			func(v *decision.Verdict) { v.Jailbroken = decision.Yes },
			func(v *decision.Verdict) { v.Risk = decision.LevelCompromised },
		} {
			left := v
			change(&left)
			said := left.Keys
			if b.Tombstone(&left) <= 0 {
				continue
			}
			canonical(t, &left)
			for _, k := range left.Keys {
				if !has(said, k) {
					t.Errorf("what is left of %v has the id %v, which the device had not", said[0], k)
				}
			}
			if left.Compliance == decision.Compliant || left.Compliance == decision.InGracePeriod {
				t.Errorf("a device that is gone is %s", left.Compliance)
			}
		}
	}
}
