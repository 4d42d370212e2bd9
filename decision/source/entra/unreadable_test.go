package entra

import (
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

// one applies rows about object 1 and returns what is known of it.
func one(t *testing.T, unnamed bool, rows ...string) decision.Device {
	t.Helper()
	r := newRegistry(unnamed)
	for _, row := range rows {
		if _, err := r.apply([]byte(row), noon, &tally{}); err != nil {
			t.Fatal(err)
		}
	}
	own, _ := parseGUID(objectID(1))
	d, ok := r.get(own)
	if !ok {
		t.Fatal("object 1 is not known")
	}
	return d.Device
}

// TestUnreadableSystem: platform and version are one fact.
func TestUnreadableSystem(t *testing.T) {
	change := func(members string) string { return `{"id":"` + objectID(1) + `",` + members + `}` }
	start := row(1, `"accountEnabled":true,"operatingSystem":"Windows","operatingSystemVersion":"10.0.22631.1"`)
	for _, tt := range []struct {
		name string
		rows []string
		want bool
	}{
		{"system", []string{change(`"operatingSystem":"Plan9"`)}, true},
		{"version", []string{change(`"operatingSystemVersion":"fourth"`)}, true},
		{"version of another type", []string{change(`"operatingSystemVersion":10`)}, true},
		{"version, then only the system is told", []string{change(`"operatingSystemVersion":"fourth"`), change(`"operatingSystem":"Windows"`)}, true},
		{"system, then only the version is told", []string{change(`"operatingSystem":"Plan9"`), change(`"operatingSystemVersion":"10.1"`)}, true},
		{"version, then a good one", []string{change(`"operatingSystemVersion":"fourth"`), change(`"operatingSystemVersion":"10.1"`)}, false},
		{"something else changes", []string{change(`"operatingSystemVersion":"fourth"`), change(`"displayName":"x"`)}, true},
		{"no version any more", []string{change(`"operatingSystemVersion":null`)}, false},
	} {
		if d := one(t, false, append([]string{start}, tt.rows...)...); d.Unreadable.Has(decision.FactOS) != tt.want {
			t.Errorf("%s: unreadable %v, want %v: %+v", tt.name, !tt.want, tt.want, d)
		}
	}
}

// TestObjectWithoutEnabled: every object has accountEnabled, so that its absence is
// a word that cannot be read.
func TestObjectWithoutEnabled(t *testing.T) {
	if d := one(t, false, row(1, `"isCompliant":true`)); !d.Unreadable.Has(decision.FactEnabled) || d.Enabled != decision.Unknown {
		t.Errorf("device %+v", d)
	}
	r, counted := newRegistry(false), tally{}
	for _, row := range []string{row(1, `"isCompliant":true`), row(2, `"accountEnabled":true`), `{"id":"` + objectID(2) + `","isCompliant":false}`} {
		if _, err := r.apply([]byte(row), noon, &counted); err != nil {
			t.Fatal(err)
		}
	}
	if n := counted.problems["accountEnabled: "+noValue]; n != 1 {
		t.Errorf("counted %d objects without it, want 1: a change has only what changed", n)
	}
}

// TestUnreadableUser: a user record has no word for unreadable, so a known no stays.
func TestUnreadableUser(t *testing.T) {
	gone := `{"id":"` + userID(1) + `","@removed":{"reason":"changed"}}`
	for _, tt := range []struct {
		name string
		rows []string
		want decision.Tri
	}{
		{"null", []string{user(1, "false"), user(1, "null")}, decision.No},
		{"another type", []string{user(1, "false"), user(1, `"true"`), user(1, "{}")}, decision.No},
		{"good news ends", []string{user(1, "true"), user(1, "null")}, decision.Unknown},
		{"enabled again", []string{user(1, "false"), user(1, "null"), user(1, "true")}, decision.Yes},
		{"null of a deleted account", []string{user(1, "true"), gone, user(1, "null")}, decision.No},
		{"deleted account without a word of it", []string{user(1, "true"), gone, `{"id":"` + userID(1) + `"}`}, decision.No},
		{"deleted account restored", []string{user(1, "true"), gone, user(1, "true")}, decision.Yes},
		{"null at first", []string{user(1, "null")}, decision.Unknown},
	} {
		p := newPeople()
		for _, row := range tt.rows {
			if err := p.apply([]byte(row), noon, &tally{}); err != nil {
				t.Fatal(err)
			}
		}
		oid, _ := parseGUID(userID(1))
		if got := p.known[oid].enabled; got != tt.want {
			t.Errorf("%s: enabled %v, want %v", tt.name, got, tt.want)
		}
	}
}
