package source

import (
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Guards protect a fleet from one bad listing: a truncated export, a renamed
// column, a service that suddenly calls everything compliant. Each limit is a
// share of the devices known before and a smallest number of devices, and both
// must be exceeded. Zero fields mean the defaults. Users are not guarded.
//
// A sweep that cannot be trusted at all (bad records, nothing in it) is
// rejected and the last good one stays. A sweep that changes too much is
// applied except for the rows in question, which keep what was known and age
// from when that was last confirmed.
type Guards struct {
	// Off accepts every sweep as it is.
	Off bool
	// BadShare and BadCount reject a sweep with too many bad records; more
	// than 0.01 of all, and at least 5.
	BadShare float64
	BadCount int
	// MinDevices is the smallest change that the limits below look at; 20.
	MinDevices int
	// GoodNewsShare holds devices that look better than before; 0.2.
	GoodNewsShare float64
	// BadNewsShare holds devices that look worse than before; 0.5. Up to that
	// share bad news applies at once.
	BadNewsShare float64
	// RemovalShare holds devices that are no longer listed; 0.2.
	RemovalShare float64
	// GrowthShare holds devices that are new; 1.0, which is twice the fleet.
	GrowthShare float64
}

func (g Guards) withDefaults() Guards {
	share := func(v *float64, d float64) {
		if *v <= 0 {
			*v = d
		}
	}
	share(&g.BadShare, 0.01)
	share(&g.GoodNewsShare, 0.2)
	share(&g.BadNewsShare, 0.5)
	share(&g.RemovalShare, 0.2)
	share(&g.GrowthShare, 1)
	if g.BadCount <= 0 {
		g.BadCount = 5
	}
	if g.MinDevices <= 0 {
		g.MinDevices = 20
	}
	return g
}

// HeldChange is what a guard holds back until an operator accepts it or a later
// sweep no longer contains it.
type HeldChange struct {
	// ID names the content: the same change in the next sweep has the same id.
	ID       string    `json:"id"`
	Why      string    `json:"why"`
	GoodNews int       `json:"good_news"` // devices that look better now
	BadNews  int       `json:"bad_news"`  // devices that look worse now
	Removals int       `json:"removals"`
	Growth   int       `json:"growth"` // new devices
	Since    time.Time `json:"since"`
}

var errEmptySweep = errors.New("sweep is empty but there were devices before")

// reject says why a sweep cannot be trusted at all. rows are the first of the bad
// records.
func (g Guards) reject(old, fresh *Table, bad int, rows []BadRow) error {
	if g.Off {
		return nil
	}
	if all := bad + fresh.devices; bad >= g.BadCount && float64(bad) > g.BadShare*float64(all) {
		return fmt.Errorf("%d of %d records are bad%s", bad, all, firstBad(rows))
	}
	if bad > 0 && fresh.devices == 0 {
		return fmt.Errorf("all %d records are bad%s", bad, firstBad(rows))
	}
	if old != nil && old.devices > 0 && fresh.devices == 0 {
		return errEmptySweep
	}
	return nil
}

// firstBad names one of them, for whoever has to mend them.
func firstBad(rows []BadRow) string {
	if len(rows) == 0 {
		return ""
	}
	return fmt.Sprintf("; the first is %s: %s", rows[0].Place, rows[0].Error)
}

// news counts how a sweep differs from the table before.
type news struct {
	good, bad, removals, growth int
	removed                     []uint32 // rows of the table before
}

// barring are the facts of which a word that nobody can read is unknown for every
// policy, whatever it asks for: a hard stop may be behind it. To become so is bad news,
// also of a device of which nothing was known, since it can stop the whole fleet.
const barring = decision.FactSet(1<<decision.FactEnabled | 1<<decision.FactLifecycle | 1<<decision.FactJailbroken)

// barred returns the facts of barring that nobody can read in a row.
func (t *Table) barred(row int) decision.FactSet {
	if t.odd == nil || t.odd[row/64]&(1<<(row%64)) == 0 {
		return 0
	}
	return t.tail(row).unreadable & barring &^ factsOf(t.keptFields(row))
}

// changes is compare for a row of a table and the same device in a fresh one.
func changes(old *Table, before int, fresh *Table, row int) (better, worse bool) {
	better, worse = compare(old.facts[before], fresh.facts[row], old.reported)
	if !worse {
		if now := fresh.barred(row); now != 0 {
			worse = now&^old.barred(before) != 0
		}
	}
	return better, worse
}

// survey compares a sweep with the table before, and keeps bad news about which the
// sweep is silent on the way, so that every row is looked up once. base is what is
// known by the rows of old by now, can what is kept.
func survey(old, fresh *Table, base []uint64, can keeping) news {
	var n news
	matched := 0
	if old.gone != nil { // the same record is back
		for _, v := range old.gone.All() {
			fresh.keepDevice(v.Keys, pack(&v.Device), can)
		}
	}
	for row, off := range old.offs {
		if off == dead {
			continue
		}
		at, ok, ambiguous := fresh.find(old.ownKey(row))
		switch {
		case ambiguous: // neither the same device nor gone
			matched++
			fresh.keepDevice(old.Verdict(row).Keys, base[row], can)
		case !ok:
			n.removals++
			n.removed = append(n.removed, uint32(row))
		default:
			matched++
			if base[row] != fresh.facts[at] {
				fresh.keep(int(at), base[row], can)
			}
			better, worse := changes(old, row, fresh, int(at))
			if better {
				n.good++
			}
			if worse {
				n.bad++
			}
		}
	}
	n.growth = max(0, fresh.devices-matched)
	return n
}

// plan says which kinds of news to hold, and why.
type plan struct {
	news
	holdGood, holdBad, holdRemovals, holdGrowth bool
	why                                         string
}

func (p *plan) holds() bool { return p.holdGood || p.holdBad || p.holdRemovals || p.holdGrowth }

func (g Guards) plan(old *Table, n news) plan {
	if g.Off || old == nil || old.devices == 0 {
		return plan{}
	}
	p := plan{news: n}
	check := func(n int, share float64, hold *bool, what string) {
		if n < g.MinDevices || float64(n) <= share*float64(old.devices) {
			return
		}
		*hold = true
		if p.why != "" {
			p.why += "; "
		}
		p.why += fmt.Sprintf("%d of %d devices %s", n, old.devices, what)
	}
	check(p.good, g.GoodNewsShare, &p.holdGood, "would look better")
	check(p.bad, g.BadNewsShare, &p.holdBad, "would look worse")
	check(p.removals, g.RemovalShare, &p.holdRemovals, "would be removed")
	if old.devices >= g.MinDevices {
		check(p.growth, g.GrowthShare, &p.holdGrowth, "would be added")
	}
	return p
}

// confirmedBefore is the older of two Mono times; 0 counts as none.
func confirmedBefore(a, b int64) int64 {
	if a == 0 || b != 0 && b < a {
		a = b
	}
	if a == 0 {
		return 1 // a held row must never borrow the time of the whole sweep
	}
	return a
}

// heldKind tells the kinds of held rows apart in a held change's id.
type heldKind byte

const (
	heldRow heldKind = iota + 1
	heldRemoval
	heldAddition
)

// apply makes the table that takes everything of fresh but what the plan holds.
// confirmed is when old was last confirmed, as [decision.Mono].
func (p *plan) apply(old, fresh *Table, capacity int, confirmed int64) (*Table, *HeldChange, error) {
	b := NewBuilder(capacity)
	h := HeldChange{Why: p.why}
	var id digest
	for row, v := range fresh.All() {
		key := v.Keys[0]
		before, ok, ambiguous := old.find(key)
		if !ok || ambiguous {
			if !ok && p.holdGrowth {
				h.Growth++
				id.add(heldAddition, key, fresh.facts[row])
				continue
			}
			v.Unreadable = fresh.tail(row).unreadable // also what is hidden by what is kept
			if err := b.add(&v, mark{kept: fresh.keptFields(row), said: fresh.said[uint32(row)]}); err != nil {
				return nil, nil, err
			}
			continue
		}
		better, worse := changes(old, int(before), fresh, row)
		hold := better && p.holdGood || worse && p.holdBad
		kept, said := fresh.keptFields(row), fresh.said[uint32(row)]
		if hold {
			if better && p.holdGood {
				h.GoodNews++
			} else {
				h.BadNews++
			}
			id.add(heldRow, key, fresh.facts[row]^uint64(fresh.barred(row))*0x9e3779b97f4a7c15)
			now := v
			v = old.Verdict(int(before))
			v.RiskFloor = v.RiskFloor || now.RiskFloor // a partner fell silent: nobody knows of anything worse
			if worse && !p.holdBad {
				worsen(&v.Device, &now.Device)
			} else if worse {
				stop(&v.Device, &now.Device)
			}
			if !worse || !p.holdBad { // else that nobody can read it is held back as well
				doubt(&v.Device, &now.Device)
			}
			kept = old.keptFields(int(before)) &^ differ(old.facts[before], pack(&v.Device))
			said = old.said[before]
		} else {
			v.Unreadable = fresh.tail(row).unreadable
		}
		if err := b.add(&v, mark{held: hold, kept: kept, said: said}); err != nil {
			return nil, nil, err
		}
	}
	if p.holdRemovals {
		for row, v := range old.All() {
			if _, ok, _ := fresh.find(v.Keys[0]); ok {
				continue
			}
			h.Removals++
			id.add(heldRemoval, v.Keys[0], 0)
			if err := b.add(&v, mark{held: true, kept: old.keptFields(row), said: old.said[uint32(row)]}); err != nil {
				return nil, nil, err
			}
		}
	}
	for u := range fresh.AllUsers() {
		if err := b.AddUser(&u); err != nil {
			return nil, nil, err
		}
	}
	t, err := b.Build()
	if err != nil {
		return nil, nil, err
	}
	t.heldAt = confirmedBefore(old.heldAt, confirmed)
	h.ID = id.String()
	return t, &h, nil
}
