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

// number is an integer; known is false for anything else.
type number struct {
	value int64
	known bool
}

// UnmarshalJSON implements json.Unmarshaler. It never fails.
func (n *number) UnmarshalJSON(b []byte) error {
	*n = number{}
	switch s := plain(b); s {
	case "true":
		*n = number{1, true}
	case "false":
		*n = number{0, true}
	default:
		if v, err := strconv.ParseInt(s, 10, 64); err == nil {
			*n = number{v, true}
		} else if f, err := strconv.ParseFloat(s, 64); err == nil && f == math.Trunc(f) && math.Abs(f) < 1<<53 {
			*n = number{int64(f), true}
		}
	}
	return nil
}

// is reports whether the number is known and v.
func (n number) is(v int64) bool { return n.known && n.value == v }

// flag is a boolean.
type flag struct{ decision.Tri }

// UnmarshalJSON implements json.Unmarshaler. It never fails.
func (f *flag) UnmarshalJSON(b []byte) error {
	f.Tri = decision.Unknown
	switch strings.ToLower(plain(b)) {
	case "true", "1", "1.0":
		f.Tri = decision.Yes
	case "false", "0", "0.0":
		f.Tri = decision.No
	}
	return nil
}

// text is a string of at most maxText bytes; a longer one is empty, since ids must
// not be cut.
type text string

const maxText = 512

// UnmarshalJSON implements json.Unmarshaler. It never fails.
func (t *text) UnmarshalJSON(b []byte) error {
	*t = ""
	if s := plain(b); s != "null" && len(s) <= maxText {
		*t = text(s)
	}
	return nil
}

// moment is a point in time; zero if unknown.
type moment struct{ time.Time }

// The years outside of which a date means "none".
const firstYear, lastYear = 1990, 2200

// UnmarshalJSON implements json.Unmarshaler. It never fails.
func (m *moment) UnmarshalJSON(b []byte) error {
	m.Time = time.Time{}
	if t := parseTime(plain(b)); t.Year() > firstYear && t.Year() < lastYear {
		m.Time = t.UTC()
	}
	return nil
}

// parseTime reads ISO 8601, with or without an offset (then UTC), and the CIM form
// yyyymmddHHMMSS.mmmmmm+000 of WMI.
func parseTime(s string) time.Time {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999", "2006-01-02 15:04:05.999999999"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t
		}
	}
	if len(s) != 25 || s[14] != '.' || s[21] != '+' && s[21] != '-' {
		return time.Time{}
	}
	t, err := time.Parse("20060102150405.000000", s[:21])
	if err != nil {
		return time.Time{}
	}
	minutes, err := strconv.Atoi(s[21:])
	if err != nil {
		minutes = 0 // "+***": the offset is not known
	}
	return t.Add(-time.Duration(minutes) * time.Minute)
}

// plain returns the text of a JSON scalar: strings without quotes and spaces
// around them; "" for an object, an array or anything malformed.
func plain(b []byte) string {
	b = bytes.TrimSpace(b)
	if len(b) == 0 || b[0] == '{' || b[0] == '[' {
		return ""
	}
	if b[0] != '"' {
		return string(b)
	}
	var s string
	if json.Unmarshal(b, &s) != nil {
		return ""
	}
	return strings.TrimSpace(s)
}
