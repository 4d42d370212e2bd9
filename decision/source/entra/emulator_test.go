package entra

import (
	"errors"
	"slices"
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

// verdictOf returns the device with this name.
func verdictOf(t *testing.T, table *source.Table, name string) decision.Verdict {
	t.Helper()
	for _, v := range table.All() {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("device %s is not listed", name)
	return decision.Verdict{}
}

func TestConformance(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, devices []decision.Verdict) sourcetest.Fixture {
		t.Helper()
		e, s, _ := connect(t, emulator.Options{Devices: 1, Strict: true}, Options{})
		tell := func(devices []decision.Verdict) {
			emulatortest.Replace(e, sourcetest.Names(devices), func(d *emulator.Device, i int, fresh bool) {
				v, o := &devices[i], d.Directory
				if fresh {
					d.EntraID = emulator.MustGUID(v.Keys[0].Value)
				}
				// Null means not managed there, and every object has an accountEnabled: of
				// these only a word that nobody can read is no news.
				o.Compliant = map[decision.Compliance]emulator.NullBool{0: emulator.Odd, decision.Compliant: emulator.True, decision.NonCompliant: emulator.False}[v.Compliance]
				o.Managed = map[decision.Tri]emulator.NullBool{0: emulator.Odd, decision.Yes: emulator.True, decision.No: emulator.False}[v.Managed]
				o.Enabled, o.EnabledNull = v.Enabled == decision.Yes, v.Enabled == decision.Unknown
				o.Rooted = map[decision.Tri]emulator.NullBool{decision.Yes: emulator.True, decision.No: emulator.False}[v.Jailbroken]
				o.Ownership = map[decision.Ownership]string{decision.Corporate: "Company", decision.Personal: "Personal"}[v.Ownership]
			})
		}
		tell(devices)
		t.Cleanup(func() { e.Check(t) })
		return sourcetest.Fixture{
			Source: s, Kinds: []string{decision.KindEntra}, Change: tell,
			Break: func() {
				e.Fail("graph/devices/delta", emulator.Fault{Kind: emulator.Status, Status: 500})
				e.Fail("graph/device", emulator.Fault{Kind: emulator.Status, Status: 500})
			},
			Unsaid: map[decision.Fact]string{decision.FactTrust: "an object of the directory always has some trust; that of none is a fact of other sources"},
		}
	})
}

func TestEmulatedFleet(t *testing.T) {
	e, s, _ := connect(t, emulator.Options{Devices: 350, Strict: true}, Options{RiskyUsers: true})
	table := swept(t, s)
	listed := 0
	for _, d := range e.Devices() {
		if d.Directory != nil {
			listed++
		}
	}
	if table.Len() != listed || table.AmbiguousKeys() != 0 {
		t.Errorf("%d devices and %d ambiguous ids, want %d and none", table.Len(), table.AmbiguousKeys(), listed)
	}
	for name, check := range map[string]func(d *decision.Device) bool{
		emulator.CaseHealthy: func(d *decision.Device) bool {
			return d.Compliance == decision.Compliant && d.Managed == decision.Yes && d.Enabled == decision.Yes && d.Trust == decision.TrustJoined
		},
		emulator.CaseHybridOnly: func(d *decision.Device) bool {
			return d.Compliance == decision.ComplianceNotManaged && d.Managed == decision.No && d.Trust == decision.TrustHybridJoined && len(d.Keys) == 3
		},
		emulator.CaseJamf: func(d *decision.Device) bool {
			return d.Compliance == decision.Compliant && d.Platform == decision.MacOS
		},
		emulator.CaseGraceFar:     func(d *decision.Device) bool { return d.Compliance == decision.Compliant },
		emulator.CaseNoncompliant: func(d *decision.Device) bool { return d.Compliance == decision.NonCompliant },
		emulator.CaseJailbroken:   func(d *decision.Device) bool { return d.Jailbroken == decision.Yes },
		emulator.CaseUnreported:   func(d *decision.Device) bool { return d.Jailbroken == decision.Unknown },
		emulator.CaseDisabled:     func(d *decision.Device) bool { return d.Enabled == decision.No },
		emulator.CaseIntuneOnly:   func(d *decision.Device) bool { return d.Ownership == decision.Personal },
	} {
		if v := verdictOf(t, table, name); !check(&v.Device) {
			t.Errorf("%s: %+v", name, v.Device)
		}
	}
	risks := map[string]decision.UserRecord{
		emulator.CaseHealthy:         {Enabled: decision.Yes, Risk: decision.LevelNone, Compromised: decision.No},
		emulator.CaseUserHigh:        {Enabled: decision.Yes, Risk: decision.LevelHigh, Compromised: decision.No},
		emulator.CaseUserCompromised: {Enabled: decision.Yes, Risk: decision.LevelHigh, Compromised: decision.Yes},
		emulator.CaseUserRemediated:  {Enabled: decision.Yes, Risk: decision.LevelNone, Compromised: decision.No},
		emulator.CaseUserHidden:      {Enabled: decision.Yes, Risk: decision.LevelUnknown, Compromised: decision.No},
		emulator.CaseUserDisabled:    {Enabled: decision.No, Risk: decision.LevelNone, Compromised: decision.No},
	}
	e.Update(func(f *emulator.Fleet) {
		for name, want := range risks {
			want.ObjectID, want.UPN = f.Device(name).User.OID.String(), f.Device(name).User.UPN
			if got, _ := table.User(want.ObjectID, ""); got != want {
				t.Errorf("%s:\n got %+v\nwant %+v", name, got, want)
			}
		}
	})
	if err := s.Sync(t.Context(), source.NewSweep(0)); !errors.Is(err, source.ErrUnchanged) {
		t.Errorf("second Sync = %v, want ErrUnchanged", err)
	}
	e.Check(t)
}

