package decision

import (
	"testing"
	"time"
)

// merged joins verdicts of sources a, b, c … in that order.
func merged(devices ...Device) *Posture {
	var reports []Report
	for i := range devices {
		st := &SourceState{Name: string(rune('a' + i))}
		reports = append(reports, Report{State: st, Verdict: &Verdict{Device: devices[i]}})
	}
	return Merge(reports, laptop)
}

func TestMergeFirstThatKnowsIsTheAuthority(t *testing.T) {
	p := merged(
		Device{Name: "one", Managed: Yes, Platform: Windows, OSVersion: Version{10}, OwnerUPN: "a@x"},
		Device{Name: "two", Managed: No, Encrypted: No, Platform: MacOS, OSVersion: Version{14}, OwnerID: "o", Model: "m", Channel: ChannelIntune},
		Device{Encrypted: Yes, Channel: ChannelEAS, Model: "n"},
	)
	if p.Name != "one" || p.Model != "m" || p.Channel != ChannelIntune || p.Managed != Yes || p.Encrypted != No {
		t.Errorf("got %+v", p.Device)
	}
	if p.Platform != Windows || p.OSVersion != (Version{10}) || p.OwnerUPN != "a@x" || p.OwnerID != "" {
		t.Errorf("facts of two parts were mixed from two sources: %+v", p.Device)
	}
	if p.Source(FactManaged) != "a" || p.Source(FactEncrypted) != "b" || p.Source(FactRisk) != "" {
		t.Errorf("sources: %q %q %q", p.Source(FactManaged), p.Source(FactEncrypted), p.Source(FactRisk))
	}
	if want := Facts(FactManaged, FactEncrypted, FactOS); p.Conflicts != 3 || p.Disputed() != want {
		t.Errorf("%d conflicts %b, want %b", p.Conflicts, p.Disputed(), want)
	}
}

func TestMergeTowardsCaution(t *testing.T) {
	tests := []struct {
		name string
		fact Fact
		a, b Device
		bad  func(*Posture) bool
	}{
		{"disabled", FactEnabled, Device{Enabled: Yes}, Device{Enabled: No}, func(p *Posture) bool { return p.Enabled == No }},
		{"wiping", FactLifecycle, Device{Lifecycle: LifecycleActive}, Device{Lifecycle: LifecycleWiping}, func(p *Posture) bool { return p.Lifecycle == LifecycleWiping }},
		{"jailbroken", FactJailbroken, Device{Jailbroken: No}, Device{Jailbroken: Yes}, func(p *Posture) bool { return p.Jailbroken == Yes }},
		{"malware", FactMalware, Device{Malware: No}, Device{Malware: Yes}, func(p *Posture) bool { return p.Malware == Yes }},
		{"risk", FactRisk, Device{Risk: LevelLow}, Device{Risk: LevelHigh}, func(p *Posture) bool { return p.Risk == LevelHigh }},
		{"exposure", FactExposure, Device{Exposure: LevelLow}, Device{Exposure: LevelHigh}, func(p *Posture) bool { return p.Exposure == LevelHigh }},
	}
	for _, tt := range tests {
		for order, p := range map[string]*Posture{"b": merged(tt.a, tt.b), "a": merged(tt.b, tt.a)} {
			if !tt.bad(p) || p.Source(tt.fact) != order || p.Conflicts != 1 {
				t.Errorf("%s: bad %v from %q, want from %q; conflicts %d", tt.name, tt.bad(p), p.Source(tt.fact), order, p.Conflicts)
			}
		}
	}
}

