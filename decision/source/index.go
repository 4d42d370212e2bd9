package source

import "hash/maphash"

// seed is per process: ids come from outside, so collisions cannot be prepared.
var seed = maphash.MakeSeed()

// index is an open-addressing hash table from ids to rows. A slot holds 32 bits
// of the hash, the mark of an ambiguous id, and the row plus one; 0 is empty.
// The owner compares the full id, so a collision never finds a wrong row. It
// holds no pointers: the garbage collector does not look inside.
type index struct {
	slots []uint64
}

const (
	ambiguousBit = 1 << 31
	maxRows      = 1<<31 - 2
)

// newIndex makes an index for n ids, at most three quarters full.
func newIndex(n int) index {
	size := 8
	for size*3/4 < n {
		size *= 2
	}
	return index{slots: make([]uint64, size)}
}

// find returns the slot of the id with this hash for which is answers true, or
// the empty slot where it belongs.
func (x index) find(hash uint64, is func(row uint32) bool) (slot int, ok bool) {
	tag, mask := hash>>32, uint64(len(x.slots)-1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := x.slots[i]
		if s == 0 {
			return int(i), false
		}
		if s>>32 == tag && is(slotRow(s)) {
			return int(i), true
		}
	}
}

func (x index) put(slot int, hash uint64, row uint32) {
	x.slots[slot] = hash>>32<<32 | x.slots[slot]&ambiguousBit | uint64(row+1)
}

func (x index) markAmbiguous(slot int) { x.slots[slot] |= ambiguousBit }

func slotRow(s uint64) uint32     { return uint32(s)&^ambiguousBit - 1 }
func slotAmbiguous(s uint64) bool { return s&ambiguousBit != 0 }

// hashKey mixes the kind into the hash of the value.
func hashKey(kind uint8, value uint64) uint64 {
	return (value ^ uint64(kind)*0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd
}
