package decision

import (
	"strings"
	"time"
)

// IssuerCertificate is User.Issuer of a user that a certificate names.
const IssuerCertificate = "certificate"

// evaluate answers one requirement. It applies no rule of the policy but its
// age limits.
func (e *Engine) evaluate(p *Policy, r *Requirement, q *Request, d *Decision) answer {
	u, s := &q.Identity.User, q.Posture
	switch r.Kind {
	case RequireUser:
		if !u.Known() || u.AppOnly {
			return needUser()
		}
		return yes()
	case RequireGroup:
		return group(r, u)
	case RequireClient:
		if u.Client == "" {
			return needUser()
		}
		if !contains(r.Names, u.Client) {
			return no(ClientNotAllowed, u.Client, "")
		}
		return yes()
	case RequireNetwork:
		for _, n := range r.Nets {
			if n.Contains(q.ClientIP) {
				return yes()
			}
		}
		return no(NetworkNotAllowed, "", "")
	case RequireStepUp:
		if !stepUpUser(q) {
			return needUser()
		}
		if r.StepUp.Satisfied(u, q.Now) {
			return yes()
		}
		return answer{is: No, reason: StepUpRequired, param: r.StepUp.Name, stepUp: r.StepUp}
	case RequireUserRisk:
		if !u.Known() {
			return needUser()
		}
		return e.fact(p, q, d, FactUserRisk, func() answer { return atMost(s.User.Risk, r.Level, UserRiskTooHigh) })
	case RequireExpression:
		return e.expression(p, r, q, d)
	case RequireDevice, RequireProof, RequireManaged, RequireCompliant, RequireEncrypted, RequireUpdated, RequireNotJailbroken,
		RequireNotMalware, RequireRisk, RequireOS, RequireTrust, RequireOwnership, RequireOwner, RequireCheckedIn:
	}
	return e.device(p, r, q, d)
}

// device answers a requirement about the device.
func (e *Engine) device(p *Policy, r *Requirement, q *Request, d *Decision) answer {
	attested := len(e.Attesting) > 0 && e.attested(q, r.Kind)
	if !q.Identity.Device.Known() {
		if attested || r.Kind == RequireProof && r.Proof == ProofAttested && e.anyAttested(q) {
			d.Attested = true
			return yes()
		}
		return answer{is: No, reason: DeviceUnidentified, need: EffectBlockUnidentified}
	}
	a := e.known(p, r, q, d)
	if a.is == Unknown && attested {
		d.Attested = true
		return yes()
	}
	return a
}

func (e *Engine) anyAttested(q *Request) bool {
	for _, su := range e.Attesting {
		if len(su.For[q.Identity.User.Issuer].Attests) > 0 && su.Satisfied(&q.Identity.User, q.Now) {
			return true
		}
	}
	return false
}

// known answers a requirement about an identified device.
func (e *Engine) known(p *Policy, r *Requirement, q *Request, d *Decision) answer {
	s := q.Posture
	switch r.Kind {
	case RequireProof:
		if q.Identity.Device.Proof < r.Proof {
			return no(ProofTooWeak, q.Identity.Device.Proof.String(), "")
		}
		return e.presence(p, q, d)
	case RequireDevice:
		return e.presence(p, q, d)
	case RequireManaged:
		return e.fact(p, q, d, FactManaged, func() answer { return tri(s.Managed, NotManaged) })
	case RequireCompliant:
		return e.fact(p, q, d, FactCompliance, func() answer { return compliance(s, r.Strict, q.Now) })
	case RequireEncrypted:
		return e.applicable(r, q, e.fact(p, q, d, FactEncrypted, func() answer { return tri(s.Encrypted, NotEncrypted) }))
	case RequireUpdated:
		return e.fact(p, q, d, FactUpdated, func() answer { return tri(s.Updated, NotUpdated) })
	case RequireNotJailbroken:
		return e.applicable(r, q, e.fact(p, q, d, FactJailbroken, func() answer { return not(s.Jailbroken, Jailbroken) }))
	case RequireNotMalware:
		return e.fact(p, q, d, FactMalware, func() answer { return not(s.Malware, MalwareActive) })
	case RequireRisk:
		return e.fact(p, q, d, FactRisk, func() answer { return atMost(s.Risk, r.Level, RiskTooHigh) })
	case RequireOS:
		return e.fact(p, q, d, FactOS, func() answer { return osAtLeast(s, r) })
	case RequireTrust:
		return e.fact(p, q, d, FactTrust, func() answer { return trust(s.Trust, r.Trusts) })
	case RequireOwnership:
		return e.fact(p, q, d, FactOwnership, func() answer { return ownership(s.Ownership) })
	case RequireOwner:
		if !q.Identity.User.Known() {
			return needUser()
		}
		return e.fact(p, q, d, FactOwner, func() answer { return owner(s, &q.Identity.User) })
	case RequireCheckedIn:
		return e.fact(p, q, d, FactCheckIn, func() answer { return checkedIn(s.LastCheckIn, r.Within, q.Now) })
	case RequireUser, RequireGroup, RequireClient, RequireNetwork, RequireStepUp, RequireUserRisk, RequireExpression:
	}
	return answer{is: Unknown, reason: FactUnknown, param: r.Kind.String(), cause: CauseNotReported}
}

