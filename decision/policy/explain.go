package policy

import (
	"slices"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Explanation is a full account of one policy for one request. It is meant for
// operators: it names what a stranger must never learn.
type Explanation struct {
	Policy   string `json:"policy"`
	Revision string `json:"revision"`
	// Mode is "enforce", or "report_only" while the policy is on trial.
	Mode string `json:"mode"`
	// Enforced is, on trial, the policy that is enforced instead; "" if none.
	Enforced string `json:"enforced,omitempty"`
	// Until is the end of the trial.
	Until   *time.Time `json:"until,omitempty"`
	Outcome string     `json:"outcome"`
	// StepUp is the step-up that is asked for, with the outcome step_up.
	StepUp string `json:"step_up,omitempty"`
	// Attested is true if a requirement passed on the identity provider's word.
	Attested bool `json:"attested,omitempty"`
	// Reasons are the findings of the decision as the request meets them.
	Reasons      []ExplainedReason      `json:"reasons"`
	Requirements []ExplainedRequirement `json:"requirements"`
	// Facts are those that the policy consults or that a source reports.
	Facts []ExplainedFact `json:"facts"`
	// Conflicts counts the facts on which sources disagree.
	Conflicts int `json:"conflicts"`
}

// ExplainedReason is one finding of the decision.
type ExplainedReason struct {
	Code   string `json:"code"`
	Effect string `json:"effect"` // warn, step_up, undecided, authenticate or block
	Param  string `json:"param,omitempty"`
	Source string `json:"source,omitempty"`
	Place  string `json:"place,omitempty"` // of the requirement; "" for a hard stop
	Exempt string `json:"exempt,omitempty"`
}

// ExplainedRequirement is one line of the policy and how it went, each judged
// by itself.
type ExplainedRequirement struct {
	Text   string `json:"text"`
	Place  string `json:"place,omitempty"`
	Policy string `json:"policy"` // that wrote the line
	// Result is pass, warn, fail, unknown, step_up or authenticate.
	Result string `json:"result"`
	Reason string `json:"reason,omitempty"`
	Param  string `json:"param,omitempty"`
	Source string `json:"source,omitempty"` // of the fact
	// Note says why a line passed without its fact: it does not apply to the
	// platform, or the identity provider attested it; or why a failure is only
	// a warning.
	Note string `json:"note,omitempty"`
}

// ExplainedFact is one fact and its age.
type ExplainedFact struct {
	Name   string `json:"name"`
	Value  string `json:"value"` // "unknown" if no source reports it
	Source string `json:"source,omitempty"`
	// AgeSeconds counts from when the gateway last confirmed the fact; absent
	// for an unknown fact.
	AgeSeconds *int64 `json:"age_seconds,omitempty"`
	// Freshness is fresh, stale or expired by the ages of this policy; none for
	// an unknown fact. Absent where no policy is asked.
	Freshness string `json:"freshness,omitempty"`
	// Conflict is true if sources disagree about the fact.
	Conflict bool `json:"conflict,omitempty"`
	// Why says by which rule the value counts: authority, worst_of, newer,
	// delegated or latest ([decision.Rule]). Absent if the words are not known.
	Why string `json:"why,omitempty"`
	// Words are what each source says. Absent of a remembered decision, which
	// keeps what counted alone.
	Words []ExplainedWord `json:"words,omitempty"`
}

// ExplainedWord is what one source says about one fact.
type ExplainedWord struct {
	Source string `json:"source"`
	Value  string `json:"value"`
	// Standing is counts, agrees, overruled, defers, copy or set_aside
	// ([decision.Standing]).
	Standing string `json:"standing"`
	// ConfirmedAt is when the gateway last heard this from the source, and
	// AgeSeconds how long ago that is.
	ConfirmedAt *time.Time `json:"confirmed_at,omitempty"`
	AgeSeconds  *int64     `json:"age_seconds,omitempty"`
	// ObservedAt is when the source itself computed it or last heard of the device.
	ObservedAt *time.Time `json:"observed_at,omitempty"`
	Freshness  string     `json:"freshness,omitempty"` // by the ages of the policy
	// Failing is true while the source does not answer as it should.
	Failing bool `json:"failing,omitempty"`
}

// Explain decides p for q with e and accounts for every requirement and fact.
// words are what [decision.Weigh] told with the posture of q, or nil if that is
// not known any more.
// It is for operators and tests, not for the way of a request: it decides once
// per requirement. It never fails; p, e and q must not be nil.
func Explain(p *decision.Policy, e *decision.Engine, q *decision.Request, words []decision.Word) *Explanation {
	var d decision.Decision
	e.Decide(p, q, &d)
	x := &Explanation{
		Policy: p.Name, Revision: p.Revision, Mode: "enforce", Outcome: d.Outcome.String(), Attested: d.Attested,
		Reasons: []ExplainedReason{}, Requirements: []ExplainedRequirement{}, Conflicts: q.Posture.Conflicts,
	}
	if d.StepUp != nil {
		x.StepUp = d.StepUp.Name
	}
	if enforce, report := p.Split(q.Now); report != nil {
		until := p.ReportOnlyUntil
		x.Mode, x.Until = "report_only", &until
		if enforce != nil {
			x.Enforced = enforce.Name
		}
	}
	for i := range d.Findings {
		x.Reasons = append(x.Reasons, explainReason(&d.Findings[i]))
	}
	for i := range p.Requirements {
		x.Requirements = append(x.Requirements, explainRequirement(p, i, e, q))
	}
	x.Facts = explainFacts(p, e, q, words)
	return x
}

func explainReason(f *decision.Finding) ExplainedReason {
	r := ExplainedReason{Code: f.Reason.Code(), Effect: f.Effect.String(), Param: f.Param, Source: f.Source, Exempt: f.Exempt}
	if f.Requirement != nil {
		r.Place = f.Requirement.Place
	}
	return r
}

// explainRequirement decides the i-th requirement alone: in the whole decision
// equal reasons are one finding, and a stranger's findings are cut.
func explainRequirement(p *decision.Policy, i int, e *decision.Engine, q *decision.Request) ExplainedRequirement {
	alone := *p
	alone.Requirements = p.Requirements[i : i+1]
	alone.HardStopsOff = ^decision.HardStops(0)
	var d decision.Decision
	e.Decide(&alone, q, &d)
	r := &p.Requirements[i]
	out := ExplainedRequirement{Text: r.Text, Place: r.Place, Policy: r.Policy, Result: "pass"}
	found := false
	for k := range d.Findings {
		f := &d.Findings[k]
		if f.Requirement == nil { // a hard stop, or a step-up that this client cannot do
			continue
		}
		found = true
		out.Result, out.Reason, out.Param, out.Source = result(f), f.Reason.Code(), f.Param, f.Source
		if f.Exempt != "" {
			out.Note = "exempt: " + f.Exempt
		}
	}
	if found {
		return out
	}
	fact, single := r.Kind.Fact()
	if single {
		out.Source = q.Posture.Source(fact)
	}
	switch {
	case d.Attested:
		out.Source, out.Note = "entra_auth_context", "attested by the identity provider"
	case single && out.Source == "" && !decision.Applicable(r.Kind, q.Posture.Platform):
		out.Note = "does not apply to " + q.Posture.Platform.String()
	case !passes(&alone, e, q):
		out.Note = "by a step-up instead of the fact"
	}
	return out
}

// passes reports whether a policy's only requirement is met by itself, with no
// step-up in its place.
func passes(p *decision.Policy, e *decision.Engine, q *decision.Request) bool {
	bare := *p
	bare.OnUnknown, bare.OnOutage = decision.OnUnknown{}, nil
	r := p.Requirements[0]
	r.ElseStepUp = nil
	bare.Requirements = []decision.Requirement{r}
	var d decision.Decision
	e.Decide(&bare, q, &d)
	return !slices.ContainsFunc(d.Findings, func(f decision.Finding) bool { return f.Requirement != nil })
}

func result(f *decision.Finding) string {
	switch f.Effect {
	case decision.EffectWarn:
		return "warn"
	case decision.EffectStepUp:
		return "step_up"
	case decision.EffectAuthenticate:
		return "authenticate"
	case decision.EffectUndecided, decision.EffectBlockUnknown, decision.EffectBlockUnidentified:
		return "unknown"
	case decision.EffectNone, decision.EffectBlock:
	}
	return "fail"
}

// probe is an expression that is true and reads one fact: with it the engine
// itself says how fresh the fact is for a policy.
type probe decision.Fact

// Eval is always yes.
func (probe) Eval(*decision.Request) (decision.Tri, decision.Cause) {
	return decision.Yes, decision.CauseNone
}

// Facts returns the one fact.
func (f probe) Facts() decision.FactSet { return decision.Facts(decision.Fact(f)) }

// Subjects are not asked about: the answer is never unknown.
func (probe) Subjects() (user, device bool) { return false, false }

func freshness(p *decision.Policy, e *decision.Engine, q *decision.Request, f decision.Fact) decision.Freshness {
	ask := decision.Policy{Ages: p.Ages, Requirements: []decision.Requirement{{Kind: decision.RequireExpression, Expr: probe(f)}}}
	var d decision.Decision
	e.Decide(&ask, q, &d)
	for i := range d.Findings {
		if d.Findings[i].Requirement != nil {
			return decision.Expired
		}
	}
	return d.Freshness
}
