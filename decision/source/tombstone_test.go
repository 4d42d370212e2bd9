package source

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// registry is a fake for which the end of a record is no pardon.
type registry struct {
	lister
	bury func(*decision.Verdict) time.Duration // nil: as the real ones do
	asks int
}

func (f *registry) Tombstone(v *decision.Verdict) time.Duration {
	f.set(func(l *fake) { f.asks++ })
	switch {
	case f.bury != nil:
		return f.bury(v)
	case v.Lifecycle != decision.LifecycleWiping:
		return 0
	}
	v.Device = decision.Device{Keys: v.Keys, Lifecycle: v.Lifecycle}
	return time.Hour
}

// put lists these devices from now on.
func (f *registry) put(devices ...decision.Verdict) { f.set(func(l *fake) { l.devices = devices }) }

func mustSync(t *testing.T, r *Runner) {
	t.Helper()
	if err := r.SyncNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	pass(time.Minute)
}

func TestTombstone(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src, store := &registry{}, &memory{}
		rest := fleet(30, nil)[2:]
		src.put(append(rest, one(0, wiping), healthy(1))...)
		r := run(src, RunnerOptions{Snapshot: store})
		mustSync(t, r)
		src.put(rest...)
		before, gone := r.Generation(), time.Now()
		mustSync(t, r)
		if r.Generation() == before {
			t.Error("postures are not told")
		}
		check := func(when string) {
			t.Helper()
			for _, k := range healthy(0).Keys {
				m := r.Find([]decision.Key{k})
				if m.Verdict == nil || m.Verdict.Lifecycle != decision.LifecycleWiping || !m.Answered || m.Ambiguous {
					t.Fatalf("%s: by %s: %+v", when, k.Kind, m)
				}
				if m.GoneSince.Sub(gone).Abs() > time.Second || m.Verdict.Compliance != 0 || m.Verdict.Confirmed != 0 {
					t.Errorf("%s: gone since %v, want %v; %+v", when, m.GoneSince, gone, m.Verdict)
				}
			}
			if m := r.Find([]decision.Key{entra(1)}); m.Verdict != nil || !m.Answered || !m.GoneSince.IsZero() {
				t.Errorf("%s: a device without bad news: %+v", when, m)
			}
			if s := r.Status(); s.Devices != 28 || s.Gone != 1 || s.AmbiguousKeys != 0 || s.Held != nil || s.ByCompliance["unknown"] != 0 {
				t.Errorf("%s: status %+v", when, s)
			}
		}
		check("gone")
		if src.asks != 2 {
			t.Errorf("asked about %d devices, want 2", src.asks)
		}
		mustSync(t, r)
		check("after a sweep")
		src.set(func(f *fake) { f.err = ErrUnchanged })
		mustSync(t, r)
		check("after no change")
		r.Stop()
		src.set(func(f *fake) { f.err = nil })
		r = run(src, RunnerOptions{Snapshot: store, Remote: true})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		check("after a restart")
		mustSync(t, r)
		check("after a restart and a sweep")
		pass(time.Hour)
		if m := r.Find([]decision.Key{entra(0)}); m.Verdict != nil || !m.Answered {
			t.Errorf("after its time: %+v", m)
		}
		before = r.Generation()
		src.set(func(f *fake) { f.err = ErrUnchanged })
		mustSync(t, r)
		if r.Generation() == before || r.Status().Gone != 0 || r.Table().gone != nil {
			t.Error("its end is not told")
		}
		if src.asks != 2 {
			t.Errorf("asked again about what is gone: %d", src.asks)
		}
	})
}

