package source

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

// TestListing drives a listing with random changes beside a plain map.
func TestListing(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	key := func(i int) decision.Key {
		return decision.Key{Kind: decision.KindIntune, Value: fmt.Sprintf("%08x-1111-4111-8111-111111111111", i+1)}
	}
	var l Listing
	want := map[decision.Key]string{}
	for round := range 40 {
		for range rnd.IntN(400) {
			k := key(rnd.IntN(3000))
			if rnd.IntN(3) == 0 {
				l.Remove(k)
				delete(want, k)
				continue
			}
			name := fmt.Sprintf("L%d", rnd.IntN(1000))
			err := l.Put(decision.Verdict{Device: decision.Device{Keys: []decision.Key{k}, Name: name}})
			if err != nil {
				t.Fatal(err)
			}
			want[k] = name
		}
		if got := l.Len(); got != len(want) {
			t.Fatalf("round %d: length %d, want %d", round, got, len(want))
		}
		sweep := NewSweep(0)
		if err := l.Emit(sweep); err != nil {
			t.Fatal(err)
		}
		table, err := sweep.Table()
		if err != nil {
			t.Fatal(err)
		}
		got := map[decision.Key]string{}
		for _, v := range table.All() {
			got[v.Keys[0]] = v.Name
		}
		if !maps.Equal(got, want) {
			t.Fatalf("round %d: %d devices, want %d", round, len(got), len(want))
		}
		for range 20 {
			k := key(rnd.IntN(3000))
			v, ok := l.Get(k)
			if name, known := want[k]; ok != known || v.Name != name {
				t.Fatalf("round %d: Get(%v) = %q, %v; want %q, %v", round, k, v.Name, ok, name, known)
			}
		}
	}
	l.Reset()
	if l.Len() != 0 {
		t.Errorf("length after Reset: %d", l.Len())
	}
}

func TestListingRefusesBadRecords(t *testing.T) {
	var l Listing
	if l.Put(decision.Verdict{}) == nil {
		t.Error("a device without an id was taken")
	}
	if l.Len() != 0 {
		t.Errorf("length %d", l.Len())
	}
	err := l.Emit(NewSweep(0))
	if err != nil {
		t.Errorf("an empty listing: %v", err)
	}
}
