package caddymodule

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
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

// TestDeviceTellsWhatCouldBeForgotten: what is kept is named, with the command that
// takes it back, which does not show an id that privacy hides.
func TestDeviceTellsWhatCouldBeForgotten(t *testing.T) {
	for _, tc := range []struct {
		name string
		view DeviceView
		want string // "": nothing
	}{
		{"nothing kept", DeviceView{Sources: []EvidenceView{{Source: "intune", Found: true, Kept: []string{}}}}, ""},
		{"kept", DeviceView{Keys: []decision.Key{{Kind: "entra", Value: "x"}}, Sources: []EvidenceView{{Source: "intune", Kept: []string{"risk", "malware"}}}}, "intune: risk, malware\nif it is wrong for this device, take it back with `devices forget entra:x`"},
		{"hidden", DeviceView{Keys: []decision.Key{{Kind: "hash", Value: "d_1"}}, Sources: []EvidenceView{{Source: "intune", Kept: []string{"risk"}}}}, "`devices forget ID`"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out strings.Builder
			printDevice(&out, &tc.view)
			if got := strings.Contains(out.String(), "forget"); got != (tc.want != "") || !strings.Contains(out.String(), tc.want) {
				t.Errorf("want %q:\n%s", tc.want, &out)
			}
		})
	}
}

// TestForgottenIsTold: what was forgotten where, and of which record.
func TestForgottenIsTold(t *testing.T) {
	since, until := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC), time.Date(2026, 5, 31, 12, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name string
		done Forgotten
		want string
	}{
		{"no source", Forgotten{}, "nothing to forget"},
		{"nothing", Forgotten{Sources: []ForgottenSource{{Source: "intune"}}}, "nothing to forget"},
		{"kept", Forgotten{Sources: []ForgottenSource{{Source: "entra"}, {Source: "intune", Facts: []string{"risk", "malware"}}}}, "forgotten at intune: risk, malware\nNow counts"},
		{"gone", Forgotten{Sources: []ForgottenSource{{Source: "intune", Facts: []string{"lifecycle"}, GoneSince: &since, GoneUntil: &until}}}, "forgotten at intune: lifecycle (of the record that ended at 2026-05-01T12:00:00Z, and would have counted until 2026-05-31T12:00:00Z)\n"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out strings.Builder
			printForgotten(&out, &tc.done)
			if !strings.HasPrefix(out.String(), tc.want) {
				t.Errorf("%q, want %q", out.String(), tc.want)
			}
		})
	}
}
