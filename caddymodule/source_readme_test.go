package caddymodule

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatehouse-project/gatehouse/decision"
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
