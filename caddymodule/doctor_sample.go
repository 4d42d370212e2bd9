package caddymodule

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/policy"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// sample follows one device from end to end: every source is asked for it as a
// request would, what they say is merged, and every policy decides. named is true
// if somebody asked for this very device.
func (d *doctor) sample(ctx context.Context, keys []decision.Key, named bool) (f found) {
	add := func(more ...checkup.Finding) { f.findings = append(f.findings, more...) }
	switch {
	case d.loadErr != nil:
		add(checkup.Skip(checkup.CheckLookup, "the configuration does not load: see there"))
		return f
	case len(keys) == 0:
		add(checkup.Skip(checkup.CheckLookup, "no source named a device; name one with --device KIND=ID"))
		return f
	}
	keys = slices.Clone(keys)
	slices.SortStableFunc(keys, func(a, b decision.Key) int { // the id that most sources know first
		return cmp.Compare(notEntra(a), notEntra(b))
	})
	device := decision.DeviceRef{Keys: slices.Clone(keys), Proof: d.bestProof()}
	runners, end := d.askingRunners()
	defer end()
	d.app.directory = source.NewDirectory(runners, source.DirectoryOptions{}) // the app serves nobody else
	asked := make([]map[decision.Key]bool, len(d.app.sources))
	before := d.skipped()
	var p *decision.Posture
	linked := keys
	for round := 0; round < maxRounds && len(linked) > 0; round++ { // by the ids that sources tell, too
		add(lookUp(ctx, runners, linked, asked)...)
		p = d.app.directory.Posture(&decision.Identity{Device: device})
		linked = slices.DeleteFunc(slices.Clone(p.Keys), func(k decision.Key) bool { return slices.Contains(keys, k) })
		keys = append(keys, linked...)
	}
	add(d.whoKnows(p, asked, before)...)
	if !p.Known() {
		fix := "try again; the listing that named it may be older than its removal"
		if named {
			fix = "check kind and id of the device"
		}
		add(checkup.Warn(checkup.CheckLookup, "no source has the device", fix))
		return f
	}
	view := d.app.deviceView(p, time.Now())
	f.device = &view
	more, findings, end := d.askOwner(ctx, p)
	defer end()
	add(findings...)
	d.app.directory = source.NewDirectory(append(runners, more...), source.DirectoryOptions{})
	for _, name := range d.app.policies.Names() {
		x, err := d.app.Explain(d.question(name, &device, p), time.Now())
		if err != nil {
			add(checkup.Fail(checkup.CheckDecision, fmt.Sprintf("policy %s: %v", name, err), "report this with the version of the gateway"))
			continue
		}
		f.decisions = append(f.decisions, DoctorDecision{x.Policy, x.Mode, x.Outcome, x.StepUp, x.Reasons, x.Requirements})
		pol, _ := d.app.policies.Policy(name)
		add(judgeDecision(pol, x, ownerOf(p), len(more) > 0))
	}
	return f
}

func notEntra(k decision.Key) int {
	if k.Kind == decision.KindEntra {
		return 0
	}
	return 1
}

// lookUp asks every source that does not have the device in memory, by each id that
// it takes and was not asked for yet: that it does not have the device is known only
// then.
func lookUp(ctx context.Context, runners []*source.Runner, keys []decision.Key, asked []map[decision.Key]bool) (all []checkup.Finding) {
	for i, r := range runners {
		if r.Find(keys).Verdict != nil {
			continue
		}
		for _, k := range keys {
			if asked[i][k] || !r.Asks(k) {
				continue
			}
			if asked[i] == nil {
				asked[i] = map[decision.Key]bool{}
			}
			asked[i][k] = true
			start := time.Now()
			err := r.Refresh(ctx, k)
			if err == nil {
				break
			}
			if !errors.Is(err, source.ErrUnknownDevice) {
				all = append(all, checkup.Warn(checkup.CheckLookup, fmt.Sprintf("source %s gave no answer about the device in %s: %v", r.Name(), checkup.Span(time.Since(start)), err),
					"a request of a device that nobody knows yet would be undecided (503): see the section of the source"))
				break
			}
		}
	}
	return all
}

// skipped are, for each source, how many values it could not use so far.
func (d *doctor) skipped() []map[source.SkippedValue]uint64 {
	all := make([]map[source.SkippedValue]uint64, len(d.app.sources))
	for i, s := range d.app.sources {
		all[i] = map[source.SkippedValue]uint64{}
		c, ok := s.src.(source.Counting)
		if !ok {
			continue
		}
		for _, v := range c.Counters().Skipped {
			all[i][source.SkippedValue{Field: v.Field, Reason: v.Reason}] = v.Count
		}
	}
	return all
}

// unusable names the values that a source could not use since before: those of the
// sample device, for it is asked for nothing else meanwhile.
func unusable(before, after map[source.SkippedValue]uint64) string {
	var all []string
	for v, n := range after {
		if n > before[v] {
			all = append(all, v.Field+" ("+v.Reason+")")
		}
	}
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	return "; counts as unknown: " + strings.Join(all, ", ")
}

// whoKnows says which sources have the device, and what of it they could not use.
func (d *doctor) whoKnows(p *decision.Posture, asked []map[decision.Key]bool, before []map[source.SkippedValue]uint64) (all []checkup.Finding) {
	after := d.skipped()
	for i, s := range d.app.sources {
		name := s.runner.Name()
		at := slices.IndexFunc(p.Evidence, func(e decision.Evidence) bool { return e.State.Name == name })
		switch {
		case at >= 0 && p.Evidence[at].Found:
			all = append(all, checkup.Ok(checkup.CheckLookup, "source "+name+" has the device"+unusable(before[i], after[i])))
		case asked[i] != nil || s.runner.State().Loaded() && !s.remote:
			all = append(all, checkup.Skip(checkup.CheckLookup, "source "+name+" does not have the device, or said nothing"))
		default:
			all = append(all, checkup.Skip(checkup.CheckLookup, "source "+name+" cannot be asked for it: none of its ids is of a kind that it takes"))
		}
	}
	return all
}

