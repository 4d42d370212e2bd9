package intune

import (
	"context"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// maxRecovered bounds the devices that one poll asks for because a list of bad news
// does not have them any more: one $batch.
const maxRecovered = 20

// watched are the Intune ids of the records whose last word was one that every poll
// lists: noncompliant, or about to be wiped or retired. What is good again without a
// check-in, because a threat defence partner has better news or an administrator
// cancelled a wipe, is in no list of changes: it is only missing from these.
type watched map[string]absence

// absence says of a watched record whether the service has it. Complete listings may go
// on about one that no filtered list has and that nobody finds by its id: they must not
// follow one another because of it.
type absence uint8

const (
	present   absence = iota // as far as is known
	notFound                 // by its id, since the last complete listing that was due
	stillGone                // the same before that; it may be asked for again
)

// note takes in what a record says. An outdated one says nothing.
func (w *watched) note(v *decision.Verdict, outdated bool) {
	id := v.Keys[0].Value
	switch {
	case outdated:
	case v.Compliance == decision.NonCompliant, v.Lifecycle == decision.LifecycleWiping, v.Lifecycle == decision.LifecycleRetiring:
		if *w == nil {
			*w = watched{}
		}
		if _, ok := (*w)[id]; !ok { // complete listings say that, too, of what is not found
			(*w)[id] = present
		}
	default:
		delete(*w, id)
	}
}

// seen notes that the service has a record: a list of bad news does, or it was found by
// its id.
func (w watched) seen(id string) {
	if _, ok := w[id]; ok {
		w[id] = present
	}
}

// missing notes that a record was not found by its id, and reports whether that is news.
// Only a complete listing removes a record, and one is enough to see what it says. Of a
// record that is not watched it is always news.
func (w watched) missing(id string) (news bool) {
	was, ok := w[id]
	if !ok {
		return true
	}
	w[id] = notFound
	return was == present
}

// prune follows a complete listing. due says that nothing but the time asked for it.
func (w watched) prune(f *fleet, due bool) {
	for id, absent := range w {
		if _, ok := f.get(decision.Key{Kind: decision.KindIntune, Value: id}); !ok {
			delete(w, id)
		} else if due && absent == notFound {
			w[id] = stillGone
		}
	}
}

// recovered asks for records that were bad and that the lists of bad news, which are in
// p.listed, do not have any more. Until a device is asked for, what was known of it
// stays, also when that fails: the next poll asks again, but for one that was not found
// only after the next complete listing that is due.
func (s *Source) recovered(ctx context.Context, p *pass) error {
	s.mu.Lock()
	var missing []decision.Key
	for id, absent := range s.watched { // in no order, so that everybody's turn comes
		own := decision.Key{Kind: decision.KindIntune, Value: id}
		switch {
		case p.listed[own]:
			s.watched.seen(id)
		case s.during[own] == nil && absent != notFound && len(missing) < maxRecovered:
			missing = append(missing, own)
		}
	}
	s.mu.Unlock()
	if len(missing) == 0 {
		return nil
	}
	calls := make([]msgraph.Request, len(missing))
	for i, own := range missing {
		calls[i] = singleRequest(own.Value, "Low")
	}
	answers, err := s.o.Client.Batch(ctx, calls)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		s.refused("devices that are no longer listed as bad", err)
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, a := range answers {
		own := missing[i]
		if a.Err != nil {
			if kindOf(a.Err) == msgraph.KindNotFound && s.watched.missing(own.Value) {
				s.fullDue = true
			}
			continue
		}
		v, err := p.decode(a.Body)
		if err != nil || v.Keys[0] != own || s.during[own] != nil {
			continue
		}
		s.watched.seen(own.Value)
		s.assess(&v, p.now)
		if s.fleet.put(v) {
			s.dirty = true
			p.changed++
		}
	}
	return nil
}
