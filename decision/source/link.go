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
		if twin, ok := t.twin(uint32(row)); ok {
			t.settle(twin, uint32(row))
		} else {
			t.enter(uint32(row))
		}
	}
	var words uint64
	for row, off := range t.offs {
		if off == dead {
			continue
		}
		t.devices++
		words |= t.facts[row]
		t.sum += maphash.Bytes(seed, t.blob(off)) ^ t.facts[row]*0x9e3779b97f4a7c15
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

// enter puts the ids of a row into the index. An id that another device has
// becomes ambiguous.
func (t *Table) enter(row uint32) {
	t.eachKey(row, func(slot int, hash uint64, ok bool) {
		switch {
		case !ok:
			t.byKey.put(slot, hash, row)
		case slotRow(t.byKey.slots[slot]) != row:
			t.byKey.markAmbiguous(slot)
		}
	})
}

// twin finds an earlier record with exactly the same ids.
func (t *Table) twin(row uint32) (twin uint32, ok bool) {
	t.eachKey(row, func(slot int, _ uint64, found bool) {
		if other := slotRow(t.byKey.slots[slot]); !ok && found && t.sameKeys(other, row) {
			twin, ok = other, true
		}
	})
	return twin, ok
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
	if order == 0 && t.facts[twin] != t.facts[row] {
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
