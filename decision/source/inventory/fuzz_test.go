package inventory

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

// checkEmitted holds every reader to what the rest of Gatehouse relies on:
// canonical ids, bounded texts, and no good news that the text does not have.
func checkEmitted(t *testing.T, content []byte, format string) {
	c := collect(content, format)
	says := letters(content)
	for i := range c.devices {
		d := &c.devices[i].Device
		if len(d.Keys) == 0 || len(d.Keys) > maxKinds {
			t.Fatalf("device with %d ids", len(d.Keys))
		}
		for _, k := range d.Keys {
			if got, ok := decision.CanonicalKey(k.Kind, k.Value); !ok || got != k {
				t.Fatalf("key %q is not canonical", k)
			}
		}
		if d.Compliance == decision.Compliant && !strings.Contains(says, "compliant") {
			t.Fatal("compliant without a word")
		}
		if d.Compliance == decision.InGracePeriod && !strings.Contains(says, "grace") {
			t.Fatal("in grace without a word")
		}
		p := decision.Posture{Device: *d}
		for f := range decision.NumFacts {
			if d.Unreadable.Has(f) && p.Value(f) != decision.Unknown.String() && f != decision.FactOS {
				t.Fatalf("%s is unreadable and %s", f, p.Value(f))
			}
		}
		if d.Unreadable.Has(decision.FactOS) && d.Platform != decision.PlatformUnknown {
			t.Fatalf("the platform is unreadable and %s", d.Platform)
		}
		if len(d.Name) > maxText || len(d.Model) > maxText || len(d.OwnerUPN) > maxName || len(d.Settings) > decision.MaxSettings {
			t.Fatal("unbounded text")
		}
		if d.LastCheckIn.Sub(testNow) > futureLimit || d.EvaluatedAt.Sub(testNow) > futureLimit {
			t.Fatal("time in the future")
		}
	}
	for _, u := range c.users {
		if u.ObjectID == "" && u.UPN == "" {
			t.Fatal("user without a name")
		}
	}
	if c.err != nil {
		return
	}
	// What is good enough to be emitted is good enough to be written and read.
	var b bytes.Buffer
	if err := WriteJSON(&b, c.devices, c.users); err != nil {
		t.Fatal(err)
	}
	again := collect(b.Bytes(), FormatJSON)
	if again.err != nil || len(again.bad) > 0 || len(again.devices) != len(c.devices) || len(again.users) != len(c.users) {
		t.Fatalf("written and read again: %v, bad %q, %d devices of %d", again.err, again.bad, len(again.devices), len(c.devices))
	}
}

// letters reduces a file as fold does a value. JSON may spell letters by escape.
func letters(content []byte) string {
	if bytes.Contains(content, []byte(`\u`)) {
		return "compliant grace"
	}
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			return r + 'a' - 'A'
		case 'a' <= r && r <= 'z':
			return r
		}
		return -1
	}, string(content))
}

// content returns a file of testdata.
func content(f *testing.F, name string) []byte {
	f.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		f.Fatal(err)
	}
	return b
}

// addRows adds the file and, as small seeds are mutated to better effect, its
// header with each row alone.
func addRows(f *testing.F, files ...string) {
	f.Helper()
	for _, name := range files {
		b := content(f, name)
		f.Add(b)
		r := csv.NewReader(bytes.NewReader(bytes.TrimPrefix(b, []byte("\ufeff"))))
		r.FieldsPerRecord = -1
		rows, err := r.ReadAll()
		if err != nil {
			f.Fatal(err)
		}
		for _, row := range rows[1:] {
			var one bytes.Buffer
			w := csv.NewWriter(&one)
			if err := w.WriteAll([][]string{rows[0], row}); err != nil {
				f.Fatal(err)
			}
			f.Add(one.Bytes())
		}
	}
}

func FuzzIntuneCSV(f *testing.F) {
	addRows(f, "intune_new.csv", "intune_old.csv", "intune_api.csv")
	f.Add([]byte("Device ID,Compliance\n11111111-aaaa-4bbb-8ccc-000000000001,Compliant\n\"unclosed"))
	f.Fuzz(func(t *testing.T, content []byte) { checkEmitted(t, content, FormatIntuneCSV) })
}

func FuzzCSV(f *testing.F) {
	addRows(f, "plain.csv")
	f.Add([]byte("\ufeffserial;id:asset;compliance\r\nx1;\"a\nb\";in grace\r\nx2;y"))
	f.Fuzz(func(t *testing.T, content []byte) { checkEmitted(t, content, FormatCSV) })
}

func FuzzJSON(f *testing.F) {
	b := content(f, "inventory.json")
	f.Add(b)
	var doc struct{ Devices, Users []json.RawMessage }
	if err := json.Unmarshal(b, &doc); err != nil {
		f.Fatal(err)
	}
	for _, d := range doc.Devices {
		f.Add([]byte(`{"version":1,"devices":[` + string(d) + `]}`))
	}
	for _, u := range doc.Users {
		f.Add([]byte(`{"users":[` + string(u) + `],"devices":[],"version":1}`))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		checkEmitted(t, content, FormatJSON)
		if c := collect(content, FormatJSON); c.err == nil && !json.Valid(bytes.TrimPrefix(content, []byte("\ufeff"))) {
			t.Fatal("took what is not JSON")
		}
	})
}

// FuzzScanValue compares the scanner with encoding/json: what we take, it
// takes, and what it takes, we take unless it is nested too deeply.
func FuzzScanValue(f *testing.F) {
	for _, s := range []string{
		`{"a":[1,-0.5e+3,true,false,null,"\u00e9\n"]}`, `[]`, `{}`, `0`, `-`, `01`, `1.`, `1e`, `"\x"`, `"\u12g4"`, "\"\x00\"",
		`[1,]`, `{"a"}`, `{"a":}`, `{a:1}`, `nul`, `[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]`, "\"\xff\"", `{"a":1,}`, `[1 2]`, `"\u00`, `{1:2}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if start := skipSpace(b, 0); start < len(b) {
			b = b[start:]
		}
		end, err := scanValue(append(bytes.Clone(b), ' '), 0, 0) // the space ends a number
		if err == nil {
			whole := skipSpace(b, min(end, len(b))) == len(b)
			if whole != json.Valid(b) {
				t.Fatalf("ends at %d of %d, json.Valid is %v", end, len(b), !whole)
			}
			if end > len(b) {
				t.Fatalf("ends at %d of %d", end, len(b))
			}
			return
		}
		se, ok := errors.AsType[*syntaxError](err)
		if json.Valid(b) && (!ok || !strings.Contains(se.what, "nested")) {
			t.Fatalf("refused valid JSON: %v", err)
		}
		if errors.Is(err, errShort) && len(b) > 0 {
			// More bytes may help: then no prefix of b is broken for certain.
			if _, err := scanValue(b[:len(b)-1], 0, 0); err != nil && !errors.Is(err, errShort) {
				t.Fatalf("a shorter prefix fails for good: %v", err)
			}
		}
	})
}
