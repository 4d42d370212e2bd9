package intune

import (
	"strings"
	"time"
)

// date reads RFC 3339 with any fraction and offset, and what exports write: a
// blank instead of the T, and no zone (then UTC). Empty and the years 1 and 9999
// mean none. The result is UTC in whole seconds, as tables keep it.
func (d *decoder) date(field string, t text) time.Time {
	s := strings.TrimSpace(t.s)
	switch {
	case t.wrong:
		d.odd(field, "wrong type")
		return time.Time{}
	case s == "" || strings.HasPrefix(s, "0001-") || strings.HasPrefix(s, "9999-"):
		return time.Time{}
	}
	if len(s) > 10 && s[10] == ' ' {
		s = s[:10] + "T" + strings.TrimSpace(s[11:])
	}
	layout := time.RFC3339
	if len(s) > 11 && !strings.ContainsAny(s[11:], "Z+-") {
		layout = "2006-01-02T15:04:05"
	}
	at, err := time.Parse(layout, s)
	if err != nil || at.Year() < 1990 || at.Year() > 2200 {
		d.odd(field, "unknown value")
		return time.Time{}
	}
	return at.UTC().Truncate(time.Second)
}

// checkIn reads lastSyncDateTime. A date in the future would keep a device
// looking fresh for ever.
func (d *decoder) checkIn(t text) time.Time {
	at := d.date("lastSyncDateTime", t)
	if at.After(d.now.Add(futureLimit)) {
		d.odd("lastSyncDateTime", "in the future")
		return time.Time{}
	}
	return at
}
