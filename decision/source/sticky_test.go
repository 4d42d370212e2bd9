package source

import (
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// worst sets every fact to a bad value that a policy or a hard stop refuses.
func worst(v *decision.Verdict) {
	v.Compliance, v.Lifecycle, v.Trust, v.Ownership = decision.NonCompliant, decision.LifecycleWiping, decision.TrustNone, decision.Personal
	v.Risk, v.Exposure = decision.LevelCompromised, decision.LevelHigh
	for _, t := range []*decision.Tri{
		&v.Managed, &v.Enabled, &v.Encrypted, &v.Updated, &v.Apps, &v.Antivirus, &v.Firewall, &v.SecureBoot, &v.Supervised,
	} {
		*t = decision.No
	}
	v.Jailbroken, v.Malware = decision.Yes, decision.Yes
}

// keepAll is the keeping of a service that can report everything.
var keepAll = newKeeping(decision.AllFacts, decision.AuthorityManagement)

// silent leaves a device of which the source says nothing but who it is.
func silent(v *decision.Verdict) {
	v.Device = decision.Device{Keys: v.Keys, Name: v.Name, LastCheckIn: v.LastCheckIn, EvaluatedAt: v.EvaluatedAt}
}

func one(n int, change ...func(*decision.Verdict)) decision.Verdict {
	v := healthy(n)
	for _, f := range change {
		f(&v)
	}
	return v
}

// flawless is a device about which nothing bad is said, not even that it is not
// supervised.
func flawless(n int) decision.Verdict {
	return one(n, func(v *decision.Verdict) { v.Supervised = decision.Yes })
}

// stickyFacts are the facts of a device that may be kept.
func stickyFacts(d *decision.Device) (word uint64) {
	for i := range fields {
		if sticky&(1<<i) != 0 {
			word = fields[i].with(word, fields[i].get(d))
		}
	}
	return word
}

func wiping(v *decision.Verdict) { v.Lifecycle = decision.LifecycleWiping }
func unreadable(v *decision.Verdict) { // as a decoder reports a word that is new
	v.Lifecycle, v.Unreadable = decision.LifecycleUnknown, decision.Facts(decision.FactLifecycle)
}

// TestKeep: every bad value outlives an unknown one, and none outlives another word.
func TestKeep(t *testing.T) {
	for i := range fields {
		f := &fields[i]
		for old := uint8(0); old <= f.top; old++ {
			for now := uint8(0); now <= f.top; now++ {
				if len(f.rank) == 0 {
					continue
				}
				want := now
				if now == 0 && f.bad(old) && sticky&(1<<i) != 0 {
					want = old
				}
				word, kept := keep(f.with(0, old), f.with(0, now), sticky)
				if got := f.in(word); got != want {
					t.Errorf("%s: %d after %d is %d, want %d", f.name, now, old, got, want)
				}
				if (kept != 0) != (want != now) {
					t.Errorf("%s: %d after %d: kept %b", f.name, now, old, kept)
				}
			}
		}
	}
	if word, kept := keep(pack(&decision.Device{Jailbroken: decision.Yes}), 0, 0); word != 0 || kept != 0 {
		t.Error("a source keeps what it cannot report")
	}
	// The names of the facts that are kept: a new fact must be thought about.
	got := factsOf(sticky)
	want := decision.AllFacts &^ decision.Facts(decision.FactOS, decision.FactOwner, decision.FactCheckIn, decision.FactSensor,
		decision.FactUserEnabled, decision.FactUserRisk)
	if got != want {
		t.Errorf("kept facts %b, want %b", got, want)
	}
}

// TestKeptLevelIsAFloor: what a source does not say any more passes no limit.
func TestKeptLevelIsAFloor(t *testing.T) {
	d, old := decision.Device{Unreadable: decision.Facts(decision.FactRisk, decision.FactOS)}, decision.Device{Risk: decision.LevelMedium}
	if !keepFacts(&d, &old, keepAll) || d.Risk != decision.LevelMedium || !d.RiskFloor {
		t.Errorf("kept %s, floor %t", d.Risk, d.RiskFloor)
	}
	if d.Unreadable != decision.Facts(decision.FactOS, decision.FactRisk) { // it may be worse than what is kept
		t.Errorf("unreadable %b", d.Unreadable)
	}
	low := decision.Device{Risk: decision.LevelLow}
	if d := (decision.Device{}); keepFacts(&d, &low, keepAll) {
		t.Errorf("good news is kept: %s", d.Risk)
	}
	failing := decision.Device{Compliance: decision.NonCompliant, Settings: []decision.Setting{{Name: "BitLocker"}}}
	if d := (decision.Device{}); !keepFacts(&d, &failing, keepAll) || len(d.Settings) != 1 {
		t.Errorf("why it is noncompliant is lost: %+v", d)
	}
}

// TestStickySweeps drives a runner through sweeps and looks at one device.
func TestStickySweeps(t *testing.T) {
	bad, gone := one(0, worst), one(0, silent)
	twin := one(0, silent)
	twin.Keys = []decision.Key{twin.Keys[0], entra(777)}
	for _, tc := range []struct {
		name  string
		off   bool
		sweep [][]decision.Verdict // device 0, and more; nil: unchanged
		want  func(*decision.Verdict)
		kept  int
	}{
		{"bad, silent", false, [][]decision.Verdict{{bad}, {gone}}, worst, 1},
		{"guards off", true, [][]decision.Verdict{{bad}, {gone}}, worst, 1},
		{"bad, silent for long", false, [][]decision.Verdict{{bad}, {gone}, {gone}, nil, {gone}}, worst, 1},
		{"bad, silent, good", false, [][]decision.Verdict{{bad}, {gone}, {flawless(0)}}, nil, 0},
		{"bad, silent, good, silent", false, [][]decision.Verdict{{bad}, {gone}, {flawless(0)}, {gone}}, silent, 0},
		{"bad, good", false, [][]decision.Verdict{{bad}, {flawless(0)}}, nil, 0},
		{"bad, silent, bad", false, [][]decision.Verdict{{bad}, {gone}, {bad}}, worst, 0},
		{"good, silent", false, [][]decision.Verdict{{flawless(0)}, {gone}}, silent, 0},
		{"two records, then one", false, [][]decision.Verdict{{bad}, {gone, twin}, {gone}}, worst, 1},
		{"two records, then the other", false, [][]decision.Verdict{{bad}, {gone, twin}, {twin}}, worst, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
				src := &lister{}
				r := run(src, RunnerOptions{Guards: Guards{Off: tc.off}})
				for _, devices := range tc.sweep {
					src.set(func(f *fake) {
						f.err = ErrUnchanged
						if devices != nil {
							f.err, f.devices = nil, append(devices, fleet(30, nil)[1:]...)
						}
					})
					if err := r.SyncNow(t.Context()); err != nil {
						t.Fatal(err)
					}
					pass(time.Minute)
				}
				want := flawless(0)
				if tc.want != nil {
					tc.want(&want)
				}
				m := r.Find([]decision.Key{want.Keys[0]})
				if m.Verdict == nil {
					t.Fatalf("not found: %+v", m)
				}
				if got, exp := stickyFacts(&m.Verdict.Device), stickyFacts(&want.Device); got != exp {
					t.Errorf("facts %x, want %x", got, exp)
				}
				if s := r.Status(); s.Kept != tc.kept {
					t.Errorf("kept %d, want %d", s.Kept, tc.kept)
				}
			})
		})
	}
}

