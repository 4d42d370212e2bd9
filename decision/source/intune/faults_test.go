package intune

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

const (
	readConfig  = "DeviceManagementConfiguration.Read.All"
	readService = "DeviceManagementServiceConfig.Read.All"
	listRoute   = "graph/managedDevices"
)

// TestFaults breaks the list in every way that matters and checks that a Sync
// fails, that no look-up calls the device unknown, and that all is well after.
func TestFaults(t *testing.T) {
	tests := []struct {
		fault emulator.Fault
		kind  msgraph.Kind
	}{
		{emulator.Fault{Kind: emulator.Garbage}, msgraph.KindAnswer},
		{emulator.Fault{Kind: emulator.HTML200}, msgraph.KindAnswer},
		{emulator.Fault{Kind: emulator.HalfPage}, msgraph.KindUnavailable},
		{emulator.Fault{Kind: emulator.ForeignNextLink}, msgraph.KindAnswer},
		{emulator.Fault{Kind: emulator.Status, Status: 500}, msgraph.KindUnavailable},
		{emulator.Fault{Kind: emulator.Throttle429, RetryAfter: "120"}, msgraph.KindThrottled},
	}
	for _, test := range tests {
		t.Run(string(test.fault.Kind), func(t *testing.T) {
			t.Parallel()
			r := start(t, emulator.Options{}, Options{})
			clear := r.ms.Fail(listRoute, test.fault)
			d := r.find(t, emulator.CaseHealthy)
			ctx := t.Context()
			if test.kind == msgraph.KindUnavailable { // the client would try again
				limited, cancel := context.WithTimeout(ctx, time.Second)
				defer cancel()
				ctx = limited
			}
			_, err := r.Lookup(ctx, entraKey(d.EntraID))
			if err == nil || errors.Is(err, source.ErrUnknownDevice) {
				t.Errorf("Lookup = %v", err)
			}
			err = r.Sync(ctx, source.NewSweep(0))
			var e *msgraph.Error
			if !errors.As(err, &e) && ctx.Err() == nil {
				t.Fatalf("Sync = %v, want an error of the client", err)
			}
			if err == nil || errors.Is(err, source.ErrUnchanged) {
				t.Fatalf("Sync = %v", err)
			}
			var throttled *source.ThrottledError
			if errors.As(err, &throttled) != (test.kind == msgraph.KindThrottled) {
				t.Errorf("throttled: %v", err)
			}
			if test.kind != msgraph.KindUnavailable && e.Kind != test.kind {
				t.Errorf("kind is %s, want %s: %v", e.Kind, test.kind, err)
			}
			clear()
			if test.kind != msgraph.KindThrottled && r.sync(t) == nil {
				t.Error("the Sync after the fault emits nothing")
			}
		})
	}
}

// TestStrangeRows checks that strange values cost a field and not the record.
func TestStrangeRows(t *testing.T) {
	for _, kind := range []emulator.FaultKind{emulator.UnknownEnums, emulator.NullFields, emulator.FutureDates, emulator.DuplicateRows} {
		t.Run(string(kind), func(t *testing.T) {
			r := start(t, emulator.Options{}, Options{})
			r.ms.Fail(listRoute, emulator.Fault{Kind: kind})
			table := r.sync(t)
			v := verdict(t, table, r.find(t, emulator.CaseHealthy))
			if fine := v.Compliance == decision.Compliant; fine != (kind == emulator.DuplicateRows) {
				t.Errorf("healthy device is %s", v.Compliance)
			}
			if odd := len(r.Stats().Fields) > 1; !odd && kind != emulator.DuplicateRows {
				t.Errorf("nothing was counted: %v", r.Stats().Fields)
			}
		})
	}
}

// TestPartialListing checks that a poll that fails leaves what is known, and that
// the next one finds what the failed one missed.
func TestPartialListing(t *testing.T) {
	r := start(t, emulator.Options{}, Options{})
	r.sync(t)
	d := r.find(t, emulator.CaseHealthy)
	r.ms.Update(func(*emulator.Fleet) { d.Managed[0].Compliance, d.Managed[0].LastSync = "noncompliant", time.Now() })
	clear := r.ms.Fail(listRoute, emulator.Fault{Kind: emulator.Garbage})
	if err := r.Sync(t.Context(), source.NewSweep(0)); err == nil || errors.Is(err, source.ErrUnchanged) {
		t.Fatalf("Sync = %v", err)
	}
	clear()
	if table := r.sync(t); table == nil || verdict(t, table, d).Compliance != decision.NonCompliant {
		t.Error("the change is lost")
	}
}

