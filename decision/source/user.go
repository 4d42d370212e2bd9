package source

import (
	"context"
	"hash/maphash"
	"iter"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
)

// UserLooker is a Source that can be asked for one user. It is for people who examine a
// configuration: a request never asks, since a [Syncer] lists its users.
type UserLooker interface {
	Source
	// LookupUser asks for a user by object id, or, if that is "", by user principal
	// name. The error wraps [ErrUnknownUser] only if the source is healthy and has no
	// such user. A source whose Facts have none about users is not asked. It returns
	// when ctx ends.
	LookupUser(ctx context.Context, objectID, upn string) (decision.UserRecord, error)
}

// The kinds of id in the index of users.
const (
	userByID uint8 = iota
	userByName
)

// AllUsers returns every user, each once.
func (t *Table) AllUsers() iter.Seq[decision.UserRecord] {
	return func(yield func(decision.UserRecord) bool) {
		for _, off := range t.userOffs[:t.userRows] {
			if off != dead && !yield(t.userAt(off)) {
				return
			}
		}
	}
}

func (t *Table) userAt(off uint32) decision.UserRecord {
	c := cursor{b: t.blob(off)}
	return c.user()
}

// User finds a user by object id, else by user principal name without regard
// to case. A name whose record carries another object id is somebody else's: a
// name may be given to a new person. If several users have the name, the worst
// of what is known about them counts.
func (t *Table) User(objectID, upn string) (decision.UserRecord, bool) {
	if t.users == 0 {
		return decision.UserRecord{}, false
	}
	byID, found, _ := t.userBy(userByID, objectID)
	byName, named, several := t.userBy(userByName, upn)
	switch {
	case found && named && !several && (byName.ObjectID == "" || byName.ObjectID == byID.ObjectID):
		return worseUser(byID, byName), true
	case found:
		return byID, true
	case named && differentPeople(objectID, byName.ObjectID):
		return decision.UserRecord{}, false
	}
	return byName, named
}

func differentPeople(a, b string) bool {
	var g [16]byte
	a = strings.ToLower(a)
	return a != b && parseGUID(a, &g) && parseGUID(b, &g)
}

// userBy finds a user by one id. several says that the name belongs to more than
// one person.
func (t *Table) userBy(kind uint8, id string) (u decision.UserRecord, ok, several bool) {
	if id == "" {
		return u, false, false
	}
	slot, _, ok := t.findUser(kind, strings.ToLower(id))
	if !ok {
		return u, false, false
	}
	s := t.byUser.slots[slot]
	return t.userAt(t.userOffs[slotRow(s)]), true, slotAmbiguous(s)
}

// findUser finds the slot of a folded id.
func (t *Table) findUser(kind uint8, folded string) (slot int, hash uint64, ok bool) {
	hash = hashKey(kind, maphash.String(seed, folded))
	slot, ok = t.byUser.find(hash, func(row uint32) bool {
		u := t.userAt(t.userOffs[row])
		if kind == userByID {
			return u.ObjectID == folded
		}
		return strings.ToLower(u.UPN) == folded
	})
	return slot, hash, ok
}

// linkUsers indexes users by object id and by name and joins the records of one
// user. It reports false if the arena is full.
func (t *Table) linkUsers() bool {
	t.userRows = len(t.userOffs)
	t.byUser = newIndex(2 * t.userRows)
	for row := range t.userRows {
		if !t.enterUser(uint32(row)) {
			return false
		}
	}
	for _, off := range t.userOffs[:t.userRows] {
		if off != dead {
			t.users++
			t.sum += maphash.Bytes(seed, t.blob(off))
		}
	}
	return true
}

func (t *Table) enterUser(row uint32) bool {
	u := t.userAt(t.userOffs[row])
	if u.ObjectID != "" {
		slot, hash, ok := t.findUser(userByID, u.ObjectID)
		if !ok {
			t.byUser.put(slot, hash, row)
		} else {
			first := slotRow(t.byUser.slots[slot])
			u = worseUser(t.userAt(t.userOffs[first]), u)
			t.userOffs[row] = dead
			off, ok := t.store(appendUser(nil, &u))
			if !ok {
				return false
			}
			t.userOffs[first] = off
			row = first
		}
	}
	if u.UPN == "" {
		return true
	}
	slot, hash, ok := t.findUser(userByName, strings.ToLower(u.UPN))
	if !ok {
		t.byUser.put(slot, hash, row)
		return true
	}
	other := slotRow(t.byUser.slots[slot])
	if other == row {
		return true
	}
	before := t.userAt(t.userOffs[other])
	both := worseUser(before, u)
	if before.ObjectID != "" && u.ObjectID != "" && before.ObjectID != u.ObjectID {
		both.ObjectID = ""
		t.byUser.markAmbiguous(slot)
	}
	off, ok := t.store(appendUser(nil, &both))
	if !ok {
		return false
	}
	t.userOffs = append(t.userOffs, off)
	t.byUser.put(slot, hash, uint32(len(t.userOffs)-1))
	return true
}

// worseUser joins two records: what is known counts, and the worse of two
// findings.
func worseUser(a, b decision.UserRecord) decision.UserRecord {
	if a.ObjectID == "" {
		a.ObjectID = b.ObjectID
	}
	if a.UPN == "" {
		a.UPN = b.UPN
	}
	if a.Enabled == decision.Unknown || b.Enabled == decision.No {
		a.Enabled = b.Enabled
	}
	if a.Compromised == decision.Unknown || b.Compromised == decision.Yes {
		a.Compromised = b.Compromised
	}
	a.Risk, a.RiskFloor = max(a.Risk, b.Risk), a.RiskFloor || b.RiskFloor
	a.Unreadable |= b.Unreadable
	return doubtful(a)
}

// doubtful takes good news back about which the same source, in another record of the
// user, said something that cannot be read.
func doubtful(u decision.UserRecord) decision.UserRecord {
	if u.Enabled == decision.Yes && u.Unreadable.Has(decision.FactUserEnabled) {
		u.Enabled = decision.Unknown
	}
	if u.Enabled == decision.No {
		u.Unreadable &^= decision.Facts(decision.FactUserEnabled)
	}
	if u.Risk != decision.LevelUnknown && u.Unreadable.Has(decision.FactUserRisk) {
		u.RiskFloor = true
		u.Unreadable &^= decision.Facts(decision.FactUserRisk)
	}
	return u
}
