//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package cache

import (
	"errors"
	"os"
	"syscall"
	"time"
)

// dirLock is an advisory lock (flock) on a directory. It ends with the process,
// however that ends, and excludes goroutines and processes alike, because every
// lock has an open file of its own.
type dirLock struct{ f *os.File }

// lockDir waits for a bounded time: a stuck writer must not stop all others.
func lockDir(dir string) (*dirLock, error) {
	f, err := os.OpenFile(dir, os.O_RDONLY|syscall.O_DIRECTORY, 0)
	if err != nil {
		return nil, err
	}
	for deadline := time.Now().Add(lockWait); ; time.Sleep(lockRetry) {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return &dirLock{f}, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) && !errors.Is(err, syscall.EINTR) {
			return nil, errors.Join(&os.PathError{Op: "flock", Path: dir, Err: err}, f.Close())
		}
		if time.Now().After(deadline) {
			return nil, errors.Join(errLockTimeout, f.Close())
		}
	}
}

// sync makes renames in the directory durable.
func (l *dirLock) sync() error { return l.f.Sync() }

// unlock ends the lock by closing the file; there is nothing to do on an error.
func (l *dirLock) unlock() { _ = l.f.Close() }
