package decision

import (
	"testing"
	"time"
)

// A decision says the same whatever else was decided before with the same value.
func TestDecideIsDeterministic(t *testing.T) {
	now := time.Now()
	bad := newScene(now, require(RequireUser), require(RequireEncrypted), Requirement{Kind: RequireRisk, ElseStepUp: mfa},
		Requirement{Kind: RequireOS, MinOS: []OSFloor{{Windows, Version{11}}, {MacOS, Version{14}}}})
	bad.verdict.Encrypted = No
	want := "block: not_encrypted, risk_too_high(low)=step_up, os_too_old(windows 10.0.22631 < 11)"
	e, p, q := eightRequirements()
	bq := bad.request
	bq.Identity = &Identity{User: bad.user, Device: bad.device}
	bq.Posture = Merge([]Report{{State: bad.source, Verdict: bad.verdict, User: bad.record}}, laptop)
	var d Decision
	for range 10_000 {
		bad.engine.Decide(&bad.policy, &bq, &d)
		if got := summary(&d); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		e.Decide(p, q, &d)
		if d.Outcome != Allow || len(d.Findings) != 0 || d.StepUp != nil || d.Policy != p {
			t.Fatalf("after a block: %+v", d)
		}
	}
}

func TestDecideAllocatesNothing(t *testing.T) {
	e, p, q := eightRequirements()
	var d Decision
	if n := testing.AllocsPerRun(1000, func() { e.Decide(p, q, &d) }); n != 0 {
		t.Errorf("a passing policy of eight requirements allocates %v times, want 0", n)
	}
	if summary(&d) != "allow" {
		t.Errorf("the policy does not pass: %s", summary(&d))
	}
}

func TestHardStops(t *testing.T) {
	now := time.Now()
	tests := []struct {
		name string
		off  HardStops
		set  func(*scene)
		want string
	}{
		{"user disabled", StopUserDisabled, func(s *scene) { s.record.Enabled = No }, "block: user_disabled"},
		{"user compromised", StopUserCompromised, func(s *scene) { s.record.Compromised = Yes }, "block: user_compromised"},
		{"user of compromised risk", StopUserCompromised, func(s *scene) { s.record.Risk = LevelCompromised }, "block: user_compromised"},
		{"device disabled", StopDisabled, func(s *scene) { s.verdict.Enabled = No }, "block: device_disabled"},
		{"retiring", StopRetired, func(s *scene) { s.verdict.Lifecycle = LifecycleRetiring }, "block: device_retired(retiring)"},
		{"wiping", StopRetired, func(s *scene) { s.verdict.Lifecycle = LifecycleWiping }, "block: device_retired(wiping)"},
		{"revoked by its authority", StopRetired, func(s *scene) { s.verdict.Lifecycle = LifecycleRevoked }, "block: device_retired(revoked)"},
		{"jailbroken", StopJailbroken, func(s *scene) { s.verdict.Jailbroken = Yes }, "block: jailbroken"},
		{"compromised", StopCompromised, func(s *scene) { s.verdict.Risk = LevelCompromised }, "block: device_compromised"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(now, require(RequireUser))
			tt.set(s)
			check(t, s.decide(), tt.want)
			s.source.Restore(now.Add(-1000 * time.Hour))
			check(t, s.decide(), tt.want) // bad news has no age
			s.policy.HardStopsOff = tt.off
			check(t, s.decide(), "allow")
			s.policy.HardStopsOff = ^tt.off
			check(t, s.decide(), tt.want)
			s.user, s.device = User{}, DeviceRef{}
			check(t, s.decide(), "authenticate: sign_in_required") // about nobody
		})
	}
	for _, l := range []Lifecycle{LifecycleUnknown, LifecycleActive, LifecyclePending, LifecycleUnhealthy, LifecycleDiscovered} {
		s := newScene(now, require(RequireUser))
		s.verdict.Lifecycle = l
		check(t, s.decide(), "allow")
	}
}

func TestStopsThatCannotBeSwitchedOff(t *testing.T) {
	for name, tune := range map[string]func(*Posture){
		"block: revoked(device)":  func(p *Posture) { p.Revoked = &Revocation{Subject: "device"} },
		"block: device_ambiguous": func(p *Posture) { p.Ambiguous = true },
	} {
		s := newScene(time.Now(), require(RequireUser))
		s.policy.HardStopsOff = ^HardStops(0)
		s.tune = tune
		check(t, s.decide(), name)
	}
}

