package source

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// only is a directory of one runner.
func only(r *Runner) *Directory { return NewDirectory([]*Runner{r}, DirectoryOptions{}) }

// forgetOne forgets a device at the only source, which must have it.
func forgetOne(t *testing.T, r *Runner, key decision.Key) Kept {
	t.Helper()
	before := only(r).Kept(identity(key))[0]
	got, err := only(r).Forget(key, "")
	if err != nil || len(got) != 1 {
		t.Fatalf("Forget by %s: %+v, %v", key.Kind, got, err)
	}
	if got[0] != before {
		t.Errorf("forgotten %+v, but before it was shown as %+v", got[0], before)
	}
	if again, err := only(r).Forget(key, ""); err == nil && again[0].Any() {
		t.Errorf("forgotten again: %+v", again)
	}
	return got[0]
}

// factsAt are the facts that are found by an id, and none if nothing is found.
func factsAt(r *Runner, key decision.Key) (word uint64) {
	if m := r.Find([]decision.Key{key}); m.Verdict != nil {
		word = stickyFacts(&m.Verdict.Device)
	}
	return word
}

// TestForget: what a source says itself counts after it, and nothing of what was kept;
// after a sweep and a restart, too.
func TestForget(t *testing.T) {
	bad, gone, good := one(0, worst), one(0, silent), flawless(0)
	type step struct {
		how string // sweep, ask, unchanged or restart
		say decision.Verdict
	}
	for _, tc := range []struct {
		name  string
		lists bool
		steps []step
		key   decision.Key
		any   bool
		want  decision.Verdict
		after []step
		then  decision.Verdict
	}{
		{"kept", true, []step{{"sweep", bad}, {"sweep", gone}}, entra(0), true, gone, []step{{"sweep", gone}}, gone},
		{"by the own id", true, []step{{"sweep", bad}, {"sweep", gone}}, intune(0), true, gone, nil, gone},
		{"by the serial number", true, []step{{"sweep", bad}, {"sweep", gone}}, serial(0), true, gone, nil, gone},
		{"then unchanged", true, []step{{"sweep", bad}, {"sweep", gone}}, entra(0), true, gone, []step{{"unchanged", gone}}, gone},
		{"then asked", true, []step{{"sweep", bad}, {"sweep", gone}}, entra(0), true, gone, []step{{"ask", gone}}, gone},
		{"then bad again", true, []step{{"sweep", bad}, {"sweep", gone}}, entra(0), true, gone, []step{{"sweep", bad}}, bad},
		{"then bad and silent again", true, []step{{"sweep", bad}, {"sweep", gone}}, entra(0), true, gone, []step{{"sweep", bad}, {"sweep", gone}}, bad},
		{"then restarted", true, []step{{"sweep", bad}, {"sweep", gone}}, entra(0), true, gone, []step{{"restart", gone}}, gone},
		{"restarted before", true, []step{{"sweep", bad}, {"sweep", gone}, {"restart", gone}}, entra(0), true, gone, []step{{"restart", gone}}, gone},
		{"said", true, []step{{"sweep", bad}}, entra(0), false, bad, []step{{"restart", bad}}, bad},
		{"nothing bad", true, []step{{"sweep", good}}, entra(0), false, good, nil, good},
		{"said by a look-up", true, []step{{"sweep", gone}, {"ask", bad}}, entra(0), false, bad, nil, bad},
		{"said by a look-up over what was kept", true, []step{{"sweep", bad}, {"sweep", gone}, {"ask", bad}}, entra(0), true, bad, nil, bad},
		{"said by a look-up, then unchanged", true, []step{{"sweep", gone}, {"ask", bad}, {"unchanged", gone}}, entra(0), false, bad, []step{{"restart", bad}}, bad},
		{"said by a look-up, then unchanged and restarted", true, []step{{"sweep", gone}, {"ask", bad}, {"unchanged", gone}, {"restart", gone}}, entra(0), false, bad, nil, bad},
		{"said by a look-up over what was kept, then unchanged", true, []step{{"sweep", bad}, {"sweep", gone}, {"ask", bad}, {"unchanged", gone}}, entra(0), false, bad, nil, bad},
		{"said by a look-up, then unchanged, then lifted", true, []step{{"sweep", gone}, {"ask", bad}, {"unchanged", gone}}, entra(0), false, bad, []step{{"ask", good}, {"unchanged", gone}}, gone},
		{"said by a look-up, then silent", true, []step{{"sweep", gone}, {"ask", bad}, {"unchanged", gone}, {"sweep", gone}}, entra(0), true, gone, nil, gone},
		{"lifted by a look-up, then unchanged", true, []step{{"sweep", bad}, {"sweep", gone}, {"ask", good}, {"unchanged", gone}}, entra(0), false, gone, nil, gone},
		{"kept in a look-up", true, []step{{"sweep", gone}, {"ask", bad}, {"ask", gone}}, entra(0), true, gone, []step{{"sweep", gone}}, gone},
		{"kept in both", true, []step{{"sweep", bad}, {"sweep", gone}, {"ask", gone}}, entra(0), true, gone, []step{{"sweep", gone}}, gone},
		{"kept in both, then unchanged", true, []step{{"sweep", bad}, {"sweep", gone}, {"ask", gone}}, intune(0), true, gone, []step{{"unchanged", gone}}, gone},
		{"a look-up is silent, the listing is not", true, []step{{"sweep", bad}, {"ask", gone}}, entra(0), false, bad, nil, bad},
		{"lifted by a look-up", true, []step{{"sweep", bad}, {"sweep", gone}, {"ask", good}}, entra(0), true, good, []step{{"sweep", gone}}, gone},
		{"without a listing", false, []step{{"ask", bad}, {"ask", gone}}, entra(0), true, gone, []step{{"ask", gone}}, gone},
		{"without a listing, then bad", false, []step{{"ask", bad}, {"ask", gone}}, entra(0), true, gone, []step{{"ask", bad}}, bad},
		{"without a listing, said", false, []step{{"ask", bad}}, entra(0), false, bad, nil, bad},
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
				do := func(steps []step) {
					t.Helper()
					for i, s := range steps {
						l.set(func(f *fake) { f.err, f.devices = nil, append(fleet(30, nil)[1:], s.say) })
						var err error
						switch s.how {
						case "ask":
							err = r.Refresh(t.Context(), s.say.Keys[1])
						case "unchanged":
							l.set(func(f *fake) { f.err = ErrUnchanged })
							err = r.SyncNow(t.Context())
						case "restart":
							if store.body == nil {
								_ = r.save(false)
							}
							store = &memory{body: slices.Clone(store.body)} // as after a crash
							r = run(src, RunnerOptions{Snapshot: store})
							r.restore()
						default:
							err = r.SyncNow(t.Context())
						}
						if err != nil {
							t.Fatalf("step %d: %v", i, err)
						}
						pass(time.Minute)
					}
				}
				do(tc.steps)
				before := r.Generation()
				if got := forgetOne(t, r, tc.key); got.Any() != tc.any || got.Any() != (r.Generation() != before) {
					t.Errorf("forgotten %+v, want any %t; told %t", got, tc.any, r.Generation() != before)
				}
				for _, k := range healthy(0).Keys[:2] {
					if got, want := factsAt(r, k), stickyFacts(&tc.want.Device); got != want {
						t.Errorf("by %s: facts %x, want %x", k.Kind, got, want)
					}
				}
				if n := r.Status().Kept; n != 0 && tc.any { // else a look-up may keep what the listing says
					t.Errorf("%d kept", n)
				}
				do(tc.after)
				if got, want := factsAt(r, entra(0)), stickyFacts(&tc.then.Device); got != want {
					t.Errorf("later: facts %x, want %x", got, want)
				}
			})
		})
	}
}

