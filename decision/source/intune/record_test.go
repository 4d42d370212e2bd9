package intune

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

var now = time.Date(2026, 11, 22, 7, 0, 0, 0, time.UTC)

const (
	ownID   = "b7c9e0f2-1111-4222-8333-944445555666"
	entraID = "5d0c1b7e-2f64-4a1b-9d0e-6a3f1c2b4d5e"
)

// healthy is a record about which everything is fine.
func healthy() map[string]any {
	return map[string]any{
		"id": ownID, "azureADDeviceId": entraID, "deviceName": "LT-0042", "model": "Model 5",
		"userId": "6F0E0000-1111-4222-8333-944445555666", "userPrincipalName": "ann@example.com",
		"complianceState": "compliant", "complianceGracePeriodExpirationDateTime": "9999-12-31T23:59:59Z",
		"managementAgent": "mdm", "managementState": "managed", "managedDeviceOwnerType": "company",
		"deviceRegistrationState": "registered", "isEncrypted": true, "jailBroken": "Unknown", "isSupervised": false,
		"operatingSystem": "Windows", "osVersion": "10.0.26100.7171", "partnerReportedThreatState": "secured",
		"lastSyncDateTime": "2026-11-22T06:00:00.1234567Z", "configurationManagerClientEnabledFeatures": nil,
		"serialNumber": "pf3abc01",
	}
}

func with(changes map[string]any) []byte {
	r := healthy()
	maps.Copy(r, changes)
	b, _ := json.Marshal(r)
	return b
}

func TestHealthyRecord(t *testing.T) {
	d := decoder{now: now}
	v, err := d.decode(with(nil))
	if err != nil {
		t.Fatal(err)
	}
	want := []decision.Key{
		{Kind: decision.KindIntune, Value: ownID},
		{Kind: decision.KindEntra, Value: entraID},
		{Kind: decision.KindSerial, Value: "PF3ABC01"},
	}
	if len(v.Keys) != 3 || v.Keys[0] != want[0] || v.Keys[1] != want[1] || v.Keys[2] != want[2] {
		t.Errorf("ids are %v, want %v", v.Keys, want)
	}
	if v.Name != "LT-0042" || v.Model != "Model 5" || v.OwnerID != "6f0e0000-1111-4222-8333-944445555666" || v.OwnerUPN != "ann@example.com" {
		t.Errorf("names are %q %q %q %q", v.Name, v.Model, v.OwnerID, v.OwnerUPN)
	}
	if v.Compliance != decision.Compliant || v.Managed != decision.Yes || v.Channel != decision.ChannelIntune ||
		v.Lifecycle != decision.LifecycleActive || v.Ownership != decision.Corporate || v.Encrypted != decision.Yes ||
		v.Risk != decision.LevelNone || v.Sensor != decision.SensorActive || !v.GraceUntil.IsZero() {
		t.Errorf("facts are %+v", v.Device)
	}
	if v.Supervised != decision.Unknown || v.Jailbroken != decision.Unknown {
		t.Errorf("Windows is supervised %s, jailbroken %s, want unknown", v.Supervised, v.Jailbroken)
	}
	if v.Platform != decision.Windows || v.OSVersion != (decision.Version{10, 0, 26100, 7171}) {
		t.Errorf("system is %s %s", v.Platform, v.OSVersion)
	}
	if at := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC); !v.LastCheckIn.Equal(at) {
		t.Errorf("last check-in is %s, want %s", v.LastCheckIn, at)
	}
	if len(d.fields) > 0 {
		t.Errorf("odd values in a healthy record: %v", d.fields)
	}
}

func owns(compliance any) map[string]any {
	return map[string]any{"inventory": true, "compliancePolicy": compliance}
}

