package intune

import (
	"slices"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// settled says which records are not emitted, and which ids are left out.
type settled struct {
	lost   map[int]bool          // numbers of rows
	shared map[decision.Key]bool // serial numbers
}

// contender is a record that shares an id with another one, perhaps.
type contender struct {
	row int
	v   *decision.Verdict
}

// better reports whether of two records about one device a is the one to believe:
// the newer one, else the one that has bad news, else by id. One whose date cannot be
// read counts as the newest if it has bad news at all, and as the oldest if not.
func better(a, b *decision.Verdict) bool {
	if la, lb := last(a), last(b); la != lb {
		return la
	}
	if !last(a) && !a.LastCheckIn.Equal(b.LastCheckIn) {
		return a.LastCheckIn.After(b.LastCheckIn)
	}
	if wa, wb := worse(a, b), worse(b, a); wa != wb {
		return wa
	}
	if ga, gb := good(a.Compliance), good(b.Compliance); ga != gb {
		return gb
	}
	return strings.Compare(a.Keys[0].Value, b.Keys[0].Value) > 0
}

// last reports whether a record has no date to read, and bad news.
func last(v *decision.Verdict) bool {
	return v.Unreadable.Has(decision.FactCheckIn) && worse(v, &decision.Verdict{})
}

// settle finds the records that others replace: enrolling a device again leaves a
// stale record with the same Entra id. It also finds serial numbers that belong to
// several devices.
func (f *fleet) settle() settled {
	s := settled{lost: map[int]bool{}, shared: map[decision.Key]bool{}}
	groups := f.groups()
	for _, kind := range []string{decision.KindIntune, decision.KindEntra} {
		for k, list := range groups {
			if k.Kind == kind {
				s.choose(list)
			}
		}
	}
	for k, list := range groups {
		if k.Kind == decision.KindSerial && len(s.left(list)) > 1 {
			s.shared[k] = true
		}
	}
	return s
}

// groups collects, for every id that several records may share, those records. It
// reads only them: a poll that changed little must not read the whole fleet.
func (f *fleet) groups() map[decision.Key][]contender {
	touched := map[decision.Key]bool{}
	for _, v := range f.over {
		for _, k := range v.Keys {
			touched[k] = true
		}
	}
	groups := map[decision.Key][]contender{}
	add := func(row int, v *decision.Verdict) {
		for _, k := range v.Keys {
			if touched[k] || f.base != nil && f.base.Ambiguous(k) {
				groups[k] = append(groups[k], contender{row, v})
			}
		}
	}
	if f.base != nil {
		rows := slices.Clone(f.twins)
		for k := range touched {
			if row, ok := f.base.Find(k); ok {
				rows = append(rows, row)
			}
		}
		slices.Sort(rows)
		for _, row := range slices.Compact(rows) {
			if v := f.base.Verdict(row); f.over[v.Keys[0]] == nil {
				add(row, &v)
			}
		}
	}
	for i, own := range f.changed() {
		add(overRow+i, f.over[own])
	}
	return groups
}

func (s *settled) left(list []contender) []contender {
	return slices.DeleteFunc(slices.Clone(list), func(c contender) bool { return s.lost[c.row] })
}

func (s *settled) choose(list []contender) {
	list = s.left(list)
	if len(list) < 2 {
		return
	}
	best := list[0]
	for _, c := range list[1:] {
		if better(c.v, best.v) {
			best = c
		}
	}
	for _, c := range list {
		if c.row != best.row {
			s.lost[c.row] = true
		}
	}
}

// emit hands one record for each device to a sweep.
func (f *fleet) emit(sweep *source.Sweep, s settled) (devices int) {
	for row, v := range f.rows {
		if s.lost[row] {
			continue
		}
		out := *v
		if len(s.shared) > 0 {
			out.Keys = slices.DeleteFunc(slices.Clone(v.Keys), func(k decision.Key) bool { return s.shared[k] })
		}
		sweep.Device(out)
		devices++
	}
	return devices
}
