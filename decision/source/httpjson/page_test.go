package httpjson

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestPageWords compares the words of each field with the table of
// examples/httpjson/README.md. That unknown is a word of every field stands above it.
func TestPageWords(t *testing.T) {
	raw, err := os.ReadFile("../../../examples/httpjson/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(raw), "| field | takes |")
	table, _, _ = strings.Cut(table, "\n\n")
	span := regexp.MustCompile("`([^`]+)`")
	rows := map[string][]string{}
	for line := range strings.Lines(table) {
		names, words, _ := strings.Cut(strings.TrimPrefix(line, "| "), " | ")
		for _, name := range span.FindAllStringSubmatch(names, -1) {
			for _, w := range span.FindAllStringSubmatch(words, -1) {
				rows[name[1]] = append(rows[name[1]], w[1])
			}
		}
	}
	for _, f := range fields {
		if f.words == nil {
			continue
		}
		want := slices.Clone(f.words[:len(f.words)-1])
		if f.words[len(f.words)-1] != "unknown" {
			t.Errorf("%s: the last word is %q, not unknown", f.name, f.words[len(f.words)-1])
		}
		if f.form == truth {
			want = append(want, "true", "false")
		}
		if !slices.Equal(rows[f.name], want) {
			t.Errorf("%s: the page has the words %q, the field %q", f.name, rows[f.name], want)
		}
	}
}
