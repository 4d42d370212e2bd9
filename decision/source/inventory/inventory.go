package inventory

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// The defaults of [Options].
const (
	DefaultMaxFileAge    = 26 * time.Hour
	DefaultMaxBytes      = 1 << 30
	DefaultCheckInterval = time.Second
)

// Options says which file to read and how far to trust it.
type Options struct {
	// Path of the file. Required. Symbolic links are followed at every read.
	Path string
	// Format is one of [FormatIntuneCSV], [FormatCSV] and [FormatJSON]. Empty
	// tells them apart by content.
	Format string
	// MaxFileAge is how old the file may be, counted from its modification
	// time or, if that is older, from the document's own generated_at. An
	// older file still loads, but counts as a failing source. Default 26 h: a
	// daily export plus two hours.
	MaxFileAge time.Duration
	// MaxBytes bounds the size of the file. Default 1 GiB.
	MaxBytes int64
	// CheckInterval is how often Watch looks at the file. Default 1 s.
	CheckInterval time.Duration
	// Logger receives what operators should read; nil: nothing is logged.
	Logger *slog.Logger
	// Now is the clock; nil means time.Now. Return times with their monotonic
	// reading where there is one.
	Now func() time.Time
}

// Source reads one file. It keeps what it learnt about the file, never the
// devices: those belong to whoever called Sync. It is no [source.Looker], as only
// a file read to its end proves anything. It is safe for concurrent use.
type Source struct {
	o     Options
	facts atomic.Uint32

	mu    sync.Mutex // guards good and dated; never held over a read
	good  *reading   // the last complete read, or nil
	dated dating
}

var (
	_ source.Syncer  = (*Source)(nil)
	_ source.Watcher = (*Source)(nil)
)

// New checks o and returns a source. It does not touch the file: a file that
// is not there yet is for the first Sync to report.
func New(o Options) (*Source, error) {
	if o.Path == "" {
		return nil, errors.New("inventory path is empty")
	}
	switch o.Format {
	case "", FormatIntuneCSV, FormatCSV, FormatJSON:
	default:
		return nil, fmt.Errorf("inventory format %q is none of %s, %s, %s", o.Format, FormatIntuneCSV, FormatCSV, FormatJSON)
	}
	if o.MaxFileAge < 0 || o.MaxBytes < 0 || o.CheckInterval < 0 {
		return nil, errors.New("inventory limit is negative")
	}
	if o.MaxFileAge == 0 {
		o.MaxFileAge = DefaultMaxFileAge
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = DefaultMaxBytes
	}
	if o.CheckInterval == 0 {
		o.CheckInterval = DefaultCheckInterval
	}
	o.Logger = cmp.Or(o.Logger, slog.New(slog.DiscardHandler))
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Path = filepath.Clean(o.Path)
	s := &Source{o: o}
	s.facts.Store(uint32(decision.AllFacts))
	return s, nil
}

// Facts returns what the file's columns or members can report; before the
// first good read, everything that a file could.
func (s *Source) Facts() decision.FactSet { return decision.FactSet(s.facts.Load()) }

// Sync reads the file into sweep. It returns [source.ErrUnchanged] without
// reading while the file's identity, size and times are those of the last good
// read, and after reading if only the times are new; what sweep got then is to
// be thrown away. The sweep's confirmation is set in both cases.
func (s *Source) Sync(ctx context.Context, sweep *source.Sweep) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	now := s.o.Now()
	info, err := s.stat()
	if err != nil {
		return err
	}
	s.mu.Lock()
	good := s.good
	s.mu.Unlock()
	if good != nil && good.stamp.equal(stampOf(info)) {
		same := good.settled
		if !same {
			if same, err = s.recheck(ctx, good); err != nil {
				return err
			}
		}
		if same {
			s.confirm(sweep, good, now)
			return source.ErrUnchanged
		}
	}
	got, err := s.read(ctx, s.parser(sink{device: sweep.Device, user: sweep.User, bad: sweep.Bad}))
	if err != nil {
		return err
	}
	unchanged := good != nil && good.sum == got.sum
	s.mu.Lock()
	s.good = got
	s.mu.Unlock()
	s.facts.Store(uint32(got.facts))
	future := s.confirm(sweep, got, now)
	if unchanged {
		return source.ErrUnchanged
	}
	s.warn(got.skipped)
	if future != nil {
		sweep.Bad("file date", future)
	}
	return nil
}

