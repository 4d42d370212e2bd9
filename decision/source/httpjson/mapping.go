package httpjson

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// reason says why a field was not filled.
type reason uint8

const (
	known      reason = iota
	absent            // nothing there, or null, or an empty text
	unlisted          // a word that the field or the translation does not have
	unreadable        // of another type or form
	failed            // the expression failed
	numReasons
)

var reasonNames = [numReasons]string{"known", "absent", "unlisted", "unreadable", "failed"}

// Unknown says how often a field could not be filled.
type Unknown struct {
	Field string `json:"field"`
	// Reason is absent, unlisted (a word that has no meaning here), unreadable
	// (another type or form) or failed (the expression).
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
	// Example is the last word that was unlisted, cut to 40 bytes. Never about
	// a person.
	Example string `json:"example,omitempty"`
}

// mapping fills devices from decoded JSON. It is immutable but for its counters
// and safe for concurrent use.
type mapping struct {
	rules  []*rule
	facts  decision.FactSet
	points bool // at least one rule has a pointer
}

// rule is one compiled [Field].
type rule struct {
	name    string
	field   *field // nil: an id
	kind    string // of the id
	pointer pointer
	expr    *expression // nil: the pointer
	values  map[string]string

	counts  [numReasons]atomic.Uint64
	example atomic.Pointer[string]
}

// newMapping checks and compiles a map.
func newMapping(list []Field) (*mapping, error) {
	switch {
	case len(list) == 0:
		return nil, errors.New("map is empty: nothing would be known about any device")
	case len(list) > MaxFields:
		return nil, fmt.Errorf("map has more than %d fields", MaxFields)
	}
	m := &mapping{}
	reads, kinds := false, 0
	for i := range list {
		r, err := newRule(&list[i])
		if err != nil {
			return nil, fmt.Errorf("map %.40s: %w", list[i].Name, err)
		}
		if slices.ContainsFunc(m.rules, func(o *rule) bool { return o.name == r.name }) {
			return nil, fmt.Errorf("map %s: is there twice", r.name)
		}
		if r.field != nil {
			m.facts |= r.field.facts
		} else if kinds++; kinds > maxKinds {
			return nil, fmt.Errorf("map has more than %d ids", maxKinds)
		}
		m.points = m.points || r.expr == nil
		reads = reads || r.expr == nil || r.expr.reads
		m.rules = append(m.rules, r)
	}
	if !reads {
		return nil, errors.New("map reads nothing of the device")
	}
	return m, nil
}

// maxKinds bounds the ids of one device.
const maxKinds = 8

// ids are the names of the kinds of id that sources share.
var ids = map[string]string{
	"entra_id": decision.KindEntra, "intune_id": decision.KindIntune, "serial": decision.KindSerial,
}

func newRule(f *Field) (r *rule, err error) {
	r = &rule{name: f.Name, kind: ids[f.Name]}
	if kind, ok := strings.CutPrefix(f.Name, "id:"); ok {
		if err := validKind(kind); err != nil {
			return nil, err
		}
		for name, k := range ids {
			if k == kind {
				return nil, fmt.Errorf("write %s", name)
			}
		}
		r.kind = kind
	}
	if r.kind == "" {
		i := slices.IndexFunc(fields, func(fl field) bool { return fl.name == f.Name })
		if i < 0 {
			return nil, fmt.Errorf("no such field; there are entra_id, intune_id, serial, id:KIND, %s", strings.Join(FieldNames(), ", "))
		}
		r.field = &fields[i]
	}
	if err := r.setValues(f.Values); err != nil {
		return nil, err
	}
	switch {
	case (f.Pointer == "") == (f.Expression == ""):
		return nil, errors.New("needs a pointer or an expression, and not both")
	case f.Pointer != "":
		r.pointer, err = parsePointer(f.Pointer)
		return r, err
	}
	r.expr, err = compile(f.Expression)
	switch {
	case err != nil:
		return nil, err
	case r.field != nil && !r.field.takes(r.expr.typ, r.values != nil):
		return nil, fmt.Errorf("expression gives %s, which is no value of this field", r.expr.typ)
	case !r.expr.reads && (r.field == nil || !r.field.constant):
		return nil, errors.New("expression does not read doc: it would say the same about every device")
	}
	return r, nil
}

