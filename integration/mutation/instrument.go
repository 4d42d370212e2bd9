package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// mutant is one possible change of one place.
type mutant struct {
	id    int
	place string // file:line
	// key names the mutant independently of line numbers: function, kind, text,
	// and a number for the same text once more.
	key string
}

func (m mutant) String() string { return m.place + ": " + m.key }

// support is added to the mutated package. The names cannot collide.
const support = `package decision

import (
	"os"
	"strconv"
)

var mutantActive, _ = strconv.Atoi(os.Getenv("` + environment + `"))

func mutantOn(id int) bool { return mutantActive == id }

func mutantFlip(id int, b bool) bool { return b != mutantOn(id) }

func mutantCase[T ~uint8](id int, v T) T {
	if mutantOn(id) {
		return 255
	}
	return v
}
`

const environment = "GATEHOUSE_MUTANT"

// insertion is text to be put at an offset of a file. At one offset, closing
// text comes before opening text, and inner before outer closings.
type insertion struct {
	at    int
	close bool
	size  int // of the wrapped text
	text  string
}

// file collects the mutants of one source file.
type file struct {
	name       string
	src        []byte
	fset       *token.FileSet
	function   *ast.FuncDecl
	insertions []insertion
	mutants    *[]mutant
	seen       map[string]int // how often a key was used
}

// instrument returns the source with all mutants built in.
func instrument(name string, src []byte, mutants *[]mutant) ([]byte, error) {
	f := &file{name: name, src: src, fset: token.NewFileSet(), mutants: mutants, seen: map[string]int{}}
	tree, err := parser.ParseFile(f.fset, name, src, parser.ParseComments)
	if err != nil {
		return nil, err
	}
	for _, d := range tree.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Body == nil || naming(fn.Name.Name) {
			continue
		}
		f.function = fn
		ast.Inspect(fn.Body, f.visit)
	}
	return f.render(), nil
}

// naming functions only turn constants into words and back; they decide nothing
// and unit tests check every name.
func naming(fn string) bool { return fn == "String" || strings.HasPrefix(fn, "Parse") }

func (f *file) visit(n ast.Node) bool {
	switch n := n.(type) {
	case *ast.FuncLit:
		return false
	case *ast.IfStmt:
		f.condition("if", n.Cond)
	case *ast.SwitchStmt:
		for _, c := range n.Body.List {
			clause := c.(*ast.CaseClause)
			for _, e := range clause.List {
				if n.Tag == nil {
					f.condition("case", e)
				} else if len(clause.Body) > 0 {
					f.wrap(e, "mutantCase(%d, ", ")", f.add(e, "never case "+f.text(e)))
				}
			}
		}
	case *ast.ReturnStmt:
		if len(n.Results) == 1 {
			f.result(n, n.Results[0])
		}
	case *ast.BinaryExpr:
		f.operands(n)
	}
	return true
}

// condition is inverted.
func (f *file) condition(word string, e ast.Expr) {
	f.wrap(e, "mutantFlip(%d, ", ")", f.add(e, word+" not "+f.text(e)))
}

// operands of && and || are left out one at a time.
func (f *file) operands(n *ast.BinaryExpr) {
	for _, e := range []ast.Expr{n.X, n.Y} {
		switch n.Op {
		case token.LAND:
			f.wrap(e, "(mutantOn(%d) || ", ")", f.add(e, "without "+f.text(e)+" in "+f.text(n)))
		case token.LOR:
			f.wrap(e, "(!mutantOn(%d) && (", "))", f.add(e, "without "+f.text(e)+" in "+f.text(n)))
		}
	}
}

// result is replaced by its opposite: refusals by what lets pass, what lets
// pass by a refusal.
func (f *file) result(ret *ast.ReturnStmt, e ast.Expr) {
	if f.function.Type.Results == nil {
		return
	}
	text, alt := f.text(e), ""
	switch f.text(f.function.Type.Results.List[0].Type) {
	case "bool":
		f.wrap(e, "mutantFlip(%d, ", ")", f.add(e, "return not "+text))
		return
	case "Tri":
		alt = opposite(text, "Yes", "No")
	case "Effect":
		alt = opposite(text, "EffectNone", "EffectBlock")
	case "Freshness":
		alt = opposite(text, "Fresh", "Expired")
	case "Cause":
		alt = opposite(text, "CauseNotReported", "CauseSourceFailing")
	case "Outcome":
		alt = opposite(text, "Allow", "Block")
	default:
		return
	}
	id := f.add(ret, "return "+alt+" instead of "+text)
	at := f.offset(ret.Pos())
	f.insertions = append(f.insertions, insertion{at, false, len(f.src), fmt.Sprintf("if mutantOn(%d) { return %s }; ", id, alt)})
}

func opposite(text, passes, refuses string) string {
	if text == passes {
		return refuses
	}
	return passes
}

func (f *file) add(n ast.Node, what string) int {
	id, key := len(*f.mutants)+1, f.function.Name.Name+": "+what
	if f.seen[key]++; f.seen[key] > 1 {
		key += fmt.Sprintf(" (%d)", f.seen[key])
	}
	*f.mutants = append(*f.mutants, mutant{id, fmt.Sprintf("%s:%d", f.name, f.fset.Position(n.Pos()).Line), key})
	return id
}

func (f *file) wrap(e ast.Expr, before, after string, id int) {
	from, to := f.offset(e.Pos()), f.offset(e.End())
	f.insertions = append(f.insertions,
		insertion{from, false, to - from, fmt.Sprintf(before, id)},
		insertion{to, true, to - from, after})
}

func (f *file) offset(p token.Pos) int { return f.fset.Position(p).Offset }

// text of a node on one line.
func (f *file) text(n ast.Node) string {
	return strings.Join(strings.Fields(string(f.src[f.offset(n.Pos()):f.offset(n.End())])), " ")
}

func (f *file) render() []byte {
	// Stable: of two wrappings of the same text the first made is the outer.
	opens := slices.DeleteFunc(slices.Clone(f.insertions), func(i insertion) bool { return i.close })
	closes := slices.DeleteFunc(slices.Clone(f.insertions), func(i insertion) bool { return !i.close })
	slices.SortStableFunc(opens, func(a, b insertion) int { return b.size - a.size })
	slices.Reverse(closes)
	slices.SortStableFunc(closes, func(a, b insertion) int { return a.size - b.size })
	all := append(closes, opens...)
	slices.SortStableFunc(all, func(a, b insertion) int { return a.at - b.at })
	var out []byte
	last := 0
	for _, i := range all {
		out = append(append(out, f.src[last:i.at]...), i.text...)
		last = i.at
	}
	return append(out, f.src[last:]...)
}
