package emulator

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// condition is a parsed $filter.
type condition struct {
	op    string // and, or, not; eq ne gt lt ge le; contains startswith endswith
	kids  []*condition
	field *field
	lit   value
}

// maxFilter bounds a filter's length and, with it, its depth.
const maxFilter = 4096

type filterParser struct {
	tokens []string
	col    *collection
	beta   bool
}

var errFilter = errors.New("invalid filter clause")

// parseFilter reads the subset of OData filters that the services here support.
func parseFilter(s string, col *collection, beta bool) (*condition, error) {
	if len(s) > maxFilter {
		return nil, errFilter
	}
	tokens, err := filterTokens(s)
	if err != nil {
		return nil, err
	}
	p := &filterParser{tokens: tokens, col: col, beta: beta}
	c, err := p.or()
	if err == nil && len(p.tokens) > 0 {
		err = fmt.Errorf("%w: syntax error at %q", errFilter, p.tokens[0])
	}
	return c, err
}

// filterTokens splits a filter; a text literal stays one token with its quotes.
func filterTokens(s string) ([]string, error) {
	var list []string
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case c == ' ':
			i++
		case c == '(' || c == ')' || c == ',':
			list = append(list, s[i:i+1])
			i++
		case c == '\'':
			j := i + 1
			for {
				k := strings.IndexByte(s[j:], '\'')
				if k < 0 {
					return nil, fmt.Errorf("%w: unterminated string literal", errFilter)
				}
				j += k + 1
				if j >= len(s) || s[j] != '\'' { // '' is an escaped quote
					break
				}
				j++
			}
			list = append(list, s[i:j])
			i = j
		default:
			j := i
			for j < len(s) && !strings.ContainsRune(" (),'", rune(s[j])) {
				j++
			}
			list = append(list, s[i:j])
			i = j
		}
	}
	return list, nil
}

func (p *filterParser) next() string {
	if len(p.tokens) == 0 {
		return ""
	}
	t := p.tokens[0]
	p.tokens = p.tokens[1:]
	return t
}

func (p *filterParser) accept(t string) bool {
	if len(p.tokens) > 0 && p.tokens[0] == t {
		p.tokens = p.tokens[1:]
		return true
	}
	return false
}

func (p *filterParser) or() (*condition, error) { return p.chain("or", p.and) }

func (p *filterParser) and() (*condition, error) { return p.chain("and", p.term) }

// chain reads one part, or several joined by op.
func (p *filterParser) chain(op string, part func() (*condition, error)) (*condition, error) {
	c, err := part()
	if err != nil || len(p.tokens) == 0 || p.tokens[0] != op {
		return c, err
	}
	all := &condition{op: op, kids: []*condition{c}}
	for p.accept(op) {
		c, err := part()
		if err != nil {
			return nil, err
		}
		all.kids = append(all.kids, c)
	}
	return all, nil
}

// term reads a parenthesis, a negation, a function or a comparison.
func (p *filterParser) term() (*condition, error) {
	switch {
	case p.accept("("):
		c, err := p.or()
		if err == nil && !p.accept(")") {
			err = fmt.Errorf("%w: missing )", errFilter)
		}
		return c, err
	case p.accept("not"):
		c, err := p.term()
		if err != nil {
			return nil, err
		}
		return &condition{op: "not", kids: []*condition{c}}, nil
	}
	name := p.next()
	if p.accept("(") {
		return p.function(strings.ToLower(name))
	}
	return p.comparison(name, p.next(), p.next())
}

// function reads the arguments of a function whose name and ( are read.
func (p *filterParser) function(fn string) (*condition, error) {
	if fn != "contains" && fn != "startswith" && fn != "endswith" {
		return nil, fmt.Errorf("%w: unknown function %q", errFilter, fn)
	}
	name := p.next()
	comma := p.accept(",")
	c, err := p.comparison(name, fn, p.next())
	if err != nil {
		return nil, err
	}
	if !comma || !p.accept(")") {
		return nil, fmt.Errorf("%w: arguments of %s", errFilter, fn)
	}
	if p.accept("eq") && !p.accept("true") { // AdminService writes startswith(...) eq true
		return nil, fmt.Errorf("%w: %s gives a boolean", errFilter, fn)
	}
	return c, nil
}

