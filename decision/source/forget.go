package source

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Errors of [Directory.Forget] that change nothing at the source that they name.
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

// own returns the facts of a row as the source says them, where that is known, and
// nothing for what is kept.
func (t *Table) own(row uint32) uint64 {
	if word, ok := t.said[row]; ok {
		return word
	}
	return cleared(t.facts[row], t.keptFields(int(row)))
}

// stops reports whether a tombstone stops the device of a row of t with these facts.
func (s *tombstone) stops(t *Table, d *decision.Device) bool {
	return s.outlasts(d) && slices.ContainsFunc(s.verdict.Keys, func(k decision.Key) bool {
		if !hasKey(d.Keys, k) {
			return false
		}
		_, ok, ambiguous := t.find(k)
		return ok && (!ambiguous || k.Kind != decision.KindSerial)
	})
}

// without returns a table that keeps nothing about some rows but what the tombstones
// near them say.
func (t *Table) without(rows []uint32, near []tombstone) *Table {
	c := t.copyFacts()
	for _, row := range rows {
		kept := t.keptFields(int(row))
		if kept == 0 {
			continue
		}
		own := t.own(row)
		kept &^= differ(t.facts[row], own) // the rest the source said itself
		c.set(int(row), own, kept)
		if kept == 0 {
			c.unsay(row)
		}
		d := c.Verdict(int(row)).Device
		for i := range near {
			if near[i].stops(t, &d) {
				c.halt(int(row), &d, &near[i])
			}
		}
	}
	return c
}

// without returns what a look-up found as the source said it, and what t says beside
// that without the remains of the device; the same if nothing else is kept. t is nil
// without a listing.
func (e *looked) without(t *Table, m *remains, can keeping) *looked {
	if e.said == nil {
		return e
	}
	next := &looked{verdict: *e.said}
	if t != nil {
		if row, ok, ambiguous := t.find(e.verdict.Keys[0]); ok && !ambiguous {
			listed := t.Verdict(int(row))
			unpack(m.bare(t, row), &listed.Device)
			next.kept = keepFacts(&next.verdict.Device, &listed.Device, can)
		}
		m.haunted(&next.verdict)
	}
	if pack(&next.verdict.Device) == pack(&e.verdict.Device) {
		return e
	}
	if pack(&next.verdict.Device) != pack(&e.said.Device) {
		next.said = e.said
	}
	return next
}

// strip says what is kept about the device, and what look-ups found without that: of
// each entry the same if it keeps nothing. rows says whether a row changes.
func (r *Runner) strip(t *Table, m *remains) (entries []*looked, rows bool, k Kept) {
	k.Source = r.o.Name
	var bits uint32
	for _, row := range m.rows {
		if word := m.bare(t, row); word != t.facts[row] {
			rows = true
			bits |= t.keptFields(int(row)) & differ(t.facts[row], word)
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
		next := e.without(t, m, r.can)
		entries = append(entries, next)
		bits |= worse(pack(&e.verdict.Device), pack(&next.verdict.Device))
	}
	k.Facts = factsOf(bits)
	return entries, rows, k
}

// worse returns the fields where a word is bad and another is not the same.
func worse(word, other uint64) (bits uint32) {
	return badOf(word, differ(word, other))
}

// kept looks on. No look-up waits for it, and it reads no more than what leads from one
// id of the device to the next.
func (r *Runner) kept(keys []decision.Key) (Kept, error) {
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

// tellForget tells the source, which may keep the same. It may wait for a lock of the
// source, so the caller holds none that requests need.
func (r *Runner) tellForget(t *Table, m *remains) {
	f, ok := r.src.(Forgetter)
	if !ok {
		return
	}
	_ = r.protect(func() error {
		for _, row := range m.rows {
			f.Forget(t.ownKey(int(row)))
		}
		for _, e := range m.entries {
			f.Forget(e.verdict.Keys[0])
		}
		return nil
	})
}

// left are the tombstones of a table but some.
type left struct {
	of     *Table // all; nil: none
	buried []uint32
	rest   *Table
}

// leave returns the tombstones of a table that still count, but those at these of its rows.
func (t *Table) leave(buried []uint32, now time.Time) left {
	l := left{buried: buried}
	if t == nil || t.gone == nil {
		return l
	}
	l.of, l.rest = t.gone, t.gone
	if len(buried) == 0 {
		return l
	}
	var all []tombstone
	for row, off := range t.gone.offs {
		if off == dead || slices.Contains(buried, uint32(row)) {
			continue
		}
		if v, l := t.gone.restore(row); l.until.After(now) {
			all = append(all, tombstone{v, l.gone, l.until})
		}
	}
	l.rest = bury(all)
	return l
}

func (r *Runner) drop(keys []decision.Key) (Kept, error) {
	r.placing.Lock()
	defer r.placing.Unlock()
	v := r.view.Load()
	m, err := r.remains(v, keys)
	if err != nil {
		return Kept{Source: r.o.Name}, err
	}
	stay := v.tableOrNil().leave(m.buried, time.Now()) // before blend, as look-ups wait for that
	r.tellForget(v.tableOrNil(), m)
	r.blend.Lock()
	defer r.blend.Unlock()
	v = r.view.Load() // which a look-up may have changed meanwhile
	t := v.tableOrNil()
	if m, err = r.remains(v, keys); err != nil {
		return Kept{Source: r.o.Name}, err
	}
	if t != nil && (t.gone != stay.of || !slices.Equal(m.buried, stay.buried)) {
		stay = t.leave(m.buried, time.Now())
	}
	entries, rows, k := r.strip(t, m)
	changed := t != nil && (rows || stay.rest != stay.of)
	if changed {
		next := t.without(m.rows, m.near)
		next.gone = stay.rest
		r.view.Store(&view{table: next, since: v.since})
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
	r.journal.dirty = r.journal.dirty || changed
	if p := r.journal.pending; p != nil { // or the next sweep would take it from there
		if of := p.table.rowsOf(m.ids, m.gone); t != nil && len(of) > 0 {
			p.table = p.table.without(of, t.nearby(m.buried, p.table, of, nil, time.Now()))
		}
	}
	return k, nil
}
