package fleet

import (
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

const hasty = `
		source intune {
			poll 1s
		}`

const hastyPolicy = `
		policy app {
			require compliant
		}`

// TestVerdictChange: what the tenant says of a device is what the gateway does, one
// poll later, without a reload.
func TestVerdictChange(t *testing.T) {
	t.Parallel()
	s := open(t, options{Sources: hasty, Policies: hastyPolicy})
	d := s.device(emulator.CaseHealthy)
	token := s.token(d)
	status := func() int { n, _ := s.ask("app", token); return n }
	for _, state := range []struct {
		compliance string
		want       int
	}{{"noncompliant", 403}, {"compliant", 200}, {"inGracePeriod", 200}, {"noncompliant", 403}} {
		s.tenant.Update(func(*emulator.Fleet) {
			d.Managed[0].Compliance = state.compliance
			d.Managed[0].GraceUntil = time.Time{}
			if state.compliance == "inGracePeriod" {
				d.Managed[0].GraceUntil = time.Now().Add(time.Hour)
			}
		})
		rig.Eventually(t, time.Minute, "the change to "+state.compliance, func() bool { return status() == state.want })
	}
	// A device that is enrolled later is asked for.
	var added *emulator.Device
	s.tenant.Update(func(f *emulator.Fleet) {
		copied := *d.Managed[0]
		copied.ID, copied.Compliance = emulator.MustGUID("77777777-1111-4111-8111-777777777777"), "compliant"
		added = f.AddDevice(&emulator.Device{
			Name: "lt-new", EntraID: emulator.MustGUID("88888888-1111-4111-8111-888888888888"), OS: d.OS, OSVersion: d.OSVersion,
			User: d.User, Managed: []*emulator.Managed{&copied},
		})
	})
	if n, reasons := s.ask("app", s.token(added)); n != http.StatusOK {
		t.Errorf("a device enrolled a moment ago: %d %v", n, reasons)
	}
	s.tenant.Check(t)
}
