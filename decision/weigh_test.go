package decision

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"
)

// said prints the words about one fact: SOURCE=VALUE STANDING RULE.
func said(p *Posture, words []Word, f Fact) []string {
	var out []string
	for _, w := range words {
		if w.Fact == f {
			out = append(out, fmt.Sprintf("%s=%s %s %s", p.Evidence[w.Source].State.Name, w.Value, w.Standing, w.Rule))
		}
	}
	return out
}

// listing is a management system that was read and has a record of all that it
// manages.
func listing(name, tenant string) *SourceState {
	st := &SourceState{Name: name, Tenant: tenant, Enrols: true}
	st.SetSupplies(AllFacts)
	st.Confirm(time.Now())
	return st
}

func TestWeighSaysWhoCounts(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 5, n, 0, 0, 0, 0, time.UTC) }
	report := func(name string, a Authority, d Device) Report {
		return Report{State: &SourceState{Name: name, Authority: a}, Verdict: &Verdict{Device: d}}
	}
	tests := []struct {
		name    string
		fact    Fact
		reports []Report
		want    []string
		dispute bool
	}{
		{"authority", FactManaged, []Report{
			report("entra", AuthorityDirectory, Device{Managed: No}), report("intune", AuthorityManagement, Device{Managed: Yes}),
			report("file", AuthorityFile, Device{Managed: Yes}),
		}, []string{"intune=yes counts authority", "entra=no overruled none", "file=yes agrees none"}, true},
		{"worst of", FactRisk, []Report{
			report("intune", AuthorityManagement, Device{Risk: LevelLow}), report("defender", AuthorityManagement, Device{Risk: LevelHigh}),
			report("file", AuthorityFile, Device{Risk: LevelMedium}),
		}, []string{"intune=low overruled none", "defender=high counts worst_of", "file=medium overruled none"}, true},
		{"newer", FactCompliance, []Report{
			report("intune", AuthorityManagement, Device{Compliance: Compliant, EvaluatedAt: day(1)}),
			report("file", AuthorityFile, Device{Compliance: NonCompliant, EvaluatedAt: day(2)}),
		}, []string{"intune=compliant overruled none", "file=noncompliant counts newer"}, true},
		{"older", FactCompliance, []Report{
			report("intune", AuthorityManagement, Device{Compliance: Compliant, EvaluatedAt: day(2)}),
			report("file", AuthorityFile, Device{Compliance: NonCompliant, EvaluatedAt: day(1)}),
		}, []string{"intune=compliant counts authority", "file=noncompliant overruled none"}, true},
		{"a directory's no", FactCompliance, []Report{
			report("intune", AuthorityManagement, Device{Compliance: InGracePeriod, EvaluatedAt: day(2)}),
			report("entra", AuthorityDirectory, Device{Compliance: NonCompliant}),
		}, []string{"intune=in_grace overruled none", "entra=noncompliant counts worst_of"}, true},
		{"a directory that knows nothing", FactCompliance, []Report{
			report("intune", AuthorityManagement, Device{Compliance: Compliant}),
			report("entra", AuthorityDirectory, Device{Compliance: ComplianceNotManaged}),
		}, []string{"intune=compliant counts authority", "entra=not_managed overruled none"}, true},
		{"unreadable", FactCompliance, []Report{
			report("intune", AuthorityManagement, Device{Unreadable: Facts(FactCompliance)}),
			report("entra", AuthorityDirectory, Device{Compliance: Compliant}),
		}, []string{"intune=unknown unreadable none", "entra=compliant set_aside none"}, false},
		{"not listed", FactManaged, []Report{
			{State: listing("intune", "t"), Cause: CauseNone},
			{State: &SourceState{Name: "entra", Authority: AuthorityDirectory, Tenant: "t"}, Verdict: &Verdict{Device: Device{Managed: Yes}}},
		}, []string{"entra=yes set_aside none", "intune=no counts not_listed"}, false},
		{"delegated", FactCompliance, []Report{
			report("intune", AuthorityManagement, Device{Compliance: ComplianceDelegated}),
			report("cm", AuthorityConfigMgr, Device{Compliance: NonCompliant}),
		}, []string{"intune=delegated_configmgr defers none", "cm=noncompliant counts delegated"}, false},
		{"copy", FactCompliance, []Report{
			report("intune", AuthorityManagement, Device{Compliance: ComplianceDelegated}),
			report("entra", AuthorityDirectory, Device{Compliance: Compliant}),
		}, []string{"intune=delegated_configmgr counts authority", "entra=compliant copy none"}, false},
		{"latest", FactCheckIn, []Report{
			report("intune", AuthorityManagement, Device{LastCheckIn: day(1)}), report("file", AuthorityFile, Device{LastCheckIn: day(2)}),
		}, []string{"intune=2026-05-01T00:00:00Z set_aside none", "file=2026-05-02T00:00:00Z counts latest"}, false},
		{"another version", FactOS, []Report{
			report("intune", AuthorityManagement, Device{Platform: Windows, OSVersion: Version{10, 0, 1}}),
			report("entra", AuthorityDirectory, Device{Platform: Windows, OSVersion: Version{10, 0, 2}}),
		}, []string{"intune=windows 10.0.1 counts authority", "entra=windows 10.0.2 set_aside none"}, false},
		{"another platform", FactOS, []Report{
			report("intune", AuthorityManagement, Device{Platform: Windows}), report("entra", AuthorityDirectory, Device{Platform: MacOS}),
		}, []string{"intune=windows counts authority", "entra=macos overruled none"}, true},
		{"owner by case", FactOwner, []Report{
			report("intune", AuthorityManagement, Device{OwnerUPN: "A@x"}), report("file", AuthorityFile, Device{OwnerUPN: "a@x", OwnerID: "1"}),
		}, []string{"intune=A@x counts authority", "file=a@x set_aside none"}, false},
		{"another owner", FactOwner, []Report{
			report("intune", AuthorityManagement, Device{OwnerUPN: "a@x", OwnerID: "1"}), report("file", AuthorityFile, Device{OwnerUPN: "b@x", OwnerID: "2"}),
		}, []string{"intune=a@x counts authority", "file=b@x overruled none"}, true},
		{"nobody", FactMalware, []Report{report("intune", AuthorityManagement, Device{Managed: Yes})}, nil, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p, words := Weigh(tt.reports, laptop)
			if got := said(p, words, tt.fact); !slices.Equal(got, tt.want) {
				t.Errorf("got %q\nwant %q", got, tt.want)
			}
			if p.Disputed().Has(tt.fact) != tt.dispute {
				t.Errorf("disputed: %v, want %v", !tt.dispute, tt.dispute)
			}
		})
	}
}

