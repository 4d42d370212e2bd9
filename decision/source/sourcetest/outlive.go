package sourcetest

import (
	"errors"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// course is one device of a source, followed through a runner.
type course struct {
	fx    Fixture
	r     *source.Runner
	key   decision.Key
	lists bool
}

// outlives checks that bad news outlives silence about it, and the record if the
// source has tombstones; and that good news ends it. It asks by listing, and by
// look-up where the source can be asked.
func outlives(t *testing.T, f Factory) {
	devices := Devices(6)
	fx := f(t, devices)
	facts, err := fx.changes()
	if err != nil {
		t.Fatal(err)
	}
	if fx.Change == nil {
		t.Skip("not shown: " + fx.Unchanging)
	}
	for fact, why := range fx.Unsaid {
		t.Logf("not shown of %s: %s", fact, why)
	}
	c := course{fx: fx, r: source.NewRunner(fx.Source, source.RunnerOptions{Name: "outlives"})}
	t.Cleanup(c.r.Stop)
	_, c.lists = fx.Source.(source.Syncer)
	_, asks := fx.Source.(source.Looker)
	for _, c.key = range devices[2].Keys {
		if fx.supports(c.key.Kind) {
			break
		}
	}
	now := func(w tone) []decision.Verdict {
		all := Devices(6)
		tell(&all[2].Device, w)
		return all
	}
	check := func(when string, w tone) {
		t.Helper()
		v := c.find(t)
		if missing := facts &^ told(&v.Device, w); missing != 0 {
			t.Errorf("%s: not %s: %v", when, w, listed(missing))
		}
		if w == bad && facts.Has(decision.FactRisk) && when != "bad news" && !v.RiskFloor {
			t.Errorf("%s: a risk that is kept is not a floor", when)
		}
	}
	c.step(t, now(bad))
	check("bad news", bad)
	c.fx.Change(now(silent))
	if asks {
		c.ask(t)
		check("bad news, then a silent look-up", bad)
	}
	c.step(t, now(silent))
	check("bad news, then silence", bad)
	if got := c.r.Status().Kept; got != 1 {
		t.Errorf("the status tells of %d devices of which something is kept, want 1", got)
	}
	last := *c.find(t)
	c.step(t, now(silent)[:2])
	c.gone(t, &last)
	c.step(t, now(good))
	check("good news", good)
	c.step(t, now(silent))
	check("good news, then silence", silent)
	if asks && c.lists {
		c.step(t, now(bad))
		c.fx.Change(now(good))
		c.ask(t)
		check("bad news, then a good look-up", good)
	}
}

// step has the source say something else, and reads it.
func (c *course) step(t *testing.T, now []decision.Verdict) {
	t.Helper()
	c.fx.Change(now)
	if !c.lists {
		c.ask(t)
		return
	}
	if err := c.r.SyncNow(limit(t)); err != nil && !errors.Is(err, source.ErrUnchanged) {
		t.Fatalf("Sync: %v", err)
	}
}

// ask looks the one device up.
func (c *course) ask(t *testing.T) {
	t.Helper()
	if err := c.r.Refresh(limit(t), c.key); err != nil && !errors.Is(err, source.ErrUnknownDevice) {
		t.Fatalf("Refresh(%v): %v", c.key, err)
	}
}

func (c *course) find(t *testing.T) *decision.Verdict {
	t.Helper()
	m := c.r.Find([]decision.Key{c.key})
	if m.Verdict == nil {
		t.Fatalf("the device is not found: %+v", m)
	}
	return m.Verdict
}

// gone checks what is left of the device, of which this was the last word, after it
// and three more are gone.
func (c *course) gone(t *testing.T, last *decision.Verdict) {
	t.Helper()
	m, s := c.r.Find([]decision.Key{c.key}), c.r.Status()
	if c.lists && s.Devices != 2 {
		t.Errorf("%d devices after four are gone, want 2", s.Devices)
	}
	b, ok := c.fx.Source.(source.Tombstoner)
	left := *last
	if !ok || b.Tombstone(&left) <= 0 {
		if m.Verdict != nil {
			t.Errorf("a device that is gone, and of which nothing is left, is found: %+v", m)
		}
		return
	}
	switch {
	case m.Verdict == nil:
		t.Error("what is left of a device that is gone is not found")
	case m.GoneSince.IsZero():
		t.Error("a device that is gone is found like one that is not")
	case told(&left.Device, bad)&^told(&m.Verdict.Device, bad) != 0:
		t.Errorf("of a device that is gone is left %v, want %v", listed(told(&m.Verdict.Device, bad)), listed(told(&left.Device, bad)))
	}
	if s.Gone == 0 {
		t.Error("the status tells of no device that is gone")
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
