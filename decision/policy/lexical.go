package policy

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxDuration bounds every duration of a policy.
const maxDuration = 366 * 24 * time.Hour

// parseDuration reads a duration as Go writes it, with days in front: 15m, 4h,
// 14d, 1d12h. A day has 24 hours.
func parseDuration(s string) (time.Duration, error) {
	bad := fmt.Errorf("bad duration %q: write it like 15m, 4h or 14d", s)
	var total time.Duration
	rest := s
	if days, after, ok := strings.Cut(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, bad
		}
		total, rest = time.Duration(n)*24*time.Hour, after
	}
	if rest != "" {
		if rest[0] < '0' || rest[0] > '9' { // no sign, no leading dot
			return 0, bad
		}
		d, err := time.ParseDuration(rest)
		if err != nil {
			return 0, bad
		}
		total += d
	} else if s == "" {
		return 0, bad
	}
	if total < 0 || total > maxDuration {
		return 0, fmt.Errorf("duration %q is too long: at most 366d", s)
	}
	return total, nil
}

// positiveDuration is parseDuration for a duration of at least a second.
func positiveDuration(s string) (time.Duration, error) {
	d, err := parseDuration(s)
	if err == nil && d < time.Second {
		err = fmt.Errorf("duration %q is too short: at least 1s", s)
	}
	return d, err
}

// formatDuration prints d as one would write it in a policy.
func formatDuration(d time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case d >= day && d%day == 0:
		return strconv.Itoa(int(d/day)) + "d"
	case d >= time.Hour && d%time.Hour == 0:
		return strconv.Itoa(int(d/time.Hour)) + "h"
	case d >= time.Minute && d%time.Minute == 0:
		return strconv.Itoa(int(d/time.Minute)) + "m"
	}
	return d.String()
}

// parseUntil reads YYYY-MM-DD and returns the end of that day, 24:00 UTC.
func parseUntil(s string) (time.Time, error) {
	day, err := time.Parse(time.DateOnly, s)
	if err != nil {
		return time.Time{}, fmt.Errorf("bad date %q: write it as YYYY-MM-DD", s)
	}
	return day.AddDate(0, 0, 1), nil
}

// checkName checks the name of a policy or a step-up. Names are metric labels,
// so they must not need escaping anywhere.
func checkName(noun, s string) error {
	if s == "" {
		return fmt.Errorf("%s has no name", noun)
	}
	if len(s) > 64 {
		return fmt.Errorf("%s name is longer than 64 characters", noun)
	}
	for i := range len(s) {
		c := s[i]
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_':
		case (c == '-' || c == '.') && i > 0:
		default:
			return fmt.Errorf("bad %s name %q: letters, digits, _, - and . only", noun, s)
		}
	}
	return nil
}

// checkWords applies the limits that hold for every line.
func checkWords(words []string) error {
	if len(words) == 0 {
		return fmt.Errorf("line is empty")
	}
	if len(words) > maxWords {
		return fmt.Errorf("line has %d words: at most %d", len(words), maxWords)
	}
	for i, w := range words {
		limit := maxWord
		if i == 2 && words[0] == "require" && words[1] == "expression" {
			limit = maxExpression
		}
		switch {
		case w == "":
			return fmt.Errorf("word %d of the line is empty", i+1)
		case len(w) > limit:
			return fmt.Errorf("word %d of the line is longer than %d bytes", i+1, limit)
		case !utf8.ValidString(w):
			return fmt.Errorf("word %d of the line is not valid UTF-8", i+1)
		case strings.ContainsFunc(w, func(r rune) bool { return unicode.IsControl(r) && r != '\t' && r != '\n' && r != '\r' }):
			return fmt.Errorf("word %d of the line has a control character", i+1)
		}
	}
	return nil
}

// unknownWord is the error for a word that is not in a closed list.
func unknownWord(word, after string, accepted []string) error {
	return fmt.Errorf("unknown word %q after %s; accepted: %s", word, after, strings.Join(accepted, ", "))
}

// text prints words as they could stand in a Caddyfile, always on one line.
func text(words []string) string {
	var b strings.Builder
	for i, w := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(quote(w))
	}
	return b.String()
}

// quote puts w in quotes if a configuration tokenizer would split it or read
// it otherwise.
func quote(w string) string {
	switch {
	case w != "" && !strings.ContainsAny(w, " \t\r\n\"`#{}\\"):
		return w
	case strings.ContainsAny(w, "\t\r\n"):
		return strconv.Quote(w)
	case strings.ContainsAny(w, "\"\\") && !strings.Contains(w, "`"):
		return "`" + w + "`"
	}
	return `"` + strings.ReplaceAll(w, `"`, `\"`) + `"`
}
