package revocation

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// While a disk hangs in the midst of a new journal, who only wants to know whether
// it fails is told at once, and who would repair it can give up.
func TestDiskThatHangs(t *testing.T) {
	path := newPath(t)
	synctest.Test(t, func(t *testing.T) {
		l := openList(t, path, Options{})
		faulty(t, l, func() bool { return false }).syncErr = errDisk
		if _, err := l.Add(t.Context(), userEntry("ann")); !errors.Is(err, ErrNotDurable) {
			t.Fatal(err)
		}
		release, create := make(chan struct{}), l.journal.open
		l.journal.open = func(path string) (file, error) {
			<-release
			return create(path)
		}
		repaired := make(chan error, 1)
		go func() { repaired <- l.Sync(t.Context()) }()
		synctest.Wait()

		start := time.Now()
		if err := l.Broken(); !errors.Is(err, errDisk) {
			t.Errorf("broken: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := l.Sync(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("sync: %v after %s", err, time.Since(start))
		}
		close(release)
		if err := errors.Join(<-repaired, l.Broken()); err != nil {
			t.Errorf("after the disk woke up: %v", err)
		}
		closeList(t, l)
	})
	if got := users(openList(t, path, Options{})); got != "ann" {
		t.Errorf("after reopening: %q", got)
	}
}

// A write of one line that hangs holds up the next sync only as long as its caller
// wants to wait.
func TestWriteThatHangs(t *testing.T) {
	path := newPath(t)
	synctest.Test(t, func(t *testing.T) {
		l := openList(t, path, Options{})
		if err := l.commit.lock(t.Context()); err != nil { // a sync is under way
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		ended := make(chan error, 1)
		go func() { ended <- l.wait(ctx, 1) }()
		synctest.Wait()
		l.state.lockNow() // as [List.Add] does while it writes
		l.commit.unlock()
		if err := <-ended; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("wait: %v", err)
		}
		l.state.unlock()
		closeList(t, l)
	})
}
