package inventory

import (
	"errors"
	"fmt"
	"math/bits"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// Why a value counts as unknown.
const (
	unknownValue = "unknown value" // a word that no table lists, as other sources call it
	tooMany      = "too many"      // settings of one device
)

// errUnlisted is what reading one value returns if the value is no error and
// still cannot be used: it is unknown, and counted.
var errUnlisted = errors.New("value is not listed")

func unlistedUnless(listed bool) error {
	if listed {
		return nil
	}
	return errUnlisted
}

// saysUnknown reports whether a text means on purpose that nothing is known.
func saysUnknown(s string) bool { return s == "" || strings.EqualFold(s, "unknown") }

// label is a pair of words under which values are counted: a closed set, because
// they become labels of a metric.
type label struct{ field, reason string }

// labels are those of the fields, at the same index, and of what is no field.
var labels = func() []label {
	all := make([]label, 0, len(fields)+5)
	for i := range fields {
		all = append(all, label{fields[i].name, unknownValue})
	}
	return append(all, label{"registration", unknownValue}, label{"settings", tooMany}, label{"user_risk", unknownValue},
		label{"user_enabled", unknownValue}, label{"user_compromised", unknownValue})
}()

// labelIndex finds a label by its field.
var labelIndex = func() map[string]uint8 {
	m := make(map[string]uint8, len(labels))
	for i := range labels {
		m[labels[i].field] = uint8(i)
	}
	return m
}()

var (
	labelSettings        = labelIndex["settings"]
	labelUserRisk        = labelIndex["user_risk"]
	labelUserEnabled     = labelIndex["user_enabled"]
	labelUserCompromised = labelIndex["user_compromised"]
)

// oddities are the values of one record that count as unknown: bit i is labels[i].
type oddities uint64

// note takes errUnlisted as an oddity, and passes on every other error.
func (o *oddities) note(label uint8, err error) error {
	if err == errUnlisted { //nolint:errorlint // on the way of every value, and never wrapped
		*o |= 1 << label
		return nil
	}
	return err
}

func (o oddities) has(label uint8) bool { return o&(1<<label) != 0 }

// facts are what the fields with an oddity report.
func (o oddities) facts() (set decision.FactSet) {
	for ; o != 0; o &= o - 1 {
		if i := bits.TrailingZeros64(uint64(o)); i < len(fields) {
			set |= fields[i].supplies
		}
	}
	return set
}

// tally counts the oddities of one file by label; nil: there are none. It belongs
// to one goroutine.
type tally []struct {
	count uint64
	first string // place of the first
}

// add counts those of one record.
func (t *tally) add(o oddities, place func() string) {
	if o == 0 {
		return
	}
	if *t == nil {
		*t = make(tally, len(labels))
	}
	for ; o != 0; o &= o - 1 {
		n := &(*t)[bits.TrailingZeros64(uint64(o))]
		if n.count++; n.count == 1 {
			n.first = place()
		}
	}
}

// Skipped counts the values of one field that count as unknown because they could
// not be used.
type Skipped struct {
	// Field is a column of the plain CSV format; "registration" is Graph
	// deviceRegistrationState, "settings" a device's list of settings, and
	// "user_risk", "user_enabled" and "user_compromised" are about a user.
	Field string `json:"field"`
	// Reason is "unknown value", or "too many" settings of one device.
	Reason string `json:"reason"`
	// Count is how many records have such a value.
	Count uint64 `json:"count"`
	// First is where the first of them stands, such as "line 17".
	First string `json:"first"`
}

// list returns what was counted, in the order of labels.
func (t tally) list() []Skipped {
	var out []Skipped
	for i := range t {
		if n := &t[i]; n.count > 0 {
			out = append(out, Skipped{labels[i].field, labels[i].reason, n.count, n.first})
		}
	}
	return out
}

// describe is one line for people. It does not repeat the values: a file with its
// columns mixed up may have anything in them.
func describe(skipped []Skipped) string {
	parts := make([]string, len(skipped))
	for i, v := range skipped {
		parts[i] = fmt.Sprintf("%s %d (%s, first in %s)", v.Field, v.Count, v.Reason, v.First)
	}
	return strings.Join(parts, ", ")
}

// warn logs what of a new file counts as unknown.
func (s *Source) warn(t tally) {
	if skipped := t.list(); len(skipped) > 0 {
		s.o.Logger.Warn("inventory file has values that count as unknown", "values", describe(skipped))
	}
}

// Stats are what a [Source] counts in the last file that it read to its end. A file
// that a guard of the Runner rejects is one of those.
type Stats struct {
	// Skipped has an entry for each field that has such values.
	Skipped []Skipped `json:"skipped,omitempty"`
}

// Stats returns the counters. Those of a file replace those of the one before, so
// that a mended file shows none.
func (s *Source) Stats() Stats {
	s.mu.Lock()
	good := s.good
	s.mu.Unlock()
	if good == nil {
		return Stats{}
	}
	return Stats{Skipped: good.skipped.list()}
}

// Counters implements [source.Counting]: the values of [Source.Stats].
func (s *Source) Counters() source.Counters {
	st := s.Stats()
	c := source.Counters{Own: st}
	for _, v := range st.Skipped {
		c.Skipped = append(c.Skipped, source.SkippedValue{Field: v.Field, Reason: v.Reason, Count: v.Count})
	}
	return c
}

var _ source.Counting = (*Source)(nil)