func TestEmulatedChanges(t *testing.T) {
	e, s, c := connect(t, emulator.Options{Devices: 120, Strict: true}, Options{Users: true})
	before := swept(t, s).Len()
	var removed decision.Key
	var left string
	e.Update(func(f *emulator.Fleet) {
		f.Device(emulator.CaseHealthy).Directory.Compliant = emulator.False
		f.Device(emulator.CaseComanaged).Directory.Enabled = false
		d, u := f.Device(emulator.CaseJamf), f.Device(emulator.CaseGraceFar).User
		removed, left = decision.Key{Kind: decision.KindEntra, Value: d.EntraID.String()}, u.OID.String()
		f.RemoveDevice(d)
		f.RemoveUser(u)
		f.AddDevice(nil).Name = "lt-new"
	})
	c.Advance(minute)
	table := swept(t, s)
	if table.Len() != before {
		t.Errorf("%d devices after one went and one came, want %d", table.Len(), before)
	}
	if v := verdictOf(t, table, emulator.CaseHealthy); v.Compliance != decision.NonCompliant || v.Managed != decision.Yes {
		t.Errorf("device that lost its compliance %+v", v.Device)
	}
	if v := verdictOf(t, table, emulator.CaseComanaged); v.Enabled != decision.No || v.Compliance != decision.Compliant {
		t.Errorf("device that was disabled %+v", v.Device)
	}
	verdictOf(t, table, "lt-new")
	if _, ok := table.Find(removed); ok {
		t.Error("a removed device is still there")
	}
	if u, ok := table.User(left, ""); !ok || u.Enabled != decision.No {
		t.Errorf("deleted user %+v, %v", u, ok)
	}
	e.Check(t)
	// A delta token lives seven days; after that everything is listed again. The
	// emulator also finds that the access token, which lives in real time, is old.
	s.o.FullSweep = 30 * 24 * time.Hour
	e.Update(func(f *emulator.Fleet) { f.Device(emulator.CaseHealthy).Directory.Compliant = emulator.True })
	c.Advance(8 * 24 * time.Hour)
	if v := verdictOf(t, swept(t, s), emulator.CaseHealthy); v.Compliance != decision.Compliant {
		t.Errorf("after the token expired: %+v", v.Device)
	}
	if n := s.Stats().Resyncs; n != 2 {
		t.Errorf("%d resyncs, want one each of devices and users", n)
	}
}

