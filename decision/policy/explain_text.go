package policy

import (
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// String prints the explanation for a terminal, in aligned columns of plain
// text. Control characters in names from outside are made visible.
func (x *Explanation) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "policy %s, revision %s: %s", x.Policy, x.Revision, x.Outcome)
	if x.StepUp != "" {
		fmt.Fprintf(&b, " %s", x.StepUp)
	}
	b.WriteByte('\n')
	if x.Until != nil {
		fmt.Fprintf(&b, "report only until %s; enforced: %s\n", x.Until.UTC().Format(time.RFC3339), Visible(x.Enforced))
	}
	table(&b, "reason", x.Reasons, func(r ExplainedReason) []string {
		note := ""
		if r.Exempt != "" {
			note = "exempt: " + r.Exempt
		}
		return []string{r.Effect, r.Code, r.Param, r.Source, r.Place, note}
	})
	table(&b, "requirement", x.Requirements, func(r ExplainedRequirement) []string {
		return []string{r.Result, r.Text, r.Reason, r.Param, r.Source, r.Place, r.Note}
	})
	table(&b, "fact", x.Facts, func(f ExplainedFact) []string {
		since := ""
		if f.AgeSeconds != nil {
			since = (time.Duration(*f.AgeSeconds) * time.Second).String()
		}
		return []string{f.Name, f.Value, f.Source, since, f.Freshness}
	})
	writeConflicts(&b, x.Facts)
	if x.Conflicts > 0 {
		fmt.Fprintf(&b, "\nfacts on which sources disagree: %d\n", x.Conflicts)
	}
	return b.String()
}

// writeConflicts prints what each source says about the facts on which they
// disagree.
func writeConflicts(b *strings.Builder, facts []ExplainedFact) {
	type row struct {
		fact *ExplainedFact
		word *ExplainedWord
	}
	var rows []row
	for i := range facts {
		if facts[i].Conflict {
			for k := range facts[i].Words {
				rows = append(rows, row{&facts[i], &facts[i].Words[k]})
			}
		}
	}
	table(b, "conflict", rows, func(r row) []string {
		why := r.word.Standing
		if why == decision.StandingCounts.String() {
			why += " (" + r.fact.Why + ")"
		}
		return append([]string{r.fact.Name, r.word.Source, r.word.Value, why}, r.word.times()...)
	})
}

// times prints how old a word is: for the gateway, for a policy and for the source.
func (w *ExplainedWord) times() []string {
	age, observed, failing := "", "", ""
	if w.AgeSeconds != nil {
		age = "confirmed " + (time.Duration(*w.AgeSeconds) * time.Second).String() + " ago"
	}
	if w.ObservedAt != nil {
		observed = "of " + w.ObservedAt.Format(time.RFC3339)
	}
	if w.Failing {
		failing = "failing"
	}
	return []string{age, w.Freshness, observed, failing}
}

// ConflictText prints what each source says about the facts on which they disagree,
// as [Explanation.String] does; "" if they agree.
func ConflictText(facts []ExplainedFact) string {
	var b strings.Builder
	writeConflicts(&b, facts)
	return b.String()
}

// table prints rows under a title, one cell per column; empty cells are dashes.
func table[T any](b *strings.Builder, title string, rows []T, cells func(T) []string) {
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(b, "\n%ss:\n", title)
	w := tabwriter.NewWriter(b, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		line := cells(row)
		for len(line) > 1 && line[len(line)-1] == "" {
			line = line[:len(line)-1]
		}
		for i := range line {
			line[i] = Visible(line[i])
		}
		fmt.Fprintf(w, "  %s\n", strings.Join(line, "\t"))
	}
	// The builder below the writer cannot fail.
	_ = w.Flush()
}

// Visible makes text from outside fit for one cell of a terminal: control
// characters, which a terminal would obey, become question marks, and nothing
// becomes a dash.
func Visible(s string) string {
	if s == "" {
		return "-"
	}
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 {
			return '?'
		}
		return r
	}, s)
}
