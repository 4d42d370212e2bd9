package intune

import (
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

const (
	protectionRoute  = "graph/windowsProtectionState"
	attestationRoute = "graph/managedDevice"
)

// TestHealth reads the telling computers with everything switched on, and asks again
// only when there is something new.
func TestHealth(t *testing.T) {
	clock := time.Now()
	r := start(t, emulator.Options{}, Options{Protection: true, Attestation: true, PatchWithin: 90 * 24 * time.Hour, Now: func() time.Time { return clock }})
	healthy, ill, failing, phone := r.find(t, emulator.CaseHealthy), r.find(t, emulator.CaseMalware), r.find(t, emulator.CaseNoncompliant), r.find(t, emulator.CaseJailbroken)
	r.ms.Update(func(*emulator.Fleet) {
		healthy.Managed[0].Attestation = &emulator.Attestation{BitLocker: "Enabled", SecureBoot: "Enabled"}
		ill.Managed[0].Protection.State = "rebootPending" // the list of what was found tells
		failing.Managed[0].Encrypted = true               // the record says so, the attestation does not
		phone.Managed[0].PatchLevel = "2020-01-01"
	})
	table := r.sync(t)
	if v := verdict(t, table, healthy); v.Antivirus != decision.Yes || v.Malware != decision.No || v.SecureBoot != decision.Yes || v.Encrypted != decision.Yes {
		t.Errorf("healthy: antivirus %s, malware %s, secure boot %s, encrypted %s", v.Antivirus, v.Malware, v.SecureBoot, v.Encrypted)
	}
	if v := verdict(t, table, ill); v.Malware != decision.Yes || v.Risk != decision.LevelHigh {
		t.Errorf("infected: malware %s, risk %s", v.Malware, v.Risk)
	}
	if v := verdict(t, table, failing); v.SecureBoot != decision.Yes || v.Encrypted != decision.No {
		t.Errorf("BitLocker off: secure boot %s, encrypted %s", v.SecureBoot, v.Encrypted)
	}
	if v := verdict(t, table, phone); v.Antivirus != decision.Unknown || v.Updated != decision.No {
		t.Errorf("phone: antivirus %s, updated %s", v.Antivirus, v.Updated)
	}
	if st := r.Stats(); st.HealthDue != 0 || st.Refused["health"] != 0 {
		t.Errorf("stats are %+v", st)
	}
	calls := r.ms.Calls()
	if calls[protectionRoute] == 0 || calls[attestationRoute] < calls[protectionRoute] || calls["graph/detectedMalwareState"] != 1 {
		t.Errorf("calls: %d states, %d records, %d lists of malware", calls[protectionRoute], calls[attestationRoute], calls["graph/detectedMalwareState"])
	}
	if got := calls["graph/batch"]; got > calls[protectionRoute]/10+3 {
		t.Errorf("%d batches for %d computers", got, calls[protectionRoute])
	}

	// Nobody checked in: nothing is asked.
	if r.sync(t) != nil || r.ms.Calls()[protectionRoute] != calls[protectionRoute] {
		t.Errorf("nothing changed, and %d more states are read", r.ms.Calls()[protectionRoute]-calls[protectionRoute])
	}
	// A look-up asks nothing more, and keeps what is known.
	v, err := r.Lookup(t.Context(), entraKey(ill.EntraID))
	if err != nil || v.Malware != decision.Yes || v.Risk != decision.LevelHigh || r.ms.Calls()[protectionRoute] != calls[protectionRoute] {
		t.Errorf("look-up: malware %s, risk %s, %v", v.Malware, v.Risk, err)
	}
	// One checked in: it alone is asked about, and what was wrong is forgotten.
	r.ms.Update(func(*emulator.Fleet) {
		m := ill.Managed[0]
		m.Protection, m.Threat, m.LastSync = nil, "secured", time.Now()
	})
	clock = clock.Add(5 * time.Minute)
	table = r.sync(t)
	if table == nil {
		t.Fatal("the check-in went unnoticed")
	}
	if v := verdict(t, table, ill); v.Malware != decision.No || v.Risk != decision.LevelNone {
		t.Errorf("mended: malware %s, risk %s", v.Malware, v.Risk)
	}
	if n := r.ms.Calls()[protectionRoute] - calls[protectionRoute]; n != 1 {
		t.Errorf("%d states are read after one check-in", n)
	}
	for _, f := range []decision.Fact{decision.FactAntivirus, decision.FactMalware, decision.FactSecureBoot, decision.FactUpdated} {
		if !r.Facts().Has(f) {
			t.Errorf("no fact %s", f)
		}
	}
}

// TestHealthOff: without a switch nothing is asked, and no fact promised.
func TestHealthOff(t *testing.T) {
	r := start(t, emulator.Options{}, Options{})
	table := r.sync(t)
	if v := verdict(t, table, r.find(t, emulator.CaseMalware)); v.Antivirus != decision.Unknown || v.Malware != decision.Unknown || v.SecureBoot != decision.Unknown || v.Updated != decision.Unknown {
		t.Errorf("facts that nobody asked for: %+v", v.Device)
	}
	if n := r.ms.Calls()[protectionRoute]; n != 0 {
		t.Errorf("%d states are read", n)
	}
	for _, f := range []decision.Fact{decision.FactAntivirus, decision.FactMalware, decision.FactSecureBoot, decision.FactUpdated} {
		if r.Facts().Has(f) {
			t.Errorf("fact %s is promised", f)
		}
	}
}

// TestHealthTurns: computers that never get an answer do not take the others' turn,
// and a check-in that comes while a question is under way is asked about again.
func TestHealthTurns(t *testing.T) {
	now := time.Now()
	h := healths{
		"odd":     {seen: now, refused: now.Add(-time.Minute)},
		"odd too": {asked: now.Add(-48 * time.Hour), seen: now, refused: now.Add(-time.Hour)},
		"mended":  {asked: now.Add(-time.Minute), checkIn: now.Add(-time.Hour), seen: now, refused: now.Add(-time.Hour)},
		"old":     {asked: now.Add(-healthAgain), checkIn: now, seen: now},
		"new":     {seen: now.Add(-time.Hour)},
		"fresh":   {asked: now.Add(-time.Minute), checkIn: now, seen: now},
	}
	if got, want := h.due(now, 10), []string{"new", "mended", "old", "odd", "odd too"}; !slices.Equal(got, want) {
		t.Errorf("turns %q, want %q", got, want)
	}
	s := &Source{healths: h}
	h["new"].seen = now
	s.answered("new", healthAnswer{}, now, now.Add(-time.Hour))
	if got := h.due(now, 10); !slices.Contains(got, "new") {
		t.Errorf("after a check-in during the question %q is due", got)
	}
	// That Intune has nothing to say takes no infection back.
	s.answered("fresh", healthAnswer{protection: protection{malware: decision.Yes, risk: decision.LevelHigh}}, now, now)
	s.answered("fresh", healthAnswer{}, now, now)
	if f := h["fresh"].facets(now); f.malware != decision.Yes || f.risk != decision.LevelHigh {
		t.Errorf("malware %s, risk %s", f.malware, f.risk)
	}
	s.answered("fresh", healthAnswer{protection: protection{malware: decision.No, reported: now}}, now, now)
	if f := h["fresh"].facets(now); f.malware != decision.No {
		t.Errorf("cleaned: malware %s", f.malware)
	}
}

// TestVerdictsFirst: what is asked beside a listing holds only the first one back,
// which would otherwise lack facts that people are refused without.
func TestVerdictsFirst(t *testing.T) {
	clock := time.Now()
	r := start(t, emulator.Options{}, Options{Protection: true, Reasons: true, Now: func() time.Time { return clock }})
	failing := r.find(t, emulator.CaseNoncompliant)
	first := r.list(t, r.Sync)
	if v := verdict(t, first, failing); len(v.Settings) == 0 || v.Antivirus == decision.Unknown {
		t.Errorf("the first table has settings %v, antivirus %s", v.Settings, v.Antivirus)
	}
	calls := r.ms.Calls()
	r.ms.Update(func(*emulator.Fleet) { failing.Managed[0].LastSync = time.Now() })
	clock = clock.Add(5 * time.Minute)
	if r.list(t, r.Sync) == nil {
		t.Error("the check-in went unnoticed")
	}
	now := r.ms.Calls()
	for _, route := range []string{protectionRoute, "graph/deviceCompliancePolicyStates"} {
		if now[route] != calls[route] {
			t.Errorf("a Sync waits for %s", route)
		}
	}
	r.FollowUp(t.Context())
	if now := r.ms.Calls(); now[protectionRoute] != calls[protectionRoute]+1 {
		t.Errorf("%d questions after it, want 1", now[protectionRoute]-calls[protectionRoute])
	}
}

// TestHealthFails: what cannot be read fails no Sync and is unknown; what was good
// grows old, what was bad stays, and all comes back.
func TestHealthFails(t *testing.T) {
	clock := time.Now()
	r := start(t, emulator.Options{}, Options{Protection: true, Now: func() time.Time { return clock }})
	healthy, ill := r.find(t, emulator.CaseHealthy), r.find(t, emulator.CaseMalware)
	clear := r.ms.Fail(protectionRoute, emulator.Fault{Kind: emulator.Status, Status: 500})
	table := r.sync(t)
	if v := verdict(t, table, healthy); v.Antivirus != decision.Unknown || v.Malware != decision.Unknown || v.Compliance != decision.Compliant {
		t.Errorf("nobody tells: antivirus %s, malware %s, %s", v.Antivirus, v.Malware, v.Compliance)
	}
	if st := r.Stats(); st.Refused["health"] == 0 || st.HealthDue == 0 {
		t.Errorf("stats are %+v", st)
	}
	if n := r.ms.Calls()[protectionRoute]; n > 60 {
		t.Errorf("%d states are asked for while all fail", n)
	}
	clear()
	clock = clock.Add(5 * time.Minute)
	if table = r.sync(t); table == nil || verdict(t, table, healthy).Antivirus != decision.Yes || verdict(t, table, ill).Malware != decision.Yes {
		t.Fatal("the answers do not come back")
	}
	r.ms.Fail(protectionRoute, emulator.Fault{Kind: emulator.Status, Status: 500})
	for range 3 {
		clock = clock.Add(10 * time.Hour)
		if next := r.sync(t); next != nil {
			table = next
		}
	}
	if v := verdict(t, table, healthy); v.Antivirus != decision.Unknown || v.Malware != decision.Unknown {
		t.Errorf("30 hours later: antivirus %s, malware %s", v.Antivirus, v.Malware)
	}
	if v := verdict(t, table, ill); v.Malware != decision.Yes {
		t.Errorf("30 hours later the infected computer has malware %s", v.Malware)
	}
}

// TestDeafPlatform: a level that a partner left behind which is not connected any
// more is only the least that it can be.
func TestDeafPlatform(t *testing.T) {
	clock := time.Now()
	r := start(t, emulator.Options{}, Options{Now: func() time.Time { return clock }})
	good, bad := r.find(t, emulator.CaseHealthy), r.find(t, emulator.CaseMalware)
	switched := func(change func(f *emulator.Fleet)) func(t *testing.T, floor bool, sensor decision.Sensor) {
		r.ms.Update(change)
		clock = clock.Add(20 * time.Minute)
		table := r.sync(t)
		return func(t *testing.T, floor bool, sensor decision.Sensor) {
			t.Helper()
			if table == nil {
				t.Fatal("nothing changed")
			}
			if v := verdict(t, table, good); v.Risk != decision.LevelNone || v.RiskFloor != floor || v.Sensor != sensor {
				t.Errorf("good level: risk %s, floor %v, sensor %s, want floor %v, %s", v.Risk, v.RiskFloor, v.Sensor, floor, sensor)
			}
			if v := verdict(t, table, bad); v.Risk != decision.LevelHigh || v.RiskFloor != floor {
				t.Errorf("bad level: risk %s, floor %v, want floor %v", v.Risk, v.RiskFloor, floor)
			}
		}
	}
	connectors := func(f *emulator.Fleet) *emulator.Connector { return f.Connectors[0] }
	switched(func(*emulator.Fleet) {})(t, false, decision.SensorActive)
	switched(func(f *emulator.Fleet) { connectors(f).Windows = false })(t, true, decision.SensorDeactivated)
	switched(func(f *emulator.Fleet) { connectors(f).Windows = true })(t, false, decision.SensorActive)
	switched(func(f *emulator.Fleet) { connectors(f).State = "available" })(t, true, decision.SensorDeactivated)
	switched(func(f *emulator.Fleet) { connectors(f).State = "unresponsive" })(t, true, decision.SensorUnresponsive)
	switched(func(f *emulator.Fleet) { f.Connectors = nil })(t, true, decision.SensorDeactivated)
}