// fact applies the age of a fact to what its value says. A no sticks whatever
// its age; a yes that is too old is unknown, and that is our fault.
func (e *Engine) fact(p *Policy, q *Request, d *Decision, f Fact, value func() answer) answer {
	s := q.Posture
	a := value()
	i := s.from[f]
	if i == 0 || a.is == Unknown {
		c := s.cause(f, Mono(q.Now), p.Ages)
		return answer{is: Unknown, reason: c.reason(), param: unknownParam(c, f, a.param), cause: c}
	}
	ev := &s.Evidence[i-1]
	a.source = ev.State.Name
	fresh := s.freshness(ev, Mono(q.Now), p.Ages)
	if fresh == Expired && a.is == Yes {
		c := expiredCause(ev)
		return answer{is: Unknown, reason: c.reason(), source: a.source, cause: c}
	}
	d.Freshness = max(d.Freshness, fresh)
	return a
}

// presence answers whether a source has the device at all.
func (e *Engine) presence(p *Policy, q *Request, d *Decision) answer {
	s, now := q.Posture, Mono(q.Now)
	for i := range s.Evidence {
		if ev := &s.Evidence[i]; ev.Found {
			if fresh := s.freshness(ev, now, p.Ages); fresh != Expired {
				d.Freshness = max(d.Freshness, fresh)
				return yes()
			}
		}
	}
	c := s.cause(NumFacts, now, p.Ages)
	if c == CauseNotReported {
		c = CauseNoSuchDevice
	}
	return answer{is: Unknown, reason: c.reason(), cause: c}
}

// cause says why fact f (or, with NumFacts, the device itself) is unknown.
func (p *Posture) cause(f Fact, now int64, a Ages) Cause {
	best := CauseNone
	found := false
	for i := range p.Evidence {
		ev := &p.Evidence[i]
		if f < NumFacts && !ev.State.Supplies().Has(f) || f == NumFacts && !ev.State.Authoritative {
			continue
		}
		found = found || ev.Found
		switch {
		case ev.Cause != CauseNone && ev.Cause != CauseNoSuchDevice:
			best = ev.Cause
		case !ev.State.Loaded():
			best = CauseNotLoaded
		case p.freshness(ev, now, a) == Expired:
			best = expiredCause(ev)
		}
	}
	switch {
	case best != CauseNone:
		return best
	case found:
		return CauseNotReported
	case p.Known():
		return CauseNotReported
	}
	return CauseNoSuchDevice
}

func expiredCause(ev *Evidence) Cause {
	if c := ev.State.Failing(); c != CauseNone {
		return c
	}
	return CauseExpired
}

func unknownParam(c Cause, f Fact, detail string) string {
	if c != CauseNotReported {
		return ""
	}
	if detail != "" {
		return detail
	}
	return f.String()
}

func (e *Engine) expression(p *Policy, r *Requirement, q *Request, d *Decision) answer {
	t, c := r.Expr.Eval(q)
	s, now := q.Posture, Mono(q.Now)
	facts := r.Expr.Facts()
	for f := Fact(0); f < NumFacts; f++ {
		if !facts.Has(f) || s.from[f] == 0 {
			continue
		}
		ev := &s.Evidence[s.from[f]-1]
		fresh := s.freshness(ev, now, p.Ages)
		if fresh == Expired && t == Yes {
			cause := expiredCause(ev)
			return answer{is: Unknown, reason: cause.reason(), source: ev.State.Name, cause: cause}
		}
		d.Freshness = max(d.Freshness, fresh)
	}
	switch t {
	case Yes:
		return yes()
	case No:
		return no(ExpressionFailed, r.Message, "")
	case Unknown:
	}
	if facts&^Facts(FactUserEnabled, FactUserRisk) != 0 && !q.Identity.Device.Known() {
		return answer{is: No, reason: DeviceUnidentified, need: EffectBlockUnidentified}
	}
	for f := Fact(0); f < NumFacts; f++ {
		if facts.Has(f) && s.from[f] == 0 {
			if fc := s.cause(f, now, p.Ages); fc.Ours() || c == CauseNone {
				c = fc
			}
		}
	}
	if c == CauseNone {
		c = CauseNotReported
	}
	a := answer{is: Unknown, reason: c.reason(), cause: c}
	if c == CauseNotReported {
		a.param = r.Message
	}
	return a
}

