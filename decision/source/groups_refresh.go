package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// groupsTimeout bounds one call of a round.
const groupsTimeout = 30 * time.Second

// loop asks about every user again at each poll, and sooner about those of whom
// something is missing.
func (g *groupKeeper) loop(ctx context.Context) error {
	next := time.NewTimer(g.r.spread())
	defer next.Stop()
	for {
		missing := false
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-g.wake:
			if g.failing() {
				continue // the next round comes soon enough, for all
			}
			missing = true
			g.r.pause(wakeGap)
		case <-next.C:
		}
		err := g.round(ctx, missing)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		switch failures := g.note(err); {
		case failures > 0:
			next.Reset(max(g.r.backoff(failures), g.r.throttled()))
		case !missing:
			next.Reset(g.r.spread())
		}
	}
}

func (g *groupKeeper) failing() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failures > 0
}

// note records how a round ended, tells of a change, and returns how many failed
// in a row.
func (g *groupKeeper) note(err error) (failures int) {
	g.mu.Lock()
	before := g.failures
	if err == nil {
		g.failures = 0
	} else {
		g.failures++
	}
	failures, g.lastErr = g.failures, err
	g.mu.Unlock()
	switch {
	case err != nil && before == 0:
		g.r.o.Logger.Warn("groups of users cannot be looked up", "source", g.r.o.Name, "error", err)
	case err == nil && before > 0:
		g.r.o.Logger.Info("groups of users are looked up again", "source", g.r.o.Name)
	}
	return failures
}

// round asks about all users, those asked longest ago first, or about those alone
// of whom something is missing. Only a whole round says how well the look-ups work.
func (g *groupKeeper) round(ctx context.Context, missing bool) error {
	start := time.Now()
	users, wanted := g.due(start, missing)
	var failed error
	for part := range slices.Chunk(users, GroupBatch) {
		err := g.part(ctx, part, wanted)
		var throttled *ThrottledError
		switch {
		case err == nil:
			continue
		case errors.As(err, &throttled):
			g.r.throttle(throttled.RetryAfter)
		}
		failed = cmp.Or(failed, err)
		var some *someFailed
		if !errors.As(err, &some) { // else one odd user must not keep the others waiting
			break
		}
	}
	switch {
	case ctx.Err() != nil:
	case failed != nil:
		g.state.Fail(causeOfRound(failed))
	case !missing || len(users) > 0:
		g.state.Confirm(start)
		g.mu.Lock()
		g.last = start
		g.mu.Unlock()
	}
	return failed
}

func causeOfRound(err error) decision.Cause {
	if cause := causeOf(err); cause == decision.CauseThrottled {
		return cause
	}
	return decision.CauseSourceFailing
}

// part asks about a few users. While it hangs the look-ups count as failing, as
// with sweeps (Runner.expect).
func (g *groupKeeper) part(ctx context.Context, users, wanted []string) error {
	ctx, cancel := context.WithTimeout(ctx, groupsTimeout)
	defer cancel()
	over := false
	late := time.AfterFunc(max(g.r.o.Poll/overdueShare, 50*time.Millisecond), func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		if !over && g.state.Loaded() {
			g.state.Fail(decision.CauseSourceFailing)
		}
	})
	defer func() {
		late.Stop()
		g.mu.Lock()
		over = true
		g.mu.Unlock()
	}()
	return g.r.protect(func() error { return g.refresh(ctx, users, wanted, false) })
}

// due lists whom to ask about. It forgets who was disabled, and now and then who
// asked for nothing lately.
func (g *groupKeeper) due(now time.Time, missing bool) (users, wanted []string) {
	g.mu.Lock()
	all := slices.Collect(maps.Keys(g.users))
	g.mu.Unlock()
	all = slices.DeleteFunc(all, func(id string) bool { return !g.disabled(id) })
	g.mu.Lock()
	for _, id := range all {
		delete(g.users, id)
	}
	renew := !missing && now.Sub(g.epoch) >= groupsIdle
	if renew {
		g.epoch, g.full = now, false
		for id, u := range g.users {
			if !u.used && u.flight == nil {
				delete(g.users, id)
			}
			u.used = false
		}
	}
	if wanted = g.wanted; len(wanted) > 0 {
		for id, u := range g.users {
			if u.flight == nil && !(missing && (g.covers(u) || u.cause == decision.CauseNotReported)) {
				users = append(users, id)
			}
		}
		slices.SortFunc(users, func(a, b string) int {
			return cmp.Or(g.users[a].asked.Compare(g.users[b].asked), cmp.Compare(a, b))
		})
	}
	g.mu.Unlock()
	if renew {
		g.r.bump() // whoever is still there is asked for again, and so marked as used
	}
	return users, wanted
}

