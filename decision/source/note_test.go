package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// noter is a lister with a note.
type noter struct {
	lister
	note     []byte
	taken    [][]byte
	takenAt  int // sweeps before the note came
	breaking bool
}

func (n *noter) Note() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.breaking {
		panic("note")
	}
	return n.note
}

func (n *noter) TakeNote(note []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.taken, n.takenAt = append(n.taken, note), n.syncs
	if n.breaking {
		panic("taken")
	}
}

func newNoter(note string) *noter {
	return &noter{lister: lister{fake{devices: fleet(3, nil)}}, note: []byte(note)}
}

func TestNoteOutlivesRestart(t *testing.T) {
	long := string(bytes.Repeat([]byte("x"), MaxNote))
	for name, tt := range map[string]struct {
		note     string
		breaking bool
		want     string // empty: none is handed back
	}{
		"short":    {note: "what I know", want: "what I know"},
		"longest":  {note: long, want: long},
		"too long": {note: long + "x"},
		"none":     {},
		"panics":   {note: "x", breaking: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
				store := &memory{}
				src := newNoter(tt.note)
				src.breaking = tt.breaking
				r := run(src, RunnerOptions{Snapshot: store})
				if err := r.Load(t.Context()); err != nil {
					t.Fatal(err)
				}
				r.Stop()
				next := newNoter("")
				if err := run(next, RunnerOptions{Snapshot: store}).Load(t.Context()); err != nil {
					t.Fatal(err)
				}
				var got string
				if len(next.taken) == 1 {
					got = string(next.taken[0])
				}
				if got != tt.want || len(next.taken) > 1 || next.takenAt != 0 {
					t.Errorf("%d notes, of %d bytes, after %d sweeps; want %d bytes", len(next.taken), len(got), next.takenAt, len(tt.want))
				}
			})
		})
	}
}

// TestNoteOfNobody: a note for a source that takes none, and one that panics.
func TestNoteOfNobody(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		store := &memory{}
		r := run(newNoter("x"), RunnerOptions{Snapshot: store})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Stop()
		bad := newNoter("")
		bad.breaking = true
		for _, src := range []Source{&lister{fake{err: errDown}}, bad} {
			r := run(src, RunnerOptions{Snapshot: store, Remote: true})
			if err := r.Load(t.Context()); err != nil || r.Find([]decision.Key{entra(1)}).Verdict == nil {
				t.Errorf("%T: the table is gone with the note: %v", src, err)
			}
		}
	})
}

// TestNoteIsSaved: a new note reaches the disk though nothing else is new, but not at
// every change.
func TestNoteIsSaved(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		store := &memory{}
		src := newNoter("0")
		r := run(src, RunnerOptions{Snapshot: store, Poll: 24 * time.Hour})
		if err := r.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		r.Start(t.Context())
		saved := func() string {
			_, body := store.saved()
			s, err := decodeSnapshot(body, 10)
			if err != nil {
				t.Fatal(err)
			}
			return string(s.note)
		}
		pass(time.Minute)
		first, _ := store.saved()
		for i := range 60 {
			src.set(func(*fake) { src.note = []byte{byte(i + 1)} })
			pass(time.Minute)
		}
		if n, _ := store.saved(); n-first < 3 || n-first > 5 {
			t.Errorf("saved %d times in an hour in which the note changed every minute", n-first)
		}
		if s := saved(); s[0] < 60-16 {
			t.Errorf("after an hour note %d is saved", s[0])
		}
		pass(confirmGap + saveGap)
		n, _ := store.saved()
		pass(time.Hour)
		if again, _ := store.saved(); again != n || saved()[0] != 60 {
			t.Errorf("saved %d times without a change, note %d", again-n, saved()[0])
		}
		src.set(func(*fake) { src.note = []byte("last") })
		r.Stop()
		if saved() != "last" {
			t.Errorf("at the end %q is saved", saved())
		}
	})
}

