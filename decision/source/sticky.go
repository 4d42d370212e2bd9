package source

import (
	"hash/maphash"
	"maps"
	"slices"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Bad news stays until the source has better news. When a record takes the place of
// an older one of the same device (the same own id), a fact that was worse than
// unknown and is unknown now keeps its old value: a word that nobody can read, an
// empty member or an answer without the field is no pardon. Any other word counts at
// once, the good ones too. A local file is its owner's own word: an empty field and
// "unknown" count there as well, and only a word that nobody can read does not.

// sticky are the bits of the fields that are kept: all that a policy or a hard stop
// can refuse by, as far as their values have ranks. Trust is among them for a device
// that the directory does not know. The sensor is not: how well somebody is heard is
// no finding, and a level that is unsure because of it is a floor
// ([decision.Device].RiskFloor). Nor are platform and channel, where no value is bad.
var sticky = func() (bits uint32) {
	for i := range fields {
		if len(fields[i].rank) > 0 && fields[i].fact != decision.FactSensor {
			bits |= 1 << i
		}
	}
	return bits
}()

var riskField, floorField, sensorField = fieldNamed("risk"), fieldNamed("risk_floor"), fieldNamed("sensor")

func fieldNamed(name string) int {
	return slices.IndexFunc(fields, func(f field) bool { return f.name == name })
}

// factsOf returns the facts of some fields.
func factsOf(bits uint32) (s decision.FactSet) {
	for i := range fields {
		if bits&(1<<i) != 0 && fields[i].fact < decision.NumFacts {
			s |= decision.Facts(fields[i].fact)
		}
	}
	return s
}

// tellingFacts returns the facts of kept fields that are not unreadable any more: a word
// that is kept tells them. A level that is kept is only the least that the risk is, so
// that it cannot be read still counts.
func tellingFacts(kept uint32) decision.FactSet { return factsOf(kept &^ (1 << riskField)) }

// keeping says what a source keeps: of facts that it can report at all. Who takes a
// wrong mapping out of a configuration is rid of what it said.
type keeping struct {
	fields uint32           // bits of those of devices
	users  decision.FactSet // about users
	// file is true for a local file, where a word about a device is missing only if
	// nobody can read it.
	file bool
}

func newKeeping(can decision.FactSet, by decision.Authority) keeping {
	return keeping{
		fields: stickyOf(can),
		users:  can & decision.Facts(decision.FactUserEnabled, decision.FactUserRisk),
		file:   by == decision.AuthorityFile,
	}
}

// within narrows k to what one sweep reports. It does so for a file alone, from which
// somebody took a column: that a service refuses to say who is at risk, because a
// permission is gone, is no pardon.
func (k keeping) within(supplies decision.FactSet) keeping {
	if k.file {
		k.fields &= stickyOf(supplies)
		k.users &= supplies
	}
	return k
}

// of returns the fields that are kept in a record with these unreadable facts.
func (k keeping) of(unreadable decision.FactSet) uint32 {
	if k.file {
		return k.fields & stickyOf(unreadable)
	}
	return k.fields
}

// stickyOf returns the fields of these facts that can be kept.
func stickyOf(can decision.FactSet) (bits uint32) {
	for i := range fields {
		if sticky&(1<<i) != 0 && can.Has(fields[i].fact) {
			bits |= 1 << i
		}
	}
	return bits
}

// keep returns a fresh word of facts with the bad news of the old one that the fresh
// one is silent about, and the bits of these fields. A level that is kept is the least
// that the present one can be: it must not pass a limit.
func keep(old, fresh uint64, can uint32) (word uint64, kept uint32) {
	if old == fresh || can == 0 {
		return fresh, 0
	}
	word = fresh
	for i := range fields {
		f := &fields[i]
		if can&(1<<i) == 0 || f.in(fresh) != 0 {
			continue
		}
		if v := f.in(old); f.bad(v) {
			word = f.with(word, v)
			kept |= 1 << i
		}
	}
	if kept&(1<<riskField) != 0 {
		word = fields[floorField].with(word, 1)
	}
	return word, kept
}

// keepFacts does the same for single devices. The settings that fail come along, as
// they say why.
func keepFacts(d, old *decision.Device, can keeping) (changed bool) {
	word, kept := keep(pack(old), pack(d), can.of(d.Unreadable))
	if kept == 0 {
		return false
	}
	unpack(word, d)
	d.Unreadable &^= tellingFacts(kept)
	if kept&(1<<complianceField) != 0 {
		d.GraceUntil, d.Settings = old.GraceUntil, old.Settings
	}
	return true
}

// KeepUnreadable gives d the bad news of an older record of the same device about facts
// of which d has a word that nobody can read. The facts stay in Unreadable, by which
// [Listing.Emit] knows what is kept. It is for what a source remembers and no sweep
// brings to its Runner, which otherwise keeps all by itself: changes that follow one
// another between two sweeps, and records that stand back behind another one.
func KeepUnreadable(d, old *decision.Device) {
	odd := d.Unreadable
	keepFacts(d, old, keeping{fields: sticky, file: true})
	d.Unreadable = odd
}

// cleared returns a word that says nothing about some fields; of a level, not even the
// least that it can be.
func cleared(word uint64, bits uint32) uint64 {
	for i := range fields {
		if bits&(1<<i) != 0 {
			word = fields[i].with(word, 0)
		}
	}
	if bits&(1<<riskField) != 0 {
		word = fields[floorField].with(word, 0)
	}
	return word
}

// badOf returns those of the fields of which a word has bad news.
func badOf(word uint64, bits uint32) uint32 {
	for i := range fields {
		if bits&(1<<i) != 0 && !fields[i].bad(fields[i].in(word)) {
			bits &^= 1 << i
		}
	}
	return bits
}

// Kept returns the facts of a row that the source said before and says nothing of now.
func (t *Table) Kept(row int) decision.FactSet { return factsOf(t.keptFields(row)) }

// keptFields returns the fields of a row that are kept.
func (t *Table) keptFields(row int) uint32 {
	if t.kept == nil {
		return 0
	}
	return t.kept[row]
}

// term is a row's part of the sum.
func (t *Table) term(row int) uint64 {
	return maphash.Bytes(seed, t.blob(t.offs[row])) ^ t.facts[row]*0x9e3779b97f4a7c15 ^ uint64(t.keptFields(row))*0xff51afd7ed558ccd ^
		t.said[uint32(row)]*0xc2b2ae3d27d4eb4f
}

// set replaces the facts of a row. Only the one who made the table may do that, and
// only until anybody else sees it.
func (t *Table) set(row int, facts uint64, kept uint32) {
	t.sum -= t.term(row)
	if t.kept == nil {
		t.kept = make([]uint32, len(t.offs))
	}
	if t.kept[row] != 0 {
		t.keptRows--
	}
	if kept != 0 {
		t.keptRows++
	}
	t.facts[row], t.kept[row] = facts, kept
	t.sum += t.term(row)
	for i := range fields {
		if kept&(1<<i) != 0 {
			t.reported |= 1 << i
		}
	}
}

// keep takes into a row what was known of its device before.
func (t *Table) keep(row int, old uint64, can keeping) {
	word, kept := keep(old, t.facts[row], t.keepable(row, can))
	if kept != 0 {
		t.set(row, word, t.keptFields(row)|kept)
	}
}

// keepable returns the fields that are kept in a row.
func (t *Table) keepable(row int, can keeping) uint32 {
	if !can.file {
		return can.fields
	}
	return can.of(t.tail(row).unreadable)
}

// keepDevice is keep for a device whose own id may be on several rows now. Such an id
// finds nobody. The row that shares another id with the old one is still the same
// device, and must not be better off for the double.
func (t *Table) keepDevice(keys []decision.Key, old uint64, can keeping) {
	row, ok, ambiguous := t.find(keys[0])
	if !ok {
		return
	}
	if !ambiguous {
		t.keep(int(row), old, can)
		return
	}
	for _, k := range keys[1:] {
		at, ok, ambiguous := t.find(k)
		if ok && !ambiguous && t.ownKey(int(at)) == keys[0] {
			t.keep(int(at), old, can)
		}
	}
}

// copyFacts returns a table whose rows may be changed by set.
func (t *Table) copyFacts() *Table {
	c := *t
	c.facts, c.kept, c.said = slices.Clone(t.facts), slices.Clone(t.kept), maps.Clone(t.said)
	return &c
}
