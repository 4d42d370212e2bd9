package intune

import (
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// TestConnectorsOutliveRestart: what connectors said counts as long after a restart as
// without one.
func TestConnectorsOutliveRestart(t *testing.T) {
	for name, tt := range map[string]struct {
		down  time.Duration // between the two processes
		clock time.Duration // of the second one, ahead of the first one's
		floor bool
	}{
		"soon":               {down: time.Minute},
		"hours later":        {down: 22 * time.Hour},
		"a day later":        {down: 24 * time.Hour, floor: true},
		"clock was set back": {down: time.Minute, clock: -time.Hour, floor: true},
		"clock jumped":       {down: time.Minute, clock: 24 * time.Hour, floor: true},
	} {
		t.Run(name, func(t *testing.T) {
			seal(t, func(w *sealed) {
				w.start(Options{})
				w.floor("heard", false)
				w.stop()
				w.stop = func() {}
				w.fail(connectorsRoute, emulator.Fault{})
				w.pass(tt.down)
				calls := w.calls(connectorsRoute)
				w.start(Options{Now: func() time.Time { return time.Now().Add(tt.clock) }})
				w.floor("started again", tt.floor)
				if w.calls(connectorsRoute) == calls {
					t.Error("nobody asked")
				}
			})
		})
	}
}

// TestRestartsDoNotProlong: several restarts, and a time between them in which the
// tenant gives no token, make nothing count for longer.
func TestRestartsDoNotProlong(t *testing.T) {
	seal(t, func(w *sealed) {
		w.start(Options{})
		w.fail(connectorsRoute, emulator.Fault{})
		for range 4 {
			repair := w.fail("login/token", emulator.Fault{})
			w.begin(Options{})
			w.pass(time.Hour)
			repair()
			w.start(Options{}) // the note was waiting for a token
			w.floor("restarted", false)
			w.pass(4 * time.Hour)
			w.floor("polled", false)
		}
		w.pass(6 * time.Hour) // and a poll
		w.floor("after a day", true)
	})
}

// TestSilentOutlivesRestart: so does the silence of a partner, and that none is on.
func TestSilentOutlivesRestart(t *testing.T) {
	for state, want := range map[string]decision.Sensor{"unresponsive": decision.SensorUnresponsive, "available": decision.SensorDeactivated} {
		t.Run(state, func(t *testing.T) {
			seal(t, func(w *sealed) {
				w.ms.Update(func(f *emulator.Fleet) {
					for _, c := range f.Connectors {
						c.State = state
					}
				})
				w.start(Options{})
				w.fail(connectorsRoute, emulator.Fault{})
				for _, when := range []string{"first", "restarted"} {
					if v := w.verdict(emulator.CaseHealthy); !v.RiskFloor || v.Sensor != want {
						t.Errorf("%s: floor %t, sensor %s, want %s", when, v.RiskFloor, v.Sensor, want)
					}
					w.start(Options{})
				}
			})
		})
	}
}

// TestSettingsOutliveRestart: a validity period that the tenant shortened stays short
// while the settings cannot be read. One that is longer than the service's default
// counts for a day.
func TestSettingsOutliveRestart(t *testing.T) {
	const day = 24 * time.Hour
	for name, tt := range map[string]struct {
		days int           // of the tenant
		away time.Duration // since the last check-in, when the second process starts
		down time.Duration
		runs time.Duration // of the second process
		want decision.Compliance
	}{
		"one day":                       {1, 2 * day, time.Minute, 0, decision.ComplianceNotEvaluated},
		"one day, a week later":         {1, 8 * day, 7 * day, 0, decision.ComplianceNotEvaluated},
		"three days":                    {3, 2 * day, time.Minute, 0, decision.Compliant},
		"90 days":                       {90, 40 * day, time.Minute, 0, decision.Compliant},
		"90 days, a day later":          {90, 40 * day, day, 0, decision.ComplianceNotEvaluated},
		"90 days, running for 20 hours": {90, 40 * day, time.Minute, 20 * time.Hour, decision.Compliant},
		"90 days, running for a day":    {90, 40 * day, time.Minute, day + 2*time.Hour, decision.ComplianceNotEvaluated},
		"one day, running for a week":   {1, 2 * day, time.Minute, 7 * day, decision.ComplianceNotEvaluated},
	} {
		t.Run(name, func(t *testing.T) {
			seal(t, func(w *sealed) {
				d := (rig{ms: w.ms}).find(t, emulator.CaseHealthy)
				w.ms.Update(func(f *emulator.Fleet) {
					f.Settings.CheckinDays, d.Managed[0].LastSync = tt.days, time.Now().Add(tt.down-tt.away)
				})
				w.start(Options{})
				w.stop()
				w.stop = func() {}
				w.fail(settingsRoute, emulator.Fault{Status: http.StatusForbidden})
				w.pass(tt.down)
				w.start(Options{})
				w.pass(tt.runs)
				if v := w.verdict(emulator.CaseHealthy); v.Compliance != tt.want {
					t.Errorf("%s, want %s", v.Compliance, tt.want)
				}
			})
		})
	}
}

// TestOwnSettingsStay: what a process read itself counts for as long as it runs.
func TestOwnSettingsStay(t *testing.T) {
	const day = 24 * time.Hour
	seal(t, func(w *sealed) {
		d := (rig{ms: w.ms}).find(t, emulator.CaseHealthy)
		w.ms.Update(func(f *emulator.Fleet) {
			f.Settings.CheckinDays, d.Managed[0].LastSync = 90, time.Now().Add(-40*day)
		})
		w.start(Options{})
		for _, restarted := range []bool{false, true} {
			if restarted { // and reads its own again
				w.start(Options{})
			}
			repair := w.fail(settingsRoute, emulator.Fault{Status: http.StatusForbidden})
			w.pass(2 * day)
			if v := w.verdict(emulator.CaseHealthy); v.Compliance != decision.Compliant {
				t.Errorf("restarted %t: %s", restarted, v.Compliance)
			}
			repair()
		}
	})
}

// aNote is one as a process writes it that has read everything.
func aNote(change func(m map[string]any)) []byte {
	m := map[string]any{
		"kind": "intune", "version": 1, "tenant": emulator.DefaultTenant, "require_policy": false,
		"heard_at": now.Add(-time.Hour), "settings_at": now.Add(-time.Hour), "check_in_days": 2, "secure_by_default": true,
		"platforms": map[string]any{
			"unknown": "speaks", "windows": "speaks", "macos": "silent", "ios": "none", "android": "speaks", "linux": "none", "chromeos": "none",
		},
	}
	if change != nil {
		change(m)
	}
	b, _ := json.Marshal(m)
	return b
}

func TestParseNote(t *testing.T) {
	n, err := parseNote(aNote(nil))
	if err != nil || !n.HeardAt.Equal(now.Add(-time.Hour)) || n.CheckInDays != 2 || len(n.Platforms) != int(decision.NumPlatforms) {
		t.Fatalf("%+v, %v", n, err)
	}
	set := func(k string, v any) func(map[string]any) { return func(m map[string]any) { m[k] = v } }
	without := func(keys ...string) func(map[string]any) {
		return func(m map[string]any) {
			maps.DeleteFunc(m, func(k string, _ any) bool { return strings.Contains(strings.Join(keys, " "), k) })
		}
	}
	for name, tt := range map[string]struct {
		note []byte
		ok   bool
	}{
		"connectors alone":      {aNote(without("settings_at", "check_in_days", "secure_by_default")), true},
		"settings alone":        {aNote(without("heard_at", "platforms")), true},
		"default unknown":       {aNote(without("secure_by_default")), true},
		"empty":                 {nil, false},
		"no JSON":               {[]byte("GHST\x02"), false},
		"cut":                   {aNote(nil)[:100], false},
		"two of them":           {append(aNote(nil), aNote(nil)...), false},
		"null":                  {[]byte("null"), false},
		"another source":        {aNote(set("kind", "defender")), false},
		"a later version":       {aNote(set("version", 2)), false},
		"unknown member":        {aNote(set("more", 1)), false},
		"no tenant":             {aNote(without("tenant")), false},
		"tenant is a domain":    {aNote(set("tenant", "example.com")), false},
		"no time":               {aNote(without("heard_at")), false},
		"no connectors":         {aNote(without("platforms")), false},
		"no time of settings":   {aNote(without("settings_at")), false},
		"no period":             {aNote(without("check_in_days")), false},
		"period of a century":   {aNote(set("check_in_days", 36500)), false},
		"negative period":       {aNote(set("check_in_days", -1)), false},
		"time is a number":      {aNote(set("heard_at", 5)), false},
		"a platform is missing": {aNote(func(m map[string]any) { delete(m["platforms"].(map[string]any), "ios") }), false},
		"unknown platform":      {aNote(func(m map[string]any) { m["platforms"].(map[string]any)["beos"] = "speaks" }), false},
		"unknown word":          {aNote(func(m map[string]any) { m["platforms"].(map[string]any)["ios"] = "whispers" }), false},
	} {
		if _, err := parseNote(tt.note); (err == nil) != tt.ok {
			t.Errorf("%s: %v, want ok %t", name, err, tt.ok)
		}
	}
}

// TestForeignNote: only a note about this tenant and these options is taken.
func TestForeignNote(t *testing.T) {
	for name, tt := range map[string]struct {
		note  []byte
		o     Options
		taken bool
	}{
		"ours":                   {note: aNote(nil), taken: true},
		"of another tenant":      {note: aNote(func(m map[string]any) { m["tenant"] = "11111111-2222-4333-8444-555555555555" })},
		"with require_policy":    {note: aNote(nil), o: Options{StrictDefault: true}},
		"without require_policy": {note: aNote(func(m map[string]any) { m["require_policy"] = true })},
		"unreadable":             {note: []byte("{")},
	} {
		t.Run(name, func(t *testing.T) {
			tt.o.Now = func() time.Time { return now }
			r := connect(t, emulator.Options{Clock: tt.o.Now}, tt.o)
			r.ms.Fail(connectorsRoute, emulator.Fault{Kind: emulator.Garbage})
			r.ms.Fail(settingsRoute, emulator.Fault{Kind: emulator.Garbage})
			r.TakeNote(tt.note)
			if err := r.Sync(t.Context(), source.NewSweep(0)); err != nil {
				t.Fatal(err)
			}
			if r.tenant.heard != tt.taken || (r.tenant.checkIn == 48*time.Hour) != tt.taken || r.tenant.silent[decision.MacOS] != tt.taken || r.tenant.deaf[decision.IOS] != tt.taken {
				t.Errorf("tenant %+v, want taken %t", r.tenant, tt.taken)
			}
			again := r.Note()
			if n, err := parseNote(again); tt.taken && (err != nil || !n.HeardAt.Equal(now.Add(-time.Hour))) || !tt.taken && again != nil {
				t.Errorf("the next note is %s, %v", again, err)
			}
		})
	}
}

// TestLookupAdopts: a look-up before the first listing judges by the note.
func TestLookupAdopts(t *testing.T) {
	r := connect(t, emulator.Options{}, Options{})
	here := time.Now().Add(-time.Hour)
	r.ms.Fail(connectorsRoute, emulator.Fault{Status: http.StatusForbidden, Kind: emulator.Status})
	fine, away := r.find(t, emulator.CaseHealthy), r.find(t, emulator.CaseComanaged)
	r.ms.Update(func(*emulator.Fleet) { away.Managed[0].LastSync = time.Now().Add(-49 * time.Hour) })
	r.TakeNote(aNote(func(m map[string]any) { m["heard_at"], m["settings_at"] = here, here }))
	if v, err := r.Lookup(t.Context(), entraKey(fine.EntraID)); err != nil || v.Compliance != decision.Compliant || v.RiskFloor {
		t.Errorf("%s, floor %t, %v; want the connectors of the note", v.Compliance, v.RiskFloor, err)
	}
	if v, err := r.Lookup(t.Context(), entraKey(away.EntraID)); err != nil || v.Compliance != decision.ComplianceNotEvaluated {
		t.Errorf("%s, %v; want the validity period of the note", v.Compliance, err)
	}
}

// TestRecall: what is too old, or dated ahead, only makes stricter.
func TestRecall(t *testing.T) {
	const day = 24 * time.Hour
	yes := true
	for name, tt := range map[string]struct {
		age    time.Duration
		days   int
		want   time.Duration
		secure decision.Tri
		heard  bool
	}{
		"young, short": {time.Hour, 2, 2 * day, decision.Yes, true},
		"young, long":  {time.Hour, 90, 90 * day, decision.Yes, true},
		"old, short":   {day, 2, 2 * day, decision.Unknown, false},
		"old, long":    {day, 90, defaultCheckIn, decision.Unknown, false},
		"ahead, short": {-time.Second, 2, 2 * day, decision.Unknown, false},
		"ahead, long":  {-time.Second, 90, defaultCheckIn, decision.Unknown, false},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := parseNote(aNote(nil))
			if err != nil {
				t.Fatal(err)
			}
			n.HeardAt, n.SettingsAt, n.CheckInDays, n.SecureByDefault = now.Add(-tt.age), now.Add(-tt.age), tt.days, &yes
			got := tenant{checkIn: defaultCheckIn}
			got.recall(n, now)
			if got.checkIn != tt.want || got.secureByDefault != tt.secure || got.heard != tt.heard {
				t.Errorf("%s, secure %s, heard %t; want %s, %s, %t", got.checkIn, got.secureByDefault, got.heard, tt.want, tt.secure, tt.heard)
			}
			if ahead := tt.age < 0; got.heardAt.IsZero() != ahead {
				t.Errorf("heard at %s", got.heardAt)
			}
			// What this process read itself is better.
			read := tenant{checkIn: day, settingsAt: now, heardAt: now, heard: true}
			before := read
			if read.recall(n, now); read != before {
				t.Errorf("%+v became %+v", before, read)
			}
		})
	}
}

