package identity

import (
	"hash/maphash"
	"sync"
	"sync/atomic"
)

const (
	tokenShards     = 64
	tokenShardShift = 64 - 6  // the top bits of a hash choose the shard
	tokenEntryBytes = 8 << 10 // share of one entry in the bound by bytes
)

// tokenCache remembers verified tokens by their whole text. A seeded hash finds
// the entry and a comparison of the whole text confirms it, which is as safe as
// a cryptographic hash and several times cheaper. Refused tokens are never
// remembered, so a stranger cannot fill it.
//
// Each shard evicts by second chance (CLOCK) and not by golang-lru: a hit then
// takes a shared lock and writes nothing once an entry is marked, where a list
// kept in order of use takes an exclusive lock and moves the entry on every
// request.
type tokenCache struct {
	seed     maphash.Seed
	maxCount int64
	maxBytes int64
	count    atomic.Int64
	bytes    atomic.Int64
	shards   [tokenShards]tokenShard
}

type tokenShard struct {
	mu     sync.RWMutex
	byHash map[uint64]*tokenEntry
	ring   []*tokenEntry // for the clock's hand
	hand   int
	_      [56]byte // keeps neighbours' locks on cache lines of their own
}

type tokenEntry struct {
	raw   string
	token *Token
	hash  uint64
	slot  int // in ring
	used  atomic.Bool
}

func newTokenCache(entries int) *tokenCache {
	c := &tokenCache{seed: maphash.MakeSeed(), maxCount: int64(entries), maxBytes: int64(entries) * tokenEntryBytes}
	for i := range c.shards {
		c.shards[i].byHash = make(map[uint64]*tokenEntry)
	}
	return c
}

func (c *tokenCache) at(h uint64) *tokenShard { return &c.shards[h>>tokenShardShift] }

// get returns the token for raw, or nil. It does not ask whether the token is
// still live.
func (c *tokenCache) get(raw string) *Token {
	h := maphash.String(c.seed, raw)
	s := c.at(h)
	s.mu.RLock()
	e := s.byHash[h]
	s.mu.RUnlock()
	if e == nil || e.raw != raw {
		return nil
	}
	if !e.used.Load() {
		e.used.Store(true)
	}
	return e.token
}

// put remembers token, which the caller shares from now on.
func (c *tokenCache) put(raw string, token *Token) {
	h := maphash.String(c.seed, raw)
	c.makeRoom(h, int64(token.size))
	s := c.at(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if old := s.byHash[h]; old != nil {
		c.remove(s, old)
	}
	e := &tokenEntry{raw: raw, token: token, hash: h, slot: len(s.ring)}
	s.byHash[h] = e
	s.ring = append(s.ring, e)
	c.count.Add(1)
	c.bytes.Add(int64(token.size))
}

// makeRoom evicts until one more entry fits. It starts at the entry's own shard
// and goes on to others only when that is empty, so that a chance imbalance
// between shards does not cost entries. Concurrent calls may overshoot the
// bounds by one entry each.
func (c *tokenCache) makeRoom(h uint64, size int64) {
	empty := 0
	for i := h >> tokenShardShift; empty < tokenShards; {
		if c.count.Load() < c.maxCount && c.bytes.Load()+size <= c.maxBytes {
			return
		}
		s := &c.shards[i%tokenShards]
		s.mu.Lock()
		if len(s.ring) > 0 {
			c.remove(s, s.victim())
			empty = 0
		} else {
			empty++
			i++
		}
		s.mu.Unlock()
	}
}

// drop forgets token if it is still what raw stands for.
func (c *tokenCache) drop(raw string, token *Token) {
	h := maphash.String(c.seed, raw)
	s := c.at(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.byHash[h]; e != nil && e.token == token {
		c.remove(s, e)
	}
}

// victim returns the first entry that was not used since the hand last passed.
// The ring is not empty.
func (s *tokenShard) victim() *tokenEntry {
	for {
		if s.hand >= len(s.ring) {
			s.hand = 0
		}
		e := s.ring[s.hand]
		if !e.used.Swap(false) {
			return e
		}
		s.hand++
	}
}

// remove fills the gap with the last entry of the ring. s.mu is held.
func (c *tokenCache) remove(s *tokenShard, e *tokenEntry) {
	last := s.ring[len(s.ring)-1]
	s.ring[e.slot], last.slot = last, e.slot
	s.ring[len(s.ring)-1] = nil
	s.ring = s.ring[:len(s.ring)-1]
	delete(s.byHash, e.hash)
	c.count.Add(-1)
	c.bytes.Add(-int64(e.token.size))
}

func (c *tokenCache) len() int { return int(c.count.Load()) }
