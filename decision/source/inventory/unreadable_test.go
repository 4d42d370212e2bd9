package inventory

import (
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
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

// TestUnreadableOfIntune: a cell that no table lists makes its facts unreadable, as
// far as no other column tells them.
func TestUnreadableOfIntune(t *testing.T) {
	const header = "Device ID,Compliance,Managed by,Device state,Intune registered,OS,OS version,Ownership,Encrypted,Jailbroken,JoinType\n" +
		"11111111-aaaa-4bbb-8ccc-000000000001,"
	set := decision.Facts
	for _, tt := range []struct {
		name, row  string
		compliance decision.Compliance
		lifecycle  decision.Lifecycle
		want       decision.FactSet
	}{
		{"all is well", "Compliant,Intune,Managed,Registered,Windows,10.0.22631.1,Corporate,True,False,AzureADJoined", decision.Compliant, decision.LifecycleActive, 0},
		{"nothing is said", ",,,,,,,,,", decision.ComplianceUnknown, decision.LifecycleUnknown, 0},
		{"all is unknown", "Unknown,Unknown,Unknown,Unknown,Unknown,Unknown,Unknown,Unknown,Unknown,Unknown", decision.ComplianceUnknown, decision.LifecycleUnknown, 0},
		{"all is new", "x,x,x,x,x,x,x,x,x,x", decision.ComplianceUnknown, decision.LifecycleUnknown, set(decision.FactCompliance, decision.FactManaged,
			decision.FactLifecycle, decision.FactOS, decision.FactOwnership, decision.FactEncrypted, decision.FactJailbroken, decision.FactTrust)},
		{"new state, and revoked", "Compliant,Intune,x,Revoked,,,,,,", decision.Compliant, decision.LifecycleRevoked, 0},
		{"wiped, and new registration", "Compliant,Intune,wipePending,x,,,,,,", decision.Compliant, decision.LifecycleWiping, 0},
		{"managed, and new registration", "Compliant,Intune,Managed,x,,,,,,", decision.Compliant, decision.LifecycleUnknown, set(decision.FactLifecycle)},
		{"new state, and approval pending", "Compliant,Intune,x,approvalPending,,,,,,", decision.Compliant, decision.LifecycleUnknown, set(decision.FactLifecycle)},
		{"new agent", "Compliant,x,,,,,,,,", decision.ComplianceUnknown, decision.LifecycleUnknown, set(decision.FactCompliance, decision.FactManaged)},
		{"new agent, in grace", "In grace period,x,,,,,,,,", decision.ComplianceUnknown, decision.LifecycleUnknown, set(decision.FactCompliance, decision.FactManaged)},
		{"new agent, noncompliant", "Noncompliant,x,,,,,,,,", decision.NonCompliant, decision.LifecycleUnknown, set(decision.FactManaged)},
		{"unknown agent", "Compliant,Unknown,,,,,,,,", decision.Compliant, decision.LifecycleUnknown, 0},
		{"new version of a known system", "Compliant,Intune,,,Windows,eleven,,,,", decision.Compliant, decision.LifecycleUnknown, 0},
	} {
		c := collect([]byte(header+tt.row+"\n"), FormatIntuneCSV)
		if c.err != nil || len(c.bad) > 0 || len(c.devices) != 1 {
			t.Fatalf("%s: %v, bad %q", tt.name, c.err, c.bad)
		}
		d := &c.devices[0].Device
		if d.Unreadable != tt.want || d.Compliance != tt.compliance || d.Lifecycle != tt.lifecycle {
			t.Errorf("%s: %s, %s, unreadable %v, want %s, %s, %v", tt.name, d.Compliance, d.Lifecycle, names(d.Unreadable), tt.compliance, tt.lifecycle, names(tt.want))
		}
		if tt.want != 0 && c.found.skipped == nil {
			t.Errorf("%s: nothing is counted", tt.name)
		}
	}
}

// TestUnreadableRowsApart: what nobody can read in one record is not said of the next.
func TestUnreadableRowsApart(t *testing.T) {
	for format, content := range map[string]string{
		FormatCSV:  "serial,risk,os_version\nx1,hgih,new\nx2,low,\nx3,hgih,\n",
		FormatJSON: `{"version":1,"devices":[{"ids":{"serial":"x1"},"risk":"hgih","os_version":"new"},{"ids":{"serial":"x2"},"risk":"low"},{"ids":{"serial":"x3"},"risk":"hgih"}]}`,
	} {
		c := collect([]byte(content), format)
		if c.err != nil || len(c.devices) != 3 {
			t.Fatalf("%s: %v, %d devices", format, c.err, len(c.devices))
		}
		odd := decision.Facts(decision.FactRisk)
		for i, want := range []decision.FactSet{odd, 0, odd} {
			if got := c.devices[i].Unreadable; got != want {
				t.Errorf("%s: device %d: unreadable %v, want %v", format, i+1, names(got), names(want))
			}
		}
	}
}

// TestUnreadableUsers: a word about a user that nobody can read is no word, and the
// user stays in the file.
func TestUnreadableUsers(t *testing.T) {
	for members, want := range map[string]decision.UserRecord{
		`"enabled":"perhaps"`:                 {Unreadable: decision.Facts(decision.FactUserEnabled)},
		`"enabled":"unknown"`:                 {},
		`"enabled":"perhaps","risk":"low"`:    {Risk: decision.LevelLow, Unreadable: decision.Facts(decision.FactUserEnabled)},
		`"compromised":"perhaps"`:             {Unreadable: decision.Facts(decision.FactUserRisk)},
		`"enabled":0`:                         {Unreadable: decision.Facts(decision.FactUserEnabled)},
		`"enabled":{}`:                        {Unreadable: decision.Facts(decision.FactUserEnabled)},
		`"compromised":[1]`:                   {Unreadable: decision.Facts(decision.FactUserRisk)},
		`"risk":3`:                            {Unreadable: decision.Facts(decision.FactUserRisk)},
		`"enabled":false,"wrong":1`:           {Enabled: decision.No, Unreadable: decision.Facts(decision.FactUserRisk)},
		`"wrong":1,"compromised":true`:        {Compromised: decision.Yes, Unreadable: decision.Facts(decision.FactUserEnabled, decision.FactUserRisk)},
		`"wrong":1,"risk":"high"`:             {Risk: decision.LevelHigh, RiskFloor: true, Unreadable: decision.Facts(decision.FactUserEnabled, decision.FactUserRisk)},
		`"enabled":true,"upn":"b"`:            {Unreadable: decision.Facts(decision.FactUserEnabled, decision.FactUserRisk)},
		`"enabled":false,"risk":"tremendous"`: {Enabled: decision.No, Unreadable: decision.Facts(decision.FactUserRisk)},
	} {
		want.UPN = "a"
		badRows := 0
		if strings.Contains(members, "wrong") || strings.Count(members, "upn") > 0 {
			badRows = 1
		}
		c := collect([]byte(`{"version":1,"devices":[],"users":[{"upn":"a",`+members+`}]}`), FormatJSON)
		if c.err != nil || len(c.bad) != badRows || len(c.users) != 1 || c.users[0] != want {
			t.Errorf("%s: %v, bad %q, %+v, want %+v", members, c.err, c.bad, c.users, want)
		}
	}
}