// setValues checks a translation.
func (r *rule) setValues(values map[string]string) error {
	if values == nil {
		return nil
	}
	if r.field == nil || r.field.words == nil {
		return errors.New("takes no table of values")
	}
	for from, to := range values {
		if !r.field.accepts(to) {
			return fmt.Errorf("value %.40q becomes %.40q, which is none of %s", from, to, strings.Join(r.field.words, ", "))
		}
	}
	if len(values) == 0 {
		return errors.New("table of values is empty: nothing would have a meaning")
	}
	r.values = maps.Clone(values)
	return nil
}

// hasIDs reports whether the map fills any id.
func (m *mapping) hasIDs() bool {
	return slices.ContainsFunc(m.rules, func(r *rule) bool { return r.kind != "" })
}

// reading is one device as the map understood it.
type reading struct {
	decision.Device
	// found says that the answer has at least one of the members that the map
	// points to or, if it only has expressions, that one of them worked. An
	// answer without is not the description of a device.
	found bool
	// broken are the kinds whose id is there but cannot be read.
	broken []string
	// noEnd says that there is an end of the grace period that cannot be read.
	noEnd bool
}

// read fills a device. What is not understood stays unknown and is counted.
func (m *mapping) read(ctx context.Context, doc any, now time.Time) reading {
	var to reading
	for _, r := range m.rules {
		v, why, there := r.value(ctx, doc)
		to.found = to.found || why == known && (r.expr == nil || !m.points && r.expr.reads)
		if why == known {
			why = r.apply(&to, v, now)
		}
		if why != known {
			r.counts[why].Add(1)
		}
		if there && why != known && why != absent && r.field != nil {
			to.Unreadable |= r.field.facts
			to.noEnd = to.noEnd || r.field.name == graceUntil
		}
	}
	to.settle()
	return to
}

// settle leaves only those facts unreadable that are unknown. A grace period without
// an end would last for ever.
func (to *reading) settle() {
	if to.OwnerID != "" || to.OwnerUPN != "" {
		to.Unreadable &^= decision.Facts(decision.FactOwner)
	}
	if to.noEnd && to.Compliance == decision.InGracePeriod {
		to.Compliance = decision.ComplianceUnknown
		to.Unreadable |= decision.Facts(decision.FactCompliance)
	}
}

// value finds the raw value. It also says whether there is one, be it one that cannot
// be read.
func (r *rule) value(ctx context.Context, doc any) (v any, why reason, there bool) {
	if r.expr != nil {
		v, why, there = r.expr.eval(ctx, doc)
		if why != known {
			return nil, why, there
		}
	} else {
		v, _ = r.pointer.find(doc)
	}
	if s, ok := v.(string); ok {
		v = strings.TrimSpace(s)
	}
	if v == nil || v == "" {
		return nil, absent, false
	}
	return v, known, true
}

// apply puts a raw value into the device.
func (r *rule) apply(to *reading, v any, now time.Time) reason {
	if r.field == nil {
		return r.applyID(to, v)
	}
	if r.values != nil {
		s, ok := scalar(v)
		if !ok {
			return unreadable
		}
		word, ok := r.values[s]
		if !ok {
			r.keep(s)
			return unlisted
		}
		v = word
	}
	why := r.field.set(&to.Device, v, now)
	if s, ok := scalar(v); ok && why == unlisted {
		r.keep(s)
	}
	return why
}

func (r *rule) applyID(to *reading, v any) reason {
	s, ok := plainText(v)
	if !ok {
		to.broken = append(to.broken, r.kind)
		return unreadable
	}
	if s == zeroGUID {
		return absent
	}
	k, ok := decision.CanonicalKey(r.kind, s)
	switch {
	case !ok:
		to.broken = append(to.broken, r.kind)
		return unreadable
	case placeholder(k):
		return absent
	}
	to.Keys = append(to.Keys, k)
	return known
}

// keep remembers a word as an example for operators.
func (r *rule) keep(s string) {
	if !r.field.private {
		s = cut(display(s), 40)
		r.example.Store(&s)
	}
}

// unknowns returns the counters that are not zero, in the order of the map.
func (m *mapping) unknowns() []Unknown {
	var out []Unknown
	for _, r := range m.rules {
		for why := absent; why < numReasons; why++ {
			n := r.counts[why].Load()
			if n == 0 {
				continue
			}
			u := Unknown{Field: r.name, Reason: reasonNames[why], Count: n}
			if s := r.example.Load(); s != nil && why == unlisted {
				u.Example = *s
			}
			out = append(out, u)
		}
	}
	return out
}
