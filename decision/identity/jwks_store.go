package identity

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"golang.org/x/time/rate"

	"github.com/gatehouse-project/gatehouse/decision"
)

// How a key set is kept fresh.
const (
	jwksPoll       = 15 * time.Minute // give or take a fifth; a removed key dies within that
	jwksPollLeast  = 5 * time.Minute  // when Cache-Control asks for more often
	jwksFilePoll   = time.Second
	jwksRetryFirst = time.Second
	jwksRetryLast  = time.Minute

	// An unknown kid may cause a fetch: one per jwksDemandEvery, after a burst.
	// A flood of junk kids spends that too, but each fetch it causes also
	// brings a key that was really rotated, so rotation is late by at most
	// jwksDemandEvery.
	jwksDemandEvery = 10 * time.Second
	jwksDemandBurst = 3
	jwksDemandWait  = 300 * time.Millisecond // the longest that a request waits
	jwksJunkSize    = 1024
	jwksJunkFor     = time.Minute
)

// jwksStore holds the key set of one issuer. Reading is lock-free; one
// goroutine, run, does all fetching, so there is never more than one fetch.
type jwksStore struct {
	origin   jwksOrigin
	rules    jwksRules
	maxStale time.Duration
	now      func() time.Time

	set       atomic.Pointer[jwksSet] // nil until the first good load
	confirmed atomic.Int64            // when the set was last known good, as decision.Mono

	wake  chan struct{}
	limit *rate.Limiter
	junk  *lru.Cache[string, int64] // kid to the Mono time until which it counts as unknown

	mu      sync.Mutex
	running bool
	fetch   *jwksFetch // wanted or under way
	tried   time.Time
	loaded  time.Time
	err     error
}

// jwksFetch is one fetch that requests may wait for.
type jwksFetch struct {
	done chan struct{}
	good bool // valid once done is closed
}

// jwksOrigin is where a key set comes from. read returns the set's text and
// how long it may be cached (0: not said); changed reports false if a read
// would return what the last one did.
type jwksOrigin interface {
	read(ctx context.Context) (body []byte, maxAge time.Duration, err error)
	changed() (bool, error)
	remote() bool
}

func newJWKSStore(origin jwksOrigin, rules jwksRules, maxStale time.Duration, now func() time.Time) *jwksStore {
	junk, err := lru.New[string, int64](jwksJunkSize)
	if err != nil {
		panic(err) // the size is a positive constant
	}
	return &jwksStore{
		origin: origin, rules: rules, maxStale: maxStale, now: now, junk: junk,
		wake:  make(chan struct{}, 1),
		limit: rate.NewLimiter(rate.Every(jwksDemandEvery), jwksDemandBurst),
	}
}

// usable returns the set, or nil if none was ever loaded or the last good one
// is older than maxStale.
func (s *jwksStore) usable(now time.Time) *jwksSet {
	set := s.set.Load()
	if set == nil || s.stale(now) {
		return nil
	}
	return set
}

func (s *jwksStore) stale(now time.Time) bool {
	return decision.Mono(now)-s.confirmed.Load() > int64(s.maxStale)
}

// find returns the key for a token's header. An unknown kid, or having no keys
// at all, may cause one fetch, for which find waits a short time. The reason is
// empty on success, else algorithm, key_unknown or keys_unavailable.
func (s *jwksStore) find(ctx context.Context, h *joseHeader, a joseAlgorithm) (*jwk, string) {
	key, known, reason := s.look(h, a)
	if key != nil || known {
		return key, reason
	}
	if until, ok := s.junk.Get(h.kid); ok && reason == ReasonKeyUnknown && decision.Mono(s.now()) < until {
		return nil, reason
	}
	fetch, mine := s.demand()
	if fetch == nil {
		return nil, reason
	}
	timer := time.NewTimer(jwksDemandWait)
	defer timer.Stop()
	select {
	case <-fetch.done:
	case <-timer.C:
		return nil, reason
	case <-ctx.Done():
		return nil, reason
	}
	key, _, reason = s.look(h, a)
	if mine && fetch.good && reason == ReasonKeyUnknown {
		s.junk.Add(h.kid, decision.Mono(s.now())+int64(jwksJunkFor))
	}
	return key, reason
}

// look is find without a fetch; known is true if a fetch cannot help.
func (s *jwksStore) look(h *joseHeader, a joseAlgorithm) (key *jwk, known bool, reason string) {
	set := s.usable(s.now())
	if set == nil {
		return nil, false, ReasonKeysUnavailable
	}
	return set.pick(h, a)
}

// demand asks for a fetch, or joins the one under way. mine is true if this
// call caused it. The result is nil if none may be made now.
func (s *jwksStore) demand() (fetch *jwksFetch, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running || !s.origin.remote() {
		return nil, false
	}
	if s.fetch != nil {
		return s.fetch, false
	}
	if !s.limit.AllowN(s.now(), 1) {
		return nil, false
	}
	s.fetch = &jwksFetch{done: make(chan struct{})}
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return s.fetch, true
}

