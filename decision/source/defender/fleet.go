package defender

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// fleet is every machine that the service has, with the risk of its own score.
// Several machines may be one device: see settle. The zero value is empty. It is
// not safe for concurrent use.
type fleet struct {
	listing source.Listing
	risky   map[decision.Key]risk // machines whose risk is low or worse
	// view is what was emitted last, duplicates included. It never changes.
	view *source.Table
}

// risk is what the service said last about a machine at risk.
type risk struct {
	level decision.Level
	said  time.Time
}

// put adds or replaces a machine and reports whether that changed anything.
func (f *fleet) put(v decision.Verdict, now time.Time) (changed bool, err error) {
	own := v.Keys[0]
	old, ok := f.listing.Get(own)
	if !ok || !same(&old, &v) {
		if err := f.listing.Put(v); err != nil {
			return false, err
		}
		changed = true
	}
	if v.Risk < decision.LevelLow || v.Unreadable.Has(decision.FactRisk) { // nobody can ask for that score
		delete(f.risky, own)
		return changed, nil
	}
	if f.risky == nil {
		f.risky = map[decision.Key]risk{}
	}
	f.risky[own] = risk{v.Risk, now}
	return changed, nil
}

// repeated joins a row of a complete listing with an earlier one about the same
// machine, as pages that overlap have them. What was seen later counts. Of what was
// seen at the same time the worse counts, and the rest is unknown.
func (f *fleet) repeated(v decision.Verdict, t tally) decision.Verdict {
	old, again := f.listing.Get(v.Keys[0])
	switch {
	case !again || same(&old, &v) || v.EvaluatedAt.After(old.EvaluatedAt):
		return v
	case v.EvaluatedAt.Before(old.EvaluatedAt):
		return old
	}
	t.problem("machine", disagree)
	v.Keys = slices.DeleteFunc(slices.Clone(v.Keys), func(k decision.Key) bool { return !slices.Contains(old.Keys, k) })
	v.Risk, v.Exposure = worse(old.Risk, v.Risk), worse(old.Exposure, v.Exposure)
	if v.Sensor != old.Sensor {
		v.Sensor = decision.SensorUnknown
	}
	v.Unreadable |= old.Unreadable
	odd := old.RiskFloor || v.RiskFloor || v.Sensor != decision.SensorActive || v.Unreadable.Has(decision.FactRisk)
	v.RiskFloor = v.Risk != decision.LevelUnknown && odd
	return v
}

// worse joins two words about one thing.
func worse(a, b decision.Level) decision.Level {
	if worst := max(a, b); a == b || worst >= decision.LevelLow {
		return worst
	}
	return decision.LevelUnknown
}

// keep puts back the risk that was known of a machine whose score cannot be read
// any more. It is then only the least that the risk can be. The Runner's rule alone
// would know less: an open alert would be a new word in place of a worse score, a low
// risk would count as unknown, and of two machines of one device that were seen at the
// same time [better] would believe the one that looks better.
func (f *fleet) keep(v *decision.Verdict) {
	if !v.Unreadable.Has(decision.FactRisk) {
		return
	}
	if old, ok := f.listing.Get(v.Keys[0]); ok && old.Risk >= decision.LevelLow {
		v.Risk, v.RiskFloor = max(v.Risk, old.Risk), true
	}
}

// letGo takes back what is kept about a machine.
func (f *fleet) letGo(own decision.Key) (changed bool) {
	v, ok := f.listing.Get(own)
	if !ok || !source.ForgetUnreadable(&v.Device) {
		return false
	}
	return f.listing.Put(v) == nil
}

func (f *fleet) remove(own decision.Key) {
	f.listing.Remove(own)
	delete(f.risky, own)
}

func same(a, b *decision.Verdict) bool {
	return slices.Equal(a.Keys, b.Keys) && a.Name == b.Name && a.Risk == b.Risk && a.Exposure == b.Exposure &&
		a.RiskFloor == b.RiskFloor && a.Sensor == b.Sensor && a.Unreadable == b.Unreadable && a.EvaluatedAt.Equal(b.EvaluatedAt)
}

// missing returns the machines at risk that an answer did not have, whoever was
// confirmed longest ago first.
func (f *fleet) missing(answer map[decision.Key]bool, lowest decision.Level) []decision.Key {
	var out []decision.Key
	for own, r := range f.risky {
		if r.level >= lowest && !answer[own] {
			out = append(out, own)
		}
	}
	slices.SortFunc(out, func(a, b decision.Key) int {
		if c := f.risky[a].said.Compare(f.risky[b].said); c != 0 {
			return c
		}
		return strings.Compare(a.Value, b.Value)
	})
	return out
}

// count returns how many machines have this risk.
func (f *fleet) count(l decision.Level) (n int) {
	for r := range maps.Values(f.risky) {
		if r.level == l {
			n++
		}
	}
	return n
}

// pack brings view up to date.
func (f *fleet) pack() (*source.Table, error) {
	sweep := source.NewSweep(max(f.listing.Len(), 1))
	if err := f.listing.Emit(sweep); err != nil {
		return nil, err
	}
	t, err := sweep.Table()
	if err == nil {
		f.view = t
	}
	return t, err
}

// better reports whether of two machines of one device a is the one to believe:
// the one that reported last, else the one at higher risk, else by id.
func better(a, b *decision.Verdict) bool {
	if c := a.EvaluatedAt.Compare(b.EvaluatedAt); c != 0 {
		return c > 0
	}
	if a.Risk != b.Risk {
		return a.Risk > b.Risk
	}
	return a.Keys[0].Value > b.Keys[0].Value
}

// settle returns the machines that newer ones of their device replace: a new
// installation gets a new machine id and leaves the old one behind.
func settle(t *source.Table) map[decision.Key]bool {
	if t.AmbiguousKeys() == 0 {
		return nil
	}
	best, lost := map[decision.Key]decision.Verdict{}, map[decision.Key]bool{}
	for _, v := range t.All() {
		k, ok := entraKey(&v.Device)
		if !ok || !t.Ambiguous(k) {
			continue
		}
		rival, ok := best[k]
		switch {
		case !ok:
			best[k] = v
		case better(&v, &rival):
			best[k], lost[rival.Keys[0]] = v, true
		default:
			lost[v.Keys[0]] = true
		}
	}
	return lost
}

// with returns the machine of the device with this Entra id, as it is known now.
func (f *fleet) with(k decision.Key) (best decision.Verdict, ok bool) {
	if f.view == nil {
		return best, false
	}
	consider := func(v decision.Verdict) {
		now, listed := f.listing.Get(v.Keys[0])
		if listed && slices.Contains(now.Keys, k) && (!ok || better(&now, &best)) {
			best, ok = now, true
		}
	}
	if row, found := f.view.Find(k); found {
		consider(f.view.Verdict(row))
	} else if f.view.Ambiguous(k) {
		for _, v := range f.view.All() {
			if slices.Contains(v.Keys, k) {
				consider(v)
			}
		}
	}
	return best, ok
}
