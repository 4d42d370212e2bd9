package configmgr

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
)

// A site has thousands of update rows about each device. To tell "nothing is
// missing" from "never scanned", one row with status 1 or 3 is enough. So a sweep
// reads the rows with status 2 and 0, which are few, and then the rows of some
// single updates, the witnesses, about which nearly every scanned device has a row.
// A device for which no witness is found stays unknown.
const (
	maxWitnesses = 8  // remembered from sweep to sweep
	maxRounds    = 16 // witnesses read in one sweep
	maxProbes    = 32 // single devices asked in one sweep
)

// readScans reads all that counts when no updates are named.
func (s *Source) readScans(ctx context.Context, c *checks, all *site, kept []*record) error {
	newest := map[int64]bool{}
	_, err := s.readUpdate(ctx, c, all, fmt.Sprintf("Status eq %d", updateMissing), func(u *updateRow, _ *record) {
		if u.CIID.known && len(newest) < 10*maxWitnesses {
			newest[u.CIID.value] = true
		}
	})
	if err != nil {
		return err
	}
	if _, err := s.readUpdate(ctx, c, all, fmt.Sprintf("Status eq %d", updateUnknown), nil); err != nil {
		return err
	}
	s.mu.Lock()
	candidates := slices.Clone(s.witnesses)
	s.turn++
	turn := s.turn
	s.mu.Unlock()
	w := &witnesses{s: s, c: c, all: all, open: unproven(kept), turn: turn}
	if len(candidates) == 0 {
		candidates = lastOf(newest, 2) // the newest of the missing updates have rows about many devices
	}
	if err := w.read(ctx, candidates); err != nil {
		return err
	}
	s.mu.Lock()
	s.witnesses = w.useful
	s.mu.Unlock()
	return nil
}

// unproven are the records that look good so far, without proof of a scan.
func unproven(records []*record) []*record {
	var open []*record
	for _, r := range records {
		if r.scan.empty() {
			open = append(open, r)
		}
	}
	return open
}

func lastOf(set map[int64]bool, n int) []int64 {
	ids := make([]int64, 0, len(set))
	for id := range set {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	slices.Reverse(ids)
	return ids[:min(n, len(ids))]
}

// witnesses finds updates that prove scans.
type witnesses struct {
	s      *Source
	c      *checks
	all    *site
	open   []*record
	turn   int
	useful []int64
}

// read reads the candidates first, and then updates that open devices have.
func (w *witnesses) read(ctx context.Context, candidates []int64) error {
	probes := 0
	for round := 0; round < maxRounds && len(w.open) > 0; round++ {
		var id int64
		if len(candidates) > 0 {
			id, candidates = candidates[0], candidates[1:]
		}
		// Another device each time and each sweep: one that was never scanned has
		// no row that could help.
		for id == 0 && probes < maxProbes && probes < len(w.open) {
			r := w.open[(w.turn*maxProbes+probes)%len(w.open)]
			probes++
			var err error
			if id, err = w.s.anyScanned(ctx, w.c, r); err != nil {
				return err
			}
		}
		if id == 0 {
			return nil
		}
		if err := w.readOne(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// readOne reads the rows of one update with both statuses that prove a scan.
func (w *witnesses) readOne(ctx context.Context, id int64) error {
	before := len(w.open)
	for _, status := range []int{updateInstalled, updateNotRequired} {
		if _, err := w.s.readUpdate(ctx, w.c, w.all, fmt.Sprintf("CI_ID eq %d and Status eq %d", id, status), nil); err != nil {
			return err
		}
	}
	w.open = unproven(w.open)
	if len(w.open) < before && len(w.useful) < maxWitnesses && !slices.Contains(w.useful, id) {
		w.useful = append(w.useful, id)
	}
	return nil
}

// anyScanned returns an update about which the device has a row that proves a scan,
// or 0.
func (s *Source) anyScanned(ctx context.Context, c *checks, r *record) (id int64, err error) {
	for _, status := range []int{updateInstalled, updateNotRequired} {
		q := query{
			class: classUpdates, filter: fmt.Sprintf("MachineID eq %d and Status eq %d", r.resource, status),
			fields: updateFields, once: 1, patient: true,
		}
		err = s.client.list(ctx, q, func(raw json.RawMessage) error {
			row, err := decode[updateRow](raw)
			switch {
			case err != nil || !row.MachineID.is(r.resource):
				c.problem(classUpdates, otherDevice)
				return nil
			default:
				c.update(&row)
			}
			if !row.Status.known {
				r.scan.add(&row)
			}
			if row.CIID.known && row.Status.is(int64(status)) {
				id = row.CIID.value
				r.scan.add(&row)
			}
			return nil
		})
		if err != nil || id != 0 {
			return id, err
		}
	}
	return 0, nil
}
