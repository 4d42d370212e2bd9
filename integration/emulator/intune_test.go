package emulator

import (
	"strings"
	"testing"
	"time"
)

const managed = "/graph/v1.0/deviceManagement/managedDevices"

func TestManagedDevicePages(t *testing.T) {
	c := serve(t, Options{Devices: 2500}).signIn(graphScope)
	seen := map[string]bool{}
	next, pages := managed+"?$select=id,azureADDeviceId,lastSyncDateTime", 0
	for next != "" {
		rows, doc := c.rows(next)
		if got := int(doc["@odata.count"].(float64)); got != len(rows) {
			t.Errorf("page %d: count %d of %d rows", pages, got, len(rows))
		}
		for _, r := range rows {
			seen[r["id"].(string)] = true
			if _, err := time.Parse(time.RFC3339Nano, r["lastSyncDateTime"].(string)); err != nil {
				t.Error(err)
			}
		}
		next, _ = doc["@odata.nextLink"].(string)
		if next != "" && (!strings.HasPrefix(next, c.base+managed+"?$select=id,") || len(rows) != 1000) {
			t.Errorf("page %d has %d rows and the link %s", pages, len(rows), next)
		}
		pages++
	}
	want := 0
	for _, d := range c.s.Devices() {
		want += len(d.Managed)
	}
	if len(seen) != want || pages != 3 {
		t.Errorf("%d records in %d pages, want %d in 3", len(seen), pages, want)
	}
	c.s.Check(t)
}

func TestManagedDeviceFilters(t *testing.T) {
	c := serve(t, Options{Devices: 100}).signIn(graphScope)
	dup, jail := c.device(CaseDuplicate), c.device(CaseJailbroken)
	tests := []struct {
		filter string
		status int
		want   int // rows; -1: at least one
	}{
		{"azureADDeviceId eq '" + dup.EntraID.String() + "'", 200, 2},
		{"azureADDeviceId eq '" + strings.ToUpper(jail.EntraID.String()) + "'", 200, 1},
		{"azureADDeviceId eq '00000000-0000-4000-8000-000000000000'", 200, 0}, // not enrolled is no 404
		{"complianceState eq 'noncompliant' or complianceState eq 'inGracePeriod'", 200, -1},
		{"jailBroken eq 'True' and operatingSystem eq 'Android'", 200, -1},
		{"contains(deviceName,'jail')", 200, 1},
		{"lastSyncDateTime gt 2099-01-01T00:00:00Z", 200, 0},
		{"lastSyncDateTime gt 2001-01-01T00:00:00+02:00", 400, 0}, // the plus sign came as a blank
		{"lastSyncDateTime gt '2099-01-01T00:00:00Z'", 400, 0},
		{"isEncrypted eq false", 400, 0},
		{"partnerReportedThreatState eq 'secured'", 400, 0},
		{"complianceState eq 'error' or jailBroken eq 'True'", 400, 0},
		{"not complianceState eq 'error'", 400, 0},
		{"azureADDeviceId eq 5d0c1b7e-2f64-4a1b-9d0e-6a3f1c2b4d5e", 400, 0},
		{"complianceState ne 'compliant'", 400, 0},
		{"nonsense eq 'x'", 400, 0},
		{"complianceState eq 'x", 400, 0},
		{"(complianceState eq 'error'", 400, 0},
	}
	for _, tc := range tests {
		status, doc := c.get(managed + "?$select=id&$filter=" + tc.filter)
		if status != tc.status {
			t.Errorf("%s: status %d, want %d", tc.filter, status, tc.status)
			continue
		}
		if status != 200 {
			continue
		}
		if got := len(rowsIn(t, doc)); got != tc.want && (tc.want >= 0 || got == 0) {
			t.Errorf("%s: %d rows, want %d", tc.filter, got, tc.want)
		}
	}
}

