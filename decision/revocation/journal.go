package revocation

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

const (
	journalVersion = 1
	// maxLine bounds one line; the longest entry, fully escaped, is below.
	maxLine = 16 << 10
)

// The operations of a journal line.
const (
	opHeader  = "journal"
	opAdd     = "add"
	opRelease = "release"
)

// line is one line of the journal before the checksum. The first line is the
// header; it alone has a version.
type line struct {
	Op      string    `json:"op"`
	Version int       `json:"version,omitempty"`
	Entry   *Entry    `json:"entry,omitempty"` // add: the whole entry, also when it extends one
	ID      string    `json:"id,omitempty"`    // release
	Owner   string    `json:"owner,omitempty"` // release: who
	At      time.Time `json:"at,omitzero"`     // release: when
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// sumFormat closes every line: a CRC-32C of all that stands before it.
const (
	sumFormat = ",\"sum\":\"%08x\"}"
	sumSize   = len(`,"sum":"00000000"}`)
)

func encodeLine(l line) ([]byte, error) {
	b, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("encode journal line: %w", err)
	}
	b = seal(b[:len(b)-1])
	if len(b) >= maxLine {
		return nil, fmt.Errorf("journal line has %d bytes, limit %d", len(b), maxLine)
	}
	return append(b, '\n'), nil
}

// seal closes a JSON object that lacks its last brace.
func seal(content []byte) []byte {
	return fmt.Appendf(content, sumFormat, crc32.Checksum(content, castagnoli))
}

// decodeLine reads a line without its end.
func decodeLine(b []byte) (line, error) {
	var l line
	if len(b) <= sumSize {
		return l, errors.New("line is too short")
	}
	content, sum := b[:len(b)-sumSize], b[len(b)-sumSize:]
	if fmt.Sprintf(sumFormat, crc32.Checksum(content, castagnoli)) != string(sum) {
		return l, errors.New("checksum differs")
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return l, fmt.Errorf("line is not JSON: %w", err)
	}
	return l, nil
}

// file is what the journal needs of an *os.File; tests inject failures here.
type file interface {
	io.Writer
	Sync() error
	Close() error
}

// journal is the file. It has no lock of its own: see List.
type journal struct {
	path  string
	f     file
	lines int // after the header

	// broken is why the file's end cannot be trusted, after a failed write or
	// sync: nothing may be appended before the whole file is written anew. A
	// second fsync would not help, the kernel drops what it failed to write.
	// Written under the list's lock, read without: a disk that hangs keeps that.
	broken fault

	open func(path string) (file, error) // creates a file that must not exist
}

// fault is an error, or nil, that is read without a lock.
type fault struct{ err atomic.Pointer[error] }

func (f *fault) get() error {
	if err := f.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (f *fault) set(err error) { f.err.Store(&err) }

func newJournal(path string) *journal {
	return &journal{path: path, open: func(path string) (file, error) {
		return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL|os.O_APPEND, 0o600)
	}}
}

// append writes one line in one call, so that a kill cuts only the last line.
func (j *journal) append(b []byte) {
	if j.broken.get() != nil {
		return
	}
	if _, err := j.f.Write(b); err != nil {
		j.broken.set(err)
		return
	}
	j.lines++
}

// rewrite replaces the file by the given records. The old file stays if it
// fails before the rename. After the rename the new file is in use in any
// case, but stays broken until the directory could be synced.
func (j *journal) rewrite(records func(yield func(*record) bool)) error {
	temp := j.path + ".tmp"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove stale journal: %w", err)
	}
	f, err := j.open(temp)
	if err != nil {
		return fmt.Errorf("create journal: %w", err)
	}
	n, err := writeAll(f, records)
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		err = os.Rename(temp, j.path)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("write journal: %w", err), f.Close(), os.Remove(temp))
	}
	if j.f != nil {
		_ = j.f.Close() // it has no name any more, whatever it says
	}
	j.f, j.lines = f, n
	err = syncDir(filepath.Dir(j.path))
	j.broken.set(err)
	return err
}

func writeAll(f file, records func(yield func(*record) bool)) (n int, err error) {
	buf, err := encodeLine(line{Op: opHeader, Version: journalVersion})
	if err != nil {
		return 0, err
	}
	for r := range records {
		b, err := encodeLine(line{Op: opAdd, Entry: &r.entry})
		if err != nil {
			return n, err
		}
		n++
		buf = append(buf, b...)
		if len(buf) >= 64<<10 {
			if _, err := f.Write(buf); err != nil {
				return n, err
			}
			buf = buf[:0]
		}
	}
	_, err = f.Write(buf)
	return n, err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("open journal directory: %w", err)
	}
	err = d.Sync()
	if err != nil && !dirSync {
		err = nil
	}
	return errors.Join(err, d.Close())
}
