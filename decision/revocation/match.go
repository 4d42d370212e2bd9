package revocation

import (
	"crypto/sha256"
	"hash/maphash"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Match returns an entry in force against the device or the user of a request,
// or nil. Keys are all ids of the device's record: a revoked Intune id then
// also stops a request that shows the Entra id. The ids in the identity itself
// are looked up in any case. A device entry is preferred over a user entry.
//
// Match takes no lock and allocates nothing. A user's name longer than 256
// bytes is the exception: folding it allocates. The result is immutable.
func (l *List) Match(id *decision.Identity, keys []decision.Key, now time.Time) *decision.Revocation {
	x := &l.indexes
	if x.devices.len.Load() > 0 {
		if r := x.device(keys, now); r != nil {
			return r
		}
		if id != nil {
			if r := x.device(id.Device.Keys, now); r != nil {
				return r
			}
		}
	}
	if id != nil && x.users.len.Load() > 0 {
		u := &id.User
		if r := x.user(u.ID, now); r != nil {
			return r
		}
		if r := x.user(u.ObjectID, now); r != nil {
			return r
		}
		if r := x.user(u.Name, now); r != nil {
			return r
		}
		// Whoever revokes may know a person by any of these. Matching too much
		// only locks out.
		if r := x.user(u.Subject, now); r != nil {
			return r
		}
		return x.user(u.Email, now)
	}
	return nil
}

// MatchCertificate returns an entry in force against the certificate whose DER
// has this SHA-256, or nil. It takes no lock and allocates nothing.
func (l *List) MatchCertificate(thumbprint [sha256.Size]byte, now time.Time) *decision.Revocation {
	x := &l.indexes
	if x.certificates.len.Load() == 0 {
		return nil
	}
	return active(x.certificates.at(maphash.Bytes(x.seed, thumbprint[:]))[thumbprint], now)
}

// MatchSession returns an entry in force against the session with this id, or
// nil. It takes no lock and allocates nothing.
func (l *List) MatchSession(session string, now time.Time) *decision.Revocation {
	x := &l.indexes
	if session == "" || x.sessions.len.Load() == 0 {
		return nil
	}
	return active(x.sessions.at(maphash.String(x.seed, session))[session], now)
}

func (x *indexes) device(keys []decision.Key, now time.Time) *decision.Revocation {
	for _, k := range keys {
		if r := active(x.devices.at(maphash.Comparable(x.seed, k))[k], now); r != nil {
			return r
		}
	}
	return nil
}

func (x *indexes) user(name string, now time.Time) *decision.Revocation {
	if name == "" {
		return nil
	}
	var stack [256]byte
	folded := fold(stack[:0], name)
	return active(x.users.at(maphash.Bytes(x.seed, folded))[string(folded)], now)
}
