package source

import (
	"sync/atomic"
	"time"

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
	runners []*Runner
	revoked func(*decision.Identity, []decision.Key) *decision.Revocation
	// generations are the counters whose sum is the generation.
	generations []*atomic.Uint64
	owner       decision.MemoOwner
}

// NewDirectory makes a directory of runners in configuration order.
func NewDirectory(runners []*Runner, o DirectoryOptions) *Directory {
	d := &Directory{runners: runners, revoked: o.Revoked}
	if o.Generation != nil {
		d.generations = append(d.generations, o.Generation)
	}
	for _, r := range runners {
		d.generations = append(d.generations, &r.gen)
	}
	return d
}

// Generation grows with every change of what any source, or whoever shares the
// counter, knows: counters that only grow have a sum that only grows. A posture of an older generation must be built again.
func (d *Directory) Generation() uint64 {
	var g uint64
	for _, c := range d.generations {
		g += c.Load()
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
	if p := id.Memo(&d.owner); p != nil && p.Generation == d.Generation() {
		return p
	}
	return nil
}

// build merges the reports of all sources. causes, if any, say per source why a
// look-up gave no answer.
func (d *Directory) build(id *decision.Identity, causes []decision.Cause) (*decision.Posture, *resolution) {
	generation := d.Generation() // before anything is read: a change meanwhile makes this posture old
	s := d.resolve(id.Device.Keys, causes, inUse)
	p := decision.Merge(s.reports(d, id), s.jitterKey(id))
	known := d.complete(p, s, id, generation)
	if s.settled && known {
		id.SetMemo(&d.owner, p)
	}
	return p, s
}

// complete adds to a posture what is not a matter of merging. settled says that all
// of that is known.
func (d *Directory) complete(p *decision.Posture, s *resolution, id *decision.Identity, generation uint64) (settled bool) {
	p.Ambiguous = s.ambiguous
	p.Generation = generation
	if d.revoked != nil {
		p.Revoked = d.revoked(id, s.keys)
	}
	if g := d.groupsOf(&id.User); g != nil {
		p.Membership, settled = g.find(id.User.ObjectID)
		return settled
	}
	return true
}

// Weigh is Posture for people who ask why: it also tells what every source says
// about each fact, and which word counts ([decision.Weigh]). It never blocks, asks
// nobody and remembers nothing.
func (d *Directory) Weigh(id *decision.Identity) (*decision.Posture, []decision.Word) {
	generation := d.Generation()
	s := d.resolve(id.Device.Keys, nil, looksOn)
	p, words := decision.Weigh(s.reports(d, id), s.jitterKey(id))
	d.complete(p, s, id, generation)
	return p, words
}

// GoneSince returns, in the order of the sources, since when each does not list the
// identity's device any more, of which only its last word is left ([Match]); zero for
// the others. It never blocks and asks nobody.
func (d *Directory) GoneSince(id *decision.Identity) []time.Time {
	s := d.resolve(id.Device.Keys, nil, looksOn)
	out := make([]time.Time, len(s.matches))
	for i := range s.matches {
		out[i] = s.matches[i].GoneSince
	}
	return out
}

// groupsOf returns who can tell the groups of a user whose token says that there are
// too many to list, or nil. The tenant must be the one that signed the token: an
// object id means nothing in another.
func (d *Directory) groupsOf(u *decision.User) *groupKeeper {
	if u.GroupsKnown != decision.No || u.AppOnly || u.ObjectID == "" || u.Tenant == "" {
		return nil
	}
	for _, r := range d.runners {
		if r.groups != nil && r.groups.tenant == u.Tenant {
			return r.groups
		}
	}
	return nil
}
