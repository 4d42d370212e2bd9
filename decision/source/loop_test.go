package source

import (
	"context"
	"testing"
	"time"
)

// lingerer follows up for as long as it may.
type lingerer struct {
	lister
	gaps []time.Duration // from the end of one sweep to the start of the next
	end  time.Time
}

func (l *lingerer) Sync(ctx context.Context, s *Sweep) error {
	if !l.end.IsZero() {
		l.gaps = append(l.gaps, time.Since(l.end))
	}
	defer func() { l.end = time.Now() }()
	return l.lister.Sync(ctx, s)
}

func (*lingerer) FollowUp(ctx context.Context) bool {
	<-ctx.Done()
	return false
}

// TestPollIsKept: from one sweep to the next it is the poll or up to a fifth less, however
// long the source is busy with something else in between.
func TestPollIsKept(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &lingerer{lister: lister{fake{devices: fleet(3, nil)}}}
		const poll = 4 * time.Minute
		r := run(src, RunnerOptions{Poll: poll, Remote: true})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Start(t.Context())
		pass(time.Hour)
		r.Stop()
		if len(src.gaps) < 14 {
			t.Errorf("%d sweeps in an hour", len(src.gaps))
		}
		for i, gap := range src.gaps[1:] { // the first is Load's
			if gap > poll || gap < poll*8/10 {
				t.Errorf("gap %d is %s", i, gap)
			}
		}
	})
}
