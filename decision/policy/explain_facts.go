package policy

import (
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// asked is the policy whose ages say how fresh a fact is, and for whom.
type asked struct {
	p *decision.Policy
	e *decision.Engine
	q *decision.Request
}

// explainFacts lists the facts that the policy consults and those that any
// source reports.
func explainFacts(p *decision.Policy, e *decision.Engine, q *decision.Request, words []decision.Word) []ExplainedFact {
	return weighedFacts(q.Posture, words, q.Now, &asked{p, e, q})
}

// WeighedFacts lists the facts that any source reports about the device or user of
// a posture, without a policy's view of their age: what counts, why, and what each
// source says. words are from [decision.Weigh].
func WeighedFacts(posture *decision.Posture, words []decision.Word, now time.Time) []ExplainedFact {
	return weighedFacts(posture, words, now, nil)
}

func weighedFacts(posture *decision.Posture, words []decision.Word, now time.Time, by *asked) []ExplainedFact {
	wanted := decision.FactSet(0)
	if by != nil {
		wanted, _ = needed(by.p)
	}
	facts := []ExplainedFact{}
	for f := decision.Fact(0); f < decision.NumFacts; f++ {
		source := posture.Source(f)
		if source == "" && !wanted.Has(f) {
			continue
		}
		x := ExplainedFact{Name: f.String(), Value: posture.Value(f), Source: source, Conflict: posture.Disputed().Has(f)}
		if by != nil {
			x.Freshness = decision.FreshnessNone.String()
		}
		if source != "" {
			_, x.AgeSeconds = confirmed(posture, indexOf(posture, source), now)
			if by != nil {
				x.Freshness = freshness(by.p, by.e, by.q, f).String()
			}
		}
		for i := range words {
			if words[i].Fact != f {
				continue
			}
			x.Words = append(x.Words, explainWord(posture, &words[i], now, by))
			if words[i].Standing == decision.StandingCounts {
				x.Why = words[i].Rule.String()
			}
		}
		facts = append(facts, x)
	}
	return facts
}

func explainWord(posture *decision.Posture, w *decision.Word, now time.Time, by *asked) ExplainedWord {
	state := posture.Evidence[w.Source].State
	x := ExplainedWord{
		Source: state.Name, Value: w.Value, Standing: w.Standing.String(), Failing: state.Failing() != decision.CauseNone,
	}
	x.ConfirmedAt, x.AgeSeconds = confirmed(posture, w.Source, now)
	if !w.Observed.IsZero() {
		at := w.Observed.UTC()
		x.ObservedAt = &at
	}
	if by != nil {
		x.Freshness = posture.FreshnessOf(w.Source, now, by.p.Ages).String()
	}
	return x
}

// confirmed is when, and how many seconds ago, the gateway last heard from a source
// about this device.
func confirmed(posture *decision.Posture, source int, now time.Time) (*time.Time, *int64) {
	if source < 0 {
		return nil, nil
	}
	at, ok := posture.ConfirmedAt(source, now)
	if !ok {
		return nil, nil
	}
	seconds := int64(now.Sub(at) / time.Second)
	at = at.UTC().Truncate(time.Second)
	return &at, &seconds
}

func indexOf(posture *decision.Posture, source string) int {
	for i := range posture.Evidence {
		if posture.Evidence[i].State.Name == source {
			return i
		}
	}
	return -1
}
