package source

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-project/gatehouse/decision"
)

// DefaultCapacity bounds a table whose owner names no bound.
const DefaultCapacity = 1_000_000

const maxInterned = 1 << 16 // strings that rows share; more are stored in place

var errArena = fmt.Errorf("packed devices and users exceed %d MiB", maxChunks*chunkSize>>20)

// Builder makes a [Table]. It is not safe for concurrent use and is spent after
// Build.
type Builder struct {
	t        Table
	capacity int
	seen     int // devices offered, also beyond the capacity
	seenUser int
	full     bool // the arena has no room left
	intern   map[string]uint32
	buf      []byte
}

// NewBuilder returns a Builder for at most capacity devices and as many users;
// 0 or less means [DefaultCapacity].
func NewBuilder(capacity int) *Builder {
	if capacity <= 0 {
		capacity = DefaultCapacity
	}
	return &Builder{capacity: min(capacity, maxRows), intern: map[string]uint32{}}
}

// Add adds one device. The error says why the record cannot be used; the
// builder stays usable. A device beyond the capacity is counted, and Build fails.
func (b *Builder) Add(v *decision.Verdict) error { return b.add(v, mark{}) }

// mark is what a table knows about a row beyond what the source said in it.
type mark struct {
	held        bool
	kept        uint32
	said        uint64 // see [Table]; 0: what is kept hides nothing
	gone, until time.Time
}

func (b *Builder) add(v *decision.Verdict, m mark) error {
	if err := checkDevice(&v.Device); err != nil {
		return err
	}
	if b.seen++; b.seen > b.capacity {
		return nil
	}
	if err := b.pack(&v.Device, m); err != nil {
		b.seen--
		return err
	}
	off, ok := b.store(b.buf)
	if !ok {
		return nil
	}
	row := len(b.t.offs)
	b.t.facts = append(b.t.facts, pack(&v.Device))
	b.t.offs = append(b.t.offs, off)
	if m.kept != 0 {
		b.t.kept = append(append(b.t.kept, make([]uint32, row-len(b.t.kept))...), m.kept)
	}
	if m.kept != 0 && m.said != 0 {
		b.t.say(uint32(row), m.said)
	}
	if m.held {
		b.t.held = setBit(b.t.held, row)
	}
	if v.Unreadable&barring != 0 {
		b.t.odd = setBit(b.t.odd, row)
	}
	return nil
}

// setBit sets the bit of a row in a set that is as long as it must be.
func setBit(set []uint64, row int) []uint64 {
	for len(set) <= row/64 {
		set = append(set, 0)
	}
	set[row/64] |= 1 << (row % 64)
	return set
}

// AddUser adds one user, who needs an object id or a name. Records of one
// object id are joined: what is known counts, and of two findings the worse.
func (b *Builder) AddUser(u *decision.UserRecord) error {
	if u.ObjectID == "" && u.UPN == "" {
		return errors.New("user has neither object id nor name")
	}
	if len(u.ObjectID) > maxString || len(u.UPN) > maxString {
		return fmt.Errorf("user id is longer than %d bytes", maxString)
	}
	if b.seenUser++; b.seenUser <= b.capacity {
		b.storeUser(u)
	}
	return nil
}

func (b *Builder) storeUser(u *decision.UserRecord) {
	c := *u
	c.ObjectID = strings.ToLower(c.ObjectID)
	b.buf = appendUser(b.buf[:0], &c)
	if off, ok := b.store(b.buf); ok {
		b.t.userOffs = append(b.t.userOffs, off)
	}
}

