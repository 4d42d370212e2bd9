package decision

import (
	"strings"
	"time"
	"unicode"
)

// maxDisplay bounds one value from outside, in runes.
const maxDisplay = 256

// DisplayText makes a value from outside fit to be shown to a person: one line
// of at most 256 runes, valid UTF-8, white space joined, without control
// characters, without format characters (which can reverse the reading
// direction or hide text) and without piles of combining marks. It does not
// escape for HTML.
func DisplayText(s string) string {
	const maxMarks = 3
	var b strings.Builder
	n, marks, space := 0, 0, false
	for _, r := range s {
		switch {
		case unicode.IsSpace(r) || unicode.Is(unicode.Cc, r):
			space = true
			continue
		case unicode.In(r, unicode.Cf, unicode.Co, unicode.Cs):
			continue
		case unicode.In(r, unicode.Mn, unicode.Me):
			if marks++; marks > maxMarks {
				continue
			}
		default:
			marks = 0
		}
		space = space && n > 0
		if n >= maxDisplay-1 || space && n >= maxDisplay-2 {
			b.WriteString("\u2026")
			break
		}
		if space {
			b.WriteByte(' ')
			n++
		}
		space = false
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// parameters returns what replaces {0} and {1} in the message of f, as pairs
// for strings.NewReplacer. It is nil if the parameter cannot be read.
func (l *language) parameters(f *Finding) []string {
	switch f.Reason {
	case GracePeriod, GraceExpired, CheckInTooOld:
		if t, err := time.Parse(time.RFC3339, f.Param); err == nil {
			return []string{"{0}", l.date(t.UTC())}
		}
		return nil
	case OSTooOld:
		return osParameters(f.Param)
	case OSNotAllowed:
		if p, ok := ParsePlatform(f.Param); ok {
			return []string{"{0}", p.display()}
		}
		return nil
	case Noncompliant:
		if list := l.settingNames(f); list != "" {
			return []string{"{0}", list}
		}
		return nil
	default:
		if s := DisplayText(f.Param); s != "" {
			return []string{"{0}", s}
		}
		return nil
	}
}

// osParameters reads "windows 10.0.22000 < 10.0.22631", as osAtLeast writes it.
func osParameters(param string) []string {
	have, need, ok := strings.Cut(param, " < ")
	platform, have, ok2 := strings.Cut(have, " ")
	p, ok3 := ParsePlatform(platform)
	if !ok || !ok2 || !ok3 {
		return nil
	}
	h, err := ParseVersion(have)
	n, err2 := ParseVersion(need)
	if err != nil || err2 != nil {
		return nil
	}
	return []string{"{0}", release(p, h), "{1}", release(p, n)}
}

// windowsReleases are the names that people see in Windows' settings, by build.
// The source is Microsoft's release information for Windows 10 and 11.
var windowsReleases = map[uint32]string{
	17763: "10 1809", 18363: "10 1909", 19041: "10 2004", 19042: "10 20H2", 19043: "10 21H1", 19044: "10 21H2",
	19045: "10 22H2", 22000: "11 21H2", 22621: "11 22H2", 22631: "11 23H2", 26100: "11 24H2", 26200: "11 25H2",
}

// release names a version the way its users know it.
func release(p Platform, v Version) string {
	if name := windowsReleases[v[2]]; p == Windows && v[0] == 10 && name != "" {
		return "Windows " + name + " (" + v.String() + ")"
	}
	return p.display() + " " + v.String()
}

// display is the platform's name as its maker writes it.
func (p Platform) display() string {
	names := [NumPlatforms]string{"", "Windows", "macOS", "iOS", "Android", "Linux", "ChromeOS"}
	return name(names[:], int(p))
}