func TestEmulatedFaults(t *testing.T) {
	for _, tt := range []struct {
		fault emulator.Fault
		fails bool
	}{
		{emulator.Fault{Kind: emulator.Throttle429, RetryAfter: "300"}, true},
		{emulator.Fault{Kind: emulator.Garbage}, true},
		{emulator.Fault{Kind: emulator.HTML200}, true},
		{emulator.Fault{Kind: emulator.HalfPage}, true},
		{emulator.Fault{Kind: emulator.ForeignNextLink}, true},
		{emulator.Fault{Kind: emulator.ShortPage}, true},
		{emulator.Fault{Kind: emulator.WrongAudience}, true},
		{emulator.Fault{Kind: emulator.DuplicateRows}, false},
		{emulator.Fault{Kind: emulator.UnknownEnums}, false},
		{emulator.Fault{Kind: emulator.NullFields}, false},
		{emulator.Fault{Kind: emulator.FutureDates}, false},
	} {
		t.Run(string(tt.fault.Kind), func(t *testing.T) {
			e, s, c := connect(t, emulator.Options{Devices: 250}, Options{})
			repair := e.Fail("graph/devices/delta", tt.fault)
			sw := source.NewSweep(0)
			err := s.Sync(t.Context(), sw)
			if (err != nil) != tt.fails || errors.Is(err, source.ErrUnchanged) {
				t.Fatalf("Sync = %v, want an error: %v", err, tt.fails)
			}
			if tt.fails {
				if s.Stats().Devices != 0 {
					t.Errorf("stats %+v after a failed first listing", s.Stats())
				}
				var throttled *source.ThrottledError
				if tt.fault.Kind == emulator.Throttle429 && !errors.As(err, &throttled) {
					t.Errorf("Sync = %v, want a ThrottledError", err)
				}
				return
			}
			table, err := sw.Table()
			if err != nil {
				t.Fatal(err)
			}
			if n, _ := sw.BadRows(); n != 0 || table.AmbiguousKeys() != 0 || table.Len() < 200 {
				t.Errorf("%d bad rows, %d ambiguous ids, %d devices", n, table.AmbiguousKeys(), table.Len())
			}
			for _, v := range table.All() {
				switch {
				case tt.fault.Kind == emulator.UnknownEnums && (v.Trust != decision.TrustUnknown || v.Ownership != decision.OwnershipUnknown),
					tt.fault.Kind == emulator.NullFields && (v.Compliance != decision.ComplianceNotManaged || v.Enabled != decision.Unknown):
					t.Fatalf("device %+v", v.Device)
				}
			}
			repair()
			s.devices.complete = time.Time{} // due again
			c.Advance(minute)
			if v := verdictOf(t, swept(t, s), emulator.CaseHealthy); v.Compliance != decision.Compliant || v.Trust != decision.TrustJoined {
				t.Errorf("after the repair: %+v", v.Device)
			}
		})
	}
}

// TestEmulatedFaultKeepsWhatIsKnown breaks a poll and not the first listing.
func TestEmulatedFaultKeepsWhatIsKnown(t *testing.T) {
	e, s, c := connect(t, emulator.Options{Devices: 50, Strict: true}, Options{})
	before := swept(t, s).Len()
	e.Update(func(f *emulator.Fleet) { f.Device(emulator.CaseHealthy).Directory.Compliant = emulator.False })
	e.Fail("graph/devices/delta", emulator.Fault{Kind: emulator.HTML200, Count: 1})
	c.Advance(minute)
	if err := s.Sync(t.Context(), source.NewSweep(0)); err == nil || errors.Is(err, source.ErrUnchanged) {
		t.Fatalf("Sync = %v, want an error", err)
	}
	table := swept(t, s)
	if v := verdictOf(t, table, emulator.CaseHealthy); v.Compliance != decision.NonCompliant || table.Len() != before {
		t.Errorf("the change was lost: %+v of %d devices", v.Device, table.Len())
	}
	if n := s.Stats().Resyncs; n != 0 {
		t.Errorf("%d resyncs, want none", n)
	}
	e.Check(t)
}

