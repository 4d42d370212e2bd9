package sourcetest

import (
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

// canonical checks the ids of a verdict.
func canonical(t *testing.T, v *decision.Verdict) {
	t.Helper()
	if len(v.Keys) == 0 {
		t.Error("verdict has no id")
	}
	for _, k := range v.Keys {
		if c, ok := decision.CanonicalKey(k.Kind, k.Value); !ok || c != k {
			t.Errorf("id %v is not canonical", k)
		}
	}
}

func has(keys []decision.Key, k decision.Key) bool {
	for _, h := range keys {
		if h == k {
			return true
		}
	}
	return false
}

// matches counts the devices that share an id with v.
func matches(devices []decision.Verdict, v *decision.Verdict) int {
	n := 0
	for _, d := range devices {
		for _, k := range d.Keys {
			if has(v.Keys, k) {
				n++
				break
			}
		}
	}
	return n
}

// reported returns the facts about which a device says something.
func reported(d *decision.Device) decision.FactSet {
	var s decision.FactSet
	for fact, known := range map[decision.Fact]bool{
		decision.FactManaged:    d.Managed != decision.Unknown,
		decision.FactCompliance: d.Compliance != decision.ComplianceUnknown,
		decision.FactEnabled:    d.Enabled != decision.Unknown,
		decision.FactLifecycle:  d.Lifecycle != decision.LifecycleUnknown,
		decision.FactEncrypted:  d.Encrypted != decision.Unknown,
		decision.FactUpdated:    d.Updated != decision.Unknown,
		decision.FactJailbroken: d.Jailbroken != decision.Unknown,
		decision.FactMalware:    d.Malware != decision.Unknown,
		decision.FactRisk:       d.Risk != decision.LevelUnknown,
		decision.FactOS:         d.Platform != decision.PlatformUnknown,
		decision.FactTrust:      d.Trust != decision.TrustUnknown,
		decision.FactOwnership:  d.Ownership != decision.OwnershipUnknown,
		decision.FactOwner:      d.OwnerID != "" || d.OwnerUPN != "",
		decision.FactCheckIn:    !d.LastCheckIn.IsZero(),
		decision.FactSecureBoot: d.SecureBoot != decision.Unknown,
		decision.FactSupervised: d.Supervised != decision.Unknown,
		decision.FactAntivirus:  d.Antivirus != decision.Unknown,
		decision.FactFirewall:   d.Firewall != decision.Unknown,
		decision.FactApps:       d.Apps != decision.Unknown,
		decision.FactSensor:     d.Sensor != decision.SensorUnknown,
		decision.FactExposure:   d.Exposure != decision.LevelUnknown,
	} {
		if known {
			s |= decision.Facts(fact)
		}
	}
	return s
}
