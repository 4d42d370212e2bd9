package intune

import (
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// patchAhead is how far ahead of its month a patch level may be dated.
const patchAhead = 31 * 24 * time.Hour

// patched says whether the security patch level of an Android device, which is a
// date such as 2026-11-05, is recent enough. Other systems have none.
func (d *decoder) patched(p decision.Platform, level text) decision.Tri {
	if d.patchWithin <= 0 || p != decision.Android {
		return decision.Unknown
	}
	s := strings.TrimSpace(level.s)
	at, err := time.Parse(time.DateOnly, s)
	switch {
	case level.wrong:
		d.odd("androidSecurityPatchLevel", "wrong type")
	case s == "" || strings.HasPrefix(s, "0001-"):
	case err != nil, at.Year() < 2015, at.After(d.now.Add(patchAhead)):
		d.odd("androidSecurityPatchLevel", "unknown value")
	default:
		return decision.TriOf(d.now.Sub(at) <= d.patchWithin)
	}
	return decision.Unknown
}
