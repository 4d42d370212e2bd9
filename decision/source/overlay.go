package source

import (
	"slices"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// What is known of a device is the last listing and, beside it, what a single look-up
// said since. The functions here see to it that bad news of either is not lost where
// one takes the place of the other.

// eachLooked calls f for what single look-ups brought, a device at least once.
func (r *Runner) eachLooked(f func(*looked)) {
	r.looked.Range(func(k decision.Key, e *looked) bool {
		own := e.verdict.Keys[0]
		if _, ok := r.cached(own); ok && k != own {
			return true
		}
		f(e)
		return true
	})
}

// lookedSince returns what look-ups begun after a sweep found.
func (r *Runner) lookedSince(since int64) (found []*decision.Verdict) {
	r.eachLooked(func(e *looked) {
		if e.verdict.Confirmed > since {
			found = append(found, &e.verdict)
		}
	})
	return found
}

// latest returns the facts that are known now of the devices of a view, by its rows.
func (r *Runner) latest(v *view) []uint64 {
	base := v.table.facts
	cloned := false
	r.eachLooked(func(e *looked) {
		own := e.verdict.Keys[0]
		row, ok, ambiguous := v.table.find(own)
		if !ok || ambiguous || e.verdict.Confirmed <= v.since {
			return
		}
		m := v.newer(row, ok, ambiguous, own, &e.verdict)
		if m.Verdict == nil || pack(&m.Verdict.Device) == base[row] {
			return
		}
		if !cloned {
			base, cloned = slices.Clone(base), true
		}
		base[row] = pack(&m.Verdict.Device)
	})
	return base
}

// succeed makes fresh the successor of what is known, be it in place, waiting for an
// operator or from a look-up, and says how it differs from the table in place. base
// is what is known by that table's rows. v is nil before the first table. supplies is
// what the sweep of fresh reports.
func (r *Runner) succeed(v *view, fresh *Table, supplies decision.FactSet) (n news, base []uint64) {
	can := r.can.within(supplies)
	r.mu.Lock()
	waiting := r.journal.pending
	r.mu.Unlock()
	if waiting != nil {
		survey(waiting.table, fresh, waiting.table.facts, can)
		fresh.keepUsers(waiting.table, can)
	}
	if v != nil {
		if _, ok := r.src.(Tombstoner); ok { // first, so that what is stopped already is no news
			fresh.haunt(v.table.tombstones(time.Now()))
		}
		base = r.latest(v)
		n = survey(v.table, fresh, base, can)
		fresh.keepUsers(v.table, can)
	}
	r.eachLooked(func(e *looked) {
		if v != nil {
			if _, listed, _ := v.table.find(e.verdict.Keys[0]); listed || e.verdict.Confirmed <= v.since {
				return
			}
		}
		fresh.keepDevice(e.verdict.Keys, pack(&e.verdict.Device), can)
	})
	return n, base
}

// keepInLooked takes bad news of a new table, from a sweep begun at since, into the
// answers of look-ups that are newer and silent about it, and the stops of tombstones
// into those about an older record. The caller holds blend.
func (r *Runner) keepInLooked(t *Table, since int64) (changed bool) {
	now := time.Now()
	r.eachLooked(func(e *looked) {
		if e.verdict.Confirmed <= since {
			return
		}
		next := &looked{verdict: e.verdict, kept: e.kept, said: e.said}
		fresher := false
		if row, ok, ambiguous := t.find(e.verdict.Keys[0]); ok && !ambiguous {
			listed := t.Verdict(int(row))
			fresher = keepFacts(&next.verdict.Device, &listed.Device, r.can)
			next.kept = next.kept || fresher
		}
		if !t.haunted(&next.verdict, now) && !fresher {
			return
		}
		changed = true
		if next.said == nil {
			next.keepSaid(&e.verdict)
		}
		for _, k := range e.verdict.Keys {
			if known, ok := r.cached(k); ok && known == e {
				r.looked.Put(k, next, time.Time{})
			}
		}
	})
	return changed
}

// absorb returns a table with what look-ups said that are forgotten when a listing
// without changes confirms it at the time at: bad news about which the listing is
// silent, and good news that ended what was kept. It is the same table if there is
// no such thing. The caller holds blend.
func (r *Runner) absorb(t *Table, since, at int64) *Table {
	out := t
	r.eachLooked(func(e *looked) {
		row, ok, ambiguous := t.find(e.verdict.Keys[0])
		if !ok || ambiguous || e.verdict.Confirmed <= since || e.verdict.Confirmed > at {
			return
		}
		said := pack(&e.verdict.Device)
		word, kept := t.facts[row], t.keptFields(int(row))
		if !t.Held(int(row)) { // nobody lifts a guard by asking
			word, kept = renew(word, kept, said)
		}
		word, more := keep(said, word, t.keepable(int(row), r.can))
		kept |= more
		spoken := said
		if e.said != nil {
			spoken = pack(&e.said.Device)
		}
		own := heard(t.own(row), spoken, kept|t.keptFields(int(row)))
		if word == t.facts[row] && kept == t.keptFields(int(row)) && own == t.own(row) {
			return
		}
		if out == t {
			out = t.copyFacts()
		}
		out.set(int(row), word, kept)
		out.unsay(row)
		if kept != 0 && own != out.own(row) {
			out.note(int(row), own)
		}
	})
	return out
}

// heard returns the facts of a row as the source says them, with what a look-up said
// since of the fields that are kept: bad news is the source's own then, and no gateway's
// to forget. The listing is silent about good news.
func heard(own, said uint64, kept uint32) uint64 {
	for i := range fields {
		f := &fields[i]
		v := f.in(said)
		if kept&(1<<i) == 0 || v == 0 {
			continue
		}
		floor := uint8(1) // as of all that is kept
		if !f.bad(v) {
			v, floor = 0, 0
		}
		own = f.with(own, v)
		if i == riskField {
			own = fields[floorField].with(own, floor)
		}
	}
	return own
}

// renew replaces what is kept in a word by what was said since: other bad news, or
// nothing after good news, for the listing itself is silent.
func renew(word uint64, kept uint32, said uint64) (uint64, uint32) {
	for i := range fields {
		f := &fields[i]
		v := f.in(said)
		if kept&(1<<i) == 0 || v == 0 {
			continue
		}
		if f.bad(v) {
			word = f.with(word, v)
			continue
		}
		word, kept = f.with(word, 0), kept&^(1<<i)
		if i == riskField {
			word = fields[floorField].with(word, 0)
		}
	}
	return word, kept
}

// takeOver keeps in the answer of a look-up what was known of the same record, and
// reports whether there was anything to keep. The caller holds blend.
func (r *Runner) takeOver(v *decision.Verdict) (kept bool) {
	for _, k := range v.Keys {
		if m := r.find(k, looksOn); m.Verdict != nil && m.Verdict.Keys[0] == v.Keys[0] {
			return keepFacts(&v.Device, &m.Verdict.Device, r.can)
		}
	}
	return false
}

// keptNow counts the devices of which something is kept: in a listing, which may be
// nil, or in a look-up since.
func (r *Runner) keptNow(v *view) (n int) {
	if v != nil {
		n = v.table.keptRows
	}
	seen := map[decision.Key]bool{} // by own id: look-ups are found by every id
	r.eachLooked(func(e *looked) {
		own := e.verdict.Keys[0]
		if seen[own] {
			return
		}
		seen[own] = true
		listed, row := false, uint32(0)
		if v != nil {
			if e.verdict.Confirmed <= v.since {
				return
			}
			var ok, ambiguous bool
			row, ok, ambiguous = v.table.find(own)
			if listed = ok && !ambiguous && v.table.keptFields(int(row)) != 0; listed && v.table.Held(int(row)) {
				return // nobody lifts a guard by asking
			}
		}
		switch {
		case e.kept && !listed:
			n++
		case listed && !e.kept && pack(&e.verdict.Device) != v.table.facts[row]:
			n-- // it says something of its own
		}
	})
	return n
}

// raise ends the tombstones of a device that a look-up found, or has them stop it if
// what was found is an older record. The caller holds blend.
func (r *Runner) raise(found *decision.Verdict) {
	v := r.view.Load()
	if v == nil || found.Confirmed <= v.since {
		return
	}
	t := v.table.raise([]*decision.Verdict{found})
	t.haunted(found, time.Now())
	if t == v.table {
		return
	}
	r.view.Store(&view{table: t, since: v.since})
	r.mu.Lock()
	r.journal.dirty = true
	r.mu.Unlock()
}
