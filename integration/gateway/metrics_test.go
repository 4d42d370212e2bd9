package gateway

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestMetricsMove: the metrics that no other test reads say what happened, no more
// and no less. A number that never moves is worse than none.
func TestMetricsMove(t *testing.T) {
	until := time.Now().UTC().AddDate(0, 0, 30)
	s := newStand(t, standOptions{
		Policies:   usualPolicies + "policy trial {\nextends standard\nrequire compliant strict\nreport_only until " + until.Format(time.DateOnly) + "\n}\n",
		Rows:       append(devices(), device("no-guid", "BROKEN", "compliant", nil)), // one bad row of five
		Directives: "compliance trial",
	})
	value := func(series string) float64 {
		v, _ := s.Gateway.Metric("gatehouse_" + series)
		return v
	}
	want := func(series string, least, most float64) {
		t.Helper()
		if v, ok := s.Gateway.Metric("gatehouse_" + series); !ok || v < least || v > most {
			t.Errorf("%s is %v (there: %v), want %v to %v", series, v, ok, least, most)
		}
	}
	for id, code := range map[string]int{goodID: 200, graceID: 200, badID: 403} {
		if got := s.code(id); got != code {
			t.Fatalf("%s: status %d, want %d", id, got, code)
		}
	}
	want(`decision_reasons_total{mode="enforce",policy="standard",reason="noncompliant"}`, 1, 1)
	want(`decision_reasons_total{mode="enforce",policy="standard",reason="not_encrypted"}`, 1, 1)
	want(`decision_reasons_total{mode="report_only",policy="trial",reason="grace_period"}`, 1, 1)
	want(`decision_duration_seconds_count{policy="trial"}`, 3, 3)
	want(`decision_duration_seconds_bucket{policy="trial",le="+Inf"}`, 3, 3)
	midnight := until.Truncate(24*time.Hour).AddDate(0, 0, 1)
	want(`report_only_until_timestamp_seconds{policy="trial"}`, float64(midnight.Unix()), float64(midnight.Unix()))
	want(`cache_entries{cache="tokens"}`, 3, 3)
	want(`jwks_age_seconds{issuer="corp"}`, 0, 120)
	want(`credential_expiry_seconds{kind="device_ca"}`, 60, 20*365*86400)
	want(`breaker_state{source="inventory"}`, 0, 0)

	now := float64(time.Now().Unix())
	want(`source_last_sync_timestamp_seconds{source="inventory"}`, now-120, now+1)
	want(`source_devices{compliance="compliant",source="inventory"}`, 2, 2)
	want(`source_devices{compliance="in_grace",source="inventory"}`, 1, 1)
	want(`source_devices{compliance="noncompliant",source="inventory"}`, 1, 1)
	want(`source_bad_records_total{source="inventory"}`, 1, 1)
	want(`source_requests_total{result="sync_changed",source="inventory"}`, 1, 1)
	rig.Eventually(t, time.Minute, "unchanged reads", func() bool {
		return value(`source_requests_total{result="sync_unchanged",source="inventory"}`) >= 3
	})
	if n := value(`source_request_duration_seconds_count{source="inventory"}`); n < 4 {
		t.Errorf("%v timed reads", n)
	}

	want("revocations", 0, 0)
	want("revocation_seconds_count", 0, 0)
	s.Gateway.Call(http.MethodPost, "/compliance/revoke", map[string]string{"device": goodID, "reason": "lost"}, nil)
	want("revocations", 1, 1)
	want("revocation_seconds_count", 1, 1)

	// A version that a guard rejects is one accident, however often it is looked at.
	rows := devices()
	for i := range 6 {
		rows = append(rows, device(fmt.Sprintf("no-guid-%d", i), "BROKEN", "compliant", nil))
	}
	writeInventory(t, s.Inventory, rows)
	rig.Eventually(t, time.Minute, "rejected, again and again", func() bool {
		return value(`source_requests_total{result="sync_rejected",source="inventory"}`) >= 3
	})
	want(`source_guard_total{guard="rejected",source="inventory"}`, 1, 1)
	want(`source_state{source="inventory"}`, 2, 2)
	want(`source_bad_records_total{source="inventory"}`, 7, 7)
	want(`source_devices{compliance="compliant",source="inventory"}`, 2, 2)
	age := value(`verdict_age_seconds{source="inventory"}`)
	rig.Eventually(t, time.Minute, "a failing source's verdicts grow old", func() bool {
		return value(`verdict_age_seconds{source="inventory"}`) > age+0.5
	})
	if page := s.adminText("/metrics"); strings.Contains(page, `compliance="unknown"`) {
		t.Error("devices of no compliance at all are counted")
	}
}
