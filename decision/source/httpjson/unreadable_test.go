package httpjson

import (
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

// TestUnreadable: a word that the map does not list, and a value of another type, are
// there and cannot be read. One that means unknown, and one that is not there, say
// nothing.
func TestUnreadable(t *testing.T) {
	status := Field{Name: "compliance", Pointer: "/status", Values: map[string]string{"OK": "compliant", "WAIT": "unknown", "LATE": "in_grace"}}
	until := Field{Name: "grace_until", Pointer: "/until"}
	score := Field{Name: "risk", Expression: `doc.score >= 70 ? "high" : "low"`}
	first := Field{Name: "malware", Expression: `doc.threats[0].state == "active"`}
	nested := Field{Name: "encrypted", Expression: `doc.disk.vault == "on"`}
	id, name := Field{Name: "owner_id", Pointer: "/user/id"}, Field{Name: "owner_upn", Pointer: "/user/mail"}
	set := decision.Facts
	const grace = `{"status": "LATE", "until": `
	for _, tt := range []struct {
		name, doc string
		fields    []Field
		want      decision.FactSet
	}{
		{"listed", `{"status": "OK"}`, []Field{status}, 0},
		{"listed as unknown", `{"status": "WAIT"}`, []Field{status}, 0},
		{"not listed", `{"status": "QUARANTINED"}`, []Field{status}, set(decision.FactCompliance)},
		{"unknown, which the table does not list", `{"status": "unknown"}`, []Field{status}, set(decision.FactCompliance)},
		{"of another type", `{"status": {}}`, []Field{status}, set(decision.FactCompliance)},
		{"null", `{"status": null}`, []Field{status}, 0},
		{"blank", `{"status": " "}`, []Field{status}, 0},
		{"not there", `{}`, []Field{status}, 0},
		{"unknown without a table", `{"status": "Unknown"}`, []Field{{Name: "risk", Pointer: "/status"}}, 0},
		{"grace until a word", grace + `"soon"}`, []Field{status, until}, set(decision.FactCompliance)},
		{"grace until a word, in another order", grace + `"soon"}`, []Field{until, status}, set(decision.FactCompliance)},
		{"grace without end", grace + `null}`, []Field{status, until}, 0},
		{"end of no grace", `{"status": "OK", "until": "soon"}`, []Field{status, until}, 0},
		{"expression", `{"score": 80}`, []Field{score}, 0},
		{"expression compares another type", `{"score": "80"}`, []Field{score}, set(decision.FactRisk)},
		{"expression compares null", `{"score": null}`, []Field{score}, set(decision.FactRisk)},
		{"expression expects null", `{"score": null}`, []Field{{Name: "risk", Expression: `doc.score == null ? "unknown" : doc.score >= 70 ? "high" : "low"`}}, 0},
		{"expression misses a member", `{}`, []Field{score}, 0},
		{"expression misses an element", `{"threats": []}`, []Field{first}, 0},
		{"expression misses a member of an element", `{"threats": [{}]}`, []Field{first}, 0},
		{"expression looks into a text, where a pointer finds nothing either", `{"threats": "none"}`, []Field{first}, 0},
		{"expression misses a member of a member", `{"disk": {}}`, []Field{nested}, 0},
		{"expression misses a member of null", `{"disk": null}`, []Field{nested}, 0},
		{"expression gives a word of no meaning", `{"score": 5}`, []Field{{Name: "risk", Expression: `doc.score > 3 ? "awful" : "low"`}}, set(decision.FactRisk)},
		{"expression gives unknown", `{"score": 5}`, []Field{{Name: "risk", Expression: `doc.score > 3 ? "unknown" : "low"`}}, 0},
		{"owner", `{"user": {"id": true, "mail": []}}`, []Field{id, name}, set(decision.FactOwner)},
		{"owner with a name", `{"user": {"id": true, "mail": "ann@corp.example"}}`, []Field{id, name}, 0},
		{"nobody's", `{"user": {"id": "` + zeroGUID + `"}}`, []Field{id, name}, 0},
		{"system", `{"os": "BeOS"}`, []Field{{Name: "platform", Pointer: "/os"}}, set(decision.FactOS)},
		{"version of a known system", `{"os": "macOS", "version": "new"}`, []Field{{Name: "platform", Pointer: "/os"}, {Name: "os_version", Pointer: "/version"}}, 0},
		{"last seen tomorrow", `{"seen": "2026-12-24"}`, []Field{{Name: "last_check_in", Pointer: "/seen"}}, set(decision.FactCheckIn)},
		{"never seen", `{"seen": "0001-01-01T00:00:00Z"}`, []Field{{Name: "last_check_in", Pointer: "/seen"}}, 0},
	} {
		m, err := newMapping(tt.fields)
		if err != nil {
			t.Fatal(err)
		}
		doc, err := (&document{limit: 1 << 20}).read(strings.NewReader(tt.doc))
		if err != nil {
			t.Fatal(err)
		}
		d := m.read(t.Context(), doc, noon).Device
		if d.Unreadable != tt.want {
			t.Errorf("%s: unreadable %b, want %b", tt.name, d.Unreadable, tt.want)
		}
		if tt.want != 0 && len(m.unknowns()) == 0 {
			t.Errorf("%s: nothing is counted", tt.name)
		}
		if tt.want.Has(decision.FactCompliance) && d.Compliance != decision.ComplianceUnknown {
			t.Errorf("%s: %s", tt.name, d.Compliance)
		}
	}
}
