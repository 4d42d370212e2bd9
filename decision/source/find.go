package source

import (
	"time"

	"github.com/gatehouse-project/gatehouse/cache"
	"github.com/gatehouse-project/gatehouse/decision"
)

// Match is what one source has in memory about a device.
type Match struct {
	// Verdict is nil if nothing is known.
	Verdict *decision.Verdict
	// Ambiguous is true if the ids belong to different devices, or one of them
	// to several.
	Ambiguous bool
	// Answered is true if the source has said whether it has the device: it
	// listed everything it has, or was asked for this one not long ago.
	Answered bool
	// Unconfirmed is true if a listing does not have the device and the source
	// was not asked for it since (RunnerOptions.AskUnknown).
	Unconfirmed bool
	// GoneSince is when the source ceased to list the device; Verdict is then what is
	// left of what it said ([Tombstoner]). Zero for a device that it has.
	GoneSince time.Time
}

// Find returns what is in memory about the device with these ids. It never
// blocks. Ids that find nothing are no contradiction here: another source may
// know them (see [Directory]).
func (r *Runner) Find(keys []decision.Key) Match { return r.findAll(keys, inUse) }

// reader is on whose behalf records are read. Only a request is a reason to have the
// source renew what it said: whoever counts or explains must not spend the look-ups
// that new devices need.
type reader int

const (
	inUse   reader = iota // a request, or an operator's order
	looksOn               // nobody waits and nothing is renewed
)

func (r *Runner) findAll(keys []decision.Key, why reader) Match {
	m := Match{Answered: len(keys) > 0}
	var gone *tombstone
	for _, k := range keys {
		one := r.find(k, why)
		m.Answered = m.Answered && one.Answered
		m.Ambiguous = m.Ambiguous || one.Ambiguous
		m.Unconfirmed = m.Unconfirmed || one.Unconfirmed
		switch {
		case one.Verdict == nil:
		case !one.GoneSince.IsZero():
			if left := (&tombstone{verdict: *one.Verdict, gone: one.GoneSince}); gone == nil {
				gone = left
			} else if gone.verdict.Keys[0] != left.verdict.Keys[0] {
				gone.join(left)
			}
		case m.Verdict == nil:
			m.Verdict = one.Verdict
		case m.Verdict.Keys[0] != one.Verdict.Keys[0]:
			m.Ambiguous = true
		}
	}
	switch {
	case m.Verdict != nil: // a record that there is counts, and none that was
		m.Answered, m.Unconfirmed = true, false
	case gone != nil:
		m.Verdict, m.GoneSince, m.Answered = &gone.verdict, gone.gone, true
	}
	return m
}

// find looks for one id: first among single look-ups newer than the last sweep,
// then in the table.
func (r *Runner) find(key decision.Key, why reader) Match {
	if !r.knows(key.Kind) {
		return Match{Answered: true}
	}
	// In this order: a listing that takes the place of a look-up is there before that goes.
	entry, result := r.looked.Get(key)
	v := r.view.Load()
	if v == nil {
		if result == cache.Hit {
			if why == inUse {
				r.renewSoon(key, entry)
			}
			return Match{Verdict: &entry.verdict, Answered: true}
		}
		return Match{Answered: result == cache.Negative}
	}
	row, ok, ambiguous := v.table.find(key)
	if ok && result != cache.Hit { // the device may have been asked for by another of its ids
		if e, r := r.looked.Get(v.table.ownKey(int(row))); r == cache.Hit {
			entry, result = e, r
		}
	}
	if result == cache.Hit && entry.verdict.Confirmed > v.since {
		return v.newer(row, ok, ambiguous, key, &entry.verdict)
	}
	if !ok || ambiguous {
		ask := r.o.AskUnknown && r.Asks(key) && !ambiguous && result != cache.Negative
		if !ok && v.table.gone != nil {
			if left, found := v.table.tombstone(key, time.Now()); found {
				// It is no observation of the device: when that was heard of counts inside only.
				left.verdict.LastCheckIn, left.verdict.EvaluatedAt = time.Time{}, time.Time{}
				return Match{Verdict: &left.verdict, Answered: true, Unconfirmed: ask, GoneSince: left.gone}
			}
		}
		return Match{Ambiguous: ambiguous, Answered: true, Unconfirmed: ask}
	}
	verdict := v.table.Verdict(int(row))
	if r.replaced(&verdict, v.since) {
		return Match{Answered: true, Unconfirmed: r.o.AskUnknown && r.Asks(key) && result != cache.Negative}
	}
	return Match{Verdict: &verdict, Answered: true}
}

// replaced reports whether a look-up since the last listing found an id of a listed
// record in another record: the device was enrolled again, and the source is asked
// whether it still has the old record. A serial number is no such id.
func (r *Runner) replaced(listed *decision.Verdict, since int64) bool {
	for _, k := range listed.Keys[1:] {
		if k.Kind == decision.KindSerial {
			continue
		}
		if e, ok := r.cached(k); ok && e.verdict.Confirmed > since && e.verdict.Keys[0] != listed.Keys[0] {
			return true
		}
	}
	return false
}

// newer joins a single look-up with the listing before it. An id that the listing
// has for several devices stays ambiguous, and so does a serial number that it has
// for another one. Of a row that a guard holds only bad news is taken: nobody
// lifts a guard by asking.
func (v *view) newer(row uint32, ok, ambiguous bool, key decision.Key, looked *decision.Verdict) Match {
	if !ok {
		return Match{Verdict: looked, Answered: true}
	}
	if ambiguous || key.Kind == decision.KindSerial && v.table.ownKey(int(row)) != looked.Keys[0] {
		return Match{Ambiguous: true, Answered: true}
	}
	if !v.table.Held(int(row)) {
		return Match{Verdict: looked, Answered: true}
	}
	held := v.table.Verdict(int(row))
	worsen(&held.Device, &looked.Device)
	stop(&held.Device, &looked.Device)
	doubt(&held.Device, &looked.Device)
	return Match{Verdict: &held, Answered: true}
}

func (r *Runner) cached(key decision.Key) (*looked, bool) {
	entry, result := r.looked.Get(key)
	return entry, result == cache.Hit
}

// renewSoon asks for a verdict again, in the background, once it would be older than
// the poll interval at the next look. A source that lists its devices renews by its
// sweeps.
func (r *Runner) renewSoon(key decision.Key, entry *looked) {
	if r.syncer != nil || decision.Mono(time.Now())-entry.verdict.Confirmed < int64(r.o.Poll-r.lookGap()) {
		return
	}
	_, _ = r.launch(key) // if the limits forbid it now, the next request asks again
}

// user finds a user in the table.
func (r *Runner) user(objectID, upn string) *decision.UserRecord {
	v := r.view.Load()
	if v == nil {
		return nil
	}
	if u, ok := v.table.User(objectID, upn); ok {
		return &u
	}
	return nil
}

// outdated returns the ids of single verdicts that a sweep begun at since replaces.
func (r *Runner) outdated(since int64) (old []decision.Key) {
	if r.syncer == nil {
		return nil
	}
	r.looked.Range(func(k decision.Key, e *looked) bool {
		if e.verdict.Confirmed <= since {
			old = append(old, k)
		}
		return true
	})
	return old
}

// Table returns the present table, or nil if nothing was read yet. It is
// immutable; a later sweep brings another.
func (r *Runner) Table() *Table {
	if v := r.view.Load(); v != nil {
		return v.table
	}
	return nil
}
