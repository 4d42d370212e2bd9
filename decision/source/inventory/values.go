package inventory

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// fold reduces a spelling to its letters in lower case and its digits, so that "In
// grace period", "in-grace-period" and "inGracePeriod" are one word. Only the
// separators that exports use are dropped. Any other character makes it no word
// at all: "compliant?" must not read as compliant.
func fold(buf *[40]byte, s string) []byte {
	n := 0
	for i := range len(s) {
		c := s[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case c == ' ' || c == '_' || c == '-' || c == '/' || c == '.':
			continue
		default:
			return nil
		}
		if n == len(buf) {
			return nil
		}
		buf[n] = c
		n++
	}
	return buf[:n]
}

// word looks a spelling up. What is not listed is the zero value, unknown, and
// false. The empty text is unknown on purpose, as are the words that a table
// lists with the zero value.
func word[T any](words map[string]T, s string) (v T, listed bool) {
	if s == "" {
		return v, true
	}
	var buf [40]byte
	v, listed = words[string(fold(&buf, s))]
	return v, listed
}

// enum sets a field by its table; [errUnlisted] if that does not list the word.
func enum[T any](to *T, words map[string]T, s string) error {
	v, listed := word(words, s)
	*to = v
	return unlistedUnless(listed)
}

// The spellings of the admin centre, of Graph v1.0 and beta, and our own.
// reference: Graph managedDevice, device and deviceComplianceState.
var (
	complianceWords = map[string]decision.Compliance{
		"compliant":          decision.Compliant,
		"noncompliant":       decision.NonCompliant,
		"notcompliant":       decision.NonCompliant,
		"ingraceperiod":      decision.InGracePeriod,
		"ingrace":            decision.InGracePeriod,
		"conflict":           decision.ComplianceConflict,
		"error":              decision.ComplianceError,
		"notevaluated":       decision.ComplianceNotEvaluated,
		"configmgr":          decision.ComplianceDelegated,
		"seeconfigmgr":       decision.ComplianceDelegated,
		"configmanager":      decision.ComplianceDelegated,
		"delegatedconfigmgr": decision.ComplianceDelegated,
		"notmanaged":         decision.ComplianceNotManaged,
		"unknown":            decision.ComplianceUnknown,
	}
	channelWords = map[string]decision.Channel{
		"intune":                            decision.ChannelIntune,
		"mdm":                               decision.ChannelIntune,
		"intuneclient":                      decision.ChannelIntune,
		"intuneaosp":                        decision.ChannelIntune,
		"googleclouddevicepolicycontroller": decision.ChannelIntune,
		"microsoft365managedmdm":            decision.ChannelIntune,
		"easmdm":                            decision.ChannelIntune,
		"mdmeas":                            decision.ChannelIntune,
		"easintuneclient":                   decision.ChannelIntune,
		"comanaged":                         decision.ChannelCoManaged,
		"configurationmanagerclientmdm":     decision.ChannelCoManaged,
		"configurationmanagerclientmdmeas":  decision.ChannelCoManaged,
		"configmgr":                         decision.ChannelConfigMgrAttached,
		"configmgrattached":                 decision.ChannelConfigMgrAttached,
		"configurationmanagerclient":        decision.ChannelConfigMgrAttached,
		"configmgronly":                     decision.ChannelConfigMgrOnly,
		"jamf":                              decision.ChannelPartnerMDM,
		"partnermdm":                        decision.ChannelPartnerMDM,
		"mde":                               decision.ChannelMDEAttach,
		"mssense":                           decision.ChannelMDEAttach,
		"mdeattach":                         decision.ChannelMDEAttach,
		"microsoftdefenderforendpoint":      decision.ChannelMDEAttach,
		"eas":                               decision.ChannelEAS,
		"none":                              decision.ChannelNone,
		"unknown":                           decision.ChannelUnknown,
	}
	// Canceled and failed actions leave a device as it was.
	lifecycleWords = map[string]decision.Lifecycle{
		"active":         decision.LifecycleActive,
		"managed":        decision.LifecycleActive,
		"retiring":       decision.LifecycleRetiring,
		"retirepending":  decision.LifecycleRetiring,
		"retireissued":   decision.LifecycleRetiring,
		"retirefailed":   decision.LifecycleActive,
		"retirecanceled": decision.LifecycleActive,
		"wiping":         decision.LifecycleWiping,
		"wipepending":    decision.LifecycleWiping,
		"wipeissued":     decision.LifecycleWiping,
		"deletepending":  decision.LifecycleWiping,
		"wipefailed":     decision.LifecycleActive,
		"wipecanceled":   decision.LifecycleActive,
		"revoked":        decision.LifecycleRevoked,
		"pending":        decision.LifecyclePending,
		"unhealthy":      decision.LifecycleUnhealthy,
		"discovered":     decision.LifecycleDiscovered,
		"unknown":        decision.LifecycleUnknown,
	}
	// A registration that is fine says nothing about the life of a device.
	registrationWords = map[string]decision.Lifecycle{
		"registered":                     decision.LifecycleUnknown,
		"notregistered":                  decision.LifecycleUnknown,
		"unknown":                        decision.LifecycleUnknown,
		"revoked":                        decision.LifecycleRevoked,
		"approvalpending":                decision.LifecyclePending,
		"notregisteredpendingenrollment": decision.LifecyclePending,
		"keyconflict":                    decision.LifecycleUnhealthy,
		"certificatereset":               decision.LifecycleUnhealthy,
	}
	trustWords = map[string]decision.Trust{
		"joined":                     decision.TrustJoined,
		"azuread":                    decision.TrustJoined,
		"azureadjoined":              decision.TrustJoined,
		"entrajoined":                decision.TrustJoined,
		"microsoftentrajoined":       decision.TrustJoined,
		"hybridjoined":               decision.TrustHybridJoined,
		"serverad":                   decision.TrustHybridJoined,
		"hybridazureadjoined":        decision.TrustHybridJoined,
		"entrahybridjoined":          decision.TrustHybridJoined,
		"microsoftentrahybridjoined": decision.TrustHybridJoined,
		"hybridmicrosoftentrajoined": decision.TrustHybridJoined,
		"registered":                 decision.TrustRegistered,
		"workplace":                  decision.TrustRegistered,
		"azureadregistered":          decision.TrustRegistered,
		"entraregistered":            decision.TrustRegistered,
		"microsoftentraregistered":   decision.TrustRegistered,
		"none":                       decision.TrustNone,
		"unknown":                    decision.TrustUnknown,
	}
	ownershipWords = map[string]decision.Ownership{
		"corporate": decision.Corporate,
		"company":   decision.Corporate,
		"personal":  decision.Personal,
		"unknown":   decision.OwnershipUnknown,
	}
	// A partner that has not reported or cannot (Graph partnerReportedThreatState),
	// and a level that a licence hides (Graph riskLevel), leave the level open.
	levelWords = map[string]decision.Level{
		"none":           decision.LevelNone,
		"clear":          decision.LevelNone,
		"secured":        decision.LevelNone,
		"informational":  decision.LevelNone,
		"low":            decision.LevelLow,
		"lowseverity":    decision.LevelLow,
		"medium":         decision.LevelMedium,
		"mediumseverity": decision.LevelMedium,
		"high":           decision.LevelHigh,
		"highseverity":   decision.LevelHigh,
		"compromised":    decision.LevelCompromised,
		"unknown":        decision.LevelUnknown,
		"activated":      decision.LevelUnknown,
		"deactivated":    decision.LevelUnknown,
		"unresponsive":   decision.LevelUnknown,
		"misconfigured":  decision.LevelUnknown,
		"hidden":         decision.LevelUnknown,
	}
	sensorWords = map[string]decision.Sensor{
		"active":                            decision.SensorActive,
		"inactive":                          decision.SensorInactive,
		"impaired":                          decision.SensorImpaired,
		"impairedcommunication":             decision.SensorImpaired,
		"nodata":                            decision.SensorNoData,
		"nosensordata":                      decision.SensorNoData,
		"nosensordataimpairedcommunication": decision.SensorNoData,
		"unresponsive":                      decision.SensorUnresponsive,
		"misconfigured":                     decision.SensorMisconfigured,
		"notonboarded":                      decision.SensorNotOnboarded,
		"deactivated":                       decision.SensorDeactivated,
		"unknown":                           decision.SensorUnknown,
	}
	triWords = map[string]decision.Tri{
		"yes": decision.Yes, "true": decision.Yes, "y": decision.Yes,
		"no": decision.No, "false": decision.No, "n": decision.No,
		"unknown": decision.Unknown,
	}
	// malwareWords are what a threat state may say where yes or no is meant.
	malwareWords = map[string]decision.Tri{
		"active": decision.Yes, "none": decision.No, "clean": decision.No, "remediated": decision.No,
	}
)

