package cache

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

const testKind = "source test"

var testKey = bytes.Repeat([]byte{7}, SnapshotKeySize)

// write writes a snapshot of testKind and fails the test if that fails.
func write(t *testing.T, path string, sequence uint64, body string) {
	t.Helper()
	if err := WriteSnapshot(path, testKey, Header{Kind: testKind, Version: 3, Sequence: sequence}, []byte(body)); err != nil {
		t.Fatal(err)
	}
}

func read(path string) (Header, string, error) {
	h, body, err := ReadSnapshot(path, testKey, testKind, 1<<20)
	return h, string(body), err
}

func readBytes(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeBytes(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestSnapshotRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	created := time.Date(2026, 11, 1, 12, 0, 0, 123456000, time.UTC)
	for i, body := range []string{"", "x", strings.Repeat("long ", 100_000)} {
		h := Header{Kind: testKind, Version: 2, Sequence: uint64(i + 1), Created: created}
		if err := WriteSnapshot(path, testKey, h, []byte(body)); err != nil {
			t.Fatal(err)
		}
		got, b, err := read(path)
		if err != nil || got != h || b != body {
			t.Errorf("got %+v, %d bytes, %v; want %+v, %d bytes", got, len(b), err, h, len(body))
		}
	}
	for _, p := range []string{path, floorPath(path)} {
		info, err := os.Stat(p)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v; want 0600", p, info.Mode(), err)
		}
	}
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) != 2 {
		t.Errorf("files left: %v, %v", files, err)
	}
}

func TestSnapshotChoosesSequenceAndTime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	var last Header
	for range 3 {
		write(t, path, 0, "body")
		h, _, err := read(path)
		if err != nil || h.Sequence <= last.Sequence || time.Since(h.Created) > time.Hour {
			t.Fatalf("after %+v: %+v, %v", last, h, err)
		}
		last = h
	}
	// Also when both files were lost, an old copy does not look newer.
	if err := errors.Join(os.Remove(path), os.Remove(floorPath(path))); err != nil {
		t.Fatal(err)
	}
	write(t, path, 0, "body")
	if h, _, err := read(path); err != nil || h.Sequence <= last.Sequence {
		t.Errorf("after loss: %d, want more than %d (%v)", h.Sequence, last.Sequence, err)
	}
}

// refused lists the typed errors: every refusal is exactly one of them.
var refused = []error{ErrSnapshotMissing, ErrSnapshotCorrupt, ErrSnapshotForeign, ErrSnapshotVersion, ErrSnapshotRollback}

func kindOf(err error) error {
	for _, e := range refused {
		if errors.Is(err, e) {
			return e
		}
	}
	return err
}

func TestSnapshotRefusesEveryFlippedByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	write(t, path, 9, "the body")
	whole := readBytes(t, path)
	for i := range whole {
		for _, mask := range []byte{0x01, 0x80, 0xff} {
			b := bytes.Clone(whole)
			b[i] ^= mask
			writeBytes(t, path, b)
			_, _, err := read(path)
			want := ErrSnapshotCorrupt
			switch {
			case i == 8 || i == 9:
				want = ErrSnapshotVersion
			case i >= len(whole)-32:
				want = ErrSnapshotForeign
			}
			if kindOf(err) != want {
				t.Errorf("byte %d ^ %#x: %v, want %v", i, mask, err, want)
			}
		}
	}
	writeBytes(t, path, whole)
	if _, body, err := read(path); err != nil || body != "the body" {
		t.Errorf("restored: %q, %v", body, err)
	}
}

func TestSnapshotRefusesEveryTruncation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	write(t, path, 9, "the body")
	whole := readBytes(t, path)
	for n := range whole {
		writeBytes(t, path, whole[:n])
		if _, _, err := read(path); kindOf(err) != ErrSnapshotCorrupt {
			t.Errorf("%d of %d bytes: %v", n, len(whole), err)
		}
	}
	writeBytes(t, path, append(whole, 0))
	if _, _, err := read(path); kindOf(err) != ErrSnapshotCorrupt {
		t.Errorf("one byte more: %v", err)
	}
}

