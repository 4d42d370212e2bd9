package decision

import (
	"testing"
	"time"
)

// BenchmarkDecide is the hot path of the gateway: one user on one healthy
// device against a policy of eight requirements.
func BenchmarkDecide(b *testing.B) {
	e, p, q := eightRequirements()
	var d Decision
	b.ReportAllocs()
	for b.Loop() {
		e.Decide(p, q, &d)
	}
	if d.Outcome != Allow {
		b.Fatalf("outcome = %v, findings %v", d.Outcome, d.Findings)
	}
}

// eightRequirements is the policy "standard" of the documentation and a request
// that passes it.
func eightRequirements() (*Engine, *Policy, *Request) {
	now := time.Now()
	st := &SourceState{Name: "inventory", Authoritative: true}
	st.SetSupplies(AllFacts)
	st.Confirm(now.Add(-time.Minute))
	key := Key{Kind: KindEntra, Value: "6f9b2c1e-0d34-4a75-9e55-1f0c2f3a4b5c"}
	v := &Verdict{Device: Device{
		Keys: []Key{key}, Name: "LT-1", Platform: Windows, OSVersion: Version{10, 0, 22631, 4460}, Compliance: Compliant,
		Managed: Yes, Lifecycle: LifecycleActive, Enabled: Yes, Encrypted: Yes, Jailbroken: No, Risk: LevelLow,
		LastCheckIn: now.Add(-time.Hour), Ownership: Corporate, Trust: TrustJoined,
	}}
	p := &Policy{Name: "standard", Ages: Ages{MaxAge: 15 * time.Minute, StaleIfError: 4 * time.Hour}, Requirements: []Requirement{
		{Kind: RequireUser},
		{Kind: RequireManaged},
		{Kind: RequireCompliant},
		{Kind: RequireEncrypted},
		{Kind: RequireNotJailbroken},
		{Kind: RequireRisk, Level: LevelMedium},
		{Kind: RequireOS, MinOS: []OSFloor{{Windows, Version{10, 0, 22631}}, {MacOS, Version{14, 5}}}},
		{Kind: RequireCheckedIn, Within: 14 * 24 * time.Hour},
	}}
	q := &Request{
		Now: now,
		Identity: &Identity{
			User:   User{Issuer: "entra", ID: "t/o", Name: "alice@corp.example"},
			Device: DeviceRef{Keys: []Key{key}, Proof: ProofToken},
		},
		Posture: Merge([]Report{{State: st, Verdict: v, User: &UserRecord{Enabled: Yes}}}, key),
	}
	return &Engine{}, p, q
}
