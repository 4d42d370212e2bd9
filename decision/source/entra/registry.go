package entra

import (
	"bytes"
	"fmt"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// Bounds of what is remembered. The runner's own capacity is smaller; these keep
// a service that never stops from taking all memory.
const (
	maxObjects = 4 * source.DefaultCapacity
	maxTwins   = 10_000
)

// registry remembers the device objects. A deviceId belongs to one object: if
// several carry it, the one registered last counts and the others wait aside
// until it is gone. The zero value is empty.
type registry struct {
	unnamed bool // managed devices without mdmAppId are a partner's
	listing source.Listing
	holders map[guid]holder   // by deviceId
	twins   map[guid]device   // by object id: objects whose deviceId a newer one has
	ends    map[guid]deadline // by object id: until when isCompliant counts
	// apps are the objects that name a management system, where the channel alone
	// does not tell: only if unnamed.
	apps map[guid]mdmApp
}

// holder is the object that has a deviceId.
type holder struct {
	object     guid
	registered int64
}

type deadline struct {
	at   int64
	over bool // has been applied
}

func newRegistry(unnamed bool) registry {
	return registry{unnamed: unnamed, holders: map[guid]holder{}, twins: map[guid]device{}, ends: map[guid]deadline{}, apps: map[guid]mdmApp{}}
}

// get returns what is known of an object.
func (r *registry) get(own guid) (d device, ok bool) {
	if d, ok = r.twins[own]; ok {
		return d, true
	}
	d.Verdict, ok = r.listing.Get(own.key())
	if !ok {
		return d, false
	}
	d.expires = r.ends[own].at
	d.app = r.apps[own]
	if !r.unnamed && d.Channel == decision.ChannelPartnerMDM {
		d.app = mdmPartner
	}
	if id, has := d.id(); has {
		d.registered = r.holders[id].registered
	}
	return d, true
}

// put adds an object or replaces it.
func (r *registry) put(own guid, d device) error {
	id, has := d.id()
	if old, ok := r.get(own); ok {
		if before, had := old.id(); had && (!has || before != id) {
			if err := r.remove(own); err != nil {
				return err
			}
		}
	}
	if r.listing.Len()+len(r.twins) >= maxObjects {
		return fmt.Errorf("more than %d device objects", maxObjects)
	}
	delete(r.apps, own)
	if r.unnamed && d.app != mdmNone {
		r.apps[own] = d.app
	}
	delete(r.ends, own)
	if d.expires != 0 {
		r.ends[own] = deadline{d.expires, d.Compliance == decision.ComplianceNotEvaluated}
	}
	if !has {
		return r.listing.Put(d.Verdict)
	}
	mine := holder{own, d.registered}
	h, taken := r.holders[id]
	switch {
	case !taken || h.object == own:
	case mine.newerThan(h):
		old, _ := r.get(h.object)
		r.listing.Remove(h.object.key())
		if err := r.aside(h.object, old); err != nil {
			return err
		}
	default:
		return r.aside(own, d)
	}
	delete(r.twins, own)
	r.holders[id] = mine
	return r.listing.Put(d.Verdict)
}

func (r *registry) aside(own guid, d device) error {
	if _, ok := r.twins[own]; !ok && len(r.twins) == maxTwins {
		return fmt.Errorf("more than %d device objects share their deviceId with another", maxTwins)
	}
	r.twins[own] = d
	return nil
}

// newerThan orders objects of one deviceId. Equal dates are decided by the ids,
// so that the order of the rows never matters.
func (h holder) newerThan(o holder) bool {
	if h.registered != o.registered {
		return h.registered > o.registered
	}
	return bytes.Compare(h.object[:], o.object[:]) > 0
}

// remove forgets an object. The next one with its deviceId takes its place.
func (r *registry) remove(own guid) error {
	d, ok := r.get(own)
	if !ok {
		return nil
	}
	delete(r.ends, own)
	delete(r.apps, own)
	if _, ok := r.twins[own]; ok {
		delete(r.twins, own)
		return nil
	}
	r.listing.Remove(own.key())
	id, has := d.id()
	if !has {
		return nil
	}
	delete(r.holders, id)
	var next holder
	for object, twin := range r.twins {
		h := holder{object, twin.registered}
		if other, _ := twin.id(); other == id && (next.object == guid{} || h.newerThan(next)) {
			next = h
		}
	}
	if (next.object == guid{}) {
		return nil
	}
	twin := r.twins[next.object]
	delete(r.twins, next.object)
	r.holders[id] = next
	return r.listing.Put(twin.Verdict)
}

// expire ends the verdicts whose time is over: no delta query reports that. It
// reports whether there was one.
func (r *registry) expire(now time.Time) (changed bool, err error) {
	for own, end := range r.ends {
		if end.over || now.Unix() < end.at {
			continue
		}
		d, ok := r.get(own)
		if !ok {
			continue
		}
		r.ends[own] = deadline{end.at, true}
		if !d.expire(now) {
			continue
		}
		changed = true
		if _, aside := r.twins[own]; aside {
			r.twins[own] = d
		} else if err := r.listing.Put(d.Verdict); err != nil {
			return changed, err
		}
	}
	return changed, nil
}

// apply takes one row over. partial says that the row is about an object that was
// unknown before, and does not even tell its deviceId.
func (r *registry) apply(raw []byte, now time.Time, t *tally) (partial bool, err error) {
	row, own, err := decodeDevice(raw)
	if err != nil {
		t.unusable("device", err)
		return false, nil
	}
	if row.Removed {
		return false, r.remove(own)
	}
	old, ok := r.get(own)
	d := old
	if !ok {
		d = newDevice(own)
	}
	d.merge(&row, now, t)
	if ok {
		d.keep(&old)
	} else {
		row.lacks(t)
	}
	d.setChannel(r.unnamed)
	return !ok && !row.DeviceID.seen, r.put(own, d)
}
