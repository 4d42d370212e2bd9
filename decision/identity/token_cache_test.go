package identity

import (
	"fmt"
	"hash/maphash"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestCacheBounds(t *testing.T) {
	for _, entries := range []int{1, 10, 1000} {
		c := newTokenCache(entries)
		for i := range 5 * entries {
			c.put(fmt.Sprint("token", i), &Token{size: 1000})
			if c.len() > entries {
				t.Fatalf("%d entries: got %d", entries, c.len())
			}
		}
		if c.len() != entries || c.get(fmt.Sprint("token", 5*entries-1)) == nil {
			t.Errorf("%d entries: got %d, or the newest is missing", entries, c.len())
		}
		c.check(t)
	}
	c := newTokenCache(50) // 400 KiB
	for i := range 100 {
		c.put(fmt.Sprint("token", i), &Token{size: 40 << 10})
	}
	if c.len() != 10 {
		t.Errorf("large tokens: got %d, want 10", c.len())
	}
	c.put("huge", &Token{size: 10 << 20})
	if c.len() != 1 || c.get("huge") == nil {
		t.Errorf("one token larger than the bound: got %d", c.len())
	}
	c.check(t)
}

// check compares the counters with what is there.
func (c *tokenCache) check(t *testing.T) {
	t.Helper()
	count, bytes := 0, 0
	for i := range c.shards {
		s := &c.shards[i]
		if len(s.ring) != len(s.byHash) {
			t.Errorf("shard %d: %d in the ring, %d in the map", i, len(s.ring), len(s.byHash))
		}
		for slot, e := range s.ring {
			if e.slot != slot || s.byHash[e.hash] != e {
				t.Errorf("shard %d: slot %d is wrong", i, slot)
			}
			count++
			bytes += e.token.size
		}
	}
	if int64(count) != c.count.Load() || int64(bytes) != c.bytes.Load() {
		t.Errorf("got count %d, bytes %d, want %d, %d", c.count.Load(), c.bytes.Load(), count, bytes)
	}
}

func TestCacheSecondChance(t *testing.T) {
	c := newTokenCache(2)
	names := sameShard(c, 3)
	c.put(names[0], &Token{})
	c.put(names[1], &Token{})
	if c.get(names[0]) == nil {
		t.Fatal("the first: not remembered")
	}
	c.put(names[2], &Token{})
	if c.get(names[0]) == nil || c.get(names[1]) != nil || c.get(names[2]) == nil {
		t.Error("got another victim than the one that was not used")
	}
}

// sameShard finds names that fall into one shard.
func sameShard(c *tokenCache, n int) (names []string) {
	for i := 0; len(names) < n; i++ {
		name := fmt.Sprint("token", i)
		if c.at(maphash.String(c.seed, name)) == &c.shards[0] {
			names = append(names, name)
		}
	}
	return names
}

func TestCacheWholeText(t *testing.T) {
	c := newTokenCache(10)
	token := &Token{}
	c.put("a.b.c", token)
	// Two texts of one hash: the entry of the other is never returned.
	s := c.at(maphash.String(c.seed, "a.b.c"))
	e := s.ring[0]
	e.raw = "a.b.d"
	if c.get("a.b.c") != nil {
		t.Error("another text of the same hash: got its token")
	}
	e.raw = "a.b.c"
	c.drop("a.b.c", &Token{})
	if c.get("a.b.c") != token {
		t.Error("drop of another token: dropped this one")
	}
	next := &Token{size: 5}
	c.put("a.b.c", next)
	if c.get("a.b.c") != next || c.len() != 1 {
		t.Error("put again: not replaced")
	}
	c.check(t)
	c.drop("a.b.c", next)
	c.drop("a.b.c", next)
	if c.len() != 0 {
		t.Error("drop: still there")
	}
	c.check(t)
}

func TestCacheConcurrent(t *testing.T) {
	c := newTokenCache(200)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 3000 {
				name := fmt.Sprint("token", (i*7+g*13)%500)
				if token := c.get(name); token == nil {
					c.put(name, &Token{size: 100})
				} else if i%11 == 0 {
					c.drop(name, token)
				}
			}
		})
	}
	wg.Wait()
	if c.len() > 200+4 {
		t.Errorf("got %d entries, want at most 204", c.len())
	}
	c.check(t)
}

// TestSame: a remembered token stands only for its whole text, for the verifier
// that checked it, and while it is live.
func TestSame(t *testing.T) {
	now := testNow
	o := testCorp(t)
	tokens, others := testTokens(t, o), testTokens(t, o)
	raw := testSign(t, "ES256", "ec", `{"alg":"ES256","kid":"ec"}`, testJSON(t, testClaims(nil)))
	token := testMustVerify(t, tokens, raw)
	last := raw[:len(raw)-1] + string(raw[len(raw)-1]^1)
	for _, tc := range []struct {
		name   string
		tokens *Tokens
		token  *Token
		raw    string
		now    time.Time
		want   bool
	}{
		{"same text", tokens, token, strings.Clone(raw), now, true},
		{"other last byte", tokens, token, last, now, false},
		{"prefix", tokens, token, raw[:len(raw)-1], now, false},
		{"longer", tokens, token, raw + "A", now, false},
		{"empty", tokens, token, "", now, false},
		{"another verifier", others, token, raw, now, false},
		{"no token", tokens, nil, raw, now, false},
		{"not verified", tokens, &Token{}, "", now, false},
		{"expired", tokens, token, raw, now.Add(48 * time.Hour), false},
	} {
		if got := tc.tokens.Same(tc.token, tc.raw, tc.now); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}
