package inventory

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

func TestLabels(t *testing.T) {
	if len(labels) > 64 {
		t.Errorf("%d labels do not fit into oddities", len(labels))
	}
	if len(labelIndex) != len(labels) {
		t.Error("two labels have the same field")
	}
	for _, c := range intuneColumns {
		if _, ok := labelIndex[c.field]; c.field != "" && !ok {
			t.Errorf("column %q counts under %q, which is no label", c.headers[0], c.field)
		}
	}
}

// A value that no table knows is unknown and counted. One that says on purpose
// that nothing is known is not, and neither makes a bad row.
func TestUnlistedValues(t *testing.T) {
	for _, tt := range []struct {
		field           string
		unlisted, quiet []string
	}{
		{"platform", []string{"Windws", "-", "BeOS"}, []string{"", "unknown", "Unknown", "iOS/iPadOS", "Android (dedicated)"}},
		{"os_version", []string{"Windows 11", "-", "v10"}, []string{"", "unknown", "10.0.22631"}},
		{"compliance", []string{"complaint", "compliant?", "true", "1", "-", "yes", strings.Repeat("x", 99)}, []string{"", "unknown", "Not evaluated", "In grace period", "error"}},
		{"channel", []string{"intnue", "unknownFutureValue"}, []string{"", "unknown", "none", "microsoft365ManagedMdm", "mdm"}},
		{"lifecycle", []string{"gone", "unknownFutureValue"}, []string{"", "unknown", "wipeCanceled"}},
		{"trust", []string{"joind"}, []string{"", "Unknown", "Azure AD joined", "none"}},
		{"ownership", []string{"mine"}, []string{"", "unknown", "Personal"}},
		{"risk", []string{"hgih", "5"}, []string{"", "unknown", "none", "activated", "compromised"}},
		{"sensor", []string{"quantum"}, []string{"", "unknown", "inactive"}},
		{"exposure", []string{"compromised", "hgih"}, []string{"", "unknown", "high"}},
	} {
		for quiet, values := range map[bool][]string{false: tt.unlisted, true: tt.quiet} {
			for _, v := range values {
				for format, content := range map[string]string{
					FormatCSV:  fmt.Sprintf("serial,enabled,%s\nx1,,%s\n", tt.field, v),
					FormatJSON: fmt.Sprintf(`{"version":1,"devices":[{"ids":{"serial":"x1"},%q:%q}]}`, tt.field, v),
				} {
					c := collect([]byte(content), format)
					if c.err != nil || len(c.bad) > 0 || len(c.devices) != 1 {
						t.Fatalf("%s %s %q: %v, bad %q", format, tt.field, v, c.err, c.bad)
					}
					var want []Skipped
					if !quiet {
						want = []Skipped{{tt.field, unknownValue, 1, map[string]string{FormatCSV: "line 2", FormatJSON: "device 1 at byte 24"}[format]}}
						lost := fields[fieldIndex[tt.field]].supplies
						if d := c.devices[0].Device; !reflect.DeepEqual(d, decision.Device{Keys: d.Keys, Unreadable: lost}) {
							t.Errorf("%s %s %q: something is known: %+v", format, tt.field, v, d)
						}
					} else if lost := c.devices[0].Unreadable; lost != 0 {
						t.Errorf("%s %s %q: unreadable %b", format, tt.field, v, lost)
					}
					if got := c.found.skipped.list(); !reflect.DeepEqual(got, want) {
						t.Errorf("%s %s %q: counted %+v, want %+v", format, tt.field, v, got, want)
					}
				}
			}
		}
	}
}

