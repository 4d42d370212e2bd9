package house

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

// TestExampleShowsEveryWord: every word that the code takes stands in
// Caddyfile.example, in a line or in a comment. The words are read from the
// tables in the code: a new one cannot be forgotten.
func TestExampleShowsEveryWord(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join(repository, "Caddyfile.example"))
	if err != nil {
		t.Fatal(err)
	}
	example := string(raw)
	first, later := map[string]bool{}, map[string]bool{}
	for _, dir := range []string{"caddymodule", "decision/policy", "decision/identity"} {
		words(t, filepath.Join(repository, dir), first, later)
	}
	for k := decision.RequireUser; k < decision.NumKinds; k++ {
		first["require "+k.String()] = true
	}
	if len(first) < 80 || len(later) < 40 {
		t.Fatalf("the code has only the words %q and the values %q", sorted(first), sorted(later))
	}
	for _, word := range sorted(first) {
		if !regexp.MustCompile(`(?m)^\t*(?:#\t* ?)?` + regexp.QuoteMeta(word) + `(?: |$)`).MatchString(example) {
			t.Errorf("Caddyfile.example has no line that begins with %q", word)
		}
	}
	for _, word := range sorted(later) {
		if !regexp.MustCompile(`(?m)[\s(]` + regexp.QuoteMeta(word) + `(?:[\s.,:;)]|$)`).MatchString(example) {
			t.Errorf("Caddyfile.example does not show the value %q", word)
		}
	}
}

// words collects the words of a package: those that begin a line, which are the
// keys of tables of parsers and the first fields of rows of `directives`, and those
// that stand behind, which are the choices, the fields of certificates and what the
// usage texts name.
func words(t *testing.T, dir string, first, later map[string]bool) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	lists, chosen := map[string][]string{}, []string{}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.CompositeLit:
				if m, ok := n.Type.(*ast.MapType); ok && isFunc(m.Value) {
					for _, e := range n.Elts {
						add(first, text(e.(*ast.KeyValueExpr).Key))
					}
				}
			case *ast.AssignStmt: // words["poll"] = ...
				if i, ok := n.Lhs[0].(*ast.IndexExpr); ok && name(i.X) == "words" {
					add(first, text(i.Index))
				}
			case *ast.ValueSpec:
				if len(n.Values) != 1 {
					return true
				}
				if name(n.Type) == "CertField" {
					add(later, text(n.Values[0]))
				}
				rows, ok := n.Values[0].(*ast.CompositeLit)
				if !ok {
					return true
				}
				for _, e := range rows.Elts {
					row, ok := e.(*ast.CompositeLit)
					switch {
					case ok && n.Names[0].Name == "directives":
						add(first, text(row.Elts[0]))
						addUsage(later, text(row.Elts[1]))
					case ok && n.Names[0].Name == "forms":
						addUsage(later, text(row.Elts[1]))
					case ok && n.Names[0].Name == "tiers":
						add(later, text(row.Elts[0]))
					default:
						lists[n.Names[0].Name] = append(lists[n.Names[0].Name], text(e))
					}
				}
			case *ast.CallExpr: // choice(d, &v, "on", "off"), choice(d, &v, modes...)
				if name(n.Fun) != "choice" {
					return true
				}
				for _, a := range n.Args[2:] {
					add(later, text(a))
					chosen = append(chosen, name(a))
				}
			}
			return true
		})
	}
	for _, list := range append(chosen, "hardStopNames") {
		for _, word := range lists[list] {
			add(later, word)
		}
	}
}

func isFunc(e ast.Expr) bool { _, ok := e.(*ast.FuncType); return ok }

func add(to map[string]bool, word string) {
	if word != "" {
		to[word] = true
	}
}

// addUsage takes the small words of a usage text: NAME and its like are values of
// the operator's.
func addUsage(to map[string]bool, usage string) {
	for _, word := range regexp.MustCompile(`[A-Za-z_]+`).FindAllString(usage, -1) {
		if word == strings.ToLower(word) {
			to[word] = true
		}
	}
}

func text(e ast.Expr) string {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return ""
	}
	s, _ := strconv.Unquote(lit.Value)
	return s
}

func name(e ast.Expr) string {
	id, ok := e.(*ast.Ident)
	if !ok {
		return ""
	}
	return id.Name
}

func sorted(set map[string]bool) []string { return slices.Sorted(maps.Keys(set)) }
