package revocation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestAddExtendsAndNeverShortens(t *testing.T) {
	start := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	hour := func(n int) time.Time { return start.Add(time.Duration(n) * time.Hour) }
	never := time.Time{}
	for name, c := range map[string]struct{ first, second, want time.Time }{
		"later":            {hour(1), hour(2), hour(2)},
		"earlier":          {hour(2), hour(1), hour(2)},
		"same":             {hour(2), hour(2), hour(2)},
		"end after never":  {never, hour(1), never},
		"never after end":  {hour(1), never, never},
		"never both times": {never, never, never},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			l := openList(t, path, Options{Now: func() time.Time { return start }})
			e := userEntry("ann")
			e.Until, e.Reason = c.first, "one"
			first := add(t, l, e)
			e.User, e.Until, e.Reason = "ANN", c.second, "two"
			second := add(t, l, e)
			if second.ID != first.ID || !second.Since.Equal(first.Since) || !second.Until.Equal(c.want) || l.Len() != 1 {
				t.Errorf("first %+v, second %+v, %d entries; want end %v", first, second, l.Len(), c.want)
			}
			closeList(t, l)
			again := openList(t, path, Options{Now: func() time.Time { return start }}).Entries(start)
			if len(again) != 1 || again[0] != second {
				t.Errorf("after reopening %+v, want %+v", again, second)
			}
		})
	}
}

// One owner's release must not lift what another one did.
func TestOwnersAreApart(t *testing.T) {
	ctx := context.Background()
	l := openList(t, newPath(t), Options{})
	byEvents, byHand := userEntry("ann"), userEntry("ann")
	byEvents.Owner, byHand.Owner = "transmitter", "operator"
	e, h := add(t, l, byEvents), add(t, l, byHand)
	if e.ID == h.ID || l.Len() != 2 {
		t.Fatalf("ids %s, %s, %d entries", e.ID, h.ID, l.Len())
	}
	if err := l.Release(ctx, h.ID, "transmitter"); !errors.Is(err, ErrNotOwner) {
		t.Errorf("other owner: %v", err)
	}
	if err := l.Release(ctx, e.ID, "transmitter"); err != nil {
		t.Error(err)
	}
	id := &decision.Identity{User: decision.User{ID: "x", Name: "Ann"}}
	if r := l.Match(id, nil, time.Now()); r == nil || r.ID != h.ID {
		t.Errorf("got %+v", r)
	}
	if err := l.Release(ctx, e.ID, "transmitter"); !errors.Is(err, ErrNotFound) {
		t.Errorf("released twice: %v", err)
	}
	if err := l.Release(ctx, "no such id", "operator"); !errors.Is(err, ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
}

func TestExpiry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := newPath(t)
		l := openList(t, path, Options{})
		id := &decision.Identity{User: decision.User{ID: "short", Name: "long"}}
		e := userEntry("short")
		e.Until = time.Now().Add(time.Minute)
		first := add(t, l, e)
		e = userEntry("long")
		e.Until = time.Now().Add(time.Hour)
		long := add(t, l, e)
		add(t, l, userEntry("ever"))
		if got := l.NextExpiry(time.Now()); !got.Equal(first.Until) {
			t.Errorf("next expiry %v, want %v", got, first.Until)
		}
		time.Sleep(time.Minute - 1)
		if r := l.Match(id, nil, time.Now()); r == nil || r.ID != first.ID {
			t.Errorf("just before its end: %+v", r)
		}
		time.Sleep(1 * time.Nanosecond)
		if r := l.Match(id, nil, time.Now()); r == nil || r.ID != long.ID {
			t.Errorf("at its end: %+v, want the longer one", r)
		}
		if err := l.Release(context.Background(), first.ID, "test"); !errors.Is(err, ErrNotFound) {
			t.Errorf("release after the end: %v", err)
		}
		if got := len(l.Entries(time.Now())); got != 2 {
			t.Errorf("%d entries", got)
		}
		if got := l.NextExpiry(time.Now()); !got.Equal(long.Until) || l.Len() != 2 {
			t.Errorf("next expiry %v, want %v; %d entries", got, long.Until, l.Len())
		}

		// An entry added again after its end is a new one.
		again := userEntry("short")
		again.Until = time.Now().Add(2 * time.Hour)
		if got := add(t, l, again); got.ID == first.ID || !got.Since.Equal(time.Now()) {
			t.Errorf("again: %+v", got)
		}
		closeList(t, l)
		time.Sleep(90 * time.Minute)
		l = openList(t, path, Options{})
		if got := l.Entries(time.Now()); len(got) != 2 || l.Len() != 2 {
			t.Errorf("after reopening %+v", got)
		}
		time.Sleep(time.Hour)
		if got := l.NextExpiry(time.Now()); !got.IsZero() || l.Len() != 1 {
			t.Errorf("next expiry %v, %d entries", got, l.Len())
		}
		closeList(t, l)
	})
}

