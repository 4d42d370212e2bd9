package msgraph

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"
)

const (
	tokenTimeout = 30 * time.Second // of one token request
	tokenMargin  = 5 * time.Minute  // a token is renewed so long before it expires
	tokenReserve = 30 * time.Second // and may be used until then while that fails
	replaceGap   = 30 * time.Second // between two tokens that a service refused

	configFirst = 30 * time.Second // pause after a configuration error
	configMost  = 15 * time.Minute
	failFirst   = time.Second // pause after any other one
	failMost    = 30 * time.Second
	stampGap    = time.Second // between two looks at the credential's file
)

// tokenSlot keeps the token of one resource. At most one request for it is under
// way, and none while it is known to be in vain.
type tokenSlot struct {
	mu       sync.Mutex
	value    string
	expires  time.Time
	renewAt  time.Time
	replaced time.Time // when a service last refused a token
	flight   *tokenFlight

	failed   *Error // the last request's error
	failures int
	retryAt  time.Time
	stamp    string    // of the credential's file at that failure
	looked   time.Time // when the file was last looked at
}

// tokenFlight is a token request that is under way.
type tokenFlight struct {
	done  chan struct{} // closed when the two below are set
	value string
	err   *Error
}

// token returns a token for an endpoint's resource. refused is a token that the
// service does not take, and claims what it wants in a new one. Failures say
// nothing about the endpoint itself.
func (c *Client) token(ctx context.Context, ep Endpoint, refused, claims string) (string, *Error) {
	s := &c.tokens[ep.Resource()]
	value, f, e := s.look(c, ep.Resource(), refused, claims)
	if f != nil {
		select {
		case <-f.done:
			value, e = f.value, f.err
		case <-ctx.Done():
			e = ended(ep, ctx.Err(), "no token in time")
		}
	}
	if e != nil && f != nil && refused == "" {
		if old, ok := s.spare(); ok && e.Kind != KindConfig {
			return old, nil
		}
	}
	if e != nil {
		failed := *e
		failed.Endpoint, failed.exempt = ep, true
		return "", &failed
	}
	return value, nil
}

// look returns the present token, or why there is none, or the request to wait
// for.
func (s *tokenSlot) look(c *Client, res Resource, refused, claims string) (string, *tokenFlight, *Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if refused != "" && s.value == refused {
		s.value, s.replaced = "", now
	}
	if s.value != "" && now.Before(s.renewAt) {
		return s.value, nil, nil
	}
	if s.blocked(now, c.o.Credential) {
		if s.value != "" && now.Before(s.expires.Add(-tokenReserve)) && s.failed.Kind != KindConfig {
			return s.value, nil, nil
		}
		e := *s.failed
		e.RetryAfter, e.retry = s.retryAt.Sub(now), false
		return "", nil, &e
	}
	if s.flight == nil {
		f := &tokenFlight{done: make(chan struct{})}
		if !c.spawn(func() { c.fly(res, f, refused != "", claims) }) {
			return "", nil, &Error{Kind: KindUnavailable, Message: "client is closed"}
		}
		s.flight = f
	}
	return "", s.flight, nil
}

// spare is the token that is due for renewal but still good.
func (s *tokenSlot) spare() (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value, s.value != "" && time.Now().Before(s.expires.Add(-tokenReserve))
}

// blocked reports whether a request would be in vain. A new content of the
// credential's file ends the wait. The caller holds mu.
func (s *tokenSlot) blocked(now time.Time, k CredentialOptions) bool {
	if s.failed == nil || !now.Before(s.retryAt) {
		return false
	}
	if s.failed.Kind == KindConfig && now.Sub(s.looked) >= stampGap {
		s.looked = now
		if k.credentialStamp() != s.stamp {
			return false
		}
	}
	return true
}

// mayReplace reports whether a refused token is worth another request: one that
// is new and refused again is not, unless the service says what it wants.
func (s *tokenSlot) mayReplace(refused, claims string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value != refused || claims != "" || s.replaced.IsZero() || time.Since(s.replaced) >= replaceGap
}

// spawn starts work that Close waits for; false: the client is closed.
func (c *Client) spawn(f func()) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.running.Go(f)
	return true
}

// fly makes one token request and lands its outcome in the slot. It is bounded
// by a time of its own: a caller that gives up must not cost the others theirs.
func (c *Client) fly(res Resource, f *tokenFlight, replace bool, claims string) {
	s := &c.tokens[res]
	ctx, cancel := context.WithTimeout(c.ctx, tokenTimeout)
	defer cancel()
	stamp := c.o.Credential.credentialStamp()
	var e *Error
	landed := false
	defer func() {
		if p := recover(); p != nil && !landed {
			e = &Error{Kind: KindUnavailable, Message: clean(fmt.Sprintf("token library panicked: %v", p))}
			c.land(s, f, "", time.Time{}, e, stamp)
		}
	}()
	tok, e := c.requestToken(ctx, res, replace, claims)
	landed = true
	c.land(s, f, tok.Token, tok.ExpiresOn, e, stamp)
}

func (c *Client) land(s *tokenSlot, f *tokenFlight, value string, expires time.Time, e *Error, stamp string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer close(f.done)
	s.flight, f.err = nil, e
	if e == nil {
		if s.failures > 0 {
			c.o.Logger.Info("microsoft token again", "tenant", c.o.Name)
		}
		f.value, s.value, s.expires = value, value, expires
		s.renewAt = expires.Add(-min(tokenMargin, time.Until(expires)/2))
		s.failed, s.failures = nil, 0
		return
	}
	if s.failed != nil && s.failed.Kind != e.Kind {
		s.failures = 0
	}
	s.failures++
	s.failed, s.stamp, s.looked = e, stamp, time.Now()
	pause := tokenPause(e, s.failures)
	s.retryAt = time.Now().Add(pause)
	level := slog.LevelWarn
	if e.Kind == KindConfig {
		level = slog.LevelError
	}
	c.o.Logger.Log(c.ctx, level, "no microsoft token", "tenant", c.o.Name, "kind", e.Kind.String(), "code", e.Code, "error", e.text(), "next_try_in", pause)
}

// tokenPause is how long no token is asked for after a failure.
func tokenPause(e *Error, failures int) time.Duration {
	first, most := failFirst, failMost
	switch {
	case e.Kind == KindThrottled && e.RetryAfter > 0:
		return e.RetryAfter
	case e.Kind == KindConfig:
		first, most = configFirst, configMost
	}
	pause := min(most, first<<min(failures-1, 16))
	if e.Kind != KindConfig {
		pause = pause/2 + rand.N(pause/2)
	}
	return pause
}

// text is the message and what to do about it.
func (e *Error) text() string {
	if e.hint == "" {
		return e.Message
	}
	return e.Message + "; " + e.hint
}
