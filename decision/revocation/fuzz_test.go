package revocation

import (
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// FuzzJournal opens a file of any bytes. It is refused with the line's number
// and left alone, or opened; then what is in force survives closing, opening
// and one more entry, and the repaired file is not repaired again.
func FuzzJournal(f *testing.F) {
	whole := threeEntries(f)
	f.Add(whole)
	f.Add(whole[:len(whole)-20])
	f.Add(append(bytes.Clone(whole), 0, 0, 0))
	f.Add(bytes.SplitAfter(whole, []byte("\n"))[0])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		path := newPath(t)
		writeJournal(t, path, b)
		l, err := Open(path, Options{})
		if err != nil {
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || corrupt.Line < 1 || corrupt.Line > bytes.Count(b, []byte("\n"))+1 {
				t.Fatalf("error %v", err)
			}
			if !bytes.Equal(readJournal(t, path), b) {
				t.Fatal("a refused journal was changed")
			}
			return
		}
		before := users(l)
		closeList(t, l)
		repaired := readJournal(t, path)
		if !bytes.HasPrefix(append(bytes.Clone(b), '\n'), repaired) {
			t.Fatal("repair did more than end or cut the last line")
		}
		l = openList(t, path, Options{})
		if got := users(l); got != before || !bytes.Equal(readJournal(t, path), repaired) {
			t.Fatalf("%q in force, reopened %q", before, got)
		}
		add(t, l, Entry{Kind: KindSession, Session: "one more"})
		n := l.Len()
		closeList(t, l)
		if got := openList(t, path, Options{}).Len(); got != n {
			t.Fatalf("%d entries, reopened %d", n, got)
		}
	})
}

// FuzzLine gives the parser lines under a good checksum, which plain mutation
// seldom finds. Whatever applies must write back to an equal entry.
func FuzzLine(f *testing.F) {
	for _, b := range bytes.Split(bytes.TrimSpace(threeEntries(f)), []byte("\n")) {
		f.Add(b[:len(b)-sumSize])
	}
	// Written by hand, with every field and unusual spellings.
	seed, err := os.ReadFile("testdata/line.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.TrimSpace(seed))
	f.Fuzz(func(t *testing.T, content []byte) {
		sealed := seal(content)
		n, err := decodeLine(sealed)
		if err != nil {
			return
		}
		l := newList(Options{Now: time.Now, Capacity: MaxEntries}, newJournal(""))
		if l.apply(n) != nil || n.Op != opAdd {
			return
		}
		var first Entry
		for _, r := range l.byID {
			first = r.entry
		}
		b, err := encodeLine(line{Op: opAdd, Entry: &first})
		if err != nil {
			t.Fatalf("%+v: %v", first, err)
		}
		n, err = decodeLine(bytes.TrimSuffix(b, []byte("\n")))
		if err != nil {
			t.Fatal(err)
		}
		second := *n.Entry
		if err := second.normalize(); err != nil || second != first {
			t.Fatalf("first %+v, second %+v, %v", first, second, err)
		}
	})
}

// FuzzFold holds fold to what it promises: equal exactly if EqualFold.
func FuzzFold(f *testing.F) {
	for _, s := range [][2]string{
		{"Ann", "aNN"}, {"K", "\u212a"}, {"s", "ſ"}, {"ß", "ẞ"}, {"σ", "ς"}, {"İ", "i"}, {"ı", "I"}, {"a\xff", "A\xfe"}, {"ǅ", "ǆ"}, {"", "x"},
	} {
		f.Add(s[0], s[1])
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		got := bytes.Equal(fold(nil, a), fold(nil, b))
		if want := strings.EqualFold(a, b); got != want {
			t.Fatalf("%q and %q: folded equal %v, EqualFold %v", a, b, got, want)
		}
	})
}
