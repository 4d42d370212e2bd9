package configmgr

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// The scalars below read one JSON value in whatever form the service writes it:
// WMI integers arrive as numbers or strings, WMI booleans as booleans or 0 and 1,
// and everything may be null. A form that is not understood is unknown; it never
// spoils the row, and never counts as good.

// state is how a value was read.
type state struct {
	seen bool   // the row has the property, be it null
	why  string // why the value cannot be used; "" if it can be, or there is none
}

// read begins with a value: its text, and whether there is one that may be used. A
// property that is there twice has none.
func (s *state) read(b []byte) (v string, ok bool) {
	again := s.seen
	*s = state{seen: true}
	v, ok = plain(b)
	if again || !ok {
		s.why = wrongType
		return "", false
	}
	return v, v != "" && v != "null"
}

// number is an integer; known is false for anything else.
type number struct {
	value int64
	known bool
	state
}

// UnmarshalJSON implements json.Unmarshaler. It never fails.
func (n *number) UnmarshalJSON(b []byte) error {
	n.value, n.known = 0, false
	s, ok := n.read(b)
	if ok {
		if n.value, n.known = integer(s); !n.known {
			n.why = wrongType
		}
	}
	return nil
}

func integer(s string) (v int64, ok bool) {
	switch s {
	case "true":
		return 1, true
	case "false":
		return 0, true
	}
	if v, err := strconv.ParseInt(s, 10, 64); err == nil {
		return v, true
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) >= 1<<53 {
		return 0, false
	}
	return int64(f), true
}

// is reports whether the number is known and v.
func (n number) is(v int64) bool { return n.known && n.value == v }

// flag is a boolean.
type flag struct {
	decision.Tri
	state
}

// UnmarshalJSON implements json.Unmarshaler. It never fails.
func (f *flag) UnmarshalJSON(b []byte) error {
	f.Tri = decision.Unknown
	s, ok := f.read(b)
	switch strings.ToLower(s) {
	case "true", "1", "1.0":
		f.Tri = decision.Yes
	case "false", "0", "0.0":
		f.Tri = decision.No
	default:
		if ok {
			f.why = unknownValue
		}
	}
	return nil
}

// text is a string of at most maxText bytes; a longer one is empty, since ids must
// not be cut.
type text struct {
	s string
	state
}

const maxText = 512

// UnmarshalJSON implements json.Unmarshaler. It never fails.
func (t *text) UnmarshalJSON(b []byte) error {
	t.s = ""
	s, ok := t.read(b)
	switch {
	case !ok:
	case len(s) > maxText:
		t.why = badText
	default:
		t.s = s
	}
	return nil
}

// moment is a point in time; zero if unknown.
type moment struct {
	time.Time
	state
}

// The years outside of which a date means "none".
const firstYear, lastYear = 1990, 2200

// UnmarshalJSON implements json.Unmarshaler. It never fails.
func (m *moment) UnmarshalJSON(b []byte) error {
	m.Time = time.Time{}
	s, ok := m.read(b)
	if !ok {
		return nil
	}
	t, ok := parseTime(s)
	switch {
	case !ok:
		m.why = badDate
	case t.Year() > firstYear && t.Year() < lastYear:
		m.Time = t.UTC()
	}
	return nil
}

// parseTime reads ISO 8601, with or without an offset (then UTC), and the CIM form
// yyyymmddHHMMSS.mmmmmm+000 of WMI.
func parseTime(s string) (t time.Time, ok bool) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t, true
		}
	}
	if len(s) != 25 || s[14] != '.' || s[21] != '+' && s[21] != '-' {
		return t, false
	}
	at, err := time.Parse("20060102150405.000000", s[:21])
	if err != nil {
		return t, false
	}
	minutes, err := strconv.Atoi(s[21:])
	if err != nil {
		minutes = 0 // "+***": the offset is not known
	}
	return at.Add(-time.Duration(minutes) * time.Minute), true
}

// plain returns the text of a JSON scalar: strings without quotes and spaces
// around them; false for an object, an array or anything malformed.
func plain(b []byte) (string, bool) {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || b[0] == '{' || b[0] == '[' {
		return "", false
	}
	if b[0] != '"' {
		return string(b), true
	}
	var s string
	if json.Unmarshal(b, &s) != nil {
		return "", false
	}
	return strings.TrimSpace(s), true
}
