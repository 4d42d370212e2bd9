package intune

import (
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

func TestExport(t *testing.T) {
	t.Parallel()
	r := start(t, emulator.Options{Devices: 300}, Options{FullSweep: 1, ExportAbove: 50})
	before := r.sync(t)
	if mode := r.Stats().Mode; mode != modePaged {
		t.Fatalf("the first listing is %s", mode)
	}
	silent, gone := r.find(t, emulator.CaseDefenderHigh), r.find(t, emulator.CaseComanaged)
	r.ms.Update(func(f *emulator.Fleet) {
		silent.Managed[0].Compliance, silent.Managed[0].LastSync = "error", silent.Managed[0].LastSync.Add(time.Second)
		f.RemoveDevice(gone)
	})
	table := r.sync(t)
	st := r.Stats()
	if st.Mode != modeExport || st.Exports != 1 || st.ExportsFailed != 0 {
		t.Fatalf("mode %s, %d exports, %d failed, %v", st.Mode, st.Exports, st.ExportsFailed, st.Fields)
	}
	if n := r.ms.Calls()["blob/export"]; n != 1 {
		t.Errorf("%d downloads, want 1", n)
	}
	if table.Len() != before.Len()-1 {
		t.Errorf("%d devices, want %d", table.Len(), before.Len()-1)
	}
	if v := verdict(t, table, silent); v.Compliance != decision.ComplianceError {
		t.Errorf("what the export says of a device that did not check in is lost: %s", v.Compliance)
	}
	if _, ok := table.Find(entraKey(gone.EntraID)); ok {
		t.Error("a removed device is still listed")
	}
	changed := 0
	for _, v := range table.All() {
		row, ok := before.Find(v.Keys[0])
		if !ok {
			t.Errorf("device %s is new", v.Name)
			continue
		}
		if old := before.Verdict(row); old.Compliance != v.Compliance || old.Risk != v.Risk || old.Channel != v.Channel || old.Encrypted != v.Encrypted || old.Managed != v.Managed {
			changed++
			if v.Name != silent.Name {
				t.Errorf("%s: was %s %s %s, is %s %s %s", v.Name, old.Channel, old.Compliance, old.Risk, v.Channel, v.Compliance, v.Risk)
			}
		}
	}
	if changed != 1 {
		t.Errorf("the export changed %d devices, want 1", changed)
	}
}

func TestExportFallsBack(t *testing.T) {
	t.Parallel()
	r := start(t, emulator.Options{Devices: 100}, Options{FullSweep: 1, ExportAbove: 50})
	r.sync(t)
	r.ms.Fail("blob/export", emulator.Fault{Kind: emulator.Garbage})
	if table := r.sync(t); table == nil {
		t.Fatal("no listing")
	}
	if st := r.Stats(); st.Mode != modePaged || st.ExportsFailed != 1 {
		t.Errorf("mode %s, %d exports failed", st.Mode, st.ExportsFailed)
	}
}

func TestPagedListingEveryDay(t *testing.T) {
	t.Parallel()
	clock := time.Now()
	r := start(t, emulator.Options{Devices: 100}, Options{ExportAbove: 50, Now: func() time.Time { return clock }})
	r.sync(t)
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{time.Minute, modeChanges}, {59 * time.Minute, modeExport}, {24 * time.Hour, modePaged}, {-48 * time.Hour, modePaged}} {
		clock = clock.Add(step.after)
		err := r.Sync(t.Context(), source.NewSweep(0))
		if got := r.Stats().Mode; got != step.want {
			t.Errorf("%s later the listing is %s, want %s (%v)", step.after, got, step.want, err)
		}
	}
}

// TestStrictDefault checks that without a policy "compliant" is worth nothing.
func TestStrictDefault(t *testing.T) {
	for _, secure := range []bool{false, true} {
		r := start(t, emulator.Options{}, Options{StrictDefault: true})
		bare, fine := r.find(t, emulator.CaseHealthy), r.find(t, emulator.CaseComanaged)
		r.ms.Update(func(f *emulator.Fleet) {
			f.Settings.SecureByDefault = secure
			bare.Managed[0].Policies = []*emulator.PolicyState{{ID: emulator.MustGUID(ownID), Name: "Default Device Compliance Policy", State: "compliant"}}
		})
		want := decision.Compliant
		if !secure {
			want = decision.ComplianceNotEvaluated
		}
		_, err := r.Lookup(t.Context(), entraKey(fine.EntraID)) // before any listing
		if err != nil {
			t.Error(err)
		}
		table := r.sync(t)
		if v := verdict(t, table, bare); v.Compliance != want {
			t.Errorf("secure by default %v: device without a policy is %s", secure, v.Compliance)
		}
		if v := verdict(t, table, fine); v.Compliance != decision.Compliant {
			t.Errorf("secure by default %v: device with a policy is %s", secure, v.Compliance)
		}
		v, err := r.Lookup(t.Context(), entraKey(bare.EntraID))
		if err != nil || v.Compliance != want {
			t.Errorf("secure by default %v: Lookup = %s, %v", secure, v.Compliance, err)
		}
		if n := r.Stats().Unproven; (n > 0) == secure {
			t.Errorf("secure by default %v: %d devices held back", secure, n)
		}
	}
}

