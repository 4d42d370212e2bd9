package entra

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

const (
	devicesPath = "/v1.0/devices/delta"
	usersPath   = "/v1.0/users/delta"

	// maxPage is asked for; the service may send less. Its default of about a
	// hundred rows makes ten times the calls.
	maxPage = "odata.maxpagesize=999"
)

// feed is how far one delta query has come.
type feed struct {
	link     string    // where the next changes are; empty: list everything
	complete time.Time // when the last complete listing began
	failures int       // of link in a row, for reasons that waiting does not cure
	partial  int       // changes of objects of which too little is known
}

// maxFailures is how often a delta link may give nonsense before everything is
// listed anew.
const maxFailures = 3

// minResync is the least time between two complete listings that are made because
// a change was incomplete.
const minResync = time.Hour

// Sync implements [source.Syncer]. The first call lists everything, and so does
// one every FullSweep; the others ask for changes. A listing that fails on the way
// is discarded; changes that arrived before a failure stay, and are asked for
// again. A failure to read user risk alone does not fail the Sync: findings stay,
// and who had none before is unknown soon after.
func (s *Source) Sync(ctx context.Context, sweep *source.Sweep) error {
	if err := s.turn.Take(ctx); err != nil {
		return err
	}
	defer s.turn.Give()
	defer s.publish()
	now := s.o.Now()
	if err := s.letGo(); err != nil { // first, or a row that cannot be read brings it back
		return fmt.Errorf("entra devices: %w", err)
	}
	if err := s.readDevices(ctx, now); err != nil {
		return fmt.Errorf("entra devices: %w", err)
	}
	if s.o.Users {
		if err := s.readUsers(ctx, now); err != nil {
			return fmt.Errorf("entra users: %w", err)
		}
	}
	if s.o.RiskyUsers {
		if err := s.readRisk(ctx, now); err != nil {
			return fmt.Errorf("entra risky users: %w", err)
		}
		sweep.SetConfirmed(s.risk.confirmed(now))
	}
	over, err := s.known.expire(now)
	if err == nil {
		err = s.letGo() // what came meanwhile
	}
	if err != nil {
		return fmt.Errorf("entra devices: %w", err)
	}
	s.dirty = s.dirty || over
	if s.emitted && !s.dirty {
		return source.ErrUnchanged
	}
	return s.emit(ctx, sweep)
}

// emit hands everything that is known to the sweep.
func (s *Source) emit(ctx context.Context, sweep *source.Sweep) error {
	if err := s.known.listing.Emit(sweep); err != nil {
		return fmt.Errorf("entra devices: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.o.Users {
		s.emitUsers(sweep)
	}
	s.tally.tell(sweep)
	s.userTally.tell(sweep)
	sweep.SetFacts(s.facts(s.risk.supplied))
	s.dirty, s.emitted = false, true
	return nil
}

// readDevices brings the registry up to date.
func (s *Source) readDevices(ctx context.Context, now time.Time) error {
	again, err := s.follow(ctx, &s.devices, msgraph.DirectoryDevices, now, func(raw json.RawMessage) error {
		partial, err := s.known.apply(raw, now, &s.tally)
		if partial {
			s.devices.partial++
		}
		return err
	})
	if err != nil {
		return err
	}
	if s.devices.partial > 0 && now.Sub(s.devices.complete) >= minResync {
		s.o.Logger.Info("changes of unknown devices arrived without their deviceId, listing all devices", "changes", s.devices.partial)
		again = true
	}
	if !again {
		return nil
	}
	fresh, counted := newRegistry(s.o.PartnerMDM), tally{}
	link, err := s.list(ctx, msgraph.DirectoryDevices, devicesPath, s.deviceFields(), func(raw json.RawMessage) error {
		_, err := fresh.apply(raw, now, &counted)
		return err
	})
	if err != nil {
		return err
	}
	s.known, s.tally, s.dirty = fresh, counted, true
	s.devices = feed{link: link, complete: now}
	if n := len(fresh.twins); n > 0 {
		s.o.Logger.Warn("directory has several objects with the same deviceId; the one registered last counts", "objects", n)
	}
	return nil
}

// follow asks for the changes since the last call. again says that everything
// must be listed: for the first time, because it is due, or because the service
// has forgotten where we were.
func (s *Source) follow(ctx context.Context, f *feed, e msgraph.Endpoint, now time.Time, row func(json.RawMessage) error) (again bool, err error) {
	if f.link == "" || now.Sub(f.complete) >= s.o.FullSweep || f.failures >= maxFailures {
		return true, nil
	}
	last, err := s.o.Client.Pages(ctx, msgraph.Request{
		Endpoint: e, Path: f.link, Header: http.Header{"Prefer": {maxPage}}, Priority: "Low",
	}, func(raw json.RawMessage) error {
		s.dirty = true
		return row(raw)
	})
	if err == nil {
		err = complete(last)
	}
	if err == nil {
		f.link, f.failures = last.DeltaLink, 0
		return false, nil
	}
	var me *msgraph.Error
	if !errors.As(err, &me) {
		return false, err
	}
	switch me.Kind {
	case msgraph.KindGone, msgraph.KindBadRequest, msgraph.KindNotFound:
		s.resyncs++
		s.o.Logger.Info("directory no longer knows the last position, listing everything", "endpoint", e.String(), "error", err)
		return true, nil
	case msgraph.KindAnswer:
		f.failures++
	case msgraph.KindUnavailable, msgraph.KindThrottled, msgraph.KindUnauthorized, msgraph.KindPermission, msgraph.KindConfig:
	}
	return false, err
}

// list reads a complete listing and returns where its changes will be.
func (s *Source) list(ctx context.Context, e msgraph.Endpoint, path, fields string, row func(json.RawMessage) error) (link string, err error) {
	last, err := s.o.Client.Pages(ctx, msgraph.Request{
		Endpoint: e, Path: path, Query: url.Values{"$select": {fields}},
		Header: http.Header{"Prefer": {maxPage}}, Priority: "Low",
	}, row)
	if err == nil {
		err = complete(last)
	}
	return last.DeltaLink, err
}

var errCutOff = errors.New("listing ends without a delta link: it is cut off")

// complete checks that a list came to its end: only its last page has the link.
func complete(last msgraph.Last) error {
	if last.DeltaLink == "" {
		return errCutOff
	}
	return nil
}