// TestCompliance checks whose word counts: every management agent, with and
// without the workload of compliance policies.
func TestCompliance(t *testing.T) {
	type want struct {
		compliance decision.Compliance
		channel    decision.Channel
		managed    decision.Tri
	}
	intune := func(c decision.Compliance) want { return want{c, decision.ChannelIntune, decision.Yes} }
	co := func(c decision.Compliance) want { return want{c, decision.ChannelCoManaged, decision.Yes} }
	tests := []struct {
		agent, state any
		workloads    any
		want         want
	}{
		{"mdm", "compliant", nil, intune(decision.Compliant)},
		{"mdm", "noncompliant", nil, intune(decision.NonCompliant)},
		{"mdm", "conflict", nil, intune(decision.ComplianceConflict)},
		{"mdm", "error", nil, intune(decision.ComplianceError)},
		{"mdm", "inGracePeriod", nil, intune(decision.InGracePeriod)},
		{"mdm", "unknown", nil, intune(decision.ComplianceNotEvaluated)},
		{"mdm", "configManager", nil, intune(decision.ComplianceDelegated)},
		{"mdm", "unknownFutureValue", nil, intune(decision.ComplianceUnknown)},
		{"mdm", "compliant2", nil, intune(decision.ComplianceUnknown)},
		{"mdm", nil, nil, intune(decision.ComplianceUnknown)},
		{"mdm", 1, nil, intune(decision.ComplianceUnknown)},
		{"easMdm", "compliant", nil, intune(decision.Compliant)},
		{"intuneClient", "compliant", nil, intune(decision.Compliant)},
		{"googleCloudDevicePolicyController", "compliant", nil, intune(decision.Compliant)},
		{"microsoft365ManagedMdm", "compliant", nil, intune(decision.Compliant)},
		{"intuneAosp", "compliant", nil, intune(decision.Compliant)},
		{"configurationManagerClientMdm", "compliant", owns(true), co(decision.Compliant)},
		{"configurationManagerClientMdmEas", "noncompliant", owns(true), co(decision.NonCompliant)},
		{"configurationManagerClientMdm", "compliant", owns(false), co(decision.ComplianceDelegated)},
		{"configurationManagerClientMdm", "noncompliant", owns(false), co(decision.ComplianceDelegated)},
		{"configurationManagerClientMdm", "configManager", owns(false), co(decision.ComplianceDelegated)},
		{"configurationManagerClientMdm", "compliant", nil, co(decision.ComplianceDelegated)},
		{"configurationManagerClientMdm", "compliant", owns("true"), co(decision.ComplianceUnknown)},
		{"configurationManagerClientMdm", "inGracePeriod", "yes", co(decision.ComplianceUnknown)},
		{"configurationManagerClientMdm", "noncompliant", nil, co(decision.NonCompliant)},
		{"configurationManagerClient", "compliant", nil, want{decision.ComplianceDelegated, decision.ChannelConfigMgrAttached, decision.Yes}},
		{"configurationManagerClient", "unknown", owns(true), want{decision.ComplianceDelegated, decision.ChannelConfigMgrAttached, decision.Yes}},
		{"jamf", "compliant", nil, want{decision.ComplianceUnknown, decision.ChannelPartnerMDM, decision.Yes}},
		{"msSense", "compliant", nil, want{decision.ComplianceUnknown, decision.ChannelMDEAttach, decision.Unknown}},
		{"eas", "compliant", nil, want{decision.ComplianceUnknown, decision.ChannelEAS, decision.Unknown}},
		{"unknown", "compliant", nil, want{decision.ComplianceUnknown, decision.ChannelUnknown, decision.Unknown}},
		{"unknown", "noncompliant", nil, want{decision.NonCompliant, decision.ChannelUnknown, decision.Unknown}},
		{"quantumAgent", "noncompliant", nil, want{decision.NonCompliant, decision.ChannelUnknown, decision.Unknown}},
		{"quantumAgent", "configManager", nil, want{decision.ComplianceUnknown, decision.ChannelUnknown, decision.Unknown}},
		{"quantumAgent", "unknown", nil, want{decision.ComplianceUnknown, decision.ChannelUnknown, decision.Unknown}},
		{"unknown", "configManager", nil, want{decision.ComplianceDelegated, decision.ChannelUnknown, decision.Unknown}},
		{"quantumAgent", "inGracePeriod", nil, want{decision.ComplianceUnknown, decision.ChannelUnknown, decision.Unknown}},
		{nil, "compliant", nil, want{decision.ComplianceUnknown, decision.ChannelUnknown, decision.Unknown}},
	}
	for _, test := range tests {
		d := decoder{now: now}
		v, err := d.decode(with(map[string]any{
			"managementAgent": test.agent, "complianceState": test.state, "configurationManagerClientEnabledFeatures": test.workloads,
		}))
		got := want{v.Compliance, v.Channel, v.Managed}
		if err != nil || got != test.want {
			t.Errorf("agent %v, state %v, workloads %v: got %v, want %v (%v)", test.agent, test.state, test.workloads, got, test.want, err)
		}
	}
}

