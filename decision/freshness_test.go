package decision

import (
	"math/rand/v2"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestFreshnessBoundaries(t *testing.T) {
	ages := Ages{MaxAge: 15 * time.Minute, StaleIfError: 4 * time.Hour}
	end := ages.MaxAge + ages.StaleIfError
	tests := []struct {
		name    string
		age     time.Duration
		failing Cause
		jitter  int64
		ages    Ages
		want    Freshness
	}{
		{"new", 0, CauseNone, 0, ages, Fresh},
		{"from the future", -time.Hour, CauseNone, 0, ages, Fresh},
		{"at max_age", ages.MaxAge, CauseNone, 0, ages, Fresh},
		{"past max_age", ages.MaxAge + 1, CauseNone, 0, ages, Expired},
		{"past max_age, failing", ages.MaxAge + 1, CauseSourceFailing, 0, ages, Stale},
		{"past max_age, throttled", ages.MaxAge + 1, CauseThrottled, 0, ages, Stale},
		{"at the end", end, CauseSourceFailing, 0, ages, Stale},
		{"past the end", end + 1, CauseSourceFailing, 0, ages, Expired},
		{"early by a tenth", ages.MaxAge*9/10 + 1, CauseNone, -100, ages, Expired},
		{"not earlier", ages.MaxAge * 9 / 10, CauseNone, -100, ages, Fresh},
		{"late by a tenth", ages.MaxAge * 11 / 10, CauseNone, 100, ages, Fresh},
		{"not later", ages.MaxAge*11/10 + 1, CauseNone, 100, ages, Expired},
		{"the end is spread too", end * 11 / 10, CauseSourceFailing, 100, ages, Stale},
		{"but not further", end*11/10 + 1, CauseSourceFailing, 100, ages, Expired},
		{"never stale", time.Minute + 1, CauseSourceFailing, 0, Ages{MaxAge: time.Minute}, Expired},
		{"no ages at all", 1, CauseSourceFailing, 0, Ages{}, Expired},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			now := time.Now()
			st := new(SourceState)
			st.Confirm(now.Add(-tt.age))
			st.Fail(tt.failing)
			p := Posture{jitter: tt.jitter}
			if got := p.freshness(&Evidence{State: st}, Mono(now), tt.ages); got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
			// A record with a time of its own ignores the source's.
			st.Restore(now.Add(-1000 * time.Hour))
			if got := p.freshness(&Evidence{State: st, Confirmed: Mono(now.Add(-tt.age))}, Mono(now), tt.ages); got != tt.want {
				t.Errorf("own time: got %v, want %v", got, tt.want)
			}
		})
	}
}

// One device over a day: fresh, then stale while the source fails, then
// undecided, and allowed again as soon as the source is back.
func TestOutageAndRecovery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(time.Now(), require(RequireCompliant))
		step := func(d time.Duration, want string, fresh Freshness) {
			t.Helper()
			time.Sleep(d)
			s.request.Now = time.Now()
			got := s.decide()
			check(t, got, want)
			if got.Freshness != fresh {
				t.Errorf("freshness = %v, want %v", got.Freshness, fresh)
			}
		}
		step(15*time.Minute, "allow", Fresh)
		step(time.Second, "undecided: verdict_expired", Expired) // a poll was missed without a failure
		s.source.Confirm(time.Now())
		step(time.Minute, "allow", Fresh)
		s.source.Fail(CauseSourceFailing)
		step(14*time.Minute, "allow", Fresh)
		step(4*time.Hour, "allow", Stale)
		step(time.Second, "undecided: source_failing", Expired)
		s.source.Fail(CauseThrottled)
		step(0, "undecided: source_throttled", Expired)
		s.policy.OnOutage = mfa
		step(0, "step_up: source_throttled", Expired)
		s.user.AMR, s.user.AuthTime = []string{"mfa"}, time.Now().Unix()
		step(0, "allow", Expired)
		step(time.Hour, "allow", Expired)
		step(time.Second, "step_up: source_throttled", Expired)
		s.policy.OnOutage = nil
		s.source.Confirm(time.Now())
		step(time.Minute, "allow", Fresh)
	})
}

func TestNegativeEvidenceSticks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(time.Now(), require(RequireCompliant))
		s.verdict.Compliance = NonCompliant
		time.Sleep(1000 * time.Hour)
		s.request.Now = time.Now()
		check(t, s.decide(), "block: noncompliant")
		s.verdict.Compliance = Compliant
		check(t, s.decide(), "undecided: verdict_expired")
		s.source.Confirm(time.Now())
		check(t, s.decide(), "allow")
	})
}

