package fleet

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// forget runs `devices forget` and returns what it prints.
func (s *stage) forget(args ...string) string {
	s.t.Helper()
	token := filepath.Join(s.dir, "operator-token")
	err := os.WriteFile(token, []byte(operatorToken), 0o600)
	if err != nil {
		s.t.Fatal(err)
	}
	args = append([]string{"devices", "forget"}, args...)
	cmd := exec.CommandContext(s.t.Context(), rig.Binary(s.t), append(args, "--operator-token-file", token, "--address", s.gateway.Admin)...)
	cmd.Env = append(os.Environ(), "HOME="+s.dir, "USER=help-desk")
	out, err := cmd.CombinedOutput()
	if err != nil {
		s.t.Fatalf("forget: %v\n%s", err, out)
	}
	return string(out)
}

// TestForgetDevice: a device was wiped and its record deleted; the operator lets that
// go. What is known now decides, also after a crash: first that Intune does not know it,
// then its new enrolment. A device that Intune still calls wiped stays blocked.
func TestForgetDevice(t *testing.T) {
	t.Parallel()
	s := open(t, options{Sources: `
		operator_token {env.OPERATOR}
		source intune {
			poll 1s
			full_sweep 1s
		}`, Policies: hastyPolicy})
	d, wiped := s.device(emulator.CaseHealthy), s.device(emulator.CaseGraceFar)
	token, other := s.token(d), s.token(wiped)
	decides := func(token string, status int, reason string) func() bool {
		return func() bool {
			n, reasons := s.ask("app", token)
			return n == status && (reason == "" || len(reasons) > 0 && reasons[0] == reason)
		}
	}
	must := func(when string, ok func() bool) {
		t.Helper()
		if !ok() {
			n, reasons := s.ask("app", token)
			m, more := s.ask("app", other)
			t.Errorf("%s: %d %v; the other %d %v", when, n, reasons, m, more)
		}
	}
	retired := decides(token, http.StatusForbidden, "device_retired")
	unknown := decides(token, http.StatusForbidden, "device_unknown")
	stays := decides(other, http.StatusForbidden, "device_retired")
	listed := func() {
		t.Helper()
		before := s.tenant.Calls()["graph/managedDevices"]
		rig.Eventually(t, time.Minute, "complete listings", func() bool { return s.tenant.Calls()["graph/managedDevices"] >= before+4 })
	}

	record := *d.Managed[0]
	s.tenant.Update(func(*emulator.Fleet) { d.Managed[0].State, wiped.Managed[0].State = "wipeIssued", "wipeIssued" })
	rig.Eventually(t, time.Minute, "the wipe of both", func() bool { return retired() && stays() })
	s.tenant.Update(func(*emulator.Fleet) { d.Managed = nil })
	id := d.EntraID.String()
	rig.Eventually(t, time.Minute, "devices/ID to show that only the last word is left", func() bool {
		var seen struct {
			Sources []struct {
				Kept  []string   `json:"kept"`
				Until *time.Time `json:"gone_until"`
			} `json:"sources"`
		}
		return s.gateway.Call(http.MethodGet, "/compliance/devices/"+id, nil, &seen) == http.StatusOK &&
			len(seen.Sources) == 1 && seen.Sources[0].Until != nil && strings.Join(seen.Sources[0].Kept, " ") == "lifecycle"
	})
	must("the record is gone", retired)
	if out := s.forget(id, "--reason", "handed out again"); !strings.Contains(out, "forgotten at intune: lifecycle (of the record that ended at ") {
		t.Errorf("forget says %q", out)
	}
	must("forgotten", unknown)
	if out := s.forget(wiped.EntraID.String()); !strings.Contains(out, "nothing to forget") {
		t.Errorf("forget of a wiped device says %q", out)
	}
	must("still wiped", stays)
	for _, w := range []string{`"msg":"forgotten"`, `"owner":"help-desk"`, `"reason":"handed out again"`} {
		if !strings.Contains(s.gateway.Log(), w) {
			t.Errorf("the log has no %s", w)
		}
	}

	s.crash()
	must("after a crash", unknown)
	must("after a crash, still wiped", stays)
	listed()
	must("after a crash and listings", unknown)

	record.ID, record.State, record.LastSync = emulator.MustGUID("77777777-1111-4111-8111-777777777777"), "managed", time.Now()
	s.tenant.Update(func(*emulator.Fleet) { d.Managed = []*emulator.Managed{&record} })
	rig.Eventually(t, time.Minute, "the new enrolment", decides(token, http.StatusOK, ""))
	must("still wiped at the end", stays)
	s.tenant.Check(t)
}
