package fleet

import (
	"net/http"
	"os"
	"sync"
	"sync/atomic"
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
			max_age 2s
			stale_if_error 8s
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
		rig.Eventually(t, 10*time.Second, "the change to "+state.compliance, func() bool { return status() == state.want })
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

// TestSourceFails: while the tenant fails, known verdicts serve for max_age and
// stale_if_error and not longer; a bad verdict never turns good, no request waits,
// and everything comes back by itself.
func TestSourceFails(t *testing.T) {
	if os.Getenv("GATEHOUSE_LONG") == "" {
		t.Skip("takes minutes of an idle machine: make test-outage")
	}
	faults := map[string]emulator.Fault{
		"500":     {Kind: emulator.Status, Status: http.StatusInternalServerError},
		"hang":    {Kind: emulator.Hang},
		"reset":   {Kind: emulator.Reset},
		"garbage": {Kind: emulator.Garbage},
		"429":     {Kind: emulator.Throttle429, RetryAfter: "2.5"},
		"html":    {Kind: emulator.HTML200},
	}
	for name, fault := range faults {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := open(t, options{Sources: hasty, Policies: hastyPolicy})
			good, bad := s.token(s.device(emulator.CaseHealthy)), s.token(s.device(emulator.CaseNoncompliant))
			var slowest atomic.Int64
			timed := func(token string) int {
				start := time.Now()
				n, _ := s.ask("app", token)
				if took := time.Since(start).Milliseconds(); took > slowest.Load() {
					slowest.Store(took)
				}
				return n
			}
			if n := timed(good); n != http.StatusOK {
				t.Fatalf("before the failure: %d", n)
			}

			began := time.Now()
			repaired := s.tenant.Fail("graph/managedDevices", fault)
			var load sync.WaitGroup
			stop := make(chan struct{})
			for range 4 {
				load.Go(func() {
					for {
						select {
						case <-stop:
							return
						default:
						}
						if n := timed(bad); n != http.StatusForbidden {
							t.Errorf("a bad device got %d, %s into the failure", n, time.Since(began))
							return
						}
						// Ten per cent of spread on ten seconds, and a poll before the failure.
						switch n, age := timed(good), time.Since(began); {
						case n == http.StatusOK && age < 13*time.Second, n == http.StatusServiceUnavailable && age > 7*time.Second:
						default:
							t.Errorf("a good device got %d, %s into the failure", n, age)
							return
						}
						time.Sleep(20 * time.Millisecond)
					}
				})
			}
			rig.Eventually(t, 20*time.Second, "the window to end", func() bool { return timed(good) == http.StatusServiceUnavailable })
			close(stop)
			load.Wait()
			repaired()
			rig.Eventually(t, 45*time.Second, "the recovery", func() bool { return timed(good) == http.StatusOK })
			if n := timed(bad); n != http.StatusForbidden {
				t.Errorf("a bad device after the recovery: %d", n)
			}
			if ms := slowest.Load(); ms > 5000 {
				t.Errorf("a request took %d ms: it waited for the source", ms)
			}
		})
	}
}