func TestMergeCompliance(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 5, n, 0, 0, 0, 0, time.UTC) }
	old, newer := Device{Compliance: Compliant, LastCheckIn: day(1)}, Device{Compliance: NonCompliant, EvaluatedAt: day(2), Settings: []Setting{{Name: "BitLocker"}}}
	if p := merged(old, newer); p.Compliance != NonCompliant || len(p.Settings) != 1 {
		t.Errorf("a newer no does not beat an older yes: %v %v", p.Compliance, p.Settings)
	}
	newer.EvaluatedAt = day(1)
	if p := merged(old, newer); p.Compliance != Compliant || len(p.Settings) != 0 {
		t.Errorf("a no of the same day beats the authority: %v %v", p.Compliance, p.Settings)
	}
	grace := Device{Compliance: InGracePeriod, GraceUntil: day(9)}
	if p := merged(Device{}, grace, old); p.Compliance != InGracePeriod || !p.GraceUntil.Equal(day(9)) || p.Source(FactCompliance) != "b" {
		t.Errorf("got %v until %v", p.Compliance, p.GraceUntil)
	}
	if p := merged(Device{Compliance: InGracePeriod, LastCheckIn: day(1)}, Device{Compliance: NonCompliant, EvaluatedAt: day(2)}); p.Compliance != NonCompliant {
		t.Error("a newer no does not beat an older grace")
	}
	if p := merged(Device{Compliance: NonCompliant}, Device{Compliance: Compliant, LastCheckIn: day(5)}); p.Compliance != NonCompliant {
		t.Error("a yes of a lesser source beats the authority's no")
	}
}

func TestMergeNewestDatesAndAllKeys(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 5, n, 0, 0, 0, 0, time.UTC) }
	serial := Key{Kind: KindSerial, Value: "X"}
	p := merged(
		Device{LastCheckIn: day(3), EvaluatedAt: day(1), Keys: []Key{laptop}},
		Device{LastCheckIn: day(2), EvaluatedAt: day(4), Keys: []Key{laptop, serial}},
	)
	if !p.LastCheckIn.Equal(day(3)) || !p.EvaluatedAt.Equal(day(4)) || p.Source(FactCheckIn) != "a" {
		t.Errorf("got %v from %q, %v", p.LastCheckIn, p.Source(FactCheckIn), p.EvaluatedAt)
	}
	if len(p.Keys) != 2 || p.Keys[1] != serial {
		t.Errorf("keys = %v", p.Keys)
	}
}

func TestMergeUser(t *testing.T) {
	a, b := &SourceState{Name: "a"}, &SourceState{Name: "b"}
	p := Merge([]Report{
		{State: a, User: &UserRecord{UPN: "x", Enabled: Yes, Risk: LevelHigh, Compromised: Yes}},
		{State: b, User: &UserRecord{UPN: "y", ObjectID: "o", Enabled: No, Risk: LevelNone, Compromised: No}},
	}, laptop)
	if u := p.User; u.UPN != "x" || u.ObjectID != "o" || u.Enabled != No || u.Risk != LevelHigh || u.Compromised != Yes {
		t.Errorf("got %+v", u)
	}
	if p.Source(FactUserEnabled) != "b" || p.Source(FactUserRisk) != "a" || p.Known() {
		t.Errorf("sources %q %q, known %v", p.Source(FactUserEnabled), p.Source(FactUserRisk), p.Known())
	}
}

