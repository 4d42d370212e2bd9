package decision

import (
	"net/netip"
	"time"
)

// Request is what one decision is about. The caller fills it; the engine only
// reads it.
type Request struct {
	Now      time.Time // with its monotonic reading
	Identity *Identity // never nil; the zero Identity is a stranger
	Posture  *Posture  // never nil; see [Posture]

	Method, Host, Path string // as the client sent them
	ClientIP           netip.Addr

	// NoStepUp says that this client cannot be sent to a stronger sign-in: a
	// step-up then becomes a block that says so.
	NoStepUp bool
}

// Outcome of a decision. The zero value blocks nothing and allows nothing: it
// means that no decision was made.
type Outcome uint8

// The outcomes, in order of severity.
const (
	NoOutcome Outcome = iota
	Allow
	RequestStepUp
	Undecided
	Authenticate
	Block
)

var outcomeNames = [...]string{"none", "allow", "step_up", "undecided", "authenticate", "block"}

// Outcomes lists every outcome, for metric labels.
var Outcomes = []Outcome{Allow, RequestStepUp, Undecided, Authenticate, Block}

// String returns the stable name used in metrics, logs and headers.
func (o Outcome) String() string { return name(outcomeNames[:], int(o)) }

// Effect is what one finding does to the outcome. Later ones win: this order is
// the precedence of the design, read backwards.
type Effect uint8

// The effects.
const (
	EffectNone Effect = iota
	EffectWarn
	EffectStepUp
	EffectUndecided
	EffectBlockUnknown      // a fact that healthy sources do not have
	EffectBlockUnidentified // no device id where one is needed
	EffectAuthenticate
	EffectBlock // a hard stop, or a plain no
)

var effectNames = [...]string{"none", "warn", "step_up", "undecided", "block", "block", "authenticate", "block"}

// String returns warn, step_up, undecided, authenticate or block.
func (e Effect) String() string { return name(effectNames[:], int(e)) }

func (e Effect) outcome() Outcome {
	switch e {
	case EffectNone, EffectWarn:
		return Allow
	case EffectStepUp:
		return RequestStepUp
	case EffectUndecided:
		return Undecided
	case EffectAuthenticate:
		return Authenticate
	case EffectBlockUnknown, EffectBlockUnidentified, EffectBlock:
	}
	return Block
}

// Finding is one thing that is not as the policy wants it.
type Finding struct {
	Reason Reason
	Effect Effect
	// Param narrows the reason: a setting, a level, a version, a fact's name.
	// Never part of the code or of a metric label.
	Param string
	// Source is the configured name of the source that said so, or "".
	Source string
	// Requirement is the policy line; nil for hard stops.
	Requirement *Requirement
	// Exempt is why an exemption turned a failure into this warning, or "".
	Exempt string
}

// Decision is the outcome of one policy for one request. Reuse a value by
// passing it to [Engine.Decide] again; its findings are overwritten.
type Decision struct {
	Policy   *Policy
	Outcome  Outcome
	Findings []Finding
	// StepUp is the first step-up that is missing, if the outcome is step_up.
	StepUp *StepUp
	// Freshness is the worst among the facts consulted.
	Freshness Freshness
	// Attested is true if a requirement passed on the identity provider's word.
	Attested bool
}

func (d *Decision) reset(p *Policy) {
	*d = Decision{Policy: p, Findings: d.Findings[:0]}
}

// Has reports whether r is among the findings.
func (d *Decision) Has(r Reason) bool {
	for i := range d.Findings {
		if d.Findings[i].Reason == r {
			return true
		}
	}
	return false
}

// add records a finding once: the same reason and parameter from a second
// requirement only raises the effect. Where nobody can rule out a hard stop, the line
// that asks for the same fact is named.
func (d *Decision) add(f Finding) {
	for i := range d.Findings {
		if g := &d.Findings[i]; g.Reason == f.Reason && g.Param == f.Param {
			if f.Effect > g.Effect {
				g.Effect, g.Requirement, g.Exempt = f.Effect, f.Requirement, f.Exempt
			} else if g.Requirement == nil && f.Reason == FactUnknown {
				g.Requirement = f.Requirement
			}
			return
		}
	}
	d.Findings = append(d.Findings, f)
}

func (d *Decision) keepOnly(e Effect) {
	kept := d.Findings[:0]
	for _, f := range d.Findings {
		if f.Effect == e {
			kept = append(kept, f)
		}
	}
	d.Findings = kept
}

func sameUser(name string, u *User) bool {
	return name == u.ID || equalFoldASCII(name, u.Name)
}
