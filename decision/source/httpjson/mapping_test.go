package httpjson

import (
	"context"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// mapped reads one device through one field.
func mapped(t *testing.T, f Field, text string) (decision.Device, []Unknown) {
	t.Helper()
	m, err := newMapping([]Field{{Name: "id:asset", Pointer: "/asset"}, f})
	if err != nil {
		t.Fatal(err)
	}
	doc, err := (&document{limit: 1 << 20}).read(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	r := m.read(t.Context(), doc, noon)
	var why []Unknown
	for _, u := range m.unknowns() {
		if u.Field == f.Name {
			why = append(why, u)
		}
	}
	return r.Device, why
}

func TestFields(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, s)
		if err != nil {
			t.Fatal(err)
		}
		return v.UTC()
	}
	table := map[string]string{"OK": "compliant", "BAD": "noncompliant", "true": "compliant", "3": "in_grace", "WAIT": "unknown"}
	tests := []struct {
		name   string
		values map[string]string
		json   string
		want   decision.Device
		why    string
	}{
		{"compliance", nil, `"compliant"`, decision.Device{Compliance: decision.Compliant}, ""},
		{"compliance", nil, `" Compliant "`, decision.Device{Compliance: decision.Compliant}, ""},
		{"compliance", nil, `"NonCompliant"`, decision.Device{Compliance: decision.NonCompliant}, ""},
		{"compliance", nil, `"unknown"`, decision.Device{}, ""},
		{"compliance", nil, `"compliant?"`, decision.Device{}, "unlisted"},
		{"compliance", nil, `"PASS"`, decision.Device{}, "unlisted"},
		{"compliance", nil, "\"comp\u0131iant\"", decision.Device{}, "unlisted"},
		{"compliance", nil, `true`, decision.Device{}, "unreadable"},
		{"compliance", nil, `1`, decision.Device{}, "unreadable"},
		{"compliance", nil, `{"a": "compliant"}`, decision.Device{}, "unreadable"},
		{"compliance", nil, `["compliant"]`, decision.Device{}, "unreadable"},
		{"compliance", nil, `null`, decision.Device{}, "absent"},
		{"compliance", nil, `""`, decision.Device{}, "absent"},
		{"compliance", nil, `"  "`, decision.Device{}, "absent"},
		{"compliance", table, `"OK"`, decision.Device{Compliance: decision.Compliant}, ""},
		{"compliance", table, `"ok"`, decision.Device{}, "unlisted"},
		{"compliance", table, `"compliant"`, decision.Device{}, "unlisted"},
		{"compliance", table, `true`, decision.Device{Compliance: decision.Compliant}, ""},
		{"compliance", table, `false`, decision.Device{}, "unlisted"},
		{"compliance", table, `3`, decision.Device{Compliance: decision.InGracePeriod}, ""},
		{"compliance", table, `3.0`, decision.Device{}, "unreadable"},
		{"compliance", table, `"WAIT"`, decision.Device{}, ""},
		{"encrypted", nil, `true`, decision.Device{Encrypted: decision.Yes}, ""},
		{"encrypted", nil, `false`, decision.Device{Encrypted: decision.No}, ""},
		{"encrypted", nil, `"Yes"`, decision.Device{Encrypted: decision.Yes}, ""},
		{"encrypted", nil, `1`, decision.Device{}, "unreadable"},
		{"encrypted", nil, `"1"`, decision.Device{}, "unlisted"},
		{"encrypted", map[string]string{"1": "yes", "0": "no"}, `1`, decision.Device{Encrypted: decision.Yes}, ""},
		{"jailbroken", nil, `"TRUE"`, decision.Device{Jailbroken: decision.Yes}, ""},
		{"malware", map[string]string{"infected": "yes"}, `"infected"`, decision.Device{Malware: decision.Yes}, ""},
		{"platform", nil, `"macOS"`, decision.Device{Platform: decision.MacOS}, ""},
		{"platform", nil, `"Windows 11 Pro"`, decision.Device{Platform: decision.Windows}, ""},
		{"platform", nil, `"BeOS"`, decision.Device{}, "unlisted"},
		{"os_version", nil, `"14.5 (23F79)"`, decision.Device{OSVersion: decision.Version{14, 5}}, ""},
		{"os_version", nil, `15`, decision.Device{OSVersion: decision.Version{15}}, ""},
		{"os_version", nil, `14.10`, decision.Device{}, "unreadable"},
		{"os_version", nil, `"Sequoia"`, decision.Device{}, "unreadable"},
		{"risk", nil, `"HIGH"`, decision.Device{Risk: decision.LevelHigh}, ""},
		{"risk", nil, `"compromised"`, decision.Device{Risk: decision.LevelCompromised}, ""},
		{"risk", nil, `87`, decision.Device{}, "unreadable"},
		{"exposure", nil, `"medium"`, decision.Device{Exposure: decision.LevelMedium}, ""},
		{"exposure", nil, `"compromised"`, decision.Device{}, "unlisted"},
		{"sensor", nil, `"not_onboarded"`, decision.Device{Sensor: decision.SensorNotOnboarded}, ""},
		{"lifecycle", nil, `"wiping"`, decision.Device{Lifecycle: decision.LifecycleWiping}, ""},
		{"trust", nil, `"hybrid_joined"`, decision.Device{Trust: decision.TrustHybridJoined}, ""},
		{"channel", nil, `"partner_mdm"`, decision.Device{Channel: decision.ChannelPartnerMDM}, ""},
		{"ownership", map[string]string{"BYOD": "personal"}, `"BYOD"`, decision.Device{Ownership: decision.Personal}, ""},
		{"name", nil, `"a\u0000b\nc"`, decision.Device{Name: "a b c"}, ""},
		{"name", nil, `"` + strings.Repeat("\u00e9", 200) + `"`, decision.Device{Name: strings.Repeat("\u00e9", 128)}, ""},
		{"model", nil, `true`, decision.Device{}, "unreadable"},
		{"owner_id", nil, `"6F0E0000-0000-4000-8000-00000000000A"`, decision.Device{OwnerID: "6f0e0000-0000-4000-8000-00000000000a"}, ""},
		{"owner_id", nil, `"` + zeroGUID + `"`, decision.Device{}, "absent"},
		{"owner_upn", nil, `"Ann@corp.example"`, decision.Device{OwnerUPN: "Ann@corp.example"}, ""},
		{"owner_upn", nil, `"` + strings.Repeat("a", 300) + `"`, decision.Device{}, "unreadable"},
		{"owner_upn", nil, `"a\tb"`, decision.Device{}, "unreadable"},
		{"last_check_in", nil, `"2026-11-20T10:00:00.25+01:00"`, decision.Device{LastCheckIn: at("2026-11-20T09:00:00.25Z")}, ""},
		{"last_check_in", nil, `"2026-11-20 09:00:00"`, decision.Device{LastCheckIn: at("2026-11-20T09:00:00Z")}, ""},
		{"last_check_in", nil, `"2026-11-20 09:00:00.5+00:00"`, decision.Device{LastCheckIn: at("2026-11-20T09:00:00.5Z")}, ""},
		{"last_check_in", nil, `1795165200`, decision.Device{LastCheckIn: at("2026-11-20T09:00:00Z")}, ""},
		{"last_check_in", nil, `1795165200000`, decision.Device{LastCheckIn: at("2026-11-20T09:00:00Z")}, ""},
		{"last_check_in", nil, `"2026-11-22T09:00:00Z"`, decision.Device{}, "unreadable"},
		{"last_check_in", nil, `"yesterday"`, decision.Device{}, "unreadable"},
		{"last_check_in", nil, `"0001-01-01T00:00:00Z"`, decision.Device{}, "absent"},
		{"last_check_in", nil, `0`, decision.Device{}, "absent"},
		{"last_check_in", nil, `-5`, decision.Device{}, "unreadable"},
		{"last_check_in", nil, `9223372036854775807`, decision.Device{}, "absent"},
		{"last_check_in", nil, `1.7e9`, decision.Device{}, "unreadable"},
		{"evaluated_at", nil, `"2026-11-20"`, decision.Device{EvaluatedAt: at("2026-11-20T00:00:00Z")}, ""},
		{"grace_until", nil, `"2026-12-24T00:00:00Z"`, decision.Device{GraceUntil: at("2026-12-24T00:00:00Z")}, ""},
		{"grace_until", nil, `"9999-12-31T23:59:59Z"`, decision.Device{}, "absent"},
		{"settings", nil, `["FileVault", {"name": "Firewall", "policy": "Base", "state": "error"}]`, decision.Device{
			Settings: []decision.Setting{{Name: "FileVault"}, {Name: "Firewall", Policy: "Base", State: "error"}},
		}, ""},
		{"settings", nil, `[{"policy": "Base"}, "FileVault"]`, decision.Device{Settings: []decision.Setting{{Name: "FileVault"}}}, "unreadable"},
		{"settings", nil, `"FileVault"`, decision.Device{}, "unreadable"},
	}
	for _, tt := range tests {
		t.Run(tt.name+" "+tt.json[:min(len(tt.json), 30)], func(t *testing.T) {
			got, why := mapped(t, Field{Name: tt.name, Pointer: "/v", Values: tt.values}, `{"v": `+tt.json+`}`)
			lost := got.Unreadable
			if got.Unreadable = 0; !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			i := slices.IndexFunc(fields, func(f field) bool { return f.name == tt.name })
			if odd := tt.why == "unlisted" || tt.why == "unreadable"; odd && lost != fields[i].facts || !odd && lost != 0 {
				t.Errorf("unreadable %b, because of %q", lost, tt.why)
			}
			switch {
			case tt.why == "" && why != nil:
				t.Errorf("unknown because of %v", why)
			case tt.why != "" && (len(why) != 1 || why[0].Reason != tt.why || why[0].Count != 1):
				t.Errorf("unknown because of %v, want %s", why, tt.why)
			}
		})
	}
}

