package inventory

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

var (
	errChanging  = errors.New("inventory file changed while it was being read")
	errTruncated = errors.New("inventory file is cut off")
)

// maxRecord bounds one row or one JSON record, in bytes. Everything else about
// memory follows from it: a file is never held as a whole.
const maxRecord = 1 << 20

// Files that were written this recently are given a moment to become quiet, and
// are read again once: a writer may still be at work, and file systems keep
// time in ticks, so that a second write may leave no trace.
const (
	quietTime = 100 * time.Millisecond
	quietMax  = 5 * time.Second
	tickTime  = 2 * time.Second
)

// stamp tells one state of a file from another without reading it.
type stamp struct {
	size     int64
	modified time.Time
	changed  int64       // inode change time, unix nanoseconds; 0 where the system has none
	info     os.FileInfo // for the device and inode number; nil: no file
}

func stampOf(info os.FileInfo) stamp {
	return stamp{info.Size(), info.ModTime(), changeTime(info), info}
}

func (s stamp) equal(o stamp) bool {
	if s.info == nil || o.info == nil {
		return s.info == nil && o.info == nil
	}
	return s.size == o.size && s.modified.Equal(o.modified) && s.changed == o.changed && os.SameFile(s.info, o.info)
}

// settled reports whether a write after this stamp was taken, at the wall time
// now, would be seen in a later stamp.
func (s stamp) settled(now time.Time) bool {
	last := s.modified
	if c := time.Unix(0, s.changed); s.changed != 0 && c.After(last) {
		last = c
	}
	return now.Sub(last) > tickTime || last.Sub(now) > tickTime
}

// reading is what one complete read of the file learnt about it.
type reading struct {
	stamp     stamp
	settled   bool
	sum       [sha256.Size]byte // of the content
	facts     decision.FactSet
	generated time.Time // what the document says about itself; zero if it does not
	skipped   tally     // values that count as unknown; not changed any more
}

// sink takes what a reader finds, in the order of the file.
type sink struct {
	device func(decision.Verdict)
	user   func(decision.UserRecord)
	bad    func(place string, err error)
}

// read hands the whole file to parse and makes sure that it was the whole file.
// On an error, what parse emitted must be thrown away.
func (s *Source) read(ctx context.Context, parse func(*input) (found, error)) (*reading, error) {
	if err := s.awaitQuiet(ctx); err != nil {
		return nil, err
	}
	f, err := os.Open(s.o.Path)
	if err != nil {
		return nil, fmt.Errorf("inventory file: %w", reason(err))
	}
	defer f.Close() //nolint:errcheck // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("inventory file: %w", reason(err))
	}
	started := time.Now()
	before := stampOf(info)
	if err := regular(info); err != nil {
		return nil, err
	}
	switch {
	case before.size == 0:
		return nil, errors.New("inventory file is empty")
	case before.size > s.o.MaxBytes:
		return nil, fmt.Errorf("inventory file has %d bytes, more than the limit of %d", before.size, s.o.MaxBytes)
	}
	in := &input{ctx: ctx, r: f, size: before.size, sum: sha256.New()}
	found, err := parse(in)
	if in.failed != nil {
		err = in.failed // a parser may report it as bad syntax
	}
	// Whatever the parser thought of it: a file that changed was not the file.
	if after, serr := f.Stat(); serr != nil || !before.equal(stampOf(after)) {
		return nil, errChanging
	}
	if err != nil {
		return nil, err
	}
	if in.n < before.size {
		return nil, fmt.Errorf("%w: %d of %d bytes", errTruncated, in.n, before.size)
	}
	got := &reading{stamp: before, settled: before.settled(started), facts: found.facts, generated: found.generated, skipped: found.skipped}
	in.sum.Sum(got.sum[:0])
	return got, nil
}

// awaitQuiet waits while the file is being written, for a bounded time: what
// changes even then is caught by comparing stamps.
func (s *Source) awaitQuiet(ctx context.Context) error {
	deadline := time.Now().Add(quietMax)
	for {
		info, err := s.stat()
		if err != nil {
			return err
		}
		now := time.Now()
		age := now.Sub(info.ModTime())
		if age < 0 || age >= quietTime || !now.Before(deadline) {
			return nil
		}
		t := time.NewTimer(quietTime - age)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return ctx.Err()
		}
	}
}

// input meters a file for its parser: it stops at the end of ctx, at the size
// that the file had when it was opened, and where one record grows too long.
type input struct {
	ctx    context.Context
	r      io.Reader
	size   int64 // bytes expected; more means that the file grows
	limit  int64 // offset up to which the parser may read; see allow
	n      int64 // bytes read
	sum    hash.Hash
	failed error // the first error that is not io.EOF
	tail   byte  // the last byte read
}

// allow lets the parser, which has consumed the input up to offset, read one
// more record and what its buffers hold.
func (in *input) allow(offset int64) { in.limit = offset + maxRecord + 2*bufferSize }

func (in *input) Read(p []byte) (int, error) {
	if in.failed != nil {
		return 0, in.failed
	}
	if err := in.ctx.Err(); err != nil {
		in.failed = err
		return 0, err
	}
	if in.n >= in.limit {
		in.failed = fmt.Errorf("record longer than %d bytes near byte %d", maxRecord, in.limit)
		return 0, in.failed
	}
	if room := in.limit - in.n; int64(len(p)) > room {
		p = p[:room]
	}
	n, err := in.r.Read(p)
	if n > 0 {
		in.n += int64(n)
		in.tail = p[n-1]
		in.sum.Write(p[:n])
		if in.n > in.size {
			in.failed = errChanging
			return 0, in.failed
		}
	}
	if err != nil && err != io.EOF {
		in.failed = fmt.Errorf("inventory file: %w", reason(err))
		return n, in.failed
	}
	return n, err
}
