package defender

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-project/gatehouse/decision"
)

// The reasons for which a value counts as unknown.
const (
	wrongType    = "wrong type"
	unknownValue = "unknown value"
	badDate      = "bad date"
	inFuture     = "in the future"
	badID        = "bad id"
	noObject     = "not an object"
	disagree     = "rows disagree"
)

// tally counts values that could not be used.
type tally map[string]int

// problem counts one field. Both words are constants: the set is closed.
func (t tally) problem(field, reason string) { t[field+": "+reason]++ }

// text is a string member of a row. Null and absent are the empty string.
type text struct {
	seen, wrong bool
	value       string
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: one odd value must
// not hide the rest of the row. A member that is there twice has no value.
func (t *text) UnmarshalJSON(b []byte) error {
	again := t.seen
	*t = text{seen: true}
	switch {
	case again:
		t.wrong = true
	case len(b) > 0 && b[0] == 'n':
	case len(b) > 1 && b[0] == '"' && bytes.IndexByte(b, '\\') < 0 && utf8.Valid(b):
		t.value = string(b[1 : len(b)-1]) // nearly every value
	case json.Unmarshal(b, &t.value) != nil:
		*t = text{seen: true, wrong: true}
	}
	return nil
}

// read returns the value and counts a wrong type.
func (t *text) read(field string, to tally) string {
	if t.wrong {
		to.problem(field, wrongType)
	}
	return t.value
}

// word translates a spelling of an enumeration, whatever its case. What is not
// known counts as the zero value, and is not readable; nothing at all is.
func word[T any](words map[string]T, field string, from *text, t tally) (w T, readable bool) {
	v := from.read(field, t)
	var buf [40]byte // longer than any word
	lower := append(buf[:0], v[:min(len(v), len(buf))]...)
	for i, c := range lower {
		if 'A' <= c && c <= 'Z' {
			lower[i] = c + 'a' - 'A'
		}
	}
	w, known := words[string(lower)]
	if !known && v != "" {
		t.problem(field, unknownValue)
	}
	return w, !from.wrong && (known || v == "")
}

// futureLimit is how far a date may be ahead of us.
const futureLimit = 24 * time.Hour

// date reads a date as the service writes it, to the second. Year 1 and year 9999
// mean none. A date in the future is none either: it would make a machine the
// newest of its device for ever.
func date(field string, from *text, now time.Time, t tally) time.Time {
	v := from.read(field, t)
	if v == "" {
		return time.Time{}
	}
	at, err := time.Parse(time.RFC3339, v)
	if err != nil {
		t.problem(field, badDate)
		return time.Time{}
	}
	at = at.UTC().Truncate(time.Second)
	switch y := at.Year(); {
	case y <= 1 || y >= 9999:
		return time.Time{}
	case y < 1990:
		t.problem(field, badDate)
		return time.Time{}
	case at.After(now.Add(futureLimit)):
		t.problem(field, inFuture)
		return time.Time{}
	}
	return at
}

// display cleans a name that people will read: whoever joins a device chooses it.
func display(s string) string {
	s = strings.TrimSpace(strings.Map(func(r rune) rune {
		if r < 0x20 || r == 0x7f || r == utf8.RuneError {
			return -1
		}
		return r
	}, s))
	if len(s) > maxName {
		s = strings.ToValidUTF8(s[:maxName], "")
	}
	return s
}

// maxName is the longest name of a computer (RFC 1035, section 2.3.4).
const maxName = 255

// machineKey reads the id of a machine. The service writes 40 hexadecimal digits;
// only characters that mean nothing in a path or a filter are taken.
func machineKey(v string) (decision.Key, bool) {
	k, ok := decision.CanonicalKey(decision.KindDefender, v)
	if !ok || len(k.Value) > 128 {
		return decision.Key{}, false
	}
	for i := range len(k.Value) {
		c := k.Value[i]
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			return decision.Key{}, false
		}
	}
	return k, true
}
