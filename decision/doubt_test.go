package decision

import (
	"testing"
	"time"
)

// TestUnreadableIsNotFilled: what a source said and nobody can read is not filled with
// another one's good news, of every fact; bad news stays.
func TestUnreadableIsNotFilled(t *testing.T) {
	good := Device{
		Compliance: Compliant, Managed: Yes, Enabled: Yes, Lifecycle: LifecycleActive, Encrypted: Yes, Updated: Yes, Jailbroken: No,
		Malware: No, Risk: LevelNone, Platform: Windows, OSVersion: Version{10}, Trust: TrustJoined, Ownership: Corporate,
		OwnerID: "o", OwnerUPN: "o@x", LastCheckIn: time.Now(), SecureBoot: Yes, Supervised: Yes, Antivirus: Yes, Firewall: Yes,
		Apps: Yes, Sensor: SensorActive, Exposure: LevelLow,
	}
	bad := Device{
		Compliance: NonCompliant, Managed: No, Enabled: No, Lifecycle: LifecycleWiping, Encrypted: No, Updated: No, Jailbroken: Yes,
		Malware: Yes, Risk: LevelHigh, Ownership: Personal, SecureBoot: No, Supervised: No, Antivirus: No, Firewall: No,
		Apps: No, Sensor: SensorInactive, Exposure: LevelHigh,
	}
	for f := range NumFacts {
		if userFacts.Has(f) {
			continue
		}
		unread := Device{Unreadable: Facts(f)}
		p := merged(unread, good)
		switch {
		case f == FactRisk:
			if p.Risk != LevelNone || !p.RiskFloor || p.Value(f) != "at_least_none" {
				t.Errorf("risk: %v, floor %v", p.Risk, p.RiskFloor)
			}
		case p.from[f] != 0 || p.Value(f) != "unknown":
			t.Errorf("%v: %s from %q fills what cannot be read", f, p.Value(f), p.Source(f))
		}
		if p := merged(unread, bad); bad.Tells(f) && p.Source(f) != "b" {
			t.Errorf("%v: bad news of another source is lost", f)
		}
		// Earlier good news stays where only the first one that knows counts.
		if p := merged(good, unread); worstCounts.Has(f) == (p.from[f] != 0 && !p.RiskFloor) {
			t.Errorf("%v: after good news of the authority: %s from %q", f, p.Value(f), p.Source(f))
		}
	}
	if p := merged(Device{Unreadable: Facts(FactOS, FactOwner)}, good); !p.OSVersion.IsZero() || p.OwnerUPN != "" {
		t.Errorf("half of a fact is left: %v %q", p.OSVersion, p.OwnerUPN)
	}
}

// TestRiskFloor: a level that is only a floor can refuse and never pass.
func TestRiskFloor(t *testing.T) {
	risk := func(l Level, floor bool) Device { return Device{Risk: l, RiskFloor: floor} }
	tests := []struct {
		name    string
		devices []Device
		limit   Level
		want    Outcome
	}{
		{"a level", []Device{risk(LevelLow, false)}, LevelLow, Allow},
		{"a floor at the limit", []Device{risk(LevelLow, true)}, LevelLow, Block},
		{"a floor below the limit", []Device{risk(LevelNone, true)}, LevelHigh, Block},
		{"a floor above the limit", []Device{risk(LevelHigh, true)}, LevelMedium, Block},
		{"somebody else is sure", []Device{risk(LevelNone, true), risk(LevelNone, false)}, LevelLow, Allow},
		{"the same, the other way round", []Device{risk(LevelLow, false), risk(LevelLow, true)}, LevelLow, Allow},
		{"somebody else is sure of less", []Device{risk(LevelNone, false), risk(LevelLow, true)}, LevelLow, Allow},
		{"the worst counts all the same", []Device{risk(LevelMedium, true), risk(LevelNone, false)}, LevelLow, Block},
		{"somebody else is sure of more", []Device{risk(LevelLow, true), risk(LevelMedium, false)}, LevelMedium, Allow},
		{"a level that is kept for one that nobody can read", []Device{{Risk: LevelMedium, RiskFloor: true, Unreadable: Facts(FactRisk)}, risk(LevelNone, false)}, LevelMedium, Block},
		{"the same, the other way round", []Device{risk(LevelNone, false), {Risk: LevelMedium, RiskFloor: true, Unreadable: Facts(FactRisk)}}, LevelMedium, Block},
		{"nobody is sure", []Device{risk(LevelLow, true), risk(LevelNone, true)}, LevelLow, Block},
	}
	for _, tt := range tests {
		var reports []Report
		for i := range tt.devices {
			st := &SourceState{Name: string(rune('a' + i))}
			st.Confirm(time.Now())
			reports = append(reports, Report{State: st, Verdict: &Verdict{Device: tt.devices[i]}})
		}
		p := Merge(reports, laptop)
		q := &Request{Now: time.Now(), Posture: p, Identity: &Identity{Device: DeviceRef{Keys: []Key{laptop}, Proof: ProofToken}}}
		var d Decision
		(&Engine{}).Decide(&Policy{Ages: Ages{MaxAge: time.Hour}, Requirements: []Requirement{{Kind: RequireRisk, Level: tt.limit}}}, q, &d)
		if d.Outcome != tt.want {
			t.Errorf("%s: %v %v, want %v", tt.name, d.Outcome, d.Findings, tt.want)
		}
		if unknown := d.Has(FactUnknown); unknown != (p.RiskFloor && p.Risk <= tt.limit) {
			t.Errorf("%s: %v", tt.name, d.Findings)
		}
	}
}

