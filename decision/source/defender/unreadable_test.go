package defender

import (
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

// TestScoreThatCannotBeRead: it ends a good score, and a bad one is then the least
// that the risk can be, whichever call brings it.
func TestScoreThatCannotBeRead(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
		check := func(when string, n int, d *decision.Device, risk decision.Level) {
			t.Helper()
			floor, odd := risk != decision.LevelUnknown, risk == decision.LevelUnknown
			if d.Risk != risk || d.RiskFloor != floor || d.Unreadable.Has(decision.FactRisk) != odd {
				t.Errorf("%s, machine %d: risk %v, floor %v, unreadable %v; want %v", when, n, d.Risk, d.RiskFloor, d.Unreadable, risk)
			}
		}
		f.list("", row(1, "High"), row(2, "None"), row(3, "Low"))
		f.list("riskScore", row(1, "High"), row(3, "Low"))
		again(t, s)
		odd := []string{row(1, "Extreme"), row(2, "Extreme"), row(3, "Extreme")}
		f.list("lastSeen", odd...)
		f.list("riskScore")
		f.have(odd...)
		want := map[int]decision.Level{1: decision.LevelHigh, 2: decision.LevelUnknown, 3: decision.LevelLow}
		for _, when := range []string{"changes", "complete listing", "complete listing again"} {
			table := again(t, s)
			if table == nil {
				s.dirty = true
				table = again(t, s)
			}
			for n, risk := range want {
				v := find(t, table, device(n))
				check(when, n, &v.Device, risk)
				looked, err := s.Lookup(t.Context(), machine(n))
				if err != nil {
					t.Fatal(err)
				}
				check(when+", look-up", n, &looked.Device, risk)
			}
			if st := s.Stats(); st.Rechecked != 0 || st.AtRisk != 0 {
				t.Errorf("%s: machines whose score cannot be read are asked for: %+v", when, st)
			}
			f.list("", odd...)
			s.fullDue = true
		}
		f.list("", row(1, "None"), row(2, "None"), row(3, "None"))
		f.list("lastSeen")
		s.fullDue = true
		table := again(t, s)
		for n := range want {
			if v := find(t, table, device(n)); v.Risk != decision.LevelNone || v.RiskFloor || v.Unreadable != 0 {
				t.Errorf("machine %d after a score that can be read: %+v", n, v.Device)
			}
		}
	})
}

// TestSilentSensor: the level of a machine that does not report can refuse and never
// pass.
func TestSilentSensor(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
		silent := func(n int, health, risk string) string {
			return `{"id":"` + machineID(n) + `","aadDeviceId":"` + deviceID(n) + `","healthStatus":` + health + `,"onboardingStatus":"onboarded","riskScore":"` + risk + `"}`
		}
		f.list("", silent(1, `"Inactive"`, "None"), silent(2, `"NoSensorData"`, "High"), silent(3, `null`, "Low"), silent(4, `"Active"`, "Low"))
		table := again(t, s)
		for n, want := range map[int]struct {
			risk  decision.Level
			floor bool
		}{
			1: {decision.LevelNone, true}, 2: {decision.LevelHigh, true}, 3: {decision.LevelLow, true}, 4: {decision.LevelLow, false},
		} {
			if v := find(t, table, device(n)); v.Risk != want.risk || v.RiskFloor != want.floor {
				t.Errorf("machine %d: risk %v, floor %v, want %v", n, v.Risk, v.RiskFloor, want)
			}
		}
		// The sensor reports again, and that alone is news.
		f.list("lastSeen", silent(1, `"Active"`, "None"))
		if table = again(t, s); table == nil {
			t.Fatal("a sensor that reports again is no change")
		}
		if v := find(t, table, device(1)); v.Risk != decision.LevelNone || v.RiskFloor {
			t.Errorf("machine 1 reports again: %+v", v.Device)
		}
	})
}