func TestWhyAFactIsUnknown(t *testing.T) {
	now := time.Now()
	old := func(s *scene, c Cause) { s.source.Restore(now.Add(-time.Hour)); s.source.Fail(c) }
	deviceLine, riskLine := require(RequireDevice), Requirement{Kind: RequireRisk, Level: LevelHigh}
	tests := []struct {
		name string
		req  Requirement
		set  func(*scene)
		want string
	}{
		{"never loaded", riskLine, func(s *scene) { s.verdict, s.source = nil, &SourceState{Authoritative: true} }, "undecided: not_loaded"},
		{"never loaded, device", deviceLine, func(s *scene) { s.verdict, s.source = nil, &SourceState{Authoritative: true} }, "undecided: not_loaded"},
		{"expired", riskLine, func(s *scene) { old(s, CauseNone) }, "undecided: verdict_expired"},
		{"expired, device", deviceLine, func(s *scene) { old(s, CauseNone) }, "undecided: verdict_expired"},
		{"stale", riskLine, func(s *scene) { old(s, CauseSourceFailing) }, "allow"},
		{"stale, device", deviceLine, func(s *scene) { old(s, CauseSourceFailing) }, "allow"},
		{"stale, not reported", riskLine, func(s *scene) { old(s, CauseSourceFailing); s.verdict.Risk = 0 }, "block: fact_unknown(risk)"},
		{"stale, new device", riskLine, func(s *scene) { old(s, CauseSourceFailing); s.verdict = nil }, "undecided: source_failing"},
		{"stale, new device, device", deviceLine, func(s *scene) { old(s, CauseThrottled); s.verdict = nil }, "undecided: source_throttled"},
		{"no such device", riskLine, func(s *scene) { s.verdict = nil }, "block: device_unknown"},
		{"no such device, device", deviceLine, func(s *scene) { s.verdict = nil }, "block: device_unknown"},
		{"look-up too slow", riskLine, func(s *scene) { s.verdict, s.cause = nil, CauseLookupTimeout }, "undecided: lookup_timeout"},
		{"look-up says no", riskLine, func(s *scene) { s.verdict, s.cause = nil, CauseNoSuchDevice }, "block: device_unknown"},
		{"not reported", riskLine, func(s *scene) { s.verdict.Risk = 0 }, "block: fact_unknown(risk)"},
		{"not evaluated", require(RequireCompliant), func(s *scene) { s.verdict.Compliance = ComplianceNotEvaluated }, "block: fact_unknown(not_evaluated)"},
		{"delegated", require(RequireCompliant), func(s *scene) { s.verdict.Compliance = ComplianceDelegated }, "block: fact_unknown(delegated_configmgr)"},
		{"stale, new user", Requirement{Kind: RequireUserRisk}, func(s *scene) { old(s, CauseSourceFailing); s.record = nil }, "undecided: source_failing"},
		{"stale, user without risk", Requirement{Kind: RequireUserRisk}, func(s *scene) { old(s, CauseSourceFailing); s.record.Risk = 0 }, "block: fact_unknown(user_risk)"},
		{
			"stale, user without risk or name",
			Requirement{Kind: RequireUserRisk},
			func(s *scene) { old(s, CauseSourceFailing); s.record = &UserRecord{ObjectID: "o"} }, "block: fact_unknown(user_risk)",
		},
		{"nobody supplies it", riskLine, func(s *scene) { s.source.SetSupplies(Facts(FactOS)) }, "allow"}, // reported all the same
		{"nobody supplies it, nor reports", riskLine, func(s *scene) { s.source.SetSupplies(Facts(FactOS)); s.verdict.Risk = 0 }, "block: fact_unknown(risk)"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(now, tt.req)
			tt.set(s)
			check(t, s.decide(), tt.want)
		})
	}
}

// device_unknown is said only when every authoritative source answered.
func TestDeviceUnknownWaitsForEveryAuthority(t *testing.T) {
	now := time.Now()
	mdm, edr := &SourceState{Name: "mdm", Authoritative: true}, &SourceState{Name: "edr"}
	mdm.SetSupplies(Facts(FactCompliance))
	edr.SetSupplies(Facts(FactRisk))
	edr.Confirm(now)
	s := newScene(now, Requirement{Kind: RequireRisk, Level: LevelHigh}, require(RequireDevice))
	decide := func() *Decision {
		q := s.request
		q.Identity = &Identity{User: s.user, Device: s.device}
		q.Posture = Merge([]Report{{State: mdm}, {State: edr}}, laptop)
		d := new(Decision)
		s.engine.Decide(&s.policy, &q, d)
		return d
	}
	check(t, decide(), "block: fact_unknown(risk), not_loaded=undecided")
	mdm.Confirm(now)
	check(t, decide(), "block: device_unknown")
}

func TestExcusedPlatform(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		p    Platform
		want string
	}{
		{Windows, "allow"},
		{MacOS, "allow"},
		{Linux, "allow"},
		{ChromeOS, "allow"},
		{IOS, "block: fact_unknown(jailbroken)"},
		{Android, "block: fact_unknown(jailbroken)"},
		{PlatformUnknown, "block: fact_unknown(jailbroken)"},
	} {
		s := newScene(now, require(RequireNotJailbroken))
		s.verdict.Platform, s.verdict.Jailbroken = tt.p, Unknown
		check(t, s.decide(), tt.want)
	}
	s := newScene(now, require(RequireNotJailbroken))
	s.verdict.Jailbroken = Unknown
	s.tune = func(p *Posture) { p.from[FactOS] = 0 } // a platform that no source stands for
	check(t, s.decide(), "block: fact_unknown(jailbroken)")
	s.tune = nil
	s.source.SetSupplies(Facts(FactOS)) // so that only the platform could have expired
	s.source.Restore(now.Add(-time.Hour))
	check(t, s.decide(), "block: fact_unknown(jailbroken)")
}

func TestJitterIsSpread(t *testing.T) {
	seen := map[int64]int{}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		j := Jitter(Key{Value: strconv.FormatUint(rnd.Uint64(), 16)})
		if j < -100 || j > 100 {
			t.Fatalf("jitter %d is beyond ten per cent", j)
		}
		seen[j]++
	}
	if len(seen) != 201 {
		t.Errorf("%d of 201 values seen", len(seen))
	}
	if first := Jitter(laptop); first != Jitter(laptop) {
		t.Error("not a function of the key")
	}
}
