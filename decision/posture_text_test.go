package decision

import (
	"testing"
	"time"
)

func TestComplianceAt(t *testing.T) {
	now := time.Now()
	ages := Ages{MaxAge: 10 * time.Minute}
	posture := func(age time.Duration, c Compliance, grace time.Time) *Posture {
		st := &SourceState{Name: "inventory", Authoritative: true}
		st.SetSupplies(AllFacts)
		st.Confirm(now.Add(-age))
		v := &Verdict{Device: Device{Compliance: c, GraceUntil: grace, Managed: Yes}}
		return Merge([]Report{{State: st, Verdict: v}}, Key{})
	}
	ambiguous := posture(0, Compliant, time.Time{})
	ambiguous.Ambiguous = true
	tests := []struct {
		name string
		p    *Posture
		want Compliance
	}{
		{"compliant", posture(0, Compliant, time.Time{}), Compliant},
		{"compliant long after an old grace period", posture(0, Compliant, now.Add(-time.Hour)), Compliant},
		{"too old", posture(time.Hour, Compliant, time.Time{}), ComplianceUnknown},
		{"bad news sticks", posture(time.Hour, NonCompliant, time.Time{}), NonCompliant},
		{"in grace", posture(0, InGracePeriod, now.Add(time.Hour)), InGracePeriod},
		{"in grace without an end", posture(0, InGracePeriod, time.Time{}), InGracePeriod},
		{"grace over", posture(0, InGracePeriod, now.Add(-time.Second)), NonCompliant},
		{"grace over at this moment", posture(0, InGracePeriod, now), NonCompliant},
		{"in grace, too old", posture(time.Hour, InGracePeriod, now.Add(time.Hour)), ComplianceUnknown},
		{"nobody says", posture(0, ComplianceUnknown, time.Time{}), ComplianceUnknown},
		{"unclear which device", ambiguous, ComplianceUnknown},
		{"no source", Merge(nil, Key{}), ComplianceUnknown},
		{"a verdict without a source", &Posture{Device: Device{Compliance: Compliant}}, ComplianceUnknown},
	}
	for _, tc := range tests {
		if got := tc.p.ComplianceAt(now, ages); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
}

func TestValue(t *testing.T) {
	st := &SourceState{Name: "inventory"}
	p := Merge([]Report{{State: st, Verdict: &Verdict{Device: Device{
		Platform: Windows, OSVersion: Version{10, 0, 22631}, OwnerID: "id", Compliance: Compliant, Encrypted: No,
		LastCheckIn: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC),
	}}}}, Key{})
	for f, want := range map[Fact]string{
		FactOS: "windows 10.0.22631", FactOwner: "id", FactCompliance: "compliant", FactEncrypted: "no",
		FactCheckIn: "2026-03-01T12:00:00Z", FactRisk: "unknown", FactUserRisk: "unknown",
	} {
		if got := p.Value(f); got != want {
			t.Errorf("%s is %q, want %q", f, got, want)
		}
	}
	if got := Merge(nil, Key{}).Value(FactOwner); got != "unknown" {
		t.Errorf("owner of nothing is %q", got)
	}
}
