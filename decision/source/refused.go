package source

import (
	"errors"
	"sync"
	"time"
)

// ErrNotAccepted says that a service does not accept the credential of the source: it
// is wrong, expired or revoked. Sources wrap it; test with [errors.Is].
var ErrNotAccepted = errors.New("credential not accepted")

// Denial is why a service lets a source not read: a closed set, fit for a metric
// label.
type Denial string

// The reasons.
const (
	denialNone       Denial = ""
	DenialCredential Denial = "credential" // not accepted: wrong, expired or revoked
	DenialPermission Denial = "permission" // accepted, but may not do that
)

// Denials lists the reasons, for metrics that start at 0.
var Denials = []Denial{DenialCredential, DenialPermission}

func denialOf(err error) Denial {
	switch {
	case errors.Is(err, ErrNotAccepted):
		return DenialCredential
	case errors.Is(err, ErrNotPermitted):
		return DenialPermission
	}
	return denialNone
}

// denied reports it if a service let us not read.
func (r *Runner) denied(err error) {
	if why := denialOf(err); why != denialNone && r.o.Observer.Denied != nil {
		r.o.Observer.Denied(r.o.Name, why)
	}
}

// The pauses between two attempts with a credential that a service refused: the first
// one, twice as long each time, and the longest.
const (
	FirstRefusalPause   = 30 * time.Second
	LongestRefusalPause = 15 * time.Minute
)

// Refusal remembers the credential that a service refused last: a directory locks an
// account after some of those, so a Source must not send it with every request. The
// zero value is ready to use. It is safe for concurrent use.
type Refusal struct {
	mu         sync.Mutex
	credential string
	until      time.Time
	pause      time.Duration
}

// Wait returns how long a credential must not be sent; 0 or less: it may be. Another
// one than the last refused may be sent at once.
func (r *Refusal) Wait(credential string) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	if credential == "" || credential != r.credential {
		return 0
	}
	return time.Until(r.until)
}

// Note says that a server refused a credential. Requests that were under way together
// are refused together: that is one refusal.
func (r *Refusal) Note(credential string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	switch {
	case credential != r.credential, now.Sub(r.until) > LongestRefusalPause:
		r.pause = FirstRefusalPause
	case now.Before(r.until):
		return
	default:
		r.pause = min(2*r.pause, LongestRefusalPause)
	}
	r.credential, r.until = credential, now.Add(r.pause)
}
