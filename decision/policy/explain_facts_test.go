package policy

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// TestExplainConflict: who says what about a fact, how old each word is, and why
// one of them counts.
func TestExplainConflict(t *testing.T) {
	now := time.Now()
	set := mustCompile(t, "p\n require risk at_most low\n require managed")
	p := mustPolicy(t, set, "p")
	p.Ages = decision.Ages{MaxAge: 10 * time.Minute, StaleIfError: time.Hour}
	q := request(source(now), nil, now)
	mdm := source(now.Add(-3 * time.Minute))
	mdm.Name = "intune"
	edr := source(now.Add(-20 * time.Minute))
	edr.Name, edr.Index = "defender", 1
	edr.Fail(decision.CauseSourceFailing)
	posture, words := decision.Weigh([]decision.Report{
		{State: mdm, Verdict: &decision.Verdict{Device: decision.Device{Managed: decision.Yes, Risk: decision.LevelLow}}},
		{State: edr, Verdict: &decision.Verdict{Device: decision.Device{Risk: decision.LevelHigh, EvaluatedAt: now.Add(-2 * time.Hour)}}},
	}, q.Identity.Device.Keys[0])
	q.Posture = posture
	x := Explain(p, set.Engine, q, words)

	facts := map[string]ExplainedFact{}
	for _, f := range x.Facts {
		facts[f.Name] = f
	}
	risk := facts["risk"]
	if !risk.Conflict || risk.Value != "high" || risk.Source != "defender" || risk.Why != "worst_of" || len(risk.Words) != 2 || x.Conflicts != 1 {
		t.Fatalf("got %+v of %d conflicts", risk, x.Conflicts)
	}
	low, high := risk.Words[0], risk.Words[1]
	if low.Source != "intune" || low.Value != "low" || low.Standing != "overruled" || low.Freshness != "fresh" || *low.AgeSeconds != 180 || low.ObservedAt != nil || low.Failing {
		t.Errorf("got %+v", low)
	}
	if high.Standing != "counts" || high.Freshness != "stale" || *high.AgeSeconds != 1200 || !high.Failing || high.ObservedAt == nil ||
		!high.ConfirmedAt.Equal(now.Add(-20*time.Minute).UTC().Truncate(time.Second)) {
		t.Errorf("got %+v", high)
	}
	if m := facts["managed"]; m.Conflict || m.Why != "authority" || len(m.Words) != 1 {
		t.Errorf("got %+v", m)
	}
	text := x.String()
	for _, want := range []string{"conflicts:\n", "risk  intune", "overruled", "counts (worst_of)", "confirmed 20m0s ago", "stale", "failing"} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	// Without a policy nobody can say what is fresh, and without words who said what.
	if plain := WeighedFacts(posture, words, now); plain[0].Freshness != "" || plain[0].Words[0].Freshness != "" {
		t.Errorf("got %+v", plain[0])
	}
	raw, err := json.Marshal(Explain(p, set.Engine, q, nil))
	if err != nil || strings.Contains(string(raw), `"words"`) || !strings.Contains(string(raw), `"conflict":true`) {
		t.Errorf("a remembered decision: %s, %v", raw, err)
	}
	if got := ConflictText(WeighedFacts(posture, nil, now)); got != "" {
		t.Errorf("a table without words: %q", got)
	}
}
