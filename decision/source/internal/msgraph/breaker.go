package msgraph

import (
	"errors"
	"sync"
	"time"

	"github.com/sony/gobreaker/v2"
)

// A circuit opens after so many useless answers in a row, rests, and then lets
// one call through.
const (
	breakerRow  = 5
	breakerRest = 30 * time.Second
)

// circuit stops calls to an endpoint that gives nothing usable.
type circuit struct {
	endpoint Endpoint
	breaker  *gobreaker.TwoStepCircuitBreaker[struct{}]

	mu     sync.Mutex
	last   *Error    // why it is open
	opened time.Time // zero while closed
}

func newCircuit(ep Endpoint) *circuit {
	c := &circuit{endpoint: ep}
	c.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Name: ep.String(), MaxRequests: 1, Timeout: breakerRest,
		ReadyToTrip:  func(n gobreaker.Counts) bool { return n.ConsecutiveFailures >= breakerRow },
		IsSuccessful: func(err error) bool { return !useless(err) },
		IsExcluded:   saysNothing,
		OnStateChange: func(_ string, _, to gobreaker.State) {
			c.mu.Lock()
			defer c.mu.Unlock()
			if to == gobreaker.StateOpen {
				c.opened = time.Now()
			}
		},
	})
	return c
}

// useless reports whether the service did not work. That it has no such thing or
// that we may not ask is a working service.
func useless(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	switch e.Kind {
	case KindUnavailable, KindAnswer, KindUnauthorized:
		return true
	}
	return false
}

// saysNothing reports whether the call ended before the service could show
// whether it works.
func saysNothing(err error) bool {
	var e *Error
	return errors.As(err, &e) && (e.Kind == KindThrottled || e.Kind == KindConfig || e.exempt)
}

// enter asks for a call. done must be called with its outcome.
func (c *circuit) enter() (done func(*Error), err *Error) {
	finish, refused := c.breaker.Allow()
	if refused == nil {
		return func(e *Error) {
			if e == nil {
				finish(nil) // not a typed nil
				return
			}
			if useless(e) {
				c.mu.Lock()
				c.last = e
				c.mu.Unlock()
			}
			finish(e)
		}, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	e := &Error{Endpoint: c.endpoint, Kind: KindUnavailable, Message: "not called, its circuit is open"}
	e.RetryAfter = max(breakerRest-time.Since(c.opened), time.Second)
	if c.last != nil {
		e.Status, e.Code, e.RequestID, e.hint = c.last.Status, c.last.Code, c.last.RequestID, c.last.hint
		e.Message += " after: " + c.last.Message
	}
	return nil, e
}