func TestFields(t *testing.T) {
	device := func(f func(*decision.Device) any) func(*decision.Device) any { return f }
	lifecycle := device(func(d *decision.Device) any { return d.Lifecycle })
	encrypted := device(func(d *decision.Device) any { return d.Encrypted })
	jailbroken := device(func(d *decision.Device) any { return d.Jailbroken })
	supervised := device(func(d *decision.Device) any { return d.Supervised })
	risk := device(func(d *decision.Device) any { return [2]any{d.Risk, d.Sensor} })
	checkIn := device(func(d *decision.Device) any { return d.LastCheckIn.Format(time.RFC3339) })
	keys := device(func(d *decision.Device) any { return len(d.Keys) })
	none := time.Time{}.Format(time.RFC3339)
	type m = map[string]any
	tests := []struct {
		name   string
		change m
		get    func(*decision.Device) any
		want   any
		odd    string
	}{
		{"wipe pending", m{"managementState": "wipePending"}, lifecycle, decision.LifecycleWiping, ""},
		{"wipe failed", m{"managementState": "wipeFailed"}, lifecycle, decision.LifecycleActive, ""},
		{"retire issued", m{"managementState": "retireIssued"}, lifecycle, decision.LifecycleRetiring, ""},
		{"delete pending", m{"managementState": "deletePending"}, lifecycle, decision.LifecycleWiping, ""},
		{"revoked", m{"deviceRegistrationState": "revoked"}, lifecycle, decision.LifecycleRevoked, ""},
		{"revoked beats retiring", m{"managementState": "retirePending", "deviceRegistrationState": "revoked"}, lifecycle, decision.LifecycleRevoked, ""},
		{"approval pending", m{"deviceRegistrationState": "approvalPending"}, lifecycle, decision.LifecyclePending, ""},
		{"new state", m{"managementState": "unknownFutureValue"}, lifecycle, decision.LifecycleUnknown, "managementState: unknown value"},
		{"Windows says not encrypted", m{"isEncrypted": false}, encrypted, decision.No, ""},
		{"Android says not encrypted", m{"isEncrypted": false, "operatingSystem": "Android"}, encrypted, decision.No, ""},
		{"iOS does not report", m{"isEncrypted": false, "operatingSystem": "iOS"}, encrypted, decision.Unknown, ""},
		{"Linux does not report", m{"isEncrypted": false, "operatingSystem": "Linux"}, encrypted, decision.Unknown, ""},
		{"never checked in", m{"isEncrypted": false, "lastSyncDateTime": "0001-01-01T00:00:00Z"}, encrypted, decision.Unknown, ""},
		{"encrypted as text", m{"isEncrypted": "false"}, encrypted, decision.Unknown, "isEncrypted: wrong type"},
		{"jailbroken", m{"jailBroken": "True"}, jailbroken, decision.Yes, ""},
		{"not jailbroken", m{"jailBroken": "false"}, jailbroken, decision.No, ""},
		{"jailbreak not reported", m{"jailBroken": ""}, jailbroken, decision.Unknown, ""},
		{"jailbreak perhaps", m{"jailBroken": "Perhaps"}, jailbroken, decision.Unknown, "jailBroken: unknown value"},
		{"jailbreak as boolean", m{"jailBroken": true}, jailbroken, decision.Unknown, "jailBroken: wrong type"},
		{"iOS not supervised", m{"operatingSystem": "iPadOS"}, supervised, decision.No, ""},
		{"iOS supervised", m{"operatingSystem": "iOS", "isSupervised": true}, supervised, decision.Yes, ""},
		{"threat high", m{"partnerReportedThreatState": "highSeverity"}, risk, [2]any{decision.LevelHigh, decision.SensorActive}, ""},
		{"compromised", m{"partnerReportedThreatState": "compromised"}, risk, [2]any{decision.LevelCompromised, decision.SensorActive}, ""},
		{"threat activated", m{"partnerReportedThreatState": "activated"}, risk, [2]any{decision.LevelUnknown, decision.SensorNoData}, ""},
		{"threat unresponsive", m{"partnerReportedThreatState": "unresponsive"}, risk, [2]any{decision.LevelUnknown, decision.SensorUnresponsive}, ""},
		{"threat misconfigured", m{"partnerReportedThreatState": "misconfigured"}, risk, [2]any{decision.LevelUnknown, decision.SensorMisconfigured}, ""},
		{"new threat", m{"partnerReportedThreatState": "quantumSeverity"}, risk, [2]any{decision.LevelUnknown, decision.SensorUnknown}, "partnerReportedThreatState: unknown value"},
		{"offset", m{"lastSyncDateTime": "2026-11-21T22:30:00.7156189-08:00"}, checkIn, "2026-11-22T06:30:00Z", ""},
		{"year 9999", m{"lastSyncDateTime": "9999-12-31T23:59:59Z"}, checkIn, none, ""},
		{"four minutes ahead", m{"lastSyncDateTime": "2026-11-22T07:04:00Z"}, checkIn, "2026-11-22T07:04:00Z", ""},
		{"six minutes ahead", m{"lastSyncDateTime": "2026-11-22T07:06:00Z"}, checkIn, none, "lastSyncDateTime: in the future"},
		{"far ahead", m{"lastSyncDateTime": "2026-11-24T08:00:00Z"}, checkIn, none, "lastSyncDateTime: in the future"},
		{"no date", m{"lastSyncDateTime": "yesterday"}, checkIn, none, "lastSyncDateTime: unknown value"},
		{"date as number", m{"lastSyncDateTime": 5}, checkIn, none, "lastSyncDateTime: wrong type"},
		{"not registered", m{"azureADDeviceId": "00000000-0000-0000-0000-000000000000"}, keys, 2, ""},
		{"Entra id is none", m{"azureADDeviceId": "abc"}, keys, 2, "azureADDeviceId: unknown value"},
		{"serial number is a placeholder", m{"serialNumber": "To be filled by O.E.M."}, keys, 2, ""},
		{"serial number of zeroes", m{"serialNumber": "0000000"}, keys, 2, ""},
		{"serial number missing", m{"serialNumber": nil}, keys, 2, ""},
		{
			"grace period",
			m{"complianceState": "inGracePeriod", "complianceGracePeriodExpirationDateTime": "2026-12-24T06:00:00Z"},
			func(d *decision.Device) any { return d.GraceUntil.Format(time.RFC3339) }, "2026-12-24T06:00:00Z", "",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := decoder{now: now}
			v, err := d.decode(with(test.change))
			if err != nil {
				t.Fatal(err)
			}
			if got := test.get(&v.Device); got != test.want {
				t.Errorf("got %v, want %v", got, test.want)
			}
			want := 0
			if test.odd != "" {
				want = 1
			}
			if len(d.fields) != want || d.fields[test.odd] != want {
				t.Errorf("odd values are %v, want %q", d.fields, test.odd)
			}
		})
	}
}

