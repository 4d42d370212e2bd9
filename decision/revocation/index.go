package revocation

import (
	"hash/maphash"
	"sync/atomic"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// record is an entry in memory. All but releasing is immutable, and what
// readers return is a pointer into it.
type record struct {
	entry      Entry
	subject    subject
	revocation decision.Revocation

	// releasing is true while a release is on its way to the disk. Guarded by
	// List.mu.
	releasing bool
}

// newRecord wraps a normalized entry.
func newRecord(e Entry) *record {
	return &record{
		entry:      e,
		subject:    e.subject(),
		revocation: decision.Revocation{ID: e.ID, Subject: e.Kind, Reason: e.Reason, Since: e.Since, Until: e.Until},
	}
}

func (r *record) slot() slot { return slot{r.subject, r.entry.Owner} }

// shardCount is what keeps a write cheap in a list of a million: it copies one
// shard, about a thousand records.
const shardCount = 1024

// index finds records by one kind of subject. Reading is lock-free; a write
// copies the shard that it changes and needs the list's lock.
type index[K comparable] struct {
	len    atomic.Int64
	shards [shardCount]atomic.Pointer[map[K][]*record]
}

// at returns the shard for a hash: nil if it is empty.
func (x *index[K]) at(hash uint64) map[K][]*record {
	if m := x.shards[hash%shardCount].Load(); m != nil {
		return *m
	}
	return nil
}

// replace swaps old for next under k. Either may be nil.
func (x *index[K]) replace(hash uint64, k K, old, next *record) {
	before := x.at(hash)
	after := make(map[K][]*record, len(before)+1)
	for key, rs := range before {
		after[key] = rs
	}
	rs := make([]*record, 0, len(before[k])+1)
	for _, r := range before[k] {
		if r != old {
			rs = append(rs, r)
		}
	}
	if next != nil {
		rs = append(rs, next)
	}
	if len(rs) == 0 {
		delete(after, k)
	} else {
		after[k] = rs
	}
	x.shards[hash%shardCount].Store(&after)
	x.len.Add(int64(len(rs) - len(before[k])))
}

// insert adds in place. Only for an index that nobody reads yet.
func (x *index[K]) insert(hash uint64, k K, r *record) {
	p := &x.shards[hash%shardCount]
	if p.Load() == nil {
		m := make(map[K][]*record)
		p.Store(&m)
	}
	m := *p.Load()
	m[k] = append(m[k], r)
	x.len.Add(1)
}

// active returns the first record that is in force.
func active(rs []*record, now time.Time) *decision.Revocation {
	for _, r := range rs {
		if r.entry.Active(now) {
			return &r.revocation
		}
	}
	return nil
}

// indexes are the four ways to find a record.
type indexes struct {
	seed         maphash.Seed
	devices      index[decision.Key]
	users        index[string] // folded
	certificates index[[32]byte]
	sessions     index[string]
}

func (x *indexes) replace(s *subject, old, next *record) {
	switch s.kind {
	case KindDevice:
		x.devices.replace(maphash.Comparable(x.seed, s.device), s.device, old, next)
	case KindUser:
		x.users.replace(maphash.String(x.seed, s.text), s.text, old, next)
	case KindCertificate:
		x.certificates.replace(maphash.Bytes(x.seed, s.thumbprint[:]), s.thumbprint, old, next)
	case KindSession:
		x.sessions.replace(maphash.String(x.seed, s.text), s.text, old, next)
	}
}

func (x *indexes) insert(r *record) {
	switch s := &r.subject; s.kind {
	case KindDevice:
		x.devices.insert(maphash.Comparable(x.seed, s.device), s.device, r)
	case KindUser:
		x.users.insert(maphash.String(x.seed, s.text), s.text, r)
	case KindCertificate:
		x.certificates.insert(maphash.Bytes(x.seed, s.thumbprint[:]), s.thumbprint, r)
	case KindSession:
		x.sessions.insert(maphash.String(x.seed, s.text), s.text, r)
	}
}
