package revocation

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// CorruptError says that a journal is damaged where no kill or power loss can
// have damaged it. The file is left as it is, with all that can be read; to
// give up the damaged entry knowingly, delete that line and open again.
type CorruptError struct {
	Path string
	Line int // from 1
	Err  error
}

// Error names the file and the line.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("revocation journal %s: line %d is corrupt: %v", e.Path, e.Line, e.Err)
}

// Unwrap returns what is wrong with the line.
func (e *CorruptError) Unwrap() error { return e.Err }

// tail is how a journal ends.
type tail struct {
	size    int64 // of the part that counts
	lines   int   // after the header
	newline bool  // the last line is whole but its end is missing
	torn    bool  // something follows that does not count
}

// replay calls apply for each line after the header.
//
// The last line was torn if it has no end and is not whole. After a power loss
// some file systems also leave zero bytes in what was never synced; from the
// first such line on the file is torn, unless a good line follows: then what
// was lost had been synced, and the journal is corrupt. So is a last line that
// ends properly but is wrong, because a torn write cannot produce one.
func replay(path string, r io.Reader, apply func(line) error) (tail, error) {
	var t tail
	var bad *CorruptError // the first torn line
	in := bufio.NewReaderSize(r, maxLine)
	for n := 1; ; n++ {
		b, err := in.ReadSlice('\n')
		if err == io.EOF && len(b) == 0 {
			break
		}
		if err != nil && err != io.EOF && !errors.Is(err, bufio.ErrBufferFull) {
			return t, fmt.Errorf("read revocation journal: %w", err)
		}
		body, ended := bytes.CutSuffix(b, []byte("\n"))
		parsed, lineErr := decodeLine(body)
		if errors.Is(err, bufio.ErrBufferFull) {
			lineErr = errors.New("line is too long")
		}
		if lineErr != nil && err == io.EOF && len(body) > 0 {
			// Whole but for a damaged newline: no torn write looks like that.
			whole, wholeErr := decodeLine(body[:len(body)-1])
			if wholeErr == nil {
				parsed, lineErr, b, t.torn = whole, nil, body[:len(body)-1], true
			}
		}
		switch {
		case bad != nil && lineErr == nil:
			return t, bad
		case bad != nil:
			continue
		case n == 1:
			if lineErr == nil {
				lineErr = checkHeader(parsed)
			}
			if lineErr != nil { // written as a whole before its first use: never torn
				return t, &CorruptError{path, n, lineErr}
			}
		case lineErr != nil:
			bad = &CorruptError{path, n, lineErr}
			if err != io.EOF && bytes.IndexByte(body, 0) < 0 {
				return t, bad
			}
			t.torn = true
			continue
		default:
			if err := apply(parsed); err != nil {
				return t, &CorruptError{path, n, err}
			}
			t.lines++
		}
		t.size += int64(len(b))
		t.newline = !ended
	}
	if t.size == 0 {
		return t, &CorruptError{path, 1, errors.New("file is empty")}
	}
	return t, nil
}

func checkHeader(l line) error {
	if l.Op != opHeader {
		return errors.New("not a revocation journal")
	}
	if l.Version != journalVersion {
		return fmt.Errorf("version %d, this program reads %d", l.Version, journalVersion)
	}
	return nil
}

// reopen repairs the end of the file and makes the journal ready to append.
func (j *journal) reopen(t tail) error {
	f, err := os.OpenFile(j.path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return fmt.Errorf("open revocation journal: %w", err)
	}
	if err := repair(f, t); err != nil {
		return errors.Join(fmt.Errorf("repair revocation journal: %w", err), f.Close())
	}
	j.f, j.lines = f, t.lines
	return nil
}

func repair(f *os.File, t tail) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	// The journal names users. One restored from a backup may be readable.
	if info.Mode().Perm()&0o077 != 0 {
		if err := f.Chmod(0o600); err != nil {
			return err
		}
	}
	if t.torn {
		if err := f.Truncate(t.size); err != nil {
			return err
		}
	}
	if t.newline {
		if _, err := f.WriteString("\n"); err != nil {
			return err
		}
	}
	// Lines that were whole but perhaps never synced are in force from now on.
	return f.Sync()
}
