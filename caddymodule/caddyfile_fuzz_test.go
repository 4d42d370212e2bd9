package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
)

// FuzzCaddyfileOption: whatever stands in the block, parsing neither panics nor
// accepts something that does not survive being written and read as JSON.
func FuzzCaddyfileOption(f *testing.F) {
	seeds, err := filepath.Glob("testdata/caddyfile/*.caddyfile")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, path := range seeds {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(raw))
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 16<<10 {
			return
		}
		d := caddyfile.NewTestDispenser("compliance {\n" + text + "\n}")
		v, err := parseApp(d, nil)
		if err != nil {
			if strings.TrimSpace(err.Error()) == "" {
				t.Fatal("an error without text")
			}
			return
		}
		if v == nil {
			t.Fatal("neither value nor error")
		}
	})
}

// FuzzCaddyfileRule does the same for a site's line.
func FuzzCaddyfileRule(f *testing.F) {
	for _, s := range []string{
		"standard", "off because \"probe\"", "standard {\n\tshadow next\n\tidentity_headers Remote-User\n\tassertion on\n}",
		"standard {\n\tcors_origins https://a.example\n\tpreflight pass\n\tstrict_path off\n\terrors caddy\n\tstrip_token\n}", "off", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if len(text) > 16<<10 {
			return
		}
		d := caddyfile.NewTestDispenser("compliance " + text)
		d.Next()
		rule := &Rule{}
		err := parseRule(d, rule)
		if err == nil && rule.Policy == "" && rule.OffBecause == "" {
			t.Fatal("a rule that neither requires anything nor says why not")
		}
	})
}
