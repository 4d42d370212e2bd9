package decision

import (
	"slices"
	"strings"
	"time"
)

// value answers from what the posture says, whatever its age.
func (c *run) value(r *Requirement) Tri {
	s := c.q.Posture
	switch r.Kind {
	case RequireManaged:
		return c.must(s.Managed, Yes, NotManaged)
	case RequireCompliant:
		return c.compliance(s, r.Strict)
	case RequireEncrypted:
		return c.must(s.Encrypted, Yes, NotEncrypted)
	case RequireUpdated:
		return c.must(s.Updated, Yes, NotUpdated)
	case RequireNotJailbroken:
		return c.must(s.Jailbroken, No, Jailbroken)
	case RequireNotMalware:
		return c.must(s.Malware, No, MalwareActive)
	case RequireRisk:
		return c.atMost(s.Risk, s.RiskFloor, r.Level, RiskTooHigh)
	case RequireUserRisk:
		return c.atMost(s.User.Risk, s.User.RiskFloor, r.Level, UserRiskTooHigh)
	case RequireOS:
		return c.osAtLeast(s, r)
	case RequireTrust:
		switch {
		case s.Trust == TrustUnknown:
			return Unknown
		case slices.Contains(r.Trusts, s.Trust):
			return Yes
		}
		return c.no(TrustMissing, s.Trust.String())
	case RequireOwnership:
		switch s.Ownership {
		case OwnershipUnknown:
			return Unknown
		case Corporate:
			return Yes
		}
		return c.no(NotCorporate, "")
	case RequireOwner:
		return c.owner(s, &c.q.Identity.User)
	case RequireCheckedIn:
		if s.LastCheckIn.IsZero() {
			return Unknown
		}
		if c.q.Now.Sub(s.LastCheckIn) > r.Within {
			return c.no(CheckInTooOld, s.LastCheckIn.UTC().Format(time.RFC3339))
		}
		return Yes
	case RequireUser, RequireGroup, RequireClient, RequireNetwork, RequireDevice, RequireProof, RequireStepUp, RequireExpression:
	}
	return Unknown
}

// must answers yes if a fact has the wanted value, no if it has the other one.
func (c *run) must(have, want Tri, r Reason) Tri {
	if have == want {
		return Yes
	}
	return c.otherwise(have, r)
}

func (c *run) otherwise(have Tri, r Reason) Tri {
	if have == Unknown {
		return Unknown
	}
	return c.no(r, "")
}

func (c *run) compliance(s *Posture, strict bool) Tri {
	switch s.Compliance {
	case Compliant:
		if strict && s.graceHidden() {
			return Unknown
		}
		return Yes
	case InGracePeriod:
		until := ""
		if !s.GraceUntil.IsZero() {
			until = s.GraceUntil.UTC().Format(time.RFC3339)
		}
		if until != "" && !c.q.Now.Before(s.GraceUntil) {
			return c.no(GraceExpired, until)
		}
		c.no(GracePeriod, until)
		if strict {
			return No
		}
		c.why.warn = true
		return Yes
	case NonCompliant:
		names := make([]string, 0, len(s.Settings))
		for _, st := range s.Settings {
			names = append(names, st.Name)
		}
		return c.no(Noncompliant, strings.Join(names, ", "))
	case ComplianceConflict, ComplianceError:
		return c.no(Noncompliant, s.Compliance.String())
	case ComplianceNotManaged:
		return c.no(NotManaged, "")
	case ComplianceNotEvaluated, ComplianceDelegated:
		c.why.param = s.Compliance.String()
	case ComplianceUnknown:
	}
	return Unknown
}

// graceHidden reports whether compliant may also mean that a grace period runs: a
// directory and the NAC interface copy one bit of what the management system says. A
// partner's verdict has no grace period.
func (p *Posture) graceHidden() bool {
	who := p.Evidence[p.from[FactCompliance]-1].State.Authority
	return (who == AuthorityDirectory || who == AuthorityNAC) && p.Channel != ChannelPartnerMDM
}

// atMost compares a level with a limit. One that is only a floor answers no, or not
// at all.
func (c *run) atMost(have Level, floor bool, limit Level, r Reason) Tri {
	switch {
	case have == LevelUnknown:
		return Unknown
	case have > limit:
		return c.no(r, have.String())
	case floor:
		return Unknown
	}
	return Yes
}

func (c *run) osAtLeast(s *Posture, r *Requirement) Tri {
	if s.Platform == PlatformUnknown {
		return Unknown
	}
	for i := range r.MinOS {
		if r.MinOS[i].Platform != s.Platform {
			continue
		}
		floor := r.MinOS[i].Min
		switch {
		case floor.IsZero():
			return Yes
		case s.OSVersion.IsZero():
			return Unknown
		case s.OSVersion.Less(floor):
			return c.no(OSTooOld, s.Platform.String()+" "+s.OSVersion.String()+" < "+floor.String())
		}
		return Yes
	}
	return c.no(OSNotAllowed, s.Platform.String())
}

// owner compares object ids where both sides have one, else principal names.
func (c *run) owner(s *Posture, u *User) Tri {
	var same bool
	switch {
	case s.OwnerID != "" && u.ObjectID != "":
		same = equalFoldASCII(s.OwnerID, u.ObjectID)
	case s.OwnerUPN != "" && u.Name != "":
		same = equalFoldASCII(s.OwnerUPN, u.Name)
	default:
		return Unknown
	}
	if !same {
		return c.no(NotOwner, "")
	}
	return Yes
}
