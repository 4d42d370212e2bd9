package cache

import (
	"errors"
	"io/fs"
	"os"
	"time"
)

const (
	lockWait  = 10 * time.Second
	lockRetry = 5 * time.Millisecond
)

var errLockTimeout = errors.New("another writer holds the directory")

// replaceFile writes parts to a temporary file beside path and renames it. The
// caller holds the directory's lock, so the temporary file has a fixed name:
// a crash leaves at most one behind. The caller also syncs the directory.
func replaceFile(path string, parts [][]byte) error {
	temp := path + ".tmp"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	// O_EXCL neither follows a symbolic link nor opens what somebody else made.
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = writeAndSync(f, parts)
	if err == nil {
		err = os.Rename(temp, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temp))
	}
	return nil
}

func writeAndSync(f *os.File, parts [][]byte) error {
	for _, p := range parts {
		if _, err := f.Write(p); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	if err := f.Sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	return f.Close()
}
