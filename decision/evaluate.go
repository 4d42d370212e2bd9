package decision

import (
	"math/bits"
	"slices"
	"strings"
)

// IssuerCertificate is User.Issuer of a user that a certificate names.
const IssuerCertificate = "certificate"

// evaluate answers one requirement and leaves in c.why what is wrong. It applies
// no rule of the policy but its age limits.
func (c *run) evaluate(r *Requirement) Tri {
	f := noFact
	if r.Kind < NumKinds {
		f = factOf[r.Kind]
	}
	switch {
	case f == noFact:
		return c.factless(r)
	case (r.Kind == RequireUserRisk || r.Kind == RequireOwner) && !c.userKnown:
		return c.needUser()
	case r.Kind != RequireUserRisk && !c.deviceKnown:
		return c.withoutDevice(r)
	}
	is := c.fact(r, f)
	if is == Unknown && (c.excused(r) || c.attested(r)) {
		c.why = answer{}
		return Yes
	}
	return is
}

// fact applies the age of a fact to what its value says. A no sticks whatever
// its age; a yes that is too old is unknown, and that is our fault.
func (c *run) fact(r *Requirement, f Fact) Tri {
	from, is := c.q.Posture.from[f], Unknown
	if from != 0 {
		is = c.value(r)
	}
	if is == Unknown {
		cause := c.cause(f)
		c.why = answer{reason: cause.reason(), param: unknownParam(cause, f, c.why.param), cause: cause}
		return Unknown
	}
	if from != c.lastFrom {
		c.consult(from)
	}
	if is == No && c.goneStale(Facts(f)) != 0 {
		return c.expired(from)
	}
	if is == Yes {
		if c.lastFresh == Expired {
			return c.expired(from)
		}
		if !c.q.Posture.heard(f, from, c.now, c.p.Ages) {
			cause := c.cause(f)
			c.why = answer{reason: cause.reason(), cause: cause}
			return Unknown
		}
		if !c.why.warn {
			return Yes
		}
	}
	c.why.source = c.q.Posture.Evidence[from-1].State.Name
	return is
}

// goneStale returns the evidence that one of the facts rests on, if that is an
// absence which the source did not confirm lately: the device may have been enrolled
// since. 0 is none.
func (c *run) goneStale(facts FactSet) uint8 {
	for set := facts &^ userFacts; set != 0; set &= set - 1 {
		from := c.q.Posture.from[bits.TrailingZeros32(uint32(set))]
		if from != 0 && !c.q.Posture.Evidence[from-1].Found && c.consult(from) != Fresh {
			return from
		}
	}
	return 0
}

// factless answers the requirements that look at something else than one fact
// of a source.
func (c *run) factless(r *Requirement) Tri {
	u := &c.q.Identity.User
	switch r.Kind {
	case RequireUser:
		if !c.userKnown || u.AppOnly {
			return c.needUser()
		}
		return Yes
	case RequireGroup:
		return c.group(r, u)
	case RequireClient:
		if u.Client == "" {
			return c.needUser()
		}
		if !slices.Contains(r.Names, u.Client) {
			return c.no(ClientNotAllowed, u.Client)
		}
		return Yes
	case RequireNetwork:
		for _, n := range r.Nets {
			if n.Contains(c.q.ClientIP) {
				return Yes
			}
		}
		return c.no(NetworkNotAllowed, "")
	case RequireStepUp:
		if !stepUpUser(c.q) {
			return c.needUser()
		}
		if r.StepUp.Satisfied(u, c.q.Now) {
			return Yes
		}
		c.why.stepUp = r.StepUp
		return c.no(StepUpRequired, r.StepUp.Name)
	case RequireExpression:
		return c.expression(r)
	case RequireDevice, RequireProof:
		return c.named(r)
	}
	c.why = answer{reason: FactUnknown, param: r.Kind.String(), cause: CauseNotReported} // a kind that nobody knows
	return Unknown
}

// named answers whether the request names a device that a source has, and with
// what proof. The identity provider's word tells that there is a device, not
// which one.
func (c *run) named(r *Requirement) Tri {
	if !c.deviceKnown {
		return c.withoutDevice(r)
	}
	if have := c.q.Identity.Device.Proof; have < r.Proof {
		return c.no(ProofTooWeak, have.String())
	}
	return c.presence()
}

// withoutDevice answers for a request that names no device.
func (c *run) withoutDevice(r *Requirement) Tri {
	if c.attested(r) {
		return Yes
	}
	c.why = answer{reason: DeviceUnidentified, need: EffectBlockUnidentified}
	return No
}

// presence answers whether a source has the device at all.
func (c *run) presence() Tri {
	found := uint8(0)
	for i := range c.q.Posture.Evidence {
		if !c.q.Posture.Evidence[i].Found {
			continue
		}
		from := uint8(i + 1)
		if c.freshness(from) != Expired {
			c.consult(from)
			return Yes
		}
		found = from
	}
	if found != 0 {
		c.consult(found)
	}
	cause := c.cause(NumFacts)
	if cause == CauseNotReported {
		cause = CauseNoSuchDevice
	}
	c.why = answer{reason: cause.reason(), cause: cause}
	return Unknown
}

// expression answers a condition. It needs every fact that it read to be fresh
// enough, unless it failed already: a no sticks.
func (c *run) expression(r *Requirement) Tri {
	is, cause := r.Expr.Eval(c.q)
	user, device := r.Expr.Subjects()
	if is == Unknown || is == No && !c.userKnown && !c.deviceKnown {
		// Perhaps only because nobody said who, or on what device. A stranger does
		// not learn what a policy says about people and devices either.
		switch {
		case user && (!c.userKnown || c.q.Identity.User.AppOnly):
			return c.needUser()
		case device && !c.deviceKnown:
			return c.withoutDevice(r)
		}
	}
	if is == No {
		if from := c.goneStale(r.Expr.Facts()); from != 0 {
			return c.expired(from)
		}
		return c.no(ExpressionFailed, r.Message)
	}
	for set := r.Expr.Facts(); set != 0; set &= set - 1 {
		f := Fact(bits.TrailingZeros32(uint32(set)))
		from := c.q.Posture.from[f]
		if from == 0 {
			if !cause.Ours() {
				cause = c.cause(f)
			}
			continue
		}
		if c.consult(from) == Expired {
			return c.expired(from)
		}
		if !c.q.Posture.heard(f, from, c.now, c.p.Ages) {
			is, cause = Unknown, c.cause(f)
		}
	}
	if is == Yes {
		return Yes
	}
	need := EffectNone
	if cause == CauseNone {
		cause = CauseNotReported
		if user {
			// No source is silent: the credential does not say it. on_unknown is
			// about sources, as with groups.
			need = EffectBlockUnknown
		}
	}
	c.why = answer{reason: cause.reason(), cause: cause, need: need}
	if cause == CauseNotReported {
		c.why.param = r.Message
	}
	return Unknown
}

func (c *run) no(r Reason, param string) Tri {
	c.why.reason, c.why.param = r, param
	return No
}

func (c *run) needUser() Tri {
	c.why = answer{reason: SignInRequired, need: EffectAuthenticate}
	return No
}

func (c *run) group(r *Requirement, u *User) Tri {
	switch {
	case !u.Known():
		return c.needUser()
	case overlap(r.Names, u.Groups):
		return Yes
	case u.GroupsKnown == Unknown:
		return c.groupsUnknown(CauseNotReported)
	case u.GroupsKnown == No:
		if is := c.membership(r); is != No {
			return is
		}
	}
	return c.no(GroupMissing, strings.Join(r.Names, ", "))
}
