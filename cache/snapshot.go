package cache

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The ways in which a snapshot is refused. Test with errors.Is. All of them
// mean "start without it"; none should stop a start.
var (
	// ErrSnapshotMissing: there is no such file.
	ErrSnapshotMissing = errors.New("snapshot is missing")
	// ErrSnapshotCorrupt: the file is cut short, too large or damaged.
	ErrSnapshotCorrupt = errors.New("snapshot is corrupt")
	// ErrSnapshotForeign: the file is whole but was not written with this key,
	// or is of another kind.
	ErrSnapshotForeign = errors.New("snapshot is foreign")
	// ErrSnapshotVersion: the container has a format that this program does
	// not know. Header.Version, the format of the body, is the caller's.
	ErrSnapshotVersion = errors.New("snapshot has an unknown format")
	// ErrSnapshotRollback: the file is older than one that was written later.
	ErrSnapshotRollback = errors.New("snapshot is older than the last one written")
)

// SnapshotKeySize is the length of a snapshot key in bytes.
const SnapshotKeySize = 32

// MaxSnapshotKind is the greatest length of Header.Kind in bytes.
const MaxSnapshotKind = 256

// Header describes a snapshot. It is authenticated together with the body.
type Header struct {
	// Kind says what the body is and whose, for instance "source intune". A
	// snapshot is only read back under the kind it was written with, so two
	// files with one key cannot be exchanged.
	Kind string
	// Version is the format of the body, for the caller to check.
	Version uint16
	// Sequence grows with every snapshot of one path. Zero asks WriteSnapshot
	// to choose the next number, which is what most callers want.
	Sequence uint64
	// Created is kept to the microsecond. Zero means now.
	Created time.Time
}

// WriteSnapshot replaces the snapshot at path as a whole: a reader sees the old
// file or the new one, also after a power loss. Key has [SnapshotKeySize]
// bytes. The file is readable for its owner only. A symbolic link at path is
// replaced, not followed. When writing fails, for instance on a full disk, the
// old snapshot stays; a temporary file that a crash left behind is removed by
// the next call.
//
// The highest sequence is kept beside the snapshot in path+".seq", with the same
// authentication. A lower Header.Sequence fails with [ErrSnapshotRollback].
// Concurrent writers, in this process or another one on the machine, take
// turns; a writer that cannot get its turn within ten seconds fails. The
// directory must be on a local file system, where it can be locked and synced.
func WriteSnapshot(path string, key []byte, h Header, body []byte) error {
	if err := checkSnapshotArgs(key, h.Kind); err != nil {
		return err
	}
	dir, err := lockDir(filepath.Dir(path))
	if err != nil {
		return fmt.Errorf("snapshot directory: %w", err)
	}
	defer dir.unlock()

	if h.Created.IsZero() {
		h.Created = time.Now()
	}
	floor := writeFloor(path, key, h.Kind)
	if h.Sequence == 0 {
		// Time keeps numbers growing even if both files were lost.
		h.Sequence = max(floor+1, uint64(max(time.Now().UnixMicro(), 1)))
	}
	if h.Sequence < floor {
		return fmt.Errorf("write snapshot %s: sequence %d, last was %d: %w", path, h.Sequence, floor, ErrSnapshotRollback)
	}
	if err := replaceFile(path, encodeSnapshot(key, h, body)); err != nil {
		return fmt.Errorf("write snapshot: %w", err)
	}
	// The sequence file comes second: after a crash in between it is behind,
	// which accepts the new snapshot. Ahead, it would refuse a good one.
	floorHeader := Header{Kind: floorKind(h.Kind), Sequence: h.Sequence, Created: h.Created}
	if err := replaceFile(floorPath(path), encodeSnapshot(key, floorHeader, nil)); err != nil {
		return fmt.Errorf("write snapshot sequence: %w", err)
	}
	if err := dir.sync(); err != nil {
		return fmt.Errorf("sync snapshot directory: %w", err)
	}
	return nil
}