// Extending one entry over and over leaves old ends behind, which must neither
// pile up nor end the entry.
func TestManyExtensions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := openList(t, newPath(t), Options{})
		l.journal.f.Close()
		l.journal.f = &faultyFile{} // 3,000 real syncs would take long
		e := userEntry("ann")
		for i := range 3000 {
			e.Until = time.Now().Add(time.Duration(i+1) * time.Second)
			add(t, l, e)
		}
		if n := len(l.ends); n > 1024+2 {
			t.Errorf("%d ends for one entry", n)
		}
		time.Sleep(2999 * time.Second)
		if got := l.NextExpiry(time.Now()); !got.Equal(time.Now().Add(time.Second)) || l.Len() != 1 {
			t.Errorf("next expiry %v, %d entries", got, l.Len())
		}
		closeList(t, l)
	})
}

func TestCapacity(t *testing.T) {
	now := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	l := openList(t, newPath(t), Options{Capacity: 3, Now: func() time.Time { return now }})
	for i := range 3 {
		e := userEntry(fmt.Sprint("u", i))
		e.Until = now.Add(time.Duration(i+1) * time.Minute)
		add(t, l, e)
	}
	if _, err := l.Add(context.Background(), userEntry("u3")); !errors.Is(err, ErrFull) {
		t.Errorf("fourth: %v", err)
	}
	add(t, l, userEntry("u2")) // extends
	now = now.Add(90 * time.Second)
	add(t, l, userEntry("u3")) // in the place of one that ended
	if _, err := l.Add(context.Background(), userEntry("u4")); !errors.Is(err, ErrFull) {
		t.Errorf("fifth: %v", err)
	}
	for _, n := range []int{-1, MaxEntries + 1} {
		if _, err := Open(newPath(t), Options{Capacity: n}); err == nil {
			t.Errorf("capacity %d is accepted", n)
		}
	}
}

func TestOnChange(t *testing.T) {
	ctx := context.Background()
	l := openList(t, newPath(t), Options{})
	var calls, others int
	stop := l.OnChange(func() { calls++; l.Entries(time.Now()); l.NextExpiry(time.Now()) })
	l.OnChange(func() { others++ })
	e := add(t, l, userEntry("ann"))
	add(t, l, userEntry("ann")) // changes nothing
	_, _ = l.Add(ctx, Entry{})
	_ = l.Release(ctx, e.ID, "other owner")
	if calls != 1 || others != 1 {
		t.Errorf("after add: %d, %d", calls, others)
	}
	if err := l.Release(ctx, e.ID, e.Owner); err != nil || calls != 2 {
		t.Errorf("after release: %d, %v", calls, err)
	}
	stop()
	stop()
	add(t, l, userEntry("ann"))
	if calls != 2 || others != 3 {
		t.Errorf("after stop: %d, %d", calls, others)
	}
}

func TestContextAndClose(t *testing.T) {
	l := openList(t, newPath(t), Options{})
	e := add(t, l, userEntry("ann"))
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := l.Add(ended, userEntry("bob")); !errors.Is(err, context.Canceled) || errors.Is(err, ErrNotDurable) || l.Len() != 1 {
		t.Errorf("add: %v, %d entries", err, l.Len())
	}
	if err := l.Release(ended, e.ID, e.Owner); !errors.Is(err, context.Canceled) || l.Len() != 1 {
		t.Errorf("release: %v, %d entries", err, l.Len())
	}
	closeList(t, l)
	closeList(t, l)
	ctx := context.Background()
	if _, err := l.Add(ctx, userEntry("bob")); !errors.Is(err, ErrClosed) {
		t.Errorf("add after close: %v", err)
	}
	if err := l.Release(ctx, e.ID, e.Owner); !errors.Is(err, ErrClosed) {
		t.Errorf("release after close: %v", err)
	}
	if l.Match(&decision.Identity{User: decision.User{ID: "ann"}}, nil, time.Now()) == nil {
		t.Error("no match after close: requests outlive a configuration")
	}
}

