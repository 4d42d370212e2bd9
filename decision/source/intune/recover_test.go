package intune

import (
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// silently changes a record without a check-in: polls find it by no date.
func (r rig) silently(d *emulator.Device, change func(*emulator.Managed)) {
	r.ms.Update(func(*emulator.Fleet) {
		change(d.Managed[0])
		d.Managed[0].LastSync = d.Managed[0].LastSync.Add(time.Second)
	})
}

// TestSilentRecovery: who is compliant again, or whose wipe was cancelled, without a
// check-in waits for one poll and not for a complete listing.
func TestSilentRecovery(t *testing.T) {
	t.Parallel()
	r := start(t, emulator.Options{}, Options{})
	bad, later, wiped := r.find(t, emulator.CaseNoncompliant), r.find(t, emulator.CaseHealthy), r.find(t, emulator.CaseWiped)
	r.sync(t)
	set := func(word string) func(*emulator.Managed) { return func(m *emulator.Managed) { m.Compliance = word } }
	r.silently(later, set("noncompliant"))
	if v := verdict(t, r.sync(t), later); v.Compliance != decision.NonCompliant {
		t.Fatalf("before: %s", v.Compliance)
	}
	if n := r.ms.Calls()["graph/batch"]; n != 0 {
		t.Errorf("%d batches although nobody recovered", n)
	}
	r.silently(bad, set("compliant"))
	r.silently(later, set("conflict"))
	r.silently(wiped, func(m *emulator.Managed) { m.State = "wipeCanceled" })
	table := r.sync(t)
	if table == nil {
		t.Fatal("the poll found nothing")
	}
	if v := verdict(t, table, bad); v.Compliance != decision.Compliant {
		t.Errorf("compliant again: %s", v.Compliance)
	}
	if v := verdict(t, table, later); v.Compliance != decision.ComplianceConflict {
		t.Errorf("in conflict now: %s", v.Compliance)
	}
	if v := verdict(t, table, wiped); v.Lifecycle != decision.LifecycleActive {
		t.Errorf("wipe cancelled: %s", v.Lifecycle)
	}
	if st := r.Stats(); st.Mode != modeChanges {
		t.Errorf("mode %s", st.Mode)
	}
	before := r.ms.Calls()
	if r.sync(t) != nil {
		t.Error("a poll without news emits")
	}
	if after := r.ms.Calls(); after["graph/batch"] != before["graph/batch"] {
		t.Error("who recovered is asked for again")
	}
}

// TestSilentRecoveryFails: while the devices cannot be asked for, what was known stays
// and the poll is good; one that is gone is removed by the next complete listing.
func TestSilentRecoveryFails(t *testing.T) {
	t.Parallel()
	r := start(t, emulator.Options{}, Options{})
	bad, gone := r.find(t, emulator.CaseNoncompliant), r.find(t, emulator.CaseMalware)
	r.sync(t)
	repair := r.ms.Fail("graph/batch", emulator.Fault{Kind: emulator.Status, Status: 403})
	r.silently(bad, func(m *emulator.Managed) { m.Compliance = "compliant" })
	r.ms.Update(func(f *emulator.Fleet) { f.RemoveDevice(gone) })
	if table := r.sync(t); table != nil {
		t.Errorf("emitted although nothing could be asked for: %s", verdict(t, table, bad).Compliance)
	}
	if n := r.Stats().Refused["devices that are no longer listed as bad"]; n != 1 {
		t.Errorf("refused %v", r.Stats().Refused)
	}
	repair()
	table := r.sync(t)
	if table == nil {
		t.Fatal("the poll after it found nothing")
	}
	if v := verdict(t, table, bad); v.Compliance != decision.Compliant {
		t.Errorf("after it: %s", v.Compliance)
	}
	if table = r.sync(t); table == nil || r.Stats().Mode == modeChanges {
		t.Fatalf("no complete listing after a device was gone: %s", r.Stats().Mode)
	}
	if _, ok := table.Find(entraKey(gone.EntraID)); ok {
		t.Error("a removed device is still listed")
	}
	before := r.ms.Calls()["graph/batch"]
	if r.sync(t); r.Stats().Mode != modeChanges || r.ms.Calls()["graph/batch"] != before {
		t.Errorf("a device that is gone is asked for again: %s", r.Stats().Mode)
	}
	if _, ok := r.watched[gone.Managed[0].ID.String()]; ok {
		t.Error("a device that is gone is still watched")
	}
}

// TestSilentRecoveryFailsInPart: a device that Intune does not tell about, and a record
// that cannot be read, are counted and asked for again.
func TestSilentRecoveryFailsInPart(t *testing.T) {
	t.Parallel()
	r := connect(t, emulator.Options{}, Options{})
	bad, wiped := r.find(t, emulator.CaseNoncompliant), r.find(t, emulator.CaseWiped)
	r.sync(t)
	r.silently(bad, func(m *emulator.Managed) { m.Compliance = "compliant" })
	r.silently(wiped, func(m *emulator.Managed) { m.State = "wipeCanceled" })
	r.ms.Fail("graph/managedDevice", emulator.Fault{Kind: emulator.Status, Status: 403, Count: 1})
	r.ms.Fail("graph/managedDevice", emulator.Fault{Kind: emulator.Garbage, Count: 1})
	sweep := source.NewSweep(0)
	if err := r.Sync(t.Context(), sweep); !errors.Is(err, source.ErrUnchanged) {
		t.Errorf("Sync = %v", err)
	}
	if n, rows := sweep.BadRows(); n != 1 || r.Stats().Bad != 1 {
		t.Errorf("%d bad records, want 1: %v", n, rows)
	}
	if n := r.Stats().Refused["devices that are no longer listed as bad"]; n != 1 {
		t.Errorf("refused %v", r.Stats().Refused)
	}
	table := r.sync(t)
	if table == nil {
		t.Fatal("the poll after it found nothing")
	}
	if b, w := verdict(t, table, bad), verdict(t, table, wiped); b.Compliance != decision.Compliant || w.Lifecycle != decision.LifecycleActive {
		t.Errorf("after it: %s, %s", b.Compliance, w.Lifecycle)
	}
	if st := r.Stats(); st.Mode != modeChanges || st.Refused["devices that are no longer listed as bad"] != 1 {
		t.Errorf("mode %s, refused %v", st.Mode, st.Refused)
	}
}

// TestSilentRecoveryOfMany: a poll asks for twenty devices, and for the others later.
func TestSilentRecoveryOfMany(t *testing.T) {
	t.Parallel()
	r := start(t, emulator.Options{Devices: 200}, Options{})
	var many []*emulator.Device
	for _, d := range r.ms.Devices() {
		if len(d.Managed) == 1 && d.Managed[0].Compliance == "compliant" && d.Managed[0].State == "managed" && time.Since(d.Managed[0].LastSync) > time.Hour && len(many) < 2*maxRecovered+5 {
			many = append(many, d)
			r.silently(d, func(m *emulator.Managed) { m.Compliance = "noncompliant" })
		}
	}
	r.sync(t)
	for _, d := range many {
		r.silently(d, func(m *emulator.Managed) { m.Compliance = "compliant" })
	}
	for i, want := range []int{maxRecovered, 2 * maxRecovered, len(many)} {
		table, n := r.sync(t), 0
		if table == nil {
			t.Fatalf("poll %d found nothing", i+1)
		}
		for _, d := range many {
			if verdict(t, table, d).Compliance == decision.Compliant {
				n++
			}
		}
		if n != want {
			t.Errorf("after poll %d: %d of %d devices are compliant, want %d", i+1, n, len(many), want)
		}
	}
}

// TestNotFoundOnce: records that complete listings have as bad, that no list of bad news
// has and that nobody finds by their id lead to one complete listing and not to one after
// the other.
func TestNotFoundOnce(t *testing.T) {
	t.Parallel()
	r := start(t, emulator.Options{}, Options{})
	bad := r.find(t, emulator.CaseNoncompliant)
	r.sync(t)
	watching := len(r.watched)
	if watching == 0 || watching > maxRecovered {
		t.Fatalf("%d records are watched at the start, want 1 to %d", watching, maxRecovered)
	}
	r.lossy.hide.Store(true)
	back := r.ms.Fail("graph/managedDevice", emulator.Fault{Kind: emulator.Status, Status: 404})
	polls := func(n int) (complete, asked int) {
		before := r.ms.Calls()["graph/managedDevice"]
		for range n {
			r.sync(t)
			if r.Stats().Mode != modeChanges {
				complete++
			}
		}
		return complete, r.ms.Calls()["graph/managedDevice"] - before
	}
	if complete, asked := polls(8); complete != 1 || asked != watching {
		t.Errorf("%d complete listings and %d questions in 8 polls, want 1 and %d", complete, asked, watching)
	}
	if got := len(r.watched); got != watching {
		t.Errorf("%d records are watched, want still %d", got, watching)
	}
	// A complete listing that is due changes nothing about that, but asks again.
	due := func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.lastFull = r.lastFull.Add(-r.o.FullSweep)
	}
	due()
	if complete, asked := polls(8); complete != 1 || asked != watching {
		t.Errorf("after a listing that was due: %d complete listings and %d questions in 8 polls, want 1 and %d", complete, asked, watching)
	}
	// Who is back, and bad, is looked after as before.
	back()
	r.lossy.hide.Store(false)
	if complete, asked := polls(2); complete != 0 || asked != 0 {
		t.Errorf("listed again: %d complete listings and %d questions", complete, asked)
	}
	r.silently(bad, func(m *emulator.Managed) { m.Compliance = "compliant" })
	if table := r.sync(t); table == nil || verdict(t, table, bad).Compliance != decision.Compliant {
		t.Error("who is good again after it is not noticed")
	}
}

