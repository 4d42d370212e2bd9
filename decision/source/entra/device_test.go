package entra

import (
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func TestDeviceFields(t *testing.T) {
	base := decision.Device{Compliance: decision.ComplianceNotManaged, Managed: decision.No, Unreadable: decision.Facts(decision.FactEnabled)}
	odd := func(d *decision.Device, f decision.Fact) { d.Unreadable |= decision.Facts(f) }
	with := func(f func(d *decision.Device)) decision.Device { d := base; f(&d); return d }
	for _, tt := range []struct {
		name, row string
		want      decision.Device
		problem   string
	}{
		{"nothing set", ``, base, ""},
		{"all null", `"displayName":null,"accountEnabled":null,"isCompliant":null,"isManaged":null,"isRooted":null,"trustType":null,"deviceOwnership":null,"operatingSystem":null,"operatingSystemVersion":null,"registrationDateTime":null,"complianceExpirationDateTime":null,"onPremisesSecurityIdentifier":null,"mdmAppId":null`, base, "accountEnabled: no value"},
		{"compliant", `"isCompliant":true,"isManaged":true`, with(func(d *decision.Device) { d.Compliance, d.Managed = decision.Compliant, decision.Yes }), ""},
		{"noncompliant", `"isCompliant":false,"isManaged":false`, with(func(d *decision.Device) { d.Compliance = decision.NonCompliant }), ""},
		{"compliant as text", `"isCompliant":"true"`, with(func(d *decision.Device) { d.Compliance = decision.ComplianceUnknown; odd(d, decision.FactCompliance) }), "isCompliant: wrong type"},
		{"managed as a number", `"isManaged":1`, with(func(d *decision.Device) { d.Managed = decision.Unknown; odd(d, decision.FactManaged) }), "isManaged: wrong type"},
		{"enabled", `"accountEnabled":true`, with(func(d *decision.Device) { d.Enabled, d.Unreadable = decision.Yes, 0 }), ""},
		{"disabled", `"accountEnabled":false`, with(func(d *decision.Device) { d.Enabled, d.Unreadable = decision.No, 0 }), ""},
		{"enabled as text", `"accountEnabled":"false"`, base, "accountEnabled: wrong type"},
		{"rooted", `"isRooted":true`, with(func(d *decision.Device) { d.Jailbroken = decision.Yes }), ""},
		{"rooted as text", `"isRooted":"yes"`, with(func(d *decision.Device) { odd(d, decision.FactJailbroken) }), "isRooted: wrong type"},
		{"joined", `"trustType":"AzureAd"`, with(func(d *decision.Device) { d.Trust = decision.TrustJoined }), ""},
		{"hybrid, other case", `"trustType":"ServerAD"`, with(func(d *decision.Device) { d.Trust = decision.TrustHybridJoined }), ""},
		{"registered", `"trustType":"Workplace"`, with(func(d *decision.Device) { d.Trust = decision.TrustRegistered }), ""},
		{"new kind of trust", `"trustType":"Quantum"`, with(func(d *decision.Device) { odd(d, decision.FactTrust) }), "trustType: unknown value"},
		{"company", `"deviceOwnership":"Company"`, with(func(d *decision.Device) { d.Ownership = decision.Corporate }), ""},
		{"personal", `"deviceOwnership":"personal"`, with(func(d *decision.Device) { d.Ownership = decision.Personal }), ""},
		{"future owner", `"deviceOwnership":"unknownFutureValue"`, with(func(d *decision.Device) { odd(d, decision.FactOwnership) }), "deviceOwnership: unknown value"},
		{"owner is not known", `"deviceOwnership":"unknown"`, base, ""},
		{"system is not known", `"operatingSystem":"Unknown","operatingSystemVersion":"unknown"`, base, ""},
		{"windows", `"operatingSystem":"Windows","operatingSystemVersion":"10.0.22631.4460"`, with(func(d *decision.Device) {
			d.Platform, d.OSVersion = decision.Windows, decision.Version{10, 0, 22631, 4460}
		}), ""},
		{"mac", `"operatingSystem":"MacMDM","operatingSystemVersion":"14.5 (23F79)"`, with(func(d *decision.Device) {
			d.Platform, d.OSVersion = decision.MacOS, decision.Version{14, 5}
		}), ""},
		{"odd system", `"operatingSystem":"Plan9","operatingSystemVersion":"10.0"`, with(func(d *decision.Device) {
			d.OSVersion = decision.Version{10}
			odd(d, decision.FactOS)
		}), "operatingSystem: unknown value"},
		{"odd version", `"operatingSystemVersion":"fourth"`, with(func(d *decision.Device) { odd(d, decision.FactOS) }), "operatingSystemVersion: bad text"},
		{"name with control characters", `"displayName":" LT\u0007-1\n "`, with(func(d *decision.Device) { d.Name = "LT-1" }), ""},
		{"compliance has run out", `"isCompliant":true,"complianceExpirationDateTime":"2026-11-21T11:59:59.1234567Z"`, with(func(d *decision.Device) { d.Compliance = decision.ComplianceNotEvaluated }), ""},
		{"compliance runs out later", `"isCompliant":true,"complianceExpirationDateTime":"2026-11-21T14:59:59+02:00"`, with(func(d *decision.Device) { d.Compliance = decision.Compliant }), ""},
		{"compliance has no end", `"isCompliant":true,"complianceExpirationDateTime":"9999-12-31T23:59:59Z"`, with(func(d *decision.Device) { d.Compliance = decision.Compliant }), ""},
		{"compliance never had an end", `"isCompliant":true,"complianceExpirationDateTime":"0001-01-01T00:00:00Z"`, with(func(d *decision.Device) { d.Compliance = decision.Compliant }), ""},
		{"never registered", `"registrationDateTime":"9999-12-31T23:59:59Z"`, base, ""},
		{"registered in the future", `"registrationDateTime":"2199-12-31T23:59:59Z"`, base, "registrationDateTime: bad date"},
		{"end cannot be read", `"isCompliant":true,"complianceExpirationDateTime":"soon"`, with(func(d *decision.Device) { d.Compliance = decision.ComplianceNotEvaluated }), "complianceExpirationDateTime: bad date"},
		{"end of a noncompliant device", `"isCompliant":false,"complianceExpirationDateTime":"2020-01-01T00:00:00Z"`, with(func(d *decision.Device) { d.Compliance = decision.NonCompliant }), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, own, err := decodeDevice([]byte(row(1, tt.row)))
			if err != nil {
				t.Fatal(err)
			}
			var count tally
			d := newDevice(own)
			d.merge(&r, noon, &count)
			got := d.Device
			tt.want.Keys = got.Keys
			if !equalDevice(got, tt.want) {
				t.Errorf("device\n got %+v\nwant %+v", got, tt.want)
			}
			if tt.problem != "" && count.problems[tt.problem] != 1 || tt.problem == "" && len(count.problems) > 0 {
				t.Errorf("problems %v, want %q", count.problems, tt.problem)
			}
		})
	}
}

