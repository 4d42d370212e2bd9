package source

import (
	"errors"
	"fmt"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// MaxBadRows is how many bad records a [Sweep] keeps for people to read; all
// are counted.
const MaxBadRows = 20

// BadRow is one record that could not be used.
type BadRow struct {
	Place string `json:"place"` // such as "line 17"
	Error string `json:"error"`
}

// Sweep collects what one Sync emits. The zero value is ready to use and takes
// [DefaultCapacity] devices. It is not safe for concurrent use.
type Sweep struct {
	builder   *Builder
	capacity  int
	devices   int // emitted
	bad       int
	badRows   []BadRow
	confirmed time.Time
	why       error
	facts     decision.FactSet
	factsSet  bool
}

// NewSweep returns a sweep for at most capacity devices; 0 means
// [DefaultCapacity].
func NewSweep(capacity int) *Sweep { return &Sweep{capacity: capacity} }

func (s *Sweep) build() *Builder {
	if s.builder == nil {
		s.builder = NewBuilder(s.capacity)
	}
	return s.builder
}

// Device adds one device. Its ids must be canonical ([decision.CanonicalKey]),
// the source's own first; a device that breaks that counts as bad.
func (s *Sweep) Device(v decision.Verdict) { s.Kept(v, 0) }

// Kept adds a device like Device, of which the source says nothing any more about some
// facts and remembers bad news ([KeepUnreadable]). Of other facts it does nothing.
func (s *Sweep) Kept(v decision.Verdict, facts decision.FactSet) {
	s.devices++
	var kept uint32
	if facts != 0 {
		kept = badOf(pack(&v.Device), stickyOf(facts))
		v.Unreadable |= factsOf(kept) // hidden by what is kept, and there again without it
	}
	if err := s.build().add(&v, mark{kept: kept}); err != nil {
		s.Bad(fmt.Sprintf("device %d", s.devices), err)
	}
}

// User adds one user. A user without object id and name counts as bad.
func (s *Sweep) User(u decision.UserRecord) {
	if err := s.build().AddUser(&u); err != nil {
		s.Bad("user", err)
	}
}

// Bad counts one record that could not be read. place names it, such as
// "line 17". The error must not contain secrets.
func (s *Sweep) Bad(place string, err error) {
	s.bad++
	if len(s.badRows) == MaxBadRows {
		return
	}
	if err == nil {
		err = errors.New("unreadable")
	}
	s.badRows = append(s.badRows, BadRow{Place: cut(place), Error: cut(err.Error())})
}

// SetConfirmed says that the data is only as good as t. A why that is not nil
// marks the source as failing, such as a file that is too old. Without a call
// the data is as good as the start of the Sync.
func (s *Sweep) SetConfirmed(t time.Time, why error) { s.confirmed, s.why = t, why }

// SetFacts narrows or widens what the source reports, from what this sweep saw.
func (s *Sweep) SetFacts(f decision.FactSet) { s.facts, s.factsSet = f, true }

// Devices returns how many devices were emitted, bad ones included.
func (s *Sweep) Devices() int { return s.devices }

// BadRows returns the number of bad records and the first [MaxBadRows] of them.
func (s *Sweep) BadRows() (int, []BadRow) { return s.bad, s.badRows }

// Confirmed returns what SetConfirmed said, or zero values.
func (s *Sweep) Confirmed() (t time.Time, why error) { return s.confirmed, s.why }

// Facts returns what SetFacts said; false without a call.
func (s *Sweep) Facts() (decision.FactSet, bool) { return s.facts, s.factsSet }

// Table builds the table of everything emitted. It may be called once, after
// the Sync; it fails if there is more than fits.
func (s *Sweep) Table() (*Table, error) {
	t, err := s.build().Build()
	s.builder = nil
	return t, err
}