func TestManagedDeviceRecord(t *testing.T) {
	c := serve(t, Options{Devices: 40}).signIn(graphScope)
	tests := []struct {
		device, field string
		want          any
	}{
		{CaseComanaged, "managementAgent", "configurationManagerClientMdm"},
		{CaseComanagedConfigMgr, "complianceState", "configManager"},
		{CaseTenantAttach, "managementAgent", "configurationManagerClient"},
		{CaseTenantAttach, "configurationManagerClientEnabledFeatures", nil},
		{CaseJailbroken, "jailBroken", "True"},
		{CaseUnreported, "jailBroken", ""},
		{CaseUnreported, "isEncrypted", false},
		{CaseGraceFar, "complianceState", "inGracePeriod"},
		{CaseHealthy, "complianceGracePeriodExpirationDateTime", "9999-12-31T23:59:59Z"},
		{CaseNotEvaluated, "lastSyncDateTime", "0001-01-01T00:00:00Z"},
		{CaseFutureValues, "managementAgent", "unknownFutureValue"},
		{CaseWiped, "managementState", "wipeIssued"},
		{CaseRevoked, "deviceRegistrationState", "revoked"},
		{CaseThreatCompromised, "partnerReportedThreatState", "compromised"},
		{CaseNoncompliant, "deviceHealthAttestationState", nil}, // null in lists
	}
	for _, tc := range tests {
		d := c.device(tc.device)
		rows, _ := c.rows(managed + "?$select=" + tc.field + "&$filter=azureADDeviceId eq '" + d.EntraID.String() + "'")
		if len(rows) != 1 {
			t.Errorf("%s: %d rows", tc.device, len(rows))
			continue
		}
		if got := rows[0][tc.field]; got != tc.want {
			t.Errorf("%s: %s is %v, want %v", tc.device, tc.field, got, tc.want)
		}
	}
	d := c.device(CaseNoncompliant)
	_, one := c.get(managed + "/" + d.Managed[0].ID.String() + "?$select=id,deviceHealthAttestationState")
	if a, _ := one["deviceHealthAttestationState"].(map[string]any); a["bitLockerStatus"] != "Disabled" {
		t.Errorf("single record: attestation %v", one)
	}
	if status, doc := c.get(managed + "/" + d.EntraID.String() + "?$select=id"); status != 404 || code(doc) != "ResourceNotFound" {
		t.Errorf("a record by its Entra id: %d %v, want 404", status, doc)
	}
	w := c.device(CaseComanaged).Managed[0]
	_, one = c.get(managed + "('" + w.ID.String() + "')?$select=configurationManagerClientEnabledFeatures")
	if f, _ := one["configurationManagerClientEnabledFeatures"].(map[string]any); f["compliancePolicy"] != true {
		t.Errorf("workloads %v", one)
	}
	c.s.Check(t)
}

func TestReasons(t *testing.T) {
	c := serve(t, Options{Devices: 40}).signIn(graphScope)
	for _, tc := range []struct {
		device, setting string
		rows            int // rows of the setting that are not compliant
	}{
		{CaseNoncompliant, "Windows10CompliancePolicy.StorageRequireEncryption", 1},
		{CaseJailbroken, "AndroidCompliancePolicy.SecurityBlockJailbrokenDevices", 1},
		{CaseHealthy, "Windows10CompliancePolicy.StorageRequireEncryption", 0},
	} {
		path := managed + "/" + c.device(tc.device).Managed[0].ID.String() + "/deviceCompliancePolicyStates"
		policies, _ := c.rows(path)
		found := 0
		for _, p := range policies {
			settings, _ := c.rows(path + "/" + p["id"].(string) + "/settingStates")
			for _, s := range settings {
				if s["settingName"] != nil {
					t.Errorf("settingName is %v", s["settingName"])
				}
				if s["setting"] == tc.setting && s["state"] == "nonCompliant" {
					found++
				}
			}
		}
		if len(policies) != 2 || found != tc.rows {
			t.Errorf("%s: %d policies, %d failing rows; want 2, %d", tc.device, len(policies), found, tc.rows)
		}
	}
	id := c.device(CaseMalware).Managed[0].ID.String()
	_, p := c.get(managed + "/" + id + "/windowsProtectionState")
	if p["deviceState"] != "critical,rebootPending" {
		t.Errorf("protection state %v", p)
	}
	if m, _ := c.rows(managed + "/" + id + "/windowsProtectionState/detectedMalwareState"); len(m) != 2 || m[0]["threatState"] != "active" {
		t.Errorf("malware %v", m)
	}
	if status, _ := c.get(managed + "/" + c.device(CaseIntuneOnly).Managed[0].ID.String() + "/windowsProtectionState"); status != 404 {
		t.Errorf("protection state of a phone: %d", status)
	}
	c.s.Check(t)
}