func TestUnusableRecords(t *testing.T) {
	for _, raw := range []string{
		`{}`, `[]`, `null`, `"x"`, `{"id":5}`, `{"id":""}`, `{"id":null}`, `{"id":"00000000-0000-0000-0000-000000000000"}`,
		`{"id":"not a guid"}`, `{"id":`, ``,
	} {
		d := decoder{now: now}
		if v, err := d.decode([]byte(raw)); err == nil {
			t.Errorf("decode(%s) = %v, want an error", raw, v.Keys)
		}
	}
}

func TestJudge(t *testing.T) {
	month := tenant{checkIn: 30 * 24 * time.Hour, heard: true}
	silent, deaf, unheard := month, month, month
	silent.silent[decision.Android], deaf.deaf[decision.Android], unheard.heard = true, true, false
	day := 24 * time.Hour
	type state struct {
		compliance decision.Compliance
		risk       decision.Level
		floor      bool
		sensor     decision.Sensor
	}
	tests := []struct {
		name       string
		tenant     tenant
		platform   decision.Platform
		compliance decision.Compliance
		age        time.Duration
		risk       decision.Level
		want       state
	}{
		{"fresh", month, decision.Android, decision.Compliant, day, decision.LevelNone, state{decision.Compliant, decision.LevelNone, false, decision.SensorActive}},
		{"away", month, decision.Android, decision.Compliant, 31 * day, decision.LevelNone, state{decision.ComplianceNotEvaluated, decision.LevelNone, false, decision.SensorActive}},
		{"away in grace", month, decision.Android, decision.InGracePeriod, 31 * day, decision.LevelNone, state{decision.ComplianceNotEvaluated, decision.LevelNone, false, decision.SensorActive}},
		{"away and bad", month, decision.Android, decision.NonCompliant, 31 * day, decision.LevelNone, state{decision.NonCompliant, decision.LevelNone, false, decision.SensorActive}},
		{"silent partner", silent, decision.Android, decision.Compliant, day, decision.LevelNone, state{decision.Compliant, decision.LevelNone, true, decision.SensorUnresponsive}},
		{"silent partner, medium", silent, decision.Android, decision.Compliant, day, decision.LevelMedium, state{decision.Compliant, decision.LevelMedium, true, decision.SensorUnresponsive}},
		{"silent partner, bad news", silent, decision.Android, decision.Compliant, day, decision.LevelCompromised, state{decision.Compliant, decision.LevelCompromised, true, decision.SensorUnresponsive}},
		{"silent partner of others", silent, decision.IOS, decision.Compliant, day, decision.LevelLow, state{decision.Compliant, decision.LevelLow, false, decision.SensorActive}},
		{"no partner any more", deaf, decision.Android, decision.Compliant, day, decision.LevelLow, state{decision.Compliant, decision.LevelLow, true, decision.SensorDeactivated}},
		{"partners never heard", unheard, decision.IOS, decision.Compliant, day, decision.LevelHigh, state{decision.Compliant, decision.LevelHigh, true, decision.SensorUnknown}},
	}
	for _, test := range tests {
		v := decision.Verdict{Device: decision.Device{
			Platform: test.platform, Compliance: test.compliance, LastCheckIn: now.Add(-test.age),
			Risk: test.risk, Sensor: decision.SensorActive,
		}}
		for range 2 { // a record is judged again when its policies are known
			test.tenant.judge(&v, now)
			if got := (state{v.Compliance, v.Risk, v.RiskFloor, v.Sensor}); got != test.want {
				t.Errorf("%s: got %v, want %v", test.name, got, test.want)
			}
		}
	}
	v := decision.Verdict{Device: decision.Device{Compliance: decision.Compliant}}
	if month.judge(&v, now); v.Compliance != decision.ComplianceNotEvaluated {
		t.Errorf("a device that never checked in is %s, want not evaluated", v.Compliance)
	}
}

