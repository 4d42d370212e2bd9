package source

import "slices"

// MaxNote is how long the note of a [Noter] may be, in bytes.
const MaxNote = 4096

// Noter is a Syncer that judges devices by more than their records, such as by what
// a tenant is set to, and learns that apart from them: it may be able to list its
// devices while it cannot ask for the rest. What it knew must outlive a restart, or a
// restart would change verdicts. Its [Runner] keeps the note in the snapshot, beside
// the table, and nobody else can have written it.
type Noter interface {
	Syncer
	// Note returns what the next process must know, with the times of its reading, at
	// most [MaxNote] bytes; a longer note is not kept. Nil: nothing. It is quick, makes
	// no call, and may be called at any time from any goroutine. It must be the same as
	// long as nothing new was learnt.
	Note() []byte
	// TakeNote is given the note of an earlier process before the first Sync, while
	// look-ups may be under way already. The source decides what of it still counts:
	// the note may be old, and of another tenant or kind of source that had the same
	// name. Nothing that it says may count for longer than without the restart.
	TakeNote(note []byte)
}

// note asks the source for its note; nil if it has none.
func (r *Runner) note() (note []byte) {
	n, ok := r.src.(Noter)
	if !ok {
		return nil
	}
	_ = r.protect(func() error {
		note = n.Note()
		return nil
	})
	if len(note) > MaxNote {
		r.longNote.Do(func() {
			r.o.Logger.Error("note of the source is too long to be kept over a restart", "source", r.o.Name, "bytes", len(note), "most", MaxNote)
		})
		return nil
	}
	return note
}

// handNote gives the source the note of a snapshot.
func (r *Runner) handNote(note []byte) {
	n, ok := r.src.(Noter)
	if !ok || len(note) == 0 {
		return
	}
	_ = r.protect(func() error {
		n.TakeNote(slices.Clone(note))
		return nil
	})
}
