package policy

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/operators"
	"cel.dev/cel-go/common/overloads"

	"github.com/gatehouse-project/gatehouse/decision"
)

// uses says what an expression reads.
type uses struct {
	facts  decision.FactSet
	record bool // a field of the device's record that is no fact
	device bool // any field of device
	user   bool // any field of user, or a claim
	claims bool
}

// inspect finds what a checked expression reads, and refuses what type-checks
// but cannot mean what it says.
func inspect(a *ast.AST) (uses, error) {
	in := inspector{operands: map[int64]bool{}}
	ast.PreOrderVisit(a.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if in.err == nil {
			in.err = in.visit(e)
		}
	}))
	return in.uses, in.err
}

type inspector struct {
	uses
	operands map[int64]bool // identifiers that a field was selected from
	err      error
}

func (in *inspector) visit(e ast.Expr) error {
	switch e.Kind() {
	case ast.StructKind:
		return fmt.Errorf("expression: objects such as %s{} cannot be built", e.AsStruct().TypeName())
	case ast.ComprehensionKind:
		c := e.AsComprehension()
		for _, v := range []string{c.IterVar(), c.IterVar2(), c.AccuVar()} {
			if reserved(v) {
				return fmt.Errorf("expression: the name %s is taken; call the element otherwise", v)
			}
		}
	case ast.SelectKind:
		return in.visitSelect(e)
	case ast.IdentKind:
		name := e.AsIdent()
		if name == "claims" {
			in.claims, in.user = true, true
		}
		if _, ok := objects[name]; ok && !in.operands[e.ID()] {
			return fmt.Errorf("expression: %s stands alone; write %s.FIELD, one of: %s", name, name, strings.Join(fieldNames(objects[name]), ", "))
		}
	case ast.CallKind:
		return visitCall(e.AsCall())
	case ast.ListKind, ast.LiteralKind, ast.MapKind, ast.UnspecifiedExprKind:
	}
	return nil
}

func reserved(name string) bool {
	_, object := objects[name]
	return object || name == "claims" || name == "now"
}

func (in *inspector) visitSelect(e ast.Expr) error {
	object, f := fieldOf(e)
	if f == nil {
		return nil
	}
	s := e.AsSelect()
	if s.IsTestOnly() {
		return fmt.Errorf("expression: has(%s.%s) is not possible: a fact that is not known makes the result unknown by itself; has() is for claims", object, f.name)
	}
	in.operands[s.Operand().ID()] = true
	in.facts |= f.facts
	in.record = in.record || f.record
	in.device = in.device || object == "device"
	in.user = in.user || object == "user"
	return nil
}

// fieldOf returns the field that e selects from one of our variables.
func fieldOf(e ast.Expr) (object string, f *field) {
	if e.Kind() != ast.SelectKind || e.AsSelect().Operand().Kind() != ast.IdentKind {
		return "", nil
	}
	object = e.AsSelect().Operand().AsIdent()
	return object, objects[object][e.AsSelect().FieldName()]
}

func visitCall(c ast.CallExpr) error {
	args := c.Args()
	switch c.FunctionName() {
	case operators.Equals, operators.NotEquals:
		if err := checkWord(args[0], args[1]); err != nil {
			return err
		}
		return checkWord(args[1], args[0])
	case operators.In:
		if args[1].Kind() == ast.ListKind {
			for _, item := range args[1].AsList().Elements() {
				if err := checkWord(args[0], item); err != nil {
					return err
				}
			}
		}
	case operators.Less, operators.LessEquals, operators.Greater, operators.GreaterEquals:
		for _, arg := range args {
			if object, f := fieldOf(arg); f != nil && f.typ.Kind() == stringKind {
				return fmt.Errorf("expression: %s.%s is text and text sorts by letter; use == or in%s", object, f.name, ordered(f.name))
			}
		}
	case overloads.Matches:
		if args[len(args)-1].Kind() != ast.LiteralKind {
			return fmt.Errorf("expression: the pattern of matches must be written as text")
		}
	}
	return nil
}

// stringKind is the kind of every field that holds text.
var stringKind = requestFields[0].typ.Kind()

func ordered(name string) string {
	switch name {
	case "os_version":
		return ", or a line: require os"
	case "risk":
		return ", or a line: require risk at_most"
	}
	return ""
}

// checkWord refuses a word that a field can never hold: a spelling mistake
// would otherwise block, or pass, everybody.
func checkWord(e, literal ast.Expr) error {
	object, f := fieldOf(e)
	if f == nil || f.values == nil || literal.Kind() != ast.LiteralKind {
		return nil
	}
	if word, ok := literal.AsLiteral().Value().(string); ok && !slices.Contains(f.values, word) {
		return fmt.Errorf("expression: %s.%s is never %q; accepted: %s", object, f.name, word, strings.Join(f.values, ", "))
	}
	return nil
}