// TestDoubleRecordLiftsNothing: while an own id is on two rows, the row that is still
// found by another id is no better than before.
func TestDoubleRecordLiftsNothing(t *testing.T) {
	twin := one(0, silent)
	twin.Keys = []decision.Key{twin.Keys[0], entra(777)}
	fresh := build(t, one(0, unreadable), twin)
	old := build(t, one(0, wiping))
	survey(old, fresh, old.facts, keepAll)
	row, ok := fresh.Find(entra(0))
	if v := fresh.Verdict(row); !ok || v.Lifecycle != decision.LifecycleWiping || v.Unreadable != 0 {
		t.Errorf("the same record beside a double is %s (%t)", v.Lifecycle, ok)
	}
	row, ok = fresh.Find(entra(777))
	if v := fresh.Verdict(row); !ok || v.Lifecycle != decision.LifecycleUnknown {
		t.Errorf("the double, which was never bad, is %s (%t)", v.Lifecycle, ok)
	}
	if !fresh.Ambiguous(intune(0)) {
		t.Error("the id of both finds one")
	}
}

// TestSilenceIsNoGoodNews: a listing whose words nobody can read is not held as good
// news either, for it changes nothing.
func TestSilenceIsNoGoodNews(t *testing.T) {
	old := build(t, fleet(100, noncompliantAll)...)
	fresh := build(t, fleet(100, func(_ int, v *decision.Verdict) { v.Compliance = decision.ComplianceUnknown })...)
	p := Guards{}.withDefaults().plan(old, survey(old, fresh, old.facts, keepAll))
	if p.holds() || p.good != 0 || p.bad != 0 {
		t.Errorf("news %+v, %s", p.news, p.why)
	}
	if fresh.keptRows != 100 || fresh.complianceCounts()["noncompliant"] != 100 {
		t.Errorf("%d kept, %v", fresh.keptRows, fresh.complianceCounts())
	}
}

