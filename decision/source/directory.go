package source

import (
	"errors"
	"fmt"
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

// Kept returns, in the order of the sources, what the gateway keeps by itself about the
// identity's device, which [Directory.Forget] would take back. It is nothing for a
// source where the device cannot be told from others, or is held back. It never asks
// anybody.
func (d *Directory) Kept(id *decision.Identity) []Kept {
	s := d.resolve(id.Device.Keys, nil, looksOn)
	out := make([]Kept, len(d.runners))
	for i, r := range d.runners {
		out[i].Source = r.o.Name
		if keys := s.keysAt(i); keys != nil {
			out[i], _ = r.kept(keys)
		}
	}
	return out
}

// Forget takes back what the gateway keeps by itself about the device with this id, at
// one source or, with "", at all: bad news that the source does not say any more, and
// the last word of a record that ended. What the source says in the record that it has
// counts from then on, and nothing where it says nothing; what it says again counts
// again. It says, in the order of the sources, what was forgotten; the sources that do
// not have the device are left out.
//
// The error wraps [ErrUnknownDevice] if no source has the device, and
// [ErrSeveralDevices] or [ErrHeldBack] if one of the sources cannot do it. All are asked
// before the first forgets, so that with such an error nothing is forgotten; but if a
// source cannot do it any more when its turn comes, as a sweep brought something else
// meanwhile, the others forget nevertheless. With every error, forgotten says what was.
// The snapshots are written before Forget returns. If it returns [ErrNotSaved], what it
// forgot may come back with a restart. It is safe beside sweeps and look-ups.
func (d *Directory) Forget(key decision.Key, source string) (forgotten []Kept, err error) {
	s := d.resolve([]decision.Key{key}, nil, looksOn)
	at := make(map[*Runner][]decision.Key, len(d.runners))
	for i, r := range d.runners {
		if source != "" && r.o.Name != source {
			continue
		}
		if s.matches[i].Ambiguous {
			return nil, fmt.Errorf("source %s: %w", r.o.Name, ErrSeveralDevices)
		}
		keys := s.keysAt(i)
		if keys == nil {
			continue
		}
		if _, err := r.kept(keys); err != nil {
			return nil, err
		}
		at[r] = keys
	}
	if len(at) == 0 {
		return nil, ErrUnknownDevice
	}
	for _, r := range d.runners {
		keys, ok := at[r]
		if !ok {
			continue
		}
		k, failed := r.forgetDevice(keys)
		if err = errors.Join(err, failed); failed == nil || errors.Is(failed, ErrNotSaved) {
			forgotten = append(forgotten, k)
		}
	}
	return forgotten, err
}

// keysAt returns the ids of the record found in source i: its own, those that are no
// serial numbers, and those asked for. Nil if none was found.
func (s *resolution) keysAt(i int) []decision.Key {
	m := &s.matches[i]
	if m.Verdict == nil || m.Ambiguous {
		return nil
	}
	keys := []decision.Key{m.Verdict.Keys[0]}
	for _, k := range m.Verdict.Keys[1:] {
		if k.Kind != decision.KindSerial || hasKey(s.asked, k) {
			keys = append(keys, k)
		}
	}
	return keys
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
