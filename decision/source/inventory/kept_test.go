package inventory

import (
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// TestKeptOfTheFile: who empties a cell, writes unknown or takes a column out means it;
// a word that nobody can read lifts nothing.
func TestKeptOfTheFile(t *testing.T) {
	const header = "serial,compliance,risk\n"
	for _, tc := range []struct {
		name, body string
		want       decision.Level
		kept       int
	}{
		{"emptied", header + "x1,compliant,\nx2,compliant,low\n", decision.LevelUnknown, 0},
		{"unknown", header + "x1,compliant,unknown\nx2,compliant,low\n", decision.LevelUnknown, 0},
		{"column gone", "serial,compliance\nx1,compliant\nx2,compliant\n", decision.LevelUnknown, 0},
		{"unreadable", header + "x1,compliant,hgih\nx2,compliant,low\n", decision.LevelHigh, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := newFile(t, header+"x1,compliant,high\nx2,compliant,low\n")
			s, err := New(Options{Path: f.path})
			if err != nil {
				t.Fatal(err)
			}
			r := source.NewRunner(s, source.RunnerOptions{Name: "inventory", Authority: decision.AuthorityFile, Poll: time.Hour})
			defer r.Stop()
			for _, body := range []string{"", tc.body} {
				if body != "" {
					f.write(body)
				}
				if err := r.SyncNow(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			m := r.Find([]decision.Key{{Kind: decision.KindSerial, Value: "X1"}})
			if m.Verdict == nil || m.Verdict.Risk != tc.want || r.Status().Kept != tc.kept {
				t.Errorf("found %+v, kept %d; want risk %s, kept %d", m.Verdict, r.Status().Kept, tc.want, tc.kept)
			}
		})
	}
}
