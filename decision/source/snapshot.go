package source

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
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
// snapshotOldest follows one behind. Version 2 has a note behind the users.
const (
	snapshotMagic   = "GHST"
	snapshotVersion = 2
	snapshotOldest  = 1
	snapshotNoted   = 2               // the first version with a note
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
	note      []byte // of a [Noter], at most MaxNote bytes; empty: none
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
	// Tombstones follow the devices, as rows that say when they end. An older release
	// takes them for devices, until its first sweep. They share the words of the table.
	p := newPacker(t)
	var ended [][]byte
	var facts []uint64
	if t.gone != nil {
		for row, v := range t.gone.All() {
			l := t.gone.tail(row)
			if err := p.pack(&v.Device, mark{gone: l.gone, until: l.until}); err == nil {
				ended = append(ended, slices.Clone(p.buf))
				facts = append(facts, t.gone.facts[row])
			}
		}
	}
	for _, words := range [][]string{p.t.kinds, p.t.interned} {
		b = binary.AppendUvarint(b, uint64(len(words)))
		for _, w := range words {
			b = appendString(b, w)
		}
	}
	b = binary.AppendUvarint(b, uint64(t.devices+len(ended)))
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
		if kept := t.keptFields(row); kept != 0 {
			blob = t.withKept(blob, kept, t.said[uint32(row)])
		}
		b = append(binary.AppendUvarint(append(b, held), uint64(len(blob))), blob...)
	}
	for i, blob := range ended {
		b = append(binary.LittleEndian.AppendUint64(b, facts[i]), 0)
		b = append(binary.AppendUvarint(b, uint64(len(blob))), blob...)
	}
	b = binary.AppendUvarint(b, uint64(t.users))
	for _, off := range t.userOffs[:t.userRows] {
		if off != dead {
			blob := t.blob(off)
			b = append(binary.AppendUvarint(b, uint64(len(blob))), blob...)
		}
	}
	return append(binary.AppendUvarint(b, uint64(len(s.note))), s.note...)
}

// withKept returns a packed row with the fields that are kept, and what they hide, in
// its tail.
func (t *Table) withKept(blob []byte, kept uint32, said uint64) []byte {
	c := cursor{b: blob}
	var d decision.Device
	c.device(&d, t.kinds, t.interned)
	row := slices.Clone(blob[:len(blob)-len(c.b)])
	l := c.tail()
	l.kept, l.said = kept, said
	return l.appendTo(row)
}

// decodeSnapshot reads a snapshot of at most capacity devices. Every row passes
// the same checks as one from the source.
func decodeSnapshot(body []byte, capacity int) (savedTable, error) {
	c := cursor{b: body}
	if string(c.take(4)) != snapshotMagic {
		return savedTable{}, fmt.Errorf("%w: not a snapshot of a source", ErrSnapshotCorrupt)
	}
	var version uint16
	if v := c.take(2); v != nil {
		if version = binary.LittleEndian.Uint16(v); version < snapshotOldest || version > snapshotVersion {
			return savedTable{}, fmt.Errorf("%w: %d", ErrSnapshotVersion, version)
		}
	}
	s := savedTable{confirmed: time.Unix(0, int64(c.uint64()))}
	heldAt := time.Unix(0, int64(c.uint64()))
	s.supplies = decision.FactSet(c.uint64()) & decision.AllFacts
	kinds, interned := c.words(maxKinds), c.words(maxInterned)
	longest := time.Now().Add(longestKeep)
	b, ended := NewBuilder(capacity), NewBuilder(tombstoneLimit(capacity))
	for n := c.uvarint(); n > 0 && !c.short; n-- {
		var v decision.Verdict
		unpack(c.uint64(), &v.Device)
		held := c.byte() == 1
		row := cursor{b: c.bytes()}
		row.device(&v.Device, kinds, interned)
		if c.short {
			break
		}
		l := row.tail()
		v.Unreadable = l.unreadable
		to, m := b, mark{held: held, kept: keptOf(&v.Device, l.kept), said: l.said}
		if !l.until.IsZero() {
			to, m = ended, mark{gone: l.gone, until: earlier(l.until, longest)}
		}
		if err := to.add(&v, m); err != nil {
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
	if version >= snapshotNoted {
		s.note = c.bytes()
	}
	if c.short || len(c.b) != 0 || len(s.note) > MaxNote {
		return savedTable{}, fmt.Errorf("%w: it ends early or late", ErrSnapshotCorrupt)
	}
	t, err := b.Build()
	if err != nil {
		return savedTable{}, fmt.Errorf("snapshot: %w", err)
	}
	gone, err := ended.Build()
	if err != nil {
		return savedTable{}, fmt.Errorf("snapshot: %w", err)
	}
	if gone.devices > 0 {
		gone.setEnds()
		t.gone = gone
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

// keptOf returns those of the fields that can be kept: where something bad is known.
func keptOf(d *decision.Device, bits uint32) uint32 {
	return badOf(pack(d), bits) & sticky
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
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
