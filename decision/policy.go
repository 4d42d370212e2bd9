package decision

import (
	"net/netip"
	"slices"
	"time"
)

// Policy is a compiled list of requirements. It is made by decision/policy,
// immutable, and safe for concurrent use. Inherited requirements come first.
type Policy struct {
	Name string
	// Revision is a short hash of the policy's text, for the decision log.
	Revision     string
	Requirements []Requirement
	Ages         Ages
	// OnUnknown says what becomes of a fact that healthy sources do not have.
	OnUnknown OnUnknown
	// OnOutage, if set, is a step-up that replaces facts we cannot get.
	OnOutage *StepUp
	// HardStopsOff are the hard stops that the operator switched off here.
	HardStopsOff HardStops
	Exemptions   []Exemption

	// ReportOnlyUntil, if set, is the end of a trial: until then Parent is
	// enforced instead (nothing, if Parent is nil) and this policy only counted.
	ReportOnlyUntil time.Time
	Parent          *Policy
}

// Split returns the policy to enforce at t (nil: none) and the one to evaluate
// for the record only (nil: none).
func (p *Policy) Split(t time.Time) (enforce, report *Policy) {
	if t.Before(p.ReportOnlyUntil) {
		if p.Parent != nil {
			enforce, _ = p.Parent.Split(t)
		}
		return enforce, p
	}
	return p, nil
}

// OnUnknown is what happens to a fact that healthy sources do not have. The
// zero value blocks.
type OnUnknown struct {
	Warn   bool
	StepUp *StepUp
}

// Kind is the kind of a requirement.
type Kind uint8

// The requirement kinds, named as in a policy.
const (
	RequireUser Kind = iota + 1
	RequireGroup
	RequireClient
	RequireNetwork
	RequireDevice
	RequireManaged
	RequireCompliant
	RequireEncrypted
	RequireUpdated
	RequireNotJailbroken
	RequireNotMalware
	RequireRisk
	RequireUserRisk
	RequireOS
	RequireTrust
	RequireOwnership
	RequireOwner
	RequireCheckedIn
	RequireProof
	RequireStepUp
	RequireExpression
	NumKinds
)

var kindNames = [NumKinds]string{
	"", "user", "group", "client", "network", "device", "managed", "compliant", "encrypted", "updated",
	"not jailbroken", "not malware", "risk", "user_risk", "os", "trust", "ownership", "owner", "checked_in",
	"proof", "step_up", "expression",
}

// String returns the word used in a policy.
func (k Kind) String() string { return name(kindNames[:], int(k)) }

// posture reports whether the requirement is about the state of a device.
func (k Kind) posture() bool {
	return k >= RequireManaged && k <= RequireCheckedIn && k != RequireUserRisk
}

// noFact marks the kinds that consult no single fact of a source.
const noFact Fact = NumFacts

// factOf is the fact that a requirement of one single fact consults.
var factOf = [NumKinds]Fact{
	0: noFact, RequireUser: noFact, RequireGroup: noFact, RequireClient: noFact, RequireNetwork: noFact,
	RequireDevice: noFact, RequireProof: noFact, RequireStepUp: noFact, RequireExpression: noFact,
	RequireManaged: FactManaged, RequireCompliant: FactCompliance, RequireEncrypted: FactEncrypted,
	RequireUpdated: FactUpdated, RequireNotJailbroken: FactJailbroken, RequireNotMalware: FactMalware,
	RequireRisk: FactRisk, RequireUserRisk: FactUserRisk, RequireOS: FactOS, RequireTrust: FactTrust,
	RequireOwnership: FactOwnership, RequireOwner: FactOwner, RequireCheckedIn: FactCheckIn,
}

// Fact returns the fact that the requirement kind consults, if it is one of a
// source's.
func (k Kind) Fact() (Fact, bool) {
	if k >= NumKinds || factOf[k] == noFact {
		return 0, false
	}
	return factOf[k], true
}

// OSFloor is one platform that a policy allows, from Min on. A zero Min allows
// every version, also an unknown one.
type OSFloor struct {
	Platform Platform
	Min      Version
}

// Requirement is one line of a policy.
type Requirement struct {
	Kind   Kind
	Names  []string       // group, client: any of
	Nets   []netip.Prefix // network: any of
	Level  Level          // risk, user_risk: at most
	MinOS  []OSFloor      // os: the platforms that may come
	Trusts []Trust
	Within time.Duration // checked_in
	Proof  Proof
	Strict bool // compliant: grace does not count
	StepUp *StepUp
	Expr   Expression
	// Message is what the person reads when an expression fails.
	Message string

	// ElseWarn lets the requirement pass with a warning whatever its fact.
	ElseWarn bool
	// ElseStepUp, if set, satisfies a fact that is no; never an unknown one.
	ElseStepUp *StepUp

	// Text is the line as written, for explain; Place is its file:line; Policy
	// the policy that wrote it (a parent's, if inherited).
	Text, Place, Policy string
}

