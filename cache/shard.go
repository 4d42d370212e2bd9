package cache

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
)

// entry is a value with its end on the cache's monotonic scale.
type entry[V any] struct {
	value   V
	expires int64
}

// shard is one independently locked part of a cache. The counters live here,
// under the lock that is held anyway, instead of in shared atomics.
type shard[K comparable, V any] struct {
	mu        sync.Mutex
	values    *simplelru.LRU[K, entry[V]]
	negatives *simplelru.LRU[K, int64]
	stats     Stats
	_         [64]byte // keeps the locks of two shards off one cache line
}

func (s *shard[K, V]) init(capacity, negative int) error {
	var err error
	s.values, err = simplelru.NewLRU[K, entry[V]](capacity, nil)
	if err != nil {
		return err
	}
	s.negatives, err = simplelru.NewLRU[K, int64](negative, nil)
	return err
}

// get counts the result as if nothing expired; [shard.expire] corrects it.
func (s *shard[K, V]) get(k K) (v V, expires int64, r Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.values.Get(k); ok {
		s.stats.Hits++
		return e.value, e.expires, Hit
	}
	if until, ok := s.negatives.Get(k); ok {
		s.stats.Negatives++
		return v, until, Negative
	}
	s.stats.Misses++
	return v, 0, Miss
}

// expire removes what get found, unless it was replaced since, and returns the
// result that the caller of Get sees. An expired negative entry is a miss.
func (s *shard[K, V]) expire(k K, expires int64, found Result) Result {
	s.mu.Lock()
	defer s.mu.Unlock()
	if found == Negative {
		if until, ok := s.negatives.Peek(k); ok && until == expires {
			s.negatives.Remove(k)
		}
		s.stats.Negatives--
		s.stats.Misses++
		return Miss
	}
	if e, ok := s.values.Peek(k); ok && e.expires == expires {
		s.values.Remove(k)
	}
	s.stats.Hits--
	s.stats.Expired++
	return Expired
}

func (s *shard[K, V]) put(k K, v V, expires int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.negatives.Remove(k)
	if s.values.Add(k, entry[V]{v, expires}) {
		s.stats.Evictions++
	}
}

func (s *shard[K, V]) putNegative(k K, until int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values.Remove(k)
	if s.negatives.Add(k, until) {
		s.stats.NegativeEvictions++
	}
}

func (s *shard[K, V]) remove(k K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values.Remove(k)
	s.negatives.Remove(k)
}

func (s *shard[K, V]) purge() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.values.Purge()
	s.negatives.Purge()
}

func (s *shard[K, V]) len() (values, negatives int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values.Len(), s.negatives.Len()
}

func (s *shard[K, V]) copy() ([]K, []entry[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.values.Keys(), s.values.Values()
}

func (s *shard[K, V]) addTo(sum *Stats) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum.Hits += s.stats.Hits
	sum.Misses += s.stats.Misses
	sum.Negatives += s.stats.Negatives
	sum.Expired += s.stats.Expired
	sum.Evictions += s.stats.Evictions
	sum.NegativeEvictions += s.stats.NegativeEvictions
}
