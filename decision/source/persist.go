package source

import (
	"bytes"
	"slices"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// restore puts the persisted table in place, if there is one. Its age is the
// one that it had; a snapshot that cannot be read is as good as none.
func (r *Runner) restore() {
	if r.o.Snapshot == nil {
		return
	}
	body, err := r.o.Snapshot.Load()
	if err != nil || len(body) == 0 {
		r.o.Logger.Info("no snapshot", "source", r.o.Name, "error", err)
		return
	}
	s, err := decodeSnapshot(body, r.o.Capacity)
	if err != nil {
		r.o.Logger.Warn("snapshot discarded", "source", r.o.Name, "error", err)
		return
	}
	if now := time.Now(); s.confirmed.After(now) {
		s.confirmed = now
	}
	r.handNote(s.note)
	r.state.SetSupplies(s.supplies)
	r.view.Store(&view{table: s.table, since: decision.Mono(s.confirmed)})
	r.state.Fail(decision.CauseNotLoaded) // until the first sweep
	r.state.Restore(s.confirmed)
	r.mu.Lock()
	r.journal.confirmed, r.journal.saved = s.confirmed, s.confirmed
	r.journal.note = slices.Clone(s.note)
	r.mu.Unlock()
	r.bump()
}

// save persists the table after a change. If only its confirmation or the source's
// note moved on, it does so now and then, since a crash would else make an old fleet
// of one that was confirmed a moment ago, and at the end. Errors are logged: the table
// in memory stays good.
func (r *Runner) save(last bool) error {
	r.saving.Lock()
	defer r.saving.Unlock()
	before := r.view.Load()
	if r.o.Snapshot == nil || before == nil {
		return nil
	}
	now, note := time.Now(), r.note() // may wait for the source, while a newer table comes
	r.mu.Lock()
	j := &r.journal
	v := r.view.Load() // where dirty is cleared: who stores a view sets dirty after it
	due := j.dirty || last && j.confirmed.After(j.saved) || j.confirmed.Sub(j.saved) >= confirmGap ||
		!bytes.Equal(note, j.note) && (last || now.Sub(j.written) >= confirmGap)
	confirmed := j.confirmed
	if due {
		j.dirty = v != before // the note may be older than such a table: both are written again
	}
	r.mu.Unlock()
	if !due {
		return nil
	}
	heldAt := now.Add(time.Duration(v.table.heldAt - decision.Mono(now)))
	err := r.protect(func() error {
		return r.o.Snapshot.Save(encodeSnapshot(savedTable{table: v.table, confirmed: confirmed, supplies: r.state.Supplies(), note: note}, heldAt))
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		j.dirty = true
		r.o.Logger.Error("snapshot not saved", "source", r.o.Name, "error", err)
		return err
	}
	j.saved, j.note, j.written = confirmed, note, now
	return nil
}