// TestRemoval checks that a device goes when Intune no longer has it, and stays
// when only a list left it out.
func TestRemoval(t *testing.T) {
	r := start(t, emulator.Options{}, Options{FullSweep: 1})
	before := r.sync(t).Len()
	gone := r.find(t, emulator.CaseHealthy)
	r.ms.Update(func(f *emulator.Fleet) { f.RemoveDevice(gone) })
	r.lossy.drop.Store(3)
	table := r.sync(t)
	if _, ok := table.Find(entraKey(gone.EntraID)); ok || table.Len() != before-1 {
		t.Errorf("%d of %d devices are left", table.Len(), before)
	}
	if st := r.Stats(); st.Unlisted != 3 {
		t.Errorf("%d unlisted devices, want 3", st.Unlisted)
	}
	r.ms.Fail("graph/managedDevice", emulator.Fault{Kind: emulator.Status, Status: 500})
	if err := r.Sync(t.Context(), source.NewSweep(0)); err == nil || errors.Is(err, source.ErrUnchanged) {
		t.Errorf("missing devices cannot be asked for: Sync = %v, want an error", err)
	}
}

// TestShortList checks that a list that leaves out more devices than can be asked
// for is refused, and that so many may really go.
func TestShortList(t *testing.T) {
	r := start(t, emulator.Options{Devices: 400}, Options{FullSweep: 1})
	before := r.sync(t).Len()
	r.lossy.drop.Store(200)
	err := r.Sync(t.Context(), source.NewSweep(0))
	if err == nil || !strings.Contains(err.Error(), "not complete") {
		t.Errorf("Sync = %v, want an incomplete listing", err)
	}
	r.lossy.drop.Store(0)
	r.ms.Update(func(f *emulator.Fleet) {
		for i := 100; i < 300; i++ {
			f.RemoveDevice(f.At(i))
		}
	})
	if table := r.sync(t); table.Len() > before-190 {
		t.Errorf("%d of %d devices are left", table.Len(), before)
	}
}

func TestGoneDeviceAsksForAListing(t *testing.T) {
	r := start(t, emulator.Options{}, Options{})
	r.sync(t)
	d := r.find(t, emulator.CaseHealthy)
	r.ms.Update(func(f *emulator.Fleet) { f.RemoveDevice(d) })
	if _, err := r.Lookup(t.Context(), entraKey(d.EntraID)); !errors.Is(err, source.ErrUnknownDevice) {
		t.Fatalf("Lookup = %v", err)
	}
	table := r.sync(t)
	if table == nil || r.Stats().Mode != modePaged {
		t.Fatalf("no complete listing: mode %s", r.Stats().Mode)
	}
	if _, ok := table.Find(entraKey(d.EntraID)); ok {
		t.Error("the device is still listed")
	}
}

// TestPermissions checks that settings, connectors and reasons may be refused.
func TestPermissions(t *testing.T) {
	r := connect(t, emulator.Options{}, Options{Reasons: true, StrictDefault: true})
	r.ms.Grant(readConfig, false)
	r.ms.Grant(readService, false)
	table := r.sync(t)
	calls := r.ms.Calls()["graph/deviceCompliancePolicyStates"]
	if r.sync(t); r.ms.Calls()["graph/deviceCompliancePolicyStates"] != calls {
		t.Error("what was refused is asked for again at once")
	}
	st := r.Stats()
	for _, what := range []string{"settings", "connectors", "reasons", "policies"} {
		if st.Refused[what] == 0 {
			t.Errorf("refused %s is not counted: %v", what, st.Refused)
		}
	}
	if v := verdict(t, table, r.find(t, emulator.CaseHealthy)); v.Compliance != decision.ComplianceNotEvaluated {
		t.Errorf("strict, and policies cannot be read: healthy device is %s", v.Compliance)
	}
	if v := verdict(t, table, r.find(t, emulator.CaseNoncompliant)); v.Compliance != decision.NonCompliant {
		t.Errorf("noncompliant device is %s", v.Compliance)
	}
}

// TestLookupCounts: a look-up counts what it cannot use, as a listing does.
func TestLookupCounts(t *testing.T) {
	r := start(t, emulator.Options{}, Options{})
	r.ms.Fail(listRoute, emulator.Fault{Kind: emulator.UnknownEnums})
	v, err := r.Lookup(t.Context(), entraKey(r.find(t, emulator.CaseHealthy).EntraID))
	if err != nil || v.Compliance == decision.Compliant {
		t.Errorf("compliance %s, %v; want none that lets in", v.Compliance, err)
	}
	if fields := r.Stats().Fields; fields["complianceState: unknown value"] != 1 || fields["managementAgent: unknown value"] != 1 {
		t.Errorf("counts %v", fields)
	}
}
