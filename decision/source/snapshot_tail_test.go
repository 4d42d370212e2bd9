package source

import (
	"encoding/binary"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// mourning returns a table with everything that few have: a kept fact, an unreadable
// one, a held row that keeps something, and two tombstones.
func mourning(t testing.TB) *Table {
	s := NewSweep(10)
	for _, v := range []decision.Verdict{healthy(0), one(1, unreadable), one(2, silent), healthy(3)} {
		s.Device(v)
	}
	fresh, err := s.Table()
	if err != nil {
		t.Fatal(err)
	}
	for n, bad := range []func(*decision.Verdict){1: wiping, 2: worst} {
		if bad != nil {
			v := one(n, bad)
			fresh.keepDevice(v.Keys, pack(&v.Device), keepAll)
		}
	}
	row, _ := fresh.Find(entra(2))
	fresh.held, fresh.heldAt = []uint64{1 << row}, decision.Mono(time.Now())
	now := time.Now().Truncate(time.Second)
	left := one(8, unreadable)
	left.Keys = append(left.Keys, decision.Key{Kind: "mac", Value: "001122334455"}) // a kind that no device has
	left.Model = "a model that no device has"
	fresh.gone = bury([]tombstone{{left, now.Add(-time.Hour), now.Add(time.Hour)}, {one(9, worst), now, now.Add(longestKeep / 2)}})
	return fresh
}

func TestSnapshotKeepsTails(t *testing.T) {
	want := mourning(t)
	got, err := decodeSnapshot(encodeSnapshot(savedTable{table: want, confirmed: time.Now()}, time.Now()), 10)
	if err != nil {
		t.Fatal(err)
	}
	if got.table.Len() != 4 || got.table.keptRows != 2 || got.table.sum != want.sum || got.table.gone.sum == 0 {
		t.Errorf("%d devices, %d kept, sums %x %x", got.table.Len(), got.table.keptRows, got.table.sum, want.sum)
	}
	for row := range want.offs {
		a, b := want.Verdict(row), got.table.Verdict(row)
		a.Confirmed, b.Confirmed = 0, 0
		if !reflect.DeepEqual(a, b) || want.keptFields(row) != got.table.keptFields(row) || want.Held(row) != got.table.Held(row) {
			t.Errorf("row %d:\n got %+v\nwant %+v", row, b, a)
		}
	}
	for _, k := range []decision.Key{entra(8), {Kind: "mac", Value: "001122334455"}, entra(9)} {
		a, okA := want.tombstone(k, time.Now())
		b, okB := got.table.tombstone(k, time.Now())
		if !okA || !okB || !reflect.DeepEqual(a.verdict, b.verdict) || !a.until.Equal(b.until) || !a.gone.Equal(b.gone) {
			t.Errorf("tombstone %s:\n got %+v %t\nwant %+v %t", k.Value, b, okB, a, okA)
		}
		if _, ok := got.table.Find(k); ok {
			t.Errorf("%s is a device", k.Value)
		}
	}
	if !got.table.gone.ends.Equal(want.gone.ends) || got.table.goneLen(time.Now()) != 2 {
		t.Errorf("ends %v, want %v", got.table.gone.ends, want.gone.ends)
	}
}

// TestSnapshotOfTheReleaseBefore reads a file that a release wrote which knew neither
// tombstones nor kept facts.
func TestSnapshotOfTheReleaseBefore(t *testing.T) {
	body, err := os.ReadFile("testdata/snapshot_v1.bin")
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeSnapshot(body, 10)
	if err != nil {
		t.Fatal(err)
	}
	if got.table.Len() != 4 || got.table.Users() != 1 || got.table.keptRows != 0 || got.table.gone != nil {
		t.Errorf("%d devices, %d users, %d kept, tombstones %v", got.table.Len(), got.table.Users(), got.table.keptRows, got.table.gone)
	}
	for n := range 4 {
		if v := at(t, got.table, n); !reflect.DeepEqual(v, healthy(n)) {
			t.Errorf("device %d:\n got %+v\nwant %+v", n, v, healthy(n))
		}
	}
}

// TestTailsAreForTheNext: the release before reads rows with a tail, whose facts are
// those that count, up to where it knows them.
func TestTailsAreForTheNext(t *testing.T) {
	for name, l := range map[string]tail{
		"nothing":    {},
		"unreadable": {unreadable: decision.Facts(decision.FactRisk)},
		"ended":      {gone: time.Unix(1_700_000_000, 0).UTC(), until: time.Unix(1_800_000_000, 0).UTC()},
		"kept":       {kept: 5},
		"all":        {decision.AllFacts, time.Unix(1, 0).UTC(), time.Unix(2, 0).UTC(), 1 << 20, 1 << 40},
	} {
		t.Run(name, func(t *testing.T) {
			b := l.appendTo(nil)
			c := cursor{b: append(b, 1, 2, 3)} // and what a later release may add
			if name == "nothing" || name == "unreadable" || name == "ended" {
				c.b = b
			}
			if got := c.tail(); got != l {
				t.Errorf("read %+v, want %+v", got, l)
			}
			if name == "nothing" && len(b) != 0 {
				t.Errorf("%d bytes of nothing", len(b))
			}
		})
	}
}

// TestSnapshotBoundsTombstones: a file cannot make one last for ever, nor call a fact
// kept about which nothing bad is known.
func TestSnapshotBoundsTombstones(t *testing.T) {
	table := build(t, healthy(0))
	table.kept, table.keptRows = []uint32{1<<32 - 1}, 1
	table.gone = bury([]tombstone{{one(1, wiping), time.Now(), time.Now().Add(100 * longestKeep)}})
	got, err := decodeSnapshot(encodeSnapshot(savedTable{table: table, confirmed: time.Now()}, time.Now()), 10)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := got.table.tombstone(entra(1), time.Now().Add(longestKeep-time.Hour)); !ok {
		t.Error("it ends too early")
	}
	if _, ok := got.table.tombstone(entra(1), time.Now().Add(longestKeep+time.Hour)); ok {
		t.Error("it ends too late")
	}
	if kept := got.table.keptFields(0); factsOf(kept) != decision.Facts(decision.FactSupervised) {
		t.Errorf("kept %v", factsOf(kept))
	}
}

// seeds are snapshots with tails, and with the same cut in the middle of one.
func seeds(f *testing.F) {
	body := encodeSnapshot(savedTable{table: mourning(f), confirmed: time.Unix(1_700_000_000, 0)}, time.Unix(1_700_000_000, 0))
	f.Add(body)
	f.Add(body[:len(body)-3])
	odd := append([]byte(nil), body...)
	binary.LittleEndian.PutUint64(odd[len(odd)-20:], 1<<63)
	f.Add(odd)
	old, err := os.ReadFile("testdata/snapshot_v1.bin")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(old)
}
