package caddymodule

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source/httpjson"
	"github.com/gatehouse-project/gatehouse/decision/source/microsoft"
)

// TestReadmeSources compares the table of what the sources supply in
// examples/microsoft/README.md with the sources as they are without further words:
// their polls and their facts.
func TestReadmeSources(t *testing.T) {
	tenant, err := microsoft.Connect(microsoft.Options{
		Name: "corp", Tenant: "corp.example.com", ClientID: "11111111-2222-4333-8444-555555555555",
		Credential: microsoft.CredentialOptions{SecretFile: "never read"},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer tenant.Close()
	raw, err := os.ReadFile("../examples/microsoft/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(raw), "\n## What the sources supply\n")
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	defer cancel()
	guests := map[string]SourcePlacer{
		"intune": &IntuneSource{}, "entra": &EntraSource{}, "defender": &DefenderSource{}, "nac": &NACSource{},
		"configmgr": &ConfigMgrSource{URL: "https://cm01.corp.example/AdminService", BearerFile: "never read"},
	}
	for name, guest := range guests {
		if g, ok := guest.(TenantSource); ok {
			g.SetTenant(tenant)
		}
		src, o, err := guest.NewSource(ctx)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		_, row, _ := strings.Cut(table, "\n| `"+name+"` | ")
		row, _, _ = strings.Cut(row, "\n")
		cells := strings.Split(row, " | ")
		if len(cells) < 4 {
			t.Errorf("the table has no row of %s", name)
			continue
		}
		poll, _, _ := strings.Cut(cells[0], ",")
		if d, err := time.ParseDuration(strings.ReplaceAll(strings.Replace(poll, "min", "m", 1), " ", "")); err != nil || d != o.Poll {
			t.Errorf("%s: the table says poll %q, it is %s", name, poll, o.Poll)
		}
		var got []string
		for f := range decision.NumFacts {
			if src.Facts().Has(decision.Fact(f)) {
				got = append(got, decision.Fact(f).String())
			}
		}
		want := strings.Split(cells[2], ", ")
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: the table has the facts %q, the source %q", name, want, got)
		}
	}
}

// firstCells are the words in code spans in the first cells of a table's rows.
func firstCells(table string) []string {
	var all []string
	for line := range strings.Lines(table) {
		cell, row := strings.CutPrefix(line, "| ")
		cell, _, _ = strings.Cut(cell, " | ")
		if !row || !strings.HasPrefix(cell, "`") {
			if len(all) > 0 {
				return all // the end of the table
			}
			continue
		}
		for i, span := range strings.Split(cell, "`") {
			if i%2 == 1 {
				all = append(all, span)
			}
		}
	}
	return all
}

// chapter is the text of a page behind a heading.
func chapter(t *testing.T, file, heading string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	_, text, found := strings.Cut(string(raw), "\n## "+heading+"\n")
	if err != nil || !found {
		t.Fatalf("%s has no section %q: %v", file, heading, err)
	}
	return text
}

// TestReadmeHTTPJSON compares the tables of examples/httpjson/README.md with the words
// that the parser takes, and with the fields that a map can fill.
func TestReadmeHTTPJSON(t *testing.T) {
	const file = "../examples/httpjson/README.md"
	err := new(HTTPJSONSource).UnmarshalCaddyfile(caddyfile.NewTestDispenser("mdm {\nno-such-word\n}"))
	if err == nil {
		t.Fatal("an unknown word is accepted")
	}
	_, known, _ := strings.Cut(err.Error(), "known: ")
	known, _, _ = strings.Cut(known, ", at ")
	want := append(strings.Split(known, ", "), "URL")
	var got []string
	for _, cell := range firstCells(chapter(t, file, "Words")) {
		word, _, _ := strings.Cut(cell, " ")
		if cell == "guards off" {
			word = "guards"
		}
		got = append(got, word)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the table has the words %q, the parser %q", got, want)
	}
	for _, word := range []string{"items", "first_page", "next", "max_pages"} {
		if !strings.Contains(chapter(t, file, "Words"), "`"+word+" ") {
			t.Errorf("the table does not describe %s of list", word)
		}
	}
	_, fields, _ := strings.Cut(chapter(t, file, "The map"), "| field | takes |")
	got = firstCells(fields)
	want = append([]string{"entra_id", "intune_id", "serial", "id:KIND"}, httpjson.FieldNames()...)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("the table has the fields %q, the source %q", got, want)
	}
}
