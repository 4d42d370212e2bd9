package vectors

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

const dir = "../../decision/testdata/vectors"

func load(t testing.TB) []Vector {
	t.Helper()
	vs, err := Load(dir)
	if err != nil {
		t.Fatal(err)
	}
	return vs
}

// TestVectors replays every vector in this process.
func TestVectors(t *testing.T) {
	vs := load(t)
	if len(vs) < 170 {
		t.Errorf("%d vectors, want at least 170", len(vs))
	}
	now := time.Now()
	for i := range vs {
		v := &vs[i]
		t.Run(strings.TrimSuffix(v.File, ".yaml")+"/"+v.Name, func(t *testing.T) {
			set, p, err := v.Compile(now)
			if err != nil {
				t.Fatalf("%s:%d: %v", v.File, v.Line, err)
			}
			q, err := v.Request(now)
			if err != nil {
				t.Fatalf("%s:%d: %v", v.File, v.Line, err)
			}
			enforce, trial := p.Split(now)
			want := result{v.Want, v.Reasons, v.Warnings, v.StepUp}
			if enforce == nil {
				if want.outcome != "allow" {
					t.Errorf("%s:%d: nothing is enforced, want %v", v.File, v.Line, want)
				}
			} else {
				compare(t, v, "decision", decide(set.Engine, enforce, q), want)
			}
			switch {
			case (trial == nil) != (v.Trial == nil):
				t.Errorf("%s:%d: on trial: %v, want %v", v.File, v.Line, trial != nil, v.Trial != nil)
			case trial != nil:
				got := decide(set.Engine, trial, q)
				got.stepUp = ""
				compare(t, v, "trial", got, result{v.Trial.Want, v.Trial.Reasons, v.Trial.Warnings, ""})
			}
		})
	}
}

type result struct {
	outcome           string
	reasons, warnings []string
	stepUp            string
}

func decide(e *decision.Engine, p *decision.Policy, q *decision.Request) result {
	var d decision.Decision
	e.Decide(p, q, &d)
	r := result{outcome: d.Outcome.String()}
	for _, f := range d.Findings {
		if f.Effect == decision.EffectWarn {
			r.warnings = append(r.warnings, f.Reason.Code())
		} else {
			r.reasons = append(r.reasons, f.Reason.Code())
		}
	}
	if d.StepUp != nil {
		r.stepUp = d.StepUp.Name
	}
	return r
}

func compare(t *testing.T, v *Vector, what string, got, want result) {
	t.Helper()
	if got.outcome != want.outcome || got.stepUp != want.stepUp || !slices.Equal(got.reasons, want.reasons) || !slices.Equal(got.warnings, want.warnings) {
		t.Errorf("%s:%d: %s\ngot  %s %v, warnings %v, step-up %q\nwant %s %v, warnings %v, step-up %q", v.File, v.Line, what,
			got.outcome, got.reasons, got.warnings, got.stepUp, want.outcome, want.reasons, want.warnings, want.stepUp)
	}
}
