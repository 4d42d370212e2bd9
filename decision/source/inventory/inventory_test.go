package inventory

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const plainOne = "serial,compliance\nx1,compliant\n"

// file is an inventory file under test, with its clock.
type file struct {
	t    testing.TB
	path string
	now  time.Time
}

func newFile(t testing.TB, content string) *file {
	f := &file{t: t, path: filepath.Join(t.TempDir(), "devices"), now: time.Now()}
	f.write(content)
	return f
}

// write replaces the content in place and dates the file an hour back, so that
// it counts as quiet.
func (f *file) write(content string) {
	f.t.Helper()
	if err := os.WriteFile(f.path, []byte(content), 0o600); err != nil {
		f.t.Fatal(err)
	}
	f.date(time.Now().Add(-time.Hour))
}

func (f *file) date(at time.Time) {
	f.t.Helper()
	if err := os.Chtimes(f.path, at, at); err != nil {
		f.t.Fatal(err)
	}
}

func (f *file) source(o Options) *Source {
	f.t.Helper()
	o.Path, o.Now = f.path, func() time.Time { return f.now }
	s, err := New(o)
	if err != nil {
		f.t.Fatal(err)
	}
	return s
}

func (f *file) sync(s *Source) (*source.Sweep, error) {
	f.t.Helper()
	sweep := source.NewSweep(0)
	return sweep, s.Sync(context.Background(), sweep)
}

func TestNew(t *testing.T) {
	for _, o := range []Options{
		{}, {Path: "x", Format: "xml"}, {Path: "x", MaxFileAge: -1}, {Path: "x", MaxBytes: -1}, {Path: "x", CheckInterval: -1},
	} {
		if _, err := New(o); err == nil {
			t.Errorf("New(%+v) took it", o)
		}
	}
	s, err := New(Options{Path: "x"})
	if err != nil {
		t.Fatal(err)
	}
	if s.o.MaxFileAge != DefaultMaxFileAge || s.o.MaxBytes != DefaultMaxBytes || s.o.CheckInterval != DefaultCheckInterval {
		t.Errorf("defaults are %+v", s.o)
	}
	if s.Facts() != decision.AllFacts {
		t.Errorf("facts before the first read are %b", s.Facts())
	}
}

func TestSyncReadsAndNarrowsFacts(t *testing.T) {
	f := newFile(t, plainOne)
	s := f.source(Options{})
	sweep, err := f.sync(s)
	if err != nil {
		t.Fatal(err)
	}
	want := decision.Facts(decision.FactCompliance)
	if got, ok := sweep.Facts(); !ok || got != want || s.Facts() != want {
		t.Errorf("facts %b and %b, want %b", got, s.Facts(), want)
	}
	if at, why := sweep.Confirmed(); why != nil || !at.Equal(f.now) {
		t.Errorf("confirmed %v (%v), want now", at, why)
	}
	table, err := sweep.Table()
	if err != nil {
		t.Fatal(err)
	}
	row, ok := table.Find(decision.Key{Kind: decision.KindSerial, Value: "X1"})
	if !ok || table.Verdict(row).Compliance != decision.Compliant {
		t.Error("the device is not in the table")
	}
}

func TestUnchanged(t *testing.T) {
	f := newFile(t, plainOne)
	s := f.source(Options{})
	if _, err := f.sync(s); err != nil {
		t.Fatal(err)
	}
	if s.good.settled {
		t.Error("a file that was written just now counts as settled")
	}
	// The inode was changed a moment ago, so this compares content.
	for range 2 {
		f.now = f.now.Add(time.Minute)
		sweep, err := f.sync(s)
		if !errors.Is(err, source.ErrUnchanged) {
			t.Fatalf("second Sync: %v, want ErrUnchanged", err)
		}
		if at, why := sweep.Confirmed(); why != nil || !at.Equal(f.now) {
			t.Errorf("confirmed %v (%v), want now", at, why)
		}
	}
	// From here on, by stamp alone: the reading is made to look settled and
	// its content to differ.
	s.good.settled = true
	s.good.sum[0]++
	if _, err := f.sync(s); !errors.Is(err, source.ErrUnchanged) {
		t.Errorf("settled file: %v, want ErrUnchanged", err)
	}
	s.good.settled = false
	if sweep, err := f.sync(s); err != nil {
		t.Errorf("same stamp, other content: %v, want a sweep", err)
	} else if n := emitted(t, sweep); n != 1 {
		t.Errorf("same stamp, other content: %d devices, want 1", n)
	}
	f.date(time.Now().Add(-2 * time.Hour))
	if _, err := f.sync(s); !errors.Is(err, source.ErrUnchanged) {
		t.Errorf("touched file: %v, want ErrUnchanged", err)
	}
	f.write("serial,compliance\nx1,error\n")
	if _, err := f.sync(s); err != nil {
		t.Errorf("new content: %v, want a sweep", err)
	}
}