// TestNotListed: a directory's copy of the word of a management system that has the
// device no more.
func TestNotListed(t *testing.T) {
	now := time.Now()
	state := func(change func(*SourceState)) Report {
		st := listing("intune", "t")
		change(st)
		return Report{State: st}
	}
	here := func(*SourceState) {}
	copied := func(d Device) Report {
		st := &SourceState{Name: "entra", Authority: AuthorityDirectory, Tenant: "t"}
		st.SetSupplies(AllFacts)
		st.Confirm(now)
		return Report{State: st, Verdict: &Verdict{Device: d}}
	}
	good := copied(Device{Compliance: Compliant, Managed: Yes})
	file := copied(good.Verdict.Device)
	file.State.Authority = AuthorityFile
	compliant, isManaged := Requirement{Kind: RequireCompliant}, Requirement{Kind: RequireManaged}
	says := Requirement{Kind: RequireExpression, Expr: constant{is: No, facts: Facts(FactManaged)}}
	tests := []struct {
		name    string
		reports []Report
		r       Requirement
		want    Outcome
		reason  Reason
	}{
		{"gone from Intune", []Report{state(here), good}, compliant, Block, NotManaged},
		{"the same, managed", []Report{state(here), good}, isManaged, Block, NotManaged},
		{"in an expression", []Report{state(here), good}, says, Block, ExpressionFailed},
		{"a partner's", []Report{state(here), copied(Device{Compliance: Compliant, Managed: Yes, Channel: ChannelPartnerMDM})}, compliant, Allow, 0},
		{"of another tenant", []Report{state(func(s *SourceState) { s.Tenant = "u" }), good}, compliant, Allow, 0},
		{"no management system that lists all", []Report{state(func(s *SourceState) { s.Enrols = false }), good}, compliant, Allow, 0},
		{"it says nothing about that", []Report{state(func(s *SourceState) { s.SetSupplies(Facts(FactRisk)) }), good}, compliant, Allow, 0},
		{"it has the device", []Report{{State: listing("intune", "t"), Verdict: &Verdict{}}, good}, compliant, Allow, 0},
		{"it had the device", []Report{{State: listing("intune", "t"), Gone: true, Verdict: &Verdict{Device: Device{Jailbroken: No}}}, good}, compliant, Block, NotManaged},
		{"it could not be asked", []Report{{State: listing("intune", "t"), Cause: CauseThrottled}, good}, compliant, Undecided, SourceThrottled},
		{"it fails", []Report{state(func(s *SourceState) { s.Restore(now.Add(-20 * time.Minute)); s.Fail(CauseSourceFailing) }), good}, compliant, Undecided, SourceFailing},
		{"the same, managed", []Report{state(func(s *SourceState) { s.Restore(now.Add(-20 * time.Minute)); s.Fail(CauseSourceFailing) }), good}, isManaged, Undecided, SourceFailing},
		{"the same, in an expression", []Report{state(func(s *SourceState) { s.Restore(now.Add(-20 * time.Minute)); s.Fail(CauseSourceFailing) }), good}, says, Undecided, SourceFailing},
		{"a no is no copy", []Report{state(here), copied(Device{Compliance: NonCompliant})}, compliant, Block, Noncompliant},
		{"a file's word is no copy", []Report{state(here), file}, compliant, Allow, 0},
	}
	for _, tt := range tests {
		p := Merge(tt.reports, laptop)
		q := &Request{Now: now, Posture: p, Identity: &Identity{Device: DeviceRef{Keys: []Key{laptop}, Proof: ProofToken}}}
		var d Decision
		(&Engine{}).Decide(&Policy{Ages: Ages{MaxAge: 15 * time.Minute, StaleIfError: 4 * time.Hour}, Requirements: []Requirement{tt.r}}, q, &d)
		if d.Outcome != tt.want || tt.reason != 0 && !d.Has(tt.reason) {
			t.Errorf("%s: %v %v, want %v %v", tt.name, d.Outcome, d.Findings, tt.want, tt.reason)
		}
	}
}

// TestStrictNeedsToSeeGrace: a copy of one bit does not tell compliant from grace.
func TestStrictNeedsToSeeGrace(t *testing.T) {
	tests := []struct {
		name string
		a    Authority
		by   Channel
		want Outcome
	}{
		{"management", AuthorityManagement, ChannelUnknown, Allow},
		{"directory", AuthorityDirectory, ChannelUnknown, Block},
		{"directory, Intune's", AuthorityDirectory, ChannelIntune, Block},
		{"directory, a partner's", AuthorityDirectory, ChannelPartnerMDM, Allow},
		{"NAC", AuthorityNAC, ChannelUnknown, Block},
		{"file", AuthorityFile, ChannelUnknown, Allow},
	}
	for _, tt := range tests {
		st := &SourceState{Name: "s", Authority: tt.a}
		st.Confirm(time.Now())
		p := Merge([]Report{{State: st, Verdict: &Verdict{Device: Device{Compliance: Compliant, Channel: tt.by}}}}, laptop)
		q := &Request{Now: time.Now(), Posture: p, Identity: &Identity{Device: DeviceRef{Keys: []Key{laptop}, Proof: ProofToken}}}
		for strict, want := range map[bool]Outcome{true: tt.want, false: Allow} {
			var d Decision
			(&Engine{}).Decide(&Policy{Ages: Ages{MaxAge: time.Hour}, Requirements: []Requirement{{Kind: RequireCompliant, Strict: strict}}}, q, &d)
			if d.Outcome != want || want == Block && !d.Has(FactUnknown) {
				t.Errorf("%s, strict %v: %v %v, want %v", tt.name, strict, d.Outcome, d.Findings, want)
			}
		}
	}
}