func TestEmulatedPermissions(t *testing.T) {
	role := func(part string) string {
		i := slices.IndexFunc(emulator.Roles(), func(r string) bool { return strings.HasPrefix(r, part) })
		return emulator.Roles()[i]
	}
	e, s, _ := connect(t, emulator.Options{Devices: 50}, Options{RiskyUsers: true})
	e.Grant(role("IdentityRiskyUser"), false)
	sw := source.NewSweep(0)
	if err := s.Sync(t.Context(), sw); err != nil {
		t.Fatal(err)
	}
	if facts, ok := sw.Facts(); !ok || facts.Has(decision.FactUserRisk) {
		t.Error("user risk is supplied without permission")
	}
	if st := s.Stats(); st.UserRisk != riskDenied {
		t.Errorf("stats %+v", st)
	}

	e, s, _ = connect(t, emulator.Options{Devices: 50}, Options{})
	e.Grant(role("Device.Read"), false)
	e.Grant(role("Directory.Read"), false)
	var me *msgraph.Error
	if err := s.Sync(t.Context(), source.NewSweep(0)); !errors.As(err, &me) || me.Kind != msgraph.KindPermission {
		t.Errorf("Sync = %v, want a permission error", err)
	}
	_, err := s.Lookup(t.Context(), entraKey(1))
	if err == nil || errors.Is(err, source.ErrUnknownDevice) {
		t.Errorf("Lookup without permission = %v", err)
	}
}

func TestEmulatedLookup(t *testing.T) {
	e, s, _ := connect(t, emulator.Options{Devices: 50, Strict: true}, Options{})
	var entra, object decision.Key
	e.Update(func(f *emulator.Fleet) {
		d := f.Device(emulator.CaseDisabled)
		entra = decision.Key{Kind: decision.KindEntra, Value: d.EntraID.String()}
		object = decision.Key{Kind: decision.KindEntraObject, Value: d.Directory.ObjectID.String()}
	})
	for _, k := range []decision.Key{entra, object} {
		v, err := s.Lookup(t.Context(), k)
		if err != nil || v.Enabled != decision.No || v.Keys[0] != object || v.Keys[1] != entra {
			t.Errorf("Lookup(%v) = %+v, %v", k, v.Device, err)
		}
	}
	for _, k := range []decision.Key{entraKey(1), {Kind: decision.KindEntraObject, Value: objectID(1)}} {
		if _, err := s.Lookup(t.Context(), k); !errors.Is(err, source.ErrUnknownDevice) {
			t.Errorf("Lookup(%v) = %v, want ErrUnknownDevice", k, err)
		}
	}
	e.Check(t)
}

// TestEmulatedPartners: whose verdict stands in the directory alone.
func TestEmulatedPartners(t *testing.T) {
	for _, unnamed := range []bool{false, true} {
		e, s, c := connect(t, emulator.Options{Devices: 60, Strict: true}, Options{PartnerMDM: unnamed})
		check := func(when string, want map[string]decision.Channel) {
			t.Helper()
			table := swept(t, s)
			for name, channel := range want {
				if v := verdictOf(t, table, name); v.Channel != channel {
					t.Errorf("%s, partner_mdm %v: %s has the channel %v, want %v", when, unnamed, name, v.Channel, channel)
				}
			}
		}
		none, some := decision.ChannelUnknown, decision.ChannelPartnerMDM
		if unnamed {
			none = some
		}
		check("at first", map[string]decision.Channel{
			emulator.CaseJamf: some, emulator.CaseHealthy: decision.ChannelUnknown, emulator.CaseComanaged: decision.ChannelUnknown,
			emulator.CaseComanagedConfigMgr: decision.ChannelUnknown, emulator.CaseHybridOnly: decision.ChannelUnknown, emulator.CaseTenantAttach: decision.ChannelUnknown,
		})
		e.Update(func(f *emulator.Fleet) {
			f.Device(emulator.CaseHealthy).Directory.MDMApp = f.Device(emulator.CaseJamf).Directory.MDMApp
			f.Device(emulator.CaseJamf).Directory.MDMApp = ""         // Intune takes it over
			f.Device(emulator.CaseGraceFar).Directory.MDMApp = "null" // managed by nobody named
		})
		c.Advance(time.Minute)
		check("after changes", map[string]decision.Channel{
			emulator.CaseJamf: decision.ChannelUnknown, emulator.CaseHealthy: some, emulator.CaseGraceFar: none,
		})
		e.Check(t)
	}
}