// pack writes the packed form of d into buf. Which facts are kept is beside it: that
// changes without the rest.
func (b *Builder) pack(d *decision.Device, m mark) error {
	out := append(b.buf[:0], byte(len(d.Keys)))
	for _, k := range d.Keys {
		kind, ok := b.t.kind(k.Kind)
		if !ok {
			if len(b.t.kinds) == maxKinds {
				return fmt.Errorf("more than %d kinds of device id", maxKinds)
			}
			kind = uint8(len(b.t.kinds))
			b.t.kinds = append(b.t.kinds, strings.Clone(k.Kind))
		}
		var g [16]byte
		if parseGUID(k.Value, &g) {
			out = append(append(out, kind|guidFlag), g[:]...)
		} else {
			out = appendString(append(out, kind), k.Value)
		}
	}
	out = appendString(out, cut(d.Name))
	out = b.appendWord(out, d.Model)
	for _, n := range d.OSVersion {
		out = binary.AppendUvarint(out, uint64(n))
	}
	out = appendString(appendID(out, d.OwnerID), d.OwnerUPN)
	out = appendTime(appendTime(appendTime(out, d.GraceUntil), d.LastCheckIn), d.EvaluatedAt)
	settings := d.Settings[:min(len(d.Settings), decision.MaxSettings)]
	out = append(out, byte(len(settings)))
	for _, s := range settings {
		out = b.appendWord(b.appendWord(b.appendWord(out, s.Name), s.Policy), s.State)
	}
	b.buf = tail{unreadable: d.Unreadable, gone: m.gone, until: m.until}.appendTo(out)
	return nil
}

// newPacker returns a Builder that is used to pack rows with the words of a table, and
// more words where it needs them.
func newPacker(t *Table) *Builder {
	b := NewBuilder(0)
	if t.gone == nil {
		b.t.kinds, b.t.interned = t.kinds, t.interned
		return b
	}
	b.t.kinds, b.t.interned = slices.Clone(t.kinds), slices.Clone(t.interned)
	for i, w := range b.t.interned {
		b.intern[w] = uint32(i + 1)
	}
	return b
}

// appendWord writes a string that many rows share.
func (b *Builder) appendWord(out []byte, s string) []byte {
	s = cut(s)
	i, ok := b.intern[s]
	if !ok && s != "" && len(b.t.interned) < maxInterned {
		s = strings.Clone(s) // the caller's string may be part of a large buffer
		b.t.interned = append(b.t.interned, s)
		i, ok = uint32(len(b.t.interned)), true
		b.intern[s] = i
	}
	if ok {
		return binary.AppendUvarint(out, uint64(i))
	}
	return appendString(append(out, 0), s)
}

// store copies a packed form into the arena.
func (b *Builder) store(blob []byte) (off uint32, ok bool) {
	off, ok = b.t.store(blob)
	b.full = b.full || !ok
	return off, ok
}

// Build returns the table. It fails if more was added than fits.
func (b *Builder) Build() (*Table, error) {
	switch {
	case b.seen > b.capacity:
		return nil, fmt.Errorf("%d devices exceed the capacity of %d", b.seen, b.capacity)
	case b.seenUser > b.capacity:
		return nil, fmt.Errorf("%d users exceed the capacity of %d", b.seenUser, b.capacity)
	case b.full:
		return nil, errArena
	}
	b.intern = nil
	t := b.t
	b.t = Table{}
	if t.kept != nil {
		t.kept = append(t.kept, make([]uint32, len(t.offs)-len(t.kept))...)
	}
	for _, set := range []*[]uint64{&t.held, &t.odd} { // before link, which looks at rows
		if *set != nil {
			*set = append(*set, make([]uint64, (len(t.offs)+63)/64-len(*set))...)
		}
	}
	if !t.link() {
		return nil, errArena
	}
	t.facts, t.offs, t.userOffs = fit(t.facts), fit(t.offs), fit(t.userOffs)
	if n := len(t.chunks); n > 0 {
		t.chunks[n-1] = fit(t.chunks[n-1])
	}
	return &t, nil
}

// cut shortens what is only shown to people, at the start of a character.
func cut(s string) string {
	if len(s) <= maxString {
		return s
	}
	n := maxString
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

// fit drops the spare capacity of a slice that will not grow any more.
func fit[T any](s []T) []T {
	if cap(s)-len(s) <= len(s)/8 {
		return s
	}
	return append(make([]T, 0, len(s)), s...)
}
