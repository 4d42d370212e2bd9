package decision

import (
	"testing"
	"time"
)

// A posture that contradicts itself, because somebody built it by hand, must
// never be read as good news.
func TestInconsistentPostureIsUnknown(t *testing.T) {
	for k := RequireUser; k < NumKinds; k++ {
		f, ok := k.Fact()
		if !ok {
			continue
		}
		t.Run(k.String(), func(t *testing.T) {
			r := Requirement{Kind: k, Level: LevelHigh, MinOS: []OSFloor{{Platform: PlatformUnknown}}, Trusts: []Trust{TrustUnknown}, Within: time.Hour}
			s := newScene(time.Now(), r)
			s.verdict, s.record = nil, nil
			s.tune = func(p *Posture) { p.from[f] = 1 } // a source for a value that is not there
			if d := s.decide(); d.Outcome != Block || d.Findings[0].Effect != EffectBlockUnknown {
				t.Errorf("no value: %s", summary(d))
			}
			s = newScene(time.Now(), r)
			s.verdict.Platform = IOS                    // nothing is excused there
			s.tune = func(p *Posture) { p.from[f] = 0 } // a value without source
			if d := s.decide(); d.Outcome != Block || d.Findings[0].Effect != EffectBlockUnknown {
				t.Errorf("no source: %s", summary(d))
			}
		})
	}
}

func TestKindFact(t *testing.T) {
	for k, want := range map[Kind]bool{0: false, RequireUser: false, RequireExpression: false, RequireManaged: true, RequireCheckedIn: true, NumKinds: false, 255: false} {
		if f, ok := k.Fact(); ok != want || !ok && f != 0 {
			t.Errorf("kind %v: %v, %v; want %v", k, f, ok, want)
		}
	}
}

func TestFindingsNameTheirSource(t *testing.T) {
	s := newScene(time.Now(), require(RequireManaged), Requirement{Kind: RequireGroup, Names: []string{"x"}}, require(RequireCompliant), require(RequireEncrypted),
		require(RequireUpdated))
	s.verdict.Compliance, s.verdict.Encrypted, s.verdict.Updated = InGracePeriod, No, Unknown
	d := s.decide()
	check(t, d, "block: group_missing(x), grace_period=warn, not_encrypted, fact_unknown(updated)")
	for i, want := range []string{"", "inventory", "inventory", ""} {
		if got := d.Findings[i].Source; got != want {
			t.Errorf("%v: source %q, want %q", d.Findings[i].Reason, got, want)
		}
		if d.Findings[i].Requirement != &s.policy.Requirements[i+1] {
			t.Errorf("%v: points to requirement %+v", d.Findings[i].Reason, d.Findings[i].Requirement)
		}
	}
	s.source.Restore(time.Now().Add(-time.Hour))
	if f := s.decide().Findings[0]; f.Reason != VerdictExpired || f.Source != "inventory" {
		t.Errorf("got %v from %q", f.Reason, f.Source)
	}
}

func TestDecisionSaysHowFresh(t *testing.T) {
	now := time.Now()
	for _, r := range []Requirement{
		require(RequireDevice), require(RequireManaged),
		{Kind: RequireExpression, Expr: constant{is: Yes, facts: Facts(FactManaged)}},
	} {
		for age, want := range map[time.Duration]Freshness{0: Fresh, time.Hour: Stale, 9 * time.Hour: Expired} {
			s := newScene(now, r)
			s.source.Restore(now.Add(-age))
			s.source.Fail(CauseSourceFailing)
			if d := s.decide(); d.Freshness != want {
				t.Errorf("%v after %v: %v, want %v", r.Kind, age, d.Freshness, want)
			}
		}
	}
	if d := newScene(now, require(RequireUser)).decide(); d.Freshness != FreshnessNone {
		t.Errorf("no fact consulted: %v", d.Freshness)
	}
}

// warned reports whether the request passes with a warning.
func warned(d *Decision) bool { return d.Outcome == Allow && len(d.Findings) > 0 }

func TestDecisionHelpers(t *testing.T) {
	d := newScene(time.Now(), require(RequireUser)).decide()
	if warned(d) || d.Has(NotEncrypted) {
		t.Error("a plain allow is warned")
	}
	s := newScene(time.Now(), Requirement{Kind: RequireEncrypted, ElseWarn: true})
	s.verdict.Encrypted = No
	if d = s.decide(); !warned(d) || !d.Has(NotEncrypted) || d.Has(NotUpdated) {
		t.Errorf("got %s", summary(d))
	}
	s.policy.Requirements[0].ElseWarn = false
	if d = s.decide(); warned(d) || !d.Has(NotEncrypted) {
		t.Errorf("got %s", summary(d))
	}
}

