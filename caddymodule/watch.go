package caddymodule

import (
	"context"
	"time"

	"go.uber.org/zap"
)

// watchExpiry makes ended revocations take effect: postures remember them until
// the generation changes.
func (a *App) watchExpiry(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	next := a.shared.revocations.NextExpiry(time.Now())
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			if !next.IsZero() && !now.Before(next) {
				a.shared.generation.Add(1)
			}
			next = a.shared.revocations.NextExpiry(now)
		}
	}
}

// journalRetry is the pause between two attempts to write what a full or broken
// disk refused.
const journalRetry = 10 * time.Second

// watchJournal writes revocations that are in force and not yet on disk, as soon as
// the disk allows: a restart must not let the revoked back in.
func (a *App) watchJournal(ctx context.Context) {
	tick := time.NewTicker(journalRetry)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if a.shared.revocations.Broken() == nil {
				continue
			}
			err := a.shared.revocations.Sync(ctx)
			if err != nil {
				a.log.Error("revocations are in force but not on disk: a restart would lose them; check the state directory", zap.Error(err))
			} else {
				a.log.Info("all revocations are on disk again")
			}
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
