package source

import (
	"context"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// slowLister takes its time over a sweep.
type slowLister struct {
	lister
	pause time.Duration
}

func (s *slowLister) Sync(ctx context.Context, sweep *Sweep) error {
	select {
	case <-time.After(s.pause):
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.lister.Sync(ctx, sweep)
}

// TestOverdueSweep: a source that keeps us waiting is failing while it does, so that
// stale_if_error covers it, and is well again when it answers.
func TestOverdueSweep(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &slowLister{lister: lister{fake{devices: fleet(3, nil)}}}
		r := run(src, RunnerOptions{Poll: 5 * time.Minute})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		failing := func(want decision.Cause) {
			t.Helper()
			if got := r.State().Failing(); got != want {
				t.Errorf("failing %v, want %v", got, want)
			}
		}
		src.pause = 20 * time.Second
		ended := make(chan error)
		go func() { ended <- r.SyncNow(context.WithoutCancel(t.Context())) }()
		pass(5 * time.Second)
		failing(decision.CauseNone)
		pass(2 * time.Second)
		failing(decision.CauseSourceFailing)
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		failing(decision.CauseNone)
		pass(time.Minute)
		failing(decision.CauseNone)
	})
}
