package source

import (
	"maps"
	"slices"
	"sync"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Forgetter is a Source that keeps bad news between its sweeps ([KeepUnreadable]), and
// lets go of it when an operator says so ([Directory.Forget]).
type Forgetter interface {
	Source
	// Forget takes back what the source itself keeps about the device with this id,
	// which is the source's own: from the next sweep on it says that no more. It makes
	// no call, waits for no Sync, and is safe for concurrent use.
	Forget(own decision.Key)
}

// Forgotten are the devices that a [Forgetter] was told of and has not dealt with. The
// zero value is empty. It is safe for concurrent use. Every id stands for a device that
// an operator named, until the next Sync.
type Forgotten struct {
	mu  sync.Mutex
	ids map[decision.Key]bool
}

// Add notes a device.
func (f *Forgotten) Add(own decision.Key) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ids == nil {
		f.ids = map[decision.Key]bool{}
	}
	f.ids[own] = true
}

// Take returns what was noted since the last call, in no order.
func (f *Forgotten) Take() []decision.Key {
	f.mu.Lock()
	defer f.mu.Unlock()
	ids := slices.Collect(maps.Keys(f.ids))
	f.ids = nil
	return ids
}

// ForgetUnreadable takes from d what [KeepUnreadable] gave it. The facts are unknown
// then, and stay unreadable.
func ForgetUnreadable(d *decision.Device) (changed bool) {
	old := pack(d)
	word := cleared(old, stickyOf(d.Unreadable))
	if word == old {
		return false
	}
	unpack(word, d)
	return true
}
