package fleet

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

const connectorsRoute = "graph/mobileThreatDefenseConnectors"

// rarely is a source that comes by itself once in an hour, under a policy to match.
const (
	rarely = `
		source intune {
			poll 1h
		}`
	lowRisk = `
		policy low {
			require risk at_most low
			max_age 2h
		}`
)

// leveled opens a stage with a device that is well and one that is not.
func leveled(t *testing.T, before func(s *stage)) (s *stage, is func(well, sick int, reasons ...string) bool) {
	s = open(t, options{Sources: rarely, Policies: lowRisk, Before: func(s *stage) {
		well, sick := s.device(emulator.CaseUnreported), s.device(emulator.CaseIntuneOnly)
		s.tenant.Update(func(*emulator.Fleet) { well.Managed[0].Threat, sick.Managed[0].Threat = "secured", "mediumSeverity" })
		before(s)
	}})
	well, sick := s.token(s.device(emulator.CaseUnreported)), s.token(s.device(emulator.CaseIntuneOnly))
	return s, func(wellIs, sickIs int, reasons ...string) bool {
		t.Helper()
		n, why := s.ask("low", well)
		m, sickWhy := s.ask("low", sick)
		if n != wellIs || m != sickIs || !slices.Equal(why, reasons) || !slices.Equal(sickWhy, []string{"risk_too_high"}) {
			t.Logf("well: %d %v, sick: %d %v", n, why, m, sickWhy)
			return false
		}
		return true
	}
}

// TestConnectorsOutliveRestart: the gateway is started anew while Intune does not say
// which threat defence partners speak. What it said before still counts.
func TestConnectorsOutliveRestart(t *testing.T) {
	t.Parallel()
	s, is := leveled(t, func(*stage) {})
	if !is(http.StatusOK, http.StatusForbidden) {
		t.Fatal("before the restart")
	}
	calls := 0
	s.restart(func() {
		s.tenant.Fail(connectorsRoute, emulator.Fault{Kind: emulator.Status, Status: http.StatusServiceUnavailable})
		calls = s.tenant.Calls()[connectorsRoute]
	})
	if !is(http.StatusOK, http.StatusForbidden) {
		t.Error("from the snapshot")
	}
	rig.Eventually(t, time.Minute, "the gateway to have read the tenant", s.ready)
	if s.tenant.Calls()[connectorsRoute] == calls {
		t.Fatal("connectors were not asked for")
	}
	if !is(http.StatusOK, http.StatusForbidden) {
		t.Error("after the first listing")
	}
	s.tenant.Check(t)
}

// TestConnectorsAreAskedForAgain: nothing was ever heard of the partners, and Intune
// says which ones speak only after a while: nobody waits for the next poll.
func TestConnectorsAreAskedForAgain(t *testing.T) {
	t.Parallel()
	recover := func() {}
	s, is := leveled(t, func(s *stage) {
		recover = s.tenant.Fail(connectorsRoute, emulator.Fault{Kind: emulator.Status, Status: http.StatusServiceUnavailable})
	})
	if !is(http.StatusForbidden, http.StatusForbidden, "fact_unknown") {
		t.Error("while no connector is heard")
	}
	recover()
	rig.Eventually(t, 3*time.Minute, "the level to count", func() bool {
		time.Sleep(500 * time.Millisecond) // every refusal is a line of the log
		return is(http.StatusOK, http.StatusForbidden)
	})
	s.tenant.Check(t)
}