// recheck reads a file whose stamp cannot be trusted yet, without parsing it,
// and reports whether its content is that of good.
func (s *Source) recheck(ctx context.Context, good *reading) (same bool, err error) {
	got, err := s.read(ctx, func(in *input) (found, error) {
		in.allow(in.size)
		_, err := io.Copy(io.Discard, in)
		return found{good.facts, good.generated, good.skipped}, err
	})
	if err != nil || got.sum != good.sum {
		return false, err
	}
	s.mu.Lock()
	s.good = got
	s.mu.Unlock()
	return true, nil
}

// parser returns a reader's second half: it emits the records into to.
func (s *Source) parser(to sink) func(*input) (found, error) {
	return func(in *input) (found, error) { return decode(in, s.o.Format, s.o.Now(), to) }
}

// confirm says how good the data is, now that the file was seen to be got.
func (s *Source) confirm(sweep *source.Sweep, got *reading, now time.Time) (future error) {
	confirmed, why, future := s.age(got, now)
	sweep.SetConfirmed(confirmed, why)
	sweep.SetFacts(got.facts)
	return future
}

// dating remembers when a stamp was first seen, so that a file that claims to
// come from the future grows old all the same.
type dating struct {
	stamp stamp
	at    time.Time
}

// age returns up to when the data of got is confirmed, and why that is not now.
// A date in the future counts from when we first saw the file, and is reported.
func (s *Source) age(got *reading, now time.Time) (confirmed time.Time, why, future error) {
	s.mu.Lock()
	if !s.dated.stamp.equal(got.stamp) {
		s.dated = dating{got.stamp, now}
	}
	first := s.dated.at
	s.mu.Unlock()
	date := got.stamp.modified
	if !got.generated.IsZero() && got.generated.Before(date) {
		date = got.generated
	}
	if date.After(first) {
		if date.Sub(first) > clockSkew {
			future = fmt.Errorf("the file's date %s is in the future and counts as now", date.UTC().Format(time.RFC3339))
		}
		date = first
	}
	age := now.Sub(date)
	if age <= s.o.MaxFileAge {
		return now, nil, future
	}
	// Counted back from now, so that the result keeps its monotonic reading.
	return now.Add(s.o.MaxFileAge - age), fmt.Errorf("file is %s old, more than max_file_age %s",
		short(age), short(s.o.MaxFileAge)), future
}

// clockSkew is how far a file server's clock may run ahead without a report.
const clockSkew = 5 * time.Second

// short prints a duration to the minute: 30h, 1h5m, 20s.
func short(d time.Duration) string {
	if d < time.Minute {
		return d.Round(time.Second).String()
	}
	t := strings.TrimSuffix(d.Round(time.Minute).String(), "0s")
	if strings.HasSuffix(t, "h0m") {
		t = strings.TrimSuffix(t, "0m")
	}
	return t
}

// stat looks at the file without opening it.
func (s *Source) stat() (os.FileInfo, error) {
	info, err := os.Stat(s.o.Path)
	if err != nil {
		return nil, fmt.Errorf("inventory file: %w", reason(err))
	}
	return info, regular(info)
}

// regular refuses what cannot be read as a file to its end.
func regular(info os.FileInfo) error {
	switch {
	case info.IsDir():
		return errors.New("inventory file is a directory")
	case !info.Mode().IsRegular():
		return errors.New("inventory file is not a regular file")
	}
	return nil
}

// reason drops the path from a file error: callers name the source.
func reason(err error) error {
	if pe, ok := errors.AsType[*os.PathError](err); ok {
		return pe.Err
	}
	return err
}