// comparison checks that the collection supports op on the property.
func (p *filterParser) comparison(name, op, lit string) (*condition, error) {
	f := p.col.field(name, p.beta)
	if f == nil {
		return nil, fmt.Errorf("%w: could not find a property named '%s' on type '%s'", errFilter, name, p.col.entity)
	}
	if !f.allows(op) {
		return nil, fmt.Errorf("%w: property '%s' does not support '%s'", errFilter, name, op)
	}
	v, err := literal(f.kind, lit, p.col.quoted)
	if err != nil {
		return nil, fmt.Errorf("%w: property '%s': %w", errFilter, name, err)
	}
	return &condition{op: op, field: f, lit: v}, nil
}

// literal reads a literal for a kind of field. quoted: identifiers are text.
func literal(k kind, s string, quoted bool) (value, error) {
	inner, isText := strings.CutPrefix(s, "'")
	if isText {
		inner = strings.ReplaceAll(strings.TrimSuffix(inner, "'"), "''", "'")
	}
	if s == "null" {
		return value{null: true}, nil
	}
	var v value
	var err error
	switch k {
	case kindText:
		if !isText {
			return v, errors.New("want a quoted literal")
		}
		v.s = inner
	case kindGUID:
		if quoted && !isText {
			return v, errors.New("want a quoted literal")
		}
		var g GUID
		g, err = ParseGUID(inner)
		v.s = g.String()
	case kindBool:
		if v.s = s; s != "true" && s != "false" {
			err = errors.New("want true or false")
		}
	case kindDate:
		v.t, err = time.Parse(time.RFC3339Nano, s)
	case kindNumber:
		v.n, err = strconv.ParseInt(s, 10, 64)
	default:
		err = errors.New("not filterable")
	}
	return v, err
}

// match evaluates the condition.
func (c *condition) match(r row) bool {
	switch c.op {
	case "and":
		for _, k := range c.kids {
			if !k.match(r) {
				return false
			}
		}
		return true
	case "or":
		for _, k := range c.kids {
			if k.match(r) {
				return true
			}
		}
		return false
	case "not":
		return !c.kids[0].match(r)
	}
	v := c.field.get(r)
	if v.null || c.lit.null {
		return (c.op == "eq") == (v.null == c.lit.null) && (c.op == "eq" || c.op == "ne")
	}
	switch c.op {
	case "contains":
		return strings.Contains(strings.ToLower(v.s), strings.ToLower(c.lit.s))
	case "startswith":
		return strings.HasPrefix(strings.ToLower(v.s), strings.ToLower(c.lit.s))
	case "endswith":
		return strings.HasSuffix(strings.ToLower(v.s), strings.ToLower(c.lit.s))
	}
	order := 0
	switch c.field.kind {
	case kindDate:
		order = v.t.Compare(c.lit.t)
	case kindNumber:
		order = int(min(max(v.n-c.lit.n, -1), 1))
	default:
		if !strings.EqualFold(v.s, c.lit.s) {
			order = strings.Compare(v.s, c.lit.s)
		}
	}
	return c.op == "eq" && order == 0 || c.op == "ne" && order != 0 ||
		c.op == "gt" && order > 0 || c.op == "lt" && order < 0 ||
		c.op == "ge" && order >= 0 || c.op == "le" && order <= 0
}

// each visits every part of the condition.
func (c *condition) each(visit func(*condition)) {
	visit(c)
	for _, k := range c.kids {
		k.each(visit)
	}
}

// oneField reports whether every comparison below c is on the same property.
func (c *condition) oneField() bool {
	var first *field
	same := true
	c.each(func(k *condition) {
		if k.field != nil {
			same = same && (first == nil || first == k.field)
			first = k.field
		}
	})
	return same
}
