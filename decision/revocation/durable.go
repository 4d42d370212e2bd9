package revocation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"
)

// Open reads the journal at path, or creates it, and locks it against a second
// list. A last line that a kill or power loss left incomplete is removed. Any
// other damage fails with a [CorruptError] and changes nothing: a list that
// forgot entries would let the revoked back in.
//
// Beside the journal there are path+".lock" and, after a crash, path+".tmp".
// The directory must exist, on a local file system.
func Open(path string, o Options) (*List, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Capacity == 0 {
		o.Capacity = MaxEntries
	}
	if o.Capacity < 0 || o.Capacity > MaxEntries {
		return nil, fmt.Errorf("revocation capacity %d is not between 1 and %d", o.Capacity, MaxEntries)
	}
	unlock, err := lockFile(path)
	if err != nil {
		return nil, fmt.Errorf("lock revocation journal: %w", err)
	}
	l := newList(o, newJournal(path))
	if err := l.load(); err != nil {
		if l.journal.f != nil {
			err = errors.Join(err, l.journal.f.Close())
		}
		return nil, errors.Join(err, unlock())
	}
	l.unlock = unlock
	return l, nil
}

// load fills a list that nobody else has yet.
func (l *List) load() error {
	path := l.journal.path
	// A symbolic link, a pipe or a directory is never what we wrote.
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return l.journal.rewrite(l.kept)
	}
	if err != nil {
		return fmt.Errorf("open revocation journal: %w", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("revocation journal %s is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open revocation journal: %w", err)
	}
	t, err := replay(path, f, l.apply)
	err = errors.Join(err, f.Close())
	if err != nil {
		return err
	}
	for _, r := range l.byID {
		l.indexes.insert(r)
		l.ends.add(r)
	}
	l.count.Store(int64(len(l.byID)))
	l.forget(l.now())
	if len(l.byID) > l.capacity {
		return fmt.Errorf("revocation journal %s has %d entries, capacity %d: %w", path, len(l.byID), l.capacity, ErrFull)
	}
	return l.journal.reopen(t)
}

// apply puts one line of the journal into memory, not yet into the indexes.
func (l *List) apply(n line) error {
	switch {
	case n.Op == opAdd && n.Entry != nil && validID(n.Entry.ID):
		e := *n.Entry
		if err := e.normalize(); err != nil {
			return err
		}
		r := newRecord(e)
		// Either may exist: an extended entry, or one that had ended.
		for _, old := range []*record{l.byID[e.ID], l.slots[r.slot()]} {
			if old != nil {
				delete(l.byID, old.entry.ID)
				delete(l.slots, old.slot())
			}
		}
		l.byID[e.ID], l.slots[r.slot()] = r, r
		return nil
	case n.Op == opRelease && validID(n.ID):
		if old := l.byID[n.ID]; old != nil {
			delete(l.byID, n.ID)
			delete(l.slots, old.slot())
		}
		return nil
	}
	return errors.New("unknown operation")
}

// kept yields the records that belong in a new journal. Holds state.
func (l *List) kept(yield func(*record) bool) {
	for _, r := range l.byID {
		if !r.releasing && !yield(r) {
			return
		}
	}
}

// wait returns when change seq is on disk. Whoever comes first syncs for all
// that were appended so far.
func (l *List) wait(ctx context.Context, seq uint64) error {
	if err := l.commit.lock(ctx); err != nil {
		return err
	}
	defer l.commit.unlock()
	if l.durable >= seq {
		return nil
	}
	if err := l.state.lock(ctx); err != nil {
		return err
	}
	covered, j := l.changes, l.journal
	if l.closed {
		l.state.unlock()
		return ErrClosed
	}
	if j.broken.get() != nil {
		err := l.rewrite()
		l.state.unlock()
		if err == nil {
			l.durable = covered
		}
		return err
	}
	f := j.f
	l.state.unlock()

	// Without state: Add goes on in memory. Nobody swaps or closes the file
	// without commit.
	if err := f.Sync(); err != nil {
		l.state.lockNow()
		j.broken.set(err)
		l.state.unlock()
		return err
	}
	l.durable = covered
	l.compact()
	return nil
}