// TestWatchedNotFound: a look-up that does not find a watched record asks for a complete
// listing once too, and for one about any other record whenever it finds none.
func TestWatchedNotFound(t *testing.T) {
	w := watched{"a": {absent: present}, "b": {absent: stillGone}}
	for i, tt := range []struct {
		id   string
		news bool
	}{{"a", true}, {"a", false}, {"b", false}, {"other", true}, {"other", true}} {
		if got := w.missing(tt.id); got != tt.news {
			t.Errorf("%d: %s is not found: news %t, want %t", i, tt.id, got, tt.news)
		}
	}
	w.seen("a")
	w.seen("other")
	if !w.missing("a") || len(w) != 2 {
		t.Errorf("found and lost again is no news: %v", w)
	}
	watched(nil).seen("a")
	if !watched(nil).missing("a") {
		t.Error("what nobody watches is no news")
	}
}

// TestSilentRecoveryOfStops: while nobody knows all noncompliant devices, what a poll
// still knows completely counts: who is about to be wiped or retired.
func TestSilentRecoveryOfStops(t *testing.T) {
	t.Parallel()
	pass := emulator.Fault{Kind: emulator.Slow, Delay: time.Millisecond, Count: 1}
	refuse := emulator.Fault{Kind: emulator.Status, Status: 400, Count: 1}
	for name, tt := range map[string]struct {
		devices int
		prepare func(r rig)
		stops   bool // the list of stops is complete
	}{
		"too many": {maxFailing + 50, func(r rig) {
			all := r.ms.Devices()
			r.ms.Update(func(*emulator.Fleet) {
				for _, d := range all {
					for _, m := range d.Managed {
						m.Compliance, m.LastSync = "noncompliant", m.LastSync.Add(time.Second) // no check-in
					}
				}
			})
		}, true},
		"too many before": {0, func(r rig) { r.skipFailing = true }, true},
		"noncompliant refused": {0, func(r rig) {
			for _, f := range []emulator.Fault{pass, pass, refuse} {
				r.ms.Fail(listRoute, f)
			}
		}, true},
		"stops refused": {0, func(r rig) {
			r.ms.Fail(listRoute, pass)
			r.ms.Fail(listRoute, refuse)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := connect(t, emulator.Options{Devices: tt.devices}, Options{})
			bad, wiped := r.find(t, emulator.CaseNoncompliant), r.find(t, emulator.CaseWiped)
			r.sync(t)
			tt.prepare(r)
			r.silently(bad, func(m *emulator.Managed) { m.Compliance = "compliant" })
			r.silently(wiped, func(m *emulator.Managed) { m.State, m.Compliance = "wipeCanceled", "compliant" })
			table, batches := r.sync(t), r.ms.Calls()["graph/batch"]
			if !tt.stops {
				if table != nil || batches != 0 {
					t.Errorf("%d batches although no list is complete", batches)
				}
				return
			}
			if table == nil {
				t.Fatal("the poll found nothing")
			}
			if v := verdict(t, table, wiped); v.Lifecycle != decision.LifecycleActive {
				t.Errorf("wipe cancelled: %s", v.Lifecycle)
			}
			if v := verdict(t, table, bad); v.Compliance != decision.NonCompliant {
				t.Errorf("not in a list that is not complete: %s", v.Compliance)
			}
			if st := r.Stats(); st.Mode != modeChanges || batches != 1 {
				t.Errorf("mode %s, %d batches", st.Mode, batches)
			}
		})
	}
}