// TestForgetNamesFacts: the answer names what was kept and nothing else, and an
// unreadable word is unreadable again.
func TestForgetNamesFacts(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &registry{}
		src.put(append(fleet(30, nil)[1:], one(0, wiping, noncompliant))...)
		r := run(src, RunnerOptions{})
		mustSync(t, r)
		src.put(append(fleet(30, nil)[1:], one(0, noncompliant, unreadable))...)
		mustSync(t, r)
		if got := forgetOne(t, r, entra(0)); got != (Kept{Source: "fake", Facts: decision.Facts(decision.FactLifecycle)}) {
			t.Errorf("forgotten %+v", got)
		}
		v := r.Find([]decision.Key{entra(0)}).Verdict
		if v.Lifecycle != decision.LifecycleUnknown || !v.Unreadable.Has(decision.FactLifecycle) || v.Compliance != decision.NonCompliant {
			t.Errorf("%s, %s, unreadable %b", v.Lifecycle, v.Compliance, v.Unreadable)
		}
		// The same in the answer of a look-up.
		src.put(append(fleet(30, nil)[1:], one(0, wiping))...)
		for _, change := range []func(*decision.Verdict){wiping, unreadable} {
			src.put(append(fleet(30, nil)[1:], one(0, change))...)
			if err := r.Refresh(t.Context(), entra(0)); err != nil {
				t.Fatal(err)
			}
			pass(time.Second)
		}
		forgetOne(t, r, intune(0))
		if v := r.Find([]decision.Key{entra(0)}).Verdict; v.Lifecycle != decision.LifecycleUnknown || !v.Unreadable.Has(decision.FactLifecycle) {
			t.Errorf("looked up: %s, unreadable %b", v.Lifecycle, v.Unreadable)
		}
	})
}