func yes() answer { return answer{is: Yes} }

func no(r Reason, param, source string) answer {
	return answer{is: No, reason: r, param: param, source: source}
}

func needUser() answer { return answer{is: No, reason: SignInRequired, need: EffectAuthenticate} }

func tri(t Tri, r Reason) answer {
	switch t {
	case Yes:
		return yes()
	case No:
		return no(r, "", "")
	case Unknown:
	}
	return answer{}
}

func not(t Tri, r Reason) answer {
	switch t {
	case No:
		return yes()
	case Yes:
		return no(r, "", "")
	case Unknown:
	}
	return answer{}
}

func group(r *Requirement, u *User) answer {
	if !u.Known() {
		return needUser()
	}
	if overlap(r.Names, u.Groups) {
		return yes()
	}
	if u.GroupsKnown != Yes {
		return answer{is: Unknown, reason: GroupsUnknown, cause: CauseNotReported}
	}
	return no(GroupMissing, strings.Join(r.Names, ", "), "")
}

func compliance(s *Posture, strict bool, now time.Time) answer {
	switch s.Compliance {
	case Compliant:
		return yes()
	case InGracePeriod:
		switch {
		case !s.GraceUntil.IsZero() && !now.Before(s.GraceUntil):
			return no(GraceExpired, s.GraceUntil.UTC().Format(time.RFC3339), "")
		case strict:
			return no(GracePeriod, graceParam(s), "")
		}
		return answer{is: Yes, warn: true, reason: GracePeriod, param: graceParam(s)}
	case NonCompliant:
		return no(Noncompliant, settings(s), "")
	case ComplianceConflict, ComplianceError:
		return no(Noncompliant, s.Compliance.String(), "")
	case ComplianceNotManaged:
		return no(NotManaged, "", "")
	case ComplianceNotEvaluated, ComplianceDelegated:
		return answer{param: s.Compliance.String()}
	case ComplianceUnknown:
	}
	return answer{}
}

func graceParam(s *Posture) string {
	if s.GraceUntil.IsZero() {
		return ""
	}
	return s.GraceUntil.UTC().Format(time.RFC3339)
}

func settings(s *Posture) string {
	names := make([]string, 0, len(s.Settings))
	for _, st := range s.Settings {
		names = append(names, st.Name)
	}
	return strings.Join(names, ", ")
}

func atMost(have, limit Level, r Reason) answer {
	switch {
	case have == LevelUnknown:
		return answer{}
	case have > limit:
		return no(r, have.String(), "")
	}
	return yes()
}

func osAtLeast(s *Posture, r *Requirement) answer {
	if s.Platform == PlatformUnknown {
		return answer{}
	}
	floor, listed := r.MinOS[s.Platform]
	switch {
	case !listed:
		return no(OSNotAllowed, s.Platform.String(), "")
	case floor.IsZero():
		return yes()
	case s.OSVersion.IsZero():
		return answer{}
	case s.OSVersion.Less(floor):
		return no(OSTooOld, s.Platform.String()+" "+s.OSVersion.String()+" < "+floor.String(), "")
	}
	return yes()
}

func trust(have Trust, want []Trust) answer {
	if have == TrustUnknown {
		return answer{}
	}
	for _, t := range want {
		if t == have {
			return yes()
		}
	}
	return no(TrustMissing, have.String(), "")
}

func ownership(o Ownership) answer {
	switch o {
	case Corporate:
		return yes()
	case Personal:
		return no(NotCorporate, "", "")
	case OwnershipUnknown:
	}
	return answer{}
}

func owner(s *Posture, u *User) answer {
	switch {
	case s.OwnerID != "" && u.ObjectID != "":
		if !strings.EqualFold(s.OwnerID, u.ObjectID) {
			return no(NotOwner, "", "")
		}
		return yes()
	case s.OwnerUPN != "" && u.Name != "":
		if !strings.EqualFold(s.OwnerUPN, u.Name) {
			return no(NotOwner, "", "")
		}
		return yes()
	}
	return answer{}
}

func checkedIn(last time.Time, within time.Duration, now time.Time) answer {
	if last.IsZero() {
		return answer{}
	}
	if now.Sub(last) > within {
		return no(CheckInTooOld, last.UTC().Format(time.RFC3339), "")
	}
	return yes()
}
