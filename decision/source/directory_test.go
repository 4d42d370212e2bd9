package source

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func device(compliance decision.Compliance, keys ...decision.Key) decision.Verdict {
	return decision.Verdict{Device: decision.Device{Keys: keys, Compliance: compliance}}
}

func asset(s string) decision.Key { return decision.Key{Kind: "asset", Value: s} }

func identity(keys ...decision.Key) *decision.Identity {
	return &decision.Identity{Device: decision.DeviceRef{Keys: keys, Proof: decision.ProofToken}}
}

// loaded makes a runner that has listed these devices.
func loaded(t testing.TB, devices ...decision.Verdict) *Runner {
	t.Helper()
	r := NewRunner(&lister{fake{devices: devices}}, RunnerOptions{Name: "listed", Authoritative: true})
	t.Cleanup(r.Stop)
	if err := r.SyncNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestAmbiguity(t *testing.T) {
	type list = []decision.Verdict
	const ok, bad = decision.Compliant, decision.NonCompliant
	for _, tc := range []struct {
		name      string
		sources   []list
		ids       []decision.Key
		ambiguous bool
		known     []bool // per source
		want      decision.Compliance
	}{
		{"one id", []list{{device(ok, entra(1), serial(1))}}, []decision.Key{entra(1)}, false, []bool{true}, ok},
		{"all ids of one record", []list{{device(ok, intune(1), entra(1))}}, []decision.Key{entra(1), intune(1)}, false, []bool{true}, ok},
		{"unknown", []list{{device(ok, entra(1))}}, []decision.Key{entra(2)}, false, []bool{false}, 0},
		{"none of two", []list{{device(ok, entra(1))}}, []decision.Key{entra(2), intune(2)}, false, []bool{false}, 0},
		{"ids of two records", []list{{device(ok, entra(1)), device(ok, intune(2))}}, []decision.Key{entra(1), intune(2)}, true, []bool{true}, ok},
		{"only one of two ids", []list{{device(ok, entra(1))}}, []decision.Key{entra(1), intune(1)}, true, []bool{true}, ok},
		{"second id known to another source, linked", []list{{device(ok, entra(1), serial(1))}, {device(0, serial(1), asset("a"))}}, []decision.Key{entra(1), asset("a")}, false, []bool{true, true}, ok},
		{"second id known to another source, not linked", []list{{device(ok, entra(1))}, {device(ok, asset("a"))}}, []decision.Key{entra(1), asset("a")}, true, []bool{true, true}, ok},
		{"found in the second source by an id of the first", []list{{device(ok, entra(1), intune(1))}, {device(0, intune(1))}}, []decision.Key{entra(1)}, false, []bool{true, true}, ok},
		{"found in the first source by an id of the second", []list{{device(ok, serial(1))}, {device(0, entra(1), serial(1))}}, []decision.Key{entra(1)}, false, []bool{true, true}, ok},
		{"a chain of three", []list{{device(0, asset("a"), asset("b"))}, {device(0, asset("b"), serial(1))}, {device(bad, serial(1), entra(1))}}, []decision.Key{asset("a"), entra(1)}, false, []bool{true, true, true}, bad},
		{"shared id in one source", []list{{device(ok, entra(1), serial(1)), device(ok, entra(2), serial(1))}}, []decision.Key{serial(1)}, true, []bool{false}, 0},
		{"shared id beside a good one", []list{{device(ok, entra(1), serial(1)), device(ok, entra(2), serial(1))}}, []decision.Key{entra(1), serial(1)}, true, []bool{true}, ok},
		{"shared serial not shown", []list{{device(ok, entra(1), serial(1)), device(ok, entra(2), serial(1))}}, []decision.Key{entra(1)}, false, []bool{true}, ok},
		{"linked serial is shared elsewhere", []list{{device(ok, entra(1), serial(1))}, {device(bad, asset("a"), serial(1)), device(bad, asset("b"), serial(1))}}, []decision.Key{entra(1)}, false, []bool{true, false}, ok},
		{"linked strong id is shared elsewhere", []list{{device(ok, entra(1), intune(1))}, {device(ok, asset("a"), intune(1)), device(bad, asset("b"), intune(1))}}, []decision.Key{entra(1)}, true, []bool{true, false}, ok},
		{"linked ids contradict", []list{{device(ok, entra(1), intune(1), asset("x"))}, {device(ok, intune(1)), device(bad, asset("x"))}}, []decision.Key{entra(1)}, true, []bool{true, true}, ok},
		{"a strong linked id beats a serial", []list{{device(ok, entra(1), intune(1), serial(1))}, {device(0, intune(1)), device(bad, asset("x"), serial(1))}}, []decision.Key{entra(1)}, false, []bool{true, true}, ok},
		{"worse in the second source", []list{{device(ok, entra(1))}, {func() decision.Verdict { v := device(bad, entra(1)); v.LastCheckIn = time.Unix(2e9, 0); return v }()}}, []decision.Key{entra(1)}, false, []bool{true, true}, bad},
		{"no device id", []list{{device(ok, entra(1))}}, nil, false, []bool{false}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var runners []*Runner
			for _, devices := range tc.sources {
				runners = append(runners, loaded(t, devices...))
			}
			d := NewDirectory(runners, DirectoryOptions{})
			for _, how := range []struct {
				name string
				p    *decision.Posture
			}{
				{"Posture", d.Posture(identity(tc.ids...))},
				{"Resolve", d.Resolve(t.Context(), identity(tc.ids...))},
			} {
				p := how.p
				if p.Ambiguous != tc.ambiguous {
					t.Errorf("%s: Ambiguous = %t, want %t", how.name, p.Ambiguous, tc.ambiguous)
				}
				for i, want := range tc.known {
					if p.Evidence[i].Found != want {
						t.Errorf("%s: source %d has the device: %t, want %t", how.name, i, p.Evidence[i].Found, want)
					}
					if c := p.Evidence[i].Cause; c != decision.CauseNone {
						t.Errorf("%s: source %d has the cause %d", how.name, i, c)
					}
				}
				if p.Compliance != tc.want {
					t.Errorf("%s: Compliance = %s, want %s", how.name, p.Compliance, tc.want)
				}
			}
		})
	}
}