// TestStickyAndHeldChange: bad news in a change that waits for an operator outlives a
// later sweep that is silent, and is there when the change is accepted.
func TestStickyAndHeldChange(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &lister{fake{devices: fleet(100, nil)}}
		r := run(src, RunnerOptions{})
		sync := func(devices []decision.Verdict) {
			t.Helper()
			src.set(func(f *fake) { f.devices = devices })
			if err := r.SyncNow(t.Context()); err != nil {
				t.Fatal(err)
			}
			pass(time.Minute)
		}
		sync(fleet(100, nil))
		sync(fleet(100, noncompliantAll)) // too much bad news at once: held
		sync(fleet(100, func(_ int, v *decision.Verdict) { v.Compliance = decision.ComplianceUnknown }))
		h := r.Status().Held
		if h == nil {
			t.Fatal("nothing is held")
		}
		if err := r.Accept(t.Context(), h.ID); err != nil {
			t.Fatal(err)
		}
		if v := r.Find([]decision.Key{entra(5)}).Verdict; v.Compliance != decision.NonCompliant {
			t.Errorf("accepted: %s", v.Compliance)
		}
		if s := r.Status(); s.Kept != 100 {
			t.Errorf("kept %d", s.Kept)
		}
	})
}

// TestKeptBesideHeldRows: a table that a guard made keeps what the sweep did.
func TestKeptBesideHeldRows(t *testing.T) {
	old := fleet(100, func(i int, v *decision.Verdict) {
		if i < 40 {
			noncompliant(v)
		}
		if i == 60 || i == 61 {
			wiping(v)
		}
	})
	fresh := fleet(100, func(i int, v *decision.Verdict) {
		if i == 60 {
			unreadable(v)
		}
	})
	table, held := apply(t, old, fresh)
	if v := at(t, table, 60); v.Lifecycle != decision.LifecycleWiping || v.Unreadable != 0 || table.keptRows != 1 {
		t.Errorf("%s, unreadable %b, %d rows kept, held %+v", v.Lifecycle, v.Unreadable, table.keptRows, held)
	}
}

