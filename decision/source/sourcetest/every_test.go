package sourcetest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestEverySourceConforms: every package under decision/source with a source in it runs
// the suite, with a fixture that either changes its devices or says why it cannot.
func TestEverySourceConforms(t *testing.T) {
	found := map[string]fixture{}
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || d.Name() == "testdata" {
			return err
		}
		if path == ".." || d.Name() == "sourcetest" {
			return nil
		}
		f, err := inspect(path)
		if err == nil && f.source {
			found[filepath.Base(path)] = f
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"configmgr", "defender", "entra", "httpjson", "intune", "inventory", "nac"} {
		if _, ok := found[name]; !ok {
			t.Errorf("%s is not taken for a source: this test does not see what it should", name)
		}
	}
	for name, f := range found {
		switch {
		case !f.runs:
			t.Errorf("%s does not run sourcetest.Run", name)
		case !f.change && !f.unchanging:
			t.Errorf("the fixture of %s has neither Change nor Unchanging", name)
		}
	}
}

// TestInspect shows that the test above can fail.
func TestInspect(t *testing.T) {
	const src = "package p\n\nfunc (s *S) Facts() decision.FactSet { return 0 }\n"
	for _, tt := range []struct {
		test string
		want fixture
	}{
		{"", fixture{source: true}},
		{"var _ = sourcetest.Devices(1)", fixture{source: true}},
		{"var _ = sourcetest.Fixture{Change: nil}", fixture{source: true, change: true}},
		{"func f() { sourcetest.Run(nil, nil); _ = sourcetest.Fixture{Source: nil} }", fixture{source: true, runs: true}},
		{"func f() { sourcetest.Run(nil, nil); _ = sourcetest.Fixture{Change: nil} }", fixture{source: true, runs: true, change: true}},
		{"func f() { sourcetest.Run(nil, nil); _ = &sourcetest.Fixture{Unchanging: \"why\"} }", fixture{source: true, runs: true, unchanging: true}},
	} {
		dir := t.TempDir()
		for name, text := range map[string]string{"p.go": src, "p_test.go": "package p\n\n" + tt.test} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		got, err := inspect(dir)
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v, want %+v", tt.test, got, err, tt.want)
		}
	}
}

// fixture is what the files of one package tell.
type fixture struct {
	source             bool // it has a type with Facts() decision.FactSet
	runs               bool // a test calls sourcetest.Run
	change, unchanging bool // a fixture of a test has this member
}

func inspect(dir string) (f fixture, err error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		return f, err
	}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return f, err
		}
		test := strings.HasSuffix(name, "_test.go")
		ast.Inspect(file, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.FuncDecl:
				f.source = f.source || !test && isFacts(n)
			case *ast.CallExpr:
				f.runs = f.runs || test && isOf(n.Fun, "sourcetest", "Run")
			case *ast.CompositeLit:
				if test && isOf(n.Type, "sourcetest", "Fixture") {
					f.change = f.change || sets(n, "Change")
					f.unchanging = f.unchanging || sets(n, "Unchanging")
				}
			}
			return true
		})
	}
	return f, nil
}

// isFacts reports whether a method is that of a source.
func isFacts(n *ast.FuncDecl) bool {
	return n.Recv != nil && n.Name.Name == "Facts" && len(n.Type.Params.List) == 0 &&
		n.Type.Results != nil && len(n.Type.Results.List) == 1 && isOf(n.Type.Results.List[0].Type, "decision", "FactSet")
}

// isOf reports whether an expression is pkg.name.
func isOf(e ast.Expr, pkg, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok || s.Sel.Name != name {
		return false
	}
	x, ok := s.X.(*ast.Ident)
	return ok && x.Name == pkg
}

func sets(n *ast.CompositeLit, member string) bool {
	return slices.ContainsFunc(n.Elts, func(e ast.Expr) bool {
		kv, ok := e.(*ast.KeyValueExpr)
		if !ok {
			return false
		}
		k, ok := kv.Key.(*ast.Ident)
		return ok && k.Name == member
	})
}
