package pages

import (
	"strings"
	"testing"
)

func TestLanguage(t *testing.T) {
	tests := []struct{ name, header, want string }{
		{"empty", "", "en"},
		{"german", "de", "de"},
		{"austrian first", "de-AT,de;q=0.9,en;q=0.8", "de"},
		{"upper case", "DE-de", "de"},
		{"english first", "en-US,en;q=0.9,de;q=0.8", "en"},
		{"weight decides", "en;q=0.4, de;q=0.5", "de"},
		{"same weight, first wins", "de;q=0.5, en;q=0.5", "de"},
		{"unknown first", "fr, de;q=0.3, en;q=0.2", "de"},
		{"none known", "fr, it;q=0.5", "en"},
		{"refused", "de;q=0", "en"},
		{"anything", "*", "en"},
		{"anything but english", "en;q=0, *", "de"},
		{"anything rather than german", "de;q=0.5, *;q=0.8", "en"},
		{"three digits", "en;q=0.123, de;q=0.124", "de"},
		{"bad weight skipped", "de;q=2, de;q=x, de;q=0.1234, de;q=-1, de;q=", "en"},
		{"bad parameter skipped", "de;level=1", "en"},
		{"space", " de ; q=0.9 ,\ten;q=0.1", "de"},
		{"not a prefix of a word", "den, dea-x", "en"},
		{"separators only", ",,;,;q=,", "en"},
		{"too many ranges", strings.Repeat("fr,", 16) + "de", "en"},
		{"last allowed range", strings.Repeat("fr,", 15) + "de", "de"},
		{"too long", strings.Repeat("x", 512) + ",de", "en"},
		{"injection", "de\r\nX: y", "en"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := Language(tt.header); got != tt.want {
				t.Errorf("Language(%q) = %s, want %s", tt.header, got, tt.want)
			}
		})
	}
}

func FuzzLanguage(f *testing.F) {
	for _, s := range []string{"de-AT,de;q=0.9,en;q=0.8", "*;q=0.1", "en;q=0,*", ";q=1.000,", "de;q=0.1.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got := Language(s); labels[got] == nil {
			t.Errorf("Language(%q) = %q, which has no texts", s, got)
		}
	})
}
