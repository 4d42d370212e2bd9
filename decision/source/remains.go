package source

import (
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// remains is where a runner keeps something about one device.
type remains struct {
	ids     []decision.Key // all but serial numbers that nobody asked for
	rows    []uint32       // of the table
	gone    []tombstone    // of the device
	buried  []uint32       // their rows among the tombstones of the table
	near    []tombstone    // of other devices, with a serial number that is here, too
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
// one to the next. The caller holds blend, or only looks on: a view never changes.
func (r *Runner) remains(v *view, keys []decision.Key) (*remains, error) {
	m := &remains{ids: slices.Clone(keys)}
	now := time.Now()
	for before := -1; before != len(m.ids)+len(m.gone); {
		before = len(m.ids) + len(m.gone)
		for _, k := range slices.Clone(m.ids) {
			if e, ok := r.cached(k); ok && !slices.Contains(m.entries, e) {
				m.entries = append(m.entries, e)
				m.add(e.verdict.Keys)
			}
		}
		if v != nil {
			m.grow(v.table, now)
		}
	}
	if v == nil {
		return m, nil
	}
	found := slices.Clone(keys)
	for _, e := range m.entries {
		found = append(found, e.verdict.Keys...)
	}
	m.near = v.table.nearby(m.buried, v.table, m.rows, found, now)
	for _, k := range keys {
		if k.Kind == decision.KindSerial && slices.ContainsFunc(m.near, func(s tombstone) bool { return hasKey(s.verdict.Keys, k) }) {
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
func (m *remains) grow(t *Table, now time.Time) {
	for _, row := range t.rowsOf(m.ids, m.gone) {
		if !slices.Contains(m.rows, row) {
			m.rows = append(m.rows, row)
			m.add(t.Verdict(int(row)).Keys)
		}
	}
	if t.gone == nil {
		return
	}
	// A serial number finds a tombstone only where nothing is listed by it, and one alone.
	ids := slices.DeleteFunc(slices.Clone(m.ids), func(k decision.Key) bool {
		if k.Kind != decision.KindSerial {
			return false
		}
		_, listed, _ := t.find(k)
		_, one := t.gone.Find(k)
		return listed || !one
	})
	for _, row := range t.gone.having(ids) {
		if slices.Contains(m.buried, row) {
			continue
		}
		if v, l := t.gone.restore(int(row)); l.until.After(now) {
			m.buried = append(m.buried, row)
			m.gone = append(m.gone, tombstone{v, l.gone, l.until})
			m.add(v.Keys)
		}
	}
}

// nearby returns the tombstones of t, but those that are buried at these of its rows,
// with a serial number among ids or of these rows of another table, which may be t. All
// others have no word about them.
func (t *Table) nearby(buried []uint32, of *Table, rows []uint32, ids []decision.Key, now time.Time) (near []tombstone) {
	if t.gone == nil {
		return nil
	}
	for _, row := range rows {
		ids = append(ids, of.Verdict(int(row)).Keys...)
	}
	var serials []decision.Key
	for _, k := range ids {
		if k.Kind == decision.KindSerial && !hasKey(serials, k) {
			serials = append(serials, k)
		}
	}
	for _, row := range t.gone.having(serials) {
		if v, l := t.gone.restore(int(row)); l.until.After(now) && !slices.Contains(buried, row) {
			near = append(near, tombstone{v, l.gone, l.until})
		}
	}
	return near
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

// bare returns the facts that without leaves in a row.
func (m *remains) bare(t *Table, row uint32) uint64 {
	own := t.own(row)
	if own == t.facts[row] {
		return own
	}
	d := t.Verdict(int(row)).Device
	unpack(own, &d)
	for i := range m.near {
		if m.near[i].stops(t, &d) {
			halted(&d, &m.near[i].verdict.Device)
		}
	}
	return pack(&d)
}

// haunted is [Table.haunted] by the tombstones near the device.
func (m *remains) haunted(v *decision.Verdict) {
	for _, k := range v.Keys {
		var one *tombstone
		n := 0
		for i := range m.near {
			if hasKey(m.near[i].verdict.Keys, k) {
				one = &m.near[i]
				n++
			}
		}
		if n == 1 && one.outlasts(&v.Device) {
			halted(&v.Device, &one.verdict.Device)
		}
	}
}
