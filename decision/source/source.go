package source

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// ErrUnknownDevice says that the source is healthy and has no such device.
// Sources wrap it; test with [errors.Is].
var ErrUnknownDevice = errors.New("unknown device")

// ErrUnchanged says that nothing is new since the last good Sync. It confirms
// everything that the source said before.
var ErrUnchanged = errors.New("unchanged")

// ThrottledError says that the source asked us to wait. Test with [errors.As].
type ThrottledError struct {
	// RetryAfter is how long to wait; 0 if the source did not say.
	RetryAfter time.Duration
}

// Error implements error.
func (e *ThrottledError) Error() string {
	if e.RetryAfter <= 0 {
		return "throttled"
	}
	return fmt.Sprintf("throttled for %s", e.RetryAfter)
}

// Source is one policy information point. It is a [Syncer], a [Looker] or both:
// a source that is neither never knows anything, and decisions that need it stay
// undecided. Implementations are safe for concurrent use.
type Source interface {
	// Facts returns what the source can report. It may be narrowed by the
	// last Sync (see [Sweep.SetFacts]).
	Facts() decision.FactSet
}

// Looker is a Source that can be asked for one device. Requests about a device
// that is not in memory wait for that, so a source where it takes longer than
// [RunnerOptions].LookupTimeout, such as a large file, is better a Syncer alone.
type Looker interface {
	Source
	// Lookup asks for one device. The error wraps [ErrUnknownDevice] only when
	// the source is healthy and has no such device, and [*ThrottledError] when
	// the source asks us to wait. Lookup returns when ctx ends. Of a source that
	// is a Syncer too it may answer from the last sweep.
	Lookup(ctx context.Context, key decision.Key) (decision.Verdict, error)
}

// Syncer is a Source that can list everything it knows.
type Syncer interface {
	Source
	// Sync emits every device and user that the source knows. [ErrUnchanged]
	// means that nothing is new since the last good Sync; a call of
	// [Sweep.SetConfirmed] still counts then. Any other error discards the
	// sweep. Sync is never called twice at the same time.
	Sync(ctx context.Context, sweep *Sweep) error
}

// Follower is a Syncer that has more to ask about devices than a listing says, such
// as why one is noncompliant. That must not hold the listing's verdicts back.
type Follower interface {
	Syncer
	// FollowUp is called after a Sync that was taken, for half a poll at most, and
	// may overlap with the next Sync. It returns true if the next Sync has news
	// from it; that Sync then comes at once, but only once between two polls.
	FollowUp(ctx context.Context) (news bool)
}

// Tombstoner is a [Syncer] for which the end of a record is no pardon: a device that
// was being wiped is not healthy because its record is gone.
type Tombstoner interface {
	Syncer
	// Tombstone is asked about a device that a complete sweep no longer has. It
	// leaves in v what still counts, which may be more than v said, and returns for
	// how long; 0 or less forgets the device. The ids in v that it leaves are the
	// ones by which the device is still found. A record with one of them ends it, but
	// not one that was last heard of (LastCheckIn, EvaluatedAt) before this one. It is
	// quick, makes no call, and is never called while Sync runs.
	Tombstone(v *decision.Verdict) (keep time.Duration)
}

// KindLimited is a Source that knows devices by some kinds of id only. It is never
// asked for others, and their absence there says nothing about a device.
type KindLimited interface {
	Source
	// Kinds returns these kinds, such as decision.KindIntune. It never changes.
	Kinds() []string
}

// CertificatePinner is a Source that may know which certificate a device has.
type CertificatePinner interface {
	Source
	// PinsCertificates reports whether verdicts have ids of kind
	// [decision.KindPinnedCertificate]. It never changes.
	PinsCertificates() bool
}

// Watcher is a Source that notices changes itself.
type Watcher interface {
	// Watch blocks until ctx ends and calls changed when a Sync is worthwhile.
	// changed never blocks and may be called from any goroutine. An error
	// before ctx ends means that watching broke; the caller tries again.
	Watch(ctx context.Context, changed func()) error
}
