package source

import (
	"context"
	"sync"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Resolve is Posture, plus one bounded look-up at every [Looker] that has nothing
// in memory about the device and could know it: one that cannot list its
// devices, has not done so yet, or may know more by now than its last listing
// (RunnerOptions.AskUnknown). A device that all sources have never waits. The same
// goes for a user with too many groups for a token, at a [GroupLooker].
func (d *Directory) Resolve(ctx context.Context, id *decision.Identity) *decision.Posture {
	if p := d.memo(id); p != nil {
		return p
	}
	p, s := d.build(id, nil)
	groups := d.groupsOf(&id.User)
	asked := groups != nil && groups.lacks(id.User.ObjectID)
	if (s.settled || s.ambiguous) && !asked {
		return p
	}
	var wg sync.WaitGroup
	if asked {
		wg.Go(func() { groups.ask(ctx, id.User.ObjectID) })
	}
	causes := make([]decision.Cause, len(d.runners))
	for i, r := range d.runners {
		if s.settled || s.ambiguous {
			break
		}
		listed, m := r.complete(), s.matches[i]
		if r.looker == nil || listed && !m.Unconfirmed || m.Verdict != nil && !m.Unconfirmed && !s.undecided {
			continue
		}
		asked = true
		wg.Go(func() {
			cause := r.askFor(ctx, s.asked, s.keys)
			if !listed { // else the listing is an answer too
				causes[i] = cause
			}
		})
	}
	if !asked {
		return p
	}
	wg.Wait()
	p, _ = d.build(id, causes)
	return p
}

// maxAsked bounds the ids that one request asks one source for.
const maxAsked = 4

// askFor asks the source for each of the request's ids, and by an id that
// another source told only if none of those is known. All of it together is
// bounded by one LookupTimeout.
func (r *Runner) askFor(ctx context.Context, own, linked []decision.Key) decision.Cause {
	ctx, cancel := context.WithTimeout(ctx, r.o.LookupTimeout)
	defer cancel()
	found := false
	for i, k := range linked {
		if i >= maxAsked || i >= len(own) && found {
			break
		}
		m := r.find(k, inUse)
		if r.Asks(k) && (!m.Answered || m.Unconfirmed) {
			if cause := causeOf(r.Refresh(ctx, k)); cause != decision.CauseNone {
				return cause
			}
			m = r.find(k, inUse)
		}
		found = found || m.Verdict != nil
	}
	return decision.CauseNone
}
