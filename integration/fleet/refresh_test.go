package fleet

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// asked is one source's part in a refresh or a re-check.
type asked struct {
	Source, Result, Error string
	RetryAfter            int `json:"retry_after"`
}

// twoSources is a stage whose sources are read once.
func twoSources(t *testing.T) *stage {
	return open(t, options{
		Sources: `
		source intune {
			poll 1h
		}
		source defender {
			poll 1h
		}`,
		Policies: `
		policy app {
			require compliant
			require risk at_most medium
			max_age 2h
		}`,
	})
}

// TestRefreshNamesWhoWasNotAsked: a service that throttles keeps nobody from the
// others' news, and both an administrator and the person read when to ask again.
func TestRefreshNamesWhoWasNotAsked(t *testing.T) {
	s := twoSources(t)
	d := s.device(emulator.CaseNoncompliant)
	token := s.token(d)
	repair := s.tenant.Fail("defender/machines", emulator.Fault{Kind: emulator.Throttle429, RetryAfter: "120"})
	s.tenant.Update(func(*emulator.Fleet) { d.Managed[0].Compliance = "compliant" })
	var got struct {
		Facts     map[string]string
		Refreshed []asked
	}
	refresh := func(id string) int {
		got.Refreshed = nil
		return s.gateway.Call(http.MethodPost, "/compliance/devices/"+id+"/refresh", struct{}{}, &got)
	}
	status := refresh(d.EntraID.String())
	if status != http.StatusOK || len(got.Refreshed) != 2 || got.Facts["compliance"] != "compliant" {
		t.Fatalf("refresh: %d %+v", status, got)
	}
	if a := got.Refreshed[0]; a != (asked{Source: "intune", Result: "refreshed"}) {
		t.Errorf("intune: %+v", a)
	}
	if a := got.Refreshed[1]; a.Source != "defender" || a.Result != "throttled" || a.RetryAfter < 1 || a.RetryAfter > 120 || a.Error == "" {
		t.Errorf("defender: %+v", a)
	}
	if n, reasons := s.ask("app", token); n != http.StatusOK {
		t.Errorf("after the refresh: %d %v", n, reasons)
	}

	a := rig.Do(t, http.DefaultClient, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/.gatehouse/recheck", s.port), rig.Bearer(token)...)
	var checked struct{ Sources []asked }
	if err := json.Unmarshal([]byte(a.Body), &checked); err != nil || a.StatusCode != http.StatusOK || len(checked.Sources) != 2 {
		t.Fatalf("re-check: %d %s", a.StatusCode, a.Body)
	}
	if i, d := checked.Sources[0], checked.Sources[1]; i.Result != "refreshed" || i.RetryAfter != 0 || d.Result != "throttled" || d.RetryAfter < 30 || d.RetryAfter > 120 {
		t.Errorf("re-check: %s", a.Body)
	}

	// Where nobody could be asked, or nobody who could has the device, the call fails.
	if status = refresh("99999999-0000-4000-8000-0000000000de"); status != http.StatusBadGateway {
		t.Errorf("refresh of an unknown device: %d %+v", status, got)
	}
	s.tenant.Fail("graph/managedDevices", emulator.Fault{Kind: emulator.Status, Status: 500})
	s.tenant.Fail("graph/managedDevice", emulator.Fault{Kind: emulator.Status, Status: 500})
	if status = refresh(d.EntraID.String()); status != http.StatusBadGateway {
		t.Errorf("refresh while nobody can be asked: %d %+v", status, got)
	}
	repair()
}

// TestManyRecheckAtOnce: a dozen people whom Defender keeps out ask again in the same
// moment, and none of them is turned away.
func TestManyRecheckAtOnce(t *testing.T) {
	s := twoSources(t)
	var all []*emulator.Device
	for _, d := range s.tenant.Devices() {
		if len(d.Machines) == 1 && len(d.Managed) == 1 && d.Machines[0].Health == "Active" && len(all) < 12 {
			all = append(all, d)
		}
	}
	if len(all) != 12 {
		t.Fatalf("%d devices", len(all))
	}
	var people sync.WaitGroup
	for _, d := range all {
		token := s.token(d)
		people.Go(func() {
			a := rig.Do(t, http.DefaultClient, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/.gatehouse/recheck", s.port), rig.Bearer(token)...)
			if a.StatusCode != http.StatusOK || strings.Contains(a.Body, "throttled") {
				t.Errorf("%s: %d %s", d.Name, a.StatusCode, a.Body)
			}
		})
	}
	people.Wait()
	s.tenant.Check(t)
}
