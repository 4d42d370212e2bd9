package intune

import (
	"reflect"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// TestTombstone: exactly the stops of a record outlive it.
func TestTombstone(t *testing.T) {
	full := func(change func(*decision.Device)) decision.Verdict {
		v := dev(1, 11, "SN1", 1, decision.Compliant)
		v.Keys = append(v.Keys, decision.Key{Kind: "asset", Value: "7"})
		v.Name, v.Managed, v.Lifecycle, v.Encrypted, v.Risk = "LT-1", decision.Yes, decision.LifecycleActive, decision.Yes, decision.LevelNone
		v.Sensor, v.RiskFloor, v.OwnerID, v.Confirmed = decision.SensorActive, true, "ann", 7
		v.Unreadable = decision.Facts(decision.FactOwnership)
		change(&v.Device)
		return v
	}
	left := func(change func(*decision.Device)) *decision.Device {
		d := &decision.Device{Name: "LT-1", Keys: dev(1, 11, "", 1, 0).Keys}
		change(d)
		return d
	}
	stop := map[string]func(*decision.Device){
		"retiring":          func(d *decision.Device) { d.Lifecycle = decision.LifecycleRetiring },
		"wiping":            func(d *decision.Device) { d.Lifecycle = decision.LifecycleWiping },
		"revoked":           func(d *decision.Device) { d.Lifecycle = decision.LifecycleRevoked },
		"jailbroken":        func(d *decision.Device) { d.Jailbroken = decision.Yes },
		"disabled":          func(d *decision.Device) { d.Enabled = decision.No },
		"compromised":       func(d *decision.Device) { d.Risk = decision.LevelCompromised },
		"wiped, jailbroken": func(d *decision.Device) { d.Lifecycle, d.Jailbroken = decision.LifecycleWiping, decision.Yes },
	}
	for name, change := range stop {
		v := full(change)
		keys := v.Keys
		if keep := new(Source).Tombstone(&v); keep != 30*24*time.Hour {
			t.Errorf("%s: kept for %s, want 30 days", name, keep)
		}
		if want := left(change); !reflect.DeepEqual(&v.Device, want) {
			t.Errorf("%s: left %+v, want %+v", name, v.Device, *want)
		}
		if keys[2].Kind != decision.KindSerial {
			t.Errorf("%s: the keys of the record itself were changed", name)
		}
	}
	for name, change := range map[string]func(*decision.Device){
		"healthy":      func(*decision.Device) {},
		"noncompliant": func(d *decision.Device) { d.Compliance = decision.NonCompliant },
		"high risk":    func(d *decision.Device) { d.Risk = decision.LevelHigh },
		"pending":      func(d *decision.Device) { d.Lifecycle = decision.LifecyclePending },
		"without ids":  func(d *decision.Device) { d.Keys, d.Jailbroken = d.Keys[2:], decision.Yes },
	} {
		v := full(change)
		if keep := new(Source).Tombstone(&v); keep > 0 {
			t.Errorf("%s: kept for %s as %+v", name, keep, v.Device)
		}
	}
}