// TestTombstoneEnds: a record with any id of it ends a tombstone, whoever brings it.
func TestTombstoneEnds(t *testing.T) {
	next := healthy(0)
	next.Keys = []decision.Key{intune(90), entra(90), serial(0)}
	same := one(0, unreadable)
	for _, tc := range []struct {
		name string
		end  func(ctx context.Context, r *Runner, src *registry) error
		key  decision.Key
		want decision.Lifecycle
	}{
		{"enrolled again", func(ctx context.Context, r *Runner, src *registry) error {
			src.put(append(fleet(30, nil)[2:], next)...)
			return r.SyncNow(ctx)
		}, serial(0), decision.LifecycleActive},
		{"enrolled again, by its old id", func(ctx context.Context, r *Runner, src *registry) error {
			src.put(append(fleet(30, nil)[2:], next)...)
			return r.SyncNow(ctx)
		}, entra(0), decision.LifecycleUnknown},
		{"restored", func(ctx context.Context, r *Runner, src *registry) error {
			src.put(append(fleet(30, nil)[2:], healthy(0))...)
			return r.SyncNow(ctx)
		}, entra(0), decision.LifecycleActive},
		{"the same record with a word that nobody can read", func(ctx context.Context, r *Runner, src *registry) error {
			src.put(append(fleet(30, nil)[2:], same)...)
			return r.SyncNow(ctx)
		}, entra(0), decision.LifecycleWiping},
		{"found by a look-up", func(ctx context.Context, r *Runner, src *registry) error {
			src.put(append(fleet(30, nil)[2:], healthy(0))...)
			err := r.Refresh(ctx, entra(0))
			src.put(fleet(30, nil)[2:]...) // the listing is late
			if err == nil {
				pass(time.Minute)
				err = r.SyncNow(ctx)
			}
			return err
		}, entra(0), decision.LifecycleUnknown},
		{"found by a look-up, before the next listing", func(ctx context.Context, r *Runner, src *registry) error {
			src.put(append(fleet(30, nil)[2:], healthy(0))...)
			return r.Refresh(ctx, entra(0))
		}, entra(0), decision.LifecycleActive},
		{"not found by a look-up", func(ctx context.Context, r *Runner, _ *registry) error {
			_ = r.Refresh(ctx, entra(0))
			return r.SyncNow(ctx)
		}, entra(0), decision.LifecycleWiping},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
				src := &registry{}
				src.put(append(fleet(30, nil)[2:], one(0, wiping))...)
				r := run(src, RunnerOptions{AskUnknown: true})
				mustSync(t, r)
				src.put(fleet(30, nil)[2:]...)
				mustSync(t, r)
				if err := tc.end(t.Context(), r, src); err != nil {
					t.Fatal(err)
				}
				pass(time.Second)
				m := r.Find([]decision.Key{tc.key})
				got := decision.LifecycleUnknown
				if m.Verdict != nil {
					got = m.Verdict.Lifecycle
				}
				if got != tc.want || m.Ambiguous {
					t.Errorf("%s, want %s: %+v", got, tc.want, m)
				}
			})
		})
	}
}

// TestTombstoneIsNoRemoval: neither is its making held nor its end, and a removal that
// is held makes none until it is accepted.
func TestTombstoneIsNoRemoval(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &registry{}
		wipingAll := fleet(100, func(_ int, v *decision.Verdict) { wiping(v) })
		src.put(wipingAll...)
		r := run(src, RunnerOptions{})
		mustSync(t, r)
		src.put(wipingAll[20:]...)
		mustSync(t, r)
		if s := r.Status(); s.Held != nil || s.Gone != 20 || s.Devices != 80 {
			t.Fatalf("20 removed: %+v", s)
		}
		src.put(wipingAll[50:]...)
		mustSync(t, r)
		s := r.Status()
		if s.Held == nil || s.Held.Removals != 30 || s.Gone != 20 || s.Devices != 80 {
			t.Fatalf("30 more: %+v, held %+v", s, s.Held)
		}
		if m := r.Find([]decision.Key{entra(30)}); m.Verdict == nil || !m.GoneSince.IsZero() {
			t.Errorf("a removal that is held is a tombstone: %+v", m)
		}
		if err := r.Accept(t.Context(), s.Held.ID); err != nil {
			t.Fatal(err)
		}
		if s := r.Status(); s.Held != nil || s.Gone != 50 || s.Devices != 50 {
			t.Errorf("accepted: %+v", s)
		}
		for _, n := range []int{3, 30} {
			if m := r.Find([]decision.Key{entra(n)}); m.Verdict == nil || m.GoneSince.IsZero() || m.Verdict.Lifecycle != decision.LifecycleWiping {
				t.Errorf("device %d after that: %+v", n, m)
			}
		}
		pass(2 * time.Hour)
		mustSync(t, r)
		if s := r.Status(); s.Held != nil || s.Gone != 0 || s.Devices != 50 || r.Table().gone != nil {
			t.Errorf("after their time: %+v", s)
		}
	})
}

