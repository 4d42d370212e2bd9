package revocation

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"testing"
	"time"
)

func readJournal(tb testing.TB, path string) []byte {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func writeJournal(tb testing.TB, path string, b []byte) {
	tb.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		tb.Fatal(err)
	}
}

// threeEntries returns a journal with three entries, one released.
func threeEntries(tb testing.TB) []byte {
	tb.Helper()
	path := newPath(tb)
	l := openList(tb, path, Options{})
	add(tb, l, userEntry("one"))
	e := add(tb, l, userEntry("two"))
	if err := l.Release(context.Background(), e.ID, e.Owner); err != nil {
		tb.Fatal(err)
	}
	add(tb, l, userEntry("three"))
	closeList(tb, l)
	return readJournal(tb, path)
}

func users(l *List) string {
	names := []string{}
	for _, e := range l.Entries(time.Now()) {
		names = append(names, e.User)
	}
	return strings.Join(names, " ")
}

// A kill may cut the last line anywhere. The rest is kept, the file is
// repaired, and what is added next survives too.
func TestLastLineCutAnywhere(t *testing.T) {
	whole := threeEntries(t)
	last := bytes.LastIndexByte(whole[:len(whole)-1], '\n') + 1
	path := newPath(t)
	for n := last; n <= len(whole); n++ {
		writeJournal(t, path, whole[:n])
		want := "one"
		if n >= len(whole)-1 { // only its newline is missing
			want = "one three"
		}
		l := openList(t, path, Options{})
		if got := users(l); got != want {
			t.Fatalf("cut at %d of %d: %q, want %q", n, len(whole), got, want)
		}
		if n%25 == 0 || n >= len(whole)-2 {
			add(t, l, userEntry("four"))
			want += " four"
		}
		closeList(t, l)
		l = openList(t, path, Options{})
		if got := users(l); got != want {
			t.Fatalf("cut at %d, reopened: %q, want %q", n, got, want)
		}
		closeList(t, l)
	}
}

// No damage of one byte may change what is revoked: it is found out, or it is
// the last newline, which is put back.
func TestEveryFlippedByte(t *testing.T) {
	whole := threeEntries(t)
	path := newPath(t)
	for i := range whole {
		for _, mask := range []byte{0x01, 0x20, 0x80} {
			b := bytes.Clone(whole)
			b[i] ^= mask
			writeJournal(t, path, b)
			l, err := Open(path, Options{})
			var corrupt *CorruptError
			if errors.As(err, &corrupt) {
				if line := bytes.Count(whole[:i], []byte("\n")) + 1; corrupt.Line != line || !strings.Contains(err.Error(), fmt.Sprintf("line %d ", line)) {
					t.Errorf("byte %d: line %d, want %d: %v", i, corrupt.Line, line, err)
				}
				if !bytes.Equal(readJournal(t, path), b) {
					t.Fatalf("byte %d: a refused journal was changed", i)
				}
				continue
			}
			if err != nil {
				t.Fatalf("byte %d: %v", i, err)
			}
			got := users(l)
			closeList(t, l)
			if i != len(whole)-1 || got != "one three" {
				t.Errorf("byte %d ^ %#x: opened with %q", i, mask, got)
			}
		}
	}
}

