package entra

import (
	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// readable notes whether what the service said last about a fact could be read.
func (d *device) readable(f decision.Fact, ok bool) {
	if ok {
		d.Unreadable &^= decision.Facts(f)
	} else {
		d.Unreadable |= decision.Facts(f)
	}
}

// lacks counts what a whole object should have and has not.
func (row *deviceRow) lacks(t *tally) {
	if !row.AccountEnabled.seen {
		t.problem("accountEnabled", noValue)
	}
}

// keep puts back the bad news of old that is unknown now only because its successor
// cannot be read. The Runner does the same, but with sweeps alone: it does not hear of
// an object that stands back behind another one with the same deviceId, nor of what
// several rows of one answer, or of answers that failed half-way, said one after the
// other.
func (d *device) keep(old *device) { source.KeepUnreadable(&d.Device, &old.Device) }

// Forget implements [source.Forgetter]. The next Sync does it, also one under way.
func (s *Source) Forget(own decision.Key) { s.forgotten.Add(own) }

// letGo takes back what is kept about devices that an operator named.
func (s *Source) letGo() error {
	for _, id := range s.forgotten.Take() {
		own, ok := parseGUID(id.Value)
		if !ok || own.key() != id {
			continue
		}
		d, ok := s.known.get(own)
		if !ok || !source.ForgetUnreadable(&d.Device) {
			continue
		}
		if err := s.known.put(own, d); err != nil {
			return err
		}
		s.dirty = true
	}
	return nil
}

var _ source.Forgetter = (*Source)(nil)
