package httpjson

import (
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-project/gatehouse/decision"
)

// maxText bounds a text about a device in bytes.
const maxText = 256

// lower folds ASCII letters only. Wider folding would let other spellings pass
// as a word, such as the Kelvin sign for k.
func lower(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// scalar spells a value as a word of a translation or as an id. Numbers with a
// fraction or an exponent have no single spelling.
func scalar(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case bool:
		return strconv.FormatBool(v), true
	case int64:
		return strconv.FormatInt(v, 10), true
	}
	return "", false
}

// plainText is scalar for what people or other systems called something: true
// is no name.
func plainText(v any) (string, bool) {
	if _, is := v.(bool); is {
		return "", false
	}
	return scalar(v)
}

// display makes a text fit to be shown: valid, bounded, spaces for controls.
func display(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x20 || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
			return ' '
		}
		return r
	}, s)
	return cut(s, maxText)
}

// cut shortens a text at the start of a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}

func text(at func(*decision.Device) *string) func(*decision.Device, any, time.Time) reason {
	return func(d *decision.Device, v any, _ time.Time) reason {
		s, ok := plainText(v)
		if !ok {
			return unreadable
		}
		*at(d) = display(s)
		return known
	}
}

// setOwner reads the id or name of a user. A text that is cut would be somebody
// else's name, so one that does not fit is unknown.
func setOwner(at func(*decision.Device) *string, spell func(string) string) func(*decision.Device, any, time.Time) reason {
	return func(d *decision.Device, v any, _ time.Time) reason {
		s, ok := plainText(v)
		switch {
		case !ok || len(s) > maxText || strings.ContainsFunc(s, func(r rune) bool {
			return r < 0x20 || r == 0x7f || r == utf8.RuneError
		}):
			return unreadable
		case s == zeroGUID:
			return absent
		}
		*at(d) = spell(s)
		return known
	}
}

const zeroGUID = "00000000-0000-0000-0000-000000000000"

// setVersion reads a version. A number with a fraction is refused: 14.10 as a
// JSON number is 14.1.
func setVersion(d *decision.Device, v any, _ time.Time) reason {
	s, ok := plainText(v)
	if !ok {
		return unreadable
	}
	version, err := decision.ParseVersion(s)
	if err != nil {
		return unreadable
	}
	d.OSVersion = version
	return known
}

// futureLimit is how far ahead of our clock a time about a device may lie: a
// whole time zone written as if it were UTC. A time beyond it would keep a
// device looking freshly checked in for ever.
const futureLimit = 24 * time.Hour

// Times about devices lie in these bounds.
var (
	oldest = time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)
	newest = time.Date(2105, 12, 31, 0, 0, 0, 0, time.UTC)
)

var errTime = errors.New("not a time")

// layouts are the spellings of a time: RFC 3339, the same with a space, both
// without a zone (then UTC), and a day.
var layouts = []string{
	time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02T15:04:05", time.DateTime, "2006-01-02T15:04:05Z0700", time.DateOnly,
}

// setTime reads a time. Only what lies ahead by nature may be in the future.
func setTime(at func(*decision.Device) *time.Time, ahead bool) func(*decision.Device, any, time.Time) reason {
	return func(d *decision.Device, v any, now time.Time) reason {
		t, err := parseTime(v)
		switch {
		case err != nil:
			return unreadable
		case t.Year() <= 1 || t.Year() >= 9999 || t.Unix() == 0: // how services spell "never"
			return absent
		case t.Before(oldest) || t.After(newest) || !ahead && t.Sub(now) > futureLimit:
			return unreadable
		}
		*at(d) = t
		return known
	}
}

// parseTime reads a text in one of the layouts, or a number of seconds, or of
// milliseconds if it is too large for those, since 1970.
func parseTime(v any) (time.Time, error) {
	switch v := v.(type) {
	case int64:
		const seconds = 100_000_000_000 // as seconds year 5138, as milliseconds 1973
		if v < 0 {
			return time.Time{}, errTime
		}
		if v < seconds {
			return time.Unix(v, 0).UTC(), nil
		}
		return time.UnixMilli(v).UTC(), nil
	case string:
		for _, layout := range layouts {
			if t, err := time.Parse(layout, v); err == nil {
				return t.UTC(), nil
			}
		}
	}
	return time.Time{}, errTime
}

// setSettings reads a list of failing settings: their names, or objects with
// name, policy and state. Those beyond decision.MaxSettings are dropped, and so
// are those without a name.
func setSettings(d *decision.Device, v any, _ time.Time) reason {
	list, ok := v.([]any)
	if !ok {
		return unreadable
	}
	why := known
	for _, el := range list {
		if len(d.Settings) == decision.MaxSettings {
			break
		}
		s, ok := readSetting(el)
		if !ok {
			why = unreadable
			continue
		}
		d.Settings = append(d.Settings, s)
	}
	return why
}

func readSetting(v any) (s decision.Setting, ok bool) {
	if m, is := v.(map[string]any); is {
		for name, to := range map[string]*string{"policy": &s.Policy, "state": &s.State} {
			if t, ok := plainText(m[name]); ok {
				*to = display(t)
			}
		}
		v = m["name"]
	}
	name, ok := plainText(v)
	s.Name = strings.TrimSpace(display(name))
	return s, ok && s.Name != ""
}
