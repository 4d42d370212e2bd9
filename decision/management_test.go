package decision

import (
	"strings"
	"testing"
)

func TestManager(t *testing.T) {
	intune := func(d Device) Report {
		return Report{State: &SourceState{Name: "intune"}, Verdict: &Verdict{Device: d}}
	}
	of := func(name string, a Authority, d Device) Report {
		return Report{State: &SourceState{Name: name, Authority: a}, Verdict: &Verdict{Device: d}}
	}
	entra := of("entra", AuthorityDirectory, Device{Managed: Yes, Compliance: NonCompliant})
	tests := []struct {
		name    string
		reports []Report
		want    Manager
		source  string
	}{
		{"nothing known", nil, ManagerUnknown, ""},
		{"enrolled", []Report{intune(Device{Managed: Yes, Channel: ChannelIntune, Compliance: NonCompliant}), entra}, ManagerIntune, "intune"},
		{"co-managed, workload in Intune", []Report{
			intune(Device{Managed: Yes, Channel: ChannelCoManaged, Compliance: NonCompliant}),
			of("cm", AuthorityConfigMgr, Device{Managed: Yes, Channel: ChannelCoManaged, Compliance: Compliant}),
		}, ManagerIntune, "intune"},
		{"co-managed, workload in Configuration Manager", []Report{
			intune(Device{Managed: Yes, Channel: ChannelCoManaged, Compliance: ComplianceDelegated}),
			of("cm", AuthorityConfigMgr, Device{Managed: Yes, Channel: ChannelCoManaged, Compliance: NonCompliant}),
		}, ManagerConfigMgr, "cm"},
		{"the same, nobody asks Configuration Manager", []Report{intune(Device{Managed: Yes, Channel: ChannelCoManaged, Compliance: ComplianceDelegated})}, ManagerConfigMgr, "intune"},
		{"attached", []Report{intune(Device{Managed: Yes, Channel: ChannelConfigMgrAttached, Compliance: ComplianceDelegated})}, ManagerConfigMgr, "intune"},
		{"partner of Intune", []Report{intune(Device{Managed: Yes, Channel: ChannelPartnerMDM}), entra}, ManagerPartner, "intune"},
		{"a system of its own", []Report{of("jamf", AuthorityManagement, Device{Managed: Yes, Compliance: NonCompliant})}, ManagerPartner, "jamf"},
		{"the directory alone", []Report{entra}, ManagerUnknown, "entra"},
		{"a file without a channel", []Report{of("file", AuthorityFile, Device{Managed: Yes, Compliance: NonCompliant})}, ManagerUnknown, "file"},
		{"a file with one", []Report{of("file", AuthorityFile, Device{Managed: Yes, Channel: ChannelIntune})}, ManagerIntune, "file"},
		{"a channel that nobody knows yet", []Report{intune(Device{Compliance: NonCompliant})}, ManagerUnknown, "intune"},
		{"Defender alone", []Report{intune(Device{Channel: ChannelMDEAttach})}, ManagerUnknown, ""},
		{"not managed", []Report{intune(Device{Managed: No, Channel: ChannelIntune})}, ManagerUnknown, ""},
	}
	for _, test := range tests {
		p := Merge(test.reports, laptop)
		if m, source := p.Manager(); m != test.want || source != test.source {
			t.Errorf("%s: %s by %q, want %s by %q", test.name, m, source, test.want, test.source)
		}
		p.Ambiguous = true
		if m, _ := p.Manager(); m != ManagerUnknown {
			t.Errorf("%s, unclear which device: %s", test.name, m)
		}
	}
}

// TestManagerTexts: every manager has its words in every language and on every
// platform, and steps to Company Portal are said of Intune alone.
func TestManagerTexts(t *testing.T) {
	portals := map[string]string{"en": "Company Portal", "de": "Unternehmensportal"}
	for _, lang := range Languages() {
		for m := ManagerIntune; m < numManagers; m++ {
			for p := PlatformUnknown; p < NumPlatforms; p++ {
				by, named := Management{Manager: m}, Management{Manager: m, App: "Contoso\u202e Hub"}
				text := by.Text(lang, p)
				if text.Message == "" || text.Remediation == "" {
					t.Errorf("%s, %s on %s: %+v", lang, m, p, text)
				}
				if app := by.AppName(lang, p); (app == "") != (m == ManagerPartner) {
					t.Errorf("%s, %s on %s: app %q", lang, m, p, app)
				}
				if got := named.Text(lang, p).Remediation; !strings.Contains(got, "Contoso Hub") || named.AppName(lang, p) != "Contoso Hub" {
					t.Errorf("%s, %s on %s, named: %q", lang, m, p, got)
				}
				for _, r := range []Reason{Noncompliant, GracePeriod, GraceExpired, CheckInTooOld} {
					f := Finding{Reason: r}
					got := f.TextBy(lang, p, by)
					if m != ManagerIntune && got.Remediation != text.Remediation || m == ManagerIntune && got != f.Text(lang, p) {
						t.Errorf("%s, %s on %s, %s: %q", lang, m, p, r, got.Remediation)
					}
					if m != ManagerIntune && strings.Contains(got.Remediation, portals[lang]) {
						t.Errorf("%s, %s on %s, %s leads to %s", lang, m, p, r, portals[lang])
					}
				}
				other := Finding{Reason: NotEncrypted}
				if other.TextBy(lang, p, by) != other.Text(lang, p) {
					t.Errorf("%s, %s on %s: steps of another reason changed", lang, m, p)
				}
			}
		}
	}
	unknown := Management{App: "Contoso Hub"}
	if got := unknown.Text("en", Windows); got != (Text{}) || unknown.AppName("en", Windows) != "" {
		t.Errorf("an unknown manager has a text: %+v", got)
	}
	f := Finding{Reason: Noncompliant}
	if f.TextBy("en", Windows, unknown) != f.Text("en", Windows) {
		t.Error("an unknown manager changes the steps")
	}
}
