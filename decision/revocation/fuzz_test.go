package revocation

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"strings"
	"testing"
	"time"
)

// FuzzJournal replays any bytes. They are refused with the number of a line, or
// accepted; then the repaired journal yields the same entries, needs no further
// repair, and takes one more line.
func FuzzJournal(f *testing.F) {
	whole := threeEntries(f)
	f.Add(whole)
	f.Add(whole[:len(whole)-20])
	f.Add(append(bytes.Clone(whole), 0, 0, 0))
	f.Add([]byte{})
	more, err := encodeLine(line{Op: opAdd, Entry: &Entry{ID: newID(), Kind: KindSession, Session: "one more"}})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before, end, err := replayBytes(b)
		if err != nil {
			var corrupt *CorruptError
			if !errors.As(err, &corrupt) || corrupt.Line < 1 || corrupt.Line > bytes.Count(b, []byte("\n"))+len(b)/maxLine+1 {
				t.Fatalf("error %v", err)
			}
			return
		}
		if end.size > int64(len(b)) || !end.torn && end.size != int64(len(b)) {
			t.Fatalf("%d of %d bytes count, torn %v", end.size, len(b), end.torn)
		}
		repaired := bytes.Clone(b[:end.size])
		if end.newline {
			repaired = append(repaired, '\n')
		}
		again, end, err := replayBytes(repaired)
		if err != nil || end.torn || end.newline || !maps.Equal(before, again) {
			t.Fatalf("before %v, repaired %v, %+v, %v", before, again, end, err)
		}
		if longer, _, err := replayBytes(append(repaired, more...)); err != nil || len(longer) < len(before) {
			t.Fatalf("before %v, with one more %v, %v", before, longer, err)
		}
	})
}

func replayBytes(b []byte) (map[string]Entry, tail, error) {
	l := newList(Options{Now: time.Now, Capacity: MaxEntries}, newJournal(""))
	end, err := replay("journal", bytes.NewReader(b), l.apply)
	entries := map[string]Entry{}
	for id, r := range l.byID {
		entries[id] = r.entry
	}
	return entries, end, err
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
		sealed := seal(bytes.Clone(content))
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