func TestSettings(t *testing.T) {
	tests := []struct {
		body    string
		checkIn time.Duration
		secure  decision.Tri
		ok      bool
	}{
		{`{"settings":{"secureByDefault":true,"deviceComplianceCheckinThresholdDays":7}}`, 7 * 24 * time.Hour, decision.Yes, true},
		{`{"settings":{"secureByDefault":false,"deviceComplianceCheckinThresholdDays":0}}`, defaultCheckIn, decision.No, true},
		{`{"settings":{}}`, defaultCheckIn, decision.Unknown, true},
		{`{"settings":null}`, 0, decision.Unknown, false},
		{`{}`, 0, decision.Unknown, false},
		{`[]`, 0, decision.Unknown, false},
	}
	for _, test := range tests {
		got, err := parseSettings([]byte(test.body))
		if (err == nil) != test.ok || got.checkIn != test.checkIn || got.secureByDefault != test.secure {
			t.Errorf("parseSettings(%s) = %v, %v, %v", test.body, got.checkIn, got.secureByDefault, err)
		}
	}
}

func TestConnectorSilent(t *testing.T) {
	tests := []struct {
		body string
		want bool
	}{
		{`{"partnerState":"unresponsive"}`, true},
		{`{"partnerState":"enabled","lastHeartbeatDateTime":"2026-11-22T06:00:00Z","partnerUnresponsivenessThresholdInDays":7}`, false},
		{`{"partnerState":"enabled","lastHeartbeatDateTime":"2026-11-10T06:00:00Z","partnerUnresponsivenessThresholdInDays":7}`, true},
		{`{"partnerState":"enabled","lastHeartbeatDateTime":"2026-11-10T06:00:00Z","partnerUnresponsivenessThresholdInDays":0}`, false},
		{`{"partnerState":"enabled","lastHeartbeatDateTime":"2026-11-22T06:00:00Z","partnerUnresponsivenessThresholdInDays":null}`, false},
		{`{"partnerState":"enabled","lastHeartbeatDateTime":"2026-11-22T06:00:00Z","partnerUnresponsivenessThresholdInDays":"7"}`, true},
		{`{"partnerState":"notSetUp","partnerUnresponsivenessThresholdInDays":7.5}`, false},
		{`{"partnerState":"enabled","lastHeartbeatDateTime":"0001-01-01T00:00:00Z","partnerUnresponsivenessThresholdInDays":7}`, false},
		{`{"partnerState":"enabled","lastHeartbeatDateTime":"lately","partnerUnresponsivenessThresholdInDays":7}`, true},
		{`{"partnerState":"enabled","lastHeartbeatDateTime":"2026-11-22T06:00:00Z","LastHeartbeatDateTime":"2026-11-22T06:00:00Z"}`, true},
		{`{"partnerState":"available","lastHeartbeatDateTime":"2020-11-10T06:00:00Z","partnerUnresponsivenessThresholdInDays":7}`, false},
	}
	for _, test := range tests {
		var c connector
		if err := json.Unmarshal([]byte(test.body), &c); err != nil {
			t.Fatal(err)
		}
		if got := c.silent(&decoder{now: now}); got != test.want {
			t.Errorf("%s: silent is %v, want %v", test.body, got, test.want)
		}
	}
}

