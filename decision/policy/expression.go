package policy

import (
	"fmt"
	"slices"
	"strings"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/checker"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/gatehouse-project/gatehouse/decision"
)

// costLimit bounds the work of one evaluation, in CEL's cost units (about one
// per operation and one per ten bytes of text). What exceeds it is a no.
const costLimit = 100_000

// condition is a checked expression that is not yet bound to a policy.
type condition struct {
	program cel.Program
	uses    uses
}

// expression is a condition in one policy. It implements [decision.Expression].
type expression struct {
	*condition
	ages decision.Ages
}

// Facts returns the facts that the expression reads.
func (x *expression) Facts() decision.FactSet { return x.uses.facts }

// Subjects says whether the expression reads user or device fields, or claims.
func (x *expression) Subjects() (user, device bool) { return x.uses.user, x.uses.device }

// Eval returns the result for one request. An evaluation error, such as a claim
// that the token lacks, is a no. It allocates little and takes about a
// microsecond.
func (x *expression) Eval(q *decision.Request) (decision.Tri, decision.Cause) {
	out, _, err := x.program.Eval((*activation)(q))
	if err != nil {
		return decision.No, decision.CauseNone
	}
	switch out {
	case types.True:
		if x.uses.record {
			if c := x.recordCause(q); c != decision.CauseNone {
				return decision.Unknown, c
			}
		}
		return decision.Yes, decision.CauseNone
	case types.False:
		return decision.No, decision.CauseNone
	}
	if !types.IsUnknown(out) {
		return decision.No, decision.CauseNone
	}
	if x.uses.record && q.Identity.Device.Known() && !q.Posture.Known() {
		return decision.Unknown, absence(q.Posture)
	}
	return decision.Unknown, decision.CauseNone
}

// recordCause applies the policy's ages to fields that are no facts and that
// the engine therefore does not age: the device's name, or whether a source
// has it at all. A yes from an expired record is unknown.
func (x *expression) recordCause(q *decision.Request) decision.Cause {
	now, known := decision.Mono(q.Now), q.Posture.Known()
	cause := decision.CauseNone
	for i := range q.Posture.Evidence {
		ev := &q.Posture.Evidence[i]
		if known && !ev.Found || !known && !ev.State.Authoritative {
			continue
		}
		confirmed, limit := ev.Confirmed, x.ages.MaxAge
		if confirmed == 0 {
			confirmed = ev.State.Confirmed()
		}
		failing := ev.State.Failing()
		if failing != decision.CauseNone {
			limit += x.ages.StaleIfError
		}
		switch {
		case now-confirmed > int64(limit):
			if cause = failing; cause == decision.CauseNone {
				cause = decision.CauseExpired
			}
		case known:
			return decision.CauseNone
		}
	}
	return cause
}

// activation lets CEL read a request without a map in between.
type activation decision.Request

// ResolveName returns the value of a variable.
func (a *activation) ResolveName(name string) (any, bool) {
	q := (*decision.Request)(a)
	switch name {
	case "device", "user", "request":
		return q, true
	case "now":
		return date(q.Now), true
	case "claims":
		switch {
		case !q.Identity.User.Known(), q.Identity.User.Issuer == decision.IssuerCertificate: // a certificate makes no claims
			return missing, true
		case q.Identity.User.Claims == nil:
			return noClaims, true
		}
		return q.Identity.User.Claims, true
	}
	return nil, false
}

// Parent returns nil: there is no outer scope.
func (a *activation) Parent() cel.Activation { return nil }

var noClaims = map[string]any{}

// objectType is the CEL type of the variable with the same name.
func objectType(variable string) string { return "gatehouse." + variable }

// provider tells CEL the fields of our variables, on top of the standard types.
type provider struct{ types.Provider }

// FindStructType finds the type of device, user or request.
func (p provider) FindStructType(name string) (*types.Type, bool) {
	if _, ok := objects[strings.TrimPrefix(name, "gatehouse.")]; ok && strings.HasPrefix(name, "gatehouse.") {
		return types.NewTypeTypeWithParam(types.NewObjectType(name)), true
	}
	return p.Provider.FindStructType(name)
}

// FindStructFieldNames lists the fields of a type.
func (p provider) FindStructFieldNames(name string) ([]string, bool) {
	if fields, ok := objects[strings.TrimPrefix(name, "gatehouse.")]; ok {
		return fieldNames(fields), true
	}
	return p.Provider.FindStructFieldNames(name)
}

// FindStructFieldType finds a field and how to read it.
func (p provider) FindStructFieldType(name, fieldName string) (*types.FieldType, bool) {
	fields, ok := objects[strings.TrimPrefix(name, "gatehouse.")]
	if !ok {
		return p.Provider.FindStructFieldType(name, fieldName)
	}
	f, ok := fields[fieldName]
	if !ok {
		return nil, false
	}
	return &types.FieldType{
		Type:  f.typ,
		IsSet: func(any) bool { return true }, // has() on it is refused at load
		GetFrom: func(target any) (any, error) {
			q, ok := target.(*decision.Request)
			if !ok {
				return nil, fmt.Errorf("no field %s", fieldName)
			}
			return f.get(q), nil
		},
	}, true
}