// TestMergeAuthorityForCompliance: the rows of reference table E5, whatever the
// order of the configuration.
func TestMergeAuthorityForCompliance(t *testing.T) {
	day := func(n int) time.Time { return time.Date(2026, 5, n, 0, 0, 0, 0, time.UTC) }
	said := func(a Authority, name string, d Device) Report {
		return Report{State: &SourceState{Name: name, Authority: a}, Verdict: &Verdict{Device: d}}
	}
	intune := func(c Compliance) Report {
		return said(AuthorityManagement, "intune", Device{Compliance: c, LastCheckIn: day(2)})
	}
	managed := func(c Compliance, by Channel) Report {
		return said(AuthorityConfigMgr, "configmgr", Device{Compliance: c, Channel: by, LastCheckIn: day(3), Settings: []Setting{{Name: "updates"}}})
	}
	configmgr := func(c Compliance) Report { return managed(c, ChannelUnknown) }
	unread := said(AuthorityManagement, "intune", Device{Channel: ChannelCoManaged, Unreadable: Facts(FactCompliance)})
	notEvaluated := said(AuthorityManagement, "intune", Device{Channel: ChannelIntune, Unreadable: Facts(FactEncrypted)})
	entra := func(c Compliance) Report {
		return said(AuthorityDirectory, "entra", Device{Compliance: c, EvaluatedAt: day(4)})
	}
	file := func(c Compliance) Report {
		return said(AuthorityFile, "file", Device{Compliance: c, LastCheckIn: day(1)})
	}
	tests := []struct {
		name      string
		reports   []Report
		want      Compliance
		from      string
		conflicts int
	}{
		{"workload in Intune", []Report{configmgr(NonCompliant), intune(Compliant)}, Compliant, "intune", 1},
		{"workload in Configuration Manager", []Report{entra(Compliant), configmgr(NonCompliant), intune(ComplianceDelegated)}, NonCompliant, "configmgr", 1},
		{"the same, compliant", []Report{intune(ComplianceDelegated), entra(NonCompliant), configmgr(Compliant)}, Compliant, "configmgr", 1},
		{"delegated to a silent one", []Report{intune(ComplianceDelegated), configmgr(ComplianceUnknown), entra(Compliant), file(Compliant)}, ComplianceDelegated, "intune", 0},
		{"delegated, nobody there", []Report{entra(Compliant), intune(ComplianceDelegated)}, ComplianceDelegated, "intune", 0},
		{"Configuration Manager alone", []Report{configmgr(Compliant)}, Compliant, "configmgr", 0},
		{"partner system: the directory knows", []Report{entra(Compliant), intune(ComplianceUnknown)}, Compliant, "entra", 0},
		{"the directory knows of a newer no", []Report{entra(NonCompliant), intune(Compliant)}, NonCompliant, "entra", 1},
		{"the directory's no without a date", []Report{said(AuthorityDirectory, "entra", Device{Compliance: NonCompliant}), intune(InGracePeriod)}, NonCompliant, "entra", 1},
		{"the directory knows of no verdict", []Report{entra(ComplianceNotManaged), intune(Compliant)}, Compliant, "intune", 1},
		{"co-managed, the workload is unknown: a yes says nothing", []Report{managed(Compliant, ChannelCoManaged), entra(NonCompliant)}, NonCompliant, "entra", 0},
		{"the same, nobody else", []Report{managed(Compliant, ChannelCoManaged)}, ComplianceUnknown, "", 0},
		{"the same, with a yes of the directory", []Report{managed(Compliant, ChannelCoManaged), entra(Compliant)}, Compliant, "entra", 0},
		{
			"the same, though a partner has a record",
			[]Report{said(AuthorityManagement, "intune", Device{Channel: ChannelPartnerMDM}), managed(Compliant, ChannelCoManaged)},
			ComplianceUnknown, "", 0,
		},
		{"the same: a no counts", []Report{managed(NonCompliant, ChannelCoManaged), entra(Compliant)}, NonCompliant, "configmgr", 1},
		{"Configuration Manager alone, by its own word", []Report{managed(Compliant, ChannelConfigMgrOnly), file(NonCompliant)}, Compliant, "configmgr", 1},
		{"its yes against the directory's no", []Report{managed(Compliant, ChannelConfigMgrOnly), entra(NonCompliant)}, NonCompliant, "entra", 1},
		{"Intune manages it and does not say", []Report{notEvaluated, configmgr(Compliant)}, ComplianceUnknown, "", 0},
		{"Intune says something unreadable", []Report{unread, configmgr(Compliant), entra(Compliant), file(InGracePeriod)}, ComplianceUnknown, "", 1},
		{"the same, a no of others stays", []Report{unread, configmgr(Compliant), entra(NonCompliant)}, NonCompliant, "entra", 0},
		{"an unreadable copy changes nothing", []Report{intune(Compliant), said(AuthorityDirectory, "entra", Device{Unreadable: Facts(FactCompliance)})}, Compliant, "intune", 0},
		{"delegated, answered, and a copy", []Report{intune(ComplianceDelegated), configmgr(Compliant), entra(NonCompliant), file(NonCompliant)}, Compliant, "configmgr", 1},
		{"a file comes last", []Report{file(NonCompliant), intune(Compliant)}, Compliant, "intune", 1},
	}
	for _, tt := range tests {
		p := Merge(tt.reports, laptop)
		if p.Compliance != tt.want || p.Source(FactCompliance) != tt.from || p.Conflicts != tt.conflicts {
			t.Errorf("%s: %v from %q with %d conflicts; want %v from %q with %d", tt.name,
				p.Compliance, p.Source(FactCompliance), p.Conflicts, tt.want, tt.from, tt.conflicts)
		}
		if blames := len(p.Settings) > 0; blames != (tt.from == "configmgr") {
			t.Errorf("%s: settings %v of somebody else's verdict", tt.name, p.Settings)
		}
	}
}