// TestWatched: a record is watched for each list that its last word puts it in.
func TestWatched(t *testing.T) {
	t.Parallel()
	var w watched
	for _, tt := range []struct {
		compliance decision.Compliance
		lifecycle  decision.Lifecycle
		outdated   bool
		want       watch
	}{
		{compliance: decision.Compliant, lifecycle: decision.LifecycleActive},
		{compliance: decision.NonCompliant, want: watchCompliance},
		{compliance: decision.Compliant, outdated: true, want: watchCompliance},
		{compliance: decision.NonCompliant, lifecycle: decision.LifecycleWiping, want: watchCompliance | watchStop},
		{compliance: decision.Compliant, lifecycle: decision.LifecycleRetiring, want: watchStop},
		{compliance: decision.NonCompliant, outdated: true, want: watchStop},
		{compliance: decision.ComplianceUnknown},
		{compliance: decision.NonCompliant, outdated: true},
	} {
		var v decision.Verdict
		v.Keys = []decision.Key{{Kind: decision.KindIntune, Value: "a"}}
		v.Compliance, v.Lifecycle = tt.compliance, tt.lifecycle
		if w.note(&v, tt.outdated); w["a"].lists != tt.want || len(w) > 0 && tt.want == 0 {
			t.Errorf("%s, %s, outdated %t: %b, want %b", tt.compliance, tt.lifecycle, tt.outdated, w["a"].lists, tt.want)
		}
	}
}