func TestDamage(t *testing.T) {
	whole := threeEntries(t)
	lines := bytes.SplitAfter(whole, []byte("\n"))
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	zeros := make([]byte, 3*maxLine)
	unknown, err := encodeLine(line{Op: "forgive"})
	if err != nil {
		t.Fatal(err)
	}
	future, err := encodeLine(line{Op: opHeader, Version: journalVersion + 1})
	if err != nil {
		t.Fatal(err)
	}
	badEntry, err := encodeLine(line{Op: opAdd, Entry: &Entry{ID: newID(), Kind: KindUser}})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		journal []byte
		users   string
		line    int // corrupt here; 0: opens
	}{
		"whole":                      {whole, "one three", 0},
		"header only":                {lines[0], "", 0},
		"empty":                      {nil, "", 1},
		"no header":                  {join(lines[1:]...), "", 1},
		"torn header":                {lines[0][:20], "", 1},
		"header of a later version":  {join(future, lines[1]), "", 1},
		"unknown operation":          {join(lines[0], lines[1], unknown), "", 3},
		"impossible entry":           {join(lines[0], badEntry), "", 2},
		"line lost":                  {join(lines[0], lines[2], lines[4]), "two three", 0},
		"release of the unknown":     {join(lines[0], lines[3], lines[4]), "three", 0},
		"line twice":                 {join(whole, lines[4]), "one three", 0},
		"garbage at the end, ended":  {join(whole, []byte("garbage\n")), "", 6},
		"garbage at the end":         {join(whole, []byte("garbage")), "one three", 0},
		"last newline is zero":       {join(whole[:len(whole)-1], zeros[:1]), "one three", 0},
		"empty line":                 {join(lines[0], []byte("\n"), lines[1]), "", 2},
		"overlong line":              {join(lines[0], bytes.Repeat([]byte("x"), maxLine+1), []byte("\n")), "", 2},
		"zeros at the end":           {join(whole, zeros), "one three", 0},
		"one zero at the end":        {join(whole, zeros[:1]), "one three", 0},
		"zeros in the last line":     {join(lines[0], lines[1], zeros[:50], lines[4][50:]), "one", 0},
		"zeros in a line before":     {join(lines[0], zeros[:50], lines[1][50:], lines[4]), "", 2},
		"zeros, then torn":           {join(lines[0], lines[1], zeros[:50], lines[2][50:], lines[4][:50]), "one", 0},
		"two torn lines in one hole": {join(lines[0], lines[1], lines[2][:10], zeros, lines[4][10:]), "one", 0},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			writeJournal(t, path, c.journal)
			l, err := Open(path, Options{})
			if c.line > 0 {
				var corrupt *CorruptError
				if !errors.As(err, &corrupt) || corrupt.Line != c.line {
					t.Fatalf("got %v, want line %d", err, c.line)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := users(l); got != c.users {
				t.Errorf("got %q, want %q", got, c.users)
			}
			closeList(t, l)
			l = openList(t, path, Options{})
			if got := users(l); got != c.users {
				t.Errorf("reopened: %q, want %q", got, c.users)
			}
		})
	}
}

// After a refusal the operator can delete the line that the error names.
func TestOperatorGivesUpALine(t *testing.T) {
	lines := bytes.SplitAfter(threeEntries(t), []byte("\n"))
	lines[1] = []byte("scribble\n")
	path := newPath(t)
	writeJournal(t, path, bytes.Join(lines, nil))
	_, err := Open(path, Options{})
	var corrupt *CorruptError
	if !errors.As(err, &corrupt) {
		t.Fatal(err)
	}
	lines = append(lines[:corrupt.Line-1], lines[corrupt.Line:]...)
	writeJournal(t, path, bytes.Join(lines, nil))
	if got := users(openList(t, path, Options{})); got != "three" {
		t.Errorf("got %q", got)
	}
}

func TestSecondListIsRefused(t *testing.T) {
	path := newPath(t)
	l := openList(t, path, Options{})
	add(t, l, userEntry("one"))
	if _, err := Open(path, Options{}); !errors.Is(err, ErrLocked) {
		t.Errorf("second: %v", err)
	}
	add(t, l, userEntry("two"))
	closeList(t, l)
	if got := users(openList(t, path, Options{})); got != "one two" {
		t.Errorf("got %q", got)
	}
}

func TestFiles(t *testing.T) {
	path := newPath(t)
	closeList(t, openList(t, path, Options{}))
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	closeList(t, openList(t, path, Options{}))
	for _, p := range []string{path, path + ".lock"} {
		info, err := os.Stat(p)
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v; want 0600", p, info.Mode(), err)
		}
	}
	for name, make := range map[string]func(p string) error{
		"link":      func(p string) error { return os.Symlink(path, p) },
		"directory": func(p string) error { return os.Mkdir(p, 0o700) },
	} {
		p := newPath(t)
		if err := make(p); err != nil {
			t.Fatal(err)
		}
		if l, err := Open(p, Options{}); err == nil {
			closeList(t, l)
			t.Errorf("%s: opened", name)
		}
	}
	if _, err := Open(path+"/no/such", Options{}); err == nil {
		t.Error("missing directory: opened")
	}
}

func TestCompaction(t *testing.T) {
	ctx := context.Background()
	path := newPath(t)
	l := openList(t, path, Options{})
	l.minDead = 50
	add(t, l, userEntry("kept"))
	longest := 0
	for i := range 60 {
		e := add(t, l, userEntry(fmt.Sprint("u", i)))
		if err := l.Release(ctx, e.ID, e.Owner); err != nil {
			t.Fatal(err)
		}
		longest = max(longest, bytes.Count(readJournal(t, path), []byte("\n")))
	}
	add(t, l, userEntry("after"))
	lines := bytes.Count(readJournal(t, path), []byte("\n"))
	if longest < 40 || longest > 56 || lines > 56 {
		t.Errorf("at most %d lines, %d in the end; want about 50", longest, lines)
	}
	if _, err := os.Stat(path + ".tmp"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("temporary file: %v", err)
	}
	closeList(t, l)
	if got := users(openList(t, path, Options{})); got != "kept after" {
		t.Errorf("got %q", got)
	}
}
