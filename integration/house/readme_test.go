package house

import (
	"cmp"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

var update = flag.Bool("update", false, "write the tables of decision/README.md anew")

// reasonRows are the rows of the table of reasons. The HTTP column stays as it is
// in the old text: what the gateway answers is seen in integration/replay alone,
// where TestReadmeStatuses compares it.
func reasonRows(old string) string {
	column := map[string]string{}
	for line := range strings.Lines(old) {
		if cells := strings.Split(line, " | "); len(cells) == 4 {
			column[cells[0]] = cells[2]
		}
	}
	var b strings.Builder
	b.WriteString("| code | who can fix it | HTTP | what the person reads |\n|---|---|---|---|\n")
	for r := decision.NoReason + 1; r < decision.NumReasons; r++ {
		code := "| `" + r.Code() + "`"
		text := r.Text(decision.DefaultLanguage, decision.PlatformUnknown)
		fmt.Fprintf(&b, "%s | %s | %s | %s |\n", code, r.FixedBy(), cmp.Or(column[code], "?"), text.Message)
	}
	return b.String()
}

func platformRows(string) string {
	var platforms []decision.Platform
	for p := decision.PlatformUnknown + 1; p < decision.NumPlatforms; p++ {
		platforms = append(platforms, p)
	}
	var b strings.Builder
	b.WriteString("| requirement |")
	for _, p := range platforms {
		fmt.Fprintf(&b, " %s |", p)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(platforms)) + "\n")
	for k := decision.RequireUser; k < decision.NumKinds; k++ {
		f, ok := k.Fact()
		if !ok || f == decision.FactUserRisk {
			continue // about the request or the user, alike everywhere
		}
		fmt.Fprintf(&b, "| `%s` |", k)
		for _, p := range platforms {
			cell := "applies"
			if !decision.Applicable(k, p) {
				cell = "passes"
			}
			fmt.Fprintf(&b, " %s |", cell)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// page reads a text of the repository.
func page(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(repository, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestReadmeTables compares the tables between <!-- name --> and <!-- /name --> in
// decision/README.md with the code; -update writes them.
func TestReadmeTables(t *testing.T) {
	const file = "decision/README.md"
	text := page(t, file)
	for name, rows := range map[string]func(old string) string{"reasons": reasonRows, "platforms": platformRows} {
		before, rest, ok := strings.Cut(text, "<!-- "+name+" -->\n")
		got, after, ok2 := strings.Cut(rest, "<!-- /"+name+" -->\n")
		if !ok || !ok2 {
			t.Fatalf("%s has no table %s", file, name)
		}
		want := rows(got)
		if got == want {
			continue
		}
		if *update {
			text = before + "<!-- " + name + " -->\n" + want + "<!-- /" + name + " -->\n" + after
			err := os.WriteFile(filepath.Join(repository, file), []byte(text), 0o644)
			if err != nil {
				t.Fatal(err)
			}
			continue
		}
		t.Errorf("table %s is not as the code; run go test ./integration/house -update\ngot:\n%swant:\n%s", name, got, want)
	}
}

// TestReadmeFirstScreen: what it is, for whom, and the two commands, before the
// first 30 lines are over.
func TestReadmeFirstScreen(t *testing.T) {
	lines := strings.Split(page(t, "README.md"), "\n")
	screen := strings.Join(lines[:30], "\n")
	for _, want := range []string{"go run ./cmd/gatehouse demo", "make test", "It is for"} {
		if !strings.Contains(screen, want) {
			t.Errorf("the first screen does not say %q", want)
		}
	}
}

// TestReadmeReadsInTenMinutes: what is for looking up stands on the other pages.
func TestReadmeReadsInTenMinutes(t *testing.T) {
	const most = 4500
	if n := len(strings.Fields(page(t, "README.md"))); n > most {
		t.Errorf("README has %d words, more than %d", n, most)
	}
}

// TestReadmeKeepsItsSections: people look for these.
func TestReadmeKeepsItsSections(t *testing.T) {
	var got []string
	for line := range strings.Lines(page(t, "README.md")) {
		if h, ok := strings.CutPrefix(line, "## "); ok {
			got = append(got, strings.TrimSpace(h))
		}
	}
	want := []string{
		"Install", "How a request goes", "How it decides", "How it fails", "The Caddyfile", "Microsoft", "What people and apps see",
		"Operate", "Where is what in the code", "Limits", "Measured",
	}
	if !slices.Equal(got, want) {
		t.Errorf("sections %q, want %q", got, want)
	}
}