// TestMergeNotHeard: good news counts only after everybody was heard whose word
// comes first, or could be worse.
func TestMergeNotHeard(t *testing.T) {
	loaded := func(a Authority, d Device) Report {
		st := &SourceState{Name: "loaded", Authority: a}
		st.Confirm(time.Now())
		return Report{State: st, Verdict: &Verdict{Device: d}}
	}
	silent := func(a Authority, facts ...Fact) Report {
		st := &SourceState{Name: "silent", Authority: a}
		st.SetSupplies(Facts(facts...))
		return Report{State: st}
	}
	asked := func(a Authority, c Cause, facts ...Fact) Report {
		r := silent(a, facts...)
		r.State.Confirm(time.Now())
		r.Cause = c
		return r
	}
	good := Device{Compliance: Compliant, Encrypted: Yes, Risk: LevelLow}
	tests := []struct {
		name    string
		reports []Report
		want    FactSet
	}{
		{"everybody was read", []Report{loaded(AuthorityManagement, good), loaded(AuthorityFile, good)}, 0},
		{
			"the authority was never read",
			[]Report{silent(AuthorityManagement, FactCompliance, FactEncrypted, FactRisk), loaded(AuthorityFile, good)},
			Facts(FactCompliance, FactEncrypted, FactRisk),
		},
		{
			"a lesser one was never read: only what could be worse",
			[]Report{loaded(AuthorityManagement, good), silent(AuthorityFile, FactCompliance, FactEncrypted, FactRisk)},
			Facts(FactRisk),
		},
		{"it cannot say anything about it", []Report{silent(AuthorityManagement, FactSupervised), loaded(AuthorityFile, good)}, 0},
		{
			"it could not be asked about the device",
			[]Report{asked(AuthorityManagement, CauseThrottled, FactCompliance), loaded(AuthorityFile, good)},
			Facts(FactCompliance),
		},
		{"it does not have the device", []Report{asked(AuthorityManagement, CauseNone, FactCompliance), loaded(AuthorityFile, good)}, 0},
		{"of the same authority, later in the configuration", []Report{loaded(AuthorityFile, good), silent(AuthorityFile, FactCompliance)}, 0},
		{"of the same authority, earlier in the configuration", []Report{silent(AuthorityFile, FactCompliance), loaded(AuthorityFile, good)}, Facts(FactCompliance)},
	}
	for _, tt := range tests {
		if p := Merge(tt.reports, laptop); p.unheard != tt.want {
			t.Errorf("%s: unheard %b, want %b", tt.name, p.unheard, tt.want)
		}
	}

	p := Merge([]Report{silent(AuthorityManagement, FactCompliance), loaded(AuthorityFile, good)}, laptop)
	q := &Request{Now: time.Now(), Posture: p, Identity: &Identity{Device: DeviceRef{Keys: []Key{laptop}, Proof: ProofToken}}}
	for _, r := range []Requirement{{Kind: RequireCompliant}, {Kind: RequireExpression, Expr: constant{is: Yes, facts: Facts(FactCompliance)}}} {
		var d Decision
		(&Engine{}).Decide(&Policy{Name: "p", Ages: Ages{MaxAge: time.Hour}, Requirements: []Requirement{r}}, q, &d)
		if d.Outcome != Undecided || !d.Has(NotLoaded) {
			t.Errorf("%v: %v %v, want undecided because the source is not loaded", r.Kind, d.Outcome, d.Findings)
		}
	}
}

