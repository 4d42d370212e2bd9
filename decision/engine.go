package decision

import "slices"

// Engine decides. It holds what is common to all policies, is immutable after
// it is made, and is safe for concurrent use. Decide allocates nothing for a
// request that passes without a warning.
type Engine struct {
	// Attesting are the step-ups that stand in for posture requirements
	// because the identity provider checks the device itself.
	Attesting []*StepUp
}

// answer says why a requirement is not a plain yes. It stays zero for one.
type answer struct {
	reason Reason
	param  string
	source string
	cause  Cause   // of an unknown
	need   Effect  // whatever on_unknown says: the subject, or what its credential could say, is missing
	warn   bool    // satisfied, but worth saying
	stepUp *StepUp // the one that is missing
}

// run is one decision in progress.
type run struct {
	e   *Engine
	p   *Policy
	q   *Request
	d   *Decision
	now int64  // q.Now as [Mono]
	why answer // about the requirement at hand

	userKnown, deviceKnown bool

	// The evidence consulted last, counted from 1 (0: none yet), and how fresh
	// it is: most facts of a device come from one source.
	lastFrom  uint8
	lastFresh Freshness
}

// Decide evaluates every requirement of p for q and writes the outcome into d.
// All requirements are evaluated, so that a person sees everything to fix at
// once. It never fails: what cannot be evaluated is unknown.
func (e *Engine) Decide(p *Policy, q *Request, d *Decision) {
	d.reset(p)
	c := run{e: e, p: p, q: q, d: d, now: Mono(q.Now)}
	c.userKnown, c.deviceKnown = q.Identity.User.Known(), q.Identity.Device.Known()
	worst := max(c.hardStops(), c.unreadableStops())
	exempt := p.exemption(q)
	for i := range p.Requirements {
		r := &p.Requirements[i]
		if is := c.evaluate(r); is != Yes || c.why.warn {
			worst = max(worst, c.conclude(r, is, Finding{Requirement: r}, exempt))
		}
	}
	if worst == EffectStepUp && (q.NoStepUp || !d.StepUp.offeredTo(&q.Identity.User)) {
		d.add(Finding{Reason: StepUpUnavailable, Effect: EffectBlock, Param: d.StepUp.Name})
		worst = EffectBlock
	}
	d.Outcome = worst.outcome()
	if d.Outcome != RequestStepUp {
		d.StepUp = nil
	}
	if d.Outcome == Authenticate {
		d.keepOnly(EffectAuthenticate) // a stranger never learns policy
	}
}

// conclude records what an answer that is not a plain yes does here, with c.why of it,
// and returns its effect.
func (c *run) conclude(r *Requirement, is Tri, f Finding, exempt *Exemption) Effect {
	f.Effect = c.effect(r, is)
	a := c.why
	c.why = answer{}
	if f.Effect == EffectNone {
		return EffectNone
	}
	f.Reason, f.Param, f.Source = a.reason, a.param, a.source
	if exempt != nil && f.Effect > EffectWarn && f.Effect != EffectAuthenticate && r.excusable() {
		f.Effect, f.Exempt = EffectWarn, exempt.Because
	}
	c.d.add(f)
	if f.Effect == EffectStepUp && c.d.StepUp == nil {
		c.d.StepUp = a.stepUp
	}
	return f.Effect
}

// effect turns an answer that is not a plain yes into what it does here.
func (c *run) effect(r *Requirement, is Tri) Effect {
	switch {
	case is == Yes || r.ElseWarn && c.why.need != EffectAuthenticate:
		return EffectWarn
	case c.why.need == EffectBlockUnidentified:
		if su := c.p.OnUnknown.StepUp; su != nil && c.vouches(su, r) {
			return c.viaStepUp(su)
		}
		return EffectBlockUnidentified
	case c.why.need != EffectNone:
		return c.why.need
	case is == No:
		return c.effectOfNo(r)
	case c.why.cause.Ours():
		// A stronger sign-in shows who somebody is, never what they may do.
		if c.p.OnOutage != nil && r.Kind != RequireGroup {
			return c.viaStepUp(c.p.OnOutage)
		}
		return EffectUndecided
	case r.Kind == RequireGroup:
		// on_unknown is about devices: it must not let somebody past a group by way
		// of a credential that lists none.
		return EffectBlockUnknown
	case c.p.OnUnknown.StepUp != nil:
		return c.viaStepUp(c.p.OnUnknown.StepUp)
	case c.p.OnUnknown.Warn:
		return EffectWarn
	}
	return EffectBlockUnknown
}

func (c *run) effectOfNo(r *Requirement) Effect {
	switch {
	case r.Kind == RequireStepUp:
		return EffectStepUp
	case r.ElseStepUp != nil:
		return c.viaStepUp(r.ElseStepUp)
	case !c.userKnown && !c.deviceKnown:
		return EffectBlockUnidentified // about the request, not about a proven subject
	}
	return EffectBlock
}

// viaStepUp lets a satisfied step-up stand in for a fact.
func (c *run) viaStepUp(su *StepUp) Effect {
	if !stepUpUser(c.q) {
		c.why = answer{reason: SignInRequired}
		return EffectAuthenticate
	}
	if su.Satisfied(&c.q.Identity.User, c.q.Now) {
		return EffectNone
	}
	c.why.stepUp = su
	return EffectStepUp
}

// attested reports, and records, that the identity provider vouches for r now.
func (c *run) attested(r *Requirement) bool {
	for _, su := range c.e.Attesting {
		if c.vouches(su, r) && su.Satisfied(&c.q.Identity.User, c.q.Now) {
			c.d.Attested = true
			return true
		}
	}
	return false
}

// vouches reports whether su, once shown by this user, stands for r. Whatever a
// step-up attests, it also is `proof attested`.
func (c *run) vouches(su *StepUp, r *Requirement) bool {
	kinds := su.For[c.q.Identity.User.Issuer].Attests
	if r.Kind == RequireProof {
		return r.Proof == ProofAttested && len(kinds) > 0
	}
	return slices.Contains(kinds, r.Kind)
}

// stepUpUser reports whether the request's user came by a credential of an
// issuer, which alone can be stepped up.
func stepUpUser(q *Request) bool {
	u := &q.Identity.User
	return u.Known() && !u.AppOnly && u.Issuer != IssuerCertificate
}
