package source

import (
	"maps"
	"slices"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Listing is what a [Syncer] remembers that learns of changes only: everything
// that it said last, packed, and what changed since. Devices are known by their
// own id, which is the first of their Keys. The zero value is empty and ready to
// use. It is not safe for concurrent use.
type Listing struct {
	packed  *Table
	changed map[decision.Key]*decision.Verdict // nil: removed
	added   int                                // of changed, how many packed does not have
	removed int                                // of changed, how many are gone from packed
}

// Len returns the number of devices.
func (l *Listing) Len() int {
	n := l.added - l.removed
	if l.packed != nil {
		n += l.packed.Len()
	}
	return n
}

// Get returns the device with this own id.
func (l *Listing) Get(own decision.Key) (decision.Verdict, bool) {
	if v, ok := l.changed[own]; ok {
		if v == nil {
			return decision.Verdict{}, false
		}
		return *v, true
	}
	if row, ok := l.row(own); ok {
		return l.packed.Verdict(row), true
	}
	return decision.Verdict{}, false
}

// row finds a packed device. An id that is somebody's first and somebody else's
// second is found by neither.
func (l *Listing) row(own decision.Key) (int, bool) {
	if l.packed == nil {
		return 0, false
	}
	return l.packed.Find(own)
}

// Put adds a device, or replaces the one with the same own id. The error says why
// the record cannot be used; what was known of the device stays.
func (l *Listing) Put(v decision.Verdict) error {
	err := checkDevice(&v.Device)
	if err != nil {
		return err
	}
	own := v.Keys[0]
	l.forget(own)
	if _, ok := l.row(own); !ok {
		l.added++
	}
	l.set(own, &v)
	if len(l.changed) >= maxChanged && len(l.changed) > l.Len()/4 {
		return l.pack() // a complete listing of a large fleet
	}
	return nil
}

// maxChanged is how many changes a complete listing collects before it is packed
// on the way. Packing whenever a quarter is new keeps the work linear.
const maxChanged = 1 << 14

// Remove forgets a device.
func (l *Listing) Remove(own decision.Key) {
	l.forget(own)
	if _, ok := l.row(own); ok {
		l.removed++
		l.set(own, nil)
	}
}

// forget undoes what changed said about an id.
func (l *Listing) forget(own decision.Key) {
	v, ok := l.changed[own]
	if !ok {
		return
	}
	delete(l.changed, own)
	_, packed := l.row(own)
	switch {
	case v == nil:
		l.removed--
	case !packed:
		l.added--
	}
}

func (l *Listing) set(own decision.Key, v *decision.Verdict) {
	if l.changed == nil {
		l.changed = map[decision.Key]*decision.Verdict{}
	}
	l.changed[own] = v
}

// Reset forgets everything, at the start of a complete listing.
func (l *Listing) Reset() { *l = Listing{} }

// repackShare is how much of a listing may have changed before it is packed
// again: a change in a map takes some ten times the memory of a packed one.
const repackShare = 16

// Emit hands every device to a sweep, and packs what changed if that is much. Bad news
// about a fact that is in Unreadable all the same counts as kept ([KeepUnreadable]).
func (l *Listing) Emit(sweep *Sweep) error {
	if len(l.changed) > 1000 && len(l.changed) > l.Len()/repackShare || l.packed == nil {
		err := l.pack()
		if err != nil {
			return err
		}
	}
	for v := range l.all {
		sweep.Kept(*v, v.Unreadable)
	}
	return nil
}

func (l *Listing) pack() error {
	b := NewBuilder(max(l.Len(), 1))
	for v := range l.all {
		err := b.Add(v)
		if err != nil {
			return err
		}
	}
	t, err := b.Build()
	if err != nil {
		return err
	}
	*l = Listing{packed: t}
	return nil
}

// all yields the packed devices in their order, then the changed ones in the
// order of their ids, so that the same content always gives the same sweep.
func (l *Listing) all(yield func(*decision.Verdict) bool) {
	if l.packed != nil {
		for _, v := range l.packed.All() {
			if _, ok := l.changed[v.Keys[0]]; ok {
				continue
			}
			if !yield(&v) {
				return
			}
		}
	}
	own := slices.SortedFunc(maps.Keys(l.changed), func(a, b decision.Key) int {
		if a.Kind != b.Kind {
			return strings.Compare(a.Kind, b.Kind)
		}
		return strings.Compare(a.Value, b.Value)
	})
	for _, k := range own {
		if v := l.changed[k]; v != nil && !yield(v) {
			return
		}
	}
}
