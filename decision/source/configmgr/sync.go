package configmgr

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// errNoResource is why a row cannot be joined.
var errNoResource = errors.New("row has no ResourceID")

// maxUpdateRows bounds the update rows of one listing.
const maxUpdateRows = 50_000_000

// sweepRows bounds the rows of the classes with one row for each device: there are
// also obsolete records and resources that were only discovered.
func (s *Source) sweepRows() int { return 4*s.o.Capacity + 1000 }

// site is what one sweep has read.
type site struct {
	records []*record
	byID    map[int64]*record
}

func newSite() *site { return &site{byID: map[int64]*record{}} }

// add adds a row of SMS_R_System. Paging may repeat one.
func (all *site) add(c *checks, row *systemRow) {
	if !row.gone() { // of what is gone nothing counts
		c.system(row)
	}
	r := newRecord(row)
	if first := all.byID[r.resource]; first != nil {
		c.repeat(first, r)
		return
	}
	all.byID[r.resource] = r
	all.records = append(all.records, r)
}

// Sync implements [source.Syncer]: it lists the four classes, joins them and emits
// each client once. Any class that cannot be read fails the sweep, except the one
// about co-management, which older sites do not have.
func (s *Source) Sync(ctx context.Context, sweep *source.Sweep) error {
	all, c := newSite(), s.checks()
	if err := s.readSystems(ctx, c, all, sweep); err != nil {
		return err
	}
	if err := s.readResources(ctx, c, all, sweep); err != nil {
		return err
	}
	if err := s.readComanagement(ctx, c, all); err != nil {
		return err
	}
	kept, dropped := devices(all.records)
	if dropped > 0 {
		s.o.Logger.Debug("older records of the same devices left out", "records", dropped)
	}
	if !s.o.NoUpdates {
		if err := s.readUpdates(ctx, c, all, kept); err != nil {
			return err
		}
	}
	j := s.judge()
	st := Stats{Duplicates: dropped, Complete: c.now}
	for _, r := range kept {
		c.client(r)
		if !s.o.NoUpdates && r.scan.empty() {
			st.NeverScanned++
		}
		if len(r.keys) == 0 {
			sweep.Bad(fmt.Sprintf("resource %d", r.resource), errors.New("client has no id"))
			continue
		}
		sweep.Device(j.verdict(r))
		st.Devices++
	}
	st.Bad, _ = sweep.BadRows()
	st.Problems = c.counted()
	s.publish(st)
	return nil
}

func (s *Source) judge() judge {
	return judge{now: s.o.Now(), signatureAge: s.o.SignatureAge, noUpdates: s.o.NoUpdates}
}

func (s *Source) readSystems(ctx context.Context, c *checks, all *site, sweep *source.Sweep) error {
	q := query{class: classSystem, fields: systemFields, most: s.sweepRows(), patient: true}
	return s.client.list(ctx, q, func(raw json.RawMessage) error {
		row, err := decode[systemRow](raw)
		switch {
		case err != nil:
			sweep.Bad(classSystem, err)
		case !row.ResourceID.known:
			sweep.Bad(classSystem, errNoResource)
		default:
			all.add(c, &row)
		}
		return nil
	})
}

func (s *Source) readResources(ctx context.Context, c *checks, all *site, sweep *source.Sweep) error {
	q := query{class: classResources, fields: resourceFields, most: s.sweepRows(), patient: true}
	return s.client.list(ctx, q, func(raw json.RawMessage) error {
		row, err := decode[resourceRow](raw)
		switch {
		case err != nil:
			sweep.Bad(classResources, err)
		case !row.ResourceID.known:
			sweep.Bad(classResources, errNoResource)
		default:
			if r := all.byID[row.ResourceID.value]; r != nil {
				r.addFacts(c, &row)
			}
		}
		return nil
	})
}

func (s *Source) readComanagement(ctx context.Context, c *checks, all *site) error {
	q := query{class: classComanagement, fields: comanagementFields, most: s.sweepRows(), patient: true}
	err := s.client.list(ctx, q, func(raw json.RawMessage) error {
		row, err := decode[comanagementRow](raw)
		id := row.id()
		if err != nil || !id.known { // one row less is one channel less
			c.problem(classComanagement, missing)
			return nil
		}
		if r := all.byID[id.value]; r != nil {
			r.addComanagement(c, &row)
		}
		return nil
	})
	return without(err)
}

// without forgives a class that the site does not have.
func without(err error) error {
	if e, ok := errors.AsType[*Error](err); ok && e.Kind == KindNotFound {
		return nil
	}
	return err
}

// readUpdates reads what counts for "updated" into the records.
func (s *Source) readUpdates(ctx context.Context, c *checks, all *site, kept []*record) error {
	if len(s.updates) == 0 {
		return s.readScans(ctx, c, all, kept)
	}
	for _, id := range s.o.Updates {
		n, err := s.readUpdate(ctx, c, all, fmt.Sprintf("CI_ID eq %d", id), nil)
		if err == nil && n == 0 {
			_, err = s.readUpdate(ctx, c, all, fmt.Sprintf("ArticleID eq '%d'", id), nil)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readUpdate lists update rows and adds them to their records. see, if not nil,
// receives each of them.
func (s *Source) readUpdate(ctx context.Context, c *checks, all *site, filter string, see func(*updateRow, *record)) (rows int, err error) {
	q := query{class: classUpdates, filter: filter, fields: updateFields, most: maxUpdateRows, patient: true}
	err = s.client.list(ctx, q, func(raw json.RawMessage) error {
		row, err := decode[updateRow](raw)
		if err != nil || !row.MachineID.known {
			return &Error{Kind: KindAnswer, Class: classUpdates, Reason: "a row has no MachineID"}
		}
		rows++
		r := all.byID[row.MachineID.value]
		if r == nil {
			return nil
		}
		c.update(&row)
		r.scan.add(&row)
		if see != nil {
			see(&row, r)
		}
		return nil
	})
	return rows, err
}

// canAsk are the kinds of id that Lookup understands.
func canAsk(kind string) bool {
	return kind == decision.KindEntra || kind == decision.KindSID || kind == decision.KindConfigMgr
}
