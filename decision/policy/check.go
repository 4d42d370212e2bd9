package policy

import (
	"errors"
	"fmt"
)

// problems collects mistakes, so that an operator sees all of them at once.
type problems []error

func (p *problems) add(place, format string, args ...any) {
	*p = append(*p, &Error{Place: place, Msg: fmt.Sprintf(format, args...)})
}

// err returns nil, the one mistake, or up to maxErrors of them joined.
func (p problems) err() error {
	switch {
	case len(p) == 0:
		return nil
	case len(p) == 1:
		return p[0]
	case len(p) > maxErrors:
		p = append(p[:maxErrors:maxErrors], fmt.Errorf("and %d more errors", len(p)-maxErrors))
	}
	return errors.Join(p...)
}

// CheckPolicy checks what one policy shows by itself: the syntax of its lines,
// duplicates, and that it requires something. The error is an [*Error], or
// several joined ([errors.Join]).
func CheckPolicy(p PolicyConfig) error {
	_, bad := parsePolicy(p)
	return bad.err()
}

// parsed is a policy whose lines are understood but not yet resolved.
type parsed struct {
	PolicyConfig
	lines []*statement
}

// line returns the first line that begins with word, or nil.
func (p *parsed) line(word string) *statement {
	for _, s := range p.lines {
		if s.word == word {
			return s
		}
	}
	return nil
}

// extends returns the name of the parent, or "".
func (p *parsed) extends() string {
	if s := p.line("extends"); s != nil {
		return s.name
	}
	return ""
}

func parsePolicy(c PolicyConfig) (_ *parsed, bad problems) {
	if err := checkName("policy", c.Name); err != nil {
		bad.add(c.Place, "%s", err)
	} else if c.Name == "off" {
		bad.add(c.Place, "a policy cannot be named off: that word switches the check off on a route")
	}
	if len(c.Lines) > maxLines {
		bad.add(c.Place, "policy %s has %d lines: at most %d", c.Name, len(c.Lines), maxLines)
		return nil, bad
	}
	p := &parsed{PolicyConfig: c}
	for _, l := range c.Lines {
		s, err := parseLine(l)
		if err != nil {
			bad = append(bad, err)
			continue
		}
		if first := p.duplicate(s); first != nil {
			bad.add(s.place, "second line %s%s", s.text, firstAt(first))
			continue
		}
		p.lines = append(p.lines, s)
	}
	if len(bad) == 0 {
		p.checkTogether(&bad)
	}
	return p, bad
}

// duplicate returns an earlier line that s repeats, or nil.
func (p *parsed) duplicate(s *statement) *statement {
	once := false
	for _, d := range directives {
		once = once || d.word == s.word && d.once
	}
	for _, other := range p.lines {
		if other.word == s.word && (once || other.text == s.text) {
			return other
		}
	}
	return nil
}

func firstAt(s *statement) string {
	if s.place == "" {
		return " in this policy; the first is: " + s.text
	}
	return " in this policy; the first is at " + s.place
}

// checkTogether checks what lines mean beside each other.
func (p *parsed) checkTogether(bad *problems) {
	if p.line("require") == nil && p.line("extends") == nil {
		bad.add(p.Place, "policy %s requires nothing; add a require line or extends", p.Name)
	}
	if f := p.line("freshness"); f != nil {
		for _, word := range []string{"max_age", "stale_if_error"} {
			if s := p.line(word); s != nil {
				bad.add(s.place, "%s beside %s: write a tier or ages, not both", word, f.text)
			}
		}
	}
	if s := p.line("report_only"); s != nil && !s.unenforced && p.line("extends") == nil {
		bad.add(s.place, "report_only without a policy to extend would enforce nothing; if that is meant, write: report_only unenforced until %s", s.until.AddDate(0, 0, -1).Format("2006-01-02"))
	}
	if s := p.line("extends"); s != nil && s.name == p.Name {
		bad.add(s.place, "policy %s extends itself", p.Name)
	}
}