func TestSplit(t *testing.T) {
	now := time.Now()
	grand := &Policy{Name: "grand"}
	parent := &Policy{Name: "parent", Parent: grand, ReportOnlyUntil: now.Add(time.Minute)}
	p := &Policy{Name: "p", Parent: parent, ReportOnlyUntil: now.Add(time.Hour)}
	for _, tt := range []struct {
		p               *Policy
		at              time.Duration
		enforce, report *Policy
	}{
		{grand, 0, grand, nil},
		{p, 0, grand, p},
		{p, time.Minute, parent, p},
		{p, time.Hour, p, nil},
		{p, time.Hour - 1, parent, p},
		{&Policy{ReportOnlyUntil: now}, -1, nil, &Policy{}},
	} {
		enforce, report := tt.p.Split(now.Add(tt.at))
		if enforce != tt.enforce || (report == nil) != (tt.report == nil) || report != nil && report != tt.p {
			t.Errorf("%s after %v: enforce %v, report %v", tt.p.Name, tt.at, enforce, report)
		}
	}
}

func TestStepUpOfUnknownAge(t *testing.T) {
	su := &StepUp{For: map[string]StepUpMethod{"corp": {}}, MaxAge: 200 * 365 * 24 * time.Hour}
	if u := (&User{Issuer: "corp", ID: "a"}); su.Satisfied(u, time.Now()) {
		t.Error("a sign-in of unknown time satisfies a limit longer than unix time")
	}
}

// Two sources: who can tell, and who only says that the device is there.
func TestCauseWithTwoSources(t *testing.T) {
	now := time.Now()
	risk := Requirement{Kind: RequireRisk, Level: LevelHigh}
	tests := []struct {
		name string
		req  Requirement
		set  func(mdm, edr *SourceState, reports []Report)
		want string
	}{
		{
			"authority without it, the other never read", require(RequireDevice),
			func(mdm, edr *SourceState, _ []Report) { mdm.Confirm(now) }, "block: device_unknown",
		},
		{
			"the one that supplies the fact never read", risk,
			func(mdm, edr *SourceState, r []Report) { mdm.Confirm(now); r[0].Verdict = &Verdict{} }, "undecided: not_loaded",
		},
		{
			"both read, neither reports", risk,
			func(mdm, edr *SourceState, r []Report) { mdm.Confirm(now); edr.Confirm(now); r[0].Verdict = &Verdict{} }, "block: fact_unknown(risk)",
		},
		{"supplies nothing and is read", risk, func(mdm, edr *SourceState, r []Report) {
			mdm.Confirm(now)
			edr.Confirm(now.Add(-time.Hour))
			edr.SetSupplies(0)
			r[0].Verdict = &Verdict{}
		}, "block: fact_unknown(risk)"},
		{"does not say what it supplies and was never read", risk, func(mdm, edr *SourceState, r []Report) {
			mdm.Confirm(now)
			edr.SetSupplies(0)
			r[0].Verdict = &Verdict{}
		}, "undecided: not_loaded"},
		{"an outage is not excused by the platform", require(RequireNotJailbroken), func(mdm, edr *SourceState, r []Report) {
			mdm.Confirm(now)
			edr.SetSupplies(Facts(FactJailbroken))
			r[0].Verdict = &Verdict{Device: Device{Platform: Windows}}
		}, "undecided: not_loaded"},
		{"the platform's own source has expired", require(RequireNotJailbroken), func(mdm, edr *SourceState, r []Report) {
			mdm.Confirm(now.Add(-time.Hour))
			edr.Confirm(now)
			edr.SetSupplies(Facts(FactJailbroken))
			r[0].Verdict = &Verdict{Device: Device{Platform: Windows}}
		}, "block: fact_unknown(jailbroken)"},
		{"known to the second source only", require(RequireDevice), func(mdm, edr *SourceState, r []Report) {
			mdm.Confirm(now)
			edr.Confirm(now)
			r[1].Verdict = &Verdict{}
		}, "allow"},
		{"expired at the first, fresh at the second", require(RequireDevice), func(mdm, edr *SourceState, r []Report) {
			mdm.Confirm(now.Add(-time.Hour))
			edr.Confirm(now)
			r[0].Verdict, r[1].Verdict = &Verdict{}, &Verdict{}
		}, "allow"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			mdm, edr := &SourceState{Name: "mdm", Authoritative: true}, &SourceState{Name: "edr"}
			mdm.SetSupplies(Facts(FactOS, FactCompliance))
			edr.SetSupplies(Facts(FactRisk))
			reports := []Report{{State: mdm}, {State: edr}}
			tt.set(mdm, edr, reports)
			s := newScene(now, tt.req)
			q := s.request
			q.Identity = &Identity{User: s.user, Device: s.device}
			q.Posture = Merge(reports, laptop)
			d := new(Decision)
			s.engine.Decide(&s.policy, &q, d)
			check(t, d, tt.want)
		})
	}
}
