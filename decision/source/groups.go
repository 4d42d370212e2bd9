package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// The bounds of what is remembered about the groups of users.
const (
	// MaxGroups is how many groups a source is asked about for each user.
	MaxGroups = 100
	// maxGroupUsers is how many users are remembered. Each costs the service one
	// call per poll; a user beyond them stays undecided.
	maxGroupUsers = 10_000
	// groupsIdle is how long a user who asks for nothing is kept up to date; it
	// may be twice as long.
	groupsIdle = 15 * time.Minute
)

// ErrUnknownUser says that the source is healthy and has no such user. A
// [GroupLooker] wraps it.
var ErrUnknownUser = errors.New("unknown user")

// GroupLooker is a Source that can tell which groups a user is in. It is asked for
// users whose token has too many groups to list (Entra ID: more than 200).
type GroupLooker interface {
	Source
	// GroupTenant is the id of the tenant whose users can be asked about, a GUID
	// in lower case; "" if the source was not set up for it. It never changes.
	GroupTenant() string
	// MemberGroups answers for every user, in order, which of groups the user is
	// in, also by way of another group. Both are object ids in lower case, of at
	// most [GroupBatch] users and [MaxGroups] groups. An error means that nothing
	// is known about any of them; [*ThrottledError] that the source asks us to
	// wait. urgent: a request waits. It returns when ctx ends.
	MemberGroups(ctx context.Context, users, groups []string, urgent bool) ([]GroupAnswer, error)
}

// GroupBatch is the most users that one call of [GroupLooker].MemberGroups is about.
const GroupBatch = 20

// GroupAnswer is what a source says about the groups of one user.
type GroupAnswer struct {
	Groups []string
	// Err wraps [ErrUnknownUser] only if the source is healthy and has no such user.
	Err error
}

// groupKeeper remembers, for a [Runner], which groups users are in that no token
// lists, and keeps that fresh.
type groupKeeper struct {
	r      *Runner
	looker GroupLooker
	tenant string
	// state is the health of the rounds of loop. A single look-up that fails says
	// nothing about what is known of others.
	state *decision.SourceState
	wake  chan struct{}

	mu       sync.Mutex // guards what follows; taken before Runner.mu, never after
	lists    []*[]string
	wanted   []string // the union of lists
	users    map[string]*groupUser
	failures int // rounds in a row
	lastErr  error
	last     time.Time // when the last good round began
	epoch    time.Time // when users were last looked through for idle ones
	full     bool      // has been told
}

// groupUser is what is known of one user.
type groupUser struct {
	known  *decision.Membership // nil: never answered
	cause  decision.Cause       // why there is no answer to what is asked now
	retry  time.Time            // no request asks before
	asked  time.Time            // of the last attempt
	used   bool                 // by a posture, in this epoch
	flight *flight
}

func newGroupKeeper(r *Runner) *groupKeeper {
	l, ok := r.src.(GroupLooker)
	if !ok || l.GroupTenant() == "" {
		return nil
	}
	return &groupKeeper{
		r: r, looker: l, tenant: l.GroupTenant(), wake: make(chan struct{}, 1), users: map[string]*groupUser{},
		state: &decision.SourceState{Name: r.o.Name, Index: r.o.Index}, epoch: time.Now(),
	}
}

// LooksUpGroups reports whether the source can be asked about the groups of users.
func (r *Runner) LooksUpGroups() bool { return r.groups != nil }

// WantGroups says which groups matter, by object id, until release is called: what
// the policies of one configuration name. Others are never asked about. It fails
// for more than [MaxGroups]; on a source that cannot be asked it does nothing.
func (r *Runner) WantGroups(ids []string) (release func(), err error) {
	g := r.groups
	if g == nil {
		return func() {}, nil
	}
	if len(ids) > MaxGroups {
		return nil, fmt.Errorf("source %s: policies name %d groups; the groups of users with too many for a token are looked up for at most %d", r.o.Name, len(ids), MaxGroups)
	}
	list := slices.Clone(ids)
	g.mu.Lock()
	g.lists = append(g.lists, &list)
	g.collect()
	g.mu.Unlock()
	r.bump()
	g.hurry()
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.lists = slices.DeleteFunc(g.lists, func(l *[]string) bool { return l == &list })
		g.collect()
	}, nil
}

