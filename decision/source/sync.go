package source

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// maxRetryAfter bounds how long a source can tell us to wait.
const maxRetryAfter = time.Hour

// SyncNow runs one sweep in the foreground, whatever the schedule says, except
// that a source that asked us to wait is left alone ([*ThrottledError]). It
// returns nil if the sweep was taken, unchanged or partly held.
func (r *Runner) SyncNow(ctx context.Context) error {
	if r.syncer == nil {
		return fmt.Errorf("source %s cannot list its devices", r.o.Name)
	}
	select {
	case r.syncing <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-r.syncing }()
	if wait := r.throttled(); wait > 0 {
		err := &ThrottledError{RetryAfter: wait}
		r.putOff(err)
		return err
	}
	bounded, cancel := context.WithTimeout(ctx, r.o.SyncTimeout)
	defer cancel()
	start := time.Now()
	sweep := NewSweep(r.o.Capacity)
	done := r.expect()
	err := r.callSync(bounded, sweep)
	gaveUp := err != nil && errors.Is(ctx.Err(), context.Canceled)
	done(gaveUp)
	if gaveUp {
		return ctx.Err() // the caller gave up: that says nothing about the source
	}
	ev, before := SyncEvent{Source: r.o.Name, Bad: sweep.bad}, r.guarded()
	switch {
	case err == nil:
		ev.Result, err = r.place(r.take, sweep, start)
	case errors.Is(err, ErrUnchanged):
		ev.Result, err = r.place(r.unchanged, sweep, start)
	default:
		ev.Result = "error"
		var t *ThrottledError
		if errors.As(err, &t) {
			ev.Result = "throttled"
			r.throttle(t.RetryAfter)
		}
	}
	now := r.guarded()
	ev.Again = now != "" && now == before && (ev.Result == "held" || ev.Result == "rejected")
	r.finish(sweep, start, err)
	ev.Took, ev.Err = time.Since(start), err
	r.denied(err)
	if v := r.view.Load(); v != nil {
		ev.Devices = v.table.Len()
	}
	if f := r.o.Observer.Synced; f != nil {
		f(ev)
	}
	return err
}

// place lets what was read take its place. A fault of ours in it is a failure that
// people see: the source must not look well while nothing of it is taken.
func (r *Runner) place(how func(*Sweep, time.Time) (string, error), sweep *Sweep, start time.Time) (result string, err error) {
	result = "error"
	err = r.protect(func() (err error) {
		result, err = how(sweep, start)
		return err
	})
	return result, err
}

// overdueShare is the part of a poll after which a sweep under way counts as a
// failure of the source: one that hangs, or keeps us waiting, must be known as
// failing before the shortest max_age that a policy may have for it ends (1.25
// polls, of which reading late and expiring early take up to 1.225).
const overdueShare = 50

// expect marks the source as failing if the sweep that begins now does not end
// soon. Call done when it has: what came of it says more. undo: nothing came of it.
func (r *Runner) expect() (done func(undo bool)) {
	over, before := false, r.state.Failing()
	timer := time.AfterFunc(max(r.o.Poll/overdueShare, 50*time.Millisecond), func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if !over && r.state.Loaded() {
			r.state.Fail(decision.CauseSourceFailing)
		}
	})
	return func(undo bool) {
		timer.Stop()
		r.mu.Lock()
		defer r.mu.Unlock()
		over = true
		if undo {
			r.state.Fail(before)
		}
	}
}

