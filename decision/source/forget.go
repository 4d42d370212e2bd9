package source

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Errors of [Directory.Forget] that change nothing.
var (
	// ErrSeveralDevices says that an id belongs to several devices. Name one of them by
	// an id that it has alone.
	ErrSeveralDevices = errors.New("several devices have this id")
	// ErrHeldBack says that a guard holds back what the source says about the device by
	// now. See [Runner.Accept].
	ErrHeldBack = errors.New("a guard holds back a change of this device")
)

// ErrNotSaved says that something is forgotten, and comes back with a restart: the
// snapshot could not be written. The runner tries again by itself.
var ErrNotSaved = errors.New("snapshot not written")

// Kept is what a runner keeps about one device by itself, or has just forgotten. The
// zero value is nothing.
type Kept struct {
	// Source is the source's configured name.
	Source string
	// Facts are those whose bad news counts though the source does not say it any more,
	// be it of a record that it has or of one that ended.
	Facts decision.FactSet
	// GoneSince is since when the source does not have a record of the device whose last
	// word counts, and GoneUntil until when it does. Of several such records the longest
	// time. Zero if there is none.
	GoneSince, GoneUntil time.Time
}

// Any reports whether anything is kept.
func (k *Kept) Any() bool { return k.Facts != 0 || !k.GoneUntil.IsZero() }

// remains is where a runner keeps something about one device.
type remains struct {
	ids     []decision.Key // all but serial numbers that nobody asked for
	rows    []uint32       // of the table
	gone    []tombstone    // of the device
	others  []tombstone    // of other devices
	entries []*looked
}

// add takes in the ids of a record. A serial number is no link to another record: the
// next one to show it may be another device.
func (m *remains) add(keys []decision.Key) {
	for _, k := range keys {
		if k.Kind != decision.KindSerial && !hasKey(m.ids, k) {
			m.ids = append(m.ids, k)
		}
	}
}

// remains collects the records that belong to the device with these ids: what is
// listed, what look-ups found, and what is gone, as far as one of those ids leads from
// one to the next. The caller holds blend, or only looks on.
func (r *Runner) remains(v *view, keys []decision.Key) (*remains, error) {
	m := &remains{ids: slices.Clone(keys)}
	if v != nil {
		m.others = v.table.tombstones(time.Now())
	}
	for before := -1; before != len(m.ids); {
		before = len(m.ids)
		for _, k := range m.ids[:before] {
			if e, ok := r.cached(k); ok && !slices.Contains(m.entries, e) {
				m.entries = append(m.entries, e)
				m.add(e.verdict.Keys)
			}
		}
		if v != nil {
			m.grow(v.table)
		}
	}
	for _, k := range keys {
		if k.Kind == decision.KindSerial && slices.ContainsFunc(m.others, func(s tombstone) bool { return hasKey(s.verdict.Keys, k) }) {
			return nil, fmt.Errorf("source %s: %w", r.o.Name, ErrSeveralDevices)
		}
	}
	for _, row := range m.rows {
		if v.table.Held(int(row)) {
			return nil, fmt.Errorf("source %s: %w", r.o.Name, ErrHeldBack)
		}
	}
	return m, nil
}

// grow adds the rows and tombstones that an id leads to.
func (m *remains) grow(t *Table) {
	for _, row := range t.rowsOf(m.ids, m.gone) {
		if !slices.Contains(m.rows, row) {
			m.rows = append(m.rows, row)
			m.add(t.Verdict(int(row)).Keys)
		}
	}
	// A serial number finds a tombstone only where nothing is listed by it, and one alone.
	alone := func(k decision.Key) bool {
		if k.Kind != decision.KindSerial {
			return true
		}
		_, listed, _ := t.find(k)
		if t.gone == nil || listed {
			return false
		}
		_, one := t.gone.Find(k)
		return one
	}
	m.others = slices.DeleteFunc(m.others, func(s tombstone) bool {
		mine := slices.ContainsFunc(m.ids, func(k decision.Key) bool { return hasKey(s.verdict.Keys, k) && alone(k) })
		if mine {
			m.gone = append(m.gone, s)
			m.add(s.verdict.Keys)
		}
		return mine
	})
}

// rowsOf returns the rows that have one of these ids alone, and those that one of these
// tombstones stops by an id other than a serial number.
func (t *Table) rowsOf(ids []decision.Key, gone []tombstone) (rows []uint32) {
	for _, k := range ids {
		if row, ok, ambiguous := t.find(k); ok && !ambiguous {
			rows = append(rows, row)
		}
	}
	strong := slices.Clone(gone)
	for i := range strong {
		strong[i].verdict.Keys = slices.DeleteFunc(slices.Clone(strong[i].verdict.Keys), func(k decision.Key) bool { return k.Kind == decision.KindSerial })
	}
	for _, of := range t.sharing(strong) {
		rows = append(rows, of...)
	}
	return rows
}

// own returns the facts of a row as the source says them, where that is known, and
// nothing for what is kept.
func (t *Table) own(row uint32) uint64 {
	if word, ok := t.said[row]; ok {
		return word
	}
	word, kept := t.facts[row], t.keptFields(int(row))
	for i := range fields {
		if kept&(1<<i) != 0 {
			word = fields[i].with(word, 0)
		}
	}
	if kept&(1<<riskField) != 0 {
		word = fields[floorField].with(word, 0)
	}
	return word
}