// TestSilentConnector checks that the words of a threat partner that falls silent are
// only the least that can be, until it speaks again.
func TestSilentConnector(t *testing.T) {
	clock := time.Now()
	r := start(t, emulator.Options{}, Options{Now: func() time.Time { return clock }})
	d := r.find(t, emulator.CaseHealthy)
	if c := r.Counters(); c.SilentPartners != nil {
		t.Errorf("before connectors were read: %v", c.SilentPartners)
	}
	set := func(state string) {
		r.ms.Update(func(f *emulator.Fleet) {
			for _, c := range f.Connectors {
				c.State, c.Windows = state, true
			}
		})
		clock = clock.Add(20 * time.Minute)
	}
	set("enabled")
	if v := verdict(t, r.sync(t), d); v.Risk != decision.LevelNone || v.RiskFloor {
		t.Fatalf("risk is %s, floor %v", v.Risk, v.RiskFloor)
	}
	set("unresponsive")
	table := r.sync(t)
	if table == nil {
		t.Fatal("nothing changed")
	}
	if v := verdict(t, table, d); v.Risk != decision.LevelNone || !v.RiskFloor || v.Sensor != decision.SensorUnresponsive {
		t.Errorf("silent partner: risk %s, floor %v, sensor %s", v.Risk, v.RiskFloor, v.Sensor)
	}
	if names := r.Stats().SilentPlatforms; len(names) == 0 {
		t.Error("no platform is reported silent")
	}
	if c := r.Counters(); !c.SilentPartners["windows"] || len(c.SilentPartners) != 4 || c.Own == nil {
		t.Errorf("counters: %+v", c)
	}
	set("enabled")
	if table = r.sync(t); table == nil || verdict(t, table, d).RiskFloor {
		t.Error("the partner speaks again and nobody listens")
	}
}

// TestUnheardConnector: where connectors cannot be read, and where the last time is too
// long ago, every level is only the least that it can be.
func TestUnheardConnector(t *testing.T) {
	clock := time.Now()
	r := connect(t, emulator.Options{}, Options{Now: func() time.Time { return clock }})
	d := r.find(t, emulator.CaseHealthy)
	is := func(name string, floor bool, v decision.Verdict) {
		t.Helper()
		if v.Risk != decision.LevelNone || v.RiskFloor != floor || (v.Sensor == decision.SensorActive) == floor {
			t.Errorf("%s: risk %s, floor %v, sensor %s, want floor %v", name, v.Risk, v.RiskFloor, v.Sensor, floor)
		}
	}
	const route = "graph/mobileThreatDefenseConnectors"
	clear := r.ms.Fail(route, emulator.Fault{Kind: emulator.Status, Status: 403})
	v, err := r.Lookup(t.Context(), entraKey(d.EntraID))
	if err != nil {
		t.Fatal(err)
	}
	is("look-up without the permission", true, v)
	is("sweep without the permission", true, verdict(t, r.sync(t), d))
	clear()
	clock = clock.Add(20 * time.Minute)
	is("granted", false, verdict(t, r.sync(t), d))
	r.ms.Fail(route, emulator.Fault{Kind: emulator.Garbage})
	clock = clock.Add(20 * time.Minute)
	if r.sync(t) != nil {
		t.Error("one failed read changes devices")
	}
	clock = clock.Add(connectorsTrust)
	is("not heard for a day", true, verdict(t, r.sync(t), d))
}

// TestFirstLookup: a look-up before the first listing knows whether partners speak.
func TestFirstLookup(t *testing.T) {
	r := start(t, emulator.Options{}, Options{})
	for range 2 {
		v, err := r.Lookup(t.Context(), entraKey(r.find(t, emulator.CaseHealthy).EntraID))
		if err != nil || v.Risk != decision.LevelNone || v.RiskFloor {
			t.Errorf("risk %s, floor %v, %v", v.Risk, v.RiskFloor, err)
		}
	}
	if n := r.ms.Calls()["graph/mobileThreatDefenseConnectors"]; n != 1 {
		t.Errorf("connectors are read %d times", n)
	}
}

// TestValidityPeriod checks that the tenant's own period counts.
func TestValidityPeriod(t *testing.T) {
	r := start(t, emulator.Options{}, Options{})
	d := r.find(t, emulator.CaseHealthy)
	r.ms.Update(func(f *emulator.Fleet) {
		f.Settings.CheckinDays = 2
		d.Managed[0].LastSync = time.Now().Add(-49 * time.Hour)
	})
	if v := verdict(t, r.sync(t), d); v.Compliance != decision.ComplianceNotEvaluated {
		t.Errorf("device that stays away is %s", v.Compliance)
	}
}
