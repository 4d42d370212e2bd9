//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package revocation

import (
	"errors"
	"os"
	"syscall"
)

// dirSync says that an error of syncing a directory counts.
const dirSync = true

// lockFile takes the advisory lock (flock) of path+".lock" for as long as the
// result is open. The lock has a file of its own because the journal is
// replaced. It ends with the process, however that ends.
func lockFile(path string) (func() error, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|syscall.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, errors.Join(ErrLocked, f.Close())
	}
	if err != nil {
		return nil, errors.Join(&os.PathError{Op: "flock", Path: path, Err: err}, f.Close())
	}
	return f.Close, nil
}
