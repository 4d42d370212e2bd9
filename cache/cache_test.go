package cache_test

import (
	"fmt"
	"math"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/cache"
	"github.com/gatehouse-project/gatehouse/cache/cachetest"
)

func TestStore(t *testing.T) {
	for _, shards := range []int{0, 1, 4} {
		t.Run(fmt.Sprint(shards, " shards"), func(t *testing.T) {
			cachetest.Run(t, func(t *testing.T, o cache.Options[cachetest.Key]) cache.Store[cachetest.Key, string] {
				// A shard fills early; the suite's capacities leave room.
				o.Shards = shards
				return newCache[cachetest.Key, string](t, o)
			})
		})
	}
}

func newCache[K comparable, V any](tb testing.TB, o cache.Options[K]) *cache.Cache[K, V] {
	tb.Helper()
	c, err := cache.New[K, V](o)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

func TestNewRefusesBadOptions(t *testing.T) {
	for name, o := range map[string]cache.Options[int]{
		"zero":                  {},
		"negative capacity":     {Capacity: -1},
		"negative negatives":    {Capacity: 1, NegativeCapacity: -1},
		"negative ttl":          {Capacity: 1, NegativeTTL: -1},
		"shards no power":       {Capacity: 100, Shards: 3},
		"negative shards":       {Capacity: 100, Shards: -2},
		"too many shards":       {Capacity: math.MaxInt, Shards: 1 << 17},
		"more shards than room": {Capacity: 3, Shards: 4},
	} {
		if _, err := cache.New[int, int](o); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestLeastRecentlyUsedGoesFirst(t *testing.T) {
	c := newCache[int, int](t, cache.Options[int]{Capacity: 3, Shards: 1})
	for i := range 3 {
		c.Put(i, i, time.Time{})
	}
	c.Get(0)
	c.Range(func(int, int) bool { return true }) // is no use
	c.Put(3, 3, time.Time{})
	for k, want := range map[int]cache.Result{0: cache.Hit, 1: cache.Miss, 2: cache.Hit, 3: cache.Hit} {
		if _, got := c.Get(k); got != want {
			t.Errorf("Get(%d) = %s, want %s", k, got, want)
		}
	}
}

// A fill up to the capacity must keep nearly everything: some caches keep half.
func TestFullFill(t *testing.T) {
	const n = 100_000
	c := newCache[int, int](t, cache.Options[int]{Capacity: n, Shards: 32})
	for i := range n {
		c.Put(i, i, time.Time{})
	}
	if got := c.Len(); got > n || got < n*97/100 {
		t.Errorf("kept %d of %d", got, n)
	}
	if s := c.Stats(); s.Evictions != uint64(n-c.Len()) {
		t.Errorf("evictions %d, missing %d", s.Evictions, n-c.Len())
	}
}

func TestFloodLeavesMemoryBounded(t *testing.T) {
	c := newCache[string, string](t, cache.Options[string]{Capacity: 1000})
	for i := range 200_000 {
		c.PutNegative(fmt.Sprint("random id ", i))
	}
	if got := c.NegativeLen(); got > cache.DefaultNegativeCapacity || got < cache.DefaultNegativeCapacity*9/10 {
		t.Errorf("%d negative entries, limit %d", got, cache.DefaultNegativeCapacity)
	}
	if got := c.Stats().NegativeEvictions; got != uint64(200_000-c.NegativeLen()) {
		t.Errorf("negative evictions %d", got)
	}
}

func TestStatsAndLengths(t *testing.T) {
	clock := cachetest.NewClock()
	c := newCache[string, int](t, cache.Options[string]{Capacity: 10, Now: clock.Now})
	c.Put("a", 1, clock.Now().Add(time.Second))
	c.Put("b", 2, time.Time{})
	c.PutNegative("n")
	for _, k := range []string{"a", "b", "n", "x"} {
		c.Get(k)
	}
	clock.Advance(time.Hour)
	for _, k := range []string{"a", "b", "n", "x"} {
		c.Get(k)
	}
	want := cache.Stats{Hits: 3, Misses: 3, Negatives: 1, Expired: 1}
	if got := c.Stats(); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
	if c.Len() != 1 || c.NegativeLen() != 0 {
		t.Errorf("lengths %d and %d, want 1 and 0: expired entries are dropped when asked for", c.Len(), c.NegativeLen())
	}
	c.PutNegative("n")
	c.Purge()
	if c.Len() != 0 || c.NegativeLen() != 0 || c.Stats() != want {
		t.Errorf("after Purge: %d, %d, %+v", c.Len(), c.NegativeLen(), c.Stats())
	}
	if v, r := c.Get("b"); v != 0 || r != cache.Miss {
		t.Errorf("after Purge: %d, %s", v, r)
	}
}

func TestRange(t *testing.T) {
	clock := cachetest.NewClock()
	c := newCache[int, int](t, cache.Options[int]{Capacity: 100, Shards: 4, Now: clock.Now})
	for i := range 10 {
		c.Put(i, i*i, time.Time{})
	}
	c.Put(50, 50, clock.Now().Add(time.Second))
	c.PutNegative(60)
	clock.Advance(time.Minute)
	seen := map[int]int{}
	c.Range(func(k, v int) bool {
		c.Delete(k) // no lock is held
		seen[k] = v
		return true
	})
	if len(seen) != 10 || seen[9] != 81 {
		t.Errorf("saw %v", seen)
	}
	c.Put(1, 1, time.Time{})
	c.Put(2, 2, time.Time{})
	calls := 0
	c.Range(func(int, int) bool { calls++; return false })
	if calls != 1 {
		t.Errorf("%d calls after false", calls)
	}
}

// An end without monotonic reading, as from a token, is placed by the wall
// clock of the moment; ends beyond the range of durations mean never.
func TestExpiryForms(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache[string, int](t, cache.Options[string]{Capacity: 10})
		c.Put("wall", 1, time.Unix(time.Now().Unix()+60, 0))
		c.Put("far", 2, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
		c.Put("past", 3, time.Unix(1, 0))
		time.Sleep(59 * time.Second)
		for k, want := range map[string]cache.Result{"wall": cache.Hit, "far": cache.Hit, "past": cache.Miss} {
			if _, got := c.Get(k); got != want {
				t.Errorf("%s: %s, want %s", k, got, want)
			}
		}
		time.Sleep(2 * time.Second)
		if _, got := c.Get("wall"); got != cache.Expired {
			t.Errorf("wall: %s", got)
		}
	})
}

// A reader that found an expired value must not delete the one that a writer
// put in its place meanwhile. The hook is the clock, which Get reads in between.
func TestExpiredGetSparesNewValue(t *testing.T) {
	clock := cachetest.NewClock()
	var c *cache.Cache[string, string]
	race := false
	now := func() time.Time {
		if race {
			race = false
			c.Put("k", "new", time.Time{})
		}
		return clock.Now()
	}
	c = newCache[string, string](t, cache.Options[string]{Capacity: 10, Now: now})
	c.Put("k", "old", clock.Now().Add(time.Second))
	clock.Advance(time.Minute)
	race = true
	if v, r := c.Get("k"); v != "" || r != cache.Expired {
		t.Errorf("got %q, %s", v, r)
	}
	if v, r := c.Get("k"); v != "new" || r != cache.Hit {
		t.Errorf("new value: got %q, %s", v, r)
	}
}

func TestGetDoesNotAllocate(t *testing.T) {
	type key struct{ Tenant, Kind, ID string }
	c := newCache[key, *int](t, cache.Options[key]{Capacity: 1000})
	n := 1
	c.Put(key{"t", "entra", "hit"}, &n, time.Now().Add(time.Hour))
	c.PutNegative(key{"t", "entra", "negative"})
	for _, id := range []string{"hit", "negative", "miss"} {
		k := key{"t", "entra", id}
		if got := testing.AllocsPerRun(100, func() { c.Get(k) }); got != 0 {
			t.Errorf("%s: %v allocations", id, got)
		}
	}
}

func TestResultNames(t *testing.T) {
	seen := map[string]bool{"unknown": true}
	for _, r := range cache.Results {
		if seen[r.String()] {
			t.Errorf("name %q is not its own", r)
		}
		seen[r.String()] = true
	}
	if got := cache.Result(99).String(); got != "unknown" {
		t.Errorf("got %q", got)
	}
}

func BenchmarkGet(b *testing.B) {
	for _, n := range []int{1000, 100_000, 1_000_000} {
		keys := make([][16]byte, n)
		c := newCache[[16]byte, *int](b, cache.Options[[16]byte]{Capacity: 2 * n})
		expires := time.Now().Add(time.Hour)
		for i := range keys {
			copy(keys[i][:], fmt.Sprintf("%016x", i))
			c.Put(keys[i], new(int), expires)
		}
		b.Run(fmt.Sprint("serial/", n), func(b *testing.B) {
			b.ReportAllocs()
			i := 0
			for b.Loop() {
				i = (i + 7919) % n
				c.Get(keys[i])
			}
		})
		b.Run(fmt.Sprint("parallel/", n), func(b *testing.B) {
			b.ReportAllocs()
			var mu sync.Mutex
			start := 0
			b.RunParallel(func(pb *testing.PB) {
				mu.Lock()
				start += 104_729
				i := start
				mu.Unlock()
				for pb.Next() {
					i = (i + 7919) % n
					c.Get(keys[i])
				}
			})
		})
	}
}

func BenchmarkPut(b *testing.B) {
	const n = 100_000
	c := newCache[int, *int](b, cache.Options[int]{Capacity: n})
	v := new(int)
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		i++
		c.Put(i%(2*n), v, time.Time{})
	}
}
