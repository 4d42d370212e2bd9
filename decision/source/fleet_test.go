package source

import (
	"fmt"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func guid(prefix uint32, n int) string {
	return fmt.Sprintf("%08x-1111-4222-8333-%012x", prefix, n)
}

func entra(n int) decision.Key { return decision.Key{Kind: decision.KindEntra, Value: guid(0xe, n)} }

func intune(n int) decision.Key {
	return decision.Key{Kind: decision.KindIntune, Value: guid(0x1, n)}
}

func serial(n int) decision.Key {
	return decision.Key{Kind: decision.KindSerial, Value: fmt.Sprintf("SN%07d", n)}
}

// healthy is a device with three ids and every fact known and good.
func healthy(n int) decision.Verdict {
	var v decision.Verdict
	v.Keys = []decision.Key{intune(n), entra(n), serial(n)}
	v.Name = fmt.Sprintf("LAPTOP-%06d", n)
	v.Platform, v.OSVersion, v.Model = decision.Windows, decision.Version{10, 0, 22631, 4460}, "Latitude 7440"
	v.Compliance, v.Managed, v.Channel = decision.Compliant, decision.Yes, decision.ChannelIntune
	v.Lifecycle, v.Enabled, v.Trust, v.Ownership = decision.LifecycleActive, decision.Yes, decision.TrustJoined, decision.Corporate
	v.OwnerID, v.OwnerUPN = guid(0xa, n), fmt.Sprintf("user%06d@corp.example", n)
	v.Encrypted, v.Updated, v.Jailbroken, v.Apps = decision.Yes, decision.Yes, decision.No, decision.Yes
	v.Antivirus, v.Firewall, v.SecureBoot, v.Supervised = decision.Yes, decision.Yes, decision.Yes, decision.No
	v.Risk, v.Sensor, v.Exposure, v.Malware = decision.LevelNone, decision.SensorActive, decision.LevelLow, decision.No
	v.LastCheckIn = time.Unix(1_790_000_000+int64(n), 0).UTC()
	v.EvaluatedAt = v.LastCheckIn.Add(time.Minute)
	return v
}

// fleet makes n healthy devices and applies change to each.
func fleet(n int, change func(i int, v *decision.Verdict)) []decision.Verdict {
	out := make([]decision.Verdict, n)
	for i := range out {
		out[i] = healthy(i)
		if change != nil {
			change(i, &out[i])
		}
	}
	return out
}
