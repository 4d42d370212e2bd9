package pages

import (
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
)

// The bounds of what is read of an Accept-Language header. A browser sends
// fewer than ten languages in fewer than 100 bytes.
const (
	maxAcceptLanguage = 512
	maxRanges         = 16
)

// Language picks the language of a page from an Accept-Language header (RFC
// 9110, section 12.5.4): the one with the highest weight that has texts, the
// first of several with the same weight, English if there is none. "de-AT" and
// "de" are both German. What cannot be read is skipped; what lies beyond 512
// bytes or 16 ranges is ignored.
func Language(acceptLanguage string) string {
	if len(acceptLanguage) > maxAcceptLanguage {
		acceptLanguage = acceptLanguage[:maxAcceptLanguage]
	}
	best, bestWeight := decision.DefaultLanguage, 0
	refused := make([]string, 0, 2)
	wildcard := 0
	rest, more := acceptLanguage, true
	for n := 0; more && n < maxRanges; n++ {
		var item string
		item, rest, more = strings.Cut(rest, ",")
		tag, weight, ok := languageRange(item)
		if !ok {
			continue
		}
		if tag == "*" {
			wildcard = max(wildcard, weight)
			continue
		}
		primary, _, _ := strings.Cut(tag, "-")
		for _, have := range decision.Languages() {
			if !strings.EqualFold(have, primary) {
				continue
			}
			if weight == 0 && primary == tag {
				refused = append(refused, have)
			}
			if weight > bestWeight {
				best, bestWeight = have, weight
			}
		}
	}
	if wildcard > bestWeight {
		// Any language will do: the first that is not refused by name.
		for _, have := range decision.Languages() {
			if !slices.Contains(refused, have) {
				return have
			}
		}
	}
	return best
}

// languageRange reads one range and its weight in thousandths: "de-AT;q=0.8".
func languageRange(item string) (tag string, weight int, ok bool) {
	tag, param, weighted := strings.Cut(item, ";")
	tag = strings.Trim(tag, " \t")
	if tag == "" {
		return "", 0, false
	}
	if !weighted {
		return tag, 1000, true
	}
	name, value, _ := strings.Cut(strings.Trim(param, " \t"), "=")
	if !strings.EqualFold(name, "q") {
		return "", 0, false
	}
	weight, ok = qvalue(value)
	return tag, weight, ok
}

// qvalue reads 0, 1, 0.5 or 0.875 as thousandths (RFC 9110, section 12.4.2).
func qvalue(s string) (int, bool) {
	whole, fraction, _ := strings.Cut(s, ".")
	if whole != "0" && whole != "1" || len(fraction) > 3 {
		return 0, false
	}
	for _, c := range fraction {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.Atoi(whole + fraction + "000"[len(fraction):])
	return n, err == nil && n <= 1000
}
