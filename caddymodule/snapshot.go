package caddymodule

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/gatehouse-project/gatehouse/cache"
)

// snapshotFile keeps the last good answer of a source or of a revocation list for
// a warm start. The file is authenticated: a changed or foreign one is refused.
type snapshotFile struct {
	path, kind string
	keys       [][]byte // the first writes, all read
}

// The kinds of snapshots, so that no file can pose as another.
const (
	snapshotSource = "gatehouse-source"
	snapshotCRL    = "gatehouse-crl"
)

const (
	snapshotVersion = 1 // of the body's framing; sources and lists version their own content
	snapshotMax     = 1 << 30
)

// Load returns the stored answer, or an error that wraps fs.ErrNotExist.
func (f *snapshotFile) Load() ([]byte, error) {
	var err error
	for _, key := range f.keys {
		var h cache.Header
		var body []byte
		h, body, err = cache.ReadSnapshot(f.path, key, f.kind, snapshotMax)
		switch {
		case err == nil && h.Version == snapshotVersion:
			return body, nil
		case err == nil:
			return nil, fmt.Errorf("snapshot has version %d, not %d", h.Version, snapshotVersion)
		case errors.Is(err, cache.ErrSnapshotMissing):
			return nil, fs.ErrNotExist
		case !errors.Is(err, cache.ErrSnapshotForeign):
			return nil, err
		}
	}
	return nil, err
}

// Save replaces the stored answer.
func (f *snapshotFile) Save(body []byte) error {
	return cache.WriteSnapshot(f.path, f.keys[0], cache.Header{Kind: f.kind, Version: snapshotVersion, Created: time.Now()}, body)
}

// safeName keeps a configured name usable as part of a file name.
func safeName(s string) string {
	b := []byte(s)
	for i, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			b[i] = '_'
		}
	}
	return string(b)
}
