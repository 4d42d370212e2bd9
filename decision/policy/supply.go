package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
)

// lack says what the configuration lacks for a requirement to be met at all, or
// "". A requirement that nobody could meet is a mistake, not a strict policy.
func (c *compiler) lack(r *decision.Requirement, x *condition) string {
	switch r.Kind {
	case decision.RequireUser:
		return c.lackUser()
	case decision.RequireGroup, decision.RequireClient, decision.RequireStepUp:
		return c.lackIssuer()
	case decision.RequireNetwork:
		return ""
	case decision.RequireUserRisk:
		return first(c.lackUser(), c.lackFacts(decision.Facts(decision.FactUserRisk)))
	case decision.RequireProof:
		return c.lackProof(r.Proof)
	case decision.RequireDevice:
		return first(c.lackDevice(), c.lackSource())
	case decision.RequireExpression:
		return c.lackExpression(x)
	case decision.RequireOwner:
		return first(c.lackUser(), c.lackDevice(), c.lackFacts(decision.Facts(decision.FactOwner)))
	}
	if c.attested(r.Kind) {
		return ""
	}
	f, ok := r.Kind.Fact()
	if !ok {
		return fmt.Sprintf("nothing supplies %s", r.Kind)
	}
	return first(c.lackDevice(), c.lackFacts(decision.Facts(f)))
}

func first(lacks ...string) string {
	for _, l := range lacks {
		if l != "" {
			return l
		}
	}
	return ""
}

func (c *compiler) lackUser() string {
	if len(c.env.Issuers) == 0 {
		return "no issuer is configured, and no certificate block names a user"
	}
	return ""
}

// lackIssuer is for what a certificate cannot say of its user: groups, the
// client, and whether the sign-in was strong.
func (c *compiler) lackIssuer() string {
	if len(c.issuerNames()) == 0 {
		return "no issuer is configured"
	}
	return ""
}

func (c *compiler) lackSource() string {
	if len(c.env.Sources) == 0 {
		return "no source is configured"
	}
	return ""
}

func (c *compiler) lackDevice() string {
	if !slices.ContainsFunc(c.env.Proofs, func(p decision.Proof) bool { return p >= decision.ProofToken }) {
		return "no issuer and no certificate block names a device"
	}
	return ""
}

func (c *compiler) lackProof(want decision.Proof) string {
	if want == decision.ProofAttested && len(c.attesting) > 0 {
		return ""
	}
	if !slices.ContainsFunc(c.env.Proofs, func(p decision.Proof) bool { return p >= want }) {
		var have []string
		for _, p := range c.env.Proofs {
			have = append(have, p.String())
		}
		return fmt.Sprintf("no issuer and no certificate block gives a device the proof %s or a stronger one (configured: %s)", want, orNone(have))
	}
	return c.lackSource() // a proven device must also be known
}

func (c *compiler) lackFacts(want decision.FactSet) string {
	var names []string
	for f := decision.Fact(0); f < decision.NumFacts; f++ {
		if want.Has(f) && !c.env.Facts.Has(f) {
			names = append(names, f.String())
		}
	}
	if names == nil {
		return ""
	}
	return fmt.Sprintf("no source supplies %s (configured sources: %s)", strings.Join(names, ", "), orNone(c.env.Sources))
}

func (c *compiler) lackExpression(x *condition) string {
	u := x.uses
	var lacks []string
	if u.user {
		lacks = append(lacks, c.lackUser())
	}
	if u.claims {
		lacks = append(lacks, c.lackIssuer())
	}
	if u.device {
		lacks = append(lacks, c.lackDevice())
	}
	if u.record {
		lacks = append(lacks, c.lackSource())
	}
	return first(append(lacks, c.lackFacts(u.facts))...)
}

// attested reports whether a step-up can stand in for the requirement.
func (c *compiler) attested(k decision.Kind) bool {
	for _, su := range c.attesting {
		for _, m := range su.For {
			if slices.Contains(m.Attests, k) {
				return true
			}
		}
	}
	return false
}

// needed returns the facts that a policy consults, and whether it asks if a
// source has the device at all.
func needed(p *decision.Policy) (facts decision.FactSet, presence bool) {
	for i := range p.Requirements {
		r := &p.Requirements[i]
		if f, ok := r.Kind.Fact(); ok {
			facts |= decision.Facts(f)
		}
		switch r.Kind {
		case decision.RequireDevice, decision.RequireProof:
			presence = true
		case decision.RequireExpression:
			facts |= r.Expr.Facts()
			if x, ok := r.Expr.(*expression); ok && x.uses.record {
				presence = true
			}
		}
	}
	return facts, presence
}

// groupIDs returns the object ids of the groups that a policy names.
func groupIDs(p *decision.Policy) (ids []string) {
	note := func(name string) {
		if id, ok := decision.IsGroupID(name); ok {
			ids = append(ids, id)
		}
	}
	for i := range p.Requirements {
		if r := &p.Requirements[i]; r.Kind == decision.RequireGroup {
			for _, name := range r.Names {
				note(name)
			}
		}
	}
	for i := range p.Exemptions {
		note(p.Exemptions[i].Group)
	}
	return ids
}

// pollMargin is the part of a needed source's poll interval, one in so many, by
// which max_age must exceed it. Reads come up to 10 % late, as the runner spreads
// them, and take their time; a device's facts may expire 10 % early, as
// [decision.Jitter] spreads that. 110/90 is 1.22, and the rest is for the read.
const pollMargin = 4

// checkPolling refuses a max_age that is hardly longer than the time between two
// reads of a needed source: its facts would expire now and then while all is well.
func (c *compiler) checkPolling(p *decision.Policy, place string) {
	facts, presence := needed(p)
	for _, source := range c.env.Sources {
		every, ok := c.env.PollIntervals[source]
		least := every + every/pollMargin
		if !ok || p.Ages.MaxAge >= least {
			continue
		}
		what := c.supplied(source, facts)
		if what == "" && presence {
			what = "devices"
		}
		if what == "" && slices.Contains(c.env.GroupSources, source) && len(groupIDs(p)) > 0 {
			what = "groups of users"
		}
		if what != "" {
			c.bad.add(place, "policy %s: max_age %s is too short for the poll interval %s of source %s, which supplies %s; the shortest is %s",
				p.Name, formatDuration(p.Ages.MaxAge), formatDuration(every), source, what, formatDuration(least))
		}
	}
}

// supplied names the first of the facts that a source supplies.
func (c *compiler) supplied(source string, facts decision.FactSet) string {
	for f := decision.Fact(0); f < decision.NumFacts; f++ {
		if !facts.Has(f) || !c.env.Facts.Has(f) {
			continue
		}
		if c.env.FactsFrom == nil {
			return f.String()
		}
		for name := range strings.SplitSeq(c.env.FactsFrom(f), ",") {
			if strings.TrimSpace(name) == source {
				return f.String()
			}
		}
	}
	return ""
}