// NewValue refuses to build an object of ours in an expression.
func (p provider) NewValue(name string, fields map[string]ref.Val) ref.Val {
	if strings.HasPrefix(name, "gatehouse.") {
		return types.NewErr("%s cannot be built", name)
	}
	return p.Provider.NewValue(name, fields)
}

func fieldNames(fields map[string]*field) []string {
	names := make([]string, 0, len(fields))
	for name := range fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// environment is the one typed environment of all expressions. It depends on
// nothing in the configuration, which is why a syntax check can type-check.
var environment, environmentErr = newEnvironment()

func newEnvironment() (*cel.Env, error) {
	registry, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	return cel.NewEnv(
		cel.CustomTypeAdapter(registry),
		cel.CustomTypeProvider(provider{registry}),
		cel.Variable("device", cel.ObjectType(objectType("device"))),
		cel.Variable("user", cel.ObjectType(objectType("user"))),
		cel.Variable("request", cel.ObjectType(objectType("request"))),
		cel.Variable("claims", cel.MapType(cel.StringType, cel.DynType)),
		cel.Variable("now", cel.TimestampType),
		cel.ParserExpressionSizeLimit(maxExpression),
		cel.ParserRecursionLimit(64),
		cel.ExpressionNodeLimit(1024),
		cel.RegexProgramSizeLimit(1000),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals()),
	)
}

// checkExpression parses, type-checks and plans an expression.
func checkExpression(source string) (*condition, error) {
	if environmentErr != nil {
		return nil, fmt.Errorf("expression environment: %w", environmentErr)
	}
	ast, issues := environment.Compile(source)
	if err := issueError(issues); err != nil {
		return nil, err
	}
	if !ast.OutputType().IsExactType(cel.BoolType) {
		return nil, fmt.Errorf("expression has the type %s, not bool; compare it with something", ast.OutputType())
	}
	used, err := inspect(ast.NativeRep())
	if err != nil {
		return nil, err
	}
	opts := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	// Counting the cost while evaluating doubles the time. An expression whose
	// cost is bounded by its own text does not need it.
	if cost, err := environment.EstimateCost(ast, sizes{}); err != nil || cost.Max > costLimit {
		opts = append(opts, cel.CostLimit(costLimit))
	}
	program, err := environment.Program(ast, opts...)
	if err != nil {
		return nil, fmt.Errorf("expression: %s", oneLine(err.Error()))
	}
	return &condition{program: program, uses: used}, nil
}

// issueError turns the first of CEL's errors into one line.
func issueError(issues *cel.Issues) error {
	if issues.Err() == nil {
		return nil
	}
	if found := issues.Errors(); len(found) > 0 { // the first one; later ones often follow from it
		e := found[0]
		where := fmt.Sprintf("expression, column %d: ", e.Location.Column()+1)
		if e.Location.Line() > 1 {
			where = fmt.Sprintf("expression, line %d, column %d: ", e.Location.Line(), e.Location.Column()+1)
		}
		if name, ok := strings.CutPrefix(e.Message, "undefined field '"); ok {
			return fmt.Errorf("%sunknown field %s", where, strings.TrimSuffix(name, "'"))
		}
		return fmt.Errorf("%s%s", where, syntax(oneLine(e.Message)))
	}
	return fmt.Errorf("expression: %s", oneLine(issues.Err().Error()))
}

// syntax leaves out what the parser would have liked instead: a list of tokens in
// its own notation.
func syntax(msg string) string {
	msg, _, _ = strings.Cut(msg, " expecting ")
	return strings.Replace(msg, "mismatched input '<EOF>'", "the expression ends too early", 1)
}

// oneLine keeps a message of CEL on one line and at a sane length.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if len(s) > 300 {
		s = strings.ToValidUTF8(s[:300], "") + "..."
	}
	return s
}

// sizes bounds texts and lists for the cost estimate. What comes from claims is
// unbounded.
type sizes struct{}

// EstimateSize returns the bound of a field.
func (sizes) EstimateSize(n checker.AstNode) *checker.SizeEstimate {
	path := n.Path()
	if len(path) < 2 || len(path) > 3 {
		return nil
	}
	f, ok := objects[path[0]][path[1]]
	if !ok || f.size == 0 {
		return nil
	}
	if len(path) == 3 { // one item of a list of texts
		return &checker.SizeEstimate{Max: 1024}
	}
	return &checker.SizeEstimate{Max: f.size}
}

// EstimateCallCost leaves calls to CEL's own estimate.
func (sizes) EstimateCallCost(string, string, *checker.AstNode, []checker.AstNode) *checker.CallEstimate {
	return nil
}
