package entra

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// deviceSelect names the properties that are read. A delta query reports changes
// of these only. approximateLastSignInDateTime is not among them: it is days
// coarse and no check-in.
const deviceSelect = "id,deviceId,displayName,accountEnabled,isCompliant,isManaged,isRooted,trustType," +
	"deviceOwnership,operatingSystem,operatingSystemVersion,registrationDateTime,complianceExpirationDateTime," +
	"onPremisesSecurityIdentifier,mdmAppId"

// deviceRow is one device object, or what changed of it.
type deviceRow struct {
	ID                 text    `json:"id"`
	Removed            removal `json:"@removed"`
	DeviceID           text    `json:"deviceId"`
	DisplayName        text    `json:"displayName"`
	AccountEnabled     flag    `json:"accountEnabled"`
	IsCompliant        flag    `json:"isCompliant"`
	IsManaged          flag    `json:"isManaged"`
	IsRooted           flag    `json:"isRooted"`
	TrustType          text    `json:"trustType"`
	Ownership          text    `json:"deviceOwnership"`
	OS                 text    `json:"operatingSystem"`
	OSVersion          text    `json:"operatingSystemVersion"`
	Registered         text    `json:"registrationDateTime"`
	ComplianceExpires  text    `json:"complianceExpirationDateTime"`
	SecurityIdentifier text    `json:"onPremisesSecurityIdentifier"`
	MDMApp             text    `json:"mdmAppId"`
	Pins               pins    `json:"alternativeSecurityIds"`
}

var (
	errNoObject = errors.New("row is not an object")
	errNoID     = errors.New("row has no usable id")
)

// decodeDevice reads one row and its own id.
func decodeDevice(raw []byte) (row deviceRow, own guid, err error) {
	if err := json.Unmarshal(raw, &row); err != nil || len(raw) == 0 || raw[0] != '{' {
		return row, own, errNoObject
	}
	own, ok := parseGUID(row.ID.value)
	if !ok {
		return row, own, errNoID
	}
	return row, own, nil
}

// device is what is known of one object: its facts, two dates that are none, and
// whose management system it is in.
type device struct {
	decision.Verdict
	registered int64 // unix seconds; 0 unknown, such as a hybrid join under way
	expires    int64 // until when isCompliant counts, unix seconds; 0 without end
	app        mdmApp
}

// newDevice is an object of which nothing is known. The service leaves out what
// was never set, and an isCompliant or isManaged that was never set means that no
// management system ever reported the device. Every object has an accountEnabled:
// as long as none was read, nobody else can say that the device is not disabled.
func newDevice(own guid) device {
	var d device
	d.Keys = []decision.Key{own.key()}
	d.Unreadable = decision.Facts(decision.FactEnabled)
	d.Compliance, d.Managed = decision.ComplianceNotManaged, decision.No
	return d
}

// merge takes over what a row says. What the row does not mention stays.
func (d *device) merge(row *deviceRow, now time.Time, t *tally) {
	d.mergeKeys(row, t)
	if v, ok := row.DisplayName.read("displayName", t); ok {
		d.Name = display(v)
	}
	if v, ok := row.AccountEnabled.enabled(t); ok {
		d.Enabled = v
		d.readable(decision.FactEnabled, v != decision.Unknown)
	}
	if v, ok := row.IsManaged.read("isManaged", t); ok {
		d.Managed = orNo(v, row.IsManaged.wrong)
		d.readable(decision.FactManaged, !row.IsManaged.wrong)
	}
	if v, ok := row.IsRooted.read("isRooted", t); ok {
		d.Jailbroken = v
		d.readable(decision.FactJailbroken, !row.IsRooted.wrong)
	}
	if v, ok := row.TrustType.read("trustType", t); ok {
		trust, known := word(trusts, "trustType", v, t)
		d.Trust = trust
		d.readable(decision.FactTrust, known && !row.TrustType.wrong)
	}
	if v, ok := row.Ownership.read("deviceOwnership", t); ok {
		ownership, known := word(ownerships, "deviceOwnership", v, t)
		d.Ownership = ownership
		d.readable(decision.FactOwnership, known && !row.Ownership.wrong)
	}
	d.mergeApp(row, t)
	d.mergeOS(row, t)
	d.mergeDates(row, now, t)
	d.mergeCompliance(row, now, t)
}

// mergeKeys sets deviceId, the security identifier and the certificates, behind the
// own id.
func (d *device) mergeKeys(row *deviceRow, t *tally) {
	d.setKey(decision.KindEntra, "deviceId", &row.DeviceID, t)
	d.setKey(decision.KindSID, "onPremisesSecurityIdentifier", &row.SecurityIdentifier, t)
	d.setPins(&row.Pins, t)
}

func (d *device) setKey(kind, field string, from *text, t *tally) {
	v, ok := from.read(field, t)
	if !ok {
		return
	}
	keys := make([]decision.Key, 0, 3) // a new slice: the old one may be shared
	for _, k := range d.Keys {
		if k.Kind != kind {
			keys = append(keys, k)
		}
	}
	k, ok := decision.CanonicalKey(kind, v)
	switch {
	case ok:
		keys = append(keys, k)
	case v != "" && v != zeroGUID:
		t.problem(field, badID)
	}
	d.Keys = keys
}

