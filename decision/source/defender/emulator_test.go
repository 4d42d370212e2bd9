package defender

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
	"github.com/gatehouse-project/gatehouse/decision/source/sourcetest"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/emulator/emulatortest"
)

// connect starts an emulator and makes a source of it.
func connect(t *testing.T, eo emulator.Options, o Options) (*emulator.Server, *Source, *emulatortest.Clock) {
	t.Helper()
	st := emulatortest.Connect(t, eo, nil)
	o.Client, o.Now = st.Tenant, st.Clock.Now
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return st.Server, s, st.Clock
}

// swept runs one Sync and returns its table.
func swept(t *testing.T, s *Source) *source.Table {
	t.Helper()
	sw := source.NewSweep(0)
	if err := s.Sync(t.Context(), sw); err != nil {
		t.Fatalf("Sync: %v", err)
	}
	table, err := sw.Table()
	if err != nil {
		t.Fatal(err)
	}
	if n, rows := sw.BadRows(); n > 0 {
		t.Errorf("%d bad rows: %v", n, rows)
	}
	if n := table.AmbiguousKeys(); n > 0 {
		t.Errorf("%d ambiguous ids", n)
	}
	return table
}

func idOf(d *emulator.Device) decision.Key {
	return decision.Key{Kind: decision.KindEntra, Value: d.EntraID.String()}
}

// caseID returns the Entra id of a telling device.
func caseID(e *emulator.Server, name string) (k decision.Key) {
	e.Update(func(f *emulator.Fleet) { k = idOf(f.Device(name)) })
	return k
}

// find returns a device of a table.
func find(t *testing.T, table *source.Table, k decision.Key) decision.Verdict {
	t.Helper()
	row, ok := table.Find(k)
	if !ok {
		t.Fatalf("device %v is not listed", k)
	}
	return table.Verdict(row)
}

func TestConformance(t *testing.T) {
	t.Parallel() // the client's budget makes them wait in real time
	sourcetest.Run(t, func(t *testing.T, devices []decision.Verdict) sourcetest.Fixture {
		t.Helper()
		e, s, _ := connect(t, emulator.Options{Devices: 1, Strict: true}, Options{})
		had := 0
		tell := func(devices []decision.Verdict) {
			emulatortest.Replace(e, sourcetest.Names(devices), func(d *emulator.Device, i int, fresh bool) {
				v, m := &devices[i], d.Machines[0]
				if fresh {
					d.EntraID = emulator.MustGUID(v.Keys[0].Value)
				}
				m.LastSeen = time.Now()
				m.Risk = map[decision.Level]string{0: "Extreme", decision.LevelNone: "None", decision.LevelHigh: "High"}[v.Risk]
				m.Exposure = map[decision.Level]string{decision.LevelLow: "Low", decision.LevelHigh: "High"}[v.Exposure]
			})
			if len(devices) < had { // what is gone shows in a complete listing
				s.mu.Lock()
				s.fullDue = true
				s.mu.Unlock()
			}
			had = len(devices)
		}
		tell(devices)
		t.Cleanup(func() { e.Check(t) })
		return sourcetest.Fixture{Source: s, Kinds: []string{decision.KindEntra}, Change: tell, Break: func() {
			e.Fail("defender/machines", emulator.Fault{Kind: emulator.Status, Status: 500})
			e.Fail("defender/machine", emulator.Fault{Kind: emulator.Status, Status: 500})
		}}
	})
}