// callSync turns a panic of the source into an error: one bad record must not
// end the process.
func (r *Runner) callSync(ctx context.Context, sweep *Sweep) (err error) {
	defer func() {
		if p := recover(); p != nil {
			r.o.Logger.Error("source panicked", "source", r.o.Name, "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("sync panicked: %v", p)
		}
	}()
	return r.syncer.Sync(ctx, sweep)
}

// take judges a complete sweep and puts it in place.
func (r *Runner) take(sweep *Sweep, start time.Time) (result string, err error) {
	r.placing.Lock()
	defer r.placing.Unlock()
	fresh, err := sweep.Table()
	v := r.view.Load()
	var old *Table
	if v != nil {
		old = v.table
	}
	if err == nil {
		err = r.o.Guards.reject(old, fresh, sweep.bad, sweep.badRows)
	}
	if err != nil {
		return r.reject(err)
	}
	p := &pendingTable{table: fresh, confirmed: confirmation(sweep, start), since: decision.Mono(start), supplies: r.src.Facts()}
	if sweep.factsSet {
		p.supplies = sweep.facts
	}
	news, base := r.succeed(v, fresh, p.supplies)
	plan := r.o.Guards.plan(old, news)
	if !plan.holds() {
		r.setHeld(nil, nil)
		r.entomb(old, fresh, base, news.removed)
		if r.install(p.table, p, sweep.why) {
			return "changed", nil
		}
		return "same", nil
	}
	applied, held, err := plan.apply(old, fresh, r.o.Capacity, r.state.Confirmed())
	if err != nil {
		return r.reject(err)
	}
	r.setHeld(held, p)
	r.entomb(old, applied, base, news.removed)
	r.install(applied, p, sweep.why)
	return "held", nil
}

// guarded says what a guard stops now: the same text for the same change. It is ""
// if no guard stops anything.
func (r *Runner) guarded() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch j := &r.journal; {
	case j.rejected != nil:
		return j.rejected.Error()
	case j.held != nil:
		return j.held.ID
	}
	return ""
}

func (r *Runner) reject(err error) (string, error) {
	err = fmt.Errorf("sweep rejected: %w", err)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.journal.rejected = err
	return "rejected", err
}

// confirmation is how old the data of a sweep is: the start of the read, unless
// the source knows better. It is never in the future.
func confirmation(sweep *Sweep, start time.Time) time.Time {
	if !sweep.confirmed.IsZero() && sweep.confirmed.Before(start) {
		return sweep.confirmed
	}
	return start
}

// install puts a table in place and confirms it. It reports whether what is
// known has changed. The caller holds the syncing token.
func (r *Runner) install(t *Table, p *pendingTable, why error) (changed bool) {
	r.state.SetSupplies(p.supplies)
	changed, overlay := r.put(t, p.since)
	r.mu.Lock()
	r.journal.rejected = nil
	r.journal.dirty = r.journal.dirty || changed
	r.mu.Unlock()
	r.confirm(p.confirmed, why)
	if changed || overlay {
		r.bump()
	}
	return changed
}

// put makes a table of a sweep begun at since what is known, and says whether that
// changed, and whether single look-ups made way or changed.
func (r *Runner) put(t *Table, since int64) (changed, overlay bool) {
	r.blend.Lock()
	defer r.blend.Unlock()
	before := r.view.Load()
	t = t.raise(r.lookedSince(since))
	if changed = before == nil || !before.table.same(t); !changed {
		t = before.table // so that the new one can be collected
	}
	r.view.Store(&view{table: t, since: since})
	old := r.outdated(since)
	for _, k := range old {
		r.looked.Delete(k)
	}
	return changed, r.keepInLooked(t, since) || len(old) > 0
}

func (t *Table) same(o *Table) bool {
	return t.devices == o.devices && t.users == o.users && t.ambiguous == o.ambiguous && t.sum == o.sum &&
		t.held == nil && o.held == nil && t.keptRows == o.keptRows &&
		(t.gone == o.gone || t.gone != nil && o.gone != nil && t.gone.same(o.gone))
}

// confirm records how good the table is. While a guard holds rows the source
// counts as failing: what was held ages from its own time, within the policy's
// stale_if_error.
func (r *Runner) confirm(at time.Time, why error) {
	r.mu.Lock()
	r.journal.confirmed = at
	held := r.journal.held != nil
	r.mu.Unlock()
	if why != nil || held {
		r.state.Fail(decision.CauseSourceFailing)
		r.state.Restore(at)
		return
	}
	r.state.Confirm(at)
}