func equalDevice(a, b decision.Device) bool {
	a.Keys, b.Keys = nil, nil
	return a.Name == b.Name && a.Platform == b.Platform && a.OSVersion == b.OSVersion && a.Compliance == b.Compliance &&
		a.Managed == b.Managed && a.Enabled == b.Enabled && a.Trust == b.Trust && a.Ownership == b.Ownership &&
		a.Jailbroken == b.Jailbroken && a.Channel == b.Channel && a.Unreadable == b.Unreadable && a.LastCheckIn.Equal(b.LastCheckIn) && a.EvaluatedAt.Equal(b.EvaluatedAt)
}

func TestDeviceKeys(t *testing.T) {
	object := decision.Key{Kind: decision.KindEntraObject, Value: objectID(1)}
	for _, tt := range []struct {
		name, row string
		want      []decision.Key
	}{
		{"own id only", `{"id":"` + objectID(1) + `"}`, []decision.Key{object}},
		{"upper case and braces", `{"id":"{00000001-0000-4000-8000-0000000000BB}","deviceId":"00000001-0000-4000-8000-0000000000DE"}`, []decision.Key{object, entraKey(1)}},
		{"zero deviceId", `{"id":"` + objectID(1) + `","deviceId":"00000000-0000-0000-0000-000000000000"}`, []decision.Key{object}},
		{"deviceId that is none", `{"id":"` + objectID(1) + `","deviceId":"laptop"}`, []decision.Key{object}},
		{"sid", row(1, `"onPremisesSecurityIdentifier":"S-1-5-21-1-2-3-1105"`), []decision.Key{
			object, entraKey(1), {Kind: decision.KindSID, Value: "s-1-5-21-1-2-3-1105"},
		}},
	} {
		r, own, err := decodeDevice([]byte(tt.row))
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		d := newDevice(own)
		d.merge(&r, noon, &tally{})
		if len(d.Keys) != len(tt.want) {
			t.Errorf("%s: ids %v, want %v", tt.name, d.Keys, tt.want)
			continue
		}
		for i := range d.Keys {
			if d.Keys[i] != tt.want[i] {
				t.Errorf("%s: id %v, want %v", tt.name, d.Keys[i], tt.want[i])
			}
		}
	}
}

func TestDeviceUnusable(t *testing.T) {
	for _, raw := range []string{``, `null`, `17`, `[]`, `"x"`, `{`, `{}`, `{"id":null}`, `{"id":7}`, `{"id":""}`, `{"id":"laptop"}`, `{"id":"00000000-0000-0000-0000-000000000000"}`} {
		if _, _, err := decodeDevice([]byte(raw)); err == nil {
			t.Errorf("row %s: no error", raw)
		}
		if _, _, err := decodeUser([]byte(raw)); err == nil {
			t.Errorf("user %s: no error", raw)
		}
		if _, _, _, err := decodeRisk([]byte(raw), &tally{}); err == nil {
			t.Errorf("risky user %s: no error", raw)
		}
	}
}
