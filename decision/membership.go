package decision

import (
	"slices"
	"sync/atomic"
)

// Membership is what a source says about the groups of one user whose token has
// too many to list ([User].GroupsKnown is No). Only groups that policies name are
// asked about, by object id: a name is no proof, for it may be given to another
// group. It is shared by postures and immutable, except that Renew makes it young
// again without touching the postures that hold it. Safe for concurrent use.
type Membership struct {
	// State is the live health of these look-ups, which is not that of the
	// source's sweeps.
	State *SourceState
	// Asked are the groups that the source was asked about, Member those of them
	// that the user is in, also by way of another group. Lower case.
	Asked, Member []string
	// Cause is why groups that are not in Asked are unknown; CauseNone means that
	// nobody has asked about them yet.
	Cause Cause

	confirmed atomic.Int64
}

// Confirmed returns when the answer was asked for last, as [Mono]; 0 without one.
func (m *Membership) Confirmed() int64 { return m.confirmed.Load() }

// Renew records that the source said the same when asked at the given [Mono] time.
func (m *Membership) Renew(at int64) { m.confirmed.Store(at) }

// of answers for one group.
func (m *Membership) of(group string) Tri {
	same := func(id string) bool { return equalFoldASCII(id, group) }
	switch {
	case slices.ContainsFunc(m.Member, same):
		return Yes
	case slices.ContainsFunc(m.Asked, same):
		return No
	}
	return Unknown
}

// IsGroupID reports whether a group in a policy is named by its object id, so that
// a source can be asked about it, and returns it in lower case.
func IsGroupID(name string) (id string, ok bool) {
	k, ok := CanonicalKey(KindEntra, name)
	if len(name) != len(zeroGUID) { // braces and blanks: no token has it so either
		return "", false
	}
	return k.Value, ok
}

// inGroups answers whether the user is in one of the groups, from the membership
// alone, and how fresh that is. The caller judges a yes by it; a no sticks.
func (p *Posture) inGroups(names []string, now int64, a Ages) (Tri, Freshness) {
	m := p.Membership
	if m == nil {
		return Unknown, FreshnessNone
	}
	is := No
	for _, name := range names {
		one := m.of(name)
		if one == Yes {
			is = Yes
			break
		}
		if one == Unknown {
			is = Unknown
		}
	}
	at := m.Confirmed()
	if at == 0 {
		return Unknown, FreshnessNone
	}
	return is, p.freshness(&Evidence{State: m.State, Confirmed: at}, now, a)
}

// membership answers require group for a user whose token lists no groups because
// there are too many.
func (c *run) membership(r *Requirement) Tri {
	is, fresh := c.q.Posture.inGroups(r.Names, c.now, c.p.Ages)
	m := c.q.Posture.Membership
	switch {
	case is == Unknown:
		cause := CauseNotReported
		if m != nil && slices.ContainsFunc(r.Names, func(name string) bool {
			_, ok := IsGroupID(name)
			return ok && m.of(name) == Unknown
		}) {
			cause = m.Cause
			if cause == CauseNone {
				cause = CauseNotLoaded
			}
		}
		return c.groupsUnknown(cause)
	case is == Yes && fresh == Expired:
		c.d.Freshness = max(c.d.Freshness, fresh)
		if cause := m.State.Failing(); cause != CauseNone {
			return c.groupsUnknown(cause)
		}
		return c.groupsUnknown(CauseExpired)
	}
	c.d.Freshness = max(c.d.Freshness, fresh)
	if is == No {
		c.why.source = m.State.Name
	}
	return is
}

// groupsParam is the parameter of a finding about our own lack of facts, where
// these are a user's groups and not a device's.
const groupsParam = "groups"

func (c *run) groupsUnknown(cause Cause) Tri {
	c.why = answer{reason: GroupsUnknown, cause: cause}
	if m := c.q.Posture.Membership; cause.Ours() && m != nil {
		c.why.reason, c.why.param, c.why.source = cause.reason(), groupsParam, m.State.Name
	}
	return Unknown
}