func TestEmulatedFleet(t *testing.T) {
	t.Parallel() // the client's budget makes them wait in real time
	e, s, _ := connect(t, emulator.Options{Devices: 300, Strict: true}, Options{})
	table := swept(t, s)
	onboarded, twins := 0, 0
	for _, d := range e.Devices() {
		if len(d.Machines) > 0 {
			onboarded++
			twins += len(d.Machines) - 1
		}
	}
	if st := s.Stats(); table.Len() != onboarded || twins == 0 || st.Duplicates != twins || st.Devices != onboarded || st.Mode != modeFull {
		t.Errorf("%d devices, stats %+v, want %d devices and %d duplicates", table.Len(), st, onboarded, twins)
	}
	type facts struct {
		risk, exposure decision.Level
		sensor         decision.Sensor
	}
	const none, low, medium = decision.LevelNone, decision.LevelLow, decision.LevelMedium
	for name, want := range map[string]facts{
		emulator.CaseHealthy:        {none, low, decision.SensorActive},
		emulator.CaseTenantAttach:   {none, low, decision.SensorActive},
		emulator.CaseDefenderMedium: {medium, medium, decision.SensorActive},
		emulator.CaseDefenderHigh:   {decision.LevelHigh, medium, decision.SensorActive},
		emulator.CaseMalware:        {decision.LevelHigh, low, decision.SensorActive},
		emulator.CaseDuplicate:      {none, low, decision.SensorActive},
		emulator.CaseFutureValues:   {decision.LevelUnknown, low, decision.SensorUnknown},
		emulator.CaseDefenderSilent: {decision.LevelUnknown, low, decision.SensorNoData},
	} {
		v := find(t, table, caseID(e, name))
		if got := (facts{v.Risk, v.Exposure, v.Sensor}); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
		if v.EvaluatedAt.IsZero() || !v.LastCheckIn.IsZero() || v.Keys[0].Kind != decision.KindDefender {
			t.Errorf("%s: %+v", name, v.Device)
		}
	}
	for _, problem := range []string{"riskScore: " + unknownValue, "healthStatus: " + unknownValue} {
		if s.Stats().Problems[problem] == 0 {
			t.Errorf("problems %v lack %q", s.Stats().Problems, problem)
		}
	}
	if err := s.Sync(t.Context(), source.NewSweep(0)); !errors.Is(err, source.ErrUnchanged) {
		t.Errorf("second Sync = %v, want ErrUnchanged", err)
	}
	if st := s.Stats(); st.Mode != modeChanges || st.Rechecked != 0 {
		t.Errorf("stats of the second Sync %+v", st)
	}
	e.Check(t)
}

// TestEmulatedChanges moves risk without a report of the machine.
func TestEmulatedChanges(t *testing.T) {
	t.Parallel() // the client's budget makes them wait in real time
	e, s, c := connect(t, emulator.Options{Devices: 120, Strict: true}, Options{})
	before := swept(t, s).Len()
	e.Update(func(f *emulator.Fleet) {
		f.Device(emulator.CaseHealthy).Machines[0].Risk = "High"
		f.Device(emulator.CaseComanaged).Machines[0].Risk = "Low"
		f.Device(emulator.CaseDefenderHigh).Machines[0].Risk = "None"
		f.Device(emulator.CaseDefenderMedium).Machines[0].Risk = ""
		m := f.Device(emulator.CaseDefenderSilent).Machines[0]
		m.Health, m.Risk, m.LastSeen = "Active", "Informational", c.Now()
		f.AddDevice(nil).Name = "lt-new"
		f.Device("lt-new").Machines[0].LastSeen = c.Now()
	})
	c.Advance(time.Minute)
	table := swept(t, s)
	if table.Len() != before+1 {
		t.Errorf("%d devices, want %d", table.Len(), before+1)
	}
	for name, want := range map[string]decision.Level{
		emulator.CaseHealthy: decision.LevelHigh, emulator.CaseComanaged: decision.LevelLow,
		emulator.CaseDefenderHigh: decision.LevelNone, emulator.CaseDefenderMedium: decision.LevelUnknown,
		emulator.CaseDefenderSilent: decision.LevelNone, emulator.CaseMalware: decision.LevelHigh, "lt-new": decision.LevelNone,
	} {
		if v := find(t, table, caseID(e, name)); v.Risk != want {
			t.Errorf("%s: risk %v, want %v", name, v.Risk, want)
		}
	}
	if v := find(t, table, caseID(e, emulator.CaseDefenderSilent)); v.Sensor != decision.SensorActive {
		t.Errorf("sensor that reports again is %v", v.Sensor)
	}
	if st := s.Stats(); st.Mode != modeChanges || st.Rechecked != 2 || st.Waiting != 0 {
		t.Errorf("stats %+v, want two machines rechecked", st)
	}
	e.Check(t)
}

