package decision

import (
	"testing"
	"time"
)

const (
	financeGroup = "11111111-aaaa-4aaa-8aaa-000000000001"
	auditGroup   = "11111111-aaaa-4aaa-8aaa-000000000002"
	otherGroup   = "11111111-aaaa-4aaa-8aaa-000000000003"
)

// membership is what was learnt age ago; fail is why the look-ups fail now.
func membership(now time.Time, age time.Duration, fail Cause, m *Membership) *Membership {
	m.State = &SourceState{Name: "directory"}
	m.State.Confirm(now.Add(-age))
	m.State.Fail(fail)
	if m.Asked != nil {
		m.Renew(Mono(now.Add(-age)))
	}
	return m
}

func TestGroupOfManyGroups(t *testing.T) {
	now := time.Now()
	asked := []string{financeGroup, auditGroup}
	in := func(age time.Duration, fail Cause, member ...string) *Membership {
		return membership(now, age, fail, &Membership{Asked: asked, Member: member})
	}
	unasked := func(c Cause) *Membership { return membership(now, 0, CauseNone, &Membership{Cause: c}) }
	for _, tt := range []struct {
		name   string
		names  []string
		m      *Membership
		want   string
		source string
	}{
		{"member", []string{financeGroup}, in(0, CauseNone, financeGroup), "allow", ""},
		{"member of one of two", []string{auditGroup, financeGroup}, in(0, CauseNone, financeGroup), "allow", ""},
		{"member, in capitals", []string{"11111111-AAAA-4AAA-8AAA-000000000001"}, in(0, CauseNone, financeGroup), "allow", ""},
		{"member, and a group that nobody asked about", []string{otherGroup, financeGroup}, in(0, CauseNone, financeGroup), "allow", ""},
		{"no member", []string{auditGroup}, in(0, CauseNone, financeGroup), "block: group_missing(" + auditGroup + ")", "directory"},
		{"no member, long ago", []string{auditGroup}, in(100*time.Hour, CauseNone, financeGroup), "block: group_missing(" + auditGroup + ")", "directory"},
		{"member, at the end of max_age", []string{financeGroup}, in(15*time.Minute, CauseNone, financeGroup), "allow", ""},
		{"member, too long ago", []string{financeGroup}, in(15*time.Minute+time.Second, CauseNone, financeGroup), "undecided: verdict_expired(groups)", "directory"},
		{"member, stale while failing", []string{financeGroup}, in(4*time.Hour, CauseSourceFailing, financeGroup), "allow", ""},
		{"member, too long ago while failing", []string{financeGroup}, in(5*time.Hour, CauseSourceFailing, financeGroup), "undecided: source_failing(groups)", "directory"},
		{"a group that nobody asked about yet", []string{otherGroup}, in(0, CauseNone, financeGroup), "undecided: not_loaded(groups)", "directory"},
		{"nobody asked", []string{financeGroup}, unasked(CauseNone), "undecided: not_loaded(groups)", "directory"},
		{"timed out", []string{financeGroup}, unasked(CauseLookupTimeout), "undecided: lookup_timeout(groups)", "directory"},
		{"throttled", []string{financeGroup}, unasked(CauseThrottled), "undecided: source_throttled(groups)", "directory"},
		{"failing", []string{financeGroup}, unasked(CauseSourceFailing), "undecided: source_failing(groups)", "directory"},
		{"no such user", []string{financeGroup}, unasked(CauseNotReported), "block: groups_unknown", ""},
		{"no source", []string{financeGroup}, nil, "block: groups_unknown", ""},
		{"a name that nobody can ask about", []string{"finance"}, unasked(CauseNotLoaded), "block: groups_unknown", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(now, Requirement{Kind: RequireGroup, Names: tt.names})
			s.user.Groups, s.user.GroupsKnown = nil, No
			s.policy.OnUnknown.Warn = true // never lets somebody past a group
			s.policy.OnOutage = mfa        // nor does a stronger sign-in
			s.user.AMR, s.user.AuthTime = []string{"mfa"}, now.Unix()
			s.tune = func(p *Posture) { p.Membership = tt.m }
			d := s.decide()
			check(t, d, tt.want)
			if len(d.Findings) > 0 && d.Findings[0].Source != tt.source {
				t.Errorf("source %q, want %q", d.Findings[0].Source, tt.source)
			}
		})
	}
}