// rewrite replaces the journal by what is in memory. Holds commit and state.
func (l *List) rewrite() error {
	now := l.now()
	if now.Before(l.retryAt) {
		return fmt.Errorf("revocation journal is not writable: %w", l.journal.broken.get())
	}
	l.forget(now)
	if err := l.journal.rewrite(l.kept); err != nil {
		l.retryAt = now.Add(rewriteInterval)
		return err
	}
	l.retryAt, l.putOff = time.Time{}, 0
	return nil
}

// compact writes the journal anew if most of it is dead. A failure is not the
// caller's: its change is on disk already. Holds commit.
func (l *List) compact() {
	l.state.lockNow()
	defer l.state.unlock()
	dead := l.journal.lines - len(l.byID)
	if l.journal.broken.get() != nil || dead <= max(l.minDead, l.putOff, len(l.byID)) {
		return
	}
	covered := l.changes
	err := l.rewrite()
	if err != nil {
		l.putOff = dead + l.minDead // try again much later
		return
	}
	l.durable = covered
}

// Sync makes durable what an earlier call could not, and returns nil when
// everything in force is on disk. Call it from time to time after an Add failed
// with [ErrNotDurable].
func (l *List) Sync(ctx context.Context) error {
	if err := l.state.lock(ctx); err != nil {
		return err
	}
	seq := l.changes
	l.state.unlock()
	return l.wait(ctx, seq)
}

// Broken returns why what was revoked last may not be on disk, or nil. It never
// waits: of a write that is under way it knows nothing yet. [List.Sync] repairs it
// once the disk allows.
func (l *List) Broken() error { return l.journal.broken.get() }

// Close makes a last attempt to write what is pending, closes the journal and
// frees it for another list. Matching still works: requests that began under an
// old configuration may outlive it. A second call does nothing.
func (l *List) Close() error {
	syncErr := l.Sync(context.Background())
	l.commit.lockNow()
	defer l.commit.unlock()
	l.state.lockNow()
	defer l.state.unlock()
	if l.closed {
		return nil
	}
	l.closed = true
	if syncErr != nil {
		syncErr = fmt.Errorf("%w: %w", ErrNotDurable, syncErr)
	}
	return errors.Join(syncErr, l.journal.f.Close(), l.unlock())
}

// Len returns the number of entries. Entries that ended a moment ago may be
// counted.
func (l *List) Len() int { return int(l.count.Load()) }

// Entries returns what is in force at now, the oldest first.
func (l *List) Entries(now time.Time) []Entry {
	l.state.lockNow()
	out := make([]Entry, 0, len(l.byID))
	for _, r := range l.byID {
		if r.entry.Active(now) {
			out = append(out, r.entry)
		}
	}
	l.state.unlock()
	slices.SortFunc(out, func(a, b Entry) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
	})
	return out
}

// NextExpiry returns when the next entry ends after now, or the zero time. It
// forgets the entries that ended. The owner calls it after each change and
// each end, to renew whatever it derived from the list.
func (l *List) NextExpiry(now time.Time) time.Time {
	l.state.lockNow()
	defer l.state.unlock()
	l.forget(now)
	if len(l.ends) == 0 {
		return time.Time{}
	}
	return l.ends[0].entry.Until
}

// OnChange calls f after every change: an entry in force, extended or released.
// Calls come on the goroutine of the change, before Add returns, perhaps at the
// same time on several; f must be quick and may use the list. The end of an
// entry is no change, see [List.NextExpiry]. The result removes f.
func (l *List) OnChange(f func()) (stop func()) {
	p := &f
	l.watchMu.Lock()
	defer l.watchMu.Unlock()
	l.watchers = append(slices.Clip(l.watchers), p)
	return func() {
		l.watchMu.Lock()
		defer l.watchMu.Unlock()
		l.watchers = slices.DeleteFunc(slices.Clone(l.watchers), func(q *func()) bool { return q == p })
	}
}

func (l *List) notify() {
	l.watchMu.Lock()
	watchers := l.watchers
	l.watchMu.Unlock()
	for _, f := range watchers {
		(*f)()
	}
}