// TestOutageIsNotAmbiguity: while a source has not answered, nobody can say
// that an id belongs to no record. The facts are then unknown by our fault.
func TestOutageIsNotAmbiguity(t *testing.T) {
	down := NewRunner(&lister{fake{err: errDown}}, RunnerOptions{Name: "down"})
	t.Cleanup(down.Stop)
	_ = down.Load(t.Context())
	d := NewDirectory([]*Runner{loaded(t, device(decision.Compliant, entra(1))), down}, DirectoryOptions{})

	p := d.Posture(identity(entra(1)))
	if p.Compliance != decision.Compliant || p.Evidence[1].Cause != decision.CauseNotLoaded { // never read: whatever it fails with
		t.Errorf("Posture without a look-up: %s, cause %d", p.Compliance, p.Evidence[1].Cause)
	}
	p = d.Resolve(t.Context(), identity(entra(1), intune(1)))
	if p.Ambiguous || p.Known() || p.Compliance != decision.ComplianceUnknown {
		t.Errorf("ambiguous %t, known %t, %s", p.Ambiguous, p.Known(), p.Compliance)
	}
	for i, ev := range p.Evidence {
		if !ev.Cause.Ours() {
			t.Errorf("source %d has the cause %d, want one of ours", i, ev.Cause)
		}
	}
	// With the one id that is known the device keeps its facts.
	p = d.Resolve(t.Context(), identity(entra(1)))
	if p.Compliance != decision.Compliant || p.Evidence[1].Cause != decision.CauseSourceFailing {
		t.Errorf("%s, cause %d", p.Compliance, p.Evidence[1].Cause)
	}
}

func TestResolveAsksOnce(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		listed := run(&lister{fake{devices: []decision.Verdict{device(decision.Compliant, entra(1), serial(1))}}}, RunnerOptions{})
		_ = listed.SyncNow(t.Context())
		v := healthy(1)
		v.Keys, v.Compliance = []decision.Key{serial(1)}, decision.ComplianceUnknown
		src := &fake{devices: []decision.Verdict{v}, delay: 300 * time.Millisecond}
		asked := run(src, RunnerOptions{})
		d := NewDirectory([]*Runner{listed, asked}, DirectoryOptions{})

		id := identity(entra(1))
		if p := d.Posture(id); p.Evidence[1].Found || p.Evidence[1].Cause != decision.CauseNotLoaded {
			t.Errorf("Posture before any look-up: %+v", p.Evidence[1])
		}
		start := time.Now()
		p := d.Resolve(t.Context(), id)
		if !p.Evidence[1].Found || p.Encrypted != decision.Yes || p.Compliance != decision.Compliant || p.Ambiguous {
			t.Errorf("the device was not found by an id that another source told: %+v", p.Evidence[1])
		}
		if took := time.Since(start); took > 700*time.Millisecond {
			t.Errorf("Resolve took %s", took)
		}
		start = time.Now()
		if d.Resolve(t.Context(), id) != p || time.Since(start) != 0 {
			t.Error("a known device is resolved again")
		}
		// A stranger costs one look-up for each id in a minute.
		_, before := src.calls()
		for range 20 {
			p = d.Resolve(t.Context(), identity(entra(5)))
			pass(time.Second)
		}
		if _, n := src.calls(); n-before != 1 || p.Known() || p.Evidence[1].Cause != decision.CauseNone {
			t.Errorf("%d look-ups of a stranger; %+v", n-before, p.Evidence[1])
		}
	})
}

