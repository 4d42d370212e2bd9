package cachetest

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/cache"
)

// Factory makes an empty store with exactly these bounds and this clock. What
// the store must close it registers with t.Cleanup. The clock is not the wall
// clock: a store that leaves expiry to another program must check it again.
type Factory func(t *testing.T, o cache.Options[Key]) cache.Store[Key, string]

// Key is the key type of the suite: like real keys, it has several fields.
type Key struct{ Tenant, ID string }

// Run checks that the stores of a factory keep the contract of [cache.Store].
func Run(t *testing.T, factory Factory) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(*testing.T, Factory)
	}{
		{"Words", words},
		{"Expiry", expiry},
		{"NegativeExpiry", negativeExpiry},
		{"Dimensions", dimensions},
		{"Flood", flood},
		{"Bounds", bounds},
		{"Concurrency", concurrency},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, factory) })
	}
}

// Clock is a hand-driven clock, safe for concurrent use.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// NewClock returns a clock that stands at the present.
func NewClock() *Clock { return &Clock{now: time.Now()} }

// Now returns the clock's time, with a monotonic reading.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Advance moves the clock.
func (c *Clock) Advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

func id(s string) Key { return Key{"tenant", s} }

func expect(t *testing.T, s cache.Store[Key, string], k Key, value string, result cache.Result) {
	t.Helper()
	v, r := s.Get(k)
	if v != value || r != result {
		t.Fatalf("Get(%v) = %q, %s; want %q, %s", k, v, r, value, result)
	}
}

// words checks that the last word about a key wins.
func words(t *testing.T, factory Factory) {
	s := factory(t, cache.Options[Key]{Capacity: 100})
	k := id("a")
	steps := []struct {
		name   string
		do     func()
		value  string
		result cache.Result
	}{
		{"nothing", func() {}, "", cache.Miss},
		{"put", func() { s.Put(k, "1", time.Time{}) }, "1", cache.Hit},
		{"put again", func() { s.Put(k, "2", time.Time{}) }, "2", cache.Hit},
		{"negative ends a value", func() { s.PutNegative(k) }, "", cache.Negative},
		{"value ends a negative", func() { s.Put(k, "3", time.Time{}) }, "3", cache.Hit},
		{"no negative is left below", func() { s.Delete(k) }, "", cache.Miss},
		{"negative", func() { s.PutNegative(k) }, "", cache.Negative},
		{"delete ends a negative", func() { s.Delete(k) }, "", cache.Miss},
		{"delete nothing", func() { s.Delete(k) }, "", cache.Miss},
		{"zero key", func() { s.Put(Key{}, "zero", time.Time{}) }, "", cache.Miss},
	}
	for _, step := range steps {
		step.do()
		v, r := s.Get(k)
		if v != step.value || r != step.result {
			t.Fatalf("%s: got %q, %s; want %q, %s", step.name, v, r, step.value, step.result)
		}
	}
	expect(t, s, Key{}, "zero", cache.Hit)
}

func expiry(t *testing.T, factory Factory) {
	clock := NewClock()
	s := factory(t, cache.Options[Key]{Capacity: 100, Now: clock.Now})
	s.Put(id("short"), "s", clock.Now().Add(10*time.Second))
	s.Put(id("long"), "l", clock.Now().Add(20*time.Second))
	s.Put(id("ever"), "e", time.Time{})
	clock.Advance(10*time.Second - 1)
	expect(t, s, id("short"), "s", cache.Hit)
	clock.Advance(1)
	if v, r := s.Get(id("short")); v != "" || r != cache.Expired && r != cache.Miss {
		t.Fatalf("at its end: got %q, %s; want no value", v, r)
	}
	expect(t, s, id("short"), "", cache.Miss)
	expect(t, s, id("long"), "l", cache.Hit)

	// A later word renews, an earlier one shortens, a past one deletes.
	s.Put(id("long"), "l2", clock.Now().Add(time.Hour))
	clock.Advance(time.Minute)
	expect(t, s, id("long"), "l2", cache.Hit)
	s.Put(id("long"), "l3", clock.Now().Add(time.Second))
	expect(t, s, id("long"), "l3", cache.Hit)
	s.Put(id("long"), "l4", clock.Now().Add(-time.Second))
	expect(t, s, id("long"), "", cache.Miss)
	s.Put(id("new"), "n", clock.Now())
	expect(t, s, id("new"), "", cache.Miss)
	clock.Advance(1000 * time.Hour)
	expect(t, s, id("ever"), "e", cache.Hit)
}

