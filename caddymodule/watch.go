package caddymodule

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// revocationList is what the watchers need of a [revocation.List].
type revocationList interface {
	NextExpiry(now time.Time) time.Time
	Broken() error
	Sync(ctx context.Context) error
}

// unlessEnded runs f, which may wait for a disk, and reports whether f came to its
// end before ctx did. If not, f goes on alone: a disk that hangs must not keep a
// configuration from stopping.
func unlessEnded(ctx context.Context, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

func (a *App) watchExpiry(ctx context.Context) {
	endRevocations(ctx, a.shared.revocations, func() { a.shared.generation.Add(1) })
}

// endRevocations makes ended revocations take effect: postures remember them until
// the generation changes.
func endRevocations(ctx context.Context, list revocationList, changed func()) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for now, next := time.Now(), (time.Time{}); ; {
		if !next.IsZero() && !now.Before(next) {
			changed()
		}
		var after time.Time
		if !unlessEnded(ctx, func() { after = list.NextExpiry(now) }) {
			return
		}
		next = after
		select {
		case <-ctx.Done():
			return
		case now = <-tick.C:
		}
	}
}

// journalRetry is the pause between two attempts to write what a full or broken
// disk refused.
const journalRetry = 10 * time.Second

func (a *App) watchJournal(ctx context.Context) { writeLate(ctx, a.shared.revocations, a.log) }

// writeLate writes revocations that are in force and not yet on disk, as soon as
// the disk allows: a restart must not let the revoked back in.
func writeLate(ctx context.Context, list revocationList, log *zap.Logger) {
	tick := time.NewTicker(journalRetry)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if list.Broken() == nil {
			continue
		}
		var err error
		if !unlessEnded(ctx, func() { err = list.Sync(ctx) }) {
			return
		}
		if err != nil {
			log.Error("revocations are in force but not on disk: a restart would lose them; check the state directory", zap.Error(err))
		} else {
			log.Info("all revocations are on disk again")
		}
	}
}

// The pace of counting conflicts. The count itself rests most of the time, too
// ([source.Directory.CountConflicts]).
const (
	conflictsLook = 5 * time.Second  // between two looks at whether to count
	conflictsRest = 15 * time.Minute // between two counts, if the same sources are loaded
)

// watchConflicts counts now and then on how many devices sources disagree. Scrapes
// read the last result.
func (a *App) watchConflicts(ctx context.Context) {
	tick := time.NewTicker(conflictsLook)
	defer tick.Stop()
	var generation uint64
	var ended time.Time
	loaded := 0
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		tables := 0
		for _, s := range a.sources {
			if s.runner.Table() != nil {
				tables++
			}
		}
		g := a.directory.Generation()
		if tables == 0 || tables == loaded && (g == generation || time.Since(ended) < conflictsRest) {
			continue
		}
		generation, loaded = g, tables
		c, err := a.directory.CountConflicts(ctx)
		if err != nil {
			return
		}
		a.conflicts.Store(c)
		ended = time.Now()
	}
}
