package source

import (
	"slices"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// A device may have several records at a service. When the one with a stop ends, an
// older one of the same device that is left is no newer word about it: a tombstone ends
// only with a record that was heard of as late as the one that is gone. Until then its
// stops count for the older one as well.

// observed is when the source heard of a device last; zero if it does not say.
func observed(d *decision.Device) time.Time { return later(d.LastCheckIn, d.EvaluatedAt) }

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// outlasts reports whether a record that shares an id with a tombstone is older than
// what is gone. Tables keep times to the second. A tombstone without a time, as of a
// source that does not say when, outlasts no record.
func (s *tombstone) outlasts(d *decision.Device) bool {
	last := observed(&s.verdict.Device)
	return !last.IsZero() && observed(d).Unix() < last.Unix()
}

// heardOf returns the times of a listed device, or those of a look-up if it saw newer
// ones.
func (r *Runner) heardOf(v *decision.Verdict) (checkedIn, evaluated time.Time) {
	d := &v.Device
	if e, ok := r.cached(v.Keys[0]); ok && observed(&e.verdict.Device).After(observed(d)) {
		d = &e.verdict.Device
	}
	return d.LastCheckIn, d.EvaluatedAt
}

// haunt returns those of the tombstones that no row of t ends, and has their stops count
// for the rows that share an id with them. Only the one who made the table may do that,
// and only until anybody else sees it.
func (t *Table) haunt(all []tombstone) []tombstone {
	if len(all) == 0 {
		return nil
	}
	rows := t.sharing(all)
	out := all[:0]
	for i := range all {
		s := all[i]
		heirs := make([]decision.Device, 0, len(rows[i]))
		for _, row := range rows[i] {
			heirs = append(heirs, t.Verdict(int(row)).Device)
		}
		if slices.ContainsFunc(heirs, func(d decision.Device) bool { return !s.outlasts(&d) }) {
			continue
		}
		for n := range heirs {
			t.halt(int(rows[i][n]), &heirs[n], &s)
		}
		out = append(out, s)
	}
	return out
}

// halt puts the stops of a tombstone into a row. They count as kept, for the record
// itself does not say so.
func (t *Table) halt(row int, d *decision.Device, s *tombstone) {
	halted(d, &s.verdict.Device)
	word := pack(d)
	kept := differ(t.facts[row], word)
	if kept == 0 {
		return
	}
	said := t.own(uint32(row))
	t.set(row, word, t.keptFields(row)|kept)
	t.note(row, said)
}

// halted is stop for what a record that is gone said: of two lifecycles that both stop
// the present record's own stays.
func halted(d, gone *decision.Device) {
	own := d.Lifecycle
	stop(d, gone)
	switch own {
	case decision.LifecycleRetiring, decision.LifecycleWiping, decision.LifecycleRevoked:
		d.Lifecycle = own
	case decision.LifecycleUnknown, decision.LifecycleActive, decision.LifecyclePending, decision.LifecycleUnhealthy, decision.LifecycleDiscovered:
	}
}

// note keeps what the source says in a row beside what stops it.
func (t *Table) note(row int, said uint64) {
	t.sum -= t.term(row)
	t.say(uint32(row), said)
	t.sum += t.term(row)
}

// say is note in a table that has no sum yet.
func (t *Table) say(row uint32, said uint64) {
	if t.said == nil {
		t.said = map[uint32]uint64{}
	}
	t.said[row] = said
}

// unsay undoes note.
func (t *Table) unsay(row uint32) {
	t.sum -= t.term(int(row))
	delete(t.said, row)
	t.sum += t.term(int(row))
}

// packedID is an id as rows have it.
type packedID struct {
	kind  uint8
	guid  bool
	value string
}

// sharing returns, for each tombstone, the rows that share an id with it. A serial
// number that several rows have leads to none of them.
func (t *Table) sharing(all []tombstone) [][]uint32 {
	rows := make([][]uint32, len(all))
	several := map[packedID][]int{} // ids on more than one row, and whose they are
	for i := range all {
		for _, k := range all[i].verdict.Keys {
			row, ok, ambiguous := t.find(k)
			switch {
			case !ok, ambiguous && k.Kind == decision.KindSerial:
			case !ambiguous:
				rows[i] = append(rows[i], row)
			default:
				id := t.packed(k)
				several[id] = append(several[id], i)
			}
		}
	}
	if len(several) == 0 {
		return rows
	}
	t.scan(several, func(row uint32, of []int) {
		for _, i := range of {
			rows[i] = append(rows[i], row)
		}
	})
	return rows
}

// having returns the rows that have one of these ids, also where several have it.
func (t *Table) having(ids []decision.Key) (rows []uint32) {
	several := map[packedID][]int{}
	for _, k := range ids {
		switch row, ok, ambiguous := t.find(k); {
		case !ok:
		case ambiguous:
			several[t.packed(k)] = nil
		default:
			rows = append(rows, row)
		}
	}
	if len(several) > 0 {
		t.scan(several, func(row uint32, _ []int) { rows = append(rows, row) })
	}
	slices.Sort(rows)
	return slices.Compact(rows)
}

// scan calls f for every row with one of some ids, with what is said of that id.
func (t *Table) scan(ids map[packedID][]int, f func(row uint32, of []int)) {
	for row, off := range t.offs {
		if off == dead {
			continue
		}
		c := cursor{b: t.blob(off)}
		for range c.byte() {
			kind, value, guid := c.key()
			if of, ok := ids[packedID{kind, guid, string(value)}]; ok {
				f(uint32(row), of)
			}
		}
	}
}

// packed returns an id of a kind that the table has.
func (t *Table) packed(k decision.Key) packedID {
	kind, _ := t.kind(k.Kind)
	var g [16]byte
	if parseGUID(k.Value, &g) {
		return packedID{kind, true, string(g[:])}
	}
	return packedID{kind, false, k.Value}
}

// haunted has the tombstones that share an id with the answer of a look-up, and outlast
// it, stop the device. It reports whether that changed anything.
func (t *Table) haunted(v *decision.Verdict, now time.Time) bool {
	if t.gone == nil {
		return false
	}
	before := pack(&v.Device)
	for _, k := range v.Keys {
		if s, ok := t.tombstone(k, now); ok && s.outlasts(&v.Device) {
			halted(&v.Device, &s.verdict.Device)
		}
	}
	return pack(&v.Device) != before
}

// raise returns a table without the tombstones that end with one of the records, which
// the source was found to have; the same table if there are none.
func (t *Table) raise(records []*decision.Verdict) *Table {
	if t.gone == nil {
		return t
	}
	found := slices.DeleteFunc(slices.Clone(records), func(v *decision.Verdict) bool {
		return !slices.ContainsFunc(v.Keys, func(k decision.Key) bool {
			_, ok, _ := t.gone.find(k)
			return ok
		})
	})
	if len(found) == 0 {
		return t
	}
	all := t.tombstones(time.Now())
	left := slices.DeleteFunc(slices.Clone(all), func(s tombstone) bool {
		return slices.ContainsFunc(found, func(v *decision.Verdict) bool {
			return shareKey(s.verdict.Keys, v.Keys) && !s.outlasts(&v.Device)
		})
	})
	if len(left) == len(all) {
		return t
	}
	c := *t
	c.gone = bury(left)
	return &c
}