// unchanged confirms the table once more, unless it is not what the source
// means: after a rejected sweep "unchanged" is about the rejected content.
func (r *Runner) unchanged(sweep *Sweep, start time.Time) (result string, err error) {
	r.placing.Lock()
	defer r.placing.Unlock()
	r.mu.Lock()
	rejected := r.journal.rejected
	r.mu.Unlock()
	v := r.view.Load()
	switch {
	case rejected != nil:
		return "rejected", rejected
	case v == nil || !r.synced():
		return "error", errors.New("source reports no change before its first sweep")
	}
	at := decision.Mono(start)
	if r.putUnchanged(at) {
		defer r.bump()
	}
	confirmed := confirmation(sweep, start)
	r.mu.Lock()
	if p := r.journal.pending; p != nil { // what waits for an operator is confirmed too
		p.confirmed, p.since = confirmed, at
	}
	r.mu.Unlock()
	r.confirm(confirmed, sweep.why)
	return "unchanged", nil
}

// putUnchanged makes what is known that of a sweep begun at the time at which brought
// nothing new, and says whether that changed all the same.
func (r *Runner) putUnchanged(at int64) (changed bool) {
	r.blend.Lock()
	defer r.blend.Unlock()
	v := r.view.Load()
	t := r.absorb(v.table, v.since, at).pruned(time.Now())
	r.mu.Lock()
	if p := r.journal.pending; p != nil {
		p.table = r.absorb(p.table, v.since, at)
	}
	r.mu.Unlock()
	old := r.outdated(at)
	if len(old) == 0 && t == v.table {
		return false
	}
	r.view.Store(&view{table: t, since: at})
	r.mu.Lock()
	r.journal.dirty = r.journal.dirty || t != v.table // after the view is stored: see save
	r.mu.Unlock()
	for _, k := range old {
		r.looked.Delete(k)
	}
	return true
}

// synced reports whether the table came from the source and not from a snapshot.
func (r *Runner) synced() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !r.journal.lastSync.IsZero()
}

// finish writes the journal and tells of a change of health.
func (r *Runner) finish(sweep *Sweep, start time.Time, err error) {
	r.mu.Lock()
	j := &r.journal
	j.lastErr, j.putOff = err, false
	if err == nil {
		j.failures, j.lastErr = 0, sweep.why
		j.lastSync = start
	} else {
		j.failures++
	}
	if sweep.devices > 0 || sweep.bad > 0 {
		j.bad, j.badRows = sweep.bad, sweep.badRows
	}
	failures, why := j.failures, j.lastErr
	r.mu.Unlock()
	if err != nil {
		cause := causeOf(err)
		if cause == decision.CauseLookupTimeout {
			cause = decision.CauseSourceFailing
		}
		r.state.Fail(cause)
		r.o.Logger.Warn("source failed", "source", r.o.Name, "error", err, "failures", failures)
	}
	r.noteHealth(why)
}

// putOff records that a sweep was due while the source wants to be left alone, as
// a look-up learnt: nothing was read, so what is known counts as that of a failing
// source, and the sweep comes as soon as it may.
func (r *Runner) putOff(err error) {
	r.mu.Lock()
	r.journal.putOff = true
	if r.journal.lastErr == nil {
		r.journal.lastErr = err
	}
	r.mu.Unlock()
	r.state.Fail(decision.CauseThrottled)
	r.noteHealth(err)
}

// causeOf maps an error of a look-up to the cause that a decision reports.
func causeOf(err error) decision.Cause {
	var t *ThrottledError
	switch {
	case err == nil, errors.Is(err, ErrUnknownDevice):
		return decision.CauseNone
	case errors.As(err, &t):
		return decision.CauseThrottled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		return decision.CauseLookupTimeout
	}
	return decision.CauseSourceFailing
}

// throttle remembers that the source asked us to wait.
func (r *Runner) throttle(d time.Duration) {
	if d > 0 {
		r.waitTill.Store(decision.Mono(time.Now().Add(min(d, maxRetryAfter))))
	}
}

// throttled returns how long the source still wants to be left alone.
func (r *Runner) throttled() time.Duration {
	till := r.waitTill.Load()
	if till == 0 {
		return 0
	}
	if d := till - decision.Mono(time.Now()); d > 0 {
		return time.Duration(d)
	}
	r.waitTill.CompareAndSwap(till, 0)
	return 0
}
