package sourcetest

import "github.com/gatehouse-project/gatehouse/decision"

// Names returns the names of devices, by which an emulator of a service finds them
// again.
func Names(devices []decision.Verdict) []string {
	names := make([]string, len(devices))
	for i := range devices {
		names[i] = devices[i].Name
	}
	return names
}
