package source

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"

	"github.com/gatehouse-project/gatehouse/decision"
)

// digest names a set of changes, whatever their order. Every part is written
// with its length, so that no two sets are written alike.
type digest struct {
	sum [2]uint64
	buf []byte
}

func (d *digest) add(kind heldKind, key decision.Key, facts uint64) {
	b := append(d.buf[:0], byte(kind))
	b = appendString(appendString(b, key.Kind), key.Value)
	b = binary.LittleEndian.AppendUint64(b, facts)
	h := sha256.Sum256(b)
	d.buf = b
	for i := range d.sum {
		d.sum[i] += binary.LittleEndian.Uint64(h[8*i:])
	}
}

// String returns 16 hexadecimal digits.
func (d *digest) String() string {
	return hex.EncodeToString(binary.BigEndian.AppendUint64(nil, d.sum[0]^d.sum[1]))
}