func FuzzNote(f *testing.F) {
	f.Add(aNote(nil))
	f.Add(aNote(func(m map[string]any) { delete(m, "heard_at"); delete(m, "platforms") }))
	f.Add([]byte(`{"kind":"intune","version":1,"tenant":"` + emulator.DefaultTenant + `","require_policy":true}`))
	f.Add([]byte(`{"heard_at":"9999-12-31T23:59:59+14:00"}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, err := parseNote(b)
		if err != nil {
			return
		}
		got := tenant{checkIn: defaultCheckIn}
		got.recall(n, now)
		switch age := now.Sub(n.HeardAt); {
		case got.heard && (age < 0 || age >= connectorsTrust):
			t.Fatalf("connectors of %s are heard", n.HeardAt)
		case got.heardAt.After(now):
			t.Fatalf("heard at %s", got.heardAt)
		case got.checkIn <= 0 || got.checkIn > maxCheckInDays*24*time.Hour:
			t.Fatalf("validity period %s", got.checkIn)
		}
		s := &Source{o: Options{StrictDefault: n.RequirePolicy}, tenant: got, notes: notes{tenant: n.Tenant}}
		again := s.Note()
		if len(again) > source.MaxNote {
			t.Fatalf("note of %d bytes", len(again))
		}
		if again == nil {
			return
		}
		if _, err := parseNote(again); err != nil {
			t.Fatalf("%s: %v", again, err)
		}
	})
}
