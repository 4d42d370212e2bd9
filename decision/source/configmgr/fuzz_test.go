package configmgr

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// FuzzPage feeds an answer to everything that reads one. Whatever it says, nothing
// panics, ids are canonical, and a verdict is compliant only with proof.
func FuzzPage(f *testing.F) {
	seeds, err := filepath.Glob("testdata/page/*.json")
	if err != nil || len(seeds) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, file := range seeds {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	j := judge{now: now, signatureAge: DefaultSignatureAge}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePage(b)
		if err != nil {
			if len(p.rows) > 0 || p.next != "" {
				t.Fatal("a refused page has content")
			}
			return
		}
		builder := source.NewBuilder(len(p.rows) + 1)
		var records []*record
		var last *record
		c := &checks{now: now, tally: map[string]int{}}
		for _, raw := range p.rows {
			system, err := decode[systemRow](raw)
			if err != nil {
				continue
			}
			facts, err := decode[resourceRow](raw)
			if err != nil {
				continue
			}
			update, _ := decode[updateRow](raw)
			comanaged, _ := decode[comanagementRow](raw)
			c.system(&system)
			r := newRecord(&system)
			r.addFacts(c, &facts)
			c.update(&update)
			r.scan.add(&update)
			r.addComanagement(c, &comanaged)
			if last != nil {
				c.repeat(last, newRecord(&system)) // as paging gives a row again
				last.addFacts(c, &facts)
				last.addComanagement(c, &comanaged)
			}
			last = r
			records = append(records, r)
		}
		for what := range c.counted() {
			if _, reason, ok := strings.Cut(what, ": "); !ok || !slices.Contains(reasons, reason) || len(what) > 80 {
				t.Fatalf("%q becomes a metric label", what)
			}
		}
		kept, dropped := devices(records)
		if len(kept)+dropped > len(records) {
			t.Fatalf("%d records become %d and %d", len(records), len(kept), dropped)
		}
		for _, r := range kept {
			v := j.verdict(r)
			if len(v.Keys) == 0 {
				continue
			}
			if err := builder.Add(&v); err != nil {
				t.Fatalf("a verdict does not fit: %v", err)
			}
			checkProof(t, r, &v)
		}
	})
}

var reasons = []string{wrongType, unknownValue, badDate, inFuture, badID, badText, missing, disagree, otherDevice}

func checkProof(t *testing.T, r *record, v *decision.Verdict) {
	t.Helper()
	fs := &r.facts
	switch {
	case v.Compliance == decision.Compliant && !(fs.ClientActiveStatus.is(1) && fs.ClientCheckPass.is(1) &&
		fs.IsBlocked.Tri == decision.No && r.scan.updated() == decision.Yes && infection(fs) < infectionPending):
		t.Fatalf("compliant without proof: %+v", fs)
	case v.Compliance == decision.NonCompliant && len(v.Settings) == 0:
		t.Fatal("noncompliant without a reason")
	case v.Compliance != decision.NonCompliant && len(v.Settings) > 0:
		t.Fatalf("%s with failed settings", v.Compliance)
	case len(v.Settings) > decision.MaxSettings:
		t.Fatalf("%d settings", len(v.Settings))
	case fs.IsBlocked.Tri == decision.Yes && v.Enabled != decision.No:
		t.Fatal("a blocked device is not stopped")
	case v.Malware == decision.Yes && v.Compliance == decision.Compliant:
		t.Fatal("compliant with malware")
	case v.RiskFloor && v.Risk == decision.LevelUnknown:
		t.Fatal("a floor without a level")
	}
	p := decision.Posture{Device: v.Device}
	for f := range decision.NumFacts {
		if v.Unreadable.Has(f) && p.Value(f) != decision.Unknown.String() {
			t.Fatalf("%s is unreadable and %s", f, p.Value(f))
		}
	}
}

// FuzzTime: no text panics, and a time that is read is one that can be stored.
func FuzzTime(f *testing.F) {
	for _, s := range []string{
		"2026-11-20T04:12:00Z", "2026-11-20T04:12:00.1234567+14:00", "20261120041200.000000+***", "20261120041200.000000-720",
		"0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "20261120041200.000000+999", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var m moment
		if err := m.UnmarshalJSON([]byte(`"` + s + `"`)); err != nil {
			t.Fatal(err)
		}
		if y := m.Year(); !m.IsZero() && (y <= firstYear-1 || y > lastYear) {
			t.Fatalf("%q is %s", s, m)
		}
	})
}
