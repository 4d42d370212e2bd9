package source

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// SnapshotStore keeps the last accepted table of one source across restarts. It
// authenticates what it stores: a file that somebody else wrote is an error of
// Load. Both calls may block on a disk.
type SnapshotStore interface {
	// Load returns what Save stored last, or an error if there is nothing.
	Load() ([]byte, error)
	Save(body []byte) error
}

// The format of a snapshot. A release reads its own version and the one before:
// a change of the packed row that only adds fields at the end keeps the version,
// because rows carry their length; any other change raises snapshotVersion, and
// snapshotOldest follows one behind.
const (
	snapshotMagic   = "GHST"
	snapshotVersion = 1
	snapshotOldest  = 1
	snapshotFuture  = 5 * time.Minute // a confirmation this far ahead is a clock's error
)

// Errors of a snapshot that cannot be used. It is discarded; the source is read
// anew.
var (
	ErrSnapshotVersion = errors.New("snapshot has an unknown version")
	ErrSnapshotCorrupt = errors.New("snapshot is corrupt")
)

// savedTable is what a snapshot holds.
type savedTable struct {
	table     *Table
	confirmed time.Time
	supplies  decision.FactSet
}

// encodeSnapshot writes a table row by row. Ages are stored as wall-clock times.
func encodeSnapshot(s savedTable, heldAt time.Time) []byte {
	t := s.table
	size := 256
	for _, c := range t.chunks {
		size += len(c)
	}
	b := make([]byte, 0, size+10*len(t.offs))
	b = append(b, snapshotMagic...)
	b = binary.LittleEndian.AppendUint16(b, snapshotVersion)
	b = binary.LittleEndian.AppendUint64(b, uint64(s.confirmed.UnixNano()))
	b = binary.LittleEndian.AppendUint64(b, uint64(heldAt.UnixNano()))
	b = binary.LittleEndian.AppendUint64(b, uint64(s.supplies))
	for _, words := range [][]string{t.kinds, t.interned} {
		b = binary.AppendUvarint(b, uint64(len(words)))
		for _, w := range words {
			b = appendString(b, w)
		}
	}
	b = binary.AppendUvarint(b, uint64(t.devices))
	for row, off := range t.offs {
		if off == dead {
			continue
		}
		b = binary.LittleEndian.AppendUint64(b, t.facts[row])
		held := byte(0)
		if t.Held(row) {
			held = 1
		}
		blob := t.blob(off)
		b = append(binary.AppendUvarint(append(b, held), uint64(len(blob))), blob...)
	}
	b = binary.AppendUvarint(b, uint64(t.users))
	for _, off := range t.userOffs[:t.userRows] {
		if off != dead {
			blob := t.blob(off)
			b = append(binary.AppendUvarint(b, uint64(len(blob))), blob...)
		}
	}
	return b
}

// decodeSnapshot reads a snapshot of at most capacity devices. Every row passes
// the same checks as one from the source.
func decodeSnapshot(body []byte, capacity int) (savedTable, error) {
	c := cursor{b: body}
	if string(c.take(4)) != snapshotMagic {
		return savedTable{}, fmt.Errorf("%w: not a snapshot of a source", ErrSnapshotCorrupt)
	}
	if v := c.take(2); v != nil {
		if n := binary.LittleEndian.Uint16(v); n < snapshotOldest || n > snapshotVersion {
			return savedTable{}, fmt.Errorf("%w: %d", ErrSnapshotVersion, n)
		}
	}
	s := savedTable{confirmed: time.Unix(0, int64(c.uint64()))}
	heldAt := time.Unix(0, int64(c.uint64()))
	s.supplies = decision.FactSet(c.uint64()) & decision.AllFacts
	kinds, interned := c.words(maxKinds), c.words(maxInterned)
	b := NewBuilder(capacity)
	for n := c.uvarint(); n > 0 && !c.short; n-- {
		var v decision.Verdict
		unpack(c.uint64(), &v.Device)
		held := c.byte() == 1
		row := cursor{b: c.bytes()}
		row.device(&v.Device, kinds, interned)
		if c.short {
			break
		}
		if err := b.add(&v, held); err != nil {
			return savedTable{}, fmt.Errorf("%w: %w", ErrSnapshotCorrupt, err)
		}
	}
	for n := c.uvarint(); n > 0 && !c.short; n-- {
		row := cursor{b: c.bytes()}
		u := row.user()
		if c.short {
			break
		}
		if err := b.AddUser(&u); err != nil {
			return savedTable{}, fmt.Errorf("%w: %w", ErrSnapshotCorrupt, err)
		}
	}
	if c.short || len(c.b) != 0 {
		return savedTable{}, fmt.Errorf("%w: it ends early or late", ErrSnapshotCorrupt)
	}
	t, err := b.Build()
	if err != nil {
		return savedTable{}, fmt.Errorf("snapshot: %w", err)
	}
	if time.Until(s.confirmed) > snapshotFuture {
		return savedTable{}, fmt.Errorf("%w: it is dated in the future", ErrSnapshotCorrupt)
	}
	s.table = t
	if t.held != nil {
		t.heldAt = confirmedBefore(0, decision.Mono(heldAt))
	}
	return s, nil
}

// words reads a list of at most limit strings.
func (c *cursor) words(limit int) []string {
	n := c.uvarint()
	if n > uint64(limit) {
		c.b, c.short = nil, true
		return nil
	}
	var out []string
	for ; n > 0 && !c.short; n-- {
		out = append(out, c.string())
	}
	return out
}
