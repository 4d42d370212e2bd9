package fleet

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestSilentConnector: while Intune does not hear the threat defence partner, a level is
// the least that the risk can be: it refuses above the limit and is unknown below.
func TestSilentConnector(t *testing.T) {
	t.Parallel()
	s := open(t, options{
		Sources: `
		source intune {
			poll 1s
			full_sweep 1s
			guards off # a partner that falls silent is news about most of the fleet
		}`,
		Policies: `
		policy low {
			require risk at_most low
		}
		policy medium {
			require risk at_most medium
		}`,
		Before: func(s *stage) {
			well, sick := s.device(emulator.CaseUnreported), s.device(emulator.CaseIntuneOnly)
			s.tenant.Update(func(*emulator.Fleet) { well.Managed[0].Threat, sick.Managed[0].Threat = "secured", "mediumSeverity" })
		},
	})
	well, sick := s.token(s.device(emulator.CaseUnreported)), s.token(s.device(emulator.CaseIntuneOnly))
	type answer struct {
		name, policy, token string
		status              int
		reasons             []string
	}
	expect := func(when string, answers ...answer) {
		t.Helper()
		rig.Eventually(t, time.Minute, when, func() bool {
			for _, a := range answers {
				if status, reasons := s.ask(a.policy, a.token); status != a.status || !slices.Equal(reasons, a.reasons) {
					t.Logf("%s, %s under %s: %d %v", when, a.name, a.policy, status, reasons)
					return false
				}
			}
			return true
		})
	}
	high, unknown := []string{"risk_too_high"}, []string{"fact_unknown"}
	heard := []answer{
		{"well", "low", well, http.StatusOK, nil},
		{"sick", "medium", sick, http.StatusOK, nil},
		{"sick", "low", sick, http.StatusForbidden, high},
	}
	expect("the partner is heard", heard...)
	s.tenant.Update(func(f *emulator.Fleet) {
		for _, c := range f.Connectors {
			c.State = "unresponsive"
		}
	})
	expect(
		"the partner is silent",
		answer{"well", "low", well, http.StatusForbidden, unknown},
		answer{"sick", "medium", sick, http.StatusForbidden, unknown},
		answer{"sick", "low", sick, http.StatusForbidden, high},
	)
	s.tenant.Update(func(f *emulator.Fleet) {
		for _, c := range f.Connectors {
			c.State = "enabled"
		}
	})
	expect("the partner is heard again", heard...)
	s.tenant.Check(t)
}
