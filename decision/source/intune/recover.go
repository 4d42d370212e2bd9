package intune

import (
	"context"
	"errors"
	"fmt"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// maxRecovered bounds the devices that one poll asks for because a list of bad news
// does not have them any more: one $batch.
const maxRecovered = 20

// watch is a set of the lists of bad news that every poll reads.
type watch uint8

const (
	watchStop       watch = 1 << iota // about to be wiped or retired
	watchCompliance                   // noncompliant
)

// watched are the Intune ids of the records whose last word was one that every poll
// lists, and the lists that they must be in. What is good again without a check-in,
// because a threat defence partner has better news or an administrator cancelled a
// wipe, is in no list of changes: it is only missing from these.
type watched map[string]watching

// watching is what is known of a watched record.
type watching struct {
	lists  watch
	absent absence
}

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
	if outdated {
		return
	}
	var lists watch
	if v.Lifecycle == decision.LifecycleWiping || v.Lifecycle == decision.LifecycleRetiring {
		lists |= watchStop
	}
	if v.Compliance == decision.NonCompliant {
		lists |= watchCompliance
	}
	id := v.Keys[0].Value
	if lists == 0 {
		delete(*w, id)
		return
	}
	if *w == nil {
		*w = watched{}
	}
	x := (*w)[id] // complete listings may go on about what is not found
	x.lists = lists
	(*w)[id] = x
}

// seen notes that the service has a record: a list of bad news does, or it was found by
// its id.
func (w watched) seen(id string) {
	if x, ok := w[id]; ok {
		x.absent = present
		w[id] = x
	}
}

// missing notes that a record was not found by its id, and reports whether that is news.
// Only a complete listing removes a record, and one is enough to see what it says. Of a
// record that is not watched it is always news.
func (w watched) missing(id string) (news bool) {
	x, ok := w[id]
	if !ok {
		return true
	}
	news = x.absent == present
	x.absent = notFound
	w[id] = x
	return news
}

// prune follows a complete listing. due says that nothing but the time asked for it.
func (w watched) prune(f *fleet, due bool) {
	for id, x := range w {
		if _, ok := f.get(decision.Key{Kind: decision.KindIntune, Value: id}); !ok {
			delete(w, id)
		} else if due && x.absent == notFound {
			x.absent = stillGone
			w[id] = x
		}
	}
}

// recovered asks for records that were bad and that the lists of bad news, which are in
// p.listed, do not have any more. Only a list that is complete tells that by leaving a
// record out. Until a device is asked for, what was known of it stays, also when that
// fails: the next poll asks again, but for one that was not found only after the next
// complete listing that is due.
func (s *Source) recovered(ctx context.Context, p *pass, complete watch) error {
	s.mu.Lock()
	var missing []decision.Key
	for id, x := range s.watched { // in no order, so that everybody's turn comes
		own := decision.Key{Kind: decision.KindIntune, Value: id}
		switch {
		case p.listed[own]:
			s.watched.seen(id)
		case x.lists&complete != 0 && x.absent != notFound && s.during[own] == nil && len(missing) < maxRecovered:
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
	if err == nil {
		err = s.takeRecovered(p, missing, answers)
	}
	const what = "devices that are no longer listed as bad"
	if err != nil {
		s.refused(what, err)
	} else {
		s.once(what, nil)
	}
	return nil
}

// takeRecovered reads the answers about devices. The error is the first one of those
// that Intune did not tell about.
func (s *Source) takeRecovered(p *pass, missing []decision.Key, answers []msgraph.BatchAnswer) (first error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, a := range answers {
		own := missing[i]
		if a.Err != nil {
			switch {
			case kindOf(a.Err) == msgraph.KindNotFound:
				s.fullDue = s.watched.missing(own.Value) || s.fullDue // only a complete listing removes it
			case first == nil:
				first = a.Err
			}
			continue
		}
		v, err := p.decode(a.Body)
		if err == nil && v.Keys[0] != own {
			err = errors.New("record is about another device")
		}
		if err != nil {
			p.refuse(fmt.Sprintf("device %d of those that are no longer listed as bad", i+1), err)
			continue
		}
		if s.during[own] != nil { // a look-up was faster, and is newer
			continue
		}
		s.watched.seen(own.Value)
		s.assess(&v, p.now)
		if s.fleet.put(v) {
			s.dirty = true
			p.changed++
		}
	}
	return first
}
