package source

import (
	"bytes"
	"encoding/binary"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func encoded(t testing.TB, n int) []byte {
	s := NewSweep(n)
	for i := range n {
		s.Device(healthy(i))
	}
	s.User(decision.UserRecord{ObjectID: guid(3, 1), UPN: "ann@corp.example", Enabled: decision.No, Risk: decision.LevelHigh})
	table, err := s.Table()
	if err != nil {
		t.Fatal(err)
	}
	confirmed := time.Unix(1_700_000_000, 5)
	return encodeSnapshot(savedTable{table: table, confirmed: confirmed, supplies: decision.Facts(decision.FactRisk), note: []byte("a note")}, confirmed)
}

func TestSnapshotRoundTrip(t *testing.T) {
	got, err := decodeSnapshot(encoded(t, 50), 100)
	if err != nil {
		t.Fatal(err)
	}
	if !got.confirmed.Equal(time.Unix(1_700_000_000, 5)) || got.supplies != decision.Facts(decision.FactRisk) {
		t.Errorf("confirmed %v, supplies %b", got.confirmed, got.supplies)
	}
	if string(got.note) != "a note" {
		t.Errorf("note %q", got.note)
	}
	if got.table.Len() != 50 || got.table.Users() != 1 {
		t.Fatalf("%d devices, %d users", got.table.Len(), got.table.Users())
	}
	for i := range 50 {
		row, ok := got.table.Find(serial(i))
		if v := got.table.Verdict(row); !ok || !reflect.DeepEqual(v, healthy(i)) {
			t.Fatalf("device %d:\n got %+v\nwant %+v", i, v, healthy(i))
		}
	}
	if u, ok := got.table.User(guid(3, 1), ""); !ok || u.Enabled != decision.No || u.Risk != decision.LevelHigh {
		t.Errorf("user %+v", u)
	}
}

func TestSnapshotKeepsHeldRows(t *testing.T) {
	table, _ := apply(t, fleet(100, nil), fleet(100, nil)[50:])
	heldAt := time.Now().Add(-time.Hour)
	got, err := decodeSnapshot(encodeSnapshot(savedTable{table: table, confirmed: time.Now()}, heldAt), 1000)
	if err != nil {
		t.Fatal(err)
	}
	if v := at(t, got.table, 1); v.Confirmed != decision.Mono(time.Unix(0, heldAt.UnixNano())) {
		t.Errorf("a held row is confirmed at %d", v.Confirmed)
	}
	if v := at(t, got.table, 70); v.Confirmed != 0 {
		t.Errorf("another row is confirmed at %d", v.Confirmed)
	}
}

func TestSnapshotKeepsAmbiguity(t *testing.T) {
	a, b := healthy(1), healthy(1)
	b.Compliance = decision.NonCompliant
	got, err := decodeSnapshot(encodeSnapshot(savedTable{table: build(t, a, b), confirmed: time.Now()}, time.Now()), 10)
	if err != nil || !got.table.Ambiguous(entra(1)) {
		t.Errorf("a contradiction is gone after a restart: %v", err)
	}
}

func TestSnapshotVersions(t *testing.T) {
	for _, v := range []uint16{0, snapshotOldest - 1, snapshotVersion + 1, 0xffff} {
		body := encoded(t, 3)
		binary.LittleEndian.PutUint16(body[4:], v)
		if _, err := decodeSnapshot(body, 10); !errors.Is(err, ErrSnapshotVersion) {
			t.Errorf("version %d: %v, want ErrSnapshotVersion", v, err)
		}
	}
}

// TestSnapshotDamaged cuts a snapshot at every length: only the whole one may
// be read.
func TestSnapshotDamaged(t *testing.T) {
	body := encoded(t, 3)
	for n := range body {
		if _, err := decodeSnapshot(body[:n], 10); err == nil {
			t.Fatalf("a snapshot cut to %d of %d bytes is read", n, len(body))
		}
	}
	if _, err := decodeSnapshot(append(bytes.Clone(body), 0), 10); !errors.Is(err, ErrSnapshotCorrupt) {
		t.Errorf("a byte too many: %v", err)
	}
	if _, err := decodeSnapshot(body, 2); err == nil {
		t.Error("a snapshot beyond the capacity is read")
	}
	future := bytes.Clone(body)
	binary.LittleEndian.PutUint64(future[6:], uint64(time.Now().Add(time.Hour).UnixNano()))
	if _, err := decodeSnapshot(future, 10); !errors.Is(err, ErrSnapshotCorrupt) {
		t.Errorf("a snapshot from the future: %v", err)
	}
}

// TestRowsOfAnOlderRelease reads a row without its last members, as a release
// wrote it that did not know them.
func TestRowsOfAnOlderRelease(t *testing.T) {
	v := healthy(1)
	table := build(t, v)
	blob := table.blob(table.offs[0])
	var d decision.Device
	c := cursor{b: blob[:len(blob)-1-6]} // without settings and evaluation
	c.device(&d, table.kinds, table.interned)
	if len(d.Keys) != 3 || d.OwnerUPN != v.OwnerUPN || !d.EvaluatedAt.IsZero() {
		t.Errorf("read %+v", d)
	}
}

func FuzzSnapshot(f *testing.F) {
	f.Add(encoded(f, 0))
	f.Add(encoded(f, 2))
	f.Add([]byte(snapshotMagic))
	seeds(f)
	f.Fuzz(func(t *testing.T, body []byte) {
		s, err := decodeSnapshot(body, 100)
		if err != nil {
			return
		}
		for row, v := range s.table.All() {
			if err := checkDevice(&v.Device); err != nil {
				t.Fatalf("row %d: %v", row, err)
			}
		}
		again, err := decodeSnapshot(encodeSnapshot(s, time.Now()), 100)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if len(s.note) > MaxNote || !bytes.Equal(again.note, s.note) {
			t.Fatalf("a note of %d bytes became one of %d", len(s.note), len(again.note))
		}
		if again.table.keptRows != s.table.keptRows || (again.table.gone == nil) != (s.table.gone == nil) ||
			s.table.gone != nil && again.table.gone.Len() != s.table.gone.Len() {
			t.Fatalf("%d rows are kept, %d were; tombstones %v, were %v", again.table.keptRows, s.table.keptRows, again.table.gone, s.table.gone)
		}
		if again.table.Len() != s.table.Len() || again.table.Users() != s.table.Users() {
			t.Fatalf("%d devices and %d users became %d and %d", s.table.Len(), s.table.Users(), again.table.Len(), again.table.Users())
		}
	})
}

func FuzzFind(f *testing.F) {
	table := build(f, fleet(20, nil)...)
	for _, k := range healthy(3).Keys {
		f.Add(k.Kind, k.Value)
	}
	f.Add("entra", "")
	f.Fuzz(func(t *testing.T, kind, value string) {
		key := decision.Key{Kind: kind, Value: value}
		row, ok := table.Find(key)
		if !ok {
			return
		}
		if v := table.Verdict(row); !hasKey(v.Keys, key) {
			t.Fatalf("Find(%q) found a device with ids %v", key, v.Keys)
		}
	})
}