func TestEmulatedAlerts(t *testing.T) {
	t.Parallel() // the client's budget makes them wait in real time
	e, s, c := connect(t, emulator.Options{Devices: 60, Strict: true}, Options{Alerts: true})
	alert := func(severity, status string) []*emulator.Alert {
		return []*emulator.Alert{{ID: "da-" + severity + status, Severity: severity, Status: status, Created: c.Now(), Updated: c.Now()}}
	}
	e.Update(func(f *emulator.Fleet) {
		f.Device(emulator.CaseHealthy).Machines[0].Alerts = append(alert("Medium", "New"), alert("Low", "InProgress")...)
		f.Device(emulator.CaseComanaged).Machines[0].Alerts = alert("High", "Resolved")
		f.Device(emulator.CaseDefenderHigh).Machines[0].Alerts = alert("Low", "New")
		f.Device(emulator.CaseDefenderSilent).Machines[0].Alerts = alert("Informational", "New")
	})
	table := swept(t, s)
	want := map[string]decision.Level{
		emulator.CaseHealthy: decision.LevelMedium, emulator.CaseComanaged: decision.LevelNone,
		emulator.CaseDefenderHigh: decision.LevelHigh, emulator.CaseDefenderSilent: decision.LevelUnknown,
	}
	for name, risk := range want {
		if v := find(t, table, caseID(e, name)); v.Risk != risk {
			t.Errorf("%s: risk %v, want %v", name, v.Risk, risk)
		}
	}
	if v, err := s.Lookup(t.Context(), caseID(e, emulator.CaseHealthy)); err != nil || v.Risk != decision.LevelMedium {
		t.Errorf("Lookup with an open alert: risk %v, %v", v.Risk, err)
	}
	e.Update(func(f *emulator.Fleet) {
		for _, a := range f.Device(emulator.CaseHealthy).Machines[0].Alerts {
			a.Status = "Resolved"
		}
	})
	c.Advance(time.Minute)
	if v := find(t, swept(t, s), caseID(e, emulator.CaseHealthy)); v.Risk != decision.LevelNone {
		t.Errorf("risk after the alerts are resolved: %v", v.Risk)
	}
	e.Check(t)

	e, s, _ = connect(t, emulator.Options{Devices: 60}, Options{Alerts: true})
	for _, role := range emulator.Roles() {
		if strings.HasPrefix(role, "Alert.") {
			e.Grant(role, false)
		}
	}
	var me *msgraph.Error
	if err := s.Sync(t.Context(), source.NewSweep(0)); !errors.As(err, &me) || me.Kind != msgraph.KindPermission {
		t.Errorf("Sync without permission to read alerts = %v, want a permission error", err)
	}
}

func TestEmulatedFaults(t *testing.T) {
	for _, tt := range []struct {
		fault emulator.Fault
		fails bool
	}{
		{emulator.Fault{Kind: emulator.Throttle429, RetryAfter: "300"}, true},
		{emulator.Fault{Kind: emulator.Status, Status: 500}, true},
		{emulator.Fault{Kind: emulator.Status, Status: 404, Body: "no such page"}, true},
		{emulator.Fault{Kind: emulator.Garbage}, true},
		{emulator.Fault{Kind: emulator.HTML200}, true},
		{emulator.Fault{Kind: emulator.HalfPage}, true},
		{emulator.Fault{Kind: emulator.WrongAudience}, true},
		{emulator.Fault{Kind: emulator.ShortPage, Count: 1}, false},
		{emulator.Fault{Kind: emulator.DuplicateRows, Count: 1}, false},
		{emulator.Fault{Kind: emulator.UnknownEnums}, false},
		{emulator.Fault{Kind: emulator.NullFields}, false},
		{emulator.Fault{Kind: emulator.FutureDates}, false},
	} {
		t.Run(string(tt.fault.Kind), func(t *testing.T) {
			t.Parallel()
			e, s, _ := connect(t, emulator.Options{Devices: 150}, Options{})
			machines := 0
			for _, d := range e.Devices() {
				machines += len(d.Machines)
			}
			repair := e.Fail("defender/machines", tt.fault)
			if tt.fails {
				err := s.Sync(t.Context(), source.NewSweep(0))
				if err == nil || errors.Is(err, source.ErrUnchanged) {
					t.Fatalf("Sync = %v, want an error", err)
				}
				var throttled *source.ThrottledError
				if got := errors.As(err, &throttled); got != (tt.fault.Kind == emulator.Throttle429) {
					t.Errorf("Sync = %v: throttled %v", err, got)
				}
				if _, err := s.Lookup(t.Context(), caseID(e, emulator.CaseHealthy)); err == nil || errors.Is(err, source.ErrUnknownDevice) {
					t.Errorf("Lookup = %v, want an error", err)
				}
				return
			}
			table := swept(t, s)
			st := s.Stats()
			if st.Devices+st.Duplicates != machines || st.Bad != 0 {
				t.Errorf("stats %+v, want %d machines", st, machines)
			}
			for _, v := range table.All() {
				switch tt.fault.Kind {
				case emulator.UnknownEnums, emulator.NullFields:
					if v.Risk != decision.LevelUnknown || v.Exposure != decision.LevelUnknown || v.Sensor != decision.SensorUnknown {
						t.Fatalf("device %+v", v.Device)
					}
				case emulator.FutureDates:
					if !v.EvaluatedAt.IsZero() {
						t.Fatalf("device %+v", v.Device)
					}
				}
			}
			repair()
		})
	}
}