// TestNoteBounds: a file with a note that is too long or cut is none, and a file of
// the release before has no note.
func TestNoteBounds(t *testing.T) {
	body := func(n int) []byte {
		return encodeSnapshot(savedTable{table: build(t, healthy(1)), confirmed: time.Now(), note: bytes.Repeat([]byte("n"), n)}, time.Now())
	}
	if s, err := decodeSnapshot(body(MaxNote), 10); err != nil || len(s.note) != MaxNote {
		t.Errorf("note of %d bytes: %d, %v", MaxNote, len(s.note), err)
	}
	for name, b := range map[string][]byte{
		"too long": body(MaxNote + 1),
		"cut":      body(10)[:len(body(10))-1],
		"missing":  body(0)[:len(body(0))-1],
	} {
		if _, err := decodeSnapshot(b, 10); !errors.Is(err, ErrSnapshotCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	old, err := os.ReadFile("testdata/snapshot_v1.bin")
	if err != nil {
		t.Fatal(err)
	}
	if v := binary.LittleEndian.Uint16(old[4:]); v != 1 {
		t.Fatalf("the file has version %d", v)
	}
	if s, err := decodeSnapshot(old, 10); err != nil || len(s.note) != 0 {
		t.Errorf("file of the release before: note %q, %v", s.note, err)
	}
	if _, err := decodeSnapshot(append(old, 0), 10); !errors.Is(err, ErrSnapshotCorrupt) {
		t.Errorf("file of the release before with a note: %v", err)
	}
}

// TestHeardAtLast: it is no news about devices that somebody says by now whether the
// sensors speak. What else is news stays news.
func TestHeardAtLast(t *testing.T) {
	unheard := func(v *decision.Verdict) {
		v.Risk, v.RiskFloor, v.Sensor = decision.LevelNone, true, decision.SensorUnknown
	}
	for name, tt := range map[string]struct {
		before, after func(*decision.Verdict)
		held          bool
	}{
		"heard": {unheard, func(v *decision.Verdict) { v.Risk, v.Sensor = decision.LevelNone, decision.SensorActive }, false},
		"heard, and less risk": {
			func(v *decision.Verdict) { unheard(v); v.Risk = decision.LevelHigh },
			func(v *decision.Verdict) { v.Risk, v.Sensor = decision.LevelNone, decision.SensorActive }, true,
		},
		"heard, and compliant": {
			func(v *decision.Verdict) { unheard(v); v.Compliance = decision.NonCompliant },
			func(v *decision.Verdict) { v.Risk, v.Sensor = decision.LevelNone, decision.SensorActive }, true,
		},
		"heard, and found to be off": {
			unheard,
			func(v *decision.Verdict) {
				v.Risk, v.RiskFloor, v.Sensor = decision.LevelNone, true, decision.SensorDeactivated
			}, true,
		},
		"spoke before": {
			func(v *decision.Verdict) { unheard(v); v.Sensor = decision.SensorUnresponsive },
			func(v *decision.Verdict) { v.Risk, v.Sensor = decision.LevelNone, decision.SensorActive }, true,
		},
		"no level was unsure": {
			func(v *decision.Verdict) { unheard(v); v.RiskFloor = false },
			func(v *decision.Verdict) { v.Risk, v.Sensor = decision.LevelNone, decision.SensorActive }, true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			other := one(200, func(v *decision.Verdict) { v.Sensor = decision.SensorMisconfigured }) // so that sensors count
			before := append(fleet(100, func(_ int, v *decision.Verdict) { tt.before(v) }), other)
			after := append(fleet(100, func(_ int, v *decision.Verdict) { tt.after(v) }), other)
			if p := planOf(Guards{}, build(t, before...), build(t, after...)); p.holds() != tt.held {
				t.Errorf("held %t (%s), want %t", p.holds(), p.why, tt.held)
			}
		})
	}
}