func negativeExpiry(t *testing.T, factory Factory) {
	clock := NewClock()
	s := factory(t, cache.Options[Key]{Capacity: 100, NegativeTTL: 30 * time.Second, Now: clock.Now})
	s.PutNegative(id("a"))
	clock.Advance(30*time.Second - 1)
	expect(t, s, id("a"), "", cache.Negative)
	clock.Advance(1)
	expect(t, s, id("a"), "", cache.Miss)
	expect(t, s, id("a"), "", cache.Miss)
}

// dimensions checks that keys which look alike when joined stay apart.
func dimensions(t *testing.T, factory Factory) {
	s := factory(t, cache.Options[Key]{Capacity: 100})
	long := make([]byte, 300)
	keys := []Key{
		{"a", "bc"},
		{"ab", "c"},
		{"abc", ""},
		{"", "abc"},
		{"a|b", "c"},
		{"a", "b|c"},
		{"a\x00b", "c"},
		{"a", "b\x00c"},
		{"A", "bc"},
		{"long", string(long) + "1"},
		{"long", string(long) + "2"},
	}
	for i, k := range keys {
		s.Put(k, fmt.Sprint(i), time.Time{})
	}
	for i, k := range keys {
		expect(t, s, k, fmt.Sprint(i), cache.Hit)
	}
}

// flood checks that negative entries, whose keys a client may choose, evict no
// value.
func flood(t *testing.T, factory Factory) {
	s := factory(t, cache.Options[Key]{Capacity: 256, NegativeCapacity: 16})
	const good = 32
	for i := range good {
		s.Put(id(fmt.Sprint("good", i)), "v", time.Time{})
	}
	for i := range 10_000 {
		s.PutNegative(id(fmt.Sprint("random", i)))
	}
	for i := range good {
		expect(t, s, id(fmt.Sprint("good", i)), "v", cache.Hit)
	}
	left := 0
	for i := range 10_000 {
		if _, r := s.Get(id(fmt.Sprint("random", i))); r == cache.Negative {
			left++
		}
	}
	if left > 16 {
		t.Fatalf("%d negative entries are kept, limit 16", left)
	}
}

func bounds(t *testing.T, factory Factory) {
	s := factory(t, cache.Options[Key]{Capacity: 64})
	const all = 10_000
	for i := range all {
		s.Put(id(fmt.Sprint(i)), fmt.Sprint(i), time.Time{})
	}
	left := 0
	for i := range all {
		v, r := s.Get(id(fmt.Sprint(i)))
		if r == cache.Hit {
			left++
			if v != fmt.Sprint(i) {
				t.Fatalf("Get(%d) = %q", i, v)
			}
		}
	}
	if left > 64 {
		t.Fatalf("%d values are kept, limit 64", left)
	}
	expect(t, s, id(fmt.Sprint(all-1)), fmt.Sprint(all-1), cache.Hit)
}

// concurrency is worth running with the race detector.
func concurrency(t *testing.T, factory Factory) {
	s := factory(t, cache.Options[Key]{Capacity: 128, NegativeCapacity: 32})
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := range 2000 {
				k := id(fmt.Sprint((i * (w + 1)) % 200))
				switch i % 5 {
				case 0:
					s.Put(k, k.ID, time.Now().Add(time.Millisecond))
				case 1:
					s.PutNegative(k)
				case 2:
					s.Delete(k)
				case 3:
					s.Put(k, k.ID, time.Time{})
				default:
					v, r := s.Get(k)
					if (r == cache.Hit) != (v != "") || v != "" && v != k.ID {
						t.Errorf("Get(%v) = %q, %s", k, v, r)
					}
				}
			}
		})
	}
	wg.Wait()
}
