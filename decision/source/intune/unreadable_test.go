package intune

import (
	"bytes"
	"encoding/json"
	"maps"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// names lists the facts of a set.
func names(set decision.FactSet) (list []string) {
	for f := range decision.NumFacts {
		if set.Has(f) {
			list = append(list, f.String())
		}
	}
	return list
}

// TestUnreadable: what a record says in words that nobody knows is unknown and
// unreadable; what it leaves open on purpose, or what is not its to tell, is not.
func TestUnreadable(t *testing.T) {
	type m = map[string]any
	absent := func(field string) m { return m{"-" + field: nil} }
	set := decision.Facts
	const co = "configurationManagerClientMdm"
	tests := []struct {
		name   string
		change m
		want   decision.FactSet
	}{
		{"healthy", nil, 0},
		{"new compliance state", m{"complianceState": "unknownFutureValue"}, set(decision.FactCompliance)},
		{"compliance state is null", m{"complianceState": nil}, set(decision.FactCompliance)},
		{"compliance state is absent", absent("complianceState"), set(decision.FactCompliance)},
		{"compliance state is a number", m{"complianceState": 1}, set(decision.FactCompliance)},
		{"compliance state is unknown", m{"complianceState": "unknown"}, 0},
		{"new management state", m{"managementState": "unknownFutureValue"}, set(decision.FactLifecycle)},
		{"management state is null", m{"managementState": nil}, set(decision.FactLifecycle)},
		{"management state is absent", absent("managementState"), set(decision.FactLifecycle)},
		{"management state is new, and revoked", m{"managementState": "x", "deviceRegistrationState": "revoked"}, 0},
		{"new registration state", m{"deviceRegistrationState": "x"}, set(decision.FactLifecycle)},
		{"new registration state, and wiped", m{"deviceRegistrationState": "x", "managementState": "wipeIssued"}, 0},
		{"registration state is unknown", m{"deviceRegistrationState": "unknown"}, 0},
		{"new agent", m{"managementAgent": "quantumAgent"}, set(decision.FactManaged, decision.FactCompliance)},
		{"agent is null", m{"managementAgent": nil}, set(decision.FactManaged, decision.FactCompliance)},
		{"new agent, noncompliant", m{"managementAgent": "quantumAgent", "complianceState": "noncompliant"}, set(decision.FactManaged)},
		{"agent is unknown", m{"managementAgent": "unknown"}, 0},
		{"agent is unknown, new compliance state", m{"managementAgent": "unknown", "complianceState": "x"}, set(decision.FactCompliance)},
		{"a partner decides", m{"managementAgent": "jamf", "complianceState": "x"}, 0},
		{"not enrolled", m{"managementAgent": "msSense", "complianceState": "x"}, 0},
		{"Configuration Manager decides", m{"managementAgent": co, "complianceState": "x", "configurationManagerClientEnabledFeatures": owns(false)}, 0},
		{"attached only", m{"managementAgent": "configurationManagerClient", "complianceState": "x"}, 0},
		{"Intune decides", m{"managementAgent": co, "complianceState": "x", "configurationManagerClientEnabledFeatures": owns(true)}, set(decision.FactCompliance)},
		{"nobody can read who decides", m{"managementAgent": co, "configurationManagerClientEnabledFeatures": owns("yes")}, set(decision.FactCompliance)},
		{"nobody says who decides", m{"managementAgent": co}, 0},
		{"grace until a word", m{"complianceState": "inGracePeriod", "complianceGracePeriodExpirationDateTime": "soon"}, set(decision.FactCompliance)},
		{"grace until a number", m{"complianceState": "inGracePeriod", "complianceGracePeriodExpirationDateTime": 5}, set(decision.FactCompliance)},
		{"grace until nobody says", m{"complianceState": "inGracePeriod", "complianceGracePeriodExpirationDateTime": nil}, 0},
		{"grace without end", m{"complianceState": "inGracePeriod"}, 0},
		{"grace that does not matter", m{"complianceGracePeriodExpirationDateTime": "soon"}, 0},
		{"new threat", m{"partnerReportedThreatState": "x"}, set(decision.FactRisk, decision.FactSensor)},
		{"no threat yet", m{"partnerReportedThreatState": "activated"}, 0},
		{"new jailbreak", m{"jailBroken": "Perhaps"}, set(decision.FactJailbroken)},
		{"jailbreak not reported", m{"jailBroken": ""}, 0},
		{"jailbreak unknown", m{"jailBroken": "Unknown"}, 0},
		{"encrypted as text", m{"isEncrypted": "true"}, set(decision.FactEncrypted)},
		{"encrypted is null", m{"isEncrypted": nil}, set(decision.FactEncrypted)},
		{"supervised as text", m{"isSupervised": "true"}, set(decision.FactSupervised)},
		{"new ownership", m{"managedDeviceOwnerType": "x"}, set(decision.FactOwnership)},
		{"ownership unknown", m{"managedDeviceOwnerType": "unknown"}, 0},
		{"owner as number", m{"userId": 5, "userPrincipalName": nil}, set(decision.FactOwner)},
		{"owner as number, with a name", m{"userId": 5}, 0},
		{"nobody's", m{"userId": "", "userPrincipalName": ""}, 0},
		{"new system", m{"operatingSystem": "Plan 9", "isEncrypted": false}, set(decision.FactOS, decision.FactEncrypted, decision.FactSupervised, decision.FactUpdated)},
		{"new version", m{"osVersion": "ten"}, set(decision.FactOS)},
		{"no system", m{"operatingSystem": nil, "osVersion": nil}, 0},
		{"system unknown", m{"operatingSystem": "Unknown"}, 0},
		{"check-in ahead", m{"lastSyncDateTime": "2026-11-22T08:00:00Z"}, set(decision.FactCheckIn)},
		{"check-in as word", m{"lastSyncDateTime": "today", "isEncrypted": false}, set(decision.FactCheckIn, decision.FactEncrypted)},
		{"never checked in", m{"lastSyncDateTime": "0001-01-01T00:00:00Z"}, 0},
		{"patch level as word", m{"operatingSystem": "Android", "osVersion": "14", "androidSecurityPatchLevel": "new"}, set(decision.FactUpdated)},
	}
	for _, test := range tests {
		r := healthy()
		for k, v := range test.change {
			if k[0] == '-' {
				delete(r, k[1:])
				continue
			}
			maps.Copy(r, m{k: v})
		}
		raw, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		d := decoder{now: now, patchWithin: time.Hour}
		v, err := d.decode(raw)
		if err != nil || v.Unreadable != test.want {
			t.Errorf("%s: unreadable %v, want %v (%v)", test.name, names(v.Unreadable), names(test.want), err)
		}
		if good(v.Compliance) && v.Unreadable.Has(decision.FactCompliance) {
			t.Errorf("%s: unreadable and %s", test.name, v.Compliance)
		}
		if test.want != 0 && len(d.fields) == 0 {
			t.Errorf("%s: nothing is counted", test.name)
		}
		if again, err := d.decode(with(nil)); err != nil || again.Unreadable != 0 {
			t.Errorf("%s: the next record has unreadable %v, %v", test.name, names(again.Unreadable), err)
		}
	}
}

// TestTwins: a member that is there twice, in whatever case, has no value.
func TestTwins(t *testing.T) {
	tests := []struct {
		twin string
		want decision.FactSet
	}{
		{`"complianceState":"compliant"`, decision.Facts(decision.FactCompliance)},
		{`"ComplianceState":"compliant"`, decision.Facts(decision.FactCompliance)},
		{`"complianceState":null`, decision.Facts(decision.FactCompliance)},
		{`"MANAGEMENTSTATE":"managed"`, decision.Facts(decision.FactLifecycle)},
		{`"managementAgent":"mdm"`, decision.Facts(decision.FactManaged, decision.FactCompliance)},
		{`"isencrypted":true`, decision.Facts(decision.FactEncrypted)},
		{`"partnerReportedThreatState":"secured"`, decision.Facts(decision.FactRisk, decision.FactSensor)},
		{`"lastSyncDateTime":"2026-11-22T06:00:00Z"`, decision.Facts(decision.FactCheckIn)},
	}
	for _, test := range tests {
		raw := append(bytes.TrimSuffix(with(nil), []byte("}")), ","+test.twin+"}"...)
		d := decoder{now: now}
		v, err := d.decode(raw)
		if err != nil || v.Unreadable != test.want || len(d.fields) == 0 {
			t.Errorf("%s twice: unreadable %v, counted %v, %v", test.twin, names(v.Unreadable), d.fields, err)
		}
	}
	for _, twin := range []string{`"id":"` + ownID + `"`, `"ID":"` + entraID + `"`} {
		raw := append(bytes.TrimSuffix(with(nil), []byte("}")), ","+twin+"}"...)
		if v, err := (&decoder{now: now}).decode(raw); err == nil {
			t.Errorf("%s twice: a record of %v", twin, v.Keys)
		}
	}
	raw := with(map[string]any{
		"managementAgent": "configurationManagerClientMdm", "configurationManagerClientEnabledFeatures": json.RawMessage(`{"compliancePolicy":false,"CompliancePolicy":true}`),
	})
	if v, err := (&decoder{now: now}).decode(raw); err != nil || !v.Unreadable.Has(decision.FactCompliance) || v.Compliance != decision.ComplianceUnknown {
		t.Errorf("two words about who decides: %s, unreadable %v, %v", v.Compliance, names(v.Unreadable), err)
	}
}

// TestUnreadableExport: a column that is not there says nothing; a cell that cannot be
// read does.
func TestUnreadableExport(t *testing.T) {
	const header = "DeviceId,CompliantState,LastContact"
	const row = "\n" + ownID
	tests := []struct {
		name, table string
		want        decision.FactSet
	}{
		{"only what is needed", header + row + ",Compliant,2026-11-22 06:00:00\n", 0},
		{"no compliance", header + ",ManagementAgent" + row + ",,2026-11-22 06:00:00,MDM\n", decision.Facts(decision.FactCompliance)},
		{"new state", header + ",ManagementAgent,ManagementState" + row + ",Compliant,2026-11-22 06:00:00,MDM,Vanished\n", decision.Facts(decision.FactLifecycle)},
		{"new agent", header + ",ManagementAgent" + row + ",Compliant,2026-11-22 06:00:00,Quantum\n", decision.Facts(decision.FactManaged, decision.FactCompliance)},
		{"encrypted perhaps", header + ",Encrypted" + row + ",Compliant,2026-11-22 06:00:00,Perhaps\n", decision.Facts(decision.FactEncrypted)},
		{"encrypted is empty", header + ",Encrypted" + row + ",Compliant,2026-11-22 06:00:00,\n", 0},
	}
	for _, test := range tests {
		list, _, err := readAll(t, test.table)
		if err != nil || len(list) != 1 || list[0].Unreadable != test.want {
			t.Errorf("%s: unreadable %v, want %v, %v", test.name, names(list[0].Unreadable), names(test.want), err)
		}
	}
}

// TestJoinUnreadable: a later row that cannot be read takes good news back, and leaves
// bad news.
func TestJoinUnreadable(t *testing.T) {
	known := func(c decision.Compliance, l decision.Lifecycle) decision.Verdict {
		v := dev(1, 11, "A", 5, c)
		v.Channel, v.Lifecycle, v.Encrypted = decision.ChannelIntune, l, decision.Yes
		return v
	}
	row := func(hours int, lost ...decision.Fact) decision.Verdict {
		v := dev(1, 11, "A", hours, decision.ComplianceUnknown)
		v.Unreadable = decision.Facts(lost...)
		return v
	}
	both := []decision.Fact{decision.FactCompliance, decision.FactLifecycle}
	tests := []struct {
		name       string
		known, row decision.Verdict
		compliance decision.Compliance
		lifecycle  decision.Lifecycle
		want       decision.FactSet
	}{
		{"good", known(decision.Compliant, decision.LifecycleActive), row(1, both...), decision.ComplianceUnknown, decision.LifecycleUnknown, decision.Facts(both...)},
		{"bad", known(decision.NonCompliant, decision.LifecycleWiping), row(1, both...), decision.NonCompliant, decision.LifecycleWiping, 0},
		{"not later", known(decision.Compliant, decision.LifecycleActive), row(5, both...), decision.Compliant, decision.LifecycleActive, 0},
		{"encryption", known(decision.Compliant, decision.LifecycleActive), row(1, decision.FactEncrypted), decision.Compliant, decision.LifecycleActive, decision.Facts(decision.FactEncrypted)},
	}
	for _, test := range tests {
		got := join(&test.known, &test.row)
		if got.Compliance != test.compliance || got.Lifecycle != test.lifecycle || got.Unreadable != test.want {
			t.Errorf("%s: %s, %s, unreadable %v", test.name, got.Compliance, got.Lifecycle, names(got.Unreadable))
		}
	}
	mended := known(decision.ComplianceUnknown, decision.LifecycleUnknown)
	mended.Unreadable = decision.Facts(both...)
	next := dev(1, 11, "A", 1, decision.Compliant)
	next.Lifecycle = decision.LifecycleActive
	if got := join(&mended, &next); got.Compliance != decision.Compliant || got.Unreadable != 0 {
		t.Errorf("read again: %s, unreadable %v", got.Compliance, names(got.Unreadable))
	}
}

// TestUnreadableHealth: what is asked for computer by computer.
func TestUnreadableHealth(t *testing.T) {
	type m = map[string]any
	for name, test := range map[string]struct {
		change m
		list   string // what was found; "" where nobody asks
		want   decision.FactSet
	}{
		"fine":                                  {nil, "", 0},
		"flag of another type":                  {m{"signatureUpdateOverdue": "no"}, "", decision.Facts(decision.FactAntivirus)},
		"flag is null":                          {m{"realTimeProtectionEnabled": nil}, "", 0},
		"off, and another flag of another type": {m{"signatureUpdateOverdue": "no", "realTimeProtectionEnabled": false}, "", 0},
		"new product status":                    {m{"productStatus": "quantumMode"}, `[]`, decision.Facts(decision.FactAntivirus, decision.FactMalware)},
		"long product status":                   {m{"productStatus": "noStatusFlagsSet, signatureOrPlatformEndOfLifeIsPastOrIsImpending"}, "", 0},
		"new device state":                      {m{"deviceState": "clean,quarantinePending"}, `[{"threatState":"cleaned"}]`, decision.Facts(decision.FactMalware)},
		"number as device state, one active":    {m{"deviceState": 7}, `[{"threatState":"active"}]`, 0},
		"new threat state":                      {m{"deviceState": "rebootPending"}, `[{"threatState":"frozen"}]`, decision.Facts(decision.FactMalware)},
		"date is a word":                        {m{"lastReportedDateTime": "today"}, "", decision.Facts(decision.FactAntivirus, decision.FactMalware)},
	} {
		d := &decoder{now: now}
		p, err := parseProtection(d, protected(test.change))
		if err != nil || p.look != (test.list != "") {
			t.Errorf("%s: look %v, %v", name, p.look, err)
			continue
		}
		if p.look {
			if err := p.addMalware(d, []byte(`{"value":`+test.list+`}`)); err != nil {
				t.Fatal(err)
			}
		}
		h := health{asked: now, protection: p}
		got := h.facets(now)
		if got.unreadable != test.want {
			t.Errorf("%s: unreadable %v, want %v", name, names(got.unreadable), names(test.want))
		}
		if got.unreadable.Has(decision.FactMalware) && got.malware != decision.Unknown || got.unreadable.Has(decision.FactAntivirus) && got.antivirus != decision.Unknown {
			t.Errorf("%s: unreadable %v, antivirus %s, malware %s", name, names(got.unreadable), got.antivirus, got.malware)
		}
	}
	body, _ := json.Marshal(m{"id": ownID, "deviceHealthAttestationState": m{"secureBoot": "Trusted", "bitLockerStatus": 7, "lastUpdateDateTime": "11/20/2026 7:14:02 PM"}})
	a, err := parseAttestation(&decoder{now: now}, ownID, body)
	if err != nil {
		t.Fatal(err)
	}
	h := health{asked: now, attestation: a, own: facets{encrypted: decision.Yes}}
	if got := h.facets(now); got.unreadable != decision.Facts(decision.FactSecureBoot, decision.FactEncrypted) || got.encrypted != decision.Unknown {
		t.Errorf("attestation: unreadable %v, encrypted %s", names(got.unreadable), got.encrypted)
	}
	h.own.encrypted = decision.No
	if got := h.facets(now); got.unreadable != decision.Facts(decision.FactSecureBoot) || got.encrypted != decision.No {
		t.Errorf("attestation of a device that is not encrypted: unreadable %v, encrypted %s", names(got.unreadable), got.encrypted)
	}
}

// TestUnreadableEndToEnd: every way of asking says what could not be read.
func TestUnreadableEndToEnd(t *testing.T) {
	r := start(t, emulator.Options{}, Options{FullSweep: time.Hour})
	d := r.find(t, emulator.CaseHealthy)
	r.sync(t)
	is := func(name string, v *decision.Verdict) {
		t.Helper()
		want := decision.Facts(decision.FactCompliance, decision.FactLifecycle)
		if v.Unreadable != want || v.Compliance != decision.ComplianceUnknown || v.Lifecycle != decision.LifecycleUnknown {
			t.Errorf("%s: %s, %s, unreadable %v", name, v.Compliance, v.Lifecycle, names(v.Unreadable))
		}
	}
	r.ms.Update(func(*emulator.Fleet) {
		m := d.Managed[0]
		m.Compliance, m.State, m.LastSync = "unknownFutureValue", "unknownFutureValue", time.Now()
	})
	v := verdict(t, r.sync(t), d)
	is("changes", &v)
	v, err := r.Lookup(t.Context(), entraKey(d.EntraID))
	if err != nil {
		t.Fatal(err)
	}
	is("look-up", &v)
	again := start(t, emulator.Options{}, Options{})
	other := again.find(t, emulator.CaseHealthy)
	again.ms.Update(func(*emulator.Fleet) {
		other.Managed[0].Compliance, other.Managed[0].State = "unknownFutureValue", "unknownFutureValue"
	})
	v = verdict(t, again.sync(t), other)
	is("listing", &v)
}