func TestWeighUsers(t *testing.T) {
	a, b := &SourceState{Name: "a"}, &SourceState{Name: "b"}
	p, words := Weigh([]Report{
		{State: a, User: &UserRecord{UPN: "u@x", Enabled: Yes, Risk: LevelLow}}, {State: b, User: &UserRecord{UPN: "u@x", Enabled: No}},
	}, laptop)
	want := []string{"a=yes overruled none", "b=no counts worst_of"}
	if got := said(p, words, FactUserEnabled); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestWeighIsMerge: whatever the sources say, both give the same posture, one word
// of each disputed or known fact counts, and it is the posture's.
func TestWeighIsMerge(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		reports := make([]Report, 1+r.IntN(4))
		for i := range reports {
			reports[i].State = &SourceState{Name: string(rune('a' + i)), Authority: Authority(r.IntN(5)), Enrols: r.IntN(4) == 0}
			reports[i].State.Confirm(time.Now())
			if r.IntN(5) == 0 {
				continue
			}
			reports[i].Verdict = &Verdict{Device: Device{
				Compliance: Compliance(r.IntN(int(ComplianceNotManaged) + 1)), Managed: Tri(r.IntN(3)), Enabled: Tri(r.IntN(3)),
				Lifecycle: Lifecycle(r.IntN(8)), Jailbroken: Tri(r.IntN(3)), Risk: Level(r.IntN(6)), Platform: Platform(r.IntN(4)),
				OwnerID: []string{"", "1", "2"}[r.IntN(3)], OwnerUPN: []string{"", "a@x", "A@x", "b@x"}[r.IntN(4)],
				LastCheckIn: time.Unix(int64(r.IntN(3)), 0), EvaluatedAt: time.Unix(int64(r.IntN(3)), 0),
				RiskFloor: r.IntN(2) == 0, Channel: Channel(r.IntN(9)), Unreadable: FactSet(r.Uint32()&r.Uint32()) & AllFacts &^ userFacts,
			}}
		}
		p, words := Weigh(reports, laptop)
		if plain := Merge(reports, laptop); !reflect.DeepEqual(p, plain) {
			t.Fatalf("%+v is not\n%+v", p, plain)
		}
		for f := range NumFacts {
			counting := slices.DeleteFunc(slices.Clone(words), func(w Word) bool { return w.Fact != f || w.Standing != StandingCounts })
			switch source := p.Source(f); {
			case source == "" && len(counting) == 0:
			case len(counting) != 1:
				t.Fatalf("%s: %d words count", f, len(counting))
			case p.Evidence[counting[0].Source].State.Name != source || counting[0].Value != p.Value(f) || counting[0].Rule == RuleNone:
				t.Fatalf("%s: the word %+v counts, but it is %s of %s", f, counting[0], p.Value(f), source)
			}
		}
	}
}
