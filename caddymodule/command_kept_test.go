package caddymodule

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

// TestStatusTellsOfKeptNews: what a source does not say any more and still counts is
// shown, and only then.
func TestStatusTellsOfKeptNews(t *testing.T) {
	for _, tc := range []struct {
		name       string
		kept, gone int
		want       []string
	}{
		{"nothing", 0, 0, nil},
		{"kept", 3, 0, []string{"better news: 3"}},
		{"gone", 0, 2, []string{"still counts: 2"}},
		{"both", 1, 1, []string{"better news: 1", "still counts: 1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out strings.Builder
			printStatus(&out, &Status{Ready: true, Sources: []source.Status{{Name: "intune", Kept: tc.kept, Gone: tc.gone}}})
			for _, w := range tc.want {
				if !strings.Contains(out.String(), w) {
					t.Errorf("no %q in\n%s", w, &out)
				}
			}
			if got := strings.Count(out.String(), "source intune: "); got != len(tc.want) {
				t.Errorf("%d remarks, want %d:\n%s", got, len(tc.want), &out)
			}
		})
	}
}

// TestDeviceTellsOfAnEndedRecord: a word from a record that ended does not look like
// one of a record that there is.
func TestDeviceTellsOfAnEndedRecord(t *testing.T) {
	since := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
	var out strings.Builder
	printDevice(&out, &DeviceView{Sources: []EvidenceView{{Source: "intune", Found: true, GoneSince: &since}, {Source: "entra", Found: true}}})
	for _, w := range []string{"had it until 2026-05-01T12:00:00Z, its last word counts", "has it"} {
		if !strings.Contains(out.String(), w) {
			t.Errorf("no %q in\n%s", w, &out)
		}
	}
}
