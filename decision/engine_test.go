package decision

import (
	"net/netip"
	"testing"
	"time"
)

func TestDecide(t *testing.T) {
	stranger := func(s *scene) { s.user, s.device = User{}, DeviceRef{} }
	noDevice := func(s *scene) { s.device = DeviceRef{} }
	noUser := func(s *scene) { s.user = User{} }
	ten := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	tests := []struct {
		name string
		reqs []Requirement
		set  func(*scene)
		want string
	}{
		{"empty policy", nil, nil, "allow"},
		{"kind of nobody", []Requirement{{Kind: 0}}, nil, "block: fact_unknown"},
		{"kind beyond the last", []Requirement{{Kind: 200}}, nil, "block: fact_unknown(unknown)"},
		{
			"all findings at once",
			[]Requirement{require(RequireEncrypted), require(RequireUpdated), {Kind: RequireRisk, Level: LevelNone}},
			func(s *scene) { s.verdict.Encrypted, s.verdict.Updated = No, No }, "block: not_encrypted, not_updated, risk_too_high(low)",
		},
		{"app only is nobody", []Requirement{require(RequireUser)}, func(s *scene) { s.user.AppOnly = true }, "authenticate: sign_in_required"},
		{
			"stranger learns only to sign in",
			[]Requirement{require(RequireUser), require(RequireCompliant), {Kind: RequireNetwork, Nets: ten}},
			stranger,
			"authenticate: sign_in_required",
		},
		{"owner asks a stranger to sign in", []Requirement{require(RequireOwner)}, stranger, "authenticate: sign_in_required"},
		{"owner of an unnamed device", []Requirement{require(RequireOwner)}, noDevice, "block: device_unidentified"},
		{"user risk needs a user", []Requirement{{Kind: RequireUserRisk, Level: LevelLow}}, stranger, "authenticate: sign_in_required"},
		{"user risk needs no device", []Requirement{{Kind: RequireUserRisk, Level: LevelLow}}, noDevice, "allow"},
		{
			"a user without record",
			[]Requirement{{Kind: RequireUserRisk, Level: LevelLow}},
			func(s *scene) { noDevice(s); s.record, s.verdict = nil, nil },
			"block: fact_unknown(user_risk)",
		},
		{"network about a stranger", []Requirement{{Kind: RequireNetwork, Nets: ten}}, stranger, "block: network_not_allowed"},
		{
			"network in the range",
			[]Requirement{{Kind: RequireNetwork, Nets: ten}},
			func(s *scene) { s.request.ClientIP = netip.MustParseAddr("10.1.2.3") }, "allow",
		},
		{
			"network outside",
			[]Requirement{{Kind: RequireNetwork, Nets: ten}},
			func(s *scene) { s.request.ClientIP = netip.MustParseAddr("11.1.2.3") }, "block: network_not_allowed",
		},
		{
			"a no about a proven device beats sign-in",
			[]Requirement{require(RequireUser), require(RequireEncrypted)},
			func(s *scene) { noUser(s); s.verdict.Encrypted = No }, "block: sign_in_required=authenticate, not_encrypted",
		},
		{"client absent", []Requirement{{Kind: RequireClient, Names: []string{"app"}}}, nil, "authenticate: sign_in_required"},
		{"client wrong", []Requirement{{Kind: RequireClient, Names: []string{"app"}}}, func(s *scene) { s.user.Client = "other" }, "block: client_not_allowed(other)"},
		{"client right", []Requirement{{Kind: RequireClient, Names: []string{"x", "app"}}}, func(s *scene) { s.user.Client = "app" }, "allow"},
		{"group missing", []Requirement{{Kind: RequireGroup, Names: []string{"a", "b"}}}, nil, "block: group_missing(a, b)"},
		{"groups unknown", []Requirement{{Kind: RequireGroup, Names: []string{"a"}}}, func(s *scene) { s.user.GroupsKnown = Unknown }, "block: groups_unknown"},
		{
			"on_unknown never opens a group",
			[]Requirement{{Kind: RequireGroup, Names: []string{"a"}}},
			func(s *scene) { s.user.GroupsKnown = Unknown; s.policy.OnUnknown.Warn = true }, "block: groups_unknown",
		},
		{"proof", []Requirement{{Kind: RequireProof, Proof: ProofCertificate}}, nil, "block: proof_too_weak(token)"},
		{"proof implies device", []Requirement{{Kind: RequireProof, Proof: ProofToken}}, func(s *scene) { s.verdict = nil }, "block: device_unknown"},
		{"same finding twice", []Requirement{{Kind: RequireRisk, ElseWarn: true}, {Kind: RequireRisk}}, nil, "block: risk_too_high(low)"},
		{"same finding twice, weaker later", []Requirement{{Kind: RequireRisk}, {Kind: RequireRisk, ElseWarn: true}}, nil, "block: risk_too_high(low)"},
		{"else step_up covers no", []Requirement{{Kind: RequireRisk, ElseStepUp: mfa}}, nil, "step_up: risk_too_high(low)"},
		{"else step_up never covers unknown", []Requirement{{Kind: RequireRisk, ElseStepUp: mfa}}, func(s *scene) {
			s.verdict.Risk, s.user.AMR, s.user.AuthTime = LevelUnknown, []string{"mfa"}, s.request.Now.Unix()
		}, "block: fact_unknown(risk)"},
		{"else step_up shown", []Requirement{{Kind: RequireRisk, ElseStepUp: mfa}}, func(s *scene) {
			s.user.AMR, s.user.AuthTime = []string{"mfa"}, s.request.Now.Unix()
		}, "allow"},
		{
			"step_up of a certificate's user",
			[]Requirement{{Kind: RequireStepUp, StepUp: mfa}},
			func(s *scene) { s.user.Issuer = IssuerCertificate },
			"authenticate: sign_in_required",
		},
		{
			"step_up that the issuer does not offer",
			[]Requirement{{Kind: RequireStepUp, StepUp: mfa}},
			func(s *scene) { s.user.Issuer = "entra" },
			"block: step_up_required(mfa)=step_up, step_up_unavailable(mfa)",
		},
		{
			"step_up unavailable",
			[]Requirement{{Kind: RequireStepUp, StepUp: mfa}},
			func(s *scene) { s.request.NoStepUp = true },
			"block: step_up_required(mfa)=step_up, step_up_unavailable(mfa)",
		},
		{"else warn lets unknown pass", []Requirement{{Kind: RequireRisk, ElseWarn: true}}, func(s *scene) { s.verdict.Risk = 0 }, "allow: fact_unknown(risk)=warn"},
		{"else warn lets a nameless device pass", []Requirement{{Kind: RequireManaged, ElseWarn: true}}, noDevice, "allow: device_unidentified=warn"},
		{"else warn still wants a user", []Requirement{{Kind: RequireOwner, ElseWarn: true}}, stranger, "authenticate: sign_in_required"},
		{"on_unknown warn", []Requirement{{Kind: RequireRisk}}, func(s *scene) { s.verdict.Risk = 0; s.policy.OnUnknown.Warn = true }, "allow: fact_unknown(risk)=warn"},
		{
			"on_unknown warn does not name a device",
			[]Requirement{require(RequireManaged)},
			func(s *scene) { noDevice(s); s.policy.OnUnknown.Warn = true }, "block: device_unidentified",
		},
		{"on_unknown step_up", []Requirement{{Kind: RequireRisk}}, func(s *scene) { s.verdict.Risk = 0; s.policy.OnUnknown.StepUp = mfa }, "step_up: fact_unknown(risk)"},
		{
			"on_unknown attested, no device",
			[]Requirement{require(RequireManaged)},
			func(s *scene) { noDevice(s); s.policy.OnUnknown.StepUp = healthy },
			"step_up: device_unidentified",
		},
		{
			"on_unknown attested, other kind",
			[]Requirement{require(RequireEncrypted)},
			func(s *scene) { noDevice(s); s.policy.OnUnknown.StepUp = healthy },
			"block: device_unidentified",
		},
		{"unlisted platform", []Requirement{{Kind: RequireOS, MinOS: []OSFloor{{MacOS, Version{14}}}}}, nil, "block: os_not_allowed(windows)"},
		{"any version of a platform", []Requirement{{Kind: RequireOS, MinOS: []OSFloor{{Platform: Windows}}}}, func(s *scene) { s.verdict.OSVersion = Version{} }, "allow"},
		{"expression yes", []Requirement{{Kind: RequireExpression, Expr: constant{is: Yes}}}, stranger, "allow"},
		{"expression no about a stranger", []Requirement{require(RequireUser), {Kind: RequireExpression, Expr: constant{is: No}}}, stranger, "authenticate: sign_in_required"},
		{"expression about an unnamed device", []Requirement{{Kind: RequireExpression, Expr: constant{facts: Facts(FactOS)}}}, noDevice, "block: device_unidentified"},
		{
			"expression about a user fact",
			[]Requirement{{Kind: RequireExpression, Expr: constant{facts: Facts(FactUserRisk)}, Message: "m"}},
			func(s *scene) { noDevice(s); s.record = nil },
			"block: fact_unknown(m)",
		},
		{
			"expression about a claim, nobody signed in",
			[]Requirement{{Kind: RequireExpression, Expr: constant{user: true}, Message: "m"}},
			func(s *scene) { stranger(s); s.policy.OnUnknown.Warn = true },
			"authenticate: sign_in_required",
		},
		{
			"expression about a claim that the credential does not make",
			[]Requirement{{Kind: RequireExpression, Expr: constant{user: true}, Message: "m"}},
			func(s *scene) { s.policy.OnUnknown.Warn = true },
			"block: fact_unknown(m)",
		},
		{
			"expression about a user, shown by a program",
			[]Requirement{{Kind: RequireExpression, Expr: constant{user: true}, Message: "m"}},
			func(s *scene) { s.user.AppOnly = true; s.policy.OnUnknown.Warn = true },
			"authenticate: sign_in_required",
		},
		{
			"expression that fails about a stranger",
			[]Requirement{{Kind: RequireExpression, Expr: constant{is: No, user: true}, Message: "m"}},
			stranger,
			"authenticate: sign_in_required",
		},
		{"expression about a user that holds for a stranger", []Requirement{{Kind: RequireExpression, Expr: constant{is: Yes, user: true}}}, stranger, "allow"},
		{
			"expression that fails on a known device, nobody signed in",
			[]Requirement{{Kind: RequireExpression, Expr: constant{is: No, user: true}, Message: "m"}},
			func(s *scene) { s.user = User{} },
			"block: expression_failed(m)",
		},
		{
			"expression that fails about an unnamed device",
			[]Requirement{{Kind: RequireExpression, Expr: constant{is: No, facts: Facts(FactOS)}, Message: "m"}},
			noDevice,
			"block: expression_failed(m)",
		},
		{
			"expression about an unknown fact, nobody signed in",
			[]Requirement{{Kind: RequireExpression, Expr: constant{facts: Facts(FactApps)}, Message: "m"}},
			func(s *scene) { s.user = User{} },
			"block: fact_unknown(m)",
		},
		{"expression whose cause is ours", []Requirement{{Kind: RequireExpression, Expr: constant{cause: CauseThrottled, facts: Facts(FactApps)}}}, nil, "undecided: source_throttled"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(time.Now(), tt.reqs...)
			if tt.set != nil {
				tt.set(s)
			}
			check(t, s.decide(), tt.want)
		})
	}
}
