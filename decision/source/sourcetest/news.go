package sourcetest

import (
	"errors"
	"fmt"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// tone is how a device stands in one fact.
type tone int

const (
	silent tone = iota // nothing is known
	good
	bad
)

func (w tone) String() string { return [...]string{"silent", "good", "bad"}[w] }

// news is one fact of which a device can have bad news, and how a verdict tells it.
type news struct {
	fact decision.Fact
	say  func(*decision.Device, tone)
	hear func(*decision.Device) tone
}

// about describes a fact by its member, whose zero value is unknown. A value that is
// neither unknown nor the good one is bad news.
func about[T comparable](fact decision.Fact, at func(*decision.Device) *T, fine, worse T) news {
	words := [...]T{good: fine, bad: worse}
	return news{
		fact: fact,
		say:  func(d *decision.Device, w tone) { *at(d) = words[w] },
		hear: func(d *decision.Device) tone {
			switch *at(d) {
			case words[silent]:
				return silent
			case fine:
				return good
			}
			return bad
		},
	}
}

// table are the facts of devices of which bad news is kept.
var table = []news{
	about(decision.FactCompliance, func(d *decision.Device) *decision.Compliance { return &d.Compliance }, decision.Compliant, decision.NonCompliant),
	about(decision.FactLifecycle, func(d *decision.Device) *decision.Lifecycle { return &d.Lifecycle }, decision.LifecycleActive, decision.LifecycleWiping),
	about(decision.FactTrust, func(d *decision.Device) *decision.Trust { return &d.Trust }, decision.TrustJoined, decision.TrustNone),
	about(decision.FactOwnership, func(d *decision.Device) *decision.Ownership { return &d.Ownership }, decision.Corporate, decision.Personal),
	about(decision.FactRisk, func(d *decision.Device) *decision.Level { return &d.Risk }, decision.LevelNone, decision.LevelHigh),
	about(decision.FactExposure, func(d *decision.Device) *decision.Level { return &d.Exposure }, decision.LevelLow, decision.LevelHigh),
	about(decision.FactManaged, func(d *decision.Device) *decision.Tri { return &d.Managed }, decision.Yes, decision.No),
	about(decision.FactEnabled, func(d *decision.Device) *decision.Tri { return &d.Enabled }, decision.Yes, decision.No),
	about(decision.FactEncrypted, func(d *decision.Device) *decision.Tri { return &d.Encrypted }, decision.Yes, decision.No),
	about(decision.FactUpdated, func(d *decision.Device) *decision.Tri { return &d.Updated }, decision.Yes, decision.No),
	about(decision.FactApps, func(d *decision.Device) *decision.Tri { return &d.Apps }, decision.Yes, decision.No),
	about(decision.FactAntivirus, func(d *decision.Device) *decision.Tri { return &d.Antivirus }, decision.Yes, decision.No),
	about(decision.FactFirewall, func(d *decision.Device) *decision.Tri { return &d.Firewall }, decision.Yes, decision.No),
	about(decision.FactSecureBoot, func(d *decision.Device) *decision.Tri { return &d.SecureBoot }, decision.Yes, decision.No),
	about(decision.FactSupervised, func(d *decision.Device) *decision.Tri { return &d.Supervised }, decision.Yes, decision.No),
	about(decision.FactJailbroken, func(d *decision.Device) *decision.Tri { return &d.Jailbroken }, decision.No, decision.Yes),
	about(decision.FactMalware, func(d *decision.Device) *decision.Tri { return &d.Malware }, decision.No, decision.Yes),
}

// tell has a device say the same of all facts.
func tell(d *decision.Device, w tone) {
	for i := range table {
		table[i].say(d, w)
	}
}

// told returns the facts in which a device stands like that.
func told(d *decision.Device, w tone) (s decision.FactSet) {
	for i := range table {
		if table[i].hear(d) == w {
			s |= decision.Facts(table[i].fact)
		}
	}
	return s
}

// listed spells a set of facts.
func listed(s decision.FactSet) (names []string) {
	for f := range decision.NumFacts {
		if s.Has(f) {
			names = append(names, f.String())
		}
	}
	return names
}

// changes returns the facts of which the fixture must be able to tell bad news, none
// and good news. The error says what the fixture fails to say about itself.
func (fx *Fixture) changes() (decision.FactSet, error) {
	all := decision.FactSet(0)
	for i := range table {
		all |= decision.Facts(table[i].fact)
	}
	all &= fx.Source.Facts()
	switch {
	case fx.Change == nil && fx.Unchanging == "":
		return 0, errors.New("the fixture has no Change and does not say why (Unchanging)")
	case fx.Change != nil && fx.Unchanging != "":
		return 0, fmt.Errorf("the fixture has a Change and says why it has none: %s", fx.Unchanging)
	}
	for f, why := range fx.Unsaid {
		if why == "" || !all.Has(f) {
			return 0, fmt.Errorf("the fixture cannot tell %s (%q): either no reason, or no bad news that the source could have", f, why)
		}
		all &^= decision.Facts(f)
	}
	if _, ok := fx.Source.(source.Syncer); fx.Change != nil && all == 0 && ok {
		return 0, errors.New("the fixture has a Change but tells no bad news at all")
	}
	return all, nil
}
