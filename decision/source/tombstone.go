package source

import (
	"slices"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Bounds of what is kept of devices that a source does not list any more.
const (
	leastTombstones = 10_000
	tombstoneShare  = 4                    // one for so many devices, if that is more
	longestKeep     = 366 * 24 * time.Hour // of one tombstone
)

// tombstoneLimit is how many are kept beside so many devices. It has room for a
// clean-up of stale devices: that must not push out the stop of a stolen one.
func tombstoneLimit(devices int) int { return max(leastTombstones, devices/tombstoneShare) }

// tombstone is what is left of one device.
type tombstone struct {
	verdict     decision.Verdict
	gone, until time.Time
}

// tombstones yields those in a table that still count.
func (t *Table) tombstones(now time.Time) []tombstone {
	if t == nil || t.gone == nil {
		return nil
	}
	all := make([]tombstone, 0, t.gone.devices)
	for row, off := range t.gone.offs {
		if off == dead {
			continue
		}
		if v, l := t.gone.restore(row); l.until.After(now) {
			all = append(all, tombstone{v, l.gone, l.until})
		}
	}
	return all
}

// tail returns what is behind a row.
func (t *Table) tail(row int) tail {
	c := cursor{b: t.blob(t.offs[row])}
	var d decision.Device
	c.device(&d, t.kinds, t.interned)
	return c.tail()
}

// tombstone finds what is left of the device that had this id. A serial number that
// several of them had leads nowhere.
func (t *Table) tombstone(key decision.Key, now time.Time) (tombstone, bool) {
	if t.gone == nil {
		return tombstone{}, false
	}
	row, ok := t.gone.Find(key)
	if !ok {
		return tombstone{}, false
	}
	v, l := t.gone.restore(row)
	return tombstone{v, l.gone, l.until}, l.until.After(now)
}

// entomb gives a fresh table, which nobody sees yet, the tombstones of the old one
// that still count and those of the devices that it has lost: candidates are rows of
// the old table, with the facts of base. A device that the fresh table has by any of
// the ids that Tombstone leaves is not gone, unless that record is older ([Table.haunt]):
// by another id, such as a serial number, it may be somebody else. The caller holds the syncing token, so no Sync runs.
func (r *Runner) entomb(old, fresh *Table, base []uint64, candidates []uint32) {
	asks, ok := r.src.(Tombstoner)
	if !ok || old == nil || old.gone == nil && len(candidates) == 0 {
		return
	}
	now := time.Now()
	all := fresh.haunt(old.tombstones(now))
	same := old.gone == nil || len(all) == old.gone.devices
	var lost []tombstone
	for _, row := range candidates {
		if old.offs[row] == dead {
			continue
		}
		v := old.Verdict(int(row))
		v.Confirmed = 0
		unpack(base[row], &v.Device)
		checkedIn, evaluated := r.heardOf(&v)
		var keep time.Duration
		err := r.protect(func() error {
			keep = asks.Tombstone(&v)
			return nil
		})
		if err != nil || keep <= 0 || checkDevice(&v.Device) != nil {
			continue
		}
		v.LastCheckIn, v.EvaluatedAt = checkedIn, evaluated
		lost = append(lost, tombstone{v, now, now.Add(min(keep, longestKeep))})
	}
	if lost = fresh.haunt(lost); len(lost) > 0 {
		all, same = append(all, lost...), false
	}
	limit := tombstoneLimit(fresh.devices)
	if same && len(all) <= limit {
		fresh.gone = old.gone
		return
	}
	all = joinTombstones(all)
	if len(all) > limit {
		slices.SortFunc(all, func(a, b tombstone) int { return b.until.Compare(a.until) })
		if !r.manyGone.Swap(true) {
			r.o.Logger.Warn("more devices are gone whose last word counts than can be kept; those whose time ends first are forgotten",
				"source", r.o.Name, "gone", len(all), "kept", limit)
		}
		all = all[:limit]
	}
	fresh.gone = bury(all)
}

// lost returns the rows of devices whose own id a fresh table does not have.
func (t *Table) lost(fresh *Table) (rows []uint32) {
	for row, off := range t.offs {
		if off == dead {
			continue
		}
		if _, ok, _ := fresh.find(t.ownKey(row)); !ok {
			rows = append(rows, uint32(row))
		}
	}
	return rows
}

// bury makes a table of tombstones; nil of none.
func bury(all []tombstone) *Table {
	if len(all) == 0 {
		return nil
	}
	b := NewBuilder(len(all))
	for i := range all {
		_ = b.add(&all[i].verdict, mark{gone: all[i].gone, until: all[i].until}) // was checked before
	}
	t, err := b.Build()
	if err != nil { // beyond 4 GiB of them
		return nil
	}
	t.setEnds()
	return t
}

// setEnds notes when the first tombstone of a table of them ends.
func (t *Table) setEnds() {
	for row, off := range t.offs {
		if off == dead {
			continue
		}
		if l := t.tail(row); t.ends.IsZero() || l.until.Before(t.ends) {
			t.ends = l.until
		}
	}
}

// joinTombstones makes one of those that share an id other than a serial number: a
// device that had two records is found once, and the worst of both counts.
func joinTombstones(all []tombstone) []tombstone {
	at := map[decision.Key]int{}
	out := all[:0]
	for _, s := range all {
		i := -1
		for _, k := range s.verdict.Keys {
			if j, ok := at[k]; ok && k.Kind != decision.KindSerial {
				i = j
				break
			}
		}
		if i < 0 {
			i = len(out)
			out = append(out, s)
		} else {
			out[i].join(&s)
		}
		for _, k := range out[i].verdict.Keys {
			at[k] = i
		}
	}
	return out
}

func (s *tombstone) join(o *tombstone) {
	worsen(&s.verdict.Device, &o.verdict.Device)
	stop(&s.verdict.Device, &o.verdict.Device)
	keys := slices.Clone(s.verdict.Keys)
	for _, k := range o.verdict.Keys {
		if !hasKey(keys, k) && len(keys) < MaxKeys {
			keys = append(keys, k)
		}
	}
	s.verdict.Keys = keys
	s.verdict.LastCheckIn = later(s.verdict.LastCheckIn, o.verdict.LastCheckIn)
	s.verdict.EvaluatedAt = later(s.verdict.EvaluatedAt, o.verdict.EvaluatedAt)
	if o.until.After(s.until) {
		s.until = o.until
	}
}

// pruned returns a table without the tombstones whose time is over.
func (t *Table) pruned(now time.Time) *Table {
	if t.gone == nil || t.gone.ends.After(now) {
		return t
	}
	c := *t
	c.gone = bury(t.tombstones(now))
	return &c
}

// goneLen returns how many tombstones still count.
func (t *Table) goneLen(now time.Time) int {
	if t.gone == nil {
		return 0
	}
	if t.gone.ends.After(now) {
		return t.gone.devices
	}
	return len(t.tombstones(now))
}
