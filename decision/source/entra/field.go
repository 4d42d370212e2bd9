package entra

import (
	"bytes"
	"encoding/hex"
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
	badID        = "bad id"
	badText      = "bad text"
	noValue      = "no value"
)

// text is a string member of a row, where absent, null and a wrong type are three
// different things: a row of a delta query has only what changed.
type text struct {
	seen, wrong bool
	value       string // "" for null
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: one odd value must
// not hide the rest of the row.
func (t *text) UnmarshalJSON(b []byte) error {
	*t = text{seen: true}
	switch {
	case len(b) > 0 && b[0] == 'n':
	case len(b) > 1 && b[0] == '"' && bytes.IndexByte(b, '\\') < 0 && utf8.Valid(b):
		t.value = string(b[1 : len(b)-1])
	case json.Unmarshal(b, &t.value) != nil:
		*t = text{seen: true, wrong: true}
	}
	return nil
}

// flag is a boolean member of a row.
type flag struct {
	seen, wrong bool
	value       decision.Tri // Unknown for null
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails.
func (f *flag) UnmarshalJSON(b []byte) error {
	*f = flag{seen: true}
	switch string(b) {
	case "null":
	case "true":
		f.value = decision.Yes
	case "false":
		f.value = decision.No
	default:
		f.wrong = true
	}
	return nil
}

// removal is the member @removed, whatever its reason.
type removal bool

// UnmarshalJSON implements [json.Unmarshaler]. It never fails.
func (r *removal) UnmarshalJSON(b []byte) error {
	*r = string(b) != "null"
	return nil
}

// guid is an id of the directory without a pointer: a million of them in a map
// cost the garbage collector nothing.
type guid [16]byte

// parseGUID reads any spelling of a GUID but the zero one.
func parseGUID(s string) (g guid, ok bool) {
	k, ok := decision.CanonicalKey(decision.KindEntra, s)
	if !ok {
		return g, false
	}
	_, err := hex.Decode(g[:], []byte(strings.ReplaceAll(k.Value, "-", "")))
	return g, err == nil
}

// String returns the canonical spelling.
func (g guid) String() string {
	var b [36]byte
	hex.Encode(b[:8], g[:4])
	hex.Encode(b[9:13], g[4:6])
	hex.Encode(b[14:18], g[6:8])
	hex.Encode(b[19:23], g[8:10])
	hex.Encode(b[24:], g[10:])
	b[8], b[13], b[18], b[23] = '-', '-', '-', '-'
	return string(b[:])
}

// key is the own id of a device object.
func (g guid) key() decision.Key {
	return decision.Key{Kind: decision.KindEntraObject, Value: g.String()}
}

// parseDate reads a date as Graph writes it. Year 1 and year 9999 mean none.
func parseDate(s string) (t time.Time, ok bool) {
	if s == "" {
		return t, true
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return time.Time{}, false
	}
	if y := t.UTC().Year(); y <= 1 || y >= 9999 {
		return time.Time{}, true
	}
	return t, true
}

// display cleans a name that people will read: whoever joins a device chooses it.
func display(s string) string {
	if strings.ContainsFunc(s, unprintable) {
		s = strings.Map(func(r rune) rune {
			if unprintable(r) {
				return -1
			}
			return r
		}, s)
	}
	return strings.TrimSpace(s)
}

func unprintable(r rune) bool { return r < 0x20 || r == 0x7f || r == utf8.RuneError }
