package decision

import (
	"testing"
	"time"
)

// TestUnreadableStops: a hard stop that nobody can rule out is unknown for every policy.
func TestUnreadableStops(t *testing.T) {
	stranger := func(s *scene) { s.user, s.record = User{}, nil }
	noDevice := func(s *scene) { s.device, s.verdict = DeviceRef{}, nil }
	unread := func(f Fact) func(*scene) {
		return func(s *scene) {
			s.verdict.Unreadable = Facts(f)
			switch f {
			case FactEnabled:
				s.verdict.Enabled = Unknown
			case FactLifecycle:
				s.verdict.Lifecycle = LifecycleUnknown
			case FactJailbroken:
				s.verdict.Jailbroken, s.verdict.Platform = Unknown, IOS
			case FactRisk:
				s.verdict.Risk = LevelUnknown
			}
		}
	}
	user := []Requirement{require(RequireUser)}
	tests := []struct {
		name string
		reqs []Requirement
		with []func(*scene)
		want string
	}{
		{"readable", user, nil, "allow"},
		{"enabled", user, []func(*scene){unread(FactEnabled)}, "block: fact_unknown(enabled)"},
		{"lifecycle", user, []func(*scene){unread(FactLifecycle)}, "block: fact_unknown(lifecycle)"},
		{"jailbroken", user, []func(*scene){unread(FactJailbroken)}, "block: fact_unknown(jailbroken)"},
		{"jailbroken where there is no such thing", user, []func(*scene){unread(FactJailbroken), func(s *scene) { s.verdict.Platform = Linux }}, "allow"},
		{"risk, which a policy has to ask for", user, []func(*scene){unread(FactRisk)}, "allow"},
		{
			"the account", user,
			[]func(*scene){func(s *scene) { s.record = &UserRecord{UPN: "a", Unreadable: Facts(FactUserEnabled)} }},
			"block: fact_unknown(user_enabled)",
		},
		{"nobody's account", nil, []func(*scene){stranger, func(s *scene) { s.record = &UserRecord{UPN: "a", Unreadable: Facts(FactUserEnabled)} }}, "allow"},
		{"nobody's device", user, []func(*scene){unread(FactEnabled), noDevice}, "allow"},
		{
			"all of them", user,
			[]func(*scene){unread(FactEnabled), func(s *scene) {
				s.verdict.Unreadable = Facts(FactEnabled, FactLifecycle)
				s.record = &UserRecord{UPN: "a", Unreadable: Facts(FactUserEnabled)}
			}},
			"block: fact_unknown(user_enabled), fact_unknown(enabled), fact_unknown(lifecycle)",
		},
		{"somebody else knows", user, []func(*scene){func(s *scene) {
			s.verdict.Enabled = No
			s.tune = func(p *Posture) { p.barred = Facts(FactEnabled) }
		}}, "block: device_disabled"},
		{"that hard stop is off", user, []func(*scene){unread(FactLifecycle), func(s *scene) { s.policy.HardStopsOff = StopRetired }}, "allow"},
		{"another one is off", user, []func(*scene){unread(FactLifecycle), func(s *scene) { s.policy.HardStopsOff = StopDisabled }}, "block: fact_unknown(lifecycle)"},
		{"a warning is enough", user, []func(*scene){unread(FactEnabled), func(s *scene) { s.policy.OnUnknown.Warn = true }}, "allow: fact_unknown(enabled)=warn"},
		{"a step-up", user, []func(*scene){unread(FactEnabled), func(s *scene) { s.policy.OnUnknown.StepUp = mfa }}, "step_up: fact_unknown(enabled)"},
		{
			"a step-up, made", user,
			[]func(*scene){unread(FactEnabled), func(s *scene) {
				s.policy.OnUnknown.StepUp = mfa
				s.user.AMR, s.user.AuthTime = []string{"mfa"}, s.request.Now.Add(-time.Minute).Unix()
			}},
			"allow",
		},
		{"a stranger's device", user, []func(*scene){unread(FactEnabled), stranger}, "authenticate: sign_in_required"},
		{"once, if a requirement asks too", []Requirement{{Kind: RequireNotJailbroken, ElseWarn: true}}, []func(*scene){unread(FactJailbroken)}, "block: fact_unknown(jailbroken)"},
		{
			"attested", user,
			[]func(*scene){unread(FactJailbroken), func(s *scene) {
				s.engine.Attesting = []*StepUp{healthy}
				s.user.ACRs, s.user.AuthTime = []string{"c2"}, s.request.Now.Unix()
			}},
			"allow",
		},
		{"an exemption excuses no stop", user, []func(*scene){unread(FactLifecycle), func(s *scene) {
			s.policy.Exemptions = []Exemption{{Group: "staff", Until: s.request.Now.Add(time.Hour), Because: "x"}}
		}}, "block: fact_unknown(lifecycle)"},
		{"an old word is no outage", user, []func(*scene){unread(FactLifecycle), func(s *scene) { s.source.Restore(s.request.Now.Add(-48 * time.Hour)) }}, "block: fact_unknown(lifecycle)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(time.Now(), tt.reqs...)
			for _, change := range tt.with {
				change(s)
			}
			check(t, s.decide(), tt.want)
		})
	}
}

