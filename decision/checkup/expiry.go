package checkup

import (
	"fmt"
	"time"
)

// The longest that an end is announced before it comes. What lives for a short
// time is announced when a fifth of it is left, so that a certificate that renews
// itself is never spoken of while that works.
const (
	NoticeCredential = 30 * 24 * time.Hour // secrets and certificates: people have to renew them
	NoticeAuthority  = 60 * 24 * time.Hour // authorities: devices have to be enrolled again
)

const noticeShare = 5

// Expiry judges when something ends. what names it, such as "client secret".
// begins may be zero if it is not known. notice is the longest time before the end
// that is a warning.
func Expiry(check, what string, begins, ends, now time.Time, notice time.Duration, fix string) Finding {
	if life := ends.Sub(begins); !begins.IsZero() && life > 0 {
		notice = min(notice, life/noticeShare)
	}
	left := ends.Sub(now)
	on := ends.UTC().Format("2006-01-02 15:04 UTC")
	switch {
	case left <= 0:
		return Fail(check, fmt.Sprintf("%s ended on %s, %s ago", what, on, Span(-left)), fix)
	case !begins.IsZero() && now.Before(begins):
		return Fail(check, fmt.Sprintf("%s does not count before %s", what, begins.UTC().Format("2006-01-02 15:04 UTC")), "check this machine's clock, or wait")
	case left <= notice:
		return Warn(check, fmt.Sprintf("%s ends on %s, in %s", what, on, Span(left)), fix)
	}
	return Ok(check, fmt.Sprintf("%s is good until %s (%s)", what, on, Span(left)))
}

// Span prints a duration for people, in one or two units: 30d, 2h5m, 40s.
func Span(d time.Duration) string {
	const day = 24 * time.Hour
	two := func(unit time.Duration, name string, next time.Duration, nextName string) string {
		s := fmt.Sprintf("%d%s", d/unit, name)
		if rest := d % unit / next; rest > 0 {
			s += fmt.Sprintf("%d%s", rest, nextName)
		}
		return s
	}
	switch {
	case d < 0:
		return "-" + Span(-d)
	case d >= 3*day:
		return fmt.Sprintf("%dd", d/day)
	case d > day:
		return two(day, "d", time.Hour, "h")
	case d >= time.Hour: // also 24h, which is what people say
		return two(time.Hour, "h", time.Minute, "m")
	case d >= time.Minute:
		return two(time.Minute, "m", time.Second, "s")
	case d >= time.Second:
		return fmt.Sprintf("%ds", d/time.Second)
	}
	return d.Round(time.Millisecond).String()
}