// Each column of the Intune export counts under its field.
func TestUnlistedValuesOfIntune(t *testing.T) {
	for _, tt := range []struct {
		header, field   string
		unlisted, quiet string
	}{
		{"OS", "platform", "Windws", "Unknown"},
		{"OS version", "os_version", "eleven", ""},
		{"Managed by", "channel", "Somebody", "Unknown"},
		{"Ownership", "ownership", "Mine", "Unknown"},
		{"Device state", "lifecycle", "Gone", "Managed"},
		{"Intune registered", "registration", "Perhaps", "Registered"},
		{"Intune registered", "registration", "managed", "notRegistered"},
		{"Supervised", "supervised", "Perhaps", "Unknown"},
		{"Encrypted", "encrypted", "Not evaluated?", ""},
		{"Jailbroken", "jailbroken", "Rooted", "Unknown"},
		{"JoinType", "trust", "Friend", "unknown"},
		{"UserId", "", "", zeroGUID},
		{"Compliance grace period expiration", "", "", "9999-12-31 23:59:59.0000000"},
	} {
		row := func(v string) *collected {
			return collect([]byte("Device ID,Compliance,"+tt.header+"\n11111111-aaaa-4bbb-8ccc-000000000001,Compliant,"+v+"\n"), "")
		}
		if c := row(tt.quiet); c.err != nil || len(c.bad) > 0 || c.found.skipped != nil {
			t.Errorf("%s %q: %v, bad %q, counted %+v", tt.header, tt.quiet, c.err, c.bad, c.found.skipped.list())
		}
		if tt.field == "" {
			continue
		}
		c := row(tt.unlisted)
		want := []Skipped{{tt.field, unknownValue, 1, "line 2"}}
		if got := c.found.skipped.list(); c.err != nil || len(c.bad) > 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("%s %q: %v, bad %q, counted %+v, want %+v", tt.header, tt.unlisted, c.err, c.bad, got, want)
		}
	}
	c := collect([]byte("Device ID,Compliance\n11111111-aaaa-4bbb-8ccc-000000000001,Complaint\n"), "")
	if got := describe(c.found.skipped.list()); got != "compliance 1 (unknown value, first in line 2)" {
		t.Errorf("counted %q", got)
	}
}

// What only JSON has: a user's risk, and a list of settings with an end.
func TestUnlistedValuesOfJSON(t *testing.T) {
	setting := `{"name":"s","state":"error"}`
	settings := func(n int) string { return "[" + strings.Repeat(setting+",", n-1) + setting + "]" }
	for name, tt := range map[string]struct {
		content, want string
		bad           int
	}{
		"user":         {`"devices":[],"users":[{"upn":"a","risk":"low"},{"upn":"b","risk":" hgih "}]`, "user_risk 1 (unknown value, first in user 2 at byte 60)", 0},
		"enabled":      {`"devices":[],"users":[{"upn":"a","enabled":"perhaps"},{"upn":"b","enabled":false}]`, "user_enabled 1 (unknown value, first in user 1 at byte 35)", 0},
		"compromised":  {`"devices":[],"users":[{"upn":"a","compromised":"perhaps"}]`, "user_compromised 1 (unknown value, first in user 1 at byte 35)", 0},
		"a number":     {`"devices":[],"users":[{"upn":"a","enabled":7},{"upn":"b","enabled":[]}]`, "user_enabled 2 (unknown value, first in user 1 at byte 35)", 0},
		"hidden":       {`"devices":[],"users":[{"upn":"a","risk":"hidden"},{"upn":"b","risk":" "},{"upn":"c","risk":null}]`, "", 0},
		"settings":     {`"devices":[{"ids":{"asset":"a"},"settings":` + settings(decision.MaxSettings) + `}]`, "", 0},
		"too many":     {`"devices":[{"ids":{"asset":"a"},"settings":` + settings(decision.MaxSettings+1) + `}]`, "settings 1 (too many, first in device 1 at byte 24)", 0},
		"bad setting":  {`"devices":[{"ids":{"asset":"a"},"settings":[{"state":"error"}]}]`, "", 1},
		"a bad record": {`"devices":[{"ids":{"asset":"a"},"risk":"hgih","enabled":"perhaps"}]`, "", 1},
	} {
		c := collect([]byte(`{"version":1,`+tt.content+"}"), "")
		if got := describe(c.found.skipped.list()); c.err != nil || got != tt.want || len(c.bad) != tt.bad {
			t.Errorf("%s: %v, bad %q, counted %q, want %q", name, c.err, c.bad, got, tt.want)
		}
	}
}

// Counts of a large file are those of all its batches, and the example is the
// first in the file, whichever worker read it.
func TestUnlistedValuesOfManyBatches(t *testing.T) {
	var b strings.Builder
	b.WriteString("serial,compliance,risk\n")
	for i := range 50_000 {
		switch {
		case i%1000 == 777:
			fmt.Fprintf(&b, "S%d,complaint,hgih\n", i)
		case i%1000 == 778:
			fmt.Fprintf(&b, "S%d,complaint,hgih,more\n", i)
		default:
			fmt.Fprintf(&b, "S%d,compliant,low\n", i)
		}
	}
	c := collect([]byte(b.String()), "")
	want := []Skipped{{"compliance", unknownValue, 50, "line 779"}, {"risk", unknownValue, 50, "line 779"}}
	if got := c.found.skipped.list(); c.err != nil || len(c.bad) != 50 || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %d bad rows, counted %+v, want %+v", c.err, len(c.bad), got, want)
	}
}

