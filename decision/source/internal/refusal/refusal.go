// Package refusal remembers a credential that a server refused. A directory locks an
// account after some of those, so a gateway must not send it with every request.
//
// The package imports nothing of this module.
package refusal

import (
	"sync"
	"time"
)

// The pauses between two attempts with the same credential: the first one, twice as
// long each time, and the longest.
const (
	FirstPause   = 30 * time.Second
	LongestPause = 15 * time.Minute
)

// Memory remembers the last refused credential. The zero value is ready to use. It is
// safe for concurrent use.
type Memory struct {
	mu         sync.Mutex
	credential string
	until      time.Time
	pause      time.Duration
}

// Wait returns how long a credential must not be sent; 0 or less: it may be. Another
// one than the last refused may be sent at once.
func (m *Memory) Wait(credential string) time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if credential == "" || credential != m.credential {
		return 0
	}
	return time.Until(m.until)
}

// Note says that a server refused a credential. Requests that were under way together
// are refused together: that is one refusal.
func (m *Memory) Note(credential string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := time.Now()
	switch {
	case credential != m.credential, now.Sub(m.until) > LongestPause:
		m.pause = FirstPause
	case now.Before(m.until):
		return
	default:
		m.pause = min(2*m.pause, LongestPause)
	}
	m.credential, m.until = credential, now.Add(m.pause)
}