func TestTenantWide(t *testing.T) {
	c := serve(t, Options{Devices: 40}).signIn(graphScope)
	c.s.Update(func(f *Fleet) {
		f.Settings.SecureByDefault = false
		f.Connectors[0].State = "unresponsive"
	})
	_, doc := c.get("/graph/v1.0/deviceManagement?$select=settings")
	if s := doc["settings"].(map[string]any); s["secureByDefault"] != false || s["deviceComplianceCheckinThresholdDays"] != 30.0 {
		t.Errorf("settings %v", s)
	}
	if rows, _ := c.rows("/graph/v1.0/deviceManagement/mobileThreatDefenseConnectors"); rows[0]["partnerState"] != "unresponsive" {
		t.Errorf("connector %v", rows[0])
	}
	_, sum := c.get("/graph/v1.0/deviceManagement/deviceCompliancePolicyDeviceStateSummary")
	if sum["inGracePeriodCount"] != 3.0 || sum["conflictDeviceCount"] != 1.0 {
		t.Errorf("summary %v", sum)
	}
	_, over := c.get("/graph/v1.0/deviceManagement/managedDeviceOverview")
	if over["dualEnrolledDeviceCount"].(float64) < 4 {
		t.Errorf("overview %v", over)
	}
	u := c.device(CaseHealthy).User
	if rows, _ := c.rows("/graph/v1.0/users/" + u.OID.String() + "/managedDevices?$select=id"); len(rows) != 1 {
		t.Errorf("%d devices of the user", len(rows))
	}
	c.s.Check(t)
}

func TestSyncDevice(t *testing.T) {
	now := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	c := serve(t, Options{Devices: 40, Clock: func() time.Time { return now }}).signIn(graphScope)
	d := c.device(CaseNoncompliant)
	c.s.Update(func(*Fleet) { d.Managed[0].NextCompliance = "compliant" })
	path := managed + "/" + d.Managed[0].ID.String()
	resp := c.do("POST", path+"/syncDevice", "")
	resp.Body.Close()
	if resp.StatusCode != 204 {
		t.Fatalf("status %d", resp.StatusCode)
	}
	_, doc := c.get(path + "?$select=complianceState,lastSyncDateTime,deviceActionResults")
	if doc["complianceState"] != "compliant" || !strings.HasPrefix(doc["lastSyncDateTime"].(string), "2026-11-21T") || len(doc["deviceActionResults"].([]any)) != 1 {
		t.Errorf("after the check-in: %v", doc)
	}
	if d.Directory.Compliant != True {
		t.Error("the new state was not copied to the directory")
	}
	if status, _ := c.get(path + "/syncDevice"); status != 400 {
		t.Errorf("GET of an action: %d", status)
	}
	// What Intune cannot reach so, and a body that nobody asked for.
	before := len(c.s.Violations())
	for i, tc := range []struct{ device, body string }{{CaseTenantAttach, ""}, {CaseJamf, ""}, {CaseDefenderAttach, ""}, {CaseHealthy, "{}"}} {
		m := c.device(tc.device).Managed[0]
		last := m.LastSync
		resp := c.do("POST", managed+"/"+m.ID.String()+"/syncDevice", tc.body)
		resp.Body.Close()
		if resp.StatusCode != 400 || !m.LastSync.Equal(last) || len(c.s.Violations()) != before+i+1 {
			t.Errorf("%s with body %q: %d, %d violations", tc.device, tc.body, resp.StatusCode, len(c.s.Violations())-before)
		}
	}
	// The right to read is none to act. It shows in a new token.
	c.s.Grant(actOnDevices, false)
	c = c.signIn(graphScope)
	resp = c.do("POST", path+"/syncDevice", "")
	resp.Body.Close()
	if resp.StatusCode != 403 {
		t.Errorf("without the permission: %d", resp.StatusCode)
	}
}
