package source

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestSkippedValues(t *testing.T) {
	got := SkippedValues(map[string]int{"risk: unknown": 2, "date": 1, "id: bad": 3, "id: absent": -1})
	want := []SkippedValue{{"date", "", 1}, {"id", "absent", 0}, {"id", "bad", 3}, {"risk", "unknown", 2}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// asking is a source that cannot list.
type asking struct{ err error }

func (*asking) Facts() decision.FactSet { return decision.AllFacts }

func (a *asking) Lookup(_ context.Context, key decision.Key) (decision.Verdict, error) {
	return device(decision.Compliant, key), a.err
}

func (*asking) Counters() Counters {
	return Counters{Skipped: []SkippedValue{{"risk", "unlisted", 4}}, Own: struct {
		Asked int `json:"asked"`
	}{7}}
}

// TestIdle: a source that is only asked about single devices is idle before its
// first question, and says what is wrong after it.
func TestIdle(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &asking{}
		r := run(src, RunnerOptions{})
		s := r.Status()
		if s.State != HealthIdle || !s.Confirmed.IsZero() || s.LastError != "" {
			t.Errorf("before the first question: %+v", s)
		}
		if s.Counters == nil || s.Counters.Skipped[0].Count != 4 {
			t.Errorf("counters: %+v", s.Counters)
		}
		src.err = errors.New("boom")
		_ = r.Refresh(t.Context(), serial(1))
		if s := r.Status(); s.State != HealthFailing || s.LastError != "boom" {
			t.Errorf("after a failure: %+v", s)
		}
		for range breakerRow {
			_ = r.Refresh(t.Context(), serial(1))
		}
		if s := r.Status(); s.Breaker != "open" || s.LastError != "boom" {
			t.Errorf("behind an open breaker: %+v", s)
		}
		src.err = nil
		pass(2 * breakerRest)
		_ = r.Refresh(t.Context(), serial(1))
		if s := r.Status(); s.State != HealthOK || s.LastError != "" || time.Since(s.Confirmed) > time.Minute {
			t.Errorf("after the repair: %+v", s)
		}
	})
}