// without returns a table that keeps nothing about some rows but what the tombstones
// left say, and those of them that still count.
func (t *Table) without(rows []uint32, left []tombstone) (*Table, []tombstone) {
	c := t.copyFacts()
	for _, row := range rows {
		if t.keptFields(int(row)) != 0 {
			c.set(int(row), t.own(row), 0)
			c.unsay(row)
		}
	}
	return c, c.haunt(slices.Clone(left))
}

// without returns what a look-up found as the source said it, and what t says beside
// that; the same if it keeps nothing else. t is nil without a listing.
func (e *looked) without(t *Table, can keeping) *looked {
	if e.said == nil {
		return e
	}
	next := &looked{verdict: *e.said}
	if t != nil {
		if row, ok, ambiguous := t.find(e.verdict.Keys[0]); ok && !ambiguous {
			listed := t.Verdict(int(row))
			next.kept = keepFacts(&next.verdict.Device, &listed.Device, can)
		}
		t.haunted(&next.verdict, time.Now())
	}
	if pack(&next.verdict.Device) == pack(&e.verdict.Device) {
		return e
	}
	if pack(&next.verdict.Device) != pack(&e.said.Device) {
		next.said = e.said
	}
	return next
}

// strip says what is known without what is kept about the device, and what that was.
// The table is the same if it keeps nothing of it.
func (r *Runner) strip(t *Table, m *remains) (stripped *Table, entries []*looked, k Kept) {
	k.Source = r.o.Name
	var bits uint32
	if stripped = t; t != nil && (len(m.gone) > 0 || slices.ContainsFunc(m.rows, func(row uint32) bool { return t.keptFields(int(row)) != 0 })) {
		var left []tombstone
		stripped, left = t.without(m.rows, m.others)
		if t.gone != nil && len(left) != t.gone.devices {
			stripped.gone = bury(left)
		}
		for _, row := range m.rows {
			bits |= t.keptFields(int(row)) & differ(t.facts[row], stripped.facts[row])
		}
	}
	for _, s := range m.gone {
		bits |= worse(pack(&s.verdict.Device), 0)
		if k.GoneSince.IsZero() || s.gone.Before(k.GoneSince) {
			k.GoneSince = s.gone
		}
		k.GoneUntil = later(k.GoneUntil, s.until)
	}
	for _, e := range m.entries {
		next := e.without(stripped, r.can)
		entries = append(entries, next)
		bits |= worse(pack(&e.verdict.Device), pack(&next.verdict.Device))
	}
	k.Facts = factsOf(bits)
	return stripped, entries, k
}

// worse returns the fields where a word is bad and another is not the same.
func worse(word, other uint64) (bits uint32) {
	bits = differ(word, other)
	for i := range fields {
		if !fields[i].bad(fields[i].in(word)) {
			bits &^= 1 << i
		}
	}
	return bits
}

// kept looks on.
func (r *Runner) kept(keys []decision.Key) (Kept, error) {
	r.blend.Lock()
	defer r.blend.Unlock()
	v := r.view.Load()
	m, err := r.remains(v, keys)
	if err != nil {
		return Kept{Source: r.o.Name}, err
	}
	_, _, k := r.strip(v.tableOrNil(), m)
	return k, nil
}

func (v *view) tableOrNil() *Table {
	if v == nil {
		return nil
	}
	return v.table
}

// forgetDevice takes back what is kept about the device with these ids and writes the
// snapshot before it returns. A sweep that is being taken is taken first; it does not
// wait for one that is being read: what that brings is compared with what is known then.
func (r *Runner) forgetDevice(keys []decision.Key) (Kept, error) {
	k, err := r.drop(keys)
	if err != nil || !k.Any() {
		return k, err
	}
	r.bump()
	if err := r.save(false); err != nil {
		return k, fmt.Errorf("source %s: %w: %w", r.o.Name, ErrNotSaved, err)
	}
	return k, nil
}

func (r *Runner) drop(keys []decision.Key) (Kept, error) {
	r.placing.Lock()
	defer r.placing.Unlock()
	r.blend.Lock()
	defer r.blend.Unlock()
	v := r.view.Load()
	m, err := r.remains(v, keys)
	if err != nil {
		return Kept{Source: r.o.Name}, err
	}
	t, entries, k := r.strip(v.tableOrNil(), m)
	if v != nil && t != v.table {
		r.view.Store(&view{table: t, since: v.since})
	}
	for i, e := range m.entries {
		for _, id := range e.verdict.Keys {
			if known, ok := r.cached(id); ok && known == e && entries[i] != e {
				r.looked.Put(id, entries[i], time.Time{})
			}
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.journal.dirty = r.journal.dirty || v != nil && t != v.table
	if p := r.journal.pending; p != nil { // or the next sweep would take it from there
		p.table, _ = p.table.without(p.table.rowsOf(m.ids, m.gone), m.others)
	}
	return k, nil
}