// TestStickyLookups mixes listings and single look-ups of one device.
func TestStickyLookups(t *testing.T) {
	bad, gone, good := one(0, worst), one(0, silent), flawless(0)
	type step struct {
		how string // sweep, without (it), ask, unchanged or restart
		say decision.Verdict
	}
	for _, tc := range []struct {
		name  string
		lists bool
		steps []step
		want  decision.Verdict
	}{
		{"look-up over listing", true, []step{{"sweep", bad}, {"ask", gone}}, bad},
		{"good look-up over listing", true, []step{{"sweep", bad}, {"ask", good}}, good},
		{"look-up over look-up", true, []step{{"sweep", gone}, {"ask", bad}, {"ask", gone}}, bad},
		{"without a listing", false, []step{{"ask", bad}, {"ask", gone}}, bad},
		{"without a listing, lifted", false, []step{{"ask", bad}, {"ask", gone}, {"ask", good}}, good},
		{"listing over look-up", true, []step{{"sweep", good}, {"ask", bad}, {"sweep", gone}}, bad},
		{"good listing over look-up", true, []step{{"sweep", good}, {"ask", bad}, {"sweep", good}}, good},
		{"look-up lifts what is kept", true, []step{{"sweep", bad}, {"sweep", gone}, {"ask", good}, {"sweep", gone}}, gone},
		{"look-up lifts what was listed", true, []step{{"sweep", bad}, {"ask", good}, {"sweep", gone}}, gone},
		{"lifted, then silent", true, []step{{"sweep", bad}, {"ask", good}, {"ask", gone}, {"sweep", gone}}, gone},
		{"listed after a look-up", true, []step{{"without", gone}, {"ask", bad}, {"sweep", gone}}, bad},
		{"unchanged confirms silence", true, []step{{"sweep", gone}, {"ask", bad}, {"unchanged", gone}}, bad},
		{"unchanged after good news", true, []step{{"sweep", bad}, {"sweep", gone}, {"ask", good}, {"unchanged", gone}}, gone},
		{"unchanged, then silent", true, []step{{"sweep", gone}, {"ask", bad}, {"unchanged", gone}, {"sweep", gone}}, bad},
		{"a listing that says so", true, []step{{"sweep", bad}, {"ask", good}, {"unchanged", bad}}, bad},
		{"restart", true, []step{{"sweep", bad}, {"restart", gone}}, bad},
		{"restart of what is kept", true, []step{{"sweep", bad}, {"sweep", gone}, {"restart", gone}}, bad},
		{"restart, look-up, unchanged", true, []step{{"sweep", bad}, {"sweep", gone}, {"restart", gone}, {"ask", good}, {"unchanged", gone}}, gone},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
				l, store := &lister{}, &memory{}
				o := RunnerOptions{Snapshot: store}
				var src Source = l
				if !tc.lists {
					src, o = &l.fake, RunnerOptions{}
				}
				r := run(src, o)
				for i, s := range tc.steps {
					l.set(func(f *fake) { f.err, f.devices = nil, append(fleet(30, nil)[1:], s.say) })
					var err error
					switch s.how {
					case "ask":
						err = r.Refresh(t.Context(), s.say.Keys[1])
					case "unchanged":
						l.set(func(f *fake) { f.err = ErrUnchanged })
						err = r.SyncNow(t.Context())
					case "without":
						l.set(func(f *fake) { f.devices = fleet(30, nil)[1:] })
						err = r.SyncNow(t.Context())
					case "restart":
						r.Stop()
						r = run(src, o)
						err = r.Load(t.Context())
					default:
						err = r.SyncNow(t.Context())
					}
					if err != nil {
						t.Fatalf("step %d: %v", i, err)
					}
					pass(time.Minute)
				}
				for _, k := range tc.want.Keys[:2] {
					m := r.Find([]decision.Key{k})
					if m.Verdict == nil {
						t.Fatalf("by %s: not found", k.Kind)
					}
					got, want := stickyFacts(&m.Verdict.Device), stickyFacts(&tc.want.Device)
					if got != want {
						t.Errorf("by %s: facts %x, want %x", k.Kind, got, want)
					}
				}
			})
		})
	}
}

