package inventory

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// everyWord checks that the normalised name of each value but unknown reads
// back as that value. String gives "unknown" beyond the last one.
func everyWord[T interface {
	~uint8
	String() string
}](t *testing.T, words map[string]T) {
	t.Helper()
	for v := T(1); v.String() != "unknown"; v++ {
		if got, listed := word(words, v.String()); got != v || !listed {
			t.Errorf("%T %q reads as %q", v, v, got)
		}
	}
}

func TestNormalisedNamesReadBack(t *testing.T) {
	everyWord(t, complianceWords)
	everyWord(t, channelWords)
	everyWord(t, lifecycleWords)
	everyWord(t, trustWords)
	everyWord(t, ownershipWords)
	everyWord(t, levelWords)
	everyWord(t, sensorWords)
	everyWord(t, triWords)
}

// Every spelling in a table must be in the form that fold makes.
func TestTablesAreFolded(t *testing.T) {
	check := func(spelling string) {
		var buf [40]byte
		if string(fold(&buf, spelling)) != spelling {
			t.Errorf("%q can never match", spelling)
		}
	}
	for w := range complianceWords {
		check(w)
	}
	for w := range channelWords {
		check(w)
	}
	for w := range lifecycleWords {
		check(w)
	}
	for w := range registrationWords {
		check(w)
	}
	for w := range trustWords {
		check(w)
	}
	for w := range sensorWords {
		check(w)
	}
}

func TestCompliance(t *testing.T) {
	tests := map[string]decision.Compliance{
		"Compliant": decision.Compliant, "COMPLIANT ": decision.Compliant,
		"Noncompliant": decision.NonCompliant, "Not Compliant": decision.NonCompliant, "non-compliant": decision.NonCompliant,
		"In grace period": decision.InGracePeriod, "inGracePeriod": decision.InGracePeriod, "in_grace": decision.InGracePeriod,
		"Not evaluated": decision.ComplianceNotEvaluated,
		"ConfigMgr":     decision.ComplianceDelegated, "See ConfigMgr": decision.ComplianceDelegated, "configManager": decision.ComplianceDelegated,
		// Near misses and the unheard of are unknown.
		"": decision.ComplianceUnknown, "compliant?": decision.ComplianceUnknown, "compliant1": decision.ComplianceUnknown,
		"1": decision.ComplianceUnknown, "true": decision.ComplianceUnknown, "yes": decision.ComplianceUnknown,
		"un compliant":                        decision.ComplianceUnknown,
		"\u0441ompliant":                      decision.ComplianceUnknown, // Cyrillic
		"compliant\u200b":                     decision.ComplianceUnknown,
		"quantum":                             decision.ComplianceUnknown,
		strings.Repeat("compliant", 10):       decision.ComplianceUnknown,
		"compliant" + strings.Repeat(" ", 99): decision.Compliant,
	}
	for s, want := range tests {
		if got, _ := word(complianceWords, strings.TrimSpace(s)); got != want {
			t.Errorf("%q reads as %s, want %s", s, got, want)
		}
	}
}

func TestParseTri(t *testing.T) {
	for s, want := range map[string]decision.Tri{
		"yes": decision.Yes, "True": decision.Yes, "Y": decision.Yes, "1": decision.Yes,
		"no": decision.No, "FALSE": decision.No, "n": decision.No, "0": decision.No,
		"": decision.Unknown, "Unknown": decision.Unknown,
	} {
		if got, err := parseTri(s); err != nil || got != want {
			t.Errorf("%q reads as %s (%v), want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"2", "maybe", "yes!", "null", "-"} {
		if got, err := parseTri(s); err == nil || got != decision.Unknown {
			t.Errorf("%q reads as %s (%v), want an error", s, got, err)
		}
	}
}

func TestParseTime(t *testing.T) {
	at := time.Date(2026, 11, 20, 21, 3, 10, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"":                                  {},
		"2026-11-20T21:03:10Z":              at,
		"2026-11-20T22:03:10+01:00":         at,
		"2026-11-20T21:03:10.0000000Z":      at,
		"2026-11-20T21:03:10":               at,
		"2026-11-20 21:03:10":               at,
		"2026-11-20 21:03:10.0000000":       at,
		"2026-11-20 22:03:10+01:00":         at,
		"2026-11-20 21:03:10Z":              at,
		"2026-11-20 21:03:10.5":             at.Add(time.Second / 2),
		"2026-11-20":                        at.Truncate(24 * time.Hour),
		"0001-01-01T00:00:00Z":              {},
		"0001-01-01 00:00:00.0000000":       {},
		"9999-12-31T23:59:59Z":              {},
		"9999-12-31":                        {},
		"2016-12-31T23:58:46.7156189-08:00": time.Date(2017, 1, 1, 7, 58, 46, 715618900, time.UTC),
	} {
		if got, err := parseTime(s); err != nil || !got.Equal(want) {
			t.Errorf("%q reads as %v (%v), want %v", s, got, err, want)
		}
	}
	for _, s := range []string{
		"yesterday", "11/20/2026 9:03 PM", "20.11.2026", "2026-13-01", "2026-11-20T25:00:00Z", "1763672590",
		"2026-11-20T21:03:10Zx", "1969-12-31T00:00:00Z", "2200-01-01",
	} {
		if got, err := parseTime(s); err == nil || !got.IsZero() {
			t.Errorf("%q reads as %v, want an error", s, got)
		}
	}
}

func TestDisplay(t *testing.T) {
	for s, want := range map[string]string{
		"plain":                       "plain",
		"a\r\nb\x00c\x7f\u0085d":      "a  b c  d",
		"caf\u00e9 \xff":              "caf\u00e9  ",
		strings.Repeat("\u00e9", 200): strings.Repeat("\u00e9", 128),
	} {
		if got := display(s); got != want {
			t.Errorf("%q shows as %q, want %q", s, got, want)
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		30 * time.Hour: "30h", 26*time.Hour + 30*time.Second: "26h1m", 20 * time.Minute: "20m", 10*time.Hour + 10*time.Minute: "10h10m",
		20 * time.Second: "20s",
	} {
		if got := short(d); got != want {
			t.Errorf("%v prints as %s, want %s", d, got, want)
		}
	}
}

func TestWriteJSONRefuses(t *testing.T) {
	device := func(keys ...decision.Key) []decision.Verdict {
		return []decision.Verdict{{Device: decision.Device{Keys: keys}}}
	}
	var many []decision.Key
	for i := range maxKinds + 1 {
		many = append(many, decision.Key{Kind: fmt.Sprint("k", i), Value: "x"})
	}
	for name, devices := range map[string][]decision.Verdict{
		"no id":         device(),
		"many ids":      device(many...),
		"not canonical": device(decision.Key{Kind: decision.KindSerial, Value: "x1"}),
		"two of a kind": device(decision.Key{Kind: "asset", Value: "x"}, decision.Key{Kind: "asset", Value: "y"}),
		"bad kind":      device(decision.Key{Kind: "Asset Tag", Value: "x"}),
	} {
		if err := WriteJSON(&strings.Builder{}, devices, nil); err == nil || !strings.Contains(err.Error(), "device 1") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := WriteJSON(&strings.Builder{}, nil, []decision.UserRecord{{Enabled: decision.Yes}}); err == nil {
		t.Error("took a user without a name")
	}
	if err := WriteJSON(full{}, device(decision.Key{Kind: "asset", Value: "x"}), nil); !errors.Is(err, errFull) {
		t.Errorf("full disk: %v", err)
	}
}

var errFull = errors.New("no space left")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
