package house

import (
	"encoding/json"
	"os"
	"os/exec"
	"path"
	"strings"
	"testing"
)

const module = "github.com/gatehouse-project/gatehouse"

type goPackage struct {
	ImportPath                         string
	Imports, TestImports, XTestImports []string
	GoFiles                            []string
	Standard                           bool
}

func packages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.Command("go", "list", "-pgo=off", "-json=ImportPath,Imports,GoFiles,Standard", "./...")
	cmd.Dir = "../.."
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

// allowed says which rooms of the house a room may import. Imports go one way:
//
//	cmd/gatehouse -> caddymodule -> decision/{policy,identity,source/*,revocation} -> decision
//	                     '-------> cache <-- decision/source
func allowed(room string) []string {
	switch {
	case room == "decision", room == "cache":
		return nil
	case room == "decision/source":
		return []string{"decision", "cache"}
	case strings.HasPrefix(room, "decision/source/"):
		return []string{"decision", "decision/source", "decision/source/*"}
	case strings.HasPrefix(room, "decision/"):
		return []string{"decision", "cache"}
	case strings.HasPrefix(room, "cache/"):
		return []string{"cache"}
	case strings.HasPrefix(room, "caddymodule"):
		return []string{"decision", "decision/*", "decision/source/*", "cache", "cache/*", "caddymodule/*"}
	}
	return []string{"*", "*/*", "*/*/*"} // cmd and integration may use everything
}

func TestImportsGoOneWay(t *testing.T) {
	for _, p := range packages(t) {
		room := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		for _, imp := range p.Imports {
			if target, ours := strings.CutPrefix(imp, module+"/"); ours && !matchAny(allowed(room), target) {
				t.Errorf("%s must not import %s", room, target)
			}
			if strings.HasPrefix(imp, "github.com/caddyserver/caddy") && !caddyAllowed(room) {
				t.Errorf("%s must not import Caddy (%s)", room, imp)
			}
			if room == "decision" && strings.Contains(strings.SplitN(imp, "/", 2)[0], ".") {
				t.Errorf("decision imports only the standard library, not %s", imp)
			}
		}
	}
}

func caddyAllowed(room string) bool {
	return room == "caddymodule" || strings.HasPrefix(room, "cmd/") || strings.HasPrefix(room, "integration/") ||
		strings.HasPrefix(room, "caddymodule/") && room != "caddymodule/pages"
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