// TestTombstoneOfLookedUpNews: what a look-up said last is what the device is buried
// with.
func TestTombstoneOfLookedUpNews(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &registry{}
		src.put(fleet(30, nil)...)
		r := run(src, RunnerOptions{})
		mustSync(t, r)
		src.put(append(fleet(30, nil)[1:], one(0, wiping))...)
		if err := r.Refresh(t.Context(), entra(0)); err != nil {
			t.Fatal(err)
		}
		pass(time.Minute)
		src.put(fleet(30, nil)[1:]...)
		mustSync(t, r)
		if m := r.Find([]decision.Key{entra(0)}); m.Verdict == nil || m.Verdict.Lifecycle != decision.LifecycleWiping {
			t.Errorf("found %+v", m)
		}
	})
}

// TestTombstoneAgainstALookup: a device that was found while the sweep ran which does
// not have it is not gone.
func TestTombstoneAgainstALookup(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &registry{}
		src.put(append(fleet(30, nil)[1:], one(0, wiping))...)
		r := run(src, RunnerOptions{})
		mustSync(t, r)
		began := time.Now()
		pass(time.Minute)
		if err := r.Refresh(t.Context(), entra(0)); err != nil {
			t.Fatal(err)
		}
		listed := NewSweep(100)
		for _, v := range fleet(30, nil)[1:] {
			listed.Device(v)
		}
		if _, err := r.take(listed, began); err != nil {
			t.Fatal(err)
		}
		if s := r.Status(); s.Gone != 0 || s.Devices != 29 {
			t.Errorf("%d gone, %d devices", s.Gone, s.Devices)
		}
	})
}

// orderly is a registry that can tell devices to check in.
type orderly struct {
	registry
	told int
}

func (o *orderly) RequestCheckIn(context.Context, *decision.Verdict) error {
	o.told++
	return nil
}

// TestTombstoneIsNotToldToCheckIn: there is nobody to tell.
func TestTombstoneIsNotToldToCheckIn(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &orderly{}
		src.put(append(fleet(30, nil)[1:], one(0, wiping))...)
		r := run(src, RunnerOptions{CheckIns: true})
		mustSync(t, r)
		src.put(fleet(30, nil)[1:]...)
		mustSync(t, r)
		got, err := r.requestCheckIn(t.Context(), []decision.Key{entra(0)})
		if got != CheckInUnknown || err != nil || src.told != 0 {
			t.Errorf("%s, %v, told %d times", got, err, src.told)
		}
	})
}