// TestForgetTombstone: by any id of the record that is gone, and for good.
func TestForgetTombstone(t *testing.T) {
	for _, key := range healthy(0).Keys {
		bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
			src, store := &registry{}, &memory{}
			rest := fleet(30, nil)[2:]
			src.put(append(rest, one(0, wiping), one(1, wiping))...)
			r := run(src, RunnerOptions{Snapshot: store})
			mustSync(t, r)
			src.put(rest...)
			mustSync(t, r)
			gone := r.Find([]decision.Key{key}).GoneSince
			got := forgetOne(t, r, key)
			if got.Facts != decision.Facts(decision.FactLifecycle) || got.GoneSince != gone || got.GoneUntil.Sub(gone) != time.Hour {
				t.Errorf("by %s: forgotten %+v, gone since %v", key.Kind, got, gone)
			}
			check := func(when string) {
				t.Helper()
				for _, k := range healthy(0).Keys {
					if m := r.Find([]decision.Key{k}); m.Verdict != nil || !m.Answered {
						t.Errorf("%s: by %s: %+v", when, k.Kind, m)
					}
				}
				if m := r.Find([]decision.Key{entra(1)}); m.GoneSince.IsZero() || r.Status().Gone != 1 {
					t.Errorf("%s: the other: %+v", when, m)
				}
			}
			check("at once")
			if _, err := only(r).Forget(key, ""); !errors.Is(err, ErrUnknownDevice) {
				t.Errorf("again: %v", err)
			}
			mustSync(t, r)
			check("after a sweep")
			r = run(src, RunnerOptions{Snapshot: store})
			r.restore()
			check("after a restart")
		})
	}
}

// TestForgetBesideOlderRecord: the stop of a record that is gone leaves the older one,
// whose own words come back at once, without a new listing.
func TestForgetBesideOlderRecord(t *testing.T) {
	for _, key := range []decision.Key{intune(77), entra(0), intune(0)} {
		bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
			src, o := &registry{}, RunnerOptions{Snapshot: &memory{}}
			rest := fleet(30, nil)[2:]
			src.put(append(rest, one(0, wiping))...)
			r := run(src, o)
			mustSync(t, r)
			src.put(append(rest, twin(77, -weeks))...)
			mustSync(t, r)
			if got := r.Find([]decision.Key{intune(77)}).Verdict.Lifecycle; got != decision.LifecycleWiping {
				t.Fatalf("before: %s", got)
			}
			sum := r.Table().sum
			if got := forgetOne(t, r, key); got.Facts != decision.Facts(decision.FactLifecycle) || got.GoneUntil.IsZero() {
				t.Errorf("forgotten %+v", got)
			}
			for _, again := range []string{"at once", "after a sweep"} {
				m := r.Find([]decision.Key{intune(77)})
				want := twin(77, -weeks)
				if m.Verdict == nil || stickyFacts(&m.Verdict.Device) != stickyFacts(&want.Device) {
					t.Errorf("%s: %+v", again, m.Verdict)
				}
				if s := r.Status(); s.Gone != 0 || s.Kept != 0 {
					t.Errorf("%s: %d gone, %d kept", again, s.Gone, s.Kept)
				}
				before := r.Generation()
				mustSync(t, r)
				if r.Generation() != before {
					t.Error("the same listing is a change: the sum is wrong")
				}
			}
			if r.Table().sum == sum {
				t.Error("the sum is that of before")
			}
			r = run(src, o)
			r.restore()
			if got := r.Find([]decision.Key{entra(0)}).Verdict.Lifecycle; got != decision.LifecycleActive {
				t.Errorf("after a restart: %s", got)
			}
		})
	}
}