func TestSnapshotRefusals(t *testing.T) {
	otherKey := bytes.Repeat([]byte{8}, SnapshotKeySize)
	for name, c := range map[string]struct {
		damage func(t *testing.T, path string)
		key    []byte
		kind   string
		max    int64
		want   error
	}{
		"missing":     {func(t *testing.T, p string) { t.Helper(); must(t, os.Remove(p)) }, testKey, testKind, 100, ErrSnapshotMissing},
		"other key":   {nil, otherKey, testKind, 100, ErrSnapshotForeign},
		"other kind":  {func(t *testing.T, p string) { t.Helper(); must(t, os.Remove(floorPath(p))) }, testKey, "source x", 100, ErrSnapshotForeign},
		"too large":   {nil, testKey, testKind, 3, ErrSnapshotCorrupt},
		"just fits":   {nil, testKey, testKind, 4, nil},
		"negative":    {nil, testKey, testKind, -1, ErrSnapshotCorrupt},
		"directory":   {func(t *testing.T, p string) { t.Helper(); must(t, os.Remove(p)); must(t, os.Mkdir(p, 0o700)) }, testKey, testKind, 100, ErrSnapshotCorrupt},
		"floor lost":  {func(t *testing.T, p string) { t.Helper(); must(t, os.Remove(floorPath(p))) }, testKey, testKind, 100, nil},
		"floor wrong": {func(t *testing.T, p string) { t.Helper(); writeBytes(t, floorPath(p), []byte("?")) }, testKey, testKind, 100, ErrSnapshotCorrupt},
		"floor as snapshot": {
			func(t *testing.T, p string) { t.Helper(); writeBytes(t, p, readBytes(t, floorPath(p))) },
			testKey, testKind, 100, ErrSnapshotForeign,
		},
		"snapshot as floor": {
			func(t *testing.T, p string) { t.Helper(); writeBytes(t, floorPath(p), readBytes(t, p)) },
			testKey, testKind, 100, ErrSnapshotForeign,
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "s")
			write(t, path, 5, "body")
			if c.damage != nil {
				c.damage(t, path)
			}
			_, body, err := ReadSnapshot(path, c.key, c.kind, c.max)
			if kindOf(err) != c.want {
				t.Errorf("got %v, want %v", err, c.want)
			}
			if err != nil && body != nil {
				t.Error("a refused snapshot came with a body")
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestSnapshotRollback(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	write(t, path, 5, "yesterday")
	old := readBytes(t, path)
	write(t, path, 6, "today")
	writeBytes(t, path, old)
	if _, _, err := read(path); !errors.Is(err, ErrSnapshotRollback) {
		t.Errorf("yesterday's file: %v", err)
	}
	err := WriteSnapshot(path, testKey, Header{Kind: testKind, Sequence: 5}, nil)
	if !errors.Is(err, ErrSnapshotRollback) {
		t.Errorf("writing a lower sequence: %v", err)
	}
	write(t, path, 6, "same number again")
	if _, body, err := read(path); err != nil || body != "same number again" {
		t.Errorf("%q, %v", body, err)
	}
}

// A crash between the two renames leaves the sequence behind the snapshot.
func TestSnapshotAheadOfSequence(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	write(t, path, 5, "old")
	floor := readBytes(t, floorPath(path))
	write(t, path, 6, "new")
	writeBytes(t, floorPath(path), floor)
	if h, body, err := read(path); err != nil || body != "new" || h.Sequence != 6 {
		t.Errorf("%+v, %q, %v", h, body, err)
	}
}

// After the key was changed, nothing can be read, but the next write is good.
func TestSnapshotNewKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	write(t, path, 0, "old")
	key := bytes.Repeat([]byte{9}, SnapshotKeySize)
	must(t, WriteSnapshot(path, key, Header{Kind: testKind}, []byte("new")))
	if _, body, err := ReadSnapshot(path, key, testKind, 100); err != nil || string(body) != "new" {
		t.Errorf("%q, %v", body, err)
	}
}

func TestSnapshotArguments(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	for name, c := range map[string]struct {
		key  []byte
		kind string
	}{
		"no key":    {nil, "k"},
		"short key": {testKey[:31], "k"},
		"long key":  {append(bytes.Clone(testKey), 1), "k"},
		"no kind":   {testKey, ""},
		"long kind": {testKey, strings.Repeat("k", MaxSnapshotKind+1)},
		"zero byte": {testKey, "k\x00sequence"},
	} {
		if err := WriteSnapshot(path, c.key, Header{Kind: c.kind}, nil); err == nil {
			t.Errorf("%s: written", name)
		}
		if _, _, err := ReadSnapshot(path, c.key, c.kind, 1); err == nil || errors.Is(err, ErrSnapshotMissing) {
			t.Errorf("%s: read: %v", name, err)
		}
	}
}

// A failing disk leaves the old snapshot whole. Root may write anywhere, so
// the failure is a directory where the temporary file should be.
func TestSnapshotFailedWriteKeepsOld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	write(t, path, 5, "old")
	must(t, os.MkdirAll(filepath.Join(path+".tmp", "full"), 0o700))
	if err := WriteSnapshot(path, testKey, Header{Kind: testKind, Sequence: 6}, []byte("new")); err == nil {
		t.Error("no error")
	}
	if _, body, err := read(path); err != nil || body != "old" {
		t.Errorf("%q, %v", body, err)
	}
	must(t, os.RemoveAll(path+".tmp"))
	write(t, path, 6, "new")

	if err := WriteSnapshot(filepath.Join(path, "no-such", "s"), testKey, Header{Kind: testKind}, nil); err == nil {
		t.Error("missing directory: no error")
	}
	if os.Geteuid() != 0 {
		dir := filepath.Dir(path)
		must(t, os.Chmod(dir, 0o500))
		err := WriteSnapshot(path, testKey, Header{Kind: testKind}, nil)
		must(t, os.Chmod(dir, 0o700))
		if !errors.Is(err, os.ErrPermission) {
			t.Errorf("read-only directory: %v", err)
		}
	}
}

func TestSnapshotReplacesStaleTempAndLinks(t *testing.T) {
	dir := t.TempDir()
	path, victim := filepath.Join(dir, "s"), filepath.Join(dir, "victim")
	writeBytes(t, victim, []byte("precious"))
	for _, p := range []string{path, path + ".tmp", floorPath(path), floorPath(path) + ".tmp"} {
		must(t, os.Symlink(victim, p))
	}
	write(t, path, 5, "body")
	if got := readBytes(t, victim); string(got) != "precious" {
		t.Errorf("link was followed: %q", got)
	}
	info, err := os.Lstat(path)
	if err != nil || !info.Mode().IsRegular() {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	writeBytes(t, path+".tmp", []byte("left by a crash"))
	write(t, path, 6, "body")
	if _, err := os.Lstat(path + ".tmp"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stale file: %v", err)
	}
}

// Readers see whole snapshots with numbers that never go down, while writers
// compete.
func TestSnapshotConcurrentWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	write(t, path, 1, "0 0")
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	readers.Go(func() {
		last := uint64(0)
		for {
			select {
			case <-stop:
				return
			default:
			}
			h, _, err := read(path)
			if err != nil || h.Sequence < last {
				t.Errorf("sequence %d after %d, %v", h.Sequence, last, err)
				return
			}
			last = h.Sequence
		}
	})
	for w := range 4 {
		writers.Go(func() {
			for i := range 10 {
				body := []byte(fmt.Sprint(w, i, strings.Repeat("x", 10_000*w)))
				if err := WriteSnapshot(path, testKey, Header{Kind: testKind}, body); err != nil {
					t.Error(err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}
