package source

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestCountConflicts(t *testing.T) {
	a := loaded(t, fleet(300, nil)...)
	b := loaded(t, fleet(200, func(i int, v *decision.Verdict) {
		switch {
		case i < 10:
			v.Encrypted = decision.No
			v.Risk = decision.LevelHigh
		case i < 15:
			v.Encrypted = decision.No
		}
	})...)
	// A third source that knows some of the devices by their serial number alone.
	c := loaded(t, device(decision.NonCompliant, serial(20)), device(decision.Compliant, serial(21)), device(decision.Compliant, asset("x")))
	got, err := NewDirectory([]*Runner{a, b, c}, DirectoryOptions{}).CountConflicts(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.Devices != 200 || got.Disagreeing != 16 {
		t.Errorf("%d devices, %d disagreeing, want 200 and 16", got.Devices, got.Disagreeing)
	}
	maps.DeleteFunc(got.ByFact, func(_ string, n int) bool { return n == 0 })
	if want := map[string]int{"encrypted": 15, "risk": 10, "compliance": 1}; !maps.Equal(got.ByFact, want) {
		t.Errorf("got %v, want %v", got.ByFact, want)
	}
}

func TestCountConflictsBounds(t *testing.T) {
	one := NewDirectory([]*Runner{loaded(t, fleet(10, nil)...)}, DirectoryOptions{})
	got, err := one.CountConflicts(t.Context())
	if err != nil || got.Devices != 0 || len(got.ByFact) != 0 {
		t.Errorf("one source: %+v, %v", got, err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	big := NewDirectory([]*Runner{loaded(t, fleet(20_000, nil)...), loaded(t, fleet(20_000, nil)...)}, DirectoryOptions{})
	if got, err := big.CountConflicts(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %+v, %v", got, err)
	}
}

// TestWeighIsPosture: who asks why gets the posture that a request gets.
func TestWeighIsPosture(t *testing.T) {
	a, b := loaded(t, fleet(5, nil)...), loaded(t, fleet(5, func(_ int, v *decision.Verdict) { v.Encrypted = decision.No })...)
	d := NewDirectory([]*Runner{a, b}, DirectoryOptions{Revoked: func(*decision.Identity, []decision.Key) *decision.Revocation {
		return &decision.Revocation{ID: "r"}
	}})
	id := identity(entra(3))
	p, words := d.Weigh(id)
	q := d.Posture(id)
	if p.Conflicts != q.Conflicts || p.Disputed() != q.Disputed() || p.Generation != q.Generation || p.Revoked == nil || p.Source(decision.FactEncrypted) != q.Source(decision.FactEncrypted) {
		t.Errorf("got %+v\nwant %+v", p, q)
	}
	said := 0
	for _, w := range words {
		if w.Fact == decision.FactEncrypted {
			said++
		}
	}
	if said != 2 || !p.Disputed().Has(decision.FactEncrypted) {
		t.Errorf("%d words about encrypted, disputed %v", said, p.Disputed().Has(decision.FactEncrypted))
	}
}

func BenchmarkCountConflicts(b *testing.B) {
	const devices = 10_000
	x, y := loaded(b, fleet(devices, nil)...), loaded(b, fleet(devices, func(i int, v *decision.Verdict) {
		if i%10 == 0 {
			v.Encrypted = decision.No
		}
	})...)
	d := NewDirectory([]*Runner{x, y}, DirectoryOptions{})
	t := x.Table()
	b.ReportAllocs()
	var c Conflicts
	c.ByFact = map[string]int{}
	for i := 0; b.Loop(); i++ {
		c.add(d, 0, t.ownKey(i%devices))
	}
}

// TestWhoOnlyLooksRenewsNothing: of a source that can only be asked, counting and
// explaining must not spend the look-ups that new devices need. A request still has
// an old record renewed.
func TestWhoOnlyLooksRenewsNothing(t *testing.T) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		const devices = 50
		listing := &lister{}
		listing.devices = fleet(devices, nil)
		asked := &fake{devices: listing.devices}
		a := run(listing, RunnerOptions{Poll: time.Hour})
		b := run(asked, RunnerOptions{Poll: 15 * time.Minute, LookupRate: 1000, MaxLookups: devices})
		if err := a.Load(t.Context()); err != nil {
			t.Fatal(err)
		}
		for i := range devices {
			if err := b.Refresh(t.Context(), entra(i)); err != nil {
				t.Fatal(err)
			}
		}
		pass(20 * time.Minute)
		d := NewDirectory([]*Runner{a, b}, DirectoryOptions{})
		for _, tt := range []struct {
			name string
			do   func() bool
			want int
		}{
			{"count", func() bool { c, err := d.CountConflicts(t.Context()); return err == nil && c.Devices == devices }, 0},
			{"weigh", func() bool { p, _ := d.Weigh(identity(entra(1))); return p.Known() }, 0},
			{"weigh by another source's id", func() bool { p, _ := d.Weigh(identity(serial(1))); return p.Known() }, 0},
			{"request", func() bool { return d.Posture(identity(entra(1))).Known() }, 1},
		} {
			_, before := asked.calls()
			if !tt.do() {
				t.Errorf("%s found nothing", tt.name)
			}
			pass(time.Second)
			if _, after := asked.calls(); after-before != tt.want {
				t.Errorf("%s: %d look-ups, want %d", tt.name, after-before, tt.want)
			}
		}
	})
}
