package revocation

import (
	"context"
	"errors"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

var errDisk = errors.New("no space left")

// faultyFile fails on demand. Without a file below it writes to nowhere.
type faultyFile struct {
	file
	mu        sync.Mutex
	writeErr  error
	syncErr   error
	partial   bool // a failing write gets half of the line out
	written   int
	synced    int // written, at the last sync
	beforeEnd func()
}

func (f *faultyFile) Write(b []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.writeErr != nil {
		if f.partial && f.file != nil {
			n, _ := f.file.Write(b[:len(b)/2])
			return n, f.writeErr
		}
		return 0, f.writeErr
	}
	f.written += len(b)
	if f.file == nil {
		return len(b), nil
	}
	return f.file.Write(b)
}

func (f *faultyFile) Sync() error {
	f.mu.Lock()
	before := f.beforeEnd
	f.synced = f.written
	err := f.syncErr
	f.mu.Unlock()
	if before != nil {
		before()
	}
	if err != nil || f.file == nil {
		return err
	}
	return f.file.Sync()
}

func (f *faultyFile) Close() error {
	if f.file == nil {
		return nil
	}
	return f.file.Close()
}

// faulty puts a faultyFile below the list's journal, also for rewrites, which
// fail while full returns true.
func faulty(t *testing.T, l *List, full func() bool) *faultyFile {
	t.Helper()
	f := &faultyFile{file: l.journal.f}
	l.journal.f = f
	create := l.journal.open
	l.journal.open = func(path string) (file, error) {
		g, err := create(path)
		if err == nil && full() {
			return &faultyFile{file: g, writeErr: errDisk, partial: true}, nil
		}
		return g, err
	}
	return f
}

func matchesUser(l *List, name string) bool {
	return l.Match(&decision.Identity{User: decision.User{ID: name}}, nil, time.Now()) != nil
}

// The answer comes after the sync, the effect before it.
func TestEffectThenSyncThenAnswer(t *testing.T) {
	l := openList(t, newPath(t), Options{})
	f := faulty(t, l, func() bool { return false })
	var during bool
	f.beforeEnd = func() { during = matchesUser(l, "ann") }
	e := add(t, l, userEntry("ann"))
	if !during || f.synced == 0 || f.synced != f.written {
		t.Errorf("in force during sync: %v; synced %d of %d bytes", during, f.synced, f.written)
	}
	during = false
	if err := l.Release(context.Background(), e.ID, e.Owner); err != nil {
		t.Fatal(err)
	}
	if !during || f.synced != f.written || matchesUser(l, "ann") {
		t.Errorf("release took effect before it was durable: %v; synced %d of %d bytes", !during, f.synced, f.written)
	}
}

// On a full disk an entry is in force but not durable, old entries are safe,
// nothing is lost when there is room again, and a kill in between leaves a
// journal that opens.
func TestFailedWrite(t *testing.T) {
	for name, set := range map[string]func(f *faultyFile, err error){
		"write":   func(f *faultyFile, err error) { f.writeErr = err },
		"partial": func(f *faultyFile, err error) { f.writeErr, f.partial = err, true },
		"sync":    func(f *faultyFile, err error) { f.syncErr = err },
	} {
		t.Run(name, func(t *testing.T) {
			ctx := context.Background()
			path := newPath(t)
			now := time.Now()
			l := openList(t, path, Options{Now: func() time.Time { return now }})
			old := add(t, l, userEntry("old"))
			full := true
			set(faulty(t, l, func() bool { return full }), errDisk)
			now = now.Add(time.Second)

			for range 2 { // the second attempt is a rewrite, which fails as well
				_, err := l.Add(ctx, userEntry("ann"))
				if !errors.Is(err, ErrNotDurable) || !errors.Is(err, errDisk) || !matchesUser(l, "ann") {
					t.Fatalf("add: %v, in force %v", err, matchesUser(l, "ann"))
				}
			}
			err := l.Release(ctx, old.ID, old.Owner)
			if !errors.Is(err, ErrNotReleased) || !matchesUser(l, "old") {
				t.Fatalf("release: %v, in force %v", err, matchesUser(l, "old"))
			}
			if err := l.Sync(ctx); !errors.Is(err, errDisk) {
				t.Errorf("sync: %v", err)
			}
			if err := l.Broken(); !errors.Is(err, errDisk) {
				t.Errorf("broken: %v", err)
			}
			afterKill := openList(t, copyOf(t, path), Options{})
			if !matchesUser(afterKill, "old") {
				t.Error("a kill now would lose the old entry")
			}

			full = false
			if err := l.Sync(ctx); err == nil {
				t.Error("sync tries again at once; a full disk would be a busy one")
			}
			now = now.Add(rewriteInterval)
			if err := errors.Join(l.Sync(ctx), l.Broken()); err != nil {
				t.Fatal(err)
			}
			e := add(t, l, userEntry("bob"))
			if err := l.Release(ctx, e.ID, e.Owner); err != nil {
				t.Fatal(err)
			}
			closeList(t, l)
			if got := users(openList(t, path, Options{})); got != "old ann" {
				t.Errorf("after reopening: %q", got)
			}
		})
	}
}

func copyOf(t *testing.T, path string) string {
	t.Helper()
	to := newPath(t)
	writeJournal(t, to, readJournal(t, path))
	return to
}

// Close tries once more, says if entries are lost with the process, and frees
// the journal all the same.
func TestCloseWithPendingEntries(t *testing.T) {
	path := newPath(t)
	now := time.Now()
	l, err := Open(path, Options{Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	full := true
	faulty(t, l, func() bool { return full }).syncErr = errDisk
	if _, err := l.Add(context.Background(), userEntry("ann")); !errors.Is(err, ErrNotDurable) {
		t.Fatal(err)
	}
	now = now.Add(rewriteInterval)
	if err := l.Close(); !errors.Is(err, ErrNotDurable) {
		t.Errorf("close: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	closeList(t, openList(t, path, Options{}))
}

// A failing compaction is nobody's error: the journal in use stays good.
func TestFailedCompaction(t *testing.T) {
	ctx := context.Background()
	path := newPath(t)
	l := openList(t, path, Options{})
	l.minDead = 4
	faulty(t, l, func() bool { return true })
	for range 10 {
		e := add(t, l, userEntry("ann"))
		if err := l.Release(ctx, e.ID, e.Owner); err != nil {
			t.Fatal(err)
		}
	}
	add(t, l, userEntry("bob"))
	closeList(t, l)
	if _, err := os.Stat(path + ".tmp"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("temporary file: %v", err)
	}
	if got := users(openList(t, path, Options{})); got != "bob" {
		t.Errorf("got %q", got)
	}
}

// An Add while a release of the same entry is on its way to the disk must win:
// it came later.
func TestAddDuringRelease(t *testing.T) {
	ctx := context.Background()
	path := newPath(t)
	l := openList(t, path, Options{})
	e := add(t, l, userEntry("ann"))
	f := faulty(t, l, func() bool { return false })
	added := make(chan error)
	var once sync.Once
	f.beforeEnd = func() {
		once.Do(func() {
			go func() { _, err := l.Add(ctx, userEntry("ann")); added <- err }()
			for { // until the second line is in the journal
				l.state.lockNow()
				lines := l.journal.lines
				l.state.unlock()
				if lines == 3 {
					return
				}
				runtime.Gosched()
			}
		})
	}
	if err := l.Release(ctx, e.ID, e.Owner); err != nil {
		t.Error(err)
	}
	if err := <-added; err != nil {
		t.Error(err)
	}
	if !matchesUser(l, "ann") {
		t.Error("not in force")
	}
	closeList(t, l)
	if got := users(openList(t, path, Options{})); got != "ann" {
		t.Errorf("after reopening: %q", got)
	}
}

// Changes that arrive during a sync share the next one.
func TestChangesShareASync(t *testing.T) {
	ctx := context.Background()
	l := openList(t, newPath(t), Options{})
	f := faulty(t, l, func() bool { return false })
	const n = 20
	syncs := 0
	f.beforeEnd = func() {
		syncs++ // guarded by the list's commit lock
		for syncs == 1 && l.Len() < n {
			runtime.Gosched() // until all others have their entry in memory
		}
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if _, err := l.Add(ctx, userEntry(string(rune('a'+i)))); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if syncs > 2 {
		t.Errorf("%d syncs for %d changes, want at most 2", syncs, n)
	}
}