// TestTombstonesAreBounded: beyond the limit those go whose time ends first, and a
// source that asks for a century or panics harms nothing.
func TestTombstonesAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &registry{bury: func(v *decision.Verdict) time.Duration {
			var n int
			if _, err := fmt.Sscanf(v.Name, "LAPTOP-%d", &n); err != nil || n == 7 {
				panic("odd")
			}
			if n == 8 {
				v.Keys = nil
			}
			if n == 9 {
				return 1 << 62
			}
			return time.Hour + time.Duration(n)*time.Second
		}}
		const all, living = leastTombstones + 200, 50
		src.put(fleet(all, nil)...)
		r := run(src, RunnerOptions{Guards: Guards{Off: true}})
		mustSync(t, r)
		src.put(fleet(all, nil)[all-living:]...)
		mustSync(t, r)
		if s := r.Status(); s.Gone != leastTombstones || s.Devices != living {
			t.Fatalf("%d gone of %d devices", s.Gone, s.Devices)
		}
		for n, want := range map[int]bool{7: false, 8: false, 9: true, 100: false, 149: false, 152: true, all - living - 1: true} {
			if m := r.Find([]decision.Key{entra(n)}); (m.Verdict != nil) != want {
				t.Errorf("device %d: found %t, want %t", n, m.Verdict != nil, want)
			}
		}
		pass(longestKeep)
		if m := r.Find([]decision.Key{entra(9)}); m.Verdict != nil {
			t.Error("a tombstone for longer than a year")
		}
	})
}

func TestTombstoneLimit(t *testing.T) {
	for devices, want := range map[int]int{0: 10_000, 5000: 10_000, 40_000: 10_000, 40_004: 10_001, 1_000_000: 250_000} {
		if got := tombstoneLimit(devices); got != want {
			t.Errorf("%d beside %d devices, want %d", got, devices, want)
		}
	}
}

// TestCleanUpForgetsNoStop: the routine deletion of stale devices, some at a time,
// does not push out the tombstone of a stolen one, whose time ends first.
func TestCleanUpForgetsNoStop(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &registry{bury: func(v *decision.Verdict) time.Duration {
			v.Device = decision.Device{Keys: v.Keys[:2], Enabled: decision.No}
			return 30 * 24 * time.Hour
		}}
		all := fleet(5000, nil)
		src.put(all...)
		r := run(src, RunnerOptions{})
		mustSync(t, r)
		for _, gone := range []int{1, 901, 1600} {
			src.put(all[gone:]...)
			mustSync(t, r)
		}
		if m := r.Find([]decision.Key{entra(0)}); m.Verdict == nil || m.Verdict.Enabled != decision.No || r.Status().Gone != 1600 {
			t.Errorf("of %d gone the first is %+v", r.Status().Gone, m)
		}
	})
}

// TestTombstonesOfOneDevice: two records of a device that end at once are found as one,
// with the worst of both, and a repeated serial number leads to neither.
func TestTombstonesOfOneDevice(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &registry{bury: func(*decision.Verdict) time.Duration { return time.Hour }}
		old, stranger := healthy(0), healthy(2)
		old.Keys, old.Enabled = []decision.Key{intune(70), entra(0)}, decision.No
		stranger.Keys[2] = serial(0)
		src.put(append(fleet(30, nil)[3:], one(0, wiping), old, stranger)...)
		r := run(src, RunnerOptions{})
		mustSync(t, r)
		src.put(fleet(30, nil)[3:]...)
		mustSync(t, r)
		m := r.Find([]decision.Key{entra(0), intune(70)})
		if m.Verdict == nil || m.Ambiguous || m.Verdict.Lifecycle != decision.LifecycleWiping || m.Verdict.Enabled != decision.No {
			t.Errorf("found %+v", m)
		}
		if m := r.Find([]decision.Key{entra(2)}); m.Verdict == nil || m.Verdict.Lifecycle != decision.LifecycleActive {
			t.Errorf("a stranger of that serial number: %+v", m)
		}
		if m := r.Find([]decision.Key{serial(0)}); m.Verdict != nil || m.Ambiguous {
			t.Errorf("by a repeated serial number: %+v", m)
		}
		// Ids of two that are gone, and of one that is gone beside one that is not.
		if m := r.Find([]decision.Key{entra(0), entra(2)}); m.Verdict == nil || m.Ambiguous || m.Verdict.Enabled != decision.No {
			t.Errorf("by ids of two: %+v", m)
		}
		if m := r.Find([]decision.Key{entra(0), entra(5)}); m.Verdict == nil || m.Ambiguous || !m.GoneSince.IsZero() || m.Verdict.Keys[0] != intune(5) {
			t.Errorf("beside a living one: %+v", m)
		}
	})
}

