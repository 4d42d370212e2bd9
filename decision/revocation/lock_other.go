//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package revocation

import (
	"path/filepath"
	"sync"
)

// dirSync: directories cannot be synced on this platform.
const dirSync = false

// open holds the journals in use by this process. Without flock in the standard
// library, other processes are not kept out.
var open sync.Map

func lockFile(path string) (func() error, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if _, taken := open.LoadOrStore(path, true); taken {
		return nil, ErrLocked
	}
	return func() error { open.Delete(path); return nil }, nil
}
