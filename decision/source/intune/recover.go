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
type watched map[string]watch

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
	(*w)[id] = lists
}

func (w watched) prune(f *fleet) {
	for id := range w {
		if _, ok := f.get(decision.Key{Kind: decision.KindIntune, Value: id}); !ok {
			delete(w, id)
		}
	}
}

// recovered asks for records that were bad and that the lists of bad news, which are in
// p.listed, do not have any more. Only a list that is complete tells that by leaving a
// record out. Until a device is asked for, what was known of it stays, also when that
// fails: the next poll asks again.
func (s *Source) recovered(ctx context.Context, p *pass, complete watch) error {
	s.mu.Lock()
	var missing []decision.Key
	for id, lists := range s.watched { // in no order, so that everybody's turn comes
		own := decision.Key{Kind: decision.KindIntune, Value: id}
		if lists&complete != 0 && s.during[own] == nil && !p.listed[own] && len(missing) < maxRecovered {
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
			if kindOf(a.Err) == msgraph.KindNotFound {
				s.fullDue = true // only a complete listing removes it
			} else if first == nil {
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
		s.assess(&v, p.now)
		if s.fleet.put(v) {
			s.dirty = true
			p.changed++
		}
	}
	return first
}
