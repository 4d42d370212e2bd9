package sourcetest

import (
	"context"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// claims is a source that can report some facts and has no devices.
type claims decision.FactSet

func (c claims) Facts() decision.FactSet { return decision.FactSet(c) }

func (claims) Sync(context.Context, *source.Sweep) error { return nil }

// TestFixtureExplainsItself: what a fixture leaves out, it gives a reason for.
func TestFixtureExplainsItself(t *testing.T) {
	change := func([]decision.Verdict) {}
	because := func(why string, facts ...decision.Fact) map[decision.Fact]string {
		m := map[decision.Fact]string{}
		for _, f := range facts {
			m[f] = why
		}
		return m
	}
	risk := claims(decision.Facts(decision.FactRisk, decision.FactManaged, decision.FactOS))
	for _, tt := range []struct {
		name  string
		fx    Fixture
		want  decision.FactSet
		error string
	}{
		{"changes", Fixture{Change: change}, decision.Facts(decision.FactRisk, decision.FactManaged), ""},
		{"neither", Fixture{}, 0, "no Change"},
		{"both", Fixture{Change: change, Unchanging: "why"}, 0, "says why it has none"},
		{"says why", Fixture{Unchanging: "a printed list"}, decision.Facts(decision.FactRisk, decision.FactManaged), ""},
		{"says why of a fact", Fixture{Change: change, Unsaid: because("always so", decision.FactManaged)}, decision.Facts(decision.FactRisk), ""},
		{"no reason", Fixture{Change: change, Unsaid: because("", decision.FactManaged)}, 0, "no reason"},
		{"of a fact that the source has not", Fixture{Change: change, Unsaid: because("why", decision.FactMalware)}, 0, "malware"},
		{"of a fact without bad news", Fixture{Change: change, Unsaid: because("why", decision.FactOS)}, 0, "os"},
		{"of all", Fixture{Change: change, Unsaid: because("why", decision.FactManaged, decision.FactRisk)}, 0, "no bad news at all"},
	} {
		tt.fx.Source = risk
		got, err := tt.fx.changes()
		if got != tt.want || (err == nil) != (tt.error == "") || err != nil && !strings.Contains(err.Error(), tt.error) {
			t.Errorf("%s: %v, %v; want %v, %q", tt.name, listed(got), err, listed(tt.want), tt.error)
		}
	}
}

// TestTones: a fact stands as it was told, and the zero device is silent.
func TestTones(t *testing.T) {
	for _, w := range []tone{silent, good, bad} {
		var d decision.Device
		tell(&d, bad) // what was there before is gone
		tell(&d, w)
		for i := range table {
			if got := table[i].hear(&d); got != w {
				t.Errorf("%s was told %s and is %s", table[i].fact, w, got)
			}
		}
	}
	if got := told(&decision.Device{Compliance: decision.ComplianceConflict}, bad); got != decision.Facts(decision.FactCompliance) {
		t.Errorf("a conflict is bad news of %v", listed(got))
	}
}
