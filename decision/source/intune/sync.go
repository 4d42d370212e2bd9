package intune

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// The ways to list.
const (
	modePaged   = "paged"
	modeExport  = "export"
	modeChanges = "changes"
)

const devicesPath = "/v1.0/deviceManagement/managedDevices"

// pass is one Sync under way.
type pass struct {
	decoder
	sweep    *source.Sweep
	bad      int
	changed  int
	unlisted int
	// listed collects the records of the lists of bad news; nil outside of them.
	listed map[decision.Key]bool
	// what the pass shall cure; restored if it fails
	fullDue, pagedDue bool
}

func (p *pass) refuse(place string, err error) {
	p.bad++
	p.sweep.Bad(place, err)
}

// Sync implements [source.Syncer]. It lists everything, or what changed since the
// last Sync, and emits every device that Intune has.
func (s *Source) Sync(ctx context.Context, sweep *source.Sweep) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	p := &pass{decoder: s.decoder(), sweep: sweep}
	if err := s.adopt(ctx, p.now); err != nil {
		return fmt.Errorf("intune: %w", err)
	}
	s.readConnectors(ctx, &p.decoder)
	mode := s.begin(p)
	var err error
	switch mode {
	case modePaged:
		err = s.page(ctx, p)
	case modeExport:
		mode, err = s.export(ctx, p)
	case modeChanges:
		err = s.changes(ctx, p)
	}
	s.end(p, mode, err)
	if err != nil {
		return fmt.Errorf("intune: %w", err)
	}
	s.mu.Lock()
	first := !s.emitted
	s.mu.Unlock()
	if first {
		// A fact that is unknown refuses people, so the first table has what there is;
		// a snapshot serves meanwhile. Later ones must not wait.
		s.FollowUp(ctx)
	} else {
		s.refreshHealths(p.now) // answers grow old without a question, too
	}
	return s.emit(sweep)
}

// FollowUp implements [source.Follower]: it asks what listings do not say, device by
// device. None of it fails a Sync: what nobody tells is unknown.
func (s *Source) FollowUp(ctx context.Context) (news bool) {
	now := s.o.Now()
	s.explain(ctx)
	s.prove(ctx, now)
	s.askHealths(ctx, now)
	s.refreshHealths(now)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.dirty
}

// begin decides how to list.
func (s *Source) begin(p *pass) (mode string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.fullDue, p.pagedDue = s.fullDue, s.pagedDue
	s.fullDue, s.pagedDue = false, false
	s.during = map[decision.Key]*decision.Verdict{}
	due := func(last time.Time, every time.Duration) bool {
		age := p.now.Sub(last) // of a clock that was set back: negative
		return last.IsZero() || age < 0 || age >= every
	}
	switch {
	case !p.fullDue && !p.pagedDue && !due(s.lastFull, s.o.FullSweep):
		return modeChanges
	case p.pagedDue || due(s.lastPaged, pagedEvery) || s.o.ExportAbove < 0 || s.fleet.len() <= s.o.ExportAbove:
		return modePaged
	}
	return modeExport
}

func (s *Source) end(p *pass, mode string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.during = nil
	if err != nil {
		s.fullDue, s.pagedDue = s.fullDue || p.fullDue, s.pagedDue || p.pagedDue
		return
	}
	st := &s.stats
	st.Mode, st.Changed, st.Bad = mode, p.changed, p.bad
	if mode != modeChanges {
		st.Fields, st.Unlisted = nil, p.unlisted
	}
	for what, n := range p.fields {
		if st.Fields == nil {
			st.Fields = map[string]int{}
		}
		st.Fields[what] += n
	}
	s.lastListed = p.now
}

// assess applies the tenant's settings to a record and notes what must be asked
// about it in the background. The caller holds mu.
func (s *Source) assess(v *decision.Verdict, now time.Time) {
	old, known := s.fleet.get(v.Keys[0])
	if known && failing(v.Compliance) && v.Settings == nil {
		v.Settings = old.Settings // until the reasons are fetched again
	}
	s.tenant.judge(v, now)
	s.holdBack(v)
	late := known && outdated(v, &old)
	s.healths.note(v, late, now)
	s.watched.note(v, late)
	if s.o.Reasons {
		s.reasons.note(v)
	}
}

