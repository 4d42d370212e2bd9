package decision

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// scene is one request under test: a person on a healthy device, one source,
// and what a test changes about them.
type scene struct {
	engine  Engine
	policy  Policy
	request Request
	user    User
	device  DeviceRef
	verdict *Verdict
	record  *UserRecord
	source  *SourceState
	cause   Cause
	tune    func(*Posture)
}

var laptop = Key{Kind: KindEntra, Value: "6f9b2c1e-0d34-4a75-9e55-1f0c2f3a4b5c"}

func newScene(now time.Time, reqs ...Requirement) *scene {
	src := &SourceState{Name: "inventory", Authoritative: true}
	src.SetSupplies(AllFacts)
	src.Confirm(now)
	return &scene{
		policy:  Policy{Name: "this", Requirements: reqs, Ages: Ages{MaxAge: 15 * time.Minute, StaleIfError: 4 * time.Hour}},
		request: Request{Now: now},
		user:    User{Issuer: "corp", ID: "iss|alice", Name: "alice@corp.example", Groups: []string{"staff"}, GroupsKnown: Yes},
		device:  DeviceRef{Keys: []Key{laptop}, Proof: ProofToken},
		verdict: &Verdict{Device: Device{
			Keys: []Key{laptop}, Platform: Windows, OSVersion: Version{10, 0, 22631}, Compliance: Compliant, Managed: Yes,
			Lifecycle: LifecycleActive, Enabled: Yes, Trust: TrustJoined, Ownership: Corporate, OwnerUPN: "Alice@corp.example",
			Encrypted: Yes, Updated: Yes, Jailbroken: No, Malware: No, Risk: LevelLow, LastCheckIn: now.Add(-time.Hour),
		}},
		record: &UserRecord{UPN: "alice@corp.example", Enabled: Yes, Risk: LevelNone},
		source: src,
	}
}

func (s *scene) decide() *Decision {
	report := Report{State: s.source, Verdict: s.verdict, User: s.record, Cause: s.cause}
	q := s.request
	q.Identity = &Identity{User: s.user, Device: s.device}
	q.Posture = Merge([]Report{report}, laptop)
	q.Posture.jitter = 0 // so that tests can stand on a boundary
	if s.tune != nil {
		s.tune(q.Posture)
	}
	d := new(Decision)
	s.engine.Decide(&s.policy, &q, d)
	return d
}

// summary prints an outcome and its findings as "block: noncompliant, risk_too_high(high)=step_up".
// The effect is printed where it is not the one that the outcome already says.
func summary(d *Decision) string {
	var b strings.Builder
	b.WriteString(d.Outcome.String())
	for i, f := range d.Findings {
		b.WriteString([]string{", ", ": "}[min(1, max(0, 1-i))])
		b.WriteString(f.Reason.Code())
		if f.Param != "" {
			fmt.Fprintf(&b, "(%s)", f.Param)
		}
		if f.Effect.outcome() != d.Outcome || f.Effect == EffectWarn {
			b.WriteString("=" + f.Effect.String())
		}
	}
	return b.String()
}

func check(t *testing.T, d *Decision, want string) {
	t.Helper()
	if got := summary(d); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// constant is an expression with a fixed answer.
type constant struct {
	is    Tri
	cause Cause
	facts FactSet
	user  bool // reads what the token says
}

func (c constant) Eval(*Request) (Tri, Cause) { return c.is, c.cause }
func (c constant) Facts() FactSet             { return c.facts }
func (c constant) Subjects() (user, device bool) {
	return c.user || c.facts&userFacts != 0, c.facts&^userFacts != 0
}

func require(k Kind) Requirement { return Requirement{Kind: k} }

var mfa = &StepUp{Name: "mfa", For: map[string]StepUpMethod{"corp": {AMR: []string{"mfa"}}}, MaxAge: time.Hour}

var healthy = &StepUp{Name: "healthy", For: map[string]StepUpMethod{
	"corp": {AuthContext: "c2", Attests: []Kind{RequireManaged, RequireCompliant, RequireNotJailbroken}},
}}