// TestSilentRecoveryBesideLookup: what a look-up brought while a poll is under way is
// newer than the poll's lists, which do not have the device, and its batch.
func TestSilentRecoveryBesideLookup(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		after   int // lists of the poll; 0: the batch
		batches int
	}{
		"before the batch": {after: 3, batches: 0},
		"during the batch": {batches: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := start(t, emulator.Options{}, Options{})
			bad := r.find(t, emulator.CaseNoncompliant)
			r.sync(t)
			at := bad.Managed[0].LastSync
			r.silently(bad, func(m *emulator.Managed) { m.Compliance = "compliant" })
			asked := false
			lookup := func() {
				asked = true
				r.ms.Update(func(*emulator.Fleet) { // its date does not say that it is newer
					m := bad.Managed[0]
					m.Compliance, m.Threat, m.LastSync = "noncompliant", "mediumSeverity", at
				})
				own := decision.Key{Kind: decision.KindIntune, Value: bad.Managed[0].ID.String()}
				if v, err := r.Lookup(t.Context(), own); err != nil || v.Compliance != decision.NonCompliant {
					t.Errorf("Lookup = %s, %v", v.Compliance, err)
				}
			}
			if tt.after == 0 {
				r.lossy.late.Store(&lookup)
			} else {
				lists := 0
				var count func()
				count = func() {
					if lists++; lists == tt.after {
						lookup()
						return
					}
					r.lossy.hook.Store(&count)
				}
				r.lossy.hook.Store(&count)
			}
			table := r.sync(t)
			if !asked || table == nil {
				t.Fatalf("asked %t, emitted %t", asked, table != nil)
			}
			if v := verdict(t, table, bad); v.Compliance != decision.NonCompliant {
				t.Errorf("the poll overwrote the look-up: %s", v.Compliance)
			}
			if n := r.ms.Calls()["graph/batch"]; n != tt.batches {
				t.Errorf("%d batches, want %d", n, tt.batches)
			}
		})
	}
}
