package revocation

import (
	"container/heap"
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"sync"
	"sync/atomic"
	"time"
)

// MaxEntries is the greatest and the default capacity of a list.
const MaxEntries = 1_000_000

// Errors of a list. Test with errors.Is.
var (
	// ErrNotDurable: the entry is in force in this process, but could not be
	// written and would be lost with it. It is written with the next change
	// that succeeds, or by [List.Sync].
	ErrNotDurable = errors.New("revocation is in force but not durable")
	// ErrNotReleased: the release could not be written. The entry stays.
	ErrNotReleased = errors.New("revocation is not released")
	// ErrNotFound: no entry in force has this id.
	ErrNotFound = errors.New("revocation not found")
	// ErrNotOwner: the entry belongs to another owner.
	ErrNotOwner = errors.New("revocation has another owner")
	// ErrFull: the list has reached its capacity.
	ErrFull = errors.New("revocation list is full")
	// ErrLocked: another list has the journal open.
	ErrLocked = errors.New("revocation journal is in use")
	// ErrClosed: the list was closed. Matching still works.
	ErrClosed = errors.New("revocation list is closed")
)

// Options of a list. The zero value is ready for use.
type Options struct {
	// Now is the wall clock by which entries end. Default time.Now.
	Now func() time.Time
	// Capacity bounds the entries. Default and greatest value 1,000,000.
	Capacity int
}

// List is the revocations in force. It is safe for concurrent use; make it
// with [Open]. It owns no goroutine.
//
// Only one list can have a journal open. Share it across reloads of the
// configuration; a second Open fails with [ErrLocked] instead of corrupting
// the file.
type List struct {
	now      func() time.Time
	capacity int
	unlock   func() error
	indexes  indexes
	count    atomic.Int64

	// state guards the fields below. It is held for a write to the journal
	// but not for a sync, except when the journal is written anew.
	state   mutex
	byID    map[string]*record
	slots   map[slot]*record
	ends    ends
	journal *journal
	changes uint64 // number of the last change
	closed  bool
	retryAt time.Time // no rewrite before: a full disk must not become a busy one
	minDead int       // dead lines that are always tolerated
	putOff  int       // dead lines that are tolerated since a failed compaction

	// commit guards durable and is held during a sync, so that changes which
	// arrive meanwhile share the next one. Taken before state, never after.
	commit  mutex
	durable uint64 // number of the last change on disk

	watchMu  sync.Mutex
	watchers []*func()
}

// compactAfter is how many dead lines a journal may hold at least; it may also
// hold as many as there are entries, so that the cost of writing it anew is
// spread over as many changes.
const compactAfter = 10_000

// rewriteInterval is the pause after a rewrite that failed.
const rewriteInterval = time.Second

// Add puts e in force and returns it as it stands. When Add returns nil, the
// entry survives a kill and a power loss.
//
// An owner has one entry per subject: adding again keeps the id and the start,
// and the end only ever moves later. It fails with [ErrInvalid], [ErrFull],
// [ErrClosed] or the context's error without effect. If it fails with
// [ErrNotDurable] the entry is in force all the same: tightening is safe.
// The context bounds waiting for other writers, not the disk.
func (l *List) Add(ctx context.Context, e Entry) (Entry, error) {
	if err := e.normalize(); err != nil {
		return Entry{}, err
	}
	if err := l.state.lock(ctx); err != nil {
		return Entry{}, err
	}
	r, changed, err := l.add(e)
	seq := l.changes
	l.state.unlock()
	if err != nil {
		return Entry{}, err
	}
	if changed {
		l.notify() // before the disk: streams are cut now
	}
	if err := l.wait(ctx, seq); err != nil {
		return r.entry, fmt.Errorf("%w: %w", ErrNotDurable, err)
	}
	return r.entry, nil
}