// parseTri reads yes, no, true, false, y, n, 1, 0, unknown and the empty text.
func parseTri(s string) (decision.Tri, error) {
	switch s {
	case "1", "yes", "true":
		return decision.Yes, nil
	case "0", "no", "false":
		return decision.No, nil
	}
	if t, listed := word(triWords, s); listed {
		return t, nil
	}
	return decision.Unknown, fmt.Errorf("%q is neither yes, no nor unknown", excerpt(s))
}

// futureLimit is how far ahead of our clock a time about a device may lie: a
// whole time zone written as if it were UTC. A time beyond it would keep a
// device looking freshly checked in for ever.
const futureLimit = 24 * time.Hour

// parseTime reads RFC 3339 with any number of fractional digits, the same with
// a space, and both without a zone (then UTC). The years 1 and 9999 are how
// Graph spells "never"; they and the empty text give the zero time.
func parseTime(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if len(s) >= len(time.DateTime) && (s[:5] == "9999-" || s[:5] == "0001-") {
		return time.Time{}, nil // before the cost of parsing: most rows have one
	}
	if t, ok := parseCommonTime(s); ok {
		return t, nil
	}
	layout := ""
	switch {
	case len(s) == len(time.DateOnly):
		layout = time.DateOnly
	case len(s) >= len(time.DateTime) && (s[10] == 'T' || s[10] == ' '):
		zone := strings.ContainsAny(s[11:], "Z+-")
		switch {
		case s[10] == 'T' && zone:
			layout = time.RFC3339
		case s[10] == 'T':
			layout = "2006-01-02T15:04:05"
		case zone:
			layout = "2006-01-02 15:04:05Z07:00"
		default:
			layout = time.DateTime
		}
	}
	t, err := time.Parse(layout, s)
	if layout == "" || err != nil {
		return time.Time{}, fmt.Errorf("time %q is not in the form 2026-11-20T21:03:10Z", excerpt(s))
	}
	if y := t.UTC().Year(); y <= 1 || y >= 9999 {
		return time.Time{}, nil
	}
	if t.Before(oldest) || t.After(newest) {
		return time.Time{}, fmt.Errorf("time %q is out of range", excerpt(s))
	}
	return t.UTC(), nil
}

