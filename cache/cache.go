package cache

import (
	"errors"
	"fmt"
	"hash/maphash"
	"math"
	"runtime"
	"time"
)

// Defaults of [Options].
const (
	DefaultNegativeCapacity = 10_000
	DefaultNegativeTTL      = time.Minute
)

const (
	maxShards = 256
	// minPerShard keeps small caches in few shards: hashing spreads keys
	// unevenly, and a small shard would evict long before the cache is full.
	minPerShard = 1024
	never       = math.MaxInt64
)

// Options are the bounds of a [Cache].
type Options[K comparable] struct {
	// Capacity is how many values are kept at most. Required. With more than
	// one shard the first eviction comes a few per cent earlier.
	Capacity int
	// NegativeCapacity is how many negative entries are kept at most, but at
	// least one per shard. Default 10,000.
	NegativeCapacity int
	// NegativeTTL is how long a negative entry counts. Default one minute.
	NegativeTTL time.Duration
	// Shards is the number of independently locked parts, a power of two. The
	// default is four per processor, at most 256, and fewer for a small cache.
	Shards int
	// Now is the clock. It must return times with a monotonic reading, as
	// time.Now does, which is the default. A Get of a value without an end
	// does not read it.
	Now func() time.Time
}

// Cache is a bounded map from K to V that evicts what was not used for
// longest. It is safe for concurrent use; create it with [New]. It owns no
// goroutine, so it can simply be dropped.
//
// Time is measured on the monotonic clock: setting the wall clock neither
// renews nor ends an entry. The monotonic clock stands still while the machine
// sleeps, so a value with an absolute end of its own (a token, a certificate)
// must still be checked against the wall clock by whoever uses it.
type Cache[K comparable, V any] struct {
	seed        maphash.Seed
	shards      []shard[K, V]
	mask        uint64
	now         func() time.Time
	epoch       time.Time
	negativeTTL int64
}

// New makes an empty cache. It fails if an option is out of range.
func New[K comparable, V any](o Options[K]) (*Cache[K, V], error) {
	if o.NegativeCapacity == 0 {
		o.NegativeCapacity = DefaultNegativeCapacity
	}
	if o.NegativeTTL == 0 {
		o.NegativeTTL = DefaultNegativeTTL
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	switch {
	case o.Capacity <= 0:
		return nil, fmt.Errorf("cache capacity %d is not positive", o.Capacity)
	case o.NegativeCapacity < 0:
		return nil, fmt.Errorf("negative capacity %d is below zero", o.NegativeCapacity)
	case o.NegativeTTL < 0:
		return nil, fmt.Errorf("negative ttl %s is below zero", o.NegativeTTL)
	case o.Shards < 0 || o.Shards > 1<<16:
		return nil, fmt.Errorf("shard count %d is not between 1 and 65536", o.Shards)
	case o.Shards&(o.Shards-1) != 0:
		return nil, fmt.Errorf("shard count %d is not a power of two", o.Shards)
	case o.Shards > o.Capacity:
		return nil, errors.New("cache has more shards than capacity")
	}
	if o.Shards == 0 {
		o.Shards = defaultShards(o.Capacity)
	}
	c := &Cache[K, V]{
		seed:        maphash.MakeSeed(),
		shards:      make([]shard[K, V], o.Shards),
		mask:        uint64(o.Shards - 1),
		now:         o.Now,
		epoch:       o.Now(),
		negativeTTL: int64(o.NegativeTTL),
	}
	for i := range c.shards {
		err := c.shards[i].init(share(o.Capacity, o.Shards, i), share(o.NegativeCapacity, o.Shards, i))
		if err != nil {
			return nil, fmt.Errorf("cache shard: %w", err)
		}
	}
	return c, nil
}

func defaultShards(capacity int) int {
	n := 1
	for n < maxShards && n < 4*runtime.GOMAXPROCS(0) && capacity/(2*n) >= minPerShard {
		n *= 2
	}
	return n
}

// share is the i-th of n nearly equal parts of total, but at least one.
func share(total, n, i int) int {
	part := total / n
	if i < total%n {
		part++
	}
	return max(part, 1)
}

// mono is the present on the cache's own monotonic scale, in nanoseconds.
func (c *Cache[K, V]) mono() int64 { return int64(c.now().Sub(c.epoch)) }

func (c *Cache[K, V]) shard(k K) *shard[K, V] {
	return &c.shards[maphash.Comparable(c.seed, k)&c.mask]
}

// Get looks k up. The value is the zero V unless the result is Hit. It
// allocates nothing and takes only the lock of one shard.
func (c *Cache[K, V]) Get(k K) (V, Result) {
	s := c.shard(k)
	v, expires, r := s.get(k)
	// The clock is read outside the lock, and only for what can expire.
	if r == Miss || expires == never || expires > c.mono() {
		return v, r
	}
	var zero V
	return zero, s.expire(k, expires, r)
}

// Put keeps v for k until expires, and ends a negative entry for k. The zero
// time means until evicted. If expires is not in the future, k is deleted: a
// value that ended must not leave an older one behind.
func (c *Cache[K, V]) Put(k K, v V, expires time.Time) {
	deadline := int64(never)
	if !expires.IsZero() {
		now := c.now()
		ttl := int64(expires.Sub(now))
		if ttl <= 0 {
			c.Delete(k)
			return
		}
		at := int64(now.Sub(c.epoch))
		if ttl < never-at {
			deadline = at + ttl
		}
	}
	c.shard(k).put(k, v, deadline)
}

// PutNegative records that k does not exist, for Options.NegativeTTL, and ends
// a value of k. A flood of such keys evicts older negative entries only.
func (c *Cache[K, V]) PutNegative(k K) {
	c.shard(k).putNegative(k, c.mono()+c.negativeTTL)
}

// Delete forgets the value and the negative entry of k.
func (c *Cache[K, V]) Delete(k K) { c.shard(k).remove(k) }

// Purge forgets everything. The counters of [Cache.Stats] stay.
func (c *Cache[K, V]) Purge() {
	for i := range c.shards {
		c.shards[i].purge()
	}
}

// Len returns the number of values. Values that expired and were not asked for
// since are counted.
func (c *Cache[K, V]) Len() int {
	n := 0
	for i := range c.shards {
		values, _ := c.shards[i].len()
		n += values
	}
	return n
}

// Range calls f for every value that has not expired until f returns false. It
// copies one shard at a time and holds no lock while f runs, so f may use the
// cache. What changes during the call may or may not be seen. The order is not
// specified within the whole, and Range does not count as use.
func (c *Cache[K, V]) Range(f func(K, V) bool) {
	for i := range c.shards {
		keys, entries := c.shards[i].copy()
		now := c.mono()
		for j, k := range keys {
			if entries[j].expires > now && !f(k, entries[j].value) {
				return
			}
		}
	}
}

// Stats are the counters of a cache since it was made.
type Stats struct {
	Hits      uint64 // Get returned Hit
	Misses    uint64 // Get returned Miss
	Negatives uint64 // Get returned Negative
	Expired   uint64 // Get returned Expired
	// Evictions counts values that made room for others, NegativeEvictions
	// the same for negative entries.
	Evictions         uint64
	NegativeEvictions uint64
}

// Stats returns the counters. Each shard is read at its own moment.
func (c *Cache[K, V]) Stats() Stats {
	var sum Stats
	for i := range c.shards {
		c.shards[i].addTo(&sum)
	}
	return sum
}