func emitted(t *testing.T, sweep *source.Sweep) int {
	t.Helper()
	table, err := sweep.Table()
	if err != nil {
		t.Fatal(err)
	}
	return table.Len()
}

// A failed read leaves the last good one to compare with.
func TestRecoveryAfterABadFile(t *testing.T) {
	f := newFile(t, plainOne)
	s := f.source(Options{})
	if _, err := f.sync(s); err != nil {
		t.Fatal(err)
	}
	facts := s.Facts()
	f.write("serial,complia")
	if _, err := f.sync(s); err == nil || errors.Is(err, source.ErrUnchanged) {
		t.Fatalf("bad file: %v", err)
	}
	if s.Facts() != facts {
		t.Error("a bad file changed the facts")
	}
	if err := os.Remove(f.path); err != nil {
		t.Fatal(err)
	}
	if _, err := f.sync(s); err == nil || !strings.Contains(err.Error(), "no such file") || strings.Contains(err.Error(), f.path) {
		t.Errorf("missing file: %v", err)
	}
	f.write(plainOne)
	if _, err := f.sync(s); !errors.Is(err, source.ErrUnchanged) {
		t.Errorf("the same file back again: %v, want ErrUnchanged", err)
	}
}

func TestRefusedFiles(t *testing.T) {
	ctx := context.Background()
	refuse := func(name, path string, o Options, want string) {
		t.Run(name, func(t *testing.T) {
			o.Path = path
			s, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Sync(ctx, source.NewSweep(0)); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("Sync: %v, want %q", err, want)
			}
		})
	}
	f := newFile(t, plainOne)
	refuse("directory", filepath.Dir(f.path), Options{}, "inventory file is a directory")
	refuse("device", os.DevNull, Options{}, "regular")
	refuse("missing", f.path+"x", Options{}, "no such file")
	refuse("too large", f.path, Options{MaxBytes: 10}, "31 bytes, more than the limit of 10")
	refuse("wrong format", f.path, Options{Format: FormatJSON}, "not json")
	if os.Getuid() != 0 {
		if err := os.Chmod(f.path, 0); err != nil {
			t.Fatal(err)
		}
		refuse("unreadable", f.path, Options{}, "permission")
	}
	refuse("empty", newFile(t, "").path, Options{}, "empty")
}

func TestFileAge(t *testing.T) {
	now := time.Now()
	doc := func(generated time.Time) string {
		return fmt.Sprintf(`{"version":1,"generated_at":%q,"devices":[{"ids":{"asset":"a"}}]}`, generated.Format(time.RFC3339))
	}
	tests := []struct {
		name    string
		content string
		mtime   time.Duration // before now
		behind  time.Duration // the confirmed time, before now
		why     string
	}{
		{"young", plainOne, time.Hour, 0, ""},
		{"just young enough", plainOne, 26 * time.Hour, 0, ""},
		{"too old", plainOne, 30 * time.Hour, 4 * time.Hour, "file is 30h old, more than max_file_age 26h"},
		{"json says older", doc(now.Add(-28*time.Hour - 30*time.Minute)), time.Hour, 2*time.Hour + 30*time.Minute, "file is 28h30m old"},
		{"json says younger", doc(now), 30 * time.Hour, 4 * time.Hour, "file is 30h old"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := newFile(t, tt.content)
			f.now = now
			f.date(now.Add(-tt.mtime))
			s := f.source(Options{})
			for i, want := range []error{nil, source.ErrUnchanged} {
				sweep, err := f.sync(s)
				if !errors.Is(err, want) {
					t.Fatalf("Sync %d: %v, want %v", i, err, want)
				}
				at, why := sweep.Confirmed()
				if got := now.Sub(at); got < tt.behind-time.Second || got > tt.behind+time.Second {
					t.Errorf("Sync %d: confirmed %s ago, want %s", i, got, tt.behind)
				}
				if (why == nil) != (tt.why == "") || why != nil && !strings.Contains(why.Error(), tt.why) {
					t.Errorf("Sync %d: why %v, want %q", i, why, tt.why)
				}
			}
		})
	}
}