// A pointer that finds nothing, of any field, leaves the device as unknown as it
// was.
func TestAbsentIsUnknown(t *testing.T) {
	for _, name := range FieldNames() {
		for _, f := range []Field{{Name: name, Pointer: "/x/y"}, {Name: name, Expression: "doc.x.y"}} {
			got, why := mapped(t, f, `{"asset": null, "X": {"y": "compliant"}}`)
			if !reflect.DeepEqual(got, decision.Device{}) {
				t.Errorf("%v: %+v", f, got)
			}
			if len(why) != 1 || why[0].Count != 1 {
				t.Errorf("%v: counted %v", f, why)
			}
		}
	}
}

func TestIDs(t *testing.T) {
	tests := []struct {
		name, json string
		want       []decision.Key
		why        string
	}{
		{"serial", `"c02xk1"`, []decision.Key{{Kind: "serial", Value: "C02XK1"}}, ""},
		{"serial", `123456`, []decision.Key{{Kind: "serial", Value: "123456"}}, ""},
		{"serial", `12345678901234567890`, nil, "unreadable"}, // a float: digits are lost
		{"serial", `1.5`, nil, "unreadable"},
		{"serial", `true`, nil, "unreadable"},
		{"serial", `"To be filled by O.E.M."`, nil, "absent"},
		{"entra_id", `"{5D0C1B7E-2F64-4A1B-9D0E-6A3F1C2B4D5E}"`, []decision.Key{{Kind: "entra", Value: "5d0c1b7e-2f64-4a1b-9d0e-6a3f1c2b4d5e"}}, ""},
		{"entra_id", `"` + zeroGUID + `"`, nil, "absent"},
		{"entra_id", `"5d0c1b7e"`, nil, "unreadable"},
		{"intune_id", `null`, nil, "absent"},
		{"id:jamf", `"A-1"`, []decision.Key{{Kind: "jamf", Value: "a-1"}}, ""},
		{"id:jamf", `"a\u0000b"`, nil, "unreadable"},
		{"id:jamf", `"\ud800"`, nil, "unreadable"},
	}
	for _, tt := range tests {
		got, why := mapped(t, Field{Name: tt.name, Pointer: "/v"}, `{"v": `+tt.json+`}`)
		if !reflect.DeepEqual(got.Keys, tt.want) {
			t.Errorf("%s %s: ids %v, want %v", tt.name, tt.json, got.Keys, tt.want)
		}
		if (tt.why != "") != (len(why) == 1) || tt.why != "" && why[0].Reason != tt.why {
			t.Errorf("%s %s: counted %v, want %q", tt.name, tt.json, why, tt.why)
		}
	}
}

