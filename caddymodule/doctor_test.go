package caddymodule

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/policy"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// TestDoctorBounded: whatever an examination does, it ends, and says something.
func TestDoctorBounded(t *testing.T) {
	good := found{findings: []checkup.Finding{checkup.Ok("a", "well")}}
	for name, tc := range map[string]struct {
		examine func(context.Context) found
		took    time.Duration
		state   checkup.State
		text    string
	}{
		"good":    {func(context.Context) found { return good }, 0, checkup.OK, "well"},
		"nothing": {func(context.Context) found { return found{} }, 0, checkup.Skipped, "nothing to examine"},
		"heeds": {func(ctx context.Context) found {
			<-ctx.Done()
			return failed(ctx.Err())
		}, time.Minute, checkup.Fault, "deadline"},
		"hangs": {func(context.Context) found {
			time.Sleep(time.Hour)
			return good
		}, time.Minute + doctorGrace, checkup.Fault, "did not end in time"},
		"breaks": {func(context.Context) found { panic("oops") }, 0, checkup.Fault, "oops"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &doctor{timeout: time.Minute}
				start := time.Now()
				f := d.bounded(t.Context(), tc.examine)
				if took := time.Since(start); took != tc.took {
					t.Errorf("it took %s, want %s", took, tc.took)
				}
				if len(f.findings) != 1 || f.findings[0].State != tc.state || !strings.Contains(f.findings[0].Text, tc.text) {
					t.Errorf("%+v, want %s %q", f.findings, tc.state, tc.text)
				}
				time.Sleep(2 * time.Hour) // what was abandoned ends some time
			})
		})
	}
}

func TestDoctorNames(t *testing.T) {
	s := section{name: "source intune"}
	for name, want := range map[string]bool{"intune": true, "source intune": true, "source": false, "tune": false, "": false} {
		if got := s.answersTo(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
	all := []section{{name: "configuration"}, {name: "source intune"}, {name: "issuer corp"}}
	more := section{name: sampleSection}
	err := choose(&all, []string{"corp", sampleSection}, &more)
	if err != nil || len(all) != 1 || all[0].name != "issuer corp" {
		t.Errorf("chosen %v, %v", all, err)
	}
	err = choose(&all, []string{"nothing"}, &more)
	if err == nil || !strings.Contains(err.Error(), "issuer corp") {
		t.Errorf("an unknown name: %v", err)
	}
}

func TestDoctorSampleOf(t *testing.T) {
	serial, entra := decision.Key{Kind: decision.KindSerial, Value: "A1"}, decision.Key{Kind: decision.KindEntra, Value: "x"}
	for name, tc := range map[string]struct {
		from [][]decision.Key
		want decision.Key
	}{
		"none":       {nil, decision.Key{}},
		"first":      {[][]decision.Key{nil, {serial}}, serial},
		"with Entra": {[][]decision.Key{{serial}, {entra, serial}}, entra},
	} {
		results := make([]found, len(tc.from))
		for i := range results {
			results[i].sample = tc.from[i]
		}
		var got decision.Key
		if keys := sampleOf(results); len(keys) > 0 {
			got = keys[0]
		}
		if got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestSampleKey(t *testing.T) {
	for in, want := range map[string]string{
		"": "-", "serial=A1": "serial A1", "serial:A=1": "serial A=1", "SERIAL=a1": "serial A1",
		"11111111-1111-4111-8111-111111111111": "entra 11111111-1111-4111-8111-111111111111",
		"serial=":                              "error", "entra=no": "error",
	} {
		k, err := sampleKey(in)
		got := "-"
		switch {
		case err != nil:
			got = "error"
		case k != nil:
			got = k.Kind + " " + k.Value
		}
		if got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// TestJudgeDecision: that a device is refused is no fault, that nobody can say is.
func TestJudgeDecision(t *testing.T) {
	risk := &decision.Policy{Requirements: []decision.Requirement{{Kind: decision.RequireUserRisk}}}
	plain := &decision.Policy{Requirements: []decision.Requirement{{Kind: decision.RequireCompliant}}}
	reason := func(code string) []policy.ExplainedReason {
		return []policy.ExplainedReason{{Code: code, Effect: "undecided"}}
	}
	result := func(r string) []policy.ExplainedRequirement { return []policy.ExplainedRequirement{{Result: r}} }
	for name, tc := range map[string]struct {
		p     *decision.Policy
		x     policy.Explanation
		owner string
		asked bool
		state checkup.State
		text  string
	}{
		"allow":             {p: plain, x: policy.Explanation{Outcome: "allow", Requirements: result("pass")}, state: checkup.OK, text: "allow"},
		"allow the owner":   {p: plain, x: policy.Explanation{Outcome: "allow", Requirements: result("pass")}, owner: "ann", state: checkup.OK, text: "allow (as its owner)"},
		"block":             {p: plain, x: policy.Explanation{Outcome: "block", Requirements: result("fail")}, state: checkup.OK, text: "block"},
		"not loaded":        {p: plain, x: policy.Explanation{Outcome: "undecided", Requirements: result("unknown"), Reasons: reason("not_loaded")}, state: checkup.Skipped, text: "listing"},
		"source failing":    {p: plain, x: policy.Explanation{Outcome: "undecided", Requirements: result("unknown"), Reasons: reason("source_failing")}, state: checkup.Warning, text: "undecided"},
		"user facts":        {p: risk, x: policy.Explanation{Outcome: "block", Requirements: result("unknown")}, owner: "ann", state: checkup.Skipped, text: "facts about the user"},
		"user was asked":    {p: risk, x: policy.Explanation{Outcome: "block", Requirements: result("unknown")}, owner: "ann", asked: true, state: checkup.OK, text: "block (as its owner)"},
		"user is known":     {p: risk, x: policy.Explanation{Outcome: "allow", Requirements: result("pass")}, state: checkup.OK, text: "allow"},
		"user is too risky": {p: risk, x: policy.Explanation{Outcome: "block", Requirements: result("fail")}, owner: "ann", asked: true, state: checkup.OK, text: "block (as its owner)"},
	} {
		f := judgeDecision(tc.p, &tc.x, tc.owner, tc.asked)
		if f.State != tc.state || f.Check != checkup.CheckDecision || !strings.Contains(f.Text, tc.text) {
			t.Errorf("%s: %+v, want %s %q", name, f, tc.state, tc.text)
		}
	}
}

// stranger is somebody else's source.
type stranger struct{}

func (stranger) Facts() decision.FactSet { return 0 }

func TestDoctorStranger(t *testing.T) {
	var src source.Source = stranger{}
	f := examineSource(t.Context(), src)
	if len(f.findings) != 1 || f.findings[0].State != checkup.Skipped {
		t.Errorf("a source that cannot examine itself: %+v", f)
	}
}
