package policy

import (
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// maxTrial is how far ahead report_only and exempt may end.
const maxTrial = 90

// compilePolicy joins a policy with its compiled parent (nil for a root).
//
// Requirements add up, inherited ones first. Ages, on_unknown and on_outage are
// inherited; the first two may only get stricter. hard_stop off, exempt and
// report_only are not inherited: each of them takes something away, so it holds
// only where it is written.
func (c *compiler) compilePolicy(p *parsed, parent *decision.Policy) *decision.Policy {
	out := &decision.Policy{Name: p.Name}
	out.Ages, _ = tier("standard")
	if parent != nil {
		out.Ages, out.OnUnknown, out.OnOutage = parent.Ages, parent.OnUnknown, parent.OnOutage
	}
	agesPlace := p.Place
	for _, s := range p.lines {
		switch s.word {
		case "freshness":
			out.Ages, _ = tier(s.choice)
			agesPlace = s.place
		case "max_age":
			out.Ages.MaxAge = s.duration
			agesPlace = s.place
		case "stale_if_error":
			out.Ages.StaleIfError = s.duration
		case "on_unknown":
			c.onUnknown(s, out, parent)
		case "on_outage":
			out.OnOutage = c.step(s.place, s.name)
		case "hard_stop":
			out.HardStopsOff |= s.stop
		case "report_only":
			c.reportOnly(s, p, out, parent)
		case "exempt":
			c.exempt(s, p, out)
		}
	}
	if parent != nil {
		c.checkAges(p, out, parent)
	}
	c.requirements(p, out, parent)
	c.checkPolling(out, agesPlace)
	out.Revision = revision(out, c.attesting)
	return out
}

// checkAges refuses ages that are laxer than the parent's.
func (c *compiler) checkAges(p *parsed, out, parent *decision.Policy) {
	for _, s := range p.lines {
		maxAge := s.word == "max_age" || s.word == "freshness"
		stale := s.word == "stale_if_error" || s.word == "freshness"
		if maxAge && out.Ages.MaxAge > parent.Ages.MaxAge {
			c.bad.add(s.place, "%s is laxer than policy %s: max_age %s instead of %s; a policy may only be stricter than the one it extends",
				s.text, parent.Name, formatDuration(out.Ages.MaxAge), formatDuration(parent.Ages.MaxAge))
		} else if stale && out.Ages.StaleIfError > parent.Ages.StaleIfError {
			c.bad.add(s.place, "%s is laxer than policy %s: stale_if_error %s instead of %s; a policy may only be stricter than the one it extends",
				s.text, parent.Name, formatDuration(out.Ages.StaleIfError), formatDuration(parent.Ages.StaleIfError))
		}
	}
}

// onUnknown orders block before a step-up before warn. Two different step-ups
// cannot be compared, so neither may replace the other.
func (c *compiler) onUnknown(s *statement, out, parent *decision.Policy) {
	var o decision.OnUnknown
	switch s.choice {
	case "warn":
		o.Warn = true
	case "step_up":
		o.StepUp = c.step(s.place, s.name)
	}
	out.OnUnknown = o
	if parent == nil {
		return
	}
	was := parent.OnUnknown
	if laxity(o) > laxity(was) || o.StepUp != nil && was.StepUp != nil && o.StepUp != was.StepUp {
		c.bad.add(s.place, "%s is laxer than policy %s, which has on_unknown %s; a policy may only be stricter than the one it extends",
			s.text, parent.Name, unknownText(was))
	}
}

func laxity(o decision.OnUnknown) int {
	switch {
	case o.Warn:
		return 2
	case o.StepUp != nil:
		return 1
	}
	return 0
}

func unknownText(o decision.OnUnknown) string {
	switch {
	case o.Warn:
		return "warn"
	case o.StepUp != nil:
		return "step_up " + o.StepUp.Name
	}
	return "block"
}

// reportOnly puts the policy on trial. What it extends stays enforced.
func (c *compiler) reportOnly(s *statement, p *parsed, out, parent *decision.Policy) {
	if !c.checkUntil(s) {
		return
	}
	day := lastDay(s.until)
	if !c.env.Now.Before(s.until) {
		c.warn(s.place, fmt.Sprintf("policy %s: report_only ended on %s: the policy is enforced", p.Name, day))
		return
	}
	switch enforced := enforcing(parent, c.env.Now); {
	case !enforced && !s.unenforced:
		c.bad.add(s.place, "report_only would enforce nothing: policy %s is report_only itself; if that is meant, write: report_only unenforced until %s", parent.Name, day)
		return
	case enforced && s.unenforced:
		c.warn(s.place, fmt.Sprintf("policy %s: unenforced has no effect: policy %s stays enforced", p.Name, parent.Name))
	}
	out.ReportOnlyUntil, out.Parent = s.until, parent
}

// enforcing reports whether anything of p is enforced at t.
func enforcing(p *decision.Policy, t time.Time) bool {
	if p == nil {
		return false
	}
	enforce, _ := p.Split(t)
	return enforce != nil
}

// exempt adds an exemption. One that has ended is left out.
func (c *compiler) exempt(s *statement, p *parsed, out *decision.Policy) {
	if !c.checkUntil(s) {
		return
	}
	if !c.env.Now.Before(s.until) {
		c.warn(s.place, fmt.Sprintf("policy %s: exemption ended on %s and is void: %s", p.Name, lastDay(s.until), s.text))
		return
	}
	out.Exemptions = append(out.Exemptions, s.exempt)
}

// checkUntil refuses a date more than 90 days ahead, counted in days of UTC.
func (c *compiler) checkUntil(s *statement) bool {
	if c.env.Now.IsZero() {
		c.bad.add(s.place, "%s: the time of loading is not known", s.word)
		return false
	}
	today := c.env.Now.UTC().Truncate(24 * time.Hour)
	if latest := today.AddDate(0, 0, maxTrial); s.until.AddDate(0, 0, -1).After(latest) {
		c.bad.add(s.place, "%s until %s is more than %d days ahead; the latest date is %s", s.word, lastDay(s.until), maxTrial, latest.Format(time.DateOnly))
		return false
	}
	return true
}

// lastDay is the day that an until line names.
func lastDay(until time.Time) string { return until.AddDate(0, 0, -1).Format(time.DateOnly) }

// requirements resolves the policy's own lines and puts them after the
// inherited ones.
func (c *compiler) requirements(p *parsed, out, parent *decision.Policy) {
	if parent != nil {
		out.Requirements = slices.Clone(parent.Requirements)
	}
	for _, s := range p.lines {
		if s.word == "require" {
			out.Requirements = append(out.Requirements, c.requirement(s, p))
		}
	}
	if len(out.Requirements) > maxFlattened {
		c.bad.add(p.Place, "policy %s has %d requirements with those it inherits: at most %d", p.Name, len(out.Requirements), maxFlattened)
	}
	for i := range out.Requirements {
		r := &out.Requirements[i]
		if x, ok := r.Expr.(*expression); ok {
			// An inherited expression is judged by this policy's ages.
			r.Expr = &expression{condition: x.condition, ages: out.Ages}
		}
	}
}

func (c *compiler) requirement(s *statement, p *parsed) decision.Requirement {
	r := s.require.Requirement
	r.Place, r.Policy = s.place, p.Name
	if s.require.stepUp != "" {
		r.StepUp = c.step(s.place, s.require.stepUp)
	}
	if s.require.elseStepUp != "" {
		r.ElseStepUp = c.step(s.place, s.require.elseStepUp)
		if r.Kind == decision.RequireDevice {
			c.warn(s.place, s.text+": else has no effect here: that no source has a device is unknown, not no; see on_unknown")
		}
	}
	if s.require.expr != nil {
		r.Expr = &expression{condition: s.require.expr}
	}
	if lack := c.lack(&r, s.require.expr); lack != "" {
		c.bad.add(s.place, "%s: %s", s.text, lack)
	}
	return r
}