// TestOldSilenceIsNoWord: a source that was last heard too long ago may have learnt
// better since, of the device or of a danger to it.
func TestOldSilenceIsNoWord(t *testing.T) {
	now := time.Now()
	source := func(a Authority, age time.Duration, failing bool, v *Verdict) Report {
		st := &SourceState{Name: "s", Authority: a}
		st.SetSupplies(AllFacts)
		st.Confirm(now.Add(-age))
		if failing {
			st.Fail(CauseSourceFailing)
		}
		return Report{State: st, Verdict: v}
	}
	narrow := func(r Report, f Fact) Report { r.State.SetSupplies(Facts(f)); return r }
	good := &Verdict{Device: Device{Keys: []Key{laptop}, Compliance: Compliant, Risk: LevelNone, Managed: Yes}}
	fresh := source(AuthorityDirectory, time.Minute, false, good)
	compliant, lowRisk := Requirement{Kind: RequireCompliant}, Requirement{Kind: RequireRisk, Level: LevelLow}
	tests := []struct {
		name  string
		other Report
		r     Requirement
		want  Outcome
	}{
		{"the authority is fresh and has no such device", source(AuthorityManagement, time.Minute, false, nil), compliant, Allow},
		{"it failed days ago", source(AuthorityManagement, 72*time.Hour, true, nil), compliant, Undecided},
		{"it is failing, within stale_if_error", source(AuthorityManagement, time.Hour, true, nil), compliant, Undecided},
		{"it failed days ago, and says nothing about that", narrow(source(AuthorityManagement, 72*time.Hour, true, nil), FactSupervised), compliant, Allow},
		{"it is failing, and has the device without that fact", source(AuthorityManagement, time.Hour, true, &Verdict{Device: Device{Managed: Yes}}), compliant, Allow},
		{"a lesser service failed days ago", source(AuthorityNAC, 72*time.Hour, true, nil), compliant, Allow},
		{"of the same authority, earlier", source(AuthorityDirectory, 72*time.Hour, true, nil), compliant, Undecided},
		{"a lesser one failed days ago", source(AuthorityFile, 72*time.Hour, true, nil), compliant, Allow},
		{"its finding about risk is days old", source(AuthorityManagement, 72*time.Hour, true, good), lowRisk, Undecided},
		{"its finding about risk is stale", source(AuthorityManagement, time.Hour, true, good), lowRisk, Allow},
		{"a lesser one's silence about risk is days old", source(AuthorityNAC, 72*time.Hour, true, nil), lowRisk, Undecided},
		{"an old file about risk", source(AuthorityFile, 72*time.Hour, true, good), lowRisk, Allow},
	}
	for _, tt := range tests {
		p := Merge([]Report{tt.other, fresh}, laptop)
		q := &Request{Now: now, Posture: p, Identity: &Identity{Device: DeviceRef{Keys: []Key{laptop}, Proof: ProofToken}}}
		var d Decision
		(&Engine{}).Decide(&Policy{Ages: Ages{MaxAge: 15 * time.Minute, StaleIfError: 4 * time.Hour}, Requirements: []Requirement{tt.r}}, q, &d)
		if d.Outcome != tt.want {
			t.Errorf("%s: %v %v, want %v", tt.name, d.Outcome, d.Findings, tt.want)
		}
		if got := p.ComplianceAt(now, Ages{MaxAge: 15 * time.Minute, StaleIfError: 4 * time.Hour}); tt.r.Kind == RequireCompliant && (got == Compliant) != (tt.want == Allow) {
			t.Errorf("%s: the app is told %v", tt.name, got)
		}
	}
	later := Merge([]Report{fresh, source(AuthorityDirectory, 72*time.Hour, true, nil)}, laptop)
	if later.ComplianceAt(now, Ages{MaxAge: 15 * time.Minute}) != Compliant {
		t.Error("of the same authority, later: it counts")
	}
	// A source that is only asked about single devices has no such age.
	asked := source(AuthorityManagement, 72*time.Hour, false, nil)
	asked.State.Asked = true
	if p := Merge([]Report{asked, fresh}, laptop); p.ComplianceAt(now, Ages{MaxAge: 15 * time.Minute}) != Compliant {
		t.Error("a source that is only asked counts as old")
	}
}