// TestNewerLookupIsNotLifted: a look-up that is newer than a sweep, and silent, does
// not hide the bad news that the sweep brings.
func TestNewerLookupIsNotLifted(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &lister{fake{devices: fleet(30, nil)}}
		r := run(src, RunnerOptions{})
		if err := r.SyncNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		pass(time.Minute)
		src.set(func(f *fake) { f.devices[3] = one(3, unreadable) })
		if err := r.Refresh(t.Context(), entra(3)); err != nil {
			t.Fatal(err)
		}
		listed := NewSweep(100)
		for i := range 30 {
			v := healthy(i)
			if i == 3 {
				wiping(&v)
			}
			listed.Device(v)
		}
		if _, err := r.take(listed, began.Add(time.Second)); err != nil { // it began before the look-up
			t.Fatal(err)
		}
		for _, k := range healthy(3).Keys[:2] {
			if v := r.Find([]decision.Key{k}).Verdict; v.Lifecycle != decision.LifecycleWiping {
				t.Errorf("by %s: %s", k.Kind, v.Lifecycle)
			}
		}
	})
}

// TestStickyNotReportable: who takes a fact out of the configuration is rid of it.
func TestStickyNotReportable(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		store := &memory{}
		src := &lister{fake{devices: append(fleet(30, nil)[1:], one(0, worst))}}
		r := run(src, RunnerOptions{Snapshot: store})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Stop()
		src.set(func(f *fake) { f.devices[29] = one(0, silent) })
		r = run(&narrow{src}, RunnerOptions{Snapshot: store})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		v := r.Find([]decision.Key{entra(0)}).Verdict
		if v.Compliance != decision.NonCompliant || v.Jailbroken != decision.Unknown {
			t.Errorf("compliance %s, jailbroken %s", v.Compliance, v.Jailbroken)
		}
	})
}

// narrow is a source that can report compliance alone.
type narrow struct{ *lister }

func (*narrow) Facts() decision.FactSet { return decision.Facts(decision.FactCompliance) }

