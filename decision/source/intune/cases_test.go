package intune

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// find returns the device with a name.
func (r rig) find(t *testing.T, name string) *emulator.Device {
	t.Helper()
	for _, d := range r.ms.Devices() {
		if d.Name == name {
			return d
		}
	}
	t.Fatalf("no device %s", name)
	return nil
}

// TestCases reads the telling devices and checks what each one means.
func TestCases(t *testing.T) {
	r := start(t, emulator.Options{}, Options{Reasons: true})
	table := r.sync(t)
	tests := []struct {
		name       string
		channel    decision.Channel
		compliance decision.Compliance
		managed    decision.Tri
		risk       decision.Level
		lifecycle  decision.Lifecycle
	}{
		{emulator.CaseHealthy, decision.ChannelIntune, decision.Compliant, decision.Yes, decision.LevelNone, decision.LifecycleActive},
		{emulator.CaseComanaged, decision.ChannelCoManaged, decision.Compliant, decision.Yes, decision.LevelUnknown, decision.LifecycleActive},
		{emulator.CaseComanagedConfigMgr, decision.ChannelCoManaged, decision.ComplianceDelegated, decision.Yes, decision.LevelUnknown, decision.LifecycleActive},
		{emulator.CaseTenantAttach, decision.ChannelConfigMgrAttached, decision.ComplianceDelegated, decision.Yes, decision.LevelUnknown, decision.LifecycleActive},
		{emulator.CaseIntuneOnly, decision.ChannelIntune, decision.Compliant, decision.Yes, decision.LevelUnknown, decision.LifecycleActive},
		{emulator.CaseJamf, decision.ChannelPartnerMDM, decision.ComplianceUnknown, decision.Yes, decision.LevelUnknown, decision.LifecycleActive},
		{emulator.CaseGraceFar, decision.ChannelIntune, decision.InGracePeriod, decision.Yes, decision.LevelNone, decision.LifecycleActive},
		{emulator.CaseNoncompliant, decision.ChannelIntune, decision.NonCompliant, decision.Yes, decision.LevelNone, decision.LifecycleActive},
		{emulator.CaseMalware, decision.ChannelCoManaged, decision.NonCompliant, decision.Yes, decision.LevelHigh, decision.LifecycleActive},
		{emulator.CaseThreatCompromised, decision.ChannelIntune, decision.NonCompliant, decision.Yes, decision.LevelCompromised, decision.LifecycleActive},
		{emulator.CaseThreatUnresponsive, decision.ChannelIntune, decision.Compliant, decision.Yes, decision.LevelUnknown, decision.LifecycleActive},
		{emulator.CaseWiped, decision.ChannelIntune, decision.Compliant, decision.Yes, decision.LevelUnknown, decision.LifecycleWiping},
		{emulator.CaseDuplicate, decision.ChannelIntune, decision.Compliant, decision.Yes, decision.LevelNone, decision.LifecycleActive},
		{emulator.CaseRevoked, decision.ChannelIntune, decision.Compliant, decision.Yes, decision.LevelUnknown, decision.LifecycleRevoked},
		{emulator.CaseNotEvaluated, decision.ChannelIntune, decision.ComplianceNotEvaluated, decision.Yes, decision.LevelNone, decision.LifecycleActive},
		{emulator.CaseConflict, decision.ChannelIntune, decision.ComplianceConflict, decision.Yes, decision.LevelNone, decision.LifecycleActive},
		{emulator.CaseError, decision.ChannelIntune, decision.ComplianceError, decision.Yes, decision.LevelNone, decision.LifecycleActive},
		{emulator.CaseFutureValues, decision.ChannelUnknown, decision.ComplianceUnknown, decision.Unknown, decision.LevelUnknown, decision.LifecycleUnknown},
		{emulator.CaseDefenderAttach, decision.ChannelMDEAttach, decision.ComplianceUnknown, decision.Unknown, decision.LevelNone, decision.LifecycleActive},
	}
	for _, test := range tests {
		v := verdict(t, table, r.find(t, test.name))
		if v.Channel != test.channel || v.Compliance != test.compliance || v.Managed != test.managed || v.Risk != test.risk || v.Lifecycle != test.lifecycle {
			t.Errorf("%s: got %s, %s, managed %s, risk %s, %s", test.name, v.Channel, v.Compliance, v.Managed, v.Risk, v.Lifecycle)
		}
	}
	if v := verdict(t, table, r.find(t, emulator.CaseJailbroken)); v.Jailbroken != decision.Yes {
		t.Errorf("rooted phone is jailbroken %s", v.Jailbroken)
	}
	if v := verdict(t, table, r.find(t, emulator.CaseUnreported)); v.Encrypted != decision.Unknown || v.Jailbroken != decision.Unknown {
		t.Errorf("what was not collected reads as encrypted %s, jailbroken %s", v.Encrypted, v.Jailbroken)
	}
	if v := verdict(t, table, r.find(t, emulator.CaseTenantAttach)); v.Encrypted != decision.Unknown {
		t.Errorf("tenant-attached server is encrypted %s", v.Encrypted)
	}
	if v := verdict(t, table, r.find(t, emulator.CaseThreatUnresponsive)); v.Sensor != decision.SensorUnresponsive {
		t.Errorf("silent sensor is %s", v.Sensor)
	}
	for _, name := range []string{emulator.CaseHybridOnly, emulator.CaseNACOnly} {
		if _, ok := table.Find(entraKey(r.find(t, name).EntraID)); ok {
			t.Errorf("%s is listed but not enrolled", name)
		}
	}
	want := []string{"StorageRequireEncryption", "OsMinimumVersion"}
	var got []string
	for _, st := range verdict(t, table, r.find(t, emulator.CaseNoncompliant)).Settings {
		if st.Policy != "Laptops baseline" || st.State != "nonCompliant" {
			t.Errorf("reason is %+v", st)
		}
		got = append(got, st.Name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("reasons are %v, want %v", got, want)
	}
	st := r.Stats()
	if st.Mode != modePaged || st.Devices != table.Len() || st.Duplicates != 1 || st.Fields["managementAgent: unknown value"] != 1 || st.ReasonsDue != 0 {
		t.Errorf("stats are %+v", st)
	}
}

func TestLookup(t *testing.T) {
	for _, synced := range []bool{false, true} {
		r := start(t, emulator.Options{}, Options{})
		if synced {
			r.sync(t)
		}
		d := r.find(t, emulator.CaseNoncompliant)
		serial, _ := decision.CanonicalKey(decision.KindSerial, d.Serial)
		for _, k := range []decision.Key{entraKey(d.EntraID), {Kind: decision.KindIntune, Value: d.Managed[0].ID.String()}, serial} {
			v, err := r.Lookup(t.Context(), k)
			if err != nil || v.Compliance != decision.NonCompliant || !slices.Contains(v.Keys, k) {
				t.Errorf("Lookup(%v) = %s, %v, %v", k, v.Compliance, v.Keys, err)
			}
		}
		for _, k := range []decision.Key{
			entraKey(r.find(t, emulator.CaseHybridOnly).EntraID),
			{Kind: decision.KindIntune, Value: ownID},
			{Kind: decision.KindSerial, Value: "IT'S NONE"},
			{Kind: decision.KindSerial, Value: "DEFAULT STRING"},
			{Kind: decision.KindDefender, Value: "abc"},
			{Kind: decision.KindIntune, Value: "../x"},
		} {
			if v, err := r.Lookup(t.Context(), k); !errors.Is(err, source.ErrUnknownDevice) {
				t.Errorf("Lookup(%v) = %v, %v, want an unknown device", k, v.Keys, err)
			}
		}
		twice := r.find(t, emulator.CaseDuplicate)
		v, err := r.Lookup(t.Context(), entraKey(twice.EntraID))
		if err != nil || v.Compliance != decision.Compliant || v.Keys[0].Value != twice.Managed[1].ID.String() {
			t.Errorf("of two records Lookup returns %v, %s, %v", v.Keys, v.Compliance, err)
		}
		_, err = r.Lookup(t.Context(), decision.Key{Kind: decision.KindIntune, Value: twice.Managed[0].ID.String()})
		if !errors.Is(err, source.ErrUnknownDevice) {
			t.Errorf("synced %v: Lookup of a replaced record: %v", synced, err)
		}
	}
}

// TestReplacedEnrolment: who enrols a device again leaves the old record behind.
//
// Which record counts: the devices of both are one (same Entra device id), and its
// old enrolment cannot check in any more, so the one that did last is the device. As
// soon as both were seen, by whatever ids and in whatever order, the old one is an
// unknown device, also while nothing was listed yet. Until then the old record alone
// is all that is known, and Graph still returns it: to call it unknown would be a
// guess, so it counts as what Graph says. A serial number alone makes no two records
// one device: makers repeat them, and one machine must not silence another.
func TestReplacedEnrolment(t *testing.T) {
	for _, synced := range []bool{false, true} {
		for _, by := range []string{decision.KindEntra, decision.KindIntune} {
			r := start(t, emulator.Options{}, Options{})
			d := r.find(t, emulator.CaseHealthy)
			old := decision.Key{Kind: decision.KindIntune, Value: d.Managed[0].ID.String()}
			if synced {
				r.sync(t)
			}
			if v, err := r.Lookup(t.Context(), old); err != nil || v.Compliance != decision.Compliant {
				t.Fatalf("synced %v: the only record: %s, %v", synced, v.Compliance, err)
			}
			next := *d.Managed[0]
			next.ID, next.Compliance, next.LastSync = emulator.MustGUID("77777777-1111-4111-8111-777777777777"), "noncompliant", time.Now()
			r.ms.Update(func(*emulator.Fleet) { d.Managed = append(d.Managed, &next) })
			if v, err := r.Lookup(t.Context(), old); err != nil || v.Compliance != decision.Compliant {
				t.Errorf("synced %v: the old record, of which Graph tells nothing else: %s, %v", synced, v.Compliance, err)
			}
			key := entraKey(d.EntraID)
			if by == decision.KindIntune {
				key = decision.Key{Kind: by, Value: next.ID.String()}
			}
			if v, err := r.Lookup(t.Context(), key); err != nil || v.Compliance != decision.NonCompliant || v.Keys[0].Value != next.ID.String() {
				t.Errorf("synced %v: the new record by %s: %v, %s, %v", synced, by, v.Keys, v.Compliance, err)
			}
			if v, err := r.Lookup(t.Context(), old); !errors.Is(err, source.ErrUnknownDevice) {
				t.Errorf("synced %v: the old record after the new one was seen by %s: %s, %v", synced, by, v.Compliance, err)
			}
			table := r.sync(t)
			if _, ok := table.Find(old); ok || verdict(t, table, d).Compliance != decision.NonCompliant {
				t.Errorf("synced %v: the next sweep still has the old record", synced)
			}
		}
	}
}

// TestSameSerialNumber: two records with one serial number and different Entra ids
// both count.
func TestSameSerialNumber(t *testing.T) {
	r := start(t, emulator.Options{}, Options{})
	a, b := r.find(t, emulator.CaseHealthy), r.find(t, emulator.CaseNoncompliant)
	r.ms.Update(func(*emulator.Fleet) { a.Serial, b.Serial = "TWIN1", "TWIN1" })
	for _, d := range []*emulator.Device{a, b, a} {
		v, err := r.Lookup(t.Context(), decision.Key{Kind: decision.KindIntune, Value: d.Managed[0].ID.String()})
		if err != nil || (v.Compliance == decision.Compliant) != (d == a) {
			t.Errorf("Lookup of %s = %s, %v", d.Name, v.Compliance, err)
		}
	}
}

func TestSharedSerialNumber(t *testing.T) {
	r := start(t, emulator.Options{}, Options{})
	a, b := r.find(t, emulator.CaseHealthy), r.find(t, emulator.CaseComanaged)
	r.ms.Update(func(*emulator.Fleet) { a.Serial, b.Serial = "TWIN1", "TWIN1" })
	table := r.sync(t)
	serial := decision.Key{Kind: decision.KindSerial, Value: "TWIN1"}
	if _, ok := table.Find(serial); ok || r.Stats().SharedSerials != 1 {
		t.Error("a serial number of two devices finds one of them")
	}
	if _, err := r.Lookup(t.Context(), serial); err == nil || errors.Is(err, source.ErrUnknownDevice) {
		t.Errorf("Lookup by the serial number of two devices: %v", err)
	}
}

// TestChanges checks that polls find what changed, with and without a check-in.
func TestChanges(t *testing.T) {
	r := start(t, emulator.Options{}, Options{Reasons: true})
	r.sync(t)
	if table := r.sync(t); table != nil {
		t.Fatal("nothing changed, and still a sweep")
	}
	if n := r.ms.Calls()["graph/managedDevices"]; n != 4 {
		t.Errorf("%d list calls, want one complete list and three polls", n)
	}
	steps := []struct {
		name   string
		device string
		change func(m *emulator.Managed)
		check  func(v *decision.Verdict) bool
	}{
		{
			"a check-in", emulator.CaseHealthy, func(m *emulator.Managed) { m.Compliance, m.LastSync = "noncompliant", time.Now() },
			func(v *decision.Verdict) bool { return v.Compliance == decision.NonCompliant && len(v.Settings) > 0 },
		},
		{
			"a wipe", emulator.CaseComanaged, func(m *emulator.Managed) { m.State, m.LastSync = "wipePending", m.LastSync.Add(-time.Second) },
			func(v *decision.Verdict) bool { return v.Lifecycle == decision.LifecycleWiping },
		},
		{"a partner's alarm", emulator.CaseIntuneOnly, func(m *emulator.Managed) {
			m.Compliance, m.Threat, m.LastSync = "noncompliant", "compromised", m.LastSync.Add(time.Second)
		}, func(v *decision.Verdict) bool { return v.Risk == decision.LevelCompromised }},
		{
			"a better verdict", emulator.CaseNoncompliant, func(m *emulator.Managed) { m.Compliance, m.LastSync = "compliant", time.Now() },
			func(v *decision.Verdict) bool { return v.Compliance == decision.Compliant && v.Settings == nil },
		},
	}
	for _, s := range steps {
		d := r.find(t, s.device)
		old := d.Managed[0].LastSync
		r.ms.Update(func(*emulator.Fleet) {
			s.change(d.Managed[0])
			if d.Managed[0].LastSync.Before(old) {
				d.Managed[0].LastSync = old
			}
		})
		table := r.sync(t)
		if table == nil {
			t.Errorf("%s went unnoticed", s.name)
			continue
		}
		v := verdict(t, table, d)
		if !s.check(&v) {
			t.Errorf("after %s: %s, %s, risk %s, reasons %v", s.name, v.Compliance, v.Lifecycle, v.Risk, v.Settings)
		}
		if st := r.Stats(); st.Mode != modeChanges || st.Changed == 0 {
			t.Errorf("after %s: mode %s, %d changed", s.name, st.Mode, st.Changed)
		}
	}
}

// TestLookupIsKept checks that a sweep does not fall behind a look-up.
func TestLookupIsKept(t *testing.T) {
	r := start(t, emulator.Options{}, Options{})
	r.sync(t)
	d := r.find(t, emulator.CaseHealthy)
	r.ms.Update(func(*emulator.Fleet) { // a conflict is not polled for without a check-in
		d.Managed[0].Compliance, d.Managed[0].LastSync = "conflict", d.Managed[0].LastSync.Add(time.Second)
	})
	v, err := r.Lookup(t.Context(), entraKey(d.EntraID))
	if err != nil || v.Compliance != decision.ComplianceConflict {
		t.Fatalf("Lookup = %s, %v", v.Compliance, err)
	}
	table := r.sync(t)
	if table == nil {
		t.Fatal("the look-up is no change")
	}
	if v := verdict(t, table, d); v.Compliance != decision.ComplianceConflict {
		t.Errorf("the sweep says %s", v.Compliance)
	}
}

// TestLookupDuringListing checks that a page that was read before a look-up does
// not undo it.
func TestLookupDuringListing(t *testing.T) {
	r := start(t, emulator.Options{}, Options{FullSweep: 1})
	r.sync(t)
	d := r.find(t, emulator.CaseHealthy)
	hook := func() {
		r.ms.Update(func(*emulator.Fleet) {
			d.Managed[0].Compliance, d.Managed[0].LastSync = "noncompliant", d.Managed[0].LastSync.Add(time.Second)
		})
		if v, err := r.Lookup(t.Context(), entraKey(d.EntraID)); err != nil || v.Compliance != decision.NonCompliant {
			t.Errorf("Lookup = %s, %v", v.Compliance, err)
		}
	}
	r.lossy.hook.Store(&hook)
	if v := verdict(t, r.sync(t), d); v.Compliance != decision.NonCompliant {
		t.Errorf("the listing says %s", v.Compliance)
	}
}

func TestNew(t *testing.T) {
	client := connect(t, emulator.Options{}, Options{}).o.Client
	for _, test := range []struct {
		name string
		o    Options
		ok   bool
	}{
		{"only a client", Options{Client: client}, true},
		{"no client", Options{}, false},
		{"negative sweep", Options{Client: client, FullSweep: -1}, false},
		{"negative reasons", Options{Client: client, ReasonsPerPoll: -1}, false},
		{"never export", Options{Client: client, ExportAbove: -1}, true},
	} {
		if s, err := New(test.o); (err == nil) != test.ok || (s != nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