const zeroGUID = "00000000-0000-0000-0000-000000000000"

// mergeOS reads platform and version, which are one fact: it is readable once both
// are.
func (d *device) mergeOS(row *deviceRow, t *tally) {
	before, good := d.Unreadable.Has(decision.FactOS), true
	if v, ok := row.OS.read("operatingSystem", t); ok {
		p, known := decision.ParsePlatform(v)
		if !known && v != "" && !strings.EqualFold(v, "unknown") {
			t.problem("operatingSystem", unknownValue)
			good = false
		}
		d.Platform, good = p, good && !row.OS.wrong
	} else if before && d.Platform == decision.PlatformUnknown {
		good = false
	}
	if v, ok := row.OSVersion.read("operatingSystemVersion", t); ok {
		version, err := decision.ParseVersion(v)
		if err != nil && v != "" && !strings.EqualFold(v, "unknown") {
			t.problem("operatingSystemVersion", badText)
			good = false
		}
		d.OSVersion, good = version, good && !row.OSVersion.wrong
	} else if before && d.OSVersion.IsZero() {
		good = false
	}
	d.readable(decision.FactOS, good)
}

func (d *device) mergeDates(row *deviceRow, now time.Time, t *tally) {
	if v, ok := row.Registered.read("registrationDateTime", t); ok {
		d.registered = date("registrationDateTime", v, t)
		if d.registered > now.Add(24*time.Hour).Unix() {
			t.problem("registrationDateTime", badDate)
			d.registered = 0
		}
	}
	if v, ok := row.ComplianceExpires.read("complianceExpirationDateTime", t); ok {
		d.expires = date("complianceExpirationDateTime", v, t)
		if _, good := parseDate(v); !good || row.ComplianceExpires.wrong {
			d.expires = 1 // there is an end, but nobody can say when: it is over
		}
	}
}

// mergeCompliance reads isCompliant and applies its end. ComplianceNotEvaluated
// stands for a compliant device whose verdict has run out.
func (d *device) mergeCompliance(row *deviceRow, now time.Time, t *tally) {
	if d.Compliance == decision.ComplianceNotEvaluated {
		d.Compliance = decision.Compliant
	}
	if v, ok := row.IsCompliant.read("isCompliant", t); ok {
		switch {
		case row.IsCompliant.wrong:
			d.Compliance = decision.ComplianceUnknown
		case v == decision.Yes:
			d.Compliance = decision.Compliant
		case v == decision.No:
			d.Compliance = decision.NonCompliant
		default:
			d.Compliance = decision.ComplianceNotManaged
		}
		d.readable(decision.FactCompliance, !row.IsCompliant.wrong)
	}
	d.expire(now)
}

// expire ends a verdict whose time is over. It reports whether it did.
func (d *device) expire(now time.Time) bool {
	if d.Compliance != decision.Compliant || d.expires == 0 || now.Unix() < d.expires {
		return false
	}
	d.Compliance = decision.ComplianceNotEvaluated
	return true
}

// id returns the deviceId, if the object has one.
func (d *device) id() (guid, bool) {
	for _, k := range d.Keys {
		if k.Kind == decision.KindEntra {
			return parseGUID(k.Value)
		}
	}
	return guid{}, false
}

// read returns a member's value, and whether the row has the member.
func (t *text) read(field string, to *tally) (string, bool) {
	if t.wrong {
		to.problem(field, wrongType)
	}
	return t.value, t.seen
}

func (f *flag) read(field string, to *tally) (decision.Tri, bool) {
	if f.wrong {
		to.problem(field, wrongType)
	}
	return f.value, f.seen
}

// enabled reads accountEnabled, which every object has: null is no answer either.
func (f *flag) enabled(to *tally) (decision.Tri, bool) {
	if f.seen && !f.wrong && f.value == decision.Unknown {
		to.problem("accountEnabled", noValue)
	}
	return f.read("accountEnabled", to)
}

// orNo reads null as no: nobody manages the device. A wrong type is unknown.
func orNo(v decision.Tri, wrong bool) decision.Tri {
	if v == decision.Unknown && !wrong {
		return decision.No
	}
	return v
}

// The spellings of enumerations, in lower case: the device filter language
// writes AzureAD where Graph writes AzureAd.
var (
	trusts = map[string]decision.Trust{
		"azuread": decision.TrustJoined, "serverad": decision.TrustHybridJoined, "workplace": decision.TrustRegistered,
	}
	ownerships = map[string]decision.Ownership{
		"company": decision.Corporate, "personal": decision.Personal, "unknown": decision.OwnershipUnknown,
	}
)

// word translates a spelling of an enumeration. Nothing at all is a word too.
func word[T any](words map[string]T, field, v string, t *tally) (w T, ok bool) {
	w, ok = words[strings.ToLower(v)]
	ok = ok || v == ""
	if !ok {
		t.problem(field, unknownValue)
	}
	return w, ok
}

func date(field, v string, t *tally) int64 {
	d, ok := parseDate(v)
	if !ok {
		t.problem(field, badDate)
	}
	if d.IsZero() {
		return 0
	}
	return d.Unix()
}