// TestTombstoneInTheDirectory: what is left counts for the device, asks the source as
// for an unknown one, and is not reached by a serial number of another source.
func TestTombstoneInTheDirectory(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &registry{}
		src.put(append(fleet(30, nil)[1:], one(0, wiping))...)
		mdm := run(src, RunnerOptions{AskUnknown: true, Authoritative: true})
		mustSync(t, mdm)
		src.put(fleet(30, nil)[1:]...)
		mustSync(t, mdm)
		dir := func(n int, keys ...decision.Key) *Runner {
			v := healthy(n)
			v.Keys = keys
			other := run(&lister{fake{devices: []decision.Verdict{v}}}, RunnerOptions{})
			mustSync(t, other)
			return other
		}
		d := NewDirectory([]*Runner{mdm, dir(0, entra(0), serial(0))}, DirectoryOptions{})
		_, before := src.calls()
		for range 3 {
			p := d.Resolve(t.Context(), identity(entra(0)))
			if p.Ambiguous || p.Lifecycle != decision.LifecycleWiping || p.Compliance != decision.Compliant {
				t.Errorf("ambiguous %t, lifecycle %s", p.Ambiguous, p.Lifecycle)
			}
		}
		if _, n := src.calls(); n != before+1 {
			t.Errorf("asked %d times, want once in a while", n-before)
		}
		if got := d.GoneSince(identity(entra(0))); got[0].IsZero() || !got[1].IsZero() {
			t.Errorf("gone since %v", got)
		}
		stranger := NewDirectory([]*Runner{mdm, dir(60, entra(60), serial(0))}, DirectoryOptions{})
		if p := stranger.Posture(identity(entra(60))); p.Lifecycle == decision.LifecycleWiping || p.Ambiguous {
			t.Errorf("by a serial number alone: %s", p.Lifecycle)
		}
		// Enrolled again, which the listing does not know yet.
		next := healthy(0)
		next.Keys = []decision.Key{intune(80), entra(0), serial(0)}
		src.put(append(fleet(30, nil)[1:], next)...)
		pass(2 * time.Minute)
		if p := d.Resolve(t.Context(), identity(entra(0))); p.Lifecycle != decision.LifecycleActive || p.Ambiguous {
			t.Errorf("enrolled again: %s, ambiguous %t", p.Lifecycle, p.Ambiguous)
		}
		if m := mdm.Find([]decision.Key{intune(0)}); m.Verdict != nil {
			t.Errorf("the old record: %+v", m)
		}
	})
}

// TestTombstoneBesideItsSerial: a record that shares only an id which the tombstone
// does not keep may be somebody else's, and pardons nobody.
func TestTombstoneBesideItsSerial(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &registry{}
		src.bury = func(v *decision.Verdict) time.Duration {
			v.Device = decision.Device{Keys: []decision.Key{entra(0)}, Lifecycle: v.Lifecycle}
			return time.Hour
		}
		rest := fleet(30, nil)[2:]
		src.put(append(rest, one(0, wiping))...)
		r := run(src, RunnerOptions{})
		mustSync(t, r)
		other := healthy(1)
		other.Keys = []decision.Key{entra(1), serial(0)}
		src.put(append(rest, other)...)
		mustSync(t, r)
		if m := r.Find([]decision.Key{entra(0)}); m.Verdict == nil || m.Verdict.Lifecycle != decision.LifecycleWiping {
			t.Errorf("by its own id: %+v", m)
		}
		if m := r.Find([]decision.Key{serial(0)}); m.Verdict == nil || m.Verdict.Lifecycle == decision.LifecycleWiping || m.Ambiguous {
			t.Errorf("by the serial number that is somebody else's now: %+v", m)
		}
	})
}