// The counters follow the file that was read last, and survive a look at a file
// that did not change.
func TestCounters(t *testing.T) {
	const odd = "serial,compliance,risk\nx1,complaint,hgih\nx2,compliant,low\nx3,Complaint,low\n"
	f := newFile(t, odd)
	var log bytes.Buffer
	s := f.source(Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	expect := func(when string, want ...source.SkippedValue) {
		t.Helper()
		if got := s.Counters().Skipped; !reflect.DeepEqual(got, want) {
			t.Errorf("%s: counted %+v, want %+v", when, got, want)
		}
	}
	two := []source.SkippedValue{{Field: "compliance", Reason: "unknown value", Count: 2}, {Field: "risk", Reason: "unknown value", Count: 1}}
	expect("before the first read")
	if sweep, err := f.sync(s); err != nil {
		t.Fatal(err)
	} else if n, _ := sweep.BadRows(); n != 0 {
		t.Errorf("%d bad rows", n)
	}
	expect("after the first read", two...)
	if own := s.Counters().Own; !reflect.DeepEqual(own, Stats{[]Skipped{{"compliance", unknownValue, 2, "line 2"}, {"risk", unknownValue, 1, "line 2"}}}) {
		t.Errorf("own counters %+v", own)
	}
	if _, err := f.sync(s); !errors.Is(err, source.ErrUnchanged) {
		t.Fatalf("second read: %v", err)
	}
	expect("after a look at the same file", two...)
	f.write("serial,complia")
	if _, err := f.sync(s); err == nil {
		t.Fatal("a broken file was taken")
	}
	expect("after a broken file", two...)
	const want = `level=WARN msg="inventory file has values that count as unknown" values="compliance 2 (unknown value, first in line 2), risk 1 (unknown value, first in line 2)"` + "\n"
	if _, got, _ := strings.Cut(log.String(), " "); got != want {
		t.Errorf("log %q, want %q", got, want)
	}
	log.Reset()
	f.write(strings.NewReplacer("complaint", "compliant", "Complaint", "compliant", "hgih", "high").Replace(odd))
	if _, err := f.sync(s); err != nil {
		t.Fatal(err)
	}
	expect("after the file was mended")
	if log.Len() > 0 {
		t.Errorf("log of a good file: %s", log.String())
	}
}

func TestExamineUnlistedValues(t *testing.T) {
	s := newFile(t, "serial,compliance\nx1,compliant\nx2,complaint\n").source(Options{})
	var got []string
	for _, f := range s.Examine(t.Context()).Findings {
		if f.Check == checkup.CheckRows {
			got = append(got, f.State.String()+": "+f.Text)
		}
	}
	want := []string{"ok: 2 devices, and no bad record", "warning: values that count as unknown: compliance 1 (unknown value, first in line 3)"}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Counting costs no memory by the row: a file of nothing but odd words takes as many
// allocations as a good one.
func TestCountingAllocatesNothing(t *testing.T) {
	const n = 4000
	for _, format := range []string{FormatCSV, FormatJSON} {
		cost := func(compliance string) float64 {
			var b strings.Builder
			if format == FormatCSV {
				b.WriteString("serial,compliance\n" + strings.Repeat("x1,"+compliance+"\n", n))
			} else {
				row := `{"ids":{"serial":"x1"},"compliance":"` + compliance + `"}`
				b.WriteString(`{"version":1,"devices":[` + strings.Repeat(row+",", n-1) + row + `]}`)
			}
			content := []byte(b.String())
			return testing.AllocsPerRun(3, func() {
				if c := collect(content, format); len(c.devices) != n || c.found.skipped == nil != (compliance == "compliant") {
					t.Errorf("%d devices, counted %+v", len(c.devices), c.found.skipped.list())
				}
			})
		}
		if good, odd := cost("compliant"), cost("complaint"); odd > good+n/10 {
			t.Errorf("%s: %v allocations, %v for a good file", format, odd, good)
		}
	}
}