// TestEmulatedFaultKeepsWhatIsKnown breaks a poll and not the first listing.
func TestEmulatedFaultKeepsWhatIsKnown(t *testing.T) {
	t.Parallel() // the client's budget makes them wait in real time
	e, s, c := connect(t, emulator.Options{Devices: 60, Strict: true}, Options{})
	before := swept(t, s).Len()
	e.Update(func(f *emulator.Fleet) { f.Device(emulator.CaseHealthy).Machines[0].Risk = "High" })
	e.Fail("defender/machines", emulator.Fault{Kind: emulator.HTML200, Count: 1})
	c.Advance(time.Minute)
	if err := s.Sync(t.Context(), source.NewSweep(0)); err == nil || errors.Is(err, source.ErrUnchanged) {
		t.Fatalf("Sync = %v, want an error", err)
	}
	table := swept(t, s)
	if v := find(t, table, caseID(e, emulator.CaseHealthy)); v.Risk != decision.LevelHigh || table.Len() != before {
		t.Errorf("after the repair: %v of %d devices", v.Risk, table.Len())
	}
	e.Check(t)
}

func TestEmulatedPermission(t *testing.T) {
	t.Parallel() // the client's budget makes them wait in real time
	e, s, _ := connect(t, emulator.Options{Devices: 10}, Options{})
	for _, role := range emulator.Roles() {
		if strings.HasPrefix(role, "Machine.") {
			e.Grant(role, false)
		}
	}
	var me *msgraph.Error
	if err := s.Sync(t.Context(), source.NewSweep(0)); !errors.As(err, &me) || me.Kind != msgraph.KindPermission {
		t.Errorf("Sync = %v, want a permission error", err)
	}
	if _, err := s.Lookup(t.Context(), caseID(e, emulator.CaseHealthy)); err == nil || errors.Is(err, source.ErrUnknownDevice) {
		t.Errorf("Lookup without permission = %v", err)
	}
}

func TestEmulatedLookup(t *testing.T) {
	t.Parallel() // the client's budget makes them wait in real time
	for _, refuse := range []bool{false, true} {
		e, s, _ := connect(t, emulator.Options{Devices: 60, Strict: !refuse, NoAadDeviceIDFilter: refuse}, Options{})
		duplicate, removed := caseID(e, emulator.CaseDuplicate), caseID(e, emulator.CaseComanaged)
		if refuse {
			_, err := s.Lookup(t.Context(), duplicate)
			if err == nil || errors.Is(err, source.ErrUnknownDevice) {
				t.Errorf("Lookup without filter and listing = %v, want an error", err)
			}
		}
		swept(t, s)
		var own, stale decision.Key
		e.Update(func(f *emulator.Fleet) {
			d := f.Device(emulator.CaseDuplicate)
			d.Machines[0].Risk = "Medium"
			own = decision.Key{Kind: decision.KindDefender, Value: d.Machines[0].ID}
			stale = decision.Key{Kind: decision.KindDefender, Value: d.Machines[1].ID}
			f.RemoveDevice(f.Device(emulator.CaseComanaged))
		})
		for _, k := range []decision.Key{duplicate, own} {
			v, err := s.Lookup(t.Context(), k)
			if err != nil || v.Risk != decision.LevelMedium || v.Keys[0] != own || v.Keys[1] != duplicate {
				t.Errorf("refuse %v: Lookup(%v) = %+v, %v", refuse, k, v.Device, err)
			}
		}
		unknown := decision.Key{Kind: decision.KindEntra, Value: "00000001-0000-4000-8000-0000000000de"}
		serial := decision.Key{Kind: decision.KindSerial, Value: "SERIAL1"}
		nobody := decision.Key{Kind: decision.KindDefender, Value: strings.Repeat("0", 40)}
		name := decision.Key{Kind: decision.KindDefender, Value: emulator.CaseHealthy + ".corp.example.com"}
		for _, k := range []decision.Key{stale, removed, unknown, serial, nobody, name} {
			if _, err := s.Lookup(t.Context(), k); !errors.Is(err, source.ErrUnknownDevice) {
				t.Errorf("refuse %v: Lookup(%v) = %v, want ErrUnknownDevice", refuse, k, err)
			}
		}
		want := byFilter
		if refuse {
			want = byListing
		} else {
			e.Check(t)
		}
		if got := s.Stats().LookUp; got != want {
			t.Errorf("looks up by %s, want %s", got, want)
		}
		// The next sweep does not fall behind what the look-up said.
		if v := find(t, swept(t, s), duplicate); v.Risk != decision.LevelMedium {
			t.Errorf("refuse %v: sweep after the look-up says %v", refuse, v.Risk)
		}
	}
}
