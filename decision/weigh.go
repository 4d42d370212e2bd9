package decision

import (
	"slices"
	"time"
)

// Rule says why one source's word about a fact counts in [Merge], and not
// another's.
type Rule uint8

// The rules. RuleNone is that of a word that does not count.
const (
	RuleNone      Rule = iota
	RuleAuthority      // the first in the order of [Authority] that knows the fact
	RuleWorst          // bad news counts from whoever has it
	RuleNewer          // a newer no about compliance beats an older yes
	RuleDelegated      // the management system leaves compliance to Configuration Manager
	RuleLatest         // the latest check-in
	RuleNotListed      // the management system does not list the device, and the directory only copies
)

var ruleNames = [...]string{"none", "authority", "worst_of", "newer", "delegated", "latest", "not_listed"}

// String returns the stable name used by explain and the admin API.
func (r Rule) String() string { return name(ruleNames[:], int(r)) }

// Standing says what became of one source's word.
type Standing uint8

// The standings.
const (
	StandingCounts     Standing = iota + 1 // this is the value that counts
	StandingAgrees                         // it says the same
	StandingOverruled                      // it says something else
	StandingDefers                         // it leaves the answer to Configuration Manager
	StandingCopy                           // it is not asked: Configuration Manager decides, and others copy or guess
	StandingUnreadable                     // nobody can read it: others' good news cannot stand in for it
	StandingSetAside                       // no contradiction, and not used: another version, an earlier check-in, an owner's other name
)

var standingNames = [...]string{"unknown", "counts", "agrees", "overruled", "defers", "copy", "unreadable", "set_aside"}

// String returns the stable name used by explain and the admin API.
func (s Standing) String() string { return name(standingNames[:], int(s)) }

// Word is what one source says about one fact of one device or user.
type Word struct {
	Fact Fact
	// Source is the index in [Posture.Evidence].
	Source int
	// Value is spelt as [Posture.Value] does; the owner's is personal data.
	Value    string
	Standing Standing
	// Rule is why the word counts; RuleNone of one that does not.
	Rule Rule
	// Observed is when the source itself computed this or last heard of the device,
	// whichever is later; zero if it does not say. See [Posture.ConfirmedAt] for
	// when the gateway last heard the source.
	Observed time.Time
}

// trail notes, while sources are weighed, who spoke about what.
type trail struct{ words []Word }

// note records that the evidence with the given number, counted from 1, spoke
// about f. With a rule its word counts from here on.
func (p *Posture) note(f Fact, from uint8, r Rule) {
	if p.trail != nil {
		p.trail.words = append(p.trail.words, Word{Fact: f, Source: int(from - 1), Rule: r})
	}
}

// Weigh is [Merge], the same code, that also tells what every source said: the
// words are in the order of the facts, and of one fact in the order in which the
// sources were heard. A source that does not know a fact has no word about it. It
// is for people who ask why; requests have Merge.
func Weigh(reports []Report, key Key) (*Posture, []Word) {
	t := &trail{}
	p := weigh(reports, key, t)
	for i := range t.words {
		w := &t.words[i]
		w.Value = reports[w.Source].value(w.Fact)
		if int(p.from[w.Fact])-1 == w.Source {
			w.Value = p.Value(w.Fact) // also of what it says by silence, or says at least
		}
		if v := reports[w.Source].Verdict; v != nil && !userFacts.Has(w.Fact) {
			w.Observed = v.observed()
		}
		w.Standing = p.standing(w)
		if w.Standing != StandingCounts {
			w.Rule = RuleNone // it counted until another one came
		}
	}
	slices.SortStableFunc(t.words, func(a, b Word) int { return int(a.Fact) - int(b.Fact) })
	return p, t.words
}

// value spells what the source itself says.
func (r *Report) value(f Fact) string {
	var own Posture
	if r.Verdict != nil {
		own.Device = r.Verdict.Device
	}
	if r.User != nil {
		own.User = *r.User
	}
	return own.Value(f)
}

func (p *Posture) standing(w *Word) Standing {
	holder := int(p.from[w.Fact]) - 1
	switch {
	case holder == w.Source:
		return StandingCounts
	case w.Value == Unknown.String():
		return StandingUnreadable
	case w.Value == p.Value(w.Fact):
		return StandingAgrees
	case w.Fact == FactCompliance && w.Value == ComplianceDelegated.String():
		return StandingDefers
	case p.disputed.Has(w.Fact):
		return StandingOverruled
	case w.Fact == FactCompliance && !p.barred.Has(w.Fact):
		return StandingCopy
	}
	return StandingSetAside
}

// ConfirmedAt is when the gateway last heard from the source at the index in
// [Posture.Evidence] what it says here, by the wall clock at now; false if it was
// never read.
func (p *Posture) ConfirmedAt(source int, now time.Time) (time.Time, bool) {
	ev := &p.Evidence[source]
	if !ev.State.Loaded() {
		return time.Time{}, false
	}
	return now.Add(-time.Duration(Mono(now) - ev.confirmed())), true
}

// FreshnessOf is how fresh, by a policy's ages, the word of the source at the index
// in [Posture.Evidence] is.
func (p *Posture) FreshnessOf(source int, now time.Time, a Ages) Freshness {
	if !p.Evidence[source].State.Loaded() {
		return FreshnessNone
	}
	return p.freshness(&p.Evidence[source], Mono(now), a)
}