func TestExemption(t *testing.T) {
	now := time.Now()
	until := now.Add(time.Hour)
	serial := Key{Kind: KindSerial, Value: "ABC"}
	deviceExpr := Requirement{Kind: RequireExpression, Expr: constant{is: No, facts: Facts(FactSecureBoot)}, Message: "m"}
	userExpr := Requirement{Kind: RequireExpression, Expr: constant{is: No}, Message: "m"}
	tests := []struct {
		name   string
		exempt Exemption
		req    Requirement
		set    func(*scene)
		want   string
	}{
		{"group", Exemption{Group: "staff", Until: until}, require(RequireEncrypted), nil, "allow: not_encrypted=warn"},
		{"other group", Exemption{Group: "guests", Until: until}, require(RequireEncrypted), nil, "block: not_encrypted"},
		{"user by name", Exemption{User: "ALICE@corp.example", Until: until}, require(RequireEncrypted), nil, "allow: not_encrypted=warn"},
		{"user by id", Exemption{User: "iss|alice", Until: until}, require(RequireEncrypted), nil, "allow: not_encrypted=warn"},
		{"other user", Exemption{User: "bob@corp.example", Until: until}, require(RequireEncrypted), nil, "block: not_encrypted"},
		{"device", Exemption{Device: laptop, Until: until}, require(RequireEncrypted), nil, "allow: not_encrypted=warn"},
		{
			"device by an id that only the source knows",
			Exemption{Device: serial, Until: until},
			require(RequireEncrypted),
			func(s *scene) { s.verdict.Keys = []Key{laptop, serial} }, "allow: not_encrypted=warn",
		},
		{"other device", Exemption{Device: serial, Until: until}, require(RequireEncrypted), nil, "block: not_encrypted"},
		{"ends at its end", Exemption{Group: "staff", Until: now}, require(RequireEncrypted), nil, "block: not_encrypted"},
		{"nobody in particular", Exemption{Until: until}, require(RequireEncrypted), nil, "block: not_encrypted"},
		{
			"a device that the request does not name",
			Exemption{Device: laptop, Until: until},
			require(RequireManaged), func(s *scene) { s.device = DeviceRef{} },
			"block: device_unidentified",
		},
		{"else step_up", Exemption{Group: "staff", Until: until}, Requirement{Kind: RequireRisk, ElseStepUp: mfa}, nil, "allow: risk_too_high(low)=warn"},
		{"expression about the device", Exemption{Group: "staff", Until: until}, deviceExpr, nil, "allow: expression_failed(m)=warn"},
		{"expression about the user", Exemption{Group: "staff", Until: until}, userExpr, nil, "block: expression_failed(m)"},
		{"never group", Exemption{Group: "staff", Until: until}, Requirement{Kind: RequireGroup, Names: []string{"x"}}, nil, "block: group_missing(x)"},
		{"never proof", Exemption{Group: "staff", Until: until}, Requirement{Kind: RequireProof, Proof: ProofCertificate}, nil, "block: proof_too_weak(token)"},
		{"never step_up", Exemption{Group: "staff", Until: until}, Requirement{Kind: RequireStepUp, StepUp: mfa}, nil, "step_up: step_up_required(mfa)"},
		{"never user risk", Exemption{Group: "staff", Until: until}, Requirement{Kind: RequireUserRisk}, nil, "block: user_risk_too_high(none)"},
		{"never sign-in", Exemption{Device: laptop, Until: until}, require(RequireOwner), func(s *scene) { s.user = User{} }, "authenticate: sign_in_required"},
		{"never a hard stop", Exemption{Group: "staff", Until: until}, require(RequireNotJailbroken), func(s *scene) { s.verdict.Jailbroken = Yes }, "block: jailbroken"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(now, tt.req)
			s.verdict.Encrypted = No
			s.policy.Exemptions = []Exemption{tt.exempt}
			s.policy.Exemptions[0].Because = "spare part ordered"
			if tt.set != nil {
				tt.set(s)
			}
			d := s.decide()
			check(t, d, tt.want)
			s.policy.Requirements[0].ElseWarn = true
			if d := s.decide(); warned(d) && d.Findings[0].Exempt != "" {
				t.Errorf("a warning of the line itself is put down to the exemption: %+v", d.Findings[0])
			}
			if warned(d) && d.Findings[0].Exempt != "spare part ordered" {
				t.Errorf("the warning does not say why: %+v", d.Findings[0])
			}
		})
	}
}
