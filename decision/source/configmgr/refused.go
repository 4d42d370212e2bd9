package configmgr

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// sparing does not send a credential with every request that the server has refused:
// a directory locks an account after some of those. It is tried again after a pause,
// and at once when it is another one, as after its file was changed.
type sparing struct {
	authorizer

	mu      sync.Mutex
	sent    string // the last header
	refused string
	wait    time.Time // not before
	pause   time.Duration
}

// refusedError says that a credential was not sent.
type refusedError struct{ wait time.Duration }

// Error implements error.
func (e *refusedError) Error() string {
	return fmt.Sprintf("the server does not accept the credential, which is tried again in %s, or at once when it is changed",
		e.wait.Round(time.Second))
}

func (s *sparing) header(ctx context.Context) (string, error) {
	h, err := s.authorizer.header(ctx)
	if err != nil {
		return "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if wait := time.Until(s.wait); h == s.refused && wait > 0 {
		return "", &refusedError{wait}
	}
	s.sent = h
	return h, nil
}

// again implements authorizer. Requests that were under way together are refused
// together: that is one refusal.
func (s *sparing) again() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	switch {
	case s.sent != s.refused || now.Sub(s.wait) > longestPause:
		s.pause = firstPause
	case now.Before(s.wait):
		return false
	default:
		s.pause = min(2*s.pause, longestPause)
	}
	s.refused, s.wait = s.sent, now.Add(s.pause)
	return false
}