// collect joins the lists. During a reload two configurations serve side by side;
// where both together name too many groups the newer one counts.
func (g *groupKeeper) collect() {
	g.wanted = nil
	for _, list := range slices.Backward(g.lists) {
		for _, id := range *list {
			if len(g.wanted) < MaxGroups && !slices.Contains(g.wanted, id) {
				g.wanted = append(g.wanted, id)
			}
		}
	}
	slices.Sort(g.wanted)
}

// covers reports whether u is an answer to all that is wanted.
func (g *groupKeeper) covers(u *groupUser) bool {
	return u.known != nil && !slices.ContainsFunc(g.wanted, func(id string) bool { return !slices.Contains(u.known.Asked, id) })
}

// disabled reports whether the source lists the account as disabled or deleted:
// what it may do is then nobody's concern.
func (g *groupKeeper) disabled(objectID string) bool {
	u := g.r.user(objectID, "")
	return u != nil && u.Enabled == decision.No
}

// find returns what is in memory about a user. settled says that nothing is
// missing which asking could bring.
func (g *groupKeeper) find(objectID string) (m *decision.Membership, settled bool) {
	if g.disabled(objectID) {
		return &decision.Membership{State: g.state, Cause: decision.CauseNotReported}, true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.wanted) == 0 {
		return nil, true
	}
	u := g.users[objectID]
	if u == nil {
		return &decision.Membership{State: g.state, Cause: decision.CauseNotLoaded}, false
	}
	u.used = true
	if g.covers(u) {
		return u.known, true
	}
	m = &decision.Membership{State: g.state, Cause: u.cause}
	if m.Cause == decision.CauseNone {
		m.Cause = decision.CauseNotLoaded
	}
	if u.known != nil { // from before a policy named more groups
		m.Asked, m.Member = u.known.Asked, u.known.Member
		m.Renew(u.known.Confirmed())
	}
	return m, false
}

// lacks reports whether it is time to ask about a user for whom a request waits.
func (g *groupKeeper) lacks(objectID string) bool {
	if _, settled := g.find(objectID); settled {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.users[objectID]
	return u == nil || u.flight != nil || !time.Now().Before(u.retry)
}

// ask makes the one bounded look-up of a user of whom nothing is known, and waits
// for it. What came of it is in memory afterwards.
func (g *groupKeeper) ask(ctx context.Context, objectID string) {
	ctx, cancel := context.WithTimeout(ctx, g.r.o.LookupTimeout)
	defer cancel()
	f := g.launch(objectID)
	if f == nil {
		return
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		g.mu.Lock()
		defer g.mu.Unlock()
		if u := g.users[objectID]; u != nil && u.cause == decision.CauseNone {
			u.cause = decision.CauseLookupTimeout
		}
	}
}

// launch joins the look-up of a user that is under way, or starts one if the limits
// allow it.
func (g *groupKeeper) launch(objectID string) *flight {
	g.mu.Lock()
	defer g.mu.Unlock()
	u := g.users[objectID]
	switch {
	case u == nil && len(g.users) >= maxGroupUsers:
		if !g.full {
			g.full = true
			g.r.o.Logger.Error("too many users with too many groups for their token; further ones stay undecided", "source", g.r.o.Name, "users", maxGroupUsers)
		}
		return nil
	case u == nil:
		u = &groupUser{used: true}
		g.users[objectID] = u
	case u.flight != nil:
		return u.flight
	case g.covers(u) || time.Now().Before(u.retry):
		return nil
	}
	if err := g.r.admit(g.observe); err != nil {
		u.cause = causeOf(err)
		g.hurry()
		return nil
	}
	f := &flight{done: make(chan struct{})}
	wanted := g.wanted
	started := g.r.spawn(func() {
		_ = g.r.protect(func() error {
			ctx, cancel := context.WithTimeout(g.r.ctx, g.r.o.LookupTimeout)
			defer cancel()
			err := g.refresh(ctx, []string{objectID}, wanted, true)
			if err != nil && !errors.Is(err, ErrUnknownUser) {
				g.hurry()
			}
			return err
		})
		g.mu.Lock()
		u.flight = nil
		g.mu.Unlock()
		<-g.r.slots
		close(f.done)
	})
	if !started {
		<-g.r.slots
		return nil
	}
	u.flight = f
	return f
}

// hurry asks loop for what is missing.
func (g *groupKeeper) hurry() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}
