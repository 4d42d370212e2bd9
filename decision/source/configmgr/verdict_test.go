package configmgr

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// judged decodes a row laid over a healthy one and returns the verdict.
func judged(t *testing.T, change row, scanned scan) decision.Verdict {
	t.Helper()
	facts := row{
		"ResourceID": 100, "DeviceOS": "Microsoft Windows NT Workstation 10.0", "IsClient": 1, "IsBlocked": 0,
		"ClientActiveStatus": 1, "ClientCheckPass": 1, "EPEnabled": 1, "EPAntivirusEnabled": 1, "EPDeploymentState": 3,
		"EPInfectionStatus": 1, "EPAntivirusSignatureLastUpdateDateTime": "2026-11-20T04:12:00Z",
		"LastActiveTime": "2026-11-21T07:58:00.1234567+01:00",
	}
	for k, v := range change {
		facts[k] = v
	}
	b, err := json.Marshal(facts)
	if err != nil {
		t.Fatal(err)
	}
	f, err := decode[resourceRow](b)
	if err != nil {
		t.Fatal(err)
	}
	r := &record{keys: []decision.Key{{Kind: decision.KindConfigMgr, Value: "guid:1"}}, scan: scanned}
	r.addFacts(&checks{now: now, tally: map[string]int{}}, &f)
	return judge{now: now, signatureAge: DefaultSignatureAge}.verdict(r)
}

func TestCompliance(t *testing.T) {
	good := scan{done: true}
	tests := []struct {
		name     string
		change   row
		scan     scan
		want     decision.Compliance
		settings string
	}{
		{"healthy", nil, good, decision.Compliant, ""},
		{"inactive", row{"ClientActiveStatus": 0}, good, decision.NonCompliant, settingActive},
		{"activity unknown", row{"ClientActiveStatus": nil}, good, decision.ComplianceUnknown, ""},
		{"activity odd", row{"ClientActiveStatus": 7}, good, decision.ComplianceUnknown, ""},
		{"check failed", row{"ClientCheckPass": "2"}, good, decision.NonCompliant, settingCheck},
		{"check unknown", row{"ClientCheckPass": 3}, good, decision.ComplianceUnknown, ""},
		{"blocked", row{"IsBlocked": "True"}, good, decision.NonCompliant, settingBlocked},
		{"block unknown", row{"IsBlocked": nil}, good, decision.ComplianceUnknown, ""},
		{"never scanned", nil, scan{}, decision.ComplianceUnknown, ""},
		{"scan unknown", nil, scan{done: true, unknown: true}, decision.ComplianceUnknown, ""},
		{"update missing", nil, scan{missing: true, articles: []string{"KB1", "KB2"}}, decision.NonCompliant, "KB1|KB2"},
		{"nameless update missing", nil, scan{missing: true, articles: []string{""}}, decision.NonCompliant, settingUpdates},
		{"infection pending", row{"EPInfectionStatus": 3}, good, decision.NonCompliant, settingInfection},
		{"infection failed", row{"EPInfectionStatus": 4}, good, decision.NonCompliant, settingInfection},
		{"infection failed, protection off since", row{"EPInfectionStatus": 4, "EPEnabled": false}, good, decision.NonCompliant, settingInfection},
		{"infection unknown", row{"EPInfectionStatus": 0}, good, decision.ComplianceUnknown, ""},
		{"infection of the future", row{"EPInfectionStatus": 9}, good, decision.ComplianceUnknown, ""},
		{"infection of the future, protection off", row{"EPInfectionStatus": 9, "EPEnabled": false}, good, decision.ComplianceUnknown, ""},
		{"cleaned", row{"EPInfectionStatus": 2}, good, decision.Compliant, ""},
		{"cleaned, reboot pending", row{"EPInfectionStatus": 2, "EPPendingReboot": true}, good, decision.NonCompliant, settingInfection},
		{"not protected by the site", row{"EPEnabled": false, "EPInfectionStatus": 0}, good, decision.Compliant, ""},
		{"not protected, by deployment", row{"EPEnabled": nil, "EPDeploymentState": 1, "EPInfectionStatus": nil}, good, decision.Compliant, ""},
		{"protection unknown", row{"EPEnabled": nil, "EPDeploymentState": nil, "EPInfectionStatus": nil}, good, decision.ComplianceUnknown, ""},
		{"no beats unknown", row{"IsBlocked": nil, "ClientActiveStatus": 0}, scan{}, decision.NonCompliant, settingActive},
		{"all at once", row{"IsBlocked": 1, "ClientActiveStatus": 0, "ClientCheckPass": 2, "EPInfectionStatus": 3}, scan{missing: true, articles: []string{"KB1"}}, decision.NonCompliant, settingBlocked + "|" + settingActive + "|" + settingCheck + "|" + settingInfection + "|KB1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := judged(t, tt.change, tt.scan)
			if v.Compliance != tt.want {
				t.Errorf("compliance %s, want %s", v.Compliance, tt.want)
			}
			if got := settingNames(v.Settings); got != tt.settings {
				t.Errorf("settings %q, want %q", got, tt.settings)
			}
		})
	}
}

