package fleet

import (
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestGraceRunsOut: a grace period ends at its minute, though nobody says anything new.
func TestGraceRunsOut(t *testing.T) {
	t.Parallel()
	var end time.Time
	s := open(t, options{
		Sources: "source intune\n\t\tsource entra",
		Policies: `
		policy app {
			require compliant
		}`,
		Before: func(s *stage) {
			end = time.Now().Add(25 * time.Second).Truncate(time.Second)
			d := s.device(emulator.CaseGraceNear)
			s.tenant.Update(func(*emulator.Fleet) { d.Managed[0].GraceUntil = end })
		},
	})
	token := s.token(s.device(emulator.CaseGraceNear))
	before := time.Now()
	status, reasons := s.ask("app", token)
	if time.Now().Before(end) && status != http.StatusOK {
		t.Errorf("%v before the end: %d %v", end.Sub(before), status, reasons)
	}
	rig.Eventually(t, time.Minute, "the end of the grace period", func() bool {
		status, reasons = s.ask("app", token)
		if left := time.Until(end); status == http.StatusForbidden && left > 0 {
			t.Fatalf("refused %v before the end: %v", left, reasons)
		}
		return status == http.StatusForbidden
	})
	if !slices.Equal(reasons, []string{"grace_expired"}) {
		t.Errorf("afterwards: %v", reasons)
	}
	s.tenant.Check(t)
}
