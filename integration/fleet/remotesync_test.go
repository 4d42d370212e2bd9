package fleet

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

const slowly = `
		source intune {
			poll 1h
			remote_sync on
		}`

const slowPolicy = `
		policy app {
			require compliant
			max_age 2h
		}`

// recheck asks for a re-check and returns its status and what it says of Intune.
func (s *stage) recheck(token string) (status int, result, remoteSync string) {
	s.t.Helper()
	a := rig.Do(s.t, http.DefaultClient, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/.gatehouse/recheck", s.port), rig.Bearer(token)...)
	var got struct {
		Sources []struct {
			Source, Result string
			RemoteSync     string `json:"remote_sync"`
		}
	}
	if a.StatusCode == http.StatusOK && (json.Unmarshal([]byte(a.Body), &got) != nil || len(got.Sources) != 1) {
		s.t.Fatalf("re-check: %s", a.Body)
	}
	if len(got.Sources) == 0 {
		return a.StatusCode, "", ""
	}
	return a.StatusCode, got.Sources[0].Result, got.Sources[0].RemoteSync
}

// TestRemoteSync: a device that was mended and has not told Intune yet is told to,
// and let in as soon as it did, long before the next poll.
func TestRemoteSync(t *testing.T) {
	t.Parallel()
	s := open(t, options{Sources: slowly, Policies: slowPolicy})
	d := s.device(emulator.CaseNoncompliant)
	token := s.token(d)
	s.tenant.Update(func(*emulator.Fleet) { d.Managed[0].NextCompliance = "compliant" })
	if n, reasons := s.ask("app", token); n != http.StatusForbidden {
		t.Fatalf("before: %d %v", n, reasons)
	}
	if n := s.tenant.Calls()["graph/syncDevice"]; n != 0 {
		t.Fatalf("%d devices were told to check in by an ordinary request", n)
	}
	if status, result, sync := s.recheck(token); status != http.StatusOK || result != "refreshed" || sync != "asked" {
		t.Fatalf("re-check: %d %q %q", status, result, sync)
	}
	rig.Eventually(t, 2*time.Minute, "the device to be let in after it checked in", func() bool {
		n, _ := s.ask("app", token)
		return n == http.StatusOK
	})
	if n := s.tenant.Calls()["graph/syncDevice"]; n != 1 {
		t.Errorf("the device was told %d times to check in, want once", n)
	}
	// What Intune does not reach it is not asked for.
	attached := s.device(emulator.CaseTenantAttach)
	if status, result, sync := s.recheck(s.token(attached)); status != http.StatusOK || result != "refreshed" || sync != "not_supported" {
		t.Errorf("re-check of a tenant-attached device: %d %q %q", status, result, sync)
	}
	metrics := rig.Do(t, http.DefaultClient, http.MethodGet, s.gateway.Admin+"/metrics")
	for _, want := range []string{
		`gatehouse_source_requests_total{result="check_in_asked",source="intune"} 1`,
		`gatehouse_source_requests_total{result="check_in_not_supported",source="intune"} 1`,
	} {
		if !strings.Contains(metrics.Body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	s.tenant.Check(t)
}

// TestRemoteSyncRefused: a permission that is missing, and a service that fails,
// leave the re-check itself as it is, and say so.
func TestRemoteSyncRefused(t *testing.T) {
	t.Parallel()
	const permission = "DeviceManagementManagedDevices.PrivilegedOperations.All"
	s := open(t, options{Sources: slowly, Policies: slowPolicy, Before: func(s *stage) { s.tenant.Grant(permission, false) }})
	for _, test := range []struct{ device, sync string }{
		{emulator.CaseNoncompliant, "not_permitted"},
		{emulator.CaseGraceFar, "not_permitted"}, // without asking again
	} {
		d := s.device(test.device)
		s.tenant.Update(func(*emulator.Fleet) { d.Managed[0].Compliance = "compliant" })
		if status, result, sync := s.recheck(s.token(d)); status != http.StatusOK || result != "refreshed" || sync != test.sync {
			t.Errorf("re-check of %s: %d %q %q, want %s", test.device, status, result, sync, test.sync)
		}
		if n, reasons := s.ask("app", s.token(d)); n != http.StatusOK {
			t.Errorf("%s after the re-check: %d %v", test.device, n, reasons)
		}
	}
	if n := s.tenant.Calls()["graph/syncDevice"]; n != 1 {
		t.Errorf("Intune was asked %d times for what is not permitted, want once", n)
	}
	if log := s.gateway.Log(); strings.Count(log, "did not tell a device to check in") != 1 || !strings.Contains(log, permission) {
		t.Error("the log does not say once that the permission is missing")
	}
}

// TestRemoteSyncFails: the service answers with an error, or asks to wait.
func TestRemoteSyncFails(t *testing.T) {
	t.Parallel()
	for fault, want := range map[emulator.Fault]string{
		{Kind: emulator.Status, Status: http.StatusInternalServerError}: "failed",
		{Kind: emulator.Throttle429, RetryAfter: "60"}:                  "throttled",
	} {
		s := open(t, options{Sources: slowly, Policies: slowPolicy})
		t.Cleanup(s.tenant.Fail("graph/syncDevice", fault))
		if status, result, sync := s.recheck(s.token(s.device(emulator.CaseNoncompliant))); status != http.StatusOK || result != "refreshed" || sync != want {
			t.Errorf("%s: %d %q %q, want %s", fault.Kind, status, result, sync, want)
		}
	}
}