// TestOddValuesAreCounted has what no table above looks at: everything that counts as
// unknown is counted, and nothing else is.
func TestOddValuesAreCounted(t *testing.T) {
	long := strings.Repeat("x", 300)
	export := func(change func(*record)) func(*decoder) {
		return func(d *decoder) {
			d.export = true
			r := record{
				ID: text{s: ownID}, Compliance: text{s: "Compliant"}, Agent: text{s: "Intune"}, State: text{s: "Managed"},
				Registration: text{s: "Registered"}, Ownership: text{s: "Company"}, LastSync: text{s: "2026-11-22 06:00:00.0000000"},
			}
			change(&r)
			if v, err := d.verdict(&r); err != nil || v.Encrypted == decision.Yes {
				t.Errorf("encrypted %s, %v", v.Encrypted, err)
			}
		}
	}
	graph := func(changes map[string]any) func(*decoder) {
		return func(d *decoder) {
			if _, err := d.decode(with(changes)); err != nil {
				t.Error(err)
			}
		}
	}
	state := func(changes map[string]any, antivirus decision.Tri) func(*decoder) {
		return func(d *decoder) {
			if p, err := parseProtection(d, protected(changes)); err != nil || p.antivirus != antivirus {
				t.Errorf("antivirus %s, %v, want %s", p.antivirus, err, antivirus)
			}
		}
	}
	connect := func(body string) func(*decoder) {
		return func(d *decoder) {
			var s connectorStates
			if err := s.add(d, []byte(body)); err != nil {
				t.Error(err)
			}
		}
	}
	for name, tt := range map[string]struct {
		do   func(*decoder)
		want []string
	}{
		"serial number":        {graph(map[string]any{"serialNumber": "a\u0007b"}), []string{"serialNumber: unknown value"}},
		"no serial number":     {graph(map[string]any{"serialNumber": nil}), nil},
		"owner":                {graph(map[string]any{"userId": long, "userPrincipalName": long}), []string{"userId: too long", "userPrincipalName: too long"}},
		"no owner":             {graph(map[string]any{"userId": "00000000-0000-0000-0000-000000000000", "userPrincipalName": nil}), nil},
		"export":               {export(func(r *record) { r.encrypted.s, r.supervised.s = "perhaps", "2" }), []string{"isEncrypted: unknown value", "isSupervised: unknown value"}},
		"export without":       {export(func(r *record) { r.encrypted.s, r.supervised.s = "", "Unknown" }), nil},
		"protection types":     {state(map[string]any{"realTimeProtectionEnabled": "yes", "signatureUpdateOverdue": 0}, decision.Unknown), []string{"realTimeProtectionEnabled: wrong type", "signatureUpdateOverdue: wrong type"}},
		"protection unsaid":    {state(map[string]any{"malwareProtectionEnabled": nil, "deviceState": nil, "productStatus": nil}, decision.Unknown), nil},
		"product":              {state(map[string]any{"productStatus": 7}, decision.Unknown), []string{"productStatus: wrong type"}},
		"product of tomorrow":  {state(map[string]any{"productStatus": "noStatus,engineOnFire"}, decision.Unknown), []string{"productStatus: unknown value"}},
		"product, long words":  {state(map[string]any{"productStatus": "signatureOrPlatformEndOfLifeIsPastOrIsImpending, windowsSModeSignaturesInUseOnNonWin10SInstall"}, decision.Yes), nil},
		"device state":         {state(map[string]any{"deviceState": []string{"clean"}}, decision.Yes), []string{"deviceState: wrong type"}},
		"reported in 2031":     {state(map[string]any{"lastReportedDateTime": "2031-11-22T05:00:00Z"}, decision.Yes), []string{"lastReportedDateTime: in the future"}},
		"connector of 2031":    {connect(`{"partnerState":"enabled","lastHeartbeatDateTime":"2031-11-22T05:00:00Z"}`), []string{"lastHeartbeatDateTime: in the future"}},
		"connector's state":    {connect(`{"partnerState":"valueOfTheYear2031","windowsEnabled":true}`), []string{"partnerState: unknown value"}},
		"connector, heartbeat": {connect(`{"partnerState":"Enabled","lastHeartbeatDateTime":"soon"}`), []string{"lastHeartbeatDateTime: unknown value"}},
		"connector, off":       {connect(`{"partnerState":"notSetUp"}`), nil},
		"attested in 2031": {func(d *decoder) {
			a, err := parseAttestation(d, ownID, []byte(`{"id":"`+ownID+`","deviceHealthAttestationState":{"lastUpdateDateTime":"11/20/2031 7:14:02 PM"}}`))
			if err != nil || !a.at.IsZero() {
				t.Errorf("attested %s, %v", a.at, err)
			}
		}, []string{"lastUpdateDateTime: in the future"}},
		"policy": {func(d *decoder) {
			if has, err := assigned(d, []byte(`{"value":[{"displayName":"Laptops","state":"valueOfTheYear2031"},{"displayName":"Phones","state":[]}]}`)); has || err != nil {
				t.Errorf("assigned %v, %v", has, err)
			}
		}, []string{"state: unknown value", "state: wrong type"}},
	} {
		t.Run(name, func(t *testing.T) {
			d := decoder{now: now}
			tt.do(&d)
			want := map[string]int{}
			for _, what := range tt.want {
				want[what]++
			}
			if !maps.Equal(d.fields, want) {
				t.Errorf("counts %v, want %v", d.fields, want)
			}
		})
	}
}