func TestExpressions(t *testing.T) {
	const doc = `{"score": 71, "ratio": 71.5, "checks": [{"id": "fv", "ok": true}, {"id": "fw", "ok": false, "title": "Firewall"}],
		"tags": {"tier": "gold"}, "last": "2026-11-20T09:00:00Z", "big": "` + "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" + `"}`
	tests := []struct {
		name, expr string
		check      func(*decision.Device) bool
		why        string
	}{
		{"risk", `doc.score > 70 ? "high" : "low"`, func(d *decision.Device) bool { return d.Risk == decision.LevelHigh }, ""},
		{"risk", `doc.ratio > 70 ? "high" : "low"`, func(d *decision.Device) bool { return d.Risk == decision.LevelHigh }, ""},
		{"risk", `doc.nothing > 70 ? "high" : "low"`, func(d *decision.Device) bool { return d.Risk == decision.LevelUnknown }, "failed"},
		{"risk", `doc.score`, func(d *decision.Device) bool { return d.Risk == decision.LevelUnknown }, "unreadable"},
		{
			"compliance", `doc.checks.all(c, c.ok) ? "compliant" : "noncompliant"`,
			func(d *decision.Device) bool { return d.Compliance == decision.NonCompliant }, "",
		},
		{
			"compliance", `doc.checks.all(c, c.passed) ? "compliant" : "noncompliant"`,
			func(d *decision.Device) bool { return d.Compliance == decision.ComplianceUnknown }, "failed",
		},
		{"encrypted", `doc.checks.exists(c, c.id == "fv" && c.ok)`, func(d *decision.Device) bool { return d.Encrypted == decision.Yes }, ""},
		{"firewall", `doc["checks"][1].ok`, func(d *decision.Device) bool { return d.Firewall == decision.No }, ""},
		{"updated", `has(doc.tags.missing)`, func(d *decision.Device) bool { return d.Updated == decision.No }, ""},
		{"last_check_in", `timestamp(doc.last)`, func(d *decision.Device) bool { return d.LastCheckIn.Equal(noon.Add(-3 * time.Hour)) }, ""},
		{"os_version", `doc.tags`, func(d *decision.Device) bool { return d.OSVersion.IsZero() }, "unreadable"},
		{"settings", `doc.checks.filter(c, !c.ok).map(c, {"name": c.title, "state": "nonCompliant"})`, func(d *decision.Device) bool {
			return len(d.Settings) == 1 && d.Settings[0] == decision.Setting{Name: "Firewall", State: "nonCompliant"}
		}, ""},
		{"settings", `doc.checks.map(c, c.id)`, func(d *decision.Device) bool { return len(d.Settings) == 2 }, ""},
		{
			"compliance", `[1,2,3,4,5,6,7,8,9,10].all(a, [1,2,3,4,5,6,7,8,9,10].all(b, [1,2,3,4,5,6,7,8,9,10].all(c,
			[1,2,3,4,5,6,7,8,9,10].all(d, [1,2,3,4,5,6,7,8,9,10].all(e, doc.score > 1))))) ? "compliant" : "noncompliant"`,
			func(d *decision.Device) bool { return d.Compliance == decision.ComplianceUnknown }, "failed",
		}, // costs too much
	}
	for _, tt := range tests {
		t.Run(tt.expr[:min(len(tt.expr), 40)], func(t *testing.T) {
			got, why := mapped(t, Field{Name: tt.name, Expression: tt.expr}, doc)
			if !tt.check(&got) {
				t.Errorf("%s from %s: %+v", tt.name, tt.expr, got)
			}
			if (tt.why != "") != (len(why) == 1) || tt.why != "" && why[0].Reason != tt.why {
				t.Errorf("counted %v, want %q", why, tt.why)
			}
		})
	}
}

