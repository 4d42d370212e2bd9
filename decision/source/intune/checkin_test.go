package intune

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

const syncRoute = "graph/syncDevice"

func TestRequestCheckIn(t *testing.T) {
	r := start(t, emulator.Options{}, Options{})
	table := r.sync(t)
	request := func(d *emulator.Device) error {
		v := verdict(t, table, d)
		return r.RequestCheckIn(t.Context(), &v)
	}
	d := r.find(t, emulator.CaseNoncompliant)
	r.ms.Update(func(*emulator.Fleet) { d.Managed[0].NextCompliance = "compliant" })
	if err := request(d); err != nil {
		t.Fatal(err)
	}
	if v, err := r.Lookup(t.Context(), entraKey(d.EntraID)); err != nil || v.Compliance != decision.Compliant {
		t.Errorf("after the check-in: %s, %v", v.Compliance, err)
	}
	for _, name := range []string{emulator.CaseTenantAttach, emulator.CaseJamf, emulator.CaseDefenderAttach} {
		if err := request(r.find(t, name)); !errors.Is(err, source.ErrNotSupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := request(r.find(t, emulator.CaseComanaged)); err != nil {
		t.Errorf("co-managed: %v", err)
	}
	if n := r.ms.Calls()[syncRoute]; n != 2 {
		t.Errorf("%d requests reached Intune, want 2", n)
	}
	gone := r.find(t, emulator.CaseIntuneOnly)
	v := verdict(t, table, gone)
	r.ms.Update(func(f *emulator.Fleet) { f.RemoveDevice(gone) })
	if err := r.RequestCheckIn(t.Context(), &v); !errors.Is(err, source.ErrUnknownDevice) {
		t.Errorf("device that is gone: %v", err)
	}
}

func TestRequestCheckInFails(t *testing.T) {
	clock := time.Now()
	r := connect(t, emulator.Options{}, Options{Now: func() time.Time { return clock }})
	const permission = "DeviceManagementManagedDevices.PrivilegedOperations.All"
	r.ms.Grant(permission, false)
	v := verdict(t, r.sync(t), r.find(t, emulator.CaseHealthy))
	for range 2 {
		if err := r.RequestCheckIn(t.Context(), &v); !errors.Is(err, source.ErrNotPermitted) {
			t.Errorf("without the permission: %v", err)
		}
	}
	if n := r.ms.Calls()[syncRoute]; n != 1 {
		t.Errorf("what is not permitted is asked for %d times", n)
	}
	clock = clock.Add(barredFor)
	if err := r.RequestCheckIn(t.Context(), &v); !errors.Is(err, source.ErrNotPermitted) || r.ms.Calls()[syncRoute] != 2 {
		t.Errorf("a while later: %v, %d calls", err, r.ms.Calls()[syncRoute])
	}
	if n := r.Stats().Refused["check-ins"]; n != 0 {
		t.Errorf("a request to check in counts as %d failed reads", n)
	}

	r = connect(t, emulator.Options{}, Options{})
	v = verdict(t, r.sync(t), r.find(t, emulator.CaseHealthy))
	clear := r.ms.Fail(syncRoute, emulator.Fault{Kind: emulator.Hang})
	limited, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := r.RequestCheckIn(limited, &v); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("no answer: %v", err)
	}
	clear()
	r.ms.Fail(syncRoute, emulator.Fault{Kind: emulator.Throttle429, RetryAfter: "30"})
	var throttled *source.ThrottledError
	if err := r.RequestCheckIn(t.Context(), &v); !errors.As(err, &throttled) || throttled.RetryAfter != 30*time.Second {
		t.Errorf("throttled: %v", err)
	}
	if n := r.ms.Calls()[syncRoute]; n != 2 {
		t.Errorf("an action is tried again: %d calls", n)
	}
}
