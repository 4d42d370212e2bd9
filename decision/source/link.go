package source

import (
	"encoding/binary"
	"hash/maphash"
)

// store copies a packed form, behind its length, into the arena.
func (t *Table) store(blob []byte) (off uint32, ok bool) {
	last := len(t.chunks) - 1
	if last < 0 || len(t.chunks[last])+len(blob)+binary.MaxVarintLen32 > chunkSize {
		if len(t.chunks) == maxChunks {
			return 0, false
		}
		size := chunkSize
		if last < 0 {
			size = 1 << 10 // most tables in the world are small: the first chunk grows
		}
		t.chunks = append(t.chunks, make([]byte, 0, size))
		last++
	}
	chunk := t.chunks[last]
	off = uint32(last)<<chunkBits | uint32(len(chunk))
	if off == dead {
		return 0, false
	}
	t.chunks[last] = append(binary.AppendUvarint(chunk, uint64(len(blob))), blob...)
	return off, true
}

// link builds both indexes and settles double records. It reports false if the
// arena is full.
func (t *Table) link() bool {
	ids := 0
	for _, off := range t.offs {
		ids += int(t.blob(off)[0])
	}
	t.byKey = newIndex(ids)
	for row := range t.offs {
		t.linkRow(uint32(row))
	}
	var words uint64
	for row, off := range t.offs {
		if off == dead {
			continue
		}
		t.devices++
		words |= t.facts[row]
		t.sum += t.term(row)
		if t.keptFields(row) != 0 {
			t.keptRows++
		}
	}
	for i := range fields {
		if words>>fields[i].shift&(1<<fields[i].width()-1) != 0 {
			t.reported |= 1 << i
		}
	}
	for _, s := range t.byKey.slots {
		if slotAmbiguous(s) {
			t.ambiguous++
		}
	}
	return t.linkUsers()
}

// eachKey calls f for the slot of every id of a row; ok says whether the id is
// in the index already.
func (t *Table) eachKey(row uint32, f func(slot int, hash uint64, ok bool)) {
	c := cursor{b: t.blob(t.offs[row])}
	for range c.byte() {
		kind, value, guid := c.key()
		hash := hashKey(kind, maphash.Bytes(seed, value))
		slot, ok := t.byKey.find(hash, func(r uint32) bool { return t.hasPacked(r, kind, value, guid) })
		f(slot, hash, ok)
	}
}

// place is where an id of a row belongs in the index.
type place struct {
	slot int
	hash uint64
	ok   bool // an earlier row has the id
}

// linkRow puts the ids of a row into the index. If an earlier record has
// exactly the same ids, one of the two is kept. An id that another device has
// becomes ambiguous. Each id is looked up once, as that is what costs: the index
// of a large table does not fit into any cache.
func (t *Table) linkRow(row uint32) {
	var buf [MaxKeys]place
	places := buf[:0]
	known := false
	t.eachKey(row, func(slot int, hash uint64, ok bool) {
		places = append(places, place{slot, hash, ok})
		known = known || ok
	})
	if known {
		for _, p := range places {
			if !p.ok {
				continue
			}
			if other := slotRow(t.byKey.slots[p.slot]); t.sameKeys(other, row) {
				t.settle(other, row)
				return
			}
		}
	}
	for i, p := range places {
		switch {
		case p.ok:
			t.byKey.markAmbiguous(p.slot)
		case t.byKey.slots[p.slot] == 0:
			t.byKey.put(p.slot, p.hash, row)
		default: // taken by another id of this row a moment ago
			t.enter(row, i)
		}
	}
}

// enter looks the nth id of a row up again and puts it into the index.
func (t *Table) enter(row uint32, n int) {
	i := 0
	t.eachKey(row, func(slot int, hash uint64, ok bool) {
		if i == n && !ok {
			t.byKey.put(slot, hash, row)
		}
		i++
	})
}

// settle keeps one of two records of the same device: the newer. If neither is
// newer and they differ, nobody can say which is true: both stay, so that a
// rebuilt table comes to the same result, and their ids are ambiguous.
func (t *Table) settle(twin, row uint32) {
	a, b := t.Verdict(int(twin)), t.Verdict(int(row))
	order := b.LastCheckIn.Compare(a.LastCheckIn)
	if order == 0 {
		order = b.EvaluatedAt.Compare(a.EvaluatedAt)
	}
	if order == 0 && (t.facts[twin] != t.facts[row] || a.Unreadable != b.Unreadable) {
		t.eachKey(row, func(slot int, _ uint64, _ bool) { t.byKey.markAmbiguous(slot) })
		return
	}
	if order <= 0 {
		t.offs[row] = dead
		return
	}
	t.eachKey(twin, func(slot int, hash uint64, _ bool) {
		if slotRow(t.byKey.slots[slot]) == twin {
			t.byKey.put(slot, hash, row)
		}
	})
	t.offs[twin] = dead
}

// hasPacked reports whether a row has an id that is given in packed form.
func (t *Table) hasPacked(row uint32, kind uint8, value []byte, guid bool) bool {
	c := cursor{b: t.blob(t.offs[row])}
	for range c.byte() {
		k, v, g := c.key()
		if k == kind && g == guid && string(v) == string(value) {
			return true
		}
	}
	return false
}

// sameKeys reports whether two rows have all ids in common.
func (t *Table) sameKeys(a, b uint32) bool {
	return t.containsKeys(a, b) && t.containsKeys(b, a)
}

func (t *Table) containsKeys(row, of uint32) bool {
	c := cursor{b: t.blob(t.offs[of])}
	for range c.byte() {
		if kind, value, guid := c.key(); !t.hasPacked(row, kind, value, guid) {
			return false
		}
	}
	return true
}