// run keeps the set fresh until ctx ends. The caller has called begin, so that
// requests that come before the first fetch wait for it.
func (s *jwksStore) run(ctx context.Context) {
	defer s.stop()
	failures := 0
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.wake:
		}
		s.begin()
		maxAge, err := s.refresh(ctx)
		s.end(err)
		if err == nil {
			failures = 0
		} else {
			failures++
		}
		timer.Reset(s.next(maxAge, failures))
	}
}

// next is how long to wait before the next fetch. A long max-age of the issuer
// does not delay it: taking a key out of the set is how an issuer revokes it.
func (s *jwksStore) next(maxAge time.Duration, failures int) time.Duration {
	if !s.origin.remote() {
		return jwksFilePoll
	}
	wait := jwksPoll
	switch {
	case failures > 0:
		wait = min(jwksRetryFirst<<min(failures-1, 16), jwksRetryLast)
		return wait/2 + rand.N(wait/2+1) //nolint:gosec // spreads load, guards nothing
	case maxAge > 0:
		wait = min(max(maxAge, jwksPollLeast), jwksPoll)
	}
	return wait - wait/5 + rand.N(2*wait/5) //nolint:gosec // as above
}

func (s *jwksStore) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = true
	if s.fetch == nil {
		s.fetch = &jwksFetch{done: make(chan struct{})}
	}
}

func (s *jwksStore) end(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
	s.release(err == nil)
}

func (s *jwksStore) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = false
	s.release(false)
}

// release lets those go who wait for the fetch. s.mu is held.
func (s *jwksStore) release(good bool) {
	if s.fetch != nil {
		s.fetch.good = good
		close(s.fetch.done)
		s.fetch = nil
	}
}

// refresh reads the set once. On failure the last good set stays.
func (s *jwksStore) refresh(ctx context.Context) (maxAge time.Duration, err error) {
	defer func() {
		if p := recover(); p != nil { // the body is a stranger's
			err = fmt.Errorf("key set: reading it failed: %v", p)
		}
	}()
	now := s.now()
	changed, err := s.origin.changed()
	if err != nil {
		return 0, err
	}
	if !changed {
		if s.set.Load() != nil && s.lastError() == nil {
			s.confirmed.Store(decision.Mono(now))
		}
		return 0, s.lastError()
	}
	s.mu.Lock()
	s.tried = now
	s.mu.Unlock()
	body, maxAge, err := s.origin.read(ctx)
	if err != nil {
		return 0, err
	}
	set, err := jwksParse(body, &s.rules)
	if err != nil {
		return 0, err
	}
	s.confirmed.Store(decision.Mono(now))
	s.install(set)
	s.mu.Lock()
	s.loaded = now
	s.mu.Unlock()
	return maxAge, nil
}

// install makes set current and retires the keys that left.
func (s *jwksStore) install(set *jwksSet) {
	set.succeed(s.set.Load())
	s.set.Store(set)
}

func (s *jwksStore) lastError() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// jwksFile is a key set in a file.
type jwksFile struct {
	path string
	last os.FileInfo // of the last read; used by one goroutine at a time
}

func (f *jwksFile) remote() bool { return false }

func (f *jwksFile) changed() (bool, error) {
	info, err := os.Stat(f.path)
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		f.last = nil // whatever comes back is read again
		return false, fmt.Errorf("key set file: %w", err)
	}
	return f.last == nil || !os.SameFile(info, f.last) || info.Size() != f.last.Size() || !info.ModTime().Equal(f.last.ModTime()), nil
}

func (f *jwksFile) read(context.Context) ([]byte, time.Duration, error) {
	file, err := os.Open(f.path)
	if err != nil {
		return nil, 0, fmt.Errorf("key set file: %w", err)
	}
	defer func() { _ = file.Close() }() // only read from
	info, err := file.Stat()
	if err != nil {
		return nil, 0, fmt.Errorf("key set file: %w", err)
	}
	body, err := jwksReadAll(file)
	if err == nil {
		f.last = info
	}
	return body, 0, err
}

// status fills in what an IssuerStatus says about keys.
func (s *jwksStore) status(now time.Time) IssuerStatus {
	var st IssuerStatus
	if set := s.set.Load(); set != nil {
		st.Keys, st.Ignored = len(set.keys), set.ignored
		st.Usable = !s.stale(now)
		st.Age = time.Duration(decision.Mono(now) - s.confirmed.Load())
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	st.Loaded, st.Tried = s.loaded, s.tried
	if s.err != nil {
		st.Err = s.err.Error()
	}
	return st
}