// ReadSnapshot returns the snapshot at path if it is whole, was written with
// key, is of the given kind, has at most maxBytes of body, and is not older
// than the last one written. It fails with one of the errors above, or with the
// error of the file system.
//
// The check of age stops an old copy of the snapshot put in place of the new
// one. It cannot stop somebody who puts back the sequence file as well; a
// caller that knows a higher number from elsewhere compares Header.Sequence.
// Without a sequence file there is no lower bound; an unreadable one refuses
// the snapshot until the next write.
func ReadSnapshot(path string, key []byte, kind string, maxBytes int64) (Header, []byte, error) {
	if err := checkSnapshotArgs(key, kind); err != nil {
		return Header{}, nil, err
	}
	// The floor is read first: a write in between can only raise the sequence.
	floor, err := readFloor(path, key, kind)
	if err != nil {
		return Header{}, nil, fmt.Errorf("read sequence of snapshot %s: %w", path, err)
	}
	h, body, err := readSealed(path, key, kind, maxBytes)
	if err != nil {
		return Header{}, nil, fmt.Errorf("read snapshot %s: %w", path, err)
	}
	if h.Sequence < floor {
		return Header{}, nil, fmt.Errorf("read snapshot %s: sequence %d, last was %d: %w", path, h.Sequence, floor, ErrSnapshotRollback)
	}
	return h, body, nil
}

func checkSnapshotArgs(key []byte, kind string) error {
	if len(key) != SnapshotKeySize {
		return fmt.Errorf("snapshot key has %d bytes, need %d", len(key), SnapshotKeySize)
	}
	if kind == "" || len(kind) > MaxSnapshotKind {
		return fmt.Errorf("snapshot kind has %d bytes, need 1 to %d", len(kind), MaxSnapshotKind)
	}
	if strings.IndexByte(kind, 0) >= 0 {
		return errors.New("snapshot kind has a zero byte")
	}
	return nil
}

func floorPath(path string) string { return path + ".seq" }

// floorKind keeps the sequence file from passing for a snapshot: no caller can
// use a kind with a zero byte.
func floorKind(kind string) string { return kind + "\x00sequence" }

func readFloor(path string, key []byte, kind string) (uint64, error) {
	h, _, err := readSealed(floorPath(path), key, floorKind(kind), 0)
	if errors.Is(err, ErrSnapshotMissing) {
		return 0, nil
	}
	return h.Sequence, err
}

// writeFloor is the sequence that a new snapshot must reach. Files that are
// missing or unreadable, or under a key that was changed, set no bound: the
// write repairs them.
func writeFloor(path string, key []byte, kind string) uint64 {
	floor, err := readFloor(path, key, kind)
	if err != nil {
		return 0
	}
	return floor
}

// readSealed reads and opens one file of at most maxBody bytes of body.
func readSealed(path string, key []byte, kind string, maxBody int64) (Header, []byte, error) {
	// Looking before opening keeps a named pipe from blocking the open.
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Header{}, nil, ErrSnapshotMissing
	}
	if err != nil {
		return Header{}, nil, err
	}
	if !info.Mode().IsRegular() {
		return Header{}, nil, fmt.Errorf("%w: not a regular file", ErrSnapshotCorrupt)
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Header{}, nil, ErrSnapshotMissing
	}
	if err != nil {
		return Header{}, nil, err
	}
	defer f.Close()
	// The file may have been replaced since: only what is open counts.
	info, err = f.Stat()
	if err != nil {
		return Header{}, nil, err
	}
	limit := int64(snapshotOverhead) + int64(len(kind)) + max(maxBody, 0)
	if !info.Mode().IsRegular() || info.Size() > limit {
		return Header{}, nil, fmt.Errorf("%w: %d bytes, limit %d", ErrSnapshotCorrupt, info.Size(), limit)
	}
	// One byte more shows a file that grew, and saves ReadFull's guess of EOF.
	buf := make([]byte, info.Size()+1)
	n, err := io.ReadFull(f, buf)
	if err == nil {
		return Header{}, nil, fmt.Errorf("%w: file changed while reading", ErrSnapshotCorrupt)
	}
	if !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return Header{}, nil, err
	}
	return decodeSnapshot(key, kind, buf[:n])
}