// TestUnreadableStopNamesTheLine: whoever asks why finds the line that asks for the same.
func TestUnreadableStopNamesTheLine(t *testing.T) {
	s := newScene(time.Now(), require(RequireNotJailbroken))
	s.verdict.Jailbroken, s.verdict.Platform, s.verdict.Unreadable = Unknown, IOS, Facts(FactJailbroken)
	if d := s.decide(); len(d.Findings) != 1 || d.Findings[0].Requirement == nil {
		t.Errorf("%+v", d.Findings)
	}
	s.policy.Requirements = append(s.policy.Requirements, Requirement{Kind: RequireNotJailbroken, ElseWarn: true})
	if d := s.decide(); len(d.Findings) != 1 || d.Findings[0].Requirement != &s.policy.Requirements[0] {
		t.Errorf("not the first of two lines: %+v", d.Findings)
	}
	s.verdict.Jailbroken, s.verdict.Unreadable = Yes, 0
	if d := s.decide(); len(d.Findings) != 1 || d.Findings[0].Requirement != nil {
		t.Errorf("a hard stop has no line: %+v", d.Findings)
	}
}

// TestUnreadableUser: what a source says of a user and nobody can read is not filled
// with another one's good news, and bad news stays.
func TestUnreadableUser(t *testing.T) {
	unread := UserRecord{UPN: "a", Unreadable: Facts(FactUserEnabled, FactUserRisk)}
	merged := func(all ...UserRecord) *Posture {
		var reports []Report
		for i := range all {
			st := &SourceState{Name: string(rune('a' + i))}
			st.Confirm(time.Now())
			reports = append(reports, Report{State: st, User: &all[i]})
		}
		return Merge(reports, laptop)
	}
	for _, order := range []string{"before", "after"} {
		with := func(u UserRecord) *Posture {
			if order == "before" {
				return merged(unread, u)
			}
			return merged(u, unread)
		}
		if p := with(UserRecord{UPN: "a", Enabled: Yes, Risk: LevelLow}); p.User.Enabled != Unknown || p.Value(FactUserRisk) != "at_least_low" {
			t.Errorf("%s good news: %v, %s", order, p.User.Enabled, p.Value(FactUserRisk))
		}
		if p := with(UserRecord{UPN: "a", Enabled: No, Risk: LevelHigh, Compromised: Yes}); p.User.Enabled != No || p.User.Compromised != Yes || p.Value(FactUserRisk) != "at_least_high" {
			t.Errorf("%s bad news: %+v", order, p.User)
		}
	}
	kept := UserRecord{UPN: "a", Risk: LevelMedium, RiskFloor: true}
	for _, p := range []*Posture{merged(kept, UserRecord{UPN: "a", Risk: LevelNone}), merged(UserRecord{UPN: "a", Risk: LevelNone}, kept)} {
		if p.Value(FactUserRisk) != "at_least_medium" {
			t.Errorf("a level that is kept becomes %s beside another source", p.Value(FactUserRisk))
		}
	}
	for level, want := range map[Level]string{
		LevelNone: "block: fact_unknown(user_risk)", LevelLow: "block: fact_unknown(user_risk)", LevelMedium: "block: user_risk_too_high(medium)",
	} {
		s := newScene(time.Now(), Requirement{Kind: RequireUserRisk, Level: LevelLow})
		s.record = &UserRecord{UPN: "a", Enabled: Yes, Risk: level, RiskFloor: true}
		check(t, s.decide(), want)
	}
}
