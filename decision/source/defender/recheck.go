package defender

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

const (
	// maxAsked bounds the single machines that one Sync asks for.
	maxAsked = 20
	// minFull is the least time between two complete listings that are made
	// because too many machines would have to be asked for.
	minFull = 10 * time.Minute
	// recent is how long a machine may be silent and still be missed. The service
	// leaves machines out of its list that were silent for weeks.
	recent = 7 * 24 * time.Hour
)

// recheck asks for machines that were at risk and are not in the answer about all
// at risk. Until a machine is asked for, the risk that was known stays.
func (s *Source) recheck(ctx context.Context, p *pass, answer map[decision.Key]bool, lowest decision.Level) error {
	s.mu.Lock()
	for own := range s.during {
		answer[own] = true
	}
	missing := s.fleet.missing(answer, lowest)
	sinceFull := p.now.Sub(s.lastFull)
	s.mu.Unlock()
	if len(missing) > maxAsked && sinceFull >= minFull {
		return s.full(ctx, p)
	}
	p.waiting = len(missing)
	for _, own := range missing[:min(len(missing), maxAsked)] {
		v, err := s.machine(ctx, own, "Low", p.tally)
		switch {
		case errors.Is(err, source.ErrUnknownDevice):
			s.forget(own)
			p.changed++
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil: // such as throttled: the others would fail like it
			s.o.Logger.Warn("machines that were at risk cannot be asked for, their risk stays", "machines", p.waiting, "error", err)
			return nil
		default:
			s.learn(p.now, v)
			p.changed++
		}
		p.rechecked++
		p.waiting--
	}
	return nil
}

// confirm asks for machines that a complete listing should have and does not. It
// puts back what the service still has. If many are missing, that even some of
// them are still there shows that the listing is not complete.
func (s *Source) confirm(ctx context.Context, p *pass, fresh *fleet) error {
	s.mu.Lock()
	before := s.fleet.view
	s.mu.Unlock()
	if before == nil {
		return nil
	}
	var missing []decision.Verdict
	for _, v := range before.All() {
		if _, ok := fresh.listing.Get(v.Keys[0]); !ok && p.now.Sub(v.EvaluatedAt) < recent {
			missing = append(missing, v)
		}
	}
	slices.SortFunc(missing, func(a, b decision.Verdict) int {
		return cmp.Or(cmp.Compare(b.Risk, a.Risk), b.EvaluatedAt.Compare(a.EvaluatedAt), strings.Compare(a.Keys[0].Value, b.Keys[0].Value))
	})
	for _, old := range missing[:min(len(missing), maxAsked)] {
		v, err := s.machine(ctx, old.Keys[0], "Low", p.tally)
		if errors.Is(err, source.ErrUnknownDevice) {
			p.rechecked++
			continue
		}
		if err != nil {
			return fmt.Errorf("machine that the listing left out: %w", err)
		}
		p.rechecked++
		if len(missing) > maxAsked {
			return fmt.Errorf("listing is not complete: it left out %d machines, and the service still has some of them", len(missing))
		}
		if _, err := fresh.put(v, p.now); err != nil {
			return err
		}
	}
	return nil
}
