package vectors

import (
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/policy"
)

// line is one line of a Caddyfile: its words and its number.
type line struct {
	words []string
	no    int
}

// tokenize splits Caddyfile text into lines of words. It knows what the vectors
// use: quotes, backticks, comments, and braces that stand at the end of a line
// or alone.
func tokenize(text string) ([]line, error) {
	var lines []line
	for i, l := range strings.Split(text, "\n") {
		words, err := split(l)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", i+1, err)
		}
		if len(words) > 0 {
			lines = append(lines, line{words, i + 1})
		}
	}
	return lines, nil
}

func split(s string) ([]string, error) {
	var words []string
	for {
		s = strings.TrimLeft(s, " \t\r")
		switch {
		case s == "" || s[0] == '#':
			return words, nil
		case s[0] == '"' || s[0] == '`':
			end := strings.IndexByte(s[1:], s[0])
			if end < 0 {
				return nil, fmt.Errorf("quote is not closed")
			}
			words = append(words, s[1:end+1])
			s = s[end+2:]
		default:
			end := strings.IndexAny(s, " \t\r")
			if end < 0 {
				end = len(s)
			}
			words = append(words, s[:end])
			s = s[end:]
		}
	}
}

// ahead are the dates of a policy that are counted from now.
var ahead = regexp.MustCompile(`\{\{([+-]\d+)d\}\}`)

// PolicyText is the policy with its dates and the device's id filled in:
// {{+30d}} and {{device}}.
func (v *Vector) PolicyText(now time.Time) string {
	text := strings.ReplaceAll(v.Policy, "{{device}}", v.DeviceID())
	return ahead.ReplaceAllStringFunc(text, func(s string) string {
		t, err := relative(strings.Trim(s, "{}"), now)
		if err != nil {
			return s
		}
		return t.UTC().Format(time.DateOnly)
	})
}

// PolicyName is the policy that the vector tests.
func (v *Vector) PolicyName(now time.Time) (string, error) {
	policies, _, err := v.configs(now)
	if err != nil {
		return "", err
	}
	for _, p := range policies {
		if p.Name == "this" {
			return p.Name, nil
		}
	}
	if len(policies) == 0 {
		return "", fmt.Errorf("no policy")
	}
	return policies[len(policies)-1].Name, nil
}

// configs reads the blocks of the policy text.
func (v *Vector) configs(now time.Time) (policies []policy.PolicyConfig, stepUps []policy.StepUpConfig, err error) {
	lines, err := tokenize(v.PolicyText(now))
	if err != nil {
		return nil, nil, err
	}
	for len(lines) > 0 {
		head := lines[0]
		if len(head.words) != 3 || head.words[2] != "{" {
			return nil, nil, fmt.Errorf("line %d: want a block like `policy NAME {`", head.no)
		}
		body, rest, err := block(lines[1:])
		if err != nil {
			return nil, nil, fmt.Errorf("line %d: %w", head.no, err)
		}
		lines = rest
		place := v.place(head)
		switch head.words[0] {
		case "policy":
			p := policy.PolicyConfig{Name: head.words[1], Place: place}
			for _, l := range body {
				p.Lines = append(p.Lines, policy.Line{Words: l.words, Place: v.place(l)})
			}
			policies = append(policies, p)
		case "step_up":
			su, err := v.stepUp(head.words[1], place, body)
			if err != nil {
				return nil, nil, err
			}
			stepUps = append(stepUps, su)
		default:
			return nil, nil, fmt.Errorf("line %d: unknown block %q", head.no, head.words[0])
		}
	}
	return policies, stepUps, nil
}

func (v *Vector) place(l line) string { return fmt.Sprintf("policy:%d", l.no) }

// block returns the lines up to the closing brace and those after it.
func block(lines []line) (body, rest []line, err error) {
	depth := 1
	for i, l := range lines {
		switch last := l.words[len(l.words)-1]; {
		case last == "{":
			depth++
		case l.words[0] == "}":
			depth--
		}
		if depth == 0 {
			return lines[:i], lines[i+1:], nil
		}
	}
	return nil, nil, fmt.Errorf("block is not closed")
}

func (v *Vector) stepUp(name, place string, body []line) (policy.StepUpConfig, error) {
	su := policy.StepUpConfig{Name: name, Place: place}
	for len(body) > 0 {
		l := body[0]
		body = body[1:]
		switch {
		case l.words[0] == "max_age" && len(l.words) == 2:
			su.MaxAge = l.words[1]
		case l.words[0] == "for" && len(l.words) == 3 && l.words[2] == "{":
			inner, rest, err := block(body)
			if err != nil {
				return su, fmt.Errorf("line %d: %w", l.no, err)
			}
			body = rest
			f := policy.StepUpFor{Issuer: l.words[1], Place: v.place(l)}
			for _, in := range inner {
				if err := method(&f, in); err != nil {
					return su, err
				}
			}
			su.For = append(su.For, f)
		default:
			return su, fmt.Errorf("line %d: unknown word %q in a step_up", l.no, l.words[0])
		}
	}
	return su, nil
}

func method(f *policy.StepUpFor, l line) error {
	values := l.words[1:]
	switch {
	case l.words[0] == "auth_context" && len(values) == 1:
		f.AuthContext = values[0]
	case l.words[0] == "acr_values" && len(values) > 0:
		f.ACRValues = values
	case l.words[0] == "amr" && len(values) > 0:
		f.AMR = values
	case l.words[0] == "attests" && len(values) > 0:
		f.Attests = values
	default:
		return fmt.Errorf("line %d: unknown word or count of values: %s", l.no, strings.Join(l.words, " "))
	}
	return nil
}

// Compile builds the vector's policies, as the gateway does that replays it,
// and returns the one that is tested.
func (v *Vector) Compile(now time.Time) (*policy.Set, *decision.Policy, error) {
	policies, stepUps, err := v.configs(now)
	if err != nil {
		return nil, nil, err
	}
	set, err := policy.Compile(policies, stepUps, policy.Environment{
		Facts:   decision.AllFacts,
		Sources: []string{SourceName},
		Issuers: []policy.Issuer{{Name: "corp"}, {Name: "entra", Entra: true}, {Name: decision.IssuerCertificate}},
		Proofs: []decision.Proof{
			decision.ProofAttested, decision.ProofToken, decision.ProofBoundToken,
			decision.ProofForwardedCertificate, decision.ProofCertificate,
		},
		PollIntervals: map[string]time.Duration{SourceName: time.Second},
		Now:           now,
	})
	if err != nil {
		return nil, nil, err
	}
	name, err := v.PolicyName(now)
	if err != nil {
		return nil, nil, err
	}
	p, ok := set.Policy(name)
	if !ok {
		return nil, nil, fmt.Errorf("policy %q was not built", name)
	}
	return set, p, nil
}