// A date in the future is reported and does not keep the file young for ever.
func TestFutureDate(t *testing.T) {
	f := newFile(t, plainOne)
	f.date(f.now.AddDate(10, 0, 0))
	s := f.source(Options{})
	sweep, err := f.sync(s)
	if err != nil {
		t.Fatal(err)
	}
	if n, rows := sweep.BadRows(); n != 1 || !strings.Contains(rows[0].Error, "future") {
		t.Errorf("bad rows %v, want one about the date", rows)
	}
	if _, why := sweep.Confirmed(); why != nil {
		t.Errorf("first read: %v", why)
	}
	f.now = f.now.Add(27 * time.Hour)
	sweep, err = f.sync(s)
	if _, why := sweep.Confirmed(); !errors.Is(err, source.ErrUnchanged) || why == nil {
		t.Errorf("a day later: %v, confirmed with %v, want unchanged and too old", err, why)
	}
}

func TestCanceledSync(t *testing.T) {
	canceled, cancel := context.WithCancel(context.Background())
	cancel()
	s := newFile(t, plainOne).source(Options{})
	if err := s.Sync(canceled, source.NewSweep(0)); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled Sync: %v", err)
	}
}

// A writer that is at work while we read must never leave half a fleet behind.
func TestFileThatChangesWhileRead(t *testing.T) {
	f := newFile(t, plainOne+strings.Repeat("x1,compliant\n", 20000))
	s := f.source(Options{})
	for name, meddle := range map[string]func(){
		"grows": func() {
			w, err := os.OpenFile(f.path, os.O_APPEND|os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Close() //nolint:errcheck // a test file
			if _, err := w.WriteString("x2,compliant\n"); err != nil {
				t.Fatal(err)
			}
		},
		"shrinks": func() {
			if err := os.Truncate(f.path, 1000); err != nil {
				t.Fatal(err)
			}
		},
		"is touched": func() { f.date(time.Now().Add(-2 * time.Hour)) },
	} {
		t.Run(name, func(t *testing.T) {
			f.write(plainOne + strings.Repeat("x1,compliant\n", 20000))
			once := false
			_, err := s.read(context.Background(), s.parser(sink{
				device: func(decision.Verdict) {
					if !once {
						once = true
						meddle()
					}
				},
				user: func(decision.UserRecord) {},
				bad:  func(string, error) {},
			}))
			if !errors.Is(err, errChanging) {
				t.Errorf("got %v, want errChanging", err)
			}
		})
	}
}

func TestSettled(t *testing.T) {
	now := time.Now()
	for _, tt := range []struct {
		modified, changed time.Duration // before now
		want              bool
	}{
		{time.Hour, time.Hour, true},
		{time.Hour, time.Second, false},
		{time.Second, time.Hour, false},
		{-time.Second, time.Hour, false},
		{-time.Hour, time.Hour, true},
	} {
		s := stamp{modified: now.Add(-tt.modified), changed: now.Add(-tt.changed).UnixNano()}
		if got := s.settled(now); got != tt.want {
			t.Errorf("modified %s, changed %s ago: settled %v, want %v", tt.modified, tt.changed, got, tt.want)
		}
	}
}
