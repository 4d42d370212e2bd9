package intune

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// fleet is every record that Intune has, by Intune id: the last complete listing,
// packed, and what changed since. Several records may be about one device; emit
// settles that. The zero value is empty. It is not safe for concurrent use, but a
// copy made by view is.
type fleet struct {
	base  *source.Table
	twins []int                              // rows of base that share an id
	over  map[decision.Key]*decision.Verdict // never changed in place
}

// newFleet makes a fleet of a complete listing.
func newFleet(t *source.Table) fleet {
	f := fleet{base: t}
	if t.AmbiguousKeys() == 0 {
		return f
	}
	for row, v := range t.All() {
		if slices.ContainsFunc(v.Keys, t.Ambiguous) {
			f.twins = append(f.twins, row)
		}
	}
	return f
}

// repackShare is how much of the fleet may be in over before it is packed again.
const repackShare = 16

func (f *fleet) get(own decision.Key) (decision.Verdict, bool) {
	if v, ok := f.over[own]; ok {
		return *v, true
	}
	if f.base != nil {
		if row, ok := f.base.Find(own); ok {
			return f.base.Verdict(row), true
		}
	}
	return decision.Verdict{}, false
}

// outdated reports whether a record about the same device is older than another one
// and may be left out. Bad news may not: a date can be wrong, and an answer may come
// from a server that lags behind, so the next answer decides. Nor may a record whose
// date is unknown.
func outdated(v, known *decision.Verdict) bool {
	return !v.LastCheckIn.IsZero() && v.LastCheckIn.Before(known.LastCheckIn) && !worse(v, known)
}

// worse reports whether a record has bad news that another one lacks.
func worse(v, known *decision.Verdict) bool {
	return fails(v.Compliance) && !fails(known.Compliance) ||
		v.Compliance == decision.InGracePeriod && known.Compliance == decision.Compliant ||
		v.Lifecycle != decision.LifecycleActive && decision.GraverLifecycle(known.Lifecycle, v.Lifecycle) != known.Lifecycle ||
		v.Jailbroken == decision.Yes && known.Jailbroken != decision.Yes ||
		v.Encrypted == decision.No && known.Encrypted != decision.No ||
		v.Updated == decision.No && known.Updated != decision.No ||
		v.Risk > max(known.Risk, decision.LevelNone)
}

// put adds or replaces a record and reports whether that changed anything. One that is
// outdated is left out.
func (f *fleet) put(v decision.Verdict) (changed bool) {
	own := v.Keys[0]
	if old, ok := f.get(own); ok {
		if outdated(&v, &old) || reflect.DeepEqual(old, v) {
			return false
		}
	}
	if f.over == nil {
		f.over = map[decision.Key]*decision.Verdict{}
	}
	f.over[own] = &v
	return true
}

// with returns the record that has an id of any kind; of several the newest.
func (f *fleet) with(k decision.Key) (best decision.Verdict, ok bool) {
	consider := func(v *decision.Verdict) {
		if slices.Contains(v.Keys, k) && (!ok || better(v, &best)) {
			best, ok = *v, true
		}
	}
	for _, v := range f.over {
		consider(v)
	}
	if f.base == nil {
		return best, ok
	}
	if row, found := f.base.Find(k); found {
		if v := f.base.Verdict(row); f.over[v.Keys[0]] == nil {
			consider(&v)
		}
	} else if f.base.Ambiguous(k) {
		for _, v := range f.base.All() {
			if f.over[v.Keys[0]] == nil {
				consider(&v)
			}
		}
	}
	return best, ok
}

// len is the number of records. One whose id is ambiguous counts as often as it
// is listed.
func (f *fleet) len() int {
	n := len(f.over)
	if f.base != nil {
		n += f.base.Len()
		for own := range f.over {
			if _, ok := f.base.Find(own); ok {
				n--
			}
		}
	}
	return n
}

// view is a copy that stays as it is.
func (f *fleet) view() fleet { return fleet{base: f.base, twins: f.twins, over: maps.Clone(f.over)} }

// overRow is the number of the first changed record; the packed ones have those of
// their table.
const overRow = 1 << 32

// changed returns the ids of the changed records in their order.
func (f *fleet) changed() []decision.Key {
	return slices.SortedFunc(maps.Keys(f.over), func(a, b decision.Key) int { return strings.Compare(a.Value, b.Value) })
}

// rows yields every record with its number: the packed ones in their order, then
// the changed ones in the order of their ids.
func (f *fleet) rows(yield func(int, *decision.Verdict) bool) {
	if f.base != nil {
		for row, v := range f.base.All() {
			if _, ok := f.over[v.Keys[0]]; !ok && !yield(row, &v) {
				return
			}
		}
	}
	for i, own := range f.changed() {
		if !yield(overRow+i, f.over[own]) {
			return
		}
	}
}

// pack moves what changed into the packed part if that is much.
func (f *fleet) pack() error {
	n := f.len()
	if len(f.over) <= max(1000, n/repackShare) {
		return nil
	}
	b := source.NewBuilder(max(n, 1) * 2)
	for _, v := range f.rows {
		if err := b.Add(v); err != nil {
			return err
		}
	}
	t, err := b.Build()
	if err == nil {
		*f = newFleet(t)
	}
	return err
}
