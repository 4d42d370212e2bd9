package source

import (
	"sync/atomic"

	"github.com/gatehouse-project/gatehouse/decision"
)

// DirectoryOptions configure a [Directory].
type DirectoryOptions struct {
	// Revoked returns the entry of the local revocation list that matches a
	// user or any id of a device, or nil. It is asked once per posture: whoever
	// changes the list must raise Generation.
	Revoked func(id *decision.Identity, deviceKeys []decision.Key) *decision.Revocation
	// Generation is a counter shared with whatever else changes postures, such
	// as the revocation list. Nil: the sources alone count.
	Generation *atomic.Uint64
}

// Directory merges what all sources have in memory into the posture of one
// identity. It has no goroutine and no state of its own besides the memo in each
// identity, and is safe for concurrent use.
type Directory struct {
	runners    []*Runner
	revoked    func(*decision.Identity, []decision.Key) *decision.Revocation
	generation *atomic.Uint64
}

// NewDirectory makes a directory of runners in configuration order.
func NewDirectory(runners []*Runner, o DirectoryOptions) *Directory {
	d := &Directory{runners: runners, revoked: o.Revoked, generation: o.Generation}
	if d.generation == nil {
		d.generation = new(atomic.Uint64)
	}
	return d
}

// Generation grows with every change of what any source, or whoever shares the
// counter, knows. A posture of an older generation must be built again.
func (d *Directory) Generation() uint64 {
	g := d.generation.Load()
	for _, r := range d.runners {
		g += r.gen.Load()
	}
	return g
}

// Posture returns what is in memory about the identity's device and user. It
// never blocks. While nothing changes it returns the same posture again, kept
// in the identity, without an allocation.
func (d *Directory) Posture(id *decision.Identity) *decision.Posture {
	if p := d.memo(id); p != nil {
		return p
	}
	p, _ := d.build(id, nil)
	return p
}

func (d *Directory) memo(id *decision.Identity) *decision.Posture {
	if p := id.Memo(d); p != nil && p.Generation == d.Generation() {
		return p
	}
	return nil
}

// build merges the reports of all sources. causes, if any, say per source why a
// look-up gave no answer.
func (d *Directory) build(id *decision.Identity, causes []decision.Cause) (*decision.Posture, *resolution) {
	generation := d.Generation() // before anything is read: a change meanwhile makes this posture old
	s := d.resolve(id.Device.Keys, causes)
	p := decision.Merge(s.reports(d, id), s.jitterKey(id))
	p.Ambiguous = s.ambiguous
	p.Generation = generation
	if d.revoked != nil {
		p.Revoked = d.revoked(id, s.keys)
	}
	if s.settled {
		id.SetMemo(d, p)
	}
	return p, s
}