// A membership is about users whose token says that it cannot list their groups.
func TestMembershipIsForOverageOnly(t *testing.T) {
	now := time.Now()
	m := membership(now, 0, CauseNone, &Membership{Asked: []string{financeGroup}, Member: []string{financeGroup}})
	for _, tt := range []struct {
		known  Tri
		groups []string
		want   string
	}{
		{Yes, nil, "block: group_missing(" + financeGroup + ")"},
		{Unknown, nil, "block: groups_unknown"},
		{No, nil, "allow"},
		{Yes, []string{financeGroup}, "allow"},
	} {
		s := newScene(now, Requirement{Kind: RequireGroup, Names: []string{financeGroup}})
		s.user.Groups, s.user.GroupsKnown = tt.groups, tt.known
		s.tune = func(p *Posture) { p.Membership = m }
		check(t, s.decide(), tt.want)
	}
}

func TestExemptionOfAGroupOfMany(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		name string
		m    *Membership
		want string
	}{
		{"member", membership(now, 0, CauseNone, &Membership{Asked: []string{financeGroup}, Member: []string{financeGroup}}), "allow: not_encrypted=warn"},
		{"no member", membership(now, 0, CauseNone, &Membership{Asked: []string{financeGroup}}), "block: not_encrypted"},
		{"too long ago", membership(now, time.Hour, CauseNone, &Membership{Asked: []string{financeGroup}, Member: []string{financeGroup}}), "block: not_encrypted"},
		{"unknown", nil, "block: not_encrypted"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newScene(now, require(RequireEncrypted))
			s.verdict.Encrypted = No
			s.user.Groups, s.user.GroupsKnown = nil, No
			s.policy.Exemptions = []Exemption{{Group: financeGroup, Until: now.Add(time.Hour), Because: "new laptops"}}
			s.tune = func(p *Posture) { p.Membership = tt.m }
			check(t, s.decide(), tt.want)
		})
	}
}

// An exemption of a group takes a membership for nobody else than a requirement does.
func TestExemptionIsForOverageOnly(t *testing.T) {
	now := time.Now()
	m := membership(now, 0, CauseNone, &Membership{Asked: []string{financeGroup}, Member: []string{financeGroup}})
	for _, tt := range []struct {
		known  Tri
		groups []string
		want   string
	}{
		{Yes, nil, "block: not_encrypted"},
		{Unknown, nil, "block: not_encrypted"},
		{No, nil, "allow: not_encrypted=warn"},
		{Yes, []string{financeGroup}, "allow: not_encrypted=warn"},
	} {
		s := newScene(now, require(RequireEncrypted))
		s.verdict.Encrypted = No
		s.user.Groups, s.user.GroupsKnown = tt.groups, tt.known
		s.policy.Exemptions = []Exemption{{Group: financeGroup, Until: now.Add(time.Hour), Because: "new laptops"}}
		s.tune = func(p *Posture) { p.Membership = m }
		check(t, s.decide(), tt.want)
	}
}

func TestMembershipAllocatesNothing(t *testing.T) {
	now := time.Now()
	s := newScene(now, Requirement{Kind: RequireGroup, Names: []string{auditGroup, financeGroup}})
	s.user.Groups, s.user.GroupsKnown = nil, No
	p := Merge([]Report{{State: s.source, Verdict: s.verdict}}, laptop)
	p.Membership = membership(now, 0, CauseNone, &Membership{Asked: []string{financeGroup}, Member: []string{financeGroup}})
	q := Request{Now: now, Identity: &Identity{User: s.user}, Posture: p}
	var d Decision
	if n := testing.AllocsPerRun(100, func() { s.engine.Decide(&s.policy, &q, &d) }); n != 0 || d.Outcome != Allow {
		t.Errorf("%v allocations, %s", n, summary(&d))
	}
}

func TestIsGroupID(t *testing.T) {
	for name, want := range map[string]string{
		financeGroup: financeGroup, "11111111-AAAA-4AAA-8AAA-000000000001": financeGroup,
		"{" + financeGroup + "}": "", "finance": "", "": "", "00000000-0000-0000-0000-000000000000": "", financeGroup + "0": "",
	} {
		if id, ok := IsGroupID(name); id != want || ok != (want != "") {
			t.Errorf("IsGroupID(%q) = %q, %v", name, id, ok)
		}
	}
}