// bestProof is the strongest proof that the configured credentials can give.
func (d *doctor) bestProof() decision.Proof {
	return slices.Max(append(d.app.proofs(), decision.ProofToken))
}

// question is what the device's owner, or a stand-in, would ask: signed in a moment
// ago, and in every group that the policy names, so that the device is what is
// judged.
func (d *doctor) question(name string, device *decision.DeviceRef, p *decision.Posture) *ExplainRequest {
	u := &ExplainUser{Name: firstOf(p.OwnerUPN, p.OwnerID, "sample"), ObjectID: p.OwnerID, SignedIn: "1m"}
	if pol, ok := d.app.policies.Policy(name); ok {
		for i := range pol.Requirements {
			if r := &pol.Requirements[i]; r.Kind == decision.RequireGroup {
				u.Groups = append(u.Groups, r.Names...)
			}
		}
	}
	if len(d.app.Issuers) > 0 {
		u.Issuer = d.app.Issuers[0].Name
	}
	keys := map[string]string{}
	for _, k := range device.Keys {
		keys[k.Kind] = k.Value
	}
	return &ExplainRequest{Policy: name, User: u, Device: &ExplainDevice{Keys: keys, Proof: device.Proof.String()}}
}

// judgeDecision: what a policy says about one device is no fault of the gateway, but
// that it cannot say anything is. The owner is who the sample is decided as, if a source
// names one, and asked says that a source was asked about that person.
func judgeDecision(p *decision.Policy, x *policy.Explanation, owner string, asked bool) checkup.Finding {
	text := fmt.Sprintf("policy %s: %s", x.Policy, x.Outcome)
	var reasons []string
	listed := true // every reason to be undecided is that only a listing tells
	for _, r := range x.Reasons {
		word := r.Code
		if r.Param != "" {
			word += " (" + policy.Visible(r.Param) + ")"
		}
		reasons = append(reasons, word)
		if r.Effect == decision.Undecided.String() && r.Code != decision.NotLoaded.Code() {
			listed = false
		}
	}
	if len(reasons) > 0 {
		text += ": " + strings.Join(reasons, ", ")
	}
	if owner != "" {
		text += " (as its owner)"
	}
	const ask = ", which only a complete listing tells, and doctor lists nothing: ask the running gateway (gatehouse explain)"
	for i := range p.Requirements {
		if x.Requirements[i].Result == "unknown" && !asked && needsListing(&p.Requirements[i]) {
			return checkup.Skip(checkup.CheckDecision, fmt.Sprintf("policy %s: it asks for facts about the user", x.Policy)+ask)
		}
	}
	switch {
	case x.Outcome != decision.Undecided.String():
		return checkup.Ok(checkup.CheckDecision, text)
	case listed:
		return checkup.Skip(checkup.CheckDecision, text+": it needs facts"+ask)
	}
	return checkup.Warn(checkup.CheckDecision, text, "see the sections of the sources")
}

// needsListing reports whether a requirement is about facts that few sources can be
// asked for singly: those about users.
func needsListing(r *decision.Requirement) bool {
	f, ok := r.Kind.Fact()
	return ok && aboutUsers.Has(f) || r.Kind == decision.RequireExpression && r.Expr.Facts()&aboutUsers != 0
}

// asking is a source of which only single devices are asked. While a source that
// lists its devices was never listed nothing counts that it could overrule; doctor
// lists nothing, so it treats all of them like those that cannot.
type asking struct{ source.Looker }

// Facts implements [source.Source]. Who can be asked for the owner speaks about users
// by [owned].
func (a asking) Facts() decision.FactSet {
	if _, ok := a.Looker.(source.UserLooker); ok {
		return a.Looker.Facts() &^ aboutUsers
	}
	return a.Looker.Facts()
}

// CanLookup implements [source.LookupLimited].
func (a asking) CanLookup(kind string) bool {
	l, limited := a.Looker.(source.LookupLimited)
	return !limited || l.CanLookup(kind)
}

// askingKinds is one that knows devices by some kinds of id.
type askingKinds struct {
	asking
	kinds []string
}

// Kinds implements [source.KindLimited].
func (a askingKinds) Kinds() []string { return a.kinds }

// askingRunners makes a runner for each source: a new one for those that can be
// asked for single devices, and the one that is loaded for local files. end stops
// the new ones.
func (d *doctor) askingRunners() (runners []*source.Runner, end func()) {
	var mine []*source.Runner
	for _, s := range d.app.sources {
		l, ok := s.src.(source.Looker)
		if !ok || !s.remote {
			runners = append(runners, s.runner)
			continue
		}
		o := s.o
		o.Snapshot, o.Observer, o.MaxLookups = nil, source.Observer{}, source.MaxKeys*maxRounds
		var src source.Source = asking{l}
		if k, ok := s.src.(source.KindLimited); ok {
			src = askingKinds{asking{l}, k.Kinds()}
		}
		r := source.NewRunner(src, o)
		mine, runners = append(mine, r), append(runners, r)
	}
	return runners, func() {
		for _, r := range mine {
			r.Stop()
		}
	}
}

// maxRounds is how often the ids that sources tell may lead to further ones.
const maxRounds = 4