// Readers, writers, releases and rewrites at once; then memory and journal
// must agree. Worth running with the race detector.
func TestConcurrency(t *testing.T) {
	ctx := context.Background()
	path := newPath(t)
	l := openList(t, path, Options{})
	l.minDead = 20
	var changes atomic.Int64
	l.OnChange(func() { changes.Add(1) })
	stop := make(chan struct{})
	var readers, writers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			id := &decision.Identity{User: decision.User{ID: "fixed"}}
			for {
				select {
				case <-stop:
					return
				default:
					l.Match(id, []decision.Key{{Kind: "asset", Value: "a1"}}, time.Now())
					l.Entries(time.Now())
					l.NextExpiry(time.Now())
				}
			}
		})
	}
	for w := range 6 {
		writers.Go(func() {
			for i := range 40 {
				e := deviceEntry("asset", fmt.Sprint("a", i%5)) // all writers meet here
				if i%2 == 0 {
					e = userEntry(fmt.Sprint("u", w, i))
				}
				e.Until = time.Now().Add(time.Hour + time.Duration(i*w)*time.Second)
				got, err := l.Add(ctx, e)
				if err != nil {
					t.Error(err)
				}
				if i%3 == 0 {
					err := l.Release(ctx, got.ID, got.Owner)
					if err != nil && !errors.Is(err, ErrNotFound) {
						t.Error(err)
					}
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	before := l.Entries(time.Now())
	closeList(t, l)
	after := openList(t, path, Options{}).Entries(time.Now())
	if len(before) == 0 || len(before) != len(after) || changes.Load() == 0 {
		t.Fatalf("%d entries before, %d after", len(before), len(after))
	}
	for i := range before {
		if before[i] != after[i] {
			t.Errorf("entry %d: before %+v, after %+v", i, before[i], after[i])
		}
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, n := range []int{0, 100_000} {
		l := newList(Options{Now: time.Now, Capacity: MaxEntries}, newJournal(""))
		for i := range n {
			e := deviceEntry("asset", fmt.Sprint("other", i))
			if i%2 == 0 {
				e = userEntry(fmt.Sprint("other", i))
			}
			e.ID = newID()
			if err := e.normalize(); err != nil {
				b.Fatal(err)
			}
			l.indexes.insert(newRecord(e))
		}
		id := &decision.Identity{User: decision.User{ID: userID, ObjectID: objectID, Name: "ann.smith@corp.example"}}
		keys := []decision.Key{{Kind: "entra", Value: entraID}, {Kind: "intune", Value: intuneID}, {Kind: "serial", Value: "5CG1234XYZ"}}
		now := time.Now()
		b.Run(fmt.Sprint("entries=", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if l.Match(id, keys, now) != nil {
					b.Fatal("match")
				}
			}
		})
	}
}

func BenchmarkAdd(b *testing.B) {
	l := openList(b, newPath(b), Options{})
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		add(b, l, deviceEntry("asset", fmt.Sprint(i)))
	}
}

func BenchmarkAddParallel(b *testing.B) {
	l := openList(b, newPath(b), Options{})
	var i atomic.Int64
	b.ReportAllocs()
	b.SetParallelism(32)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			add(b, l, deviceEntry("asset", fmt.Sprint(i.Add(1))))
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	const n = 100_000
	path := newPath(b)
	j := newJournal(path)
	err := j.rewrite(func(yield func(*record) bool) {
		for i := range n {
			e := deviceEntry("asset", fmt.Sprint("laptop-", i))
			e.ID, e.Since, e.Reason = newID(), time.Now(), "reported lost"
			if err := e.normalize(); err != nil || !yield(newRecord(e)) {
				return
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	_ = j.f.Close()
	b.ReportAllocs()
	for b.Loop() {
		l := openList(b, path, Options{})
		if l.Len() != n {
			b.Fatalf("%d entries", l.Len())
		}
		closeList(b, l)
	}
}
