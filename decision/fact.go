package decision

import (
	"fmt"
	"strconv"
	"strings"
)

// Tri is a three-valued fact. The zero value is Unknown.
type Tri uint8

// The values of Tri.
const (
	Unknown Tri = iota
	Yes
	No
)

var triNames = [...]string{"unknown", "yes", "no"}

// String returns "unknown", "yes" or "no".
func (t Tri) String() string { return name(triNames[:], int(t)) }

// TriOf turns a known boolean into a Tri.
func TriOf(b bool) Tri {
	if b {
		return Yes
	}
	return No
}

// Fact names one thing that a source can report about a device or its user.
// It is an index into [Posture] and a bit of [FactSet].
type Fact uint8

// The facts. A new fact needs: a row here and in factNames, a field in Device
// or UserRecord, a line in merge (posture.go) and in the packed table of
// decision/source.
const (
	FactManaged Fact = iota
	FactCompliance
	FactEnabled
	FactLifecycle
	FactEncrypted
	FactUpdated
	FactJailbroken
	FactMalware
	FactRisk
	FactOS
	FactTrust
	FactOwnership
	FactOwner
	FactCheckIn
	FactSecureBoot
	FactSupervised
	FactAntivirus
	FactFirewall
	FactApps
	FactSensor
	FactExposure
	FactUserEnabled
	FactUserRisk
	NumFacts
)

var factNames = [NumFacts]string{
	"managed", "compliance", "enabled", "lifecycle", "encrypted", "updated", "jailbroken", "malware",
	"risk", "os", "trust", "ownership", "owner", "checked_in", "secure_boot", "supervised", "antivirus",
	"firewall", "apps", "sensor", "exposure", "user_enabled", "user_risk",
}

// String returns the stable snake_case name used in logs, CEL and inventory files.
func (f Fact) String() string { return name(factNames[:], int(f)) }

// FactSet is a set of facts, for saying what a source can report.
type FactSet uint32

// AllFacts contains every fact.
const AllFacts FactSet = 1<<NumFacts - 1

// userFacts are the facts about the user, which need no device.
const userFacts FactSet = 1<<FactUserEnabled | 1<<FactUserRisk

// Facts builds a set.
func Facts(facts ...Fact) FactSet {
	var s FactSet
	for _, f := range facts {
		s |= 1 << f
	}
	return s
}

// Has reports whether f is in the set.
func (s FactSet) Has(f Fact) bool { return s&(1<<f) != 0 }

// Level is a risk, threat or exposure level. The zero value is unknown. Levels
// are ordered: a higher constant is worse.
type Level uint8

// The levels. LevelCompromised is a hard stop, never a policy threshold.
const (
	LevelUnknown Level = iota
	LevelNone
	LevelLow
	LevelMedium
	LevelHigh
	LevelCompromised
)

var levelNames = [...]string{"unknown", "none", "low", "medium", "high", "compromised"}

// String returns the level's name as written in a policy.
func (l Level) String() string { return name(levelNames[:], int(l)) }

// ParseLevel reads none, low, medium or high; "clear" and "secured" mean none.
func ParseLevel(s string) (Level, bool) {
	switch s = strings.ToLower(s); s {
	case "clear", "secured":
		return LevelNone, true
	case "unknown", "":
		return LevelUnknown, s == "unknown"
	}
	i, ok := index(levelNames[:], s)
	return Level(i), ok
}

// Platform is an operating system family. The zero value is unknown.
type Platform uint8

// The platforms. iPadOS counts as iOS.
const (
	PlatformUnknown Platform = iota
	Windows
	MacOS
	IOS
	Android
	Linux
	ChromeOS
	NumPlatforms
)

var platformNames = [NumPlatforms]string{"unknown", "windows", "macos", "ios", "android", "linux", "chromeos"}

// String returns the platform's name as written in a policy.
func (p Platform) String() string { return name(platformNames[:], int(p)) }

// ParsePlatform reads a platform name as policies and device exports spell it.
// An unknown spelling is PlatformUnknown and false.
func ParsePlatform(s string) (Platform, bool) {
	s = strings.ToLower(strings.TrimSpace(s))
	switch {
	case s == "mac" || s == "macmdm" || s == "mac os" || s == "mac os x" || s == "darwin":
		return MacOS, true
	case s == "ipados" || s == "iphone" || s == "ipad":
		return IOS, true
	case s == "chrome os":
		return ChromeOS, true
	case strings.HasPrefix(s, "windows"):
		return Windows, true
	case strings.HasPrefix(s, "android"):
		return Android, true
	case strings.HasPrefix(s, "linux") || s == "ubuntu":
		return Linux, true
	case strings.HasPrefix(s, "ios"):
		return IOS, true
	}
	i, ok := index(platformNames[:], s)
	return Platform(i), ok && i > 0
}

// Version is an operating system version of up to four numbers, compared from
// the left; missing numbers are zero.
type Version [4]uint32

// ParseVersion reads dotted numbers such as 10.0.22631.4460. Text after the
// first character that is neither digit nor dot is ignored ("14.5 (23F79)").
func ParseVersion(s string) (Version, error) {
	var v Version
	s = strings.TrimSpace(s)
	if i := strings.IndexFunc(s, func(r rune) bool { return r != '.' && (r < '0' || r > '9') }); i >= 0 {
		s = s[:i]
	}
	if s == "" {
		return v, fmt.Errorf("no version number")
	}
	for i, part := range strings.Split(s, ".") {
		if i == len(v) {
			break
		}
		n, err := strconv.ParseUint(part, 10, 32)
		if err != nil {
			return Version{}, fmt.Errorf("version part %q is not a number", part)
		}
		v[i] = uint32(n)
	}
	return v, nil
}

// Less reports whether v is older than o.
func (v Version) Less(o Version) bool {
	for i := range v {
		if v[i] != o[i] {
			return v[i] < o[i]
		}
	}
	return false
}

// IsZero reports whether no version is known.
func (v Version) IsZero() bool { return v == Version{} }

// String prints the numbers up to the last that is not zero.
func (v Version) String() string {
	n := len(v)
	for n > 1 && v[n-1] == 0 {
		n--
	}
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(strconv.FormatUint(uint64(v[i]), 10))
	}
	return b.String()
}

func name(names []string, i int) string {
	if i < len(names) {
		return names[i]
	}
	return "unknown"
}

func index(names []string, s string) (int, bool) {
	for i, n := range names {
		if n == s {
			return i, true
		}
	}
	return 0, false
}
