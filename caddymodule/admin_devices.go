package caddymodule

import (
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/policy"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// DeviceView is one device as the admin API shows it.
type DeviceView struct {
	Keys        []decision.Key    `json:"keys,omitempty"`
	Name        string            `json:"name,omitempty"`
	Owner       string            `json:"owner,omitempty"`
	Facts       map[string]string `json:"facts"`
	Sources     []EvidenceView    `json:"sources"`
	Conflicts   int               `json:"conflicts,omitempty"`
	Revoked     string            `json:"revoked,omitempty"` // id of the revocation
	LastCheckIn *time.Time        `json:"last_check_in,omitempty"`
	GraceUntil  *time.Time        `json:"grace_until,omitempty"`
	// Weighed accounts for each fact: what counts, why, and what every source
	// says. Of a single device alone.
	Weighed []policy.ExplainedFact `json:"weighed,omitempty"`
	// Refreshed is what came of asking each source, if that was the call.
	Refreshed []RefreshedSource `json:"refreshed,omitempty"`
}

// EvidenceView is one source's part in what is known about a device.
type EvidenceView struct {
	Source    string     `json:"source"`
	Found     bool       `json:"found"`
	Age       string     `json:"age,omitempty"` // since the source last confirmed it
	Failing   bool       `json:"failing,omitempty"`
	Evaluated *time.Time `json:"evaluated,omitempty"`
	// GoneSince is when the source ceased to list the device, whose last word still
	// counts. Of a single device alone.
	GoneSince *time.Time `json:"gone_since,omitempty"`
	// GoneUntil is until when it does.
	GoneUntil *time.Time `json:"gone_until,omitempty"`
	// Kept are the facts whose bad news counts though the source does not say it any
	// more. POST /compliance/devices/ID/forget takes that back. Of a single device alone.
	Kept []string `json:"kept,omitempty"`
}

func (a *App) deviceView(p *decision.Posture, now time.Time) DeviceView {
	v := DeviceView{Facts: map[string]string{}, Sources: []EvidenceView{}, Conflicts: p.Conflicts}
	if a.privacy.devices == "" || a.privacy.devices == "clear" {
		v.Keys, v.Name = p.Keys, p.Name
	} else if id := a.privacy.device(p.Keys); id != "" {
		v.Keys = []decision.Key{{Kind: "hash", Value: id}}
	}
	v.Owner = a.privacy.text(a.privacy.users, "u_", firstOf(p.OwnerUPN, p.OwnerID))
	for f := range decision.NumFacts {
		// The owner and the last check-in have members of their own.
		if f != decision.FactOwner && f != decision.FactCheckIn && p.Source(f) != "" {
			v.Facts[f.String()] = p.Value(f)
		}
	}
	for i := range p.Evidence {
		e := &p.Evidence[i]
		ev := EvidenceView{Source: e.State.Name, Found: e.Found, Failing: e.State.Failing() != decision.CauseNone}
		if e.State.Loaded() {
			confirmed := e.Confirmed
			if confirmed == 0 {
				confirmed = e.State.Confirmed()
			}
			ev.Age = time.Duration(decision.Mono(now) - confirmed).Round(time.Millisecond).String()
		}
		ev.Evaluated = optional(e.EvaluatedAt)
		v.Sources = append(v.Sources, ev)
	}
	if p.Revoked != nil {
		v.Revoked = p.Revoked.ID
	}
	v.LastCheckIn, v.GraceUntil = optional(p.LastCheckIn), optional(p.GraceUntil)
	return v
}

func optional(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (a *App) adminDevice(w http.ResponseWriter, id string) error {
	key, err := parseKey(id)
	if err != nil {
		return apiError(http.StatusBadRequest, "%v", err)
	}
	return a.replyDevice(w, key, nil)
}

// replyDevice shows one device, and what came of asking the sources about it.
func (a *App) replyDevice(w http.ResponseWriter, key decision.Key, asked []RefreshedSource) error {
	who := &decision.Identity{Device: decision.DeviceRef{Keys: []decision.Key{key}, Proof: decision.ProofToken}}
	p, words := a.directory.Weigh(who)
	gone, kept := a.directory.GoneSince(who), a.directory.Kept(who)
	left := func(k source.Kept) bool { return !k.GoneUntil.IsZero() }
	if !p.Known() && !slices.ContainsFunc(kept, left) { // the last word of a record that ended counts, too
		return apiError(http.StatusNotFound, "no source has the device %s", clip(key.Kind+":"+key.Value))
	}
	now := time.Now()
	v := a.deviceView(p, now)
	v.Refreshed = asked
	for i := range v.Sources[:min(len(v.Sources), len(gone))] {
		ev := &v.Sources[i]
		ev.Kept, ev.GoneSince = factNames(kept[i].Facts), optional(gone[i])
		if ev.GoneSince != nil {
			ev.GoneUntil = optional(kept[i].GoneUntil)
		}
	}
	v.Weighed = policy.WeighedFacts(p, words, now)
	a.hideOwner(v.Weighed)
	return reply(w, v)
}

// adminDevices lists devices of all sources, each once, in the order of the
// first source that has it: ?limit=, ?compliance=.
func (a *App) adminDevices(w http.ResponseWriter, r *http.Request) error {
	n, err := limitOf(r, 10_000)
	if err != nil {
		return err
	}
	want := r.URL.Query().Get("compliance")
	if _, ok := decision.ParseCompliance(want); !ok && want != "" {
		return apiError(http.StatusBadRequest, "there is no compliance %q; it is written as in a CSV file, such as noncompliant or in_grace", clip(want))
	}
	now, total := time.Now(), 0
	views := make([]DeviceView, 0, min(n, 100))
	seen := map[decision.Key]bool{}
	for i, s := range a.sources {
		table := s.runner.Table()
		if table == nil {
			continue
		}
		total += table.Len()
		for _, v := range table.All() {
			if len(views) == n {
				break
			}
			if len(v.Keys) == 0 || i > 0 && seen[v.Keys[0]] || want != "" && want != v.Compliance.String() {
				continue
			}
			p := a.directory.Posture(&decision.Identity{Device: decision.DeviceRef{Keys: v.Keys[:1], Proof: decision.ProofToken}})
			for _, k := range p.Keys {
				seen[k] = true
			}
			views = append(views, a.deviceView(p, now))
		}
	}
	return reply(w, map[string]any{"devices": views, "records": total})
}