func TestNoFactsNoVerdict(t *testing.T) {
	r := &record{client: decision.Yes, scan: scan{done: true}}
	if c, _ := (judge{now: now}).compliance(r); c != decision.ComplianceUnknown {
		t.Errorf("a device without a row in %s is %s", classResources, c)
	}
}

func TestFacts(t *testing.T) {
	good := scan{done: true}
	type facts struct {
		malware, antivirus, updated, enabled decision.Tri
		risk                                 decision.Level
		sensor                               decision.Sensor
		floor                                bool
	}
	const yes, no, unknown = decision.Yes, decision.No, decision.Unknown
	well := facts{malware: no, antivirus: yes, updated: yes, enabled: yes, risk: decision.LevelNone}
	with := func(f facts, change func(*facts)) facts { change(&f); return f }
	tests := []struct {
		name   string
		change row
		want   facts
	}{
		{"healthy", nil, well},
		{"blocked", row{"IsBlocked": true}, with(well, func(f *facts) { f.enabled = no })},
		{"block not said", row{"IsBlocked": nil}, with(well, func(f *facts) { f.enabled = unknown })},
		{"inactive", row{"ClientActiveStatus": 0}, facts{enabled: yes, sensor: decision.SensorInactive, risk: decision.LevelNone, floor: true}},
		{"nobody can read whether it is active", row{"ClientActiveStatus": 7}, facts{enabled: yes, risk: decision.LevelNone, floor: true}},
		{"inactive, status unknown", row{"ClientActiveStatus": 0, "EPInfectionStatus": 0}, facts{enabled: yes, sensor: decision.SensorInactive}},
		{"inactive and infected", row{"ClientActiveStatus": 0, "EPInfectionStatus": 3}, facts{enabled: yes, sensor: decision.SensorInactive, malware: yes, risk: decision.LevelMedium, floor: true}},
		{"pending", row{"EPInfectionStatus": 3}, with(well, func(f *facts) { f.malware, f.risk = yes, decision.LevelMedium })},
		{"failed", row{"EPInfectionStatus": 4}, with(well, func(f *facts) { f.malware, f.risk = yes, decision.LevelHigh })},
		{"unknown", row{"EPInfectionStatus": 0}, with(well, func(f *facts) { f.malware, f.risk = unknown, decision.LevelUnknown })},
		{"antivirus off", row{"EPAntivirusEnabled": false}, with(well, func(f *facts) { f.antivirus = no })},
		{"antivirus not said", row{"EPAntivirusEnabled": nil}, with(well, func(f *facts) { f.antivirus = unknown })},
		{"signatures old", row{"EPAntivirusSignatureLastUpdateDateTime": "2026-11-14T11:59:59Z"}, with(well, func(f *facts) { f.antivirus = no })},
		{"signatures just good", row{"EPAntivirusSignatureLastUpdateDateTime": "2026-11-14T12:00:00Z"}, well},
		{"signatures without date", row{"EPAntivirusSignatureLastUpdateDateTime": "0001-01-01T00:00:00Z"}, with(well, func(f *facts) { f.antivirus = unknown })},
		{"protection not installed", row{"EPDeploymentState": 4}, with(well, func(f *facts) { f.antivirus = no })},
		{"protection planned", row{"EPDeploymentState": 2}, with(well, func(f *facts) { f.antivirus = unknown })},
		{"another product", row{"EPEnabled": false, "EPAntivirusEnabled": false}, with(well, func(f *facts) {
			f.antivirus, f.malware, f.risk = unknown, unknown, decision.LevelUnknown
		})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			v := judged(t, tt.change, good)
			got := facts{v.Malware, v.Antivirus, v.Updated, v.Enabled, v.Risk, v.Sensor, v.RiskFloor}
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}

func TestSystemAndOwner(t *testing.T) {
	tests := []struct {
		change   row
		platform decision.Platform
		version  string
		owner    decision.Ownership
	}{
		{row{"DeviceOSBuild": "10.0.26200.7171", "DeviceOwner": 1}, decision.Windows, "10.0.26200.7171", decision.Corporate},
		{row{"DeviceOwner": "2"}, decision.Windows, "0", decision.Personal}, // 10.0 alone is no version
		{row{"DeviceOS": "Mac OS X 14.5", "DeviceOSBuild": "14.5.0"}, decision.MacOS, "14.5", decision.OwnershipUnknown},
		{row{"DeviceOS": "AIX 7", "DeviceOSBuild": "7.1.2"}, decision.PlatformUnknown, "0", decision.OwnershipUnknown},
		{row{"DeviceOS": nil, "DeviceOwner": 0}, decision.PlatformUnknown, "0", decision.OwnershipUnknown},
	}
	for _, tt := range tests {
		v := judged(t, tt.change, scan{})
		if v.Platform != tt.platform || v.OSVersion.String() != tt.version || v.Ownership != tt.owner {
			t.Errorf("%v: %s %s %s, want %s %s %s", tt.change, v.Platform, v.OSVersion, v.Ownership, tt.platform, tt.version, tt.owner)
		}
	}
}

func TestTimes(t *testing.T) {
	v := judged(t, row{"LastClientCheckTime": "2026-11-21T02:00:00"}, scan{})
	if want := time.Date(2026, 11, 21, 6, 58, 0, 123456700, time.UTC); !v.LastCheckIn.Equal(want) {
		t.Errorf("last check-in %s, want %s", v.LastCheckIn, want)
	}
	if want := time.Date(2026, 11, 21, 2, 0, 0, 0, time.UTC); !v.EvaluatedAt.Equal(want) {
		t.Errorf("evaluated %s, want %s", v.EvaluatedAt, want)
	}
	v = judged(t, row{"LastActiveTime": nil, "LastDDR": "2026-11-19T00:00:00Z", "LastPolicyRequest": "2026-11-20T00:00:00Z"}, scan{})
	if v.LastCheckIn.Day() != 20 {
		t.Errorf("last check-in %s, want the policy request of the 20th", v.LastCheckIn)
	}
}

func TestChannel(t *testing.T) {
	for body, want := range map[string]decision.Channel{
		`{"MDMEnrolled":true,"ComgmtPolicyPresent":1}`:      decision.ChannelCoManaged,
		`{"MDMEnrolled":"1","ComgmtPolicyPresent":"True"}`:  decision.ChannelCoManaged,
		`{"MDMEnrolled":false,"ComgmtPolicyPresent":true}`:  decision.ChannelConfigMgrOnly,
		`{"MDMEnrolled":null,"ComgmtPolicyPresent":0}`:      decision.ChannelConfigMgrOnly,
		`{"MDMEnrolled":true,"ComgmtPolicyPresent":null}`:   decision.ChannelUnknown,
		`{"mdmenrolled":true,"COMGMTPOLICYPRESENT":"true"}`: decision.ChannelCoManaged,
		`{}`: decision.ChannelUnknown,
	} {
		r, err := decode[comanagementRow]([]byte(body))
		if err != nil {
			t.Fatal(err)
		}
		if got := channel(r.isComanaged()); got != want {
			t.Errorf("%s: %s, want %s", body, got, want)
		}
	}
}