// TestForgetStoppedLookup: the answer of a look-up about an older record, too.
func TestForgetStoppedLookup(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &registry{}
		rest := fleet(30, nil)[2:]
		src.put(append(rest, one(0, wiping))...)
		r := run(src, RunnerOptions{AskUnknown: true})
		mustSync(t, r)
		src.put(rest...)
		mustSync(t, r)
		src.put(append(rest, twin(77, -weeks))...)
		if err := r.Refresh(t.Context(), entra(0)); err != nil {
			t.Fatal(err)
		}
		if got := r.Find([]decision.Key{entra(0)}).Verdict.Lifecycle; got != decision.LifecycleWiping {
			t.Fatalf("before: %s", got)
		}
		if got := forgetOne(t, r, entra(0)); got.GoneUntil.IsZero() {
			t.Errorf("forgotten %+v", got)
		}
		if m := r.Find([]decision.Key{entra(0)}); m.Verdict == nil || m.Verdict.Lifecycle != decision.LifecycleActive || r.Status().Gone != 0 {
			t.Errorf("after: %+v", m.Verdict)
		}
	})
}

// TestForgetOneDeviceOnly: a serial number that several have names none of them, and
// one device leads to no other.
func TestForgetOneDeviceOnly(t *testing.T) {
	rest := fleet(30, nil)[3:]
	other := one(1, wiping)
	other.Keys[2] = serial(0)
	for _, tc := range []struct {
		name          string
		before, after []decision.Verdict
		key           decision.Key
		want          error // nil: device 0 alone is forgotten
	}{
		{"two listed, by the serial number", []decision.Verdict{one(0, wiping), other}, []decision.Verdict{one(0, unreadable), one(1, unreadable, func(v *decision.Verdict) { v.Keys[2] = serial(0) })}, serial(0), ErrSeveralDevices},
		{"two gone, by the serial number", []decision.Verdict{one(0, wiping), other}, nil, serial(0), ErrUnknownDevice},
		{"one gone and one listed, by the serial number", []decision.Verdict{one(0, wiping), other}, []decision.Verdict{one(1, unreadable, func(v *decision.Verdict) {
			v.Keys[2], v.LastCheckIn, v.EvaluatedAt = serial(0), time.Time{}, time.Time{} // or it would end the tombstone
		})}, serial(0), ErrSeveralDevices},
		{"two listed", []decision.Verdict{one(0, wiping), other}, []decision.Verdict{one(0, unreadable), one(1, unreadable, func(v *decision.Verdict) { v.Keys[2] = serial(0) })}, entra(0), nil},
		{"two gone", []decision.Verdict{one(0, wiping), other}, nil, entra(0), nil},
		{"no such device", []decision.Verdict{one(0, wiping), other}, nil, entra(99), ErrUnknownDevice},
	} {
		t.Run(tc.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
				src := &registry{}
				list := func(more []decision.Verdict) { src.put(append(rest[:len(rest):len(rest)], more...)...) }
				list(tc.before)
				r := run(src, RunnerOptions{})
				mustSync(t, r)
				list(tc.after)
				mustSync(t, r)
				if got, err := only(r).Forget(tc.key, ""); !errors.Is(err, tc.want) {
					t.Errorf("%+v, %v; want %v", got, err, tc.want)
				}
				for n, lifted := range []bool{tc.want == nil, false} {
					m := r.Find([]decision.Key{entra(n)})
					if stays := m.Verdict != nil && m.Verdict.Lifecycle == decision.LifecycleWiping; stays == lifted {
						t.Errorf("device %d: %+v, want lifted %t", n, m.Verdict, lifted)
					}
				}
			})
		})
	}
}