// excusable reports whether an exemption may turn a failure of r into a warning.
// An expression counts only if it reads a fact about the device: otherwise it is
// a rule about the user in other words, which no exemption covers.
func (r *Requirement) excusable() bool {
	if r.Kind == RequireExpression {
		return r.Expr.Facts()&^userFacts != 0
	}
	return r.Kind.posture()
}

// Expression is a compiled condition. Implementations are safe for concurrent
// use and take no input or output. The result Unknown comes with its cause; an
// evaluation error counts as No.
type Expression interface {
	Eval(q *Request) (Tri, Cause)
	// Facts returns the facts that the expression reads.
	Facts() FactSet
	// Subjects says whether it reads anything about the user or the device.
	Subjects() (user, device bool)
}

// StepUp is a named way to show a stronger sign-in.
type StepUp struct {
	Name string
	// For says per issuer (by configured name) how to ask and what to check.
	For map[string]StepUpMethod
	// MaxAge bounds the age of the sign-in; 0 means any age.
	MaxAge time.Duration
}

// StepUpMethod is how one issuer does a step-up. All set fields must hold.
type StepUpMethod struct {
	AuthContext string   // Entra authentication context id, c1 to c99, in acrs
	ACRValues   []string // any one of them, exactly, in acr (RFC 9470)
	AMR         []string // any one of them in amr
	// Attests are the requirement kinds that this step-up satisfies, because
	// the identity provider checks the device itself.
	Attests []Kind
}

// Satisfied reports whether the user's credential shows the step-up at now.
func (s *StepUp) Satisfied(u *User, now time.Time) bool {
	m, ok := s.For[u.Issuer]
	if !ok || u.AppOnly || !m.shown(u) {
		return false
	}
	if s.MaxAge <= 0 {
		return true
	}
	return u.AuthTime > 0 && now.Unix()-u.AuthTime <= int64(s.MaxAge/time.Second)
}

// offeredTo reports whether the user's issuer can be asked for the step-up.
func (s *StepUp) offeredTo(u *User) bool {
	_, ok := s.For[u.Issuer]
	return ok
}

func (m *StepUpMethod) shown(u *User) bool {
	if m.AuthContext == "" && len(m.ACRValues) == 0 && len(m.AMR) == 0 {
		return true // only a fresh sign-in is asked for
	}
	return (m.AuthContext == "" || slices.Contains(u.ACRs, m.AuthContext)) &&
		(len(m.ACRValues) == 0 || slices.Contains(m.ACRValues, u.ACR)) &&
		(len(m.AMR) == 0 || overlap(m.AMR, u.AMR))
}

// HardStops is a set of hard stops, for switching some off.
type HardStops uint8

// The hard stops that a policy may switch off. Revocation cannot be.
const (
	StopDisabled HardStops = 1 << iota
	StopRetired
	StopJailbroken
	StopCompromised
	StopUserDisabled
	StopUserCompromised
)

var hardStopNames = [...]string{"disabled", "retired", "jailbroken", "compromised", "user_disabled", "user_compromised"}

// ParseHardStop reads a hard stop's name as written in a policy.
func ParseHardStop(s string) (HardStops, bool) {
	i, ok := index(hardStopNames[:], s)
	return 1 << i, ok
}

// Exemption turns posture failures of one group, user or device into warnings.
type Exemption struct {
	Group, User string
	Device      Key // Kind empty: not by device
	Until       time.Time
	Because     string
}

// exemption returns the first exemption that covers q now, or nil.
func (p *Policy) exemption(q *Request) *Exemption {
	for i := range p.Exemptions {
		if p.Exemptions[i].covers(q, p.Ages) {
			return &p.Exemptions[i]
		}
	}
	return nil
}

func (x *Exemption) covers(q *Request, a Ages) bool {
	if !q.Now.Before(x.Until) {
		return false
	}
	switch {
	case x.Group != "":
		u := &q.Identity.User
		if slices.Contains(u.Groups, x.Group) {
			return true
		}
		if u.GroupsKnown != No { // the token lists them, or nobody knows
			return false
		}
		is, fresh := q.Posture.inGroups([]string{x.Group}, Mono(q.Now), a)
		return is == Yes && fresh != Expired
	case x.User != "":
		return sameUser(x.User, &q.Identity.User)
	case x.Device.Kind != "":
		// The request may name the device by another id than the exemption does.
		return slices.Contains(q.Identity.Device.Keys, x.Device) ||
			q.Identity.Device.Known() && slices.Contains(q.Posture.Keys, x.Device)
	}
	return false
}

func overlap(a, b []string) bool {
	for _, v := range a {
		if slices.Contains(b, v) {
			return true
		}
	}
	return false
}
