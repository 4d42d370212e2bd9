package decision

import (
	"strings"
	"testing"
)

func TestParseVersion(t *testing.T) {
	tests := []struct {
		in   string
		want Version
		ok   bool
	}{
		{"10.0.22631.4460", Version{10, 0, 22631, 4460}, true},
		{" 14.5 (23F79)", Version{14, 5}, true},
		{"1.2.3.4.5", Version{1, 2, 3, 4}, true},
		{"17", Version{17}, true},
		{"", Version{}, false},
		{"v14", Version{}, false},
		{"14..5", Version{}, false},
		{".", Version{}, false},
		{"4294967296", Version{}, false},
	}
	for _, tt := range tests {
		got, err := ParseVersion(tt.in)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("ParseVersion(%q) = %v, %v; want %v, ok %v", tt.in, got, err, tt.want, tt.ok)
		}
	}
}

func TestVersionOrder(t *testing.T) {
	sorted := []Version{{}, {9, 9}, {10}, {10, 0, 1}, {10, 0, 1, 1}, {10, 1}, {11}}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := a.Less(b); got != (i < j) {
				t.Errorf("%v < %v: got %v", a, b, got)
			}
		}
	}
	if got := (Version{10, 0, 1}).String(); got != "10.0.1" {
		t.Errorf("String = %q", got)
	}
	if got := (Version{}).String(); got != "0" {
		t.Errorf("String of zero = %q", got)
	}
}

func TestParsePlatform(t *testing.T) {
	for in, want := range map[string]Platform{
		"windows": Windows, "Windows 11": Windows, "WindowsPhone": Windows, "macOS": MacOS, "macMDM": MacOS, "Mac OS X": MacOS, "Darwin": MacOS,
		"iOS": IOS, "iPadOS": IOS, " ipad ": IOS, "androidForWork": Android, "Ubuntu": Linux, "linux": Linux, "Chrome OS": ChromeOS, "chromeos": ChromeOS,
	} {
		if got, ok := ParsePlatform(in); got != want || !ok {
			t.Errorf("ParsePlatform(%q) = %v, %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "unknown", "tizen", "mac mini", "xwindows"} {
		if got, ok := ParsePlatform(in); got != PlatformUnknown || ok {
			t.Errorf("ParsePlatform(%q) = %v, %v; want unknown, false", in, got, ok)
		}
	}
}

func TestParseLevel(t *testing.T) {
	for in, want := range map[string]Level{"None": LevelNone, "clear": LevelNone, "secured": LevelNone, "HIGH": LevelHigh, "compromised": LevelCompromised, "unknown": LevelUnknown} {
		if got, ok := ParseLevel(in); got != want || !ok {
			t.Errorf("ParseLevel(%q) = %v, %v", in, got, ok)
		}
	}
	for _, in := range []string{"", "severe"} {
		if got, ok := ParseLevel(in); got != LevelUnknown || ok {
			t.Errorf("ParseLevel(%q) = %v, %v; want unknown, false", in, got, ok)
		}
	}
}

// Every name that String prints is read back as the same value, and no parser
// takes a name of another list.
func TestNamesRoundTrip(t *testing.T) {
	parsers := map[string]struct {
		names []string
		parse func(string) (int, bool)
	}{
		"compliance": {complianceNames[:], func(s string) (int, bool) { v, ok := ParseCompliance(s); return int(v), ok }},
		"channel":    {channelNames[:], func(s string) (int, bool) { v, ok := ParseChannel(s); return int(v), ok }},
		"lifecycle":  {lifecycleNames[:], func(s string) (int, bool) { v, ok := ParseLifecycle(s); return int(v), ok }},
		"trust":      {trustNames[:], func(s string) (int, bool) { v, ok := ParseTrust(s); return int(v), ok }},
		"ownership":  {ownershipNames[:], func(s string) (int, bool) { v, ok := ParseOwnership(s); return int(v), ok }},
		"sensor":     {sensorNames[:], func(s string) (int, bool) { v, ok := ParseSensor(s); return int(v), ok }},
		"level":      {levelNames[:], func(s string) (int, bool) { v, ok := ParseLevel(s); return int(v), ok }},
	}
	for what, p := range parsers {
		for i, n := range p.names {
			if got, ok := p.parse(n); got != i || !ok {
				t.Errorf("%s %q = %d, %v; want %d", what, n, got, ok, i)
			}
		}
		if got, ok := p.parse("no such name"); got != 0 || ok {
			t.Errorf("%s takes a made-up name", what)
		}
	}
	for i, n := range proofNames {
		if got, ok := ParseProof(n); ok != (i > 0) || int(got) != i {
			t.Errorf("proof %q = %v, %v", n, got, ok)
		}
	}
	for i, n := range hardStopNames {
		if got, ok := ParseHardStop(n); got != 1<<i || !ok {
			t.Errorf("hard stop %q = %v, %v", n, got, ok)
		}
	}
	for r := NoReason + 1; r < NumReasons; r++ {
		if got, ok := ReasonByCode(r.Code()); got != r || !ok || r.FixedBy() == "" {
			t.Errorf("reason %d: code %q, fixed by %q", r, r.Code(), r.FixedBy())
		}
	}
	for f := range NumFacts {
		if f.String() == "" || !AllFacts.Has(f) || !Facts(f).Has(f) {
			t.Errorf("fact %d has no name or is not in AllFacts", f)
		}
	}
}

func TestCanonicalKey(t *testing.T) {
	const guid = "6f9b2c1e-0d34-4a75-9e55-1f0c2f3a4b5c"
	for _, tt := range []struct{ kind, in, want string }{
		{KindEntra, guid, guid},
		{KindEntra, " {" + strings.ToUpper(guid) + "} ", guid},
		{KindIntune, guid[1:], ""},
		{KindEntra, "00000000-0000-0000-0000-000000000000", ""},
		{KindEntra, strings.Replace(guid, "-", "_", 1), ""},
		{KindEntra, strings.Replace(guid, "f", "g", 1), ""},
		{KindSerial, " abc-1 ", "ABC-1"},
		{KindSerial, "", ""},
		{KindSerial, "a\nb", ""},
		{KindSerial, strings.Repeat("a", 257), ""},
		{"asset", "Tag-7", "tag-7"},
	} {
		got, ok := CanonicalKey(tt.kind, tt.in)
		if got.Value != tt.want || ok != (tt.want != "") {
			t.Errorf("CanonicalKey(%s, %q) = %v, %v; want %q", tt.kind, tt.in, got, ok, tt.want)
		}
	}
}

func FuzzParseVersion(f *testing.F) {
	for _, s := range []string{"10.0.22631.4460", "14.5 (23F79)", "1..2", "", "9999999999", "0"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := ParseVersion(s)
		if err != nil {
			return
		}
		if again, err := ParseVersion(v.String()); err != nil || again != v {
			t.Errorf("%q reads as %v, which reads as %v (%v)", s, v, again, err)
		}
	})
}

func FuzzCanonicalKey(f *testing.F) {
	f.Add(KindEntra, "{6F9B2C1E-0D34-4A75-9E55-1F0C2F3A4B5C}")
	f.Add(KindSerial, "abc")
	f.Add("asset", "\x00")
	f.Fuzz(func(t *testing.T, kind, value string) {
		k, ok := CanonicalKey(kind, value)
		if !ok {
			return
		}
		if again, ok := CanonicalKey(k.Kind, k.Value); !ok || again != k {
			t.Errorf("%q is not canonical: %q, %v", k.Value, again.Value, ok)
		}
	})
}
