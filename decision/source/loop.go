package source

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"time"
)

// The pace of the background work.
const (
	backoffFirst = time.Second
	backoffMost  = 5 * time.Minute
	wakeGap      = 200 * time.Millisecond // between a sweep and the next one that a watch asks for
	saveGap      = 30 * time.Second       // between two snapshots
	confirmGap   = 15 * time.Minute       // how far a snapshot's confirmation may lag behind
	renewGap     = time.Second            // between two bumps for verdicts that were only confirmed again
)

// keepRunning calls f until the runner stops. Neither an error nor a panic ends
// the work; it goes on after a pause.
func (r *Runner) keepRunning(what string, f func(context.Context) error) {
	for failures := 0; r.ctx.Err() == nil; failures++ {
		err := r.protect(func() error { return f(r.ctx) })
		if r.ctx.Err() != nil {
			return
		}
		r.o.Logger.Warn("source "+what+" ended, starting again", "source", r.o.Name, "error", err)
		r.pause(r.backoff(failures + 1))
	}
}

func (r *Runner) protect(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.o.Logger.Error("source panicked", "source", r.o.Name, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}

func (r *Runner) pause(d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-r.ctx.Done():
	}
}

// loop is the schedule: sweeps at every poll, back-off after failures, sooner
// when a watch asks, and the snapshot in between.
func (r *Runner) loop(ctx context.Context) error {
	if r.syncer == nil {
		return r.renewLoop(ctx)
	}
	next := time.NewTimer(r.nextSync())
	defer next.Stop()
	save := time.NewTicker(saveGap)
	defer save.Stop()
	_ = r.save(false) // a crash in the first seconds must not cost the first sweep
	early := false
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-save.C:
			_ = r.save(false)
			r.noteHealth(nil)
			continue
		case <-r.wake:
			if wait := r.throttled(); wait > 0 {
				next.Reset(Outlast(wait))
				continue
			}
			r.pause(wakeGap)
		case <-next.C:
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := r.SyncNow(ctx) // already in the journal, the log and the state
		done := time.Now()
		if news := err == nil && r.followUp(ctx); news && !early {
			early = true // one such sweep between two of the schedule
			next.Reset(wakeGap)
			continue
		}
		early = false
		next.Reset(r.nextSync() - time.Since(done)) // what follows up takes nothing from the poll
	}
}

// followUp lets the source do what it does beside listing, for half a poll at most.
func (r *Runner) followUp(ctx context.Context) (news bool) {
	f, ok := r.src.(Follower)
	if !ok || r.throttled() > 0 {
		return false
	}
	bounded, cancel := context.WithTimeout(ctx, min(r.o.SyncTimeout, r.o.Poll/2))
	defer cancel()
	_ = r.protect(func() error {
		news = f.FollowUp(bounded)
		return nil
	})
	return news
}

// renewLoop serves a source that cannot list its devices. Postures are kept as
// long as nothing changes, so it makes them look again: soon after a verdict was
// confirmed, and now and then so that verdicts in use are asked for anew.
func (r *Runner) renewLoop(ctx context.Context) error {
	renewed := time.NewTicker(renewGap)
	defer renewed.Stop()
	due := time.NewTicker(r.lookGap())
	defer due.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-renewed.C:
			if r.renewed.Swap(false) {
				r.bump()
			}
		case <-due.C:
			if r.looked.Len() > 0 {
				r.bump()
			}
		}
	}
}

// lookGap is the time between two looks at verdicts that a source is only asked for.
func (r *Runner) lookGap() time.Duration { return max(r.o.Poll/4, renewGap) }

// nextSync is the time to the next sweep.
func (r *Runner) nextSync() time.Duration {
	r.mu.Lock()
	failures, synced, putOff := r.journal.failures, !r.journal.lastSync.IsZero(), r.journal.putOff
	r.mu.Unlock()
	switch {
	case failures > 0:
		return max(r.backoff(failures), Outlast(r.throttled()))
	case !synced || putOff:
		return Outlast(r.throttled())
	}
	return r.spread()
}

// spread is the time to the next poll: up to a fifth less, so that reading it is over
// within the poll as a rule.
func (r *Runner) spread() time.Duration {
	if r.o.Poll < time.Minute && !r.o.Remote {
		return r.o.Poll // a check on this machine: no herd to avoid
	}
	return r.o.Poll - time.Duration(rand.Float64()*0.2*float64(r.o.Poll))
}

// Bounds of what Outlast adds to a wait.
const (
	outlastLeast = time.Second
	outlastMost  = time.Minute
)

// Outlast makes a wait that the source asked for a fifth longer at random, by 1 s
// to a minute at most. A service may name the same moment to all gateways of a tenant
// (Retry-After with a date, RFC 9110 section 10.2.3): they must not all call then.
func Outlast(wait time.Duration) time.Duration {
	if wait <= 0 {
		return 0
	}
	return wait + rand.N(min(max(wait/5, outlastLeast), outlastMost))
}

// backoff is the pause after so many failures in a row: exponential with full
// jitter, from 1 s to 5 min. A source that is checked every few seconds is
// somewhere near, and waits at most 30 polls.
func (r *Runner) backoff(failures int) time.Duration {
	most := min(backoffMost, max(backoffFirst, 30*r.o.Poll))
	ceiling := min(most, backoffFirst<<min(failures-1, 16))
	return max(rand.N(ceiling), 50*time.Millisecond)
}