// add applies e in memory and appends it to the journal. Holds state.
func (l *List) add(e Entry) (r *record, changed bool, err error) {
	if l.closed {
		return nil, false, ErrClosed
	}
	now := l.now().Round(0).UTC()
	if !e.Active(now) {
		return nil, false, fmt.Errorf("%w: end is not in the future", ErrInvalid)
	}
	if e.Since.IsZero() || e.Since.After(now) {
		e.Since = now
	}
	e.ID = newID()
	old := l.slots[slot{e.subject(), e.Owner}]
	if old != nil && old.entry.Active(now) {
		if !later(e.Until, old.entry.Until) && !old.releasing {
			return old, false, nil
		}
		e = extend(old.entry, e)
	}
	if old == nil && len(l.byID) >= l.capacity {
		l.forget(now)
		if len(l.byID) >= l.capacity {
			return nil, false, ErrFull
		}
	}
	b, err := encodeLine(line{Op: opAdd, Entry: &e})
	if err != nil {
		return nil, false, err
	}
	r = newRecord(e)
	l.replace(old, r)
	l.journal.append(b)
	l.changes++
	return r, true, nil
}

// later reports whether the end a is after the end b; zero is never.
func later(a, b time.Time) bool {
	return !b.IsZero() && (a.IsZero() || a.After(b))
}

// extend returns old with the later end and what else e has to say.
func extend(old, e Entry) Entry {
	if later(e.Until, old.Until) {
		old.Until = e.Until
	}
	if e.Since.Before(old.Since) {
		old.Since = e.Since
	}
	if e.Reason != "" {
		old.Reason = e.Reason
	}
	return old
}

// Release ends the entry with this id. The owner must be the entry's own: one
// transmitter of events cannot undo what another one, or an operator, did. An
// operator who may release anything passes the owner found in the entry;
// deciding who may is the caller's part.
//
// The release is durable before it takes effect. It fails with [ErrNotFound],
// [ErrNotOwner], [ErrClosed], [ErrNotReleased] or the context's error; the
// entry then stays in force.
func (l *List) Release(ctx context.Context, id, owner string) error {
	if err := l.state.lock(ctx); err != nil {
		return err
	}
	r, err := l.release(id, owner)
	seq := l.changes
	l.state.unlock()
	if err != nil {
		return err
	}
	err = l.wait(ctx, seq)

	l.state.lockNow()
	// An Add in the meantime put another record in this one's place.
	current := l.byID[id] == r
	r.releasing = false
	switch {
	case !current:
	case err != nil:
		// The journal may say released by now; memory is right.
		l.changes++
		if l.journal.broken.get() == nil {
			l.journal.broken.set(err)
		}
	default:
		l.replace(r, nil)
	}
	l.state.unlock()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrNotReleased, err)
	}
	if current {
		l.notify()
	}
	return nil
}

// release appends to the journal and leaves memory alone. Holds state.
func (l *List) release(id, owner string) (*record, error) {
	if l.closed {
		return nil, ErrClosed
	}
	now := l.now()
	r := l.byID[id]
	if r == nil || !r.entry.Active(now) {
		return nil, ErrNotFound
	}
	if r.entry.Owner != owner {
		return nil, ErrNotOwner
	}
	b, err := encodeLine(line{Op: opRelease, ID: id, Owner: owner, At: now.Round(0).UTC()})
	if err != nil {
		return nil, err
	}
	r.releasing = true
	l.journal.append(b)
	l.changes++
	return r, nil
}

// replace swaps old for next in memory. Either may be nil. Holds state.
func (l *List) replace(old, next *record) {
	if old != nil {
		delete(l.byID, old.entry.ID)
		delete(l.slots, old.slot())
	}
	s := old
	if next != nil {
		s = next
		l.byID[next.entry.ID] = next
		l.slots[next.slot()] = next
		l.ends.add(next)
	}
	l.indexes.replace(&s.subject, old, next)
	l.count.Store(int64(len(l.byID)))
	// Extending one entry for ever must not grow the heap for ever.
	if len(l.ends) > 2*len(l.byID)+1024 {
		l.ends.keep(func(r *record) bool { return l.byID[r.entry.ID] == r })
	}
}

// forget drops the entries that ended. Their lines in the journal are dead.
// Holds state.
func (l *List) forget(now time.Time) {
	for len(l.ends) > 0 {
		r := l.ends[0]
		current := l.byID[r.entry.ID] == r
		if current && r.entry.Active(now) {
			return
		}
		heap.Pop(&l.ends)
		if current {
			l.replace(r, nil)
		}
	}
}

func newList(o Options, j *journal) *List {
	l := &List{
		now: o.Now, capacity: o.Capacity, journal: j,
		byID: make(map[string]*record), slots: make(map[slot]*record),
		state: newMutex(), commit: newMutex(), minDead: compactAfter,
	}
	l.indexes.seed = maphash.MakeSeed()
	return l
}
