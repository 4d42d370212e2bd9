package decision

// Engine decides. It holds what is common to all policies, is immutable after
// it is made, and is safe for concurrent use. Decide allocates nothing for a
// request that passes without a warning.
type Engine struct {
	// Attesting are the step-ups that stand in for posture requirements
	// because the identity provider checks the device itself.
	Attesting []*StepUp
}

// verdict of one requirement, before the policy's own rules are applied to it.
type answer struct {
	is     Tri // Yes: satisfied
	reason Reason
	param  string
	source string
	cause  Cause  // with Unknown
	need   Effect // EffectAuthenticate or EffectBlockUnidentified: subject missing
	warn   bool   // satisfied, but worth saying
	stepUp *StepUp
}

// Decide evaluates every requirement of p for q and writes the outcome into d.
// All requirements are evaluated, so that a person sees everything to fix at
// once. It never fails: what cannot be evaluated is unknown.
func (e *Engine) Decide(p *Policy, q *Request, d *Decision) {
	d.reset(p)
	worst := e.hardStops(p, q, d)
	var exempt *Exemption
	for i := range p.Exemptions {
		if p.Exemptions[i].covers(q) {
			exempt = &p.Exemptions[i]
			break
		}
	}
	for i := range p.Requirements {
		r := &p.Requirements[i]
		a := e.evaluate(p, r, q, d)
		if a.is == Yes && !a.warn {
			continue
		}
		effect := e.effect(p, r, q, d, &a)
		if effect == EffectNone {
			continue
		}
		f := Finding{Reason: a.reason, Effect: effect, Param: a.param, Source: a.source, Requirement: r}
		if exempt != nil && effect > EffectWarn && r.Kind.posture() {
			f.Effect, f.Exempt = EffectWarn, exempt.Because
		}
		d.add(f)
		worst = max(worst, f.Effect)
		if f.Effect == EffectStepUp && d.StepUp == nil {
			d.StepUp = a.stepUp
		}
	}
	if worst == EffectStepUp && q.NoStepUp {
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

// effect turns an answer that is not a plain yes into what it does here.
func (e *Engine) effect(p *Policy, r *Requirement, q *Request, d *Decision, a *answer) Effect {
	if a.is == Yes {
		return EffectWarn
	}
	if a.need != EffectNone {
		if a.need == EffectBlockUnidentified {
			if su := p.OnUnknown.StepUp; su != nil && attests(su, q, r.Kind) {
				return e.viaStepUp(su, q, d, a)
			}
			if r.ElseWarn {
				return EffectWarn
			}
		}
		return a.need
	}
	if r.ElseWarn {
		return EffectWarn
	}
	if a.stepUp != nil { // `require step_up` itself
		return EffectStepUp
	}
	if a.is == No {
		if r.ElseStepUp != nil {
			return e.viaStepUp(r.ElseStepUp, q, d, a)
		}
		if !q.Identity.User.Known() && !q.Identity.Device.Known() {
			return EffectBlockUnidentified // about the request, not about a proven subject
		}
		return EffectBlock
	}
	if a.cause.Ours() {
		if p.OnOutage != nil {
			return e.viaStepUp(p.OnOutage, q, d, a)
		}
		return EffectUndecided
	}
	switch {
	case p.OnUnknown.StepUp != nil:
		return e.viaStepUp(p.OnUnknown.StepUp, q, d, a)
	case p.OnUnknown.Warn:
		return EffectWarn
	}
	return EffectBlockUnknown
}

// viaStepUp lets a satisfied step-up stand in for a fact.
func (e *Engine) viaStepUp(su *StepUp, q *Request, d *Decision, a *answer) Effect {
	if !stepUpUser(q) {
		a.reason, a.param, a.source = SignInRequired, "", ""
		return EffectAuthenticate
	}
	if su.Satisfied(&q.Identity.User, q.Now) {
		return EffectNone
	}
	a.stepUp = su
	return EffectStepUp
}

// hardStops records what ends every request of this user or device, whatever
// the policy asks for, and returns the worst effect.
func (e *Engine) hardStops(p *Policy, q *Request, d *Decision) Effect {
	worst := EffectNone
	stop := func(off HardStops, r Reason, param, source string) {
		if p.HardStopsOff&off == 0 {
			d.add(Finding{Reason: r, Effect: EffectBlock, Param: param, Source: source})
			worst = EffectBlock
		}
	}
	s := q.Posture
	if s.Revoked != nil {
		stop(0, Revoked, s.Revoked.Subject, "")
	}
	if q.Identity.User.Known() {
		if s.User.Enabled == No {
			stop(StopUserDisabled, UserDisabled, "", s.Source(FactUserEnabled))
		}
		if s.User.Compromised == Yes {
			stop(StopUserCompromised, UserCompromised, "", s.Source(FactUserRisk))
		}
	}
	if !q.Identity.Device.Known() {
		return worst
	}
	if s.Ambiguous {
		stop(0, DeviceAmbiguous, "", "")
	}
	if s.Enabled == No {
		stop(StopDisabled, DeviceDisabled, "", s.Source(FactEnabled))
	}
	switch s.Lifecycle {
	case LifecycleRetiring, LifecycleWiping, LifecycleRevoked:
		stop(StopRetired, DeviceRetired, s.Lifecycle.String(), s.Source(FactLifecycle))
	case LifecycleUnknown, LifecycleActive, LifecyclePending, LifecycleUnhealthy, LifecycleDiscovered:
	}
	if s.Jailbroken == Yes {
		stop(StopJailbroken, Jailbroken, "", s.Source(FactJailbroken))
	}
	if s.Risk == LevelCompromised {
		stop(StopCompromised, DeviceCompromised, "", s.Source(FactRisk))
	}
	return worst
}

// attested reports whether the identity provider vouches for a requirement of
// kind k. A source's plain no about an identified device still wins: see
// evaluate.
func (e *Engine) attested(q *Request, k Kind) bool {
	for _, su := range e.Attesting {
		if attests(su, q, k) && su.Satisfied(&q.Identity.User, q.Now) {
			return true
		}
	}
	return false
}

func attests(su *StepUp, q *Request, k Kind) bool {
	for _, kind := range su.For[q.Identity.User.Issuer].Attests {
		if kind == k {
			return true
		}
	}
	return false
}

// stepUpUser reports whether the request's user came by a credential of an
// issuer, which alone can be stepped up.
func stepUpUser(q *Request) bool {
	u := &q.Identity.User
	return u.Known() && !u.AppOnly && u.Issuer != "" && u.Issuer != IssuerCertificate
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