func TestStickyUsers(t *testing.T) {
	name := "ann@corp.example"
	bad := decision.UserRecord{ObjectID: guid(1, 1), UPN: name, Enabled: decision.No, Compromised: decision.Yes, Risk: decision.LevelMedium}
	blank := decision.UserRecord{ObjectID: guid(1, 1), UPN: name}
	other := decision.UserRecord{ObjectID: guid(1, 2), UPN: name, Enabled: decision.Yes, Risk: decision.LevelNone, Compromised: decision.No}
	byName := decision.UserRecord{UPN: name, Enabled: decision.No}
	kept := bad // a level that is kept is the least that it can be
	kept.RiskFloor = true
	unread := blank
	unread.Unreadable = decision.Facts(decision.FactUserEnabled, decision.FactUserRisk)
	good := decision.UserRecord{ObjectID: guid(1, 1), UPN: name, Enabled: decision.Yes, Compromised: decision.No, Risk: decision.LevelNone}
	halfRead := good
	halfRead.Enabled, halfRead.RiskFloor, halfRead.Unreadable = decision.Unknown, true, decision.Facts(decision.FactUserEnabled)
	nobody := decision.UserRecord{}
	for _, tc := range []struct {
		name       string
		old, fresh []decision.UserRecord
		byID       decision.UserRecord // of the first person
		byName     decision.UserRecord
	}{
		{"silent", []decision.UserRecord{bad}, []decision.UserRecord{blank}, kept, kept},
		{"unreadable", []decision.UserRecord{bad}, []decision.UserRecord{unread}, kept, kept},
		{"good, then unreadable", []decision.UserRecord{good}, []decision.UserRecord{unread}, unread, unread},
		{"unreadable in one of two records", nil, []decision.UserRecord{good, unread}, halfRead, halfRead},
		{"another word", []decision.UserRecord{bad}, []decision.UserRecord{good}, good, good},
		{"good stays not", []decision.UserRecord{good}, []decision.UserRecord{blank}, blank, blank},
		{"low risk stays not", []decision.UserRecord{{ObjectID: guid(1, 1), Risk: decision.LevelLow}}, []decision.UserRecord{blank}, blank, blank},
		{"a new person of that name", []decision.UserRecord{bad}, []decision.UserRecord{other}, nobody, other},
		{"by name alone", []decision.UserRecord{byName}, []decision.UserRecord{{UPN: name}}, nobody, byName},
		{"two of one name", []decision.UserRecord{bad}, []decision.UserRecord{blank, other}, kept, decision.UserRecord{UPN: name, Enabled: decision.No, Compromised: decision.Yes, Risk: decision.LevelMedium, RiskFloor: true}},
		{"two of one name, lifted", []decision.UserRecord{bad}, []decision.UserRecord{good, other}, good, decision.UserRecord{UPN: name, Enabled: decision.Yes, Compromised: decision.No, Risk: decision.LevelNone}},
		{"no longer listed", []decision.UserRecord{bad}, []decision.UserRecord{{ObjectID: guid(1, 9)}}, nobody, nobody},
	} {
		t.Run(tc.name, func(t *testing.T) {
			old, fresh := users(t, tc.old...), users(t, tc.fresh...)
			fresh.keepUsers(old, keepAll)
			if got, _ := fresh.User(guid(1, 1), ""); got != tc.byID {
				t.Errorf("by id: %+v, want %+v", got, tc.byID)
			}
			if got, _ := fresh.User("", name); got != tc.byName {
				t.Errorf("by name: %+v, want %+v", got, tc.byName)
			}
			again := users(t, tc.fresh...)
			again.keepUsers(old, keepAll)
			if !again.same(fresh) {
				t.Error("the same sweep twice is not the same")
			}
			copied := NewBuilder(10)
			for u := range fresh.AllUsers() {
				if err := copied.AddUser(&u); err != nil {
					t.Fatal(err)
				}
			}
			rebuilt, err := copied.Build()
			if err != nil || rebuilt.sum != fresh.sum {
				t.Errorf("the sum does not follow the content: %v", err)
			}
		})
	}
}

// TestStickyUsersOfARunner: the same through sweeps and a restart.
func TestStickyUsersOfARunner(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src, store := &lister{}, &memory{}
		r := run(src, RunnerOptions{Snapshot: store})
		for i, tc := range []struct{ say, want decision.Tri }{
			{decision.No, decision.No},
			{decision.Unknown, decision.No},
			{decision.Unknown, decision.No},
			{decision.Yes, decision.Yes},
			{decision.Unknown, decision.Unknown},
		} {
			src.set(func(f *fake) { f.users = []decision.UserRecord{{ObjectID: guid(1, 1), Enabled: tc.say}} })
			if err := r.SyncNow(t.Context()); err != nil {
				t.Fatal(err)
			}
			pass(time.Minute)
			if u := r.user(guid(1, 1), ""); u == nil || u.Enabled != tc.want {
				t.Errorf("sweep %d: %+v, want enabled %s", i, u, tc.want)
			}
			if i == 1 {
				r.Stop()
				r = run(src, RunnerOptions{Snapshot: store})
				r.restore()
			}
		}
	})
}

// TestSumFollowsFacts: a row that was changed has the sum of one that was read so.
func TestSumFollowsFacts(t *testing.T) {
	a, b := build(t, one(1, noncompliant), healthy(2)), build(t, healthy(1), healthy(2))
	row, _ := b.Find(intune(1))
	b.set(row, a.facts[row], 0)
	if a.sum != b.sum || !a.same(b) {
		t.Error("the sum does not follow the facts")
	}
	b.set(row, b.facts[row], 1)
	if a.same(b) || b.keptRows != 1 {
		t.Error("what is kept is not told from what is said")
	}
	b.set(row, b.facts[row], 0)
	if !a.same(b) {
		t.Error("the sum does not come back")
	}
}
