package source

import (
	"encoding/binary"
	"hash/maphash"
	"iter"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Table is everything that one source knows: immutable, packed, and almost
// free of pointers, so that a million devices cost the garbage collector
// nothing. A row takes 12 bytes, its packed form (about 120 bytes with three
// ids) and 8 to 16 bytes of index per id. Strings are copied out, so that a
// posture never keeps an old table alive. Times are kept to the second.
//
// Two rows that share an id are one device only if they have all ids in common:
// then the newer LastCheckIn (else EvaluatedAt) wins. Otherwise, or if neither
// is newer and they differ, the ids they share are ambiguous and find nothing.
type Table struct {
	chunks   [][]byte // packed rows, of devices and users
	facts    []uint64
	offs     []uint32 // of devices; dead for a row that lost against its twin
	userOffs []uint32
	kinds    []string
	interned []string

	byKey, byUser index

	held   []uint64 // bits of rows that a guard held back; nil without any
	heldAt int64    // when the oldest of them was last confirmed, as decision.Mono
	odd    []uint64 // bits of rows with facts of barring in their tail; nil without any
	// kept are, by row, the bits of the fields about which the source said something
	// bad before and nothing by now; nil without any.
	kept     []uint32
	keptRows int
	// said are the facts of rows as the source says them, where stops of tombstones took
	// the place of other words ([Table.halt]), or what is kept is what a look-up said
	// ([Runner.absorb]). Only rows of which something is kept have them.
	said map[uint32]uint64
	// gone is a table of tombstones, about devices that are none of this one's; nil
	// without any. Its own ends is when the first of them does.
	gone      *Table
	ends      time.Time
	devices   int
	users     int
	userRows  int // of userOffs; behind them are the joined records
	ambiguous int
	reported  uint32 // bits of fields that at least one row knows
	sum       uint64 // of the content, whatever its order; per process
}

const (
	chunkBits = 22 // chunks of 4 MiB, at most 1024 of them
	chunkSize = 1 << chunkBits
	maxChunks = 1 << (32 - chunkBits)
	dead      = ^uint32(0)
)

// Len returns the number of devices.
func (t *Table) Len() int { return t.devices }

// Users returns the number of users.
func (t *Table) Users() int { return t.users }

// AmbiguousKeys returns how many ids belong to several devices.
func (t *Table) AmbiguousKeys() int { return t.ambiguous }

// Find returns the row of the device with this id. It is false for an unknown
// and for an ambiguous id. It allocates nothing.
func (t *Table) Find(key decision.Key) (row int, ok bool) {
	r, ok, ambiguous := t.find(key)
	return int(r), ok && !ambiguous
}

// Ambiguous reports whether several different devices have this id.
func (t *Table) Ambiguous(key decision.Key) bool {
	_, ok, ambiguous := t.find(key)
	return ok && ambiguous
}

func (t *Table) find(key decision.Key) (row uint32, ok, ambiguous bool) {
	if t.devices == 0 {
		return 0, false, false
	}
	kind, ok := t.kind(key.Kind)
	if !ok {
		return 0, false, false
	}
	var g [16]byte
	guid := parseGUID(key.Value, &g)
	slot, ok := t.byKey.find(hashID(kind, key.Value, guid, &g), func(row uint32) bool {
		return t.has(row, kind, key.Value, guid, &g)
	})
	if !ok {
		return 0, false, false
	}
	s := t.byKey.slots[slot]
	return slotRow(s), true, slotAmbiguous(s)
}

func hashID(kind uint8, value string, guid bool, g *[16]byte) uint64 {
	if guid {
		return hashKey(kind, maphash.Bytes(seed, g[:]))
	}
	return hashKey(kind, maphash.String(seed, value))
}

// has compares the whole id with those of a row.
func (t *Table) has(row uint32, kind uint8, value string, guid bool, g *[16]byte) bool {
	c := cursor{b: t.blob(t.offs[row])}
	for range c.byte() {
		k, v, isGUID := c.key()
		if k != kind || isGUID != guid {
			continue
		}
		if guid && [16]byte(v) == *g || !guid && string(v) == value {
			return true
		}
	}
	return false
}

func (t *Table) kind(name string) (uint8, bool) {
	for i, k := range t.kinds {
		if k == name {
			return uint8(i), true
		}
	}
	return 0, false
}

// blob returns the packed form at off, without its length.
func (t *Table) blob(off uint32) []byte {
	b := t.chunks[off>>chunkBits][off&(chunkSize-1):]
	n, w := binary.Uvarint(b)
	return b[w : w+int(n)]
}

// Verdict restores a row. Its Confirmed is zero: the source's last complete
// sweep counts. Only a row that a guard held back has its own time, because the
// last sweep did not confirm it.
func (t *Table) Verdict(row int) decision.Verdict {
	v, _ := t.restore(row)
	return v
}

// restore is Verdict, with what is behind the row.
func (t *Table) restore(row int) (decision.Verdict, tail) {
	var v decision.Verdict
	unpack(t.facts[row], &v.Device)
	c := cursor{b: t.blob(t.offs[row])}
	c.device(&v.Device, t.kinds, t.interned)
	l := c.tail()
	v.Unreadable = l.unreadable
	if v.Unreadable != 0 { // a fact whose last word is kept is known
		v.Unreadable &^= tellingFacts(t.keptFields(row))
	}
	if t.Held(row) {
		v.Confirmed = t.heldAt
	}
	return v, l
}

// Held reports whether a guard held the row back: the source says something
// else about the device by now.
func (t *Table) Held(row int) bool {
	return t.held != nil && t.held[row/64]&(1<<(row%64)) != 0
}

// All returns every device with its row, in the order of the sweep.
func (t *Table) All() iter.Seq2[int, decision.Verdict] {
	return func(yield func(int, decision.Verdict) bool) {
		for row := range t.offs {
			if t.offs[row] != dead && !yield(row, t.Verdict(row)) {
				return
			}
		}
	}
}

// complianceCounts counts the devices by compliance.
func (t *Table) complianceCounts() map[string]int {
	var all [256]int
	f := &fields[complianceField]
	for row, off := range t.offs {
		if off != dead {
			all[f.in(t.facts[row])]++
		}
	}
	counts := map[string]int{}
	for c, n := range all {
		if n > 0 {
			counts[decision.Compliance(c).String()] += n
		}
	}
	return counts
}

// ownKey is the first id of a row: the source's own.
func (t *Table) ownKey(row int) decision.Key {
	c := cursor{b: t.blob(t.offs[row])}
	c.byte()
	k, v, guid := c.key()
	if guid {
		return decision.Key{Kind: t.kinds[k], Value: formatGUID([16]byte(v))}
	}
	return decision.Key{Kind: t.kinds[k], Value: string(v)}
}
