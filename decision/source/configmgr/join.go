package configmgr

import (
	"cmp"
	"slices"

	"github.com/gatehouse-project/gatehouse/decision"
)

// record is what the classes say about one ResourceID.
type record struct {
	resource    int64
	keys        []decision.Key // own id first, then Entra, then SID
	gone        bool           // the site itself no longer counts it as a device
	name        string
	build       string
	client      decision.Tri
	hasFacts    bool // there is a row of SMS_CombinedDeviceResources
	facts       resourceRow
	scan        scan
	comanaged   decision.Tri
	hasChannel  bool // there is a row of SMS_Client_ComanagementState
	blockedTwin bool // another record of the same device is blocked
	oddTwin     bool // or says about that what nobody can read
}

// gone reports whether the site itself no longer counts a record as a device.
func (r *systemRow) gone() bool {
	return r.Obsolete.Tri == decision.Yes || r.Decommissioned.Tri == decision.Yes
}

// keysOf returns the ids of a device, canonical: the site's own, the Entra device
// id, the SID of the domain account. A name is never an id.
func keysOf(smsID, entraID, sid text) []decision.Key {
	keys := make([]decision.Key, 0, 3)
	add := func(kind string, v text) {
		if k, ok := decision.CanonicalKey(kind, v.s); ok {
			keys = append(keys, k)
		}
	}
	add(decision.KindConfigMgr, smsID)
	add(decision.KindEntra, entraID)
	if isDomainSID(sid.s) {
		add(decision.KindSID, sid)
	}
	return keys
}

func newRecord(r *systemRow) *record {
	rec := &record{
		resource: r.ResourceID.value,
		keys:     keysOf(r.SMSUniqueIdentifier, r.AADDeviceID, r.SID),
		name:     r.Name.s, build: r.Build.s, client: r.Client.Tri, gone: r.gone(),
	}
	if rec.name == "" {
		rec.name = r.NetbiosName.s
	}
	return rec
}

// addFacts joins the second class. The client flag of either class counts.
func (r *record) addFacts(c *checks, f *resourceRow) {
	if r.client == decision.Yes || f.IsClient.Tri != decision.No { // else nobody asks
		c.resource(f)
	}
	if r.hasFacts {
		c.repeatFacts(&r.facts, f)
	} else {
		r.facts, r.hasFacts = *f, true
	}
	f = &r.facts
	if f.IsClient.Tri == decision.Yes || r.client == decision.Unknown {
		r.client = f.IsClient.Tri
	}
}

// addComanagement joins a row of SMS_Client_ComanagementState.
func (r *record) addComanagement(c *checks, row *comanagementRow) {
	c.comanagement(row)
	is := row.isComanaged()
	if r.hasChannel && r.comanaged != is {
		c.problem(classComanagement, disagree)
		is = decision.Unknown
	}
	r.comanaged, r.hasChannel = is, true
}

// devices returns one record for each device: clients that are not obsolete. Of
// several records of one device, as a new installation leaves them, the one that
// was active last counts, else the one that was made last. dropped counts the
// others.
func devices(records []*record) (kept []*record, dropped int) {
	live := make([]*record, 0, len(records))
	for _, r := range records {
		if r.client == decision.Yes && !r.gone && r.facts.IsObsolete.Tri != decision.Yes {
			live = append(live, r)
		}
	}
	slices.SortFunc(live, func(a, b *record) int {
		return cmp.Or(b.facts.LastActiveTime.Compare(a.facts.LastActiveTime.Time), cmp.Compare(b.resource, a.resource))
	})
	owner := make(map[decision.Key]*record, 2*len(live))
	for _, r := range live {
		if first := r.twin(owner); first != nil {
			first.blockedTwin = first.blockedTwin || r.blocked() == decision.Yes
			first.oddTwin = first.oddTwin || r.facts.IsBlocked.odd()
			dropped++
			continue
		}
		for _, k := range r.keys {
			owner[k] = r
		}
		kept = append(kept, r)
	}
	return kept, dropped
}

// twin finds a record of the same device that counts instead of r. A domain account
// that another device with another Entra id uses by now is no twin: r only loses
// the SID.
func (r *record) twin(owner map[decision.Key]*record) *record {
	entra := false
	for i, k := range r.keys {
		first := owner[k]
		switch {
		case k.Kind == decision.KindEntra:
			entra = true
		case first != nil && k.Kind == decision.KindSID && entra && first.has(decision.KindEntra):
			r.keys = slices.Delete(r.keys, i, i+1) // the last key
			return nil
		}
		if first != nil {
			return first
		}
	}
	return nil
}

func (r *record) has(kind string) bool {
	return slices.ContainsFunc(r.keys, func(k decision.Key) bool { return k.Kind == kind })
}