func TestResolveTimesOut(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		r := run(&fake{devices: fleet(3, nil), delay: time.Minute}, RunnerOptions{})
		d := NewDirectory([]*Runner{r}, DirectoryOptions{})
		start := time.Now()
		p := d.Resolve(t.Context(), identity(entra(1), intune(1), serial(1)))
		if took := time.Since(start); took > 800*time.Millisecond {
			t.Errorf("Resolve took %s", took)
		}
		if p.Evidence[0].Cause != decision.CauseLookupTimeout {
			t.Errorf("cause %d", p.Evidence[0].Cause)
		}
	})
}

func TestMemo(t *testing.T) {
	src := &lister{fake{devices: fleet(3, nil)}}
	r := NewRunner(src, RunnerOptions{Name: "listed"})
	t.Cleanup(r.Stop)
	_ = r.SyncNow(t.Context())
	var shared atomic.Uint64
	revoked := false
	d := NewDirectory([]*Runner{r}, DirectoryOptions{
		Generation: &shared,
		Revoked: func(_ *decision.Identity, keys []decision.Key) *decision.Revocation {
			if revoked && hasKey(keys, serial(1)) { // not an id of the request
				return &decision.Revocation{Subject: "device"}
			}
			return nil
		},
	})
	id := identity(entra(1))
	p := d.Posture(id)
	if p.Generation != d.Generation() || d.Posture(id) != p {
		t.Error("an unchanged posture is built again")
	}
	if err := r.SyncNow(t.Context()); err != nil || d.Posture(id) != p {
		t.Error("a sweep without a change drops the memo")
	}
	other := NewDirectory(nil, DirectoryOptions{Generation: &shared})
	if o := other.Posture(id); len(o.Evidence) != 0 {
		t.Error("another directory gets this one's posture")
	}
	p = d.Posture(id)
	revoked = true
	shared.Add(1)
	if q := d.Posture(id); q == p || q.Revoked == nil {
		t.Error("the shared counter does not drop the memo, or the ids of the record are not asked for")
	}
	src.set(func(f *fake) { noncompliant(&f.devices[1]) })
	_ = r.SyncNow(t.Context())
	if q := d.Posture(id); q.Compliance != decision.NonCompliant {
		t.Error("a changed table does not drop the memo")
	}
	if n := testing.AllocsPerRun(100, func() { d.Posture(id) }); n != 0 {
		t.Errorf("Posture allocates %v times", n)
	}
}

func TestUserFacts(t *testing.T) {
	src := &lister{fake{users: []decision.UserRecord{{ObjectID: guid(9, 1), UPN: "ann@corp.example", Enabled: decision.No}}}}
	r := NewRunner(src, RunnerOptions{Name: "listed"})
	t.Cleanup(r.Stop)
	_ = r.SyncNow(t.Context())
	d := NewDirectory([]*Runner{r}, DirectoryOptions{})
	for _, tc := range []struct {
		user decision.User
		want decision.Tri
	}{
		{decision.User{ID: "x", ObjectID: guid(9, 1)}, decision.No},
		{decision.User{ID: "x", Name: "Ann@corp.example"}, decision.No},
		{decision.User{ID: "x", Name: "bob@corp.example"}, decision.Unknown},
		{decision.User{ObjectID: guid(9, 1)}, decision.Unknown}, // nobody signed in
	} {
		if p := d.Posture(&decision.Identity{User: tc.user}); p.User.Enabled != tc.want {
			t.Errorf("%+v: Enabled = %s, want %s", tc.user, p.User.Enabled, tc.want)
		}
	}
}

// TestReadersDuringChanges is for the race detector.
func TestReadersDuringChanges(t *testing.T) {
	src := &lister{fake{devices: fleet(200, nil)}}
	r := NewRunner(src, RunnerOptions{Name: "listed", LookupRate: 1e6})
	t.Cleanup(r.Stop)
	_ = r.SyncNow(t.Context())
	d := NewDirectory([]*Runner{r}, DirectoryOptions{})
	ids := make([]*decision.Identity, 20)
	for i := range ids {
		ids[i] = identity(entra(i), serial(i))
	}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				p := d.Resolve(t.Context(), ids[i%len(ids)])
				if !p.Known() || p.Ambiguous || p.Compliance == decision.ComplianceUnknown {
					t.Error("a request sees a half-made table")
					return
				}
				_ = r.Status()
			}
		})
	}
	for i := range 30 {
		src.set(func(f *fake) {
			f.devices = fleet(200, func(n int, v *decision.Verdict) { v.LastCheckIn = v.LastCheckIn.Add(time.Duration(i) * time.Hour) })
		})
		if err := r.SyncNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = r.Refresh(t.Context(), entra(i))
	}
	close(stop)
	wg.Wait()
}
