package intune

import (
	"slices"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// tombstoneAge is how long the stops of a device outlive its record: as long as a
// verdict of Intune is valid by default.
const tombstoneAge = 30 * 24 * time.Hour

// Tombstone implements [source.Tombstoner]. Intune deletes the record of a device that
// was wiped or retired, and an administrator may delete any, so the end of a record
// takes back no stop: that a device was retired, wiped, revoked, disabled, jailbroken
// or compromised counts for 30 days more, by its Intune id and its Entra device id. A
// new enrolment is a new record with the same Entra id and lifts it. The serial number
// finds nothing any more: hardware may be given to somebody else. Whatever else the
// record said is forgotten.
func (s *Source) Tombstone(v *decision.Verdict) (keep time.Duration) {
	var left decision.Device
	if ends(v.Lifecycle) {
		left.Lifecycle = v.Lifecycle
	}
	if v.Enabled == decision.No {
		left.Enabled = v.Enabled
	}
	if v.Jailbroken == decision.Yes {
		left.Jailbroken = v.Jailbroken
	}
	if v.Risk == decision.LevelCompromised {
		left.Risk = v.Risk
	}
	left.Keys = slices.DeleteFunc(slices.Clone(v.Keys), func(k decision.Key) bool {
		return k.Kind != decision.KindIntune && k.Kind != decision.KindEntra
	})
	stops := left.Lifecycle != decision.LifecycleUnknown || left.Enabled == decision.No ||
		left.Jailbroken == decision.Yes || left.Risk == decision.LevelCompromised
	if !stops || len(left.Keys) == 0 {
		return 0
	}
	left.Name = v.Name // for people who ask why
	v.Device = left
	return tombstoneAge
}

var _ source.Tombstoner = (*Source)(nil)
