package fleet

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestRiskThatNobodyWatches: the level of a machine whose sensor is silent, or whose
// score cannot be read any more, refuses and never passes.
func TestRiskThatNobodyWatches(t *testing.T) {
	s := open(t, options{
		Sources: `
		source defender {
			poll 10s
		}`,
		Policies: `
		policy medium {
			require risk at_most medium
			max_age 1h
		}
		policy lenient {
			require risk at_most medium
			on_unknown warn
			max_age 1h
		}`,
	})
	healthy, high, silent := s.device(emulator.CaseHealthy), s.device(emulator.CaseDefenderHigh), s.device(emulator.CaseDefenderMedium)
	check := func(when string, d *emulator.Device, policy string, status int, reasons ...string) {
		t.Helper()
		if n, got := s.ask(policy, s.token(d)); n != status || !slices.Equal(got, reasons) {
			t.Errorf("%s: %s under %s: %d %v, want %d %v", when, d.Name, policy, n, got, status, reasons)
		}
	}
	check("at first", healthy, "medium", http.StatusOK)
	check("at first", high, "lenient", http.StatusForbidden, "risk_too_high")
	check("at first", silent, "medium", http.StatusOK)

	s.tenant.Update(func(*emulator.Fleet) {
		now := time.Now()
		healthy.Machines[0].Health, healthy.Machines[0].LastSeen = "Inactive", now
		high.Machines[0].Risk, high.Machines[0].LastSeen = "Extreme", now
		silent.Machines[0].Health, silent.Machines[0].LastSeen = "NoSensorData", now
	})
	rig.Eventually(t, time.Minute, "the gateway to notice", func() bool {
		n, _ := s.ask("medium", s.token(silent))
		m, _ := s.ask("medium", s.token(healthy))
		return n == http.StatusForbidden && m == http.StatusForbidden
	})
	check("silent", healthy, "medium", http.StatusForbidden, "fact_unknown")
	check("silent", healthy, "lenient", http.StatusOK)
	check("silent", silent, "medium", http.StatusForbidden, "fact_unknown")
	// Of the level that was known it is still said that it is too high.
	check("unreadable", high, "lenient", http.StatusForbidden, "risk_too_high")

	s.tenant.Update(func(*emulator.Fleet) {
		healthy.Machines[0].Health, healthy.Machines[0].LastSeen = "Active", time.Now()
		high.Machines[0].Risk, high.Machines[0].LastSeen = "Low", time.Now()
	})
	rig.Eventually(t, time.Minute, "the sensor to be heard again", func() bool {
		n, _ := s.ask("medium", s.token(healthy))
		m, _ := s.ask("medium", s.token(high))
		return n == http.StatusOK && m == http.StatusOK
	})
}
