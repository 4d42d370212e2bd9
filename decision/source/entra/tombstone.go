package entra

import (
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// keepDevice is how long a deleted device counts as disabled: longer than any
// token, and than most certificates take to be noticed and revoked.
const keepDevice = 30 * 24 * time.Hour

// Tombstone implements [source.Tombstoner]: a device whose object was deleted counts
// as disabled. It is found by its Entra device id alone, for a serial number, a
// security identifier or a certificate may be another device's by now. Where another
// object has that device id, which is so when a duplicate is deleted or replaced,
// that object speaks for the device.
func (s *Source) Tombstone(v *decision.Verdict) (keep time.Duration) {
	d := device{Verdict: *v}
	id, ok := d.id()
	if !ok {
		return 0
	}
	if _, taken := s.known.holders[id]; taken {
		return 0
	}
	*v = decision.Verdict{Device: decision.Device{
		Keys:    []decision.Key{{Kind: decision.KindEntra, Value: id.String()}},
		Enabled: decision.No,
	}}
	return keepDevice
}