// TestForgetUnderAGuard: what is held back is not forgotten; beside it a device is
// forgotten in the change that waits, too.
func TestForgetUnderAGuard(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &registry{}
		src.put(fleet(100, func(i int, v *decision.Verdict) {
			if i < 60 {
				noncompliant(v)
			} else {
				wiping(v)
			}
		})...)
		r := run(src, RunnerOptions{})
		mustSync(t, r)
		src.put(fleet(100, func(i int, v *decision.Verdict) {
			if i >= 60 || i == 0 {
				unreadable(v)
			}
		})...)
		mustSync(t, r)
		mustSync(t, r)
		h := r.Status().Held
		if h == nil {
			t.Fatal("nothing is held")
		}
		if got, err := only(r).Forget(entra(0), ""); !errors.Is(err, ErrHeldBack) || len(got) != 0 {
			t.Errorf("held: %+v, %v", got, err)
		}
		if got := only(r).Kept(identity(entra(0)))[0]; got.Any() {
			t.Errorf("held, and shown as %+v", got)
		}
		forgetOne(t, r, entra(70))
		if v := r.Find([]decision.Key{entra(70)}).Verdict; !v.Unreadable.Has(decision.FactLifecycle) {
			t.Error("a word that nobody can read is none in a table that a guard made")
		}
		check := func(when string) {
			t.Helper()
			for n, want := range map[int]decision.Lifecycle{70: decision.LifecycleUnknown, 71: decision.LifecycleWiping} {
				if got := r.Find([]decision.Key{entra(n)}).Verdict.Lifecycle; got != want {
					t.Errorf("%s: device %d is %s, want %s", when, n, got, want)
				}
			}
		}
		check("at once")
		mustSync(t, r)
		check("after a sweep")
		forgetOne(t, r, entra(71))
		if err := r.Accept(t.Context(), r.Status().Held.ID); err != nil {
			t.Fatal(err)
		}
		for n, want := range map[int]decision.Lifecycle{70: decision.LifecycleUnknown, 71: decision.LifecycleUnknown, 72: decision.LifecycleWiping} {
			if got := r.Find([]decision.Key{entra(n)}).Verdict.Lifecycle; got != want {
				t.Errorf("accepted: device %d is %s, want %s", n, got, want)
			}
		}
	})
}

// TestForgetAtOneSource: a source that is not named keeps what it keeps.
func TestForgetAtOneSource(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		var runners []*Runner
		for range 2 {
			src := &registry{}
			src.put(append(fleet(30, nil)[1:], one(0, wiping))...)
			r := run(src, RunnerOptions{})
			mustSync(t, r)
			src.put(append(fleet(30, nil)[1:], one(0, unreadable))...)
			mustSync(t, r)
			runners = append(runners, r)
		}
		runners[1].o.Name = "second"
		d := NewDirectory(runners, DirectoryOptions{})
		if _, err := d.Forget(entra(0), "third"); !errors.Is(err, ErrUnknownDevice) {
			t.Errorf("at no source: %v", err)
		}
		got, err := d.Forget(entra(0), "second")
		if err != nil || len(got) != 1 || got[0].Source != "second" || !got[0].Any() {
			t.Errorf("%+v, %v", got, err)
		}
		kept := d.Kept(identity(entra(0)))
		if !kept[0].Any() || kept[1].Any() || d.Posture(identity(entra(0))).Lifecycle != decision.LifecycleWiping {
			t.Errorf("kept %+v", kept)
		}
		got, err = d.Forget(entra(0), "")
		if err != nil || len(got) != 2 || !got[0].Any() || got[1].Any() {
			t.Errorf("%+v, %v", got, err)
		}
		if p := d.Posture(identity(entra(0))); p.Lifecycle != decision.LifecycleUnknown {
			t.Errorf("%s", p.Lifecycle)
		}
	})
}

// TestForgetWhatTheSourceRemembers: what a source itself keeps because nobody can read
// its successor is unreadable without it.
func TestForgetWhatTheSourceRemembers(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		r := run(&registry{}, RunnerOptions{})
		sweep := NewSweep(100)
		sweep.Kept(one(0, wiping), decision.Facts(decision.FactLifecycle))
		if _, err := r.take(sweep, time.Now()); err != nil {
			t.Fatal(err)
		}
		if v := r.Find([]decision.Key{entra(0)}).Verdict; v.Lifecycle != decision.LifecycleWiping || v.Unreadable != 0 {
			t.Fatalf("before: %s, unreadable %b", v.Lifecycle, v.Unreadable)
		}
		forgetOne(t, r, entra(0))
		if v := r.Find([]decision.Key{entra(0)}).Verdict; v.Lifecycle != decision.LifecycleUnknown || !v.Unreadable.Has(decision.FactLifecycle) {
			t.Errorf("after: %s, unreadable %b", v.Lifecycle, v.Unreadable)
		}
	})
}