// someFailed says that some users of several could not be asked about.
type someFailed struct{ err error }

func (e *someFailed) Error() string { return e.err.Error() }
func (e *someFailed) Unwrap() error { return e.err }

// refresh asks about users and records the answers.
func (g *groupKeeper) refresh(ctx context.Context, users, wanted []string, urgent bool) error {
	start := time.Now()
	answers, err := g.looker.MemberGroups(ctx, users, wanted, urgent)
	took := time.Since(start)
	if err == nil && len(answers) != len(users) {
		err = fmt.Errorf("%d answers about the groups of %d users", len(answers), len(users))
	}
	if err != nil {
		answers = make([]GroupAnswer, len(users))
		for i := range answers {
			answers[i].Err = err
		}
	}
	changed, failed := false, 0
	for i, id := range users {
		a := &answers[i]
		changed = g.record(id, wanted, a, start) || changed
		if a.Err != nil && !errors.Is(a.Err, ErrUnknownUser) {
			failed++
			err = cmp.Or(err, a.Err)
		}
	}
	if changed {
		g.r.bump()
	}
	var throttled *ThrottledError
	if failed > 0 && failed < len(users) && !errors.As(err, &throttled) {
		err = &someFailed{err}
	}
	g.observe(groupsResult(err), took)
	return err
}

func (g *groupKeeper) observe(result string, took time.Duration) {
	if f := g.r.o.Observer.AskedGroups; f != nil {
		f(g.r.o.Name, result, took)
	}
}

// groupsResult is the word for Observer.AskedGroups.
func groupsResult(err error) string {
	var some *someFailed
	switch cause := causeOf(err); {
	case err == nil:
		return "answered"
	case errors.As(err, &some):
		return "partly"
	case cause == decision.CauseThrottled:
		return "throttled"
	case cause == decision.CauseLookupTimeout:
		return "timeout"
	}
	return "error"
}

// record keeps one answer. It reports whether postures must hear of it.
func (g *groupKeeper) record(id string, wanted []string, a *GroupAnswer, start time.Time) (changed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.users[id]
	if u == nil {
		return false // forgotten meanwhile
	}
	u.asked = start
	if u.known != nil && u.known.Confirmed() > decision.Mono(start) {
		return false // somebody asked later and was answered sooner
	}
	switch {
	case a.Err == nil:
		member := slices.DeleteFunc(slices.Clone(wanted), func(id string) bool { return !slices.Contains(a.Groups, id) })
		u.cause, u.retry = decision.CauseNone, time.Time{}
		if u.known != nil && slices.Equal(u.known.Asked, wanted) && slices.Equal(u.known.Member, member) {
			u.known.Renew(decision.Mono(start))
			return false
		}
		u.known = &decision.Membership{State: g.state, Asked: wanted, Member: member}
		u.known.Renew(decision.Mono(start))
		return true
	case errors.Is(a.Err, ErrUnknownUser):
		changed = u.known != nil || u.cause != decision.CauseNotReported
		u.known, u.cause, u.retry = nil, decision.CauseNotReported, start.Add(g.r.o.NegativeTTL)
		return changed
	}
	cause := causeOf(a.Err)
	changed = !g.covers(u) && u.cause != cause
	u.cause, u.retry = cause, time.Now().Add(unusableTTL)
	return changed
}

// GroupStatus is what operators see of the look-ups of users' groups.
type GroupStatus struct {
	Users   int `json:"users"`   // who are kept up to date
	Unknown int `json:"unknown"` // of them, without an answer
	Groups  int `json:"groups"`  // that policies name
	// Confirmed is when the last good round began.
	Confirmed time.Time `json:"confirmed,omitzero"`
	LastError string    `json:"last_error,omitempty"`
}

func (g *groupKeeper) status() *GroupStatus {
	if g == nil {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s := &GroupStatus{Users: len(g.users), Groups: len(g.wanted), Confirmed: g.last}
	for _, u := range g.users {
		if !g.covers(u) {
			s.Unknown++
		}
	}
	if g.lastErr != nil {
		s.LastError = g.lastErr.Error()
	}
	return s
}
