package house

import (
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gatehouse-project/gatehouse"

type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
	GoFiles, TestGoFiles, XTestGoFiles []string
	IgnoredGoFiles                     []string // of other systems
}

// room is the package's path in this module.
func (p *goPackage) room() string {
	return strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
}

// tested reports whether the package has tests, on any system.
func (p *goPackage) tested() bool {
	return len(p.TestGoFiles)+len(p.XTestGoFiles) > 0 ||
		slices.ContainsFunc(p.IgnoredGoFiles, func(f string) bool { return strings.HasSuffix(f, "_test.go") })
}

// packages lists what the patterns match; none: the whole module.
func packages(t *testing.T, patterns ...string) []goPackage {
	t.Helper()
	if len(patterns) == 0 {
		patterns = []string{"./..."}
	}
	args := []string{"list", "-pgo=off", "-json=ImportPath,Imports,TestImports,XTestImports,GoFiles,TestGoFiles,XTestGoFiles,IgnoredGoFiles", "--"}
	cmd := exec.Command("go", append(args, patterns...)...)
	cmd.Dir = repository
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var list []goPackage
	for dec := json.NewDecoder(strings.NewReader(string(out))); dec.More(); {
		var p goPackage
		err := dec.Decode(&p)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if len(list) < 10 {
		t.Fatalf("go list found only %d packages", len(list))
	}
	return list
}

// access is what a room of the house may import of the other rooms.
type access struct {
	code  []string // in any file
	tests []string // in its tests as well
	caddy bool     // also Caddy and its libraries
}

// rooms lists every room. Imports go one way, and no source knows another:
//
//	cmd/gatehouse -> caddymodule -> decision/{policy,identity,source/*,revocation} -> decision
//	                     '-------> cache <-- decision/source
//
// Conformance kits are for tests: of the package with the contract and of those
// that keep it.
var rooms = map[string]access{
	"decision":                   {},
	"decision/checkup":           {},
	"decision/identity":          {code: []string{"decision", "decision/checkup"}},
	"decision/policy":            {code: []string{"decision"}},
	"decision/revocation":        {code: []string{"decision"}},
	"decision/source":            {code: []string{"decision", "decision/checkup", "cache"}, tests: []string{"decision/source/sourcetest"}},
	"decision/source/sourcetest": {code: []string{"decision", "decision/checkup", "decision/source"}},
	"decision/source/*": {
		code:  []string{"decision", "decision/checkup", "decision/source", "decision/source/internal/msgraph"},
		tests: []string{"decision/source/sourcetest", "decision/source/microsoft", "integration/emulator", "integration/emulator/emulatortest"},
	},
	"decision/source/internal/msgraph": {code: []string{"decision/checkup", "decision/source"}, tests: []string{"integration/emulator"}},
	"decision/source/microsoft":        {code: []string{"decision/source/internal/msgraph"}},

	"cache":           {tests: []string{"cache/cachetest"}},
	"cache/cachetest": {code: []string{"cache"}},

	"caddymodule": {caddy: true, code: []string{
		"decision", "decision/checkup", "decision/identity", "decision/policy", "decision/revocation", "decision/source", "decision/source/*",
		"cache", "caddymodule/handover", "caddymodule/pages",
	}},
	"caddymodule/handover": {caddy: true},
	"caddymodule/pages":    {code: []string{"decision"}},
	"cmd/gatehouse":        {caddy: true, code: []string{"caddymodule", "cmd/walkthrough"}},
	"cmd/walkthrough":      {},

	// An example is a program beside the gateway, which it runs as a process.
	"examples/authority": {},
	"examples/generate":  {code: []string{"examples/authority"}},
	"examples/microsoft": {code: []string{"cmd/walkthrough", "examples/authority", "integration/emulator"}},

	// Black-box tests see the product through its binary alone; those of the
	// Caddyfile adapt it in their own process too.
	"integration/bench":                 {},
	"integration/bench/stock":           {caddy: true},
	"integration/caddyfile":             {caddy: true, tests: []string{"caddymodule", "integration/rig"}},
	"integration/commands":              {tests: []string{"integration/rig"}},
	"integration/emulator":              {},
	"integration/emulator/emulatortest": {code: []string{"integration/emulator", "decision/source/microsoft"}},
	"integration/emulator/serve":        {code: []string{"integration/emulator"}},
	"integration/examples":              {tests: []string{"integration/rig"}},
	"integration/fleet":                 {tests: []string{"integration/emulator", "integration/rig"}},
	"integration/gateway":               {tests: []string{"integration/rig"}},
	"integration/house":                 {tests: []string{"decision"}},
	"integration/mutation":              {},
	"integration/replay":                {tests: []string{"decision", "integration/rig", "integration/vectors"}},
	"integration/rig":                   {},
	"integration/sources": {tests: []string{
		"decision", "decision/policy", "decision/source", "decision/source/configmgr", "decision/source/defender", "decision/source/entra",
		"decision/source/httpjson", "decision/source/intune", "decision/source/inventory", "decision/source/microsoft", "decision/source/nac",
		"integration/emulator",
	}},
	"integration/vectors": {code: []string{"decision", "decision/policy"}, tests: []string{"decision/source", "decision/source/inventory"}},
}

// kits are packages for tests. A pattern above never means one of them.
var kits = []string{"cache/cachetest", "decision/source/sourcetest", "integration/emulator/emulatortest"}

func accessOf(room string) (access, bool) {
	a, ok := rooms[room]
	if !ok && path.Dir(room) == "decision/source" {
		a, ok = rooms["decision/source/*"]
	}
	return a, ok
}

// wrong says why room must not import imp, or "". test: the import stands in a
// test file.
func wrong(room, imp string, test bool) string {
	a, ok := accessOf(room)
	if !ok {
		return "it is in no row of the table in imports_test.go"
	}
	host, _, _ := strings.Cut(imp, "/")
	target, ours := strings.CutPrefix(imp, module+"/")
	switch {
	case ours && test && (target == room || slices.Contains(a.tests, target)):
	case ours && slices.Contains(kits, target):
		return "a conformance kit is for the tests of who keeps the contract"
	case ours && !matchAny(a.code, target):
		return "imports go one way"
	case strings.HasPrefix(imp, "github.com/caddyserver/") && !a.caddy:
		return "this room knows no Caddy"
	case room == "decision" && !ours && strings.Contains(host, "."):
		return "decision needs the standard library alone"
	}
	return ""
}

func TestImportsGoOneWay(t *testing.T) {
	for _, p := range packages(t) {
		room := p.room()
		if _, ok := accessOf(room); !ok {
			t.Errorf("%s is in no row of the table in imports_test.go", room)
			continue
		}
		for _, imp := range p.Imports {
			if why := wrong(room, imp, false); why != "" {
				t.Errorf("%s must not import %s: %s", room, imp, why)
			}
		}
		for _, imp := range slices.Concat(p.TestImports, p.XTestImports) {
			if why := wrong(room, imp, true); why != "" {
				t.Errorf("tests of %s must not import %s: %s", room, imp, why)
			}
		}
	}
}

// TestImportRule: the rule itself refuses what it is there for.
func TestImportRule(t *testing.T) {
	const ours = module + "/"
	tests := []struct {
		room, imp string
		code      bool // allowed in any file
		test      bool // allowed in a test
	}{
		{"decision", "time", true, true},
		{"decision", "go.uber.org/goleak", false, false},
		{"decision", ours + "cache", false, false},
		{"decision/policy", ours + "decision", true, true},
		{"decision/policy", ours + "decision/identity", false, false},
		{"decision/identity", ours + "decision/identity", false, true},
		{"decision/source/intune", ours + "decision/source", true, true},
		{"decision/source/intune", ours + "decision/source/inventory", false, false},
		{"decision/source/intune", ours + "decision/source/sourcetest", false, true},
		{"decision/source/intune", ours + "cache", false, false},
		{"decision/source", ours + "decision/source/inventory", false, false},
		{"caddymodule", ours + "decision/source/intune", true, true},
		{"caddymodule", ours + "decision/source/sourcetest", false, false},
		{"caddymodule", ours + "integration/rig", false, false},
		{"caddymodule/pages", "github.com/caddyserver/caddy/v2", false, false},
		{"cache", ours + "cache/cachetest", false, true},
		{"integration/gateway", ours + "caddymodule", false, false},
		{"integration/nowhere", "time", false, false},
	}
	for _, tc := range tests {
		if why := wrong(tc.room, tc.imp, false); (why == "") != tc.code {
			t.Errorf("%s imports %s: %q, want allowed=%v", tc.room, tc.imp, why, tc.code)
		}
		if why := wrong(tc.room, tc.imp, true); (why == "") != tc.test {
			t.Errorf("a test of %s imports %s: %q, want allowed=%v", tc.room, tc.imp, why, tc.test)
		}
	}
}

func matchAny(patterns []string, s string) bool {
	for _, p := range patterns {
		if ok, _ := path.Match(p, s); ok {
			return true
		}
	}
	return false
}

func TestNoVagueNames(t *testing.T) {
	for _, p := range packages(t) {
		switch base := path.Base(p.ImportPath); base {
		case "util", "utils", "common", "helpers", "helper", "manager", "types", "misc":
			t.Errorf("package %s has a name that says nothing", p.ImportPath)
		}
	}
}
