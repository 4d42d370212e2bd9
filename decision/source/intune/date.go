package intune

import (
	"strings"
	"time"
)

// date reads RFC 3339 with any fraction and offset, and what exports write: a
// blank instead of the T, and no zone (then UTC). Empty and the years 1 and 9999
// mean none. The result is UTC in whole seconds, as tables keep it. ok is false if
// there is something that cannot be read.
func (d *decoder) date(field string, t text) (at time.Time, ok bool) {
	s := strings.TrimSpace(t.s)
	switch {
	case t.wrong:
		d.odd(field, "wrong type")
		return time.Time{}, false
	case s == "" || strings.HasPrefix(s, "0001-") || strings.HasPrefix(s, "9999-"):
		return time.Time{}, true
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
		return time.Time{}, false
	}
	return at.UTC().Truncate(time.Second), true
}

// checkIn reads lastSyncDateTime, which the service itself sets. A date in the future
// would keep a device looking fresh, and its record newer than any other.
func (d *decoder) checkIn(t text) time.Time {
	at, _ := d.date("lastSyncDateTime", t)
	if at.After(d.now.Add(clockSkew)) {
		d.odd("lastSyncDateTime", "in the future")
		return time.Time{}
	}
	return at
}

// reported reads when a device itself said something; its clock may be wrong.
func (d *decoder) reported(field string, t text) time.Time {
	at, _ := d.date(field, t)
	if at.After(d.now.Add(futureLimit)) {
		d.odd(field, "in the future")
		return time.Time{}
	}
	return at
}
