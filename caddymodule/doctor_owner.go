package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// aboutUsers are the facts about a user, which need no device.
var aboutUsers = decision.Facts(decision.FactUserEnabled, decision.FactUserRisk)

// ownerOf names whom the sample is decided as; "" if no source names an owner.
func ownerOf(p *decision.Posture) string { return firstOf(p.OwnerUPN, p.OwnerID) }

// askOwner asks every source that can tell about one user for the owner of the device.
// The runners hold what they said; end stops them.
func (d *doctor) askOwner(ctx context.Context, p *decision.Posture) (runners []*source.Runner, findings []checkup.Finding, end func()) {
	end = func() {
		for _, r := range runners {
			r.Stop()
		}
	}
	if ownerOf(p) == "" {
		return nil, nil, end
	}
	for _, s := range d.app.sources {
		l, ok := s.src.(source.UserLooker)
		if !ok || l.Facts()&aboutUsers == 0 {
			continue
		}
		name := s.runner.Name()
		start := time.Now()
		u, err := l.LookupUser(ctx, p.OwnerID, p.OwnerUPN)
		switch {
		case errors.Is(err, source.ErrUnknownUser):
			findings = append(findings, checkup.Warn(checkup.CheckLookup, "source "+name+" does not have the owner of the device",
				"nothing is known about this person: check whom the management system names as the owner"))
		case err != nil:
			findings = append(findings, checkup.Warn(checkup.CheckLookup, fmt.Sprintf("source %s gave no answer about the owner of the device in %s: %v", name, checkup.Span(time.Since(start)), err),
				"see the section of the source"))
			continue
		default:
			findings = append(findings, checkup.Ok(checkup.CheckLookup, "source "+name+" has the owner of the device"))
		}
		r := source.NewRunner(&owned{facts: l.Facts() & aboutUsers, user: u}, source.RunnerOptions{Name: name, Index: s.o.Index, Authority: s.o.Authority})
		runners = append(runners, r)
		err = r.SyncNow(ctx)
		if err != nil {
			findings = append(findings, checkup.Fail(checkup.CheckLookup, fmt.Sprintf("what source %s says about the owner cannot be used: %v", name, err), "report this with the version of the gateway"))
		}
	}
	return runners, findings, end
}

// owned is a source that knows one user.
type owned struct {
	facts decision.FactSet
	user  decision.UserRecord
}

// Facts implements [source.Source].
func (o *owned) Facts() decision.FactSet { return o.facts }

// Sync implements [source.Syncer].
func (o *owned) Sync(_ context.Context, sweep *source.Sweep) error {
	if o.user != (decision.UserRecord{}) {
		sweep.User(o.user)
	}
	return nil
}
