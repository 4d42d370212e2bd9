package fleet

import (
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestStopOutlivesRecord: a device that is being wiped stays stopped when Intune has
// deleted its record, though the directory still calls it compliant, and is let in
// when it was enrolled again.
func TestStopOutlivesRecord(t *testing.T) {
	t.Parallel()
	s := open(t, options{Sources: `
		source intune {
			poll 1s
			full_sweep 1s
		}
		source entra {
			poll 1s
		}`, Policies: hastyPolicy})
	d := s.device(emulator.CaseHealthy)
	token := s.token(d)
	is := func(status int, reason string) func() bool {
		return func() bool {
			n, reasons := s.ask("app", token)
			return n == status && (reason == "" || len(reasons) > 0 && reasons[0] == reason)
		}
	}
	record := *d.Managed[0]
	s.tenant.Update(func(*emulator.Fleet) { d.Managed[0].State = "wipeIssued" })
	rig.Eventually(t, time.Minute, "the wipe", is(http.StatusForbidden, "device_retired"))
	s.tenant.Update(func(*emulator.Fleet) {
		d.Managed = nil
		d.Directory.Compliant, d.Directory.Managed = emulator.True, emulator.True
	})
	lists := s.tenant.Calls()["graph/managedDevices"]
	rig.Eventually(t, time.Minute, "three complete listings without the record", func() bool {
		return s.tenant.Calls()["graph/managedDevices"] >= lists+4
	})
	if !is(http.StatusForbidden, "device_retired")() {
		n, reasons := s.ask("app", token)
		t.Errorf("after the record is gone: %d %v", n, reasons)
	}
	record.ID, record.State, record.LastSync = emulator.MustGUID("77777777-1111-4111-8111-777777777777"), "managed", time.Now()
	s.tenant.Update(func(*emulator.Fleet) { d.Managed = []*emulator.Managed{&record} })
	rig.Eventually(t, time.Minute, "the new enrolment", is(http.StatusOK, ""))
	s.tenant.Check(t)
}

// TestStopOutlivesRecordBesideOlderOne: Intune has deleted the record of a device that
// is being retired, and an older record of the device is left. That lets nobody in
// until the device is heard of by it.
func TestStopOutlivesRecordBesideOlderOne(t *testing.T) {
	t.Parallel()
	s := open(t, options{Sources: `
		source intune {
			poll 1s
			full_sweep 1s
		}
		source entra {
			poll 1s
		}`, Policies: hastyPolicy})
	d := s.device(emulator.CaseHealthy)
	token := s.token(d)
	retired := func() bool {
		n, reasons := s.ask("app", token)
		return n == http.StatusForbidden && len(reasons) > 0 && reasons[0] == "device_retired"
	}
	older := *d.Managed[0]
	older.ID = emulator.MustGUID("77777777-1111-4111-8111-777777777777")
	older.LastSync = older.LastSync.Add(-20 * 24 * time.Hour)
	s.tenant.Update(func(*emulator.Fleet) {
		d.Managed = append(d.Managed, &older)
		d.Managed[0].State = "retireIssued"
	})
	rig.Eventually(t, time.Minute, "the retirement", retired)
	s.tenant.Update(func(*emulator.Fleet) { d.Managed = []*emulator.Managed{&older} })
	lists := s.tenant.Calls()["graph/managedDevices"]
	rig.Eventually(t, time.Minute, "three complete listings without the record", func() bool {
		return s.tenant.Calls()["graph/managedDevices"] >= lists+4
	})
	if !retired() {
		n, reasons := s.ask("app", token)
		t.Errorf("after the record is gone: %d %v", n, reasons)
	}
	s.tenant.Update(func(*emulator.Fleet) { older.LastSync = time.Now() })
	rig.Eventually(t, time.Minute, "the check-in of the older record", func() bool {
		n, _ := s.ask("app", token)
		return n == http.StatusOK
	})
	s.tenant.Check(t)
}