// page lists everything, page by page.
func (s *Source) page(ctx context.Context, p *pass) error {
	s.readSettings(ctx, p.now)
	b := source.NewBuilder(0)
	row := 0
	_, err := s.o.Client.Pages(ctx, listRequest(""), func(raw json.RawMessage) error {
		row++
		v, err := p.decode(raw)
		if err == nil {
			s.mu.Lock()
			s.assess(&v, p.now)
			s.mu.Unlock()
			err = b.Add(&v)
		}
		if err != nil {
			p.refuse(fmt.Sprintf("record %d", row), err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.replace(ctx, p, b, modePaged)
}

func listRequest(filter string) msgraph.Request {
	q := url.Values{"$select": {selected}}
	if filter != "" {
		q.Set("$filter", filter)
	}
	return msgraph.Request{Endpoint: msgraph.IntuneDevices, Path: devicesPath, Query: q, Priority: "Low"}
}

// replace puts a complete listing in place of the fleet.
func (s *Source) replace(ctx context.Context, p *pass, b *source.Builder, mode string) error {
	t, err := b.Build()
	if err != nil {
		return err
	}
	fresh := newFleet(t)
	if err := s.confirm(ctx, p, &fresh); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, v := range s.during { // newer than the page that had the device
		fresh.put(*v)
	}
	s.fleet, s.early, s.dirty, s.skipFailing = fresh, fleet{}, true, false
	s.lastFull = p.now
	if mode == modePaged {
		s.lastPaged = p.now
	}
	s.reasons.prune(&fresh)
	s.proofs.prune(&fresh)
	s.healths.prune(&fresh)
	s.watched.prune(&fresh, !p.fullDue && !p.pagedDue)
	return nil
}

// The states of devices that must be stopped at once, whether or not they check
// in: the service sets them as soon as an administrator asks for it.
const stopping = "managementState eq 'wipePending' or managementState eq 'wipeIssued' or managementState eq 'deletePending'" +
	" or managementState eq 'retirePending' or managementState eq 'retireIssued'"

// maxFailing bounds the noncompliant devices that a poll reads. Where there are
// more, those that did not check in wait for the complete listing, and so does who is
// compliant again without a check-in.
const maxFailing = 5000

var errEnough = errors.New("enough")

// changes reads what changed since the last listing.
func (s *Source) changes(ctx context.Context, p *pass) error {
	s.mu.Lock()
	since, skip := s.lastListed.Add(-overlap), s.skipFailing
	s.mu.Unlock()
	err := s.merge(ctx, p, "lastSyncDateTime gt "+since.UTC().Format(time.RFC3339), 0)
	if err != nil {
		return err
	}
	// What follows finds bad news about devices that did not check in: a threat
	// that a partner reported, a grace period that ended, a wipe.
	p.listed = map[decision.Key]bool{}
	var complete watch
	err = s.merge(ctx, p, stopping, 0)
	if err == nil {
		complete |= watchStop
	}
	if err == nil && !skip {
		err = s.merge(ctx, p, "complianceState eq 'noncompliant'", maxFailing)
		if err == nil {
			complete |= watchCompliance
		}
	}
	switch {
	case errors.Is(err, errEnough):
		s.mu.Lock()
		s.skipFailing = true
		s.mu.Unlock()
	case err != nil && kindOf(err) == msgraph.KindBadRequest:
		s.refused("changes of state", err)
	case err != nil:
		return err
	}
	return s.recovered(ctx, p, complete)
}

// merge reads a filtered list into the fleet; limit bounds the rows, 0 does not.
func (s *Source) merge(ctx context.Context, p *pass, filter string, limit int) error {
	row := 0
	_, err := s.o.Client.Pages(ctx, listRequest(filter), func(raw json.RawMessage) error {
		if row++; limit > 0 && row > limit {
			return errEnough
		}
		v, err := p.decode(raw)
		if err != nil {
			p.refuse(fmt.Sprintf("changed record %d", row), err)
			return nil
		}
		if p.listed != nil {
			p.listed[v.Keys[0]] = true
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.assess(&v, p.now)
		if s.fleet.put(v) {
			s.dirty = true
			p.changed++
		}
		return nil
	})
	return err
}

// emit hands everything to the sweep, unless nothing changed since the last time.
func (s *Source) emit(sweep *source.Sweep) error {
	s.mu.Lock()
	if !s.dirty && s.emitted {
		s.mu.Unlock()
		return source.ErrUnchanged
	}
	if err := s.fleet.pack(); err != nil {
		s.mu.Unlock()
		return fmt.Errorf("intune: %w", err)
	}
	view := s.fleet.view()
	s.dirty, s.emitted = false, true
	s.mu.Unlock()

	settled := view.settle()
	devices := view.emit(sweep, settled)

	s.mu.Lock()
	st := &s.stats
	changed := st.Duplicates != len(settled.lost) || st.SharedSerials != len(settled.shared)
	st.Devices, st.Duplicates, st.SharedSerials = devices, len(settled.lost), len(settled.shared)
	s.mu.Unlock()
	if changed {
		s.o.Logger.Info("intune lists devices more than once", "replaced_records", len(settled.lost), "shared_serials", len(settled.shared))
	}
	return nil
}