func TestExpressionEndsWithContext(t *testing.T) {
	x, err := compile(`doc.list.map(e, e + 1).size() > 1`)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]any, 20_000)
	for i := range list {
		list[i] = int64(i)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, why, _ := x.eval(ctx, map[string]any{"list": list}); why != failed {
		t.Errorf("reason = %s, want failed", reasonNames[why])
	}
}

func TestUnknownsTellAnExample(t *testing.T) {
	m, err := newMapping([]Field{
		{Name: "compliance", Pointer: "/c"}, {Name: "name", Pointer: "/n"}, {Name: "encrypted", Pointer: "/e"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []any{"PENDING\n" + strings.Repeat("x", 99), "compliant", nil, int64(3)} {
		m.read(t.Context(), map[string]any{"c": c, "n": map[string]any{}, "e": true}, noon)
	}
	want := []Unknown{
		{Field: "compliance", Reason: "absent", Count: 1},
		{Field: "compliance", Reason: "unlisted", Count: 1, Example: "PENDING " + strings.Repeat("x", 32)},
		{Field: "compliance", Reason: "unreadable", Count: 1},
		{Field: "name", Reason: "unreadable", Count: 4},
	}
	if got := m.unknowns(); !reflect.DeepEqual(got, want) {
		t.Errorf("unknowns = %+v, want %+v", got, want)
	}
}
