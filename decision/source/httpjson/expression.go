package httpjson

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/common/types/traits"
)

// Bounds of expressions. The cost is in CEL's units, about one per operation and
// one per ten bytes of text.
const (
	maxExpression = 4096 // code points
	costLimit     = 100_000
	checkEvery    = 1000 // steps of a comprehension between looks at the context
	maxResult     = 1024 // values of a list that an expression builds
)

// expression is a compiled CEL expression over one device.
type expression struct {
	program cel.Program
	typ     *cel.Type
	reads   bool // it mentions doc
}

// environment is the same for all expressions: it depends on no configuration.
var environment, environmentErr = cel.NewEnv(
	cel.Variable("doc", cel.DynType),
	cel.ParserExpressionSizeLimit(maxExpression),
	cel.ParserRecursionLimit(64),
	cel.ExpressionNodeLimit(1024),
	cel.RegexProgramSizeLimit(1000),
	cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals()),
)

// compile parses, type-checks and plans an expression.
func compile(source string) (*expression, error) {
	if environmentErr != nil {
		return nil, fmt.Errorf("expression environment: %w", environmentErr)
	}
	checked, issues := environment.Compile(source)
	if issues.Err() != nil {
		if found := issues.Errors(); len(found) > 0 { // later ones often follow from the first
			return nil, fmt.Errorf("expression, column %d: %s", found[0].Location.Column()+1, oneLine(found[0].Message))
		}
		return nil, fmt.Errorf("expression: %s", oneLine(issues.Err().Error()))
	}
	program, err := environment.Program(checked,
		cel.EvalOptions(cel.OptOptimize), cel.CostLimit(costLimit), cel.InterruptCheckFrequency(checkEvery))
	if err != nil {
		return nil, fmt.Errorf("expression: %s", oneLine(err.Error()))
	}
	x := &expression{program: program, typ: checked.OutputType()}
	ast.PreOrderVisit(checked.NativeRep().Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		x.reads = x.reads || e.Kind() == ast.IdentKind && e.AsIdent() == "doc"
	}))
	return x, nil
}

// oneLine keeps a message of CEL on one line and at a sane length.
func oneLine(s string) string {
	s, _, _ = strings.Cut(s, " expecting ") // a list of tokens in the parser's own notation
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 300 {
		s = cut(s, 300) + "..."
	}
	return s
}

// eval returns the result as the decoder would have: nil, bool, int64, float64,
// string, []any or map[string]any. An expression that fails on a member that is
// missing has nothing to read; there is then false.
func (x *expression) eval(ctx context.Context, doc any) (v any, why reason, there bool) {
	out, _, err := x.program.ContextEval(ctx, map[string]any{"doc": doc})
	if err != nil {
		return nil, failed, !lacks(err)
	}
	left := maxResult
	v, err = native(out, &left, 0)
	if err != nil {
		return nil, unreadable, true
	}
	return v, known, true
}

// lacks tells the errors of CEL about a member or an element that is not there from
// all others, such as a comparison of a text with a number. It has no types for them.
func lacks(err error) bool {
	s := err.Error()
	return strings.HasPrefix(s, "no such key: ") || strings.HasPrefix(s, "index out of bounds: ")
}

var errResult = errors.New("expression gives no JSON value, or too many")

// native turns a CEL value into what the decoder makes.
func native(v ref.Val, left *int, depth int) (any, error) {
	if *left--; *left < 0 || depth > maxDepth {
		return nil, errResult
	}
	switch v := v.(type) {
	case types.Null:
		return nil, nil //nolint:nilnil // null is a value
	case types.Bool:
		return bool(v), nil
	case types.Int:
		return int64(v), nil
	case types.Uint:
		if uint64(v) > 1<<62 {
			return float64(v), nil
		}
		return int64(v), nil
	case types.Double:
		return float64(v), nil
	case types.String:
		return string(v), nil
	case types.Timestamp:
		return v.Time.UTC().Format(time.RFC3339Nano), nil
	case traits.Mapper:
		return nativeMap(v, left, depth)
	case traits.Lister:
		return nativeList(v, left, depth)
	}
	return nil, errResult
}

func nativeList(l traits.Lister, left *int, depth int) (any, error) {
	out := []any{}
	for it := l.Iterator(); it.HasNext() == types.True; {
		v, err := native(it.Next(), left, depth+1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func nativeMap(m traits.Mapper, left *int, depth int) (any, error) {
	out := map[string]any{}
	for it := m.Iterator(); it.HasNext() == types.True; {
		k := it.Next()
		name, ok := k.(types.String)
		if !ok {
			return nil, errResult
		}
		v, err := native(m.Get(k), left, depth+1)
		if err != nil {
			return nil, err
		}
		out[string(name)] = v
	}
	return out, nil
}
