package source

import (
	"cmp"
	"slices"
	"strings"
)

// Counting is a Source that counts what operators should see beyond what its
// Runner sees.
type Counting interface {
	Source
	// Counters returns the present values. It is quick and makes no call.
	Counters() Counters
}

// Counters are what a source counts. Every word is from a closed set or the
// configuration, never from a device or user: they become metric labels.
type Counters struct {
	// Skipped are values that count as unknown because they could not be used.
	Skipped []SkippedValue `json:"skipped,omitempty"`
	// Refused counts reads that failed without failing the sweep, since the start:
	// what they would have told is unknown.
	Refused map[string]int `json:"refused,omitempty"`
	// SilentPartners says per platform whether a partner that the source relies on,
	// such as a threat defence connector of Intune, has stopped reporting. Nil if
	// that was never read.
	SilentPartners map[string]bool `json:"silent_partners,omitempty"`
	// Own are the source's own counters, for GET /compliance/status. They are a
	// struct that encodes as JSON.
	Own any `json:"own,omitempty"`
}

// SkippedValue counts the values of one field that were skipped for one reason:
// since the last complete listing, or since the start if there is none.
type SkippedValue struct {
	Field  string `json:"field"`
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

// SkippedValues splits counters that are kept as "field: reason".
func SkippedValues(problems map[string]int) []SkippedValue {
	out := make([]SkippedValue, 0, len(problems))
	for what, n := range problems {
		field, reason, _ := strings.Cut(what, ": ")
		out = append(out, SkippedValue{Field: field, Reason: reason, Count: uint64(max(n, 0))})
	}
	slices.SortFunc(out, func(a, b SkippedValue) int {
		return cmp.Or(cmp.Compare(a.Field, b.Field), cmp.Compare(a.Reason, b.Reason))
	})
	return out
}
