package configmgr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// Limits of one look-up.
const (
	maxTwins      = 32     // records with one id
	maxLive       = 8      // of them, those that are not obsolete
	maxLookupRows = 20_000 // update rows of one device, when updates are named
)

var errTooManyTwins = errors.New("too many records have this id")

// Lookup implements [source.Looker] for ids of the kinds entra, sid and configmgr;
// for any other kind the device is unknown. It takes two round trips.
func (s *Source) Lookup(ctx context.Context, key decision.Key) (decision.Verdict, error) {
	if err := ctx.Err(); err != nil {
		return decision.Verdict{}, err
	}
	if k, ok := decision.CanonicalKey(key.Kind, key.Value); !ok || k != key || !canAsk(key.Kind) {
		return decision.Verdict{}, fmt.Errorf("id of kind %q: %w", key.Kind, source.ErrUnknownDevice)
	}
	c := s.checks()
	defer s.add(c)
	records, err := s.find(ctx, c, key)
	if err != nil {
		return decision.Verdict{}, err
	}
	g, bounded := errgroup.WithContext(ctx)
	g.SetLimit(4)
	for _, r := range records {
		g.Go(func() error { return s.lookupFacts(bounded, c, r) })
		g.Go(func() error { return s.lookupComanagement(bounded, c, r) })
		if !s.o.NoUpdates {
			g.Go(func() error { return s.lookupScan(bounded, c, r) })
		}
	}
	if err := g.Wait(); err != nil {
		if ctx.Err() != nil {
			return decision.Verdict{}, ctx.Err()
		}
		return decision.Verdict{}, err
	}
	kept, _ := devices(records)
	for _, r := range kept {
		if slices.Contains(r.keys, key) {
			c.client(r)
			return s.judge().verdict(r), nil
		}
	}
	return decision.Verdict{}, source.ErrUnknownDevice
}

// find returns the records with an id.
func (s *Source) find(ctx context.Context, c *checks, key decision.Key) ([]*record, error) {
	all := newSite()
	q := query{class: classSystem, filter: filterFor(key), fields: systemFields, once: maxTwins}
	rows := 0
	err := s.client.list(ctx, q, func(raw json.RawMessage) error {
		rows++
		row, err := decode[systemRow](raw)
		if err != nil || !row.ResourceID.known {
			return &Error{Kind: KindAnswer, Class: classSystem, Reason: errNoResource.Error()}
		}
		all.add(c, &row)
		return nil
	})
	records := slices.DeleteFunc(all.records, func(r *record) bool { return r.gone || !slices.Contains(r.keys, key) })
	switch {
	case err != nil:
		return nil, err
	case rows == maxTwins, len(records) > maxLive:
		return nil, &Error{Kind: KindAnswer, Class: classSystem, Reason: errTooManyTwins.Error()}
	case len(records) == 0:
		return nil, source.ErrUnknownDevice
	}
	return records, nil
}

// filterFor asks for an id as the site stores it. The value is canonical: letters,
// digits and hyphens in GUIDs; a quote in any other is doubled.
func filterFor(key decision.Key) string {
	value := strings.ReplaceAll(key.Value, "'", "''")
	switch key.Kind {
	case decision.KindEntra:
		return "AADDeviceID eq '" + value + "'"
	case decision.KindSID:
		return "SID eq '" + strings.ToUpper(value) + "'"
	}
	return "SMSUniqueIdentifier eq '" + strings.ToUpper(value) + "'"
}

func (s *Source) lookupFacts(ctx context.Context, c *checks, r *record) error {
	q := query{class: classResources, filter: fmt.Sprintf("ResourceID eq %d", r.resource), fields: resourceFields, once: 1}
	return s.client.list(ctx, q, func(raw json.RawMessage) error {
		row, err := decode[resourceRow](raw)
		if err == nil && row.ResourceID.is(r.resource) {
			r.addFacts(c, &row)
		} else {
			c.problem(classResources, otherDevice)
		}
		return nil
	})
}

// lookupComanagement asks by either name of the id property.
func (s *Source) lookupComanagement(ctx context.Context, c *checks, r *record) error {
	ask := func(property string) error {
		q := query{class: classComanagement, filter: fmt.Sprintf("%s eq %d", property, r.resource), once: 1}
		return s.client.list(ctx, q, func(raw json.RawMessage) error {
			row, err := decode[comanagementRow](raw)
			if err == nil && row.id().is(r.resource) {
				r.addComanagement(c, &row)
			} else {
				c.problem(classComanagement, otherDevice)
			}
			return nil
		})
	}
	err := ask("MachineId")
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == KindBadRequest {
		err = ask("ResourceID")
	}
	return without(err)
}

// lookupScan reads the update rows of one device: all of them if updates are named,
// else the missing ones and one of each other kind.
func (s *Source) lookupScan(ctx context.Context, c *checks, r *record) error {
	read := func(filter string, once int) error {
		q := query{
			class: classUpdates, filter: fmt.Sprintf("MachineID eq %d%s", r.resource, filter), fields: updateFields,
			once: once, most: maxLookupRows,
		}
		return s.client.list(ctx, q, func(raw json.RawMessage) error {
			row, err := decode[updateRow](raw)
			if err != nil || !row.MachineID.is(r.resource) {
				return &Error{Kind: KindAnswer, Class: classUpdates, Reason: "a row is about another device"}
			}
			c.update(&row)
			switch s.counts(&row) {
			case decision.Yes:
				r.scan.add(&row)
			case decision.Unknown:
				r.scan.unknown, r.scan.odd = true, true
			case decision.No:
			}
			return nil
		})
	}
	if len(s.updates) > 0 {
		return read("", 0)
	}
	if err := read(fmt.Sprintf(" and Status eq %d", updateMissing), maxArticles); err != nil || r.scan.missing {
		return err
	}
	for _, status := range []int{updateUnknown, updateInstalled, updateNotRequired} {
		if err := read(fmt.Sprintf(" and Status eq %d", status), 1); err != nil || r.scan.unknown || r.scan.done {
			return err
		}
	}
	return nil
}
