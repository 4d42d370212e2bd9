//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package cache

import (
	"os"
	"time"
)

// writers is one lock for all directories: this platform has no flock in the
// standard library, so writers of other processes are not kept out.
var writers = make(chan struct{}, 1)

type dirLock struct{}

func lockDir(dir string) (*dirLock, error) {
	if _, err := os.Stat(dir); err != nil {
		return nil, err
	}
	timeout := time.NewTimer(lockWait)
	defer timeout.Stop()
	select {
	case writers <- struct{}{}:
		return &dirLock{}, nil
	case <-timeout.C:
		return nil, errLockTimeout
	}
}

// sync does nothing: directories cannot be synced here, renames are journalled.
func (*dirLock) sync() error { return nil }

func (*dirLock) unlock() { <-writers }