// parseCommonTime reads the times that nearly all files have: UTC, or without a
// zone, from 1971 to 2099. False leaves it to parseTime to judge.
func parseCommonTime(s string) (time.Time, bool) {
	if len(s) < len(time.DateTime) || s[4] != '-' || s[7] != '-' || s[10] != 'T' && s[10] != ' ' || s[13] != ':' || s[16] != ':' {
		return time.Time{}, false
	}
	ok := true
	number := func(from, to int) (n int) {
		for _, c := range []byte(s[from:to]) {
			ok = ok && '0' <= c && c <= '9'
			n = n*10 + int(c-'0')
		}
		return n
	}
	year, month, day := number(0, 4), number(5, 7), number(8, 10)
	hour, minute, second := number(11, 13), number(14, 16), number(17, 19)
	rest, ns := strings.TrimSuffix(s[19:], "Z"), 0
	if len(rest) > 1 && len(rest) <= 10 && rest[0] == '.' {
		ns = number(20, 19+len(rest))
		for range 10 - len(rest) {
			ns *= 10
		}
		rest = ""
	}
	if !ok || rest != "" || year < 1971 || year > 2099 || month < 1 || month > 12 || day < 1 || day > 28 ||
		hour > 23 || minute > 59 || second > 59 {
		return time.Time{}, false // day 29 and later depend on the month
	}
	return time.Date(year, time.Month(month), day, hour, minute, second, ns, time.UTC), true
}

// Times about devices lie in these bounds, which also keep them inside 32 bits
// of unix seconds.
var (
	oldest = time.Date(1970, 1, 2, 0, 0, 0, 0, time.UTC)
	newest = time.Date(2105, 12, 31, 0, 0, 0, 0, time.UTC)
)

// parsePast is parseTime for what has happened already.
func parsePast(s string, now time.Time) (time.Time, error) {
	t, err := parseTime(s)
	if err == nil && t.Sub(now) > futureLimit {
		return time.Time{}, fmt.Errorf("time %q is in the future", excerpt(s))
	}
	return t, err
}

// parseVersion reads a version. A text without a number is unknown and
// [errUnlisted], one with a broken number another error.
func parseVersion(s string) (decision.Version, error) {
	if s == "" || s[0] < '0' || s[0] > '9' {
		return decision.Version{}, unlistedUnless(saysUnknown(s))
	}
	return decision.ParseVersion(s)
}

const zeroGUID = "00000000-0000-0000-0000-000000000000"

// addKey appends an id to the device's keys. No id at all, the zero GUID of an
// unregistered device and a maker's placeholder are not an error.
func addKey(d *decision.Device, kind, s string) error {
	if s == "" || s == zeroGUID {
		return nil
	}
	k, ok := decision.CanonicalKey(kind, s)
	if !ok {
		return fmt.Errorf("%s id %q is malformed", kind, excerpt(s))
	}
	if kind == decision.KindSerial && source.PlaceholderSerial(k.Value) {
		return nil
	}
	d.Keys = append(d.Keys, k)
	return nil
}

// The bounds of texts about a device, in bytes. Names are for people and are
// cut; ids must fit.
const (
	maxText = 256
	maxName = 320 // user principal name: 64 + @ + 255
)

// display makes a text fit to be shown: valid, bounded, spaces for controls.
func display(s string) string {
	clean := true
	for i := 0; i < len(s) && clean; i++ {
		clean = s[i] >= 0x20 && s[i] < 0x7f
	}
	if !clean {
		s = strings.Map(func(r rune) rune {
			if r < 0x20 || r >= 0x7f && r < 0xa0 || r == utf8.RuneError {
				return ' '
			}
			return r
		}, s)
	}
	for len(s) > maxText {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

// excerpt bounds what an error repeats of the file.
func excerpt(s string) string {
	if len(s) > 40 {
		return s[:40] + "..."
	}
	return s
}
