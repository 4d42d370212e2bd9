package inventory

import (
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-project/gatehouse/decision"
)

// field is one normalised name that a plain CSV column or a JSON member of a
// device may have.
type field struct {
	name string
	// supplies is what a file with this field can report.
	supplies decision.FactSet
	// set reads a trimmed text, "" if the field is empty. [errUnlisted] means
	// that the value is unknown and counted; any other error makes a bad record.
	set func(d *decision.Device, s string, now time.Time) error
	// boolean fields also take JSON's true and false.
	boolean bool
}

// fields lists every normalised name but the ids. A new fact needs a row here,
// a column in intune.go if the export has it, and a member in write.go.
var fields = []field{
	{name: "name", set: func(d *decision.Device, s string, _ time.Time) error { d.Name = display(s); return nil }},
	{name: "model", set: func(d *decision.Device, s string, _ time.Time) error { d.Model = display(s); return nil }},
	{name: "platform", supplies: decision.Facts(decision.FactOS), set: setPlatform},
	{name: "os_version", set: setVersion},
	{name: "compliance", supplies: decision.Facts(decision.FactCompliance), set: setCompliance},
	{name: "grace_until", set: setGrace},
	tri("managed", decision.FactManaged, func(d *decision.Device) *decision.Tri { return &d.Managed }),
	{name: "channel", set: setChannel},
	{name: "lifecycle", supplies: decision.Facts(decision.FactLifecycle), set: setLifecycle},
	tri("enabled", decision.FactEnabled, func(d *decision.Device) *decision.Tri { return &d.Enabled }),
	{name: "trust", supplies: decision.Facts(decision.FactTrust), set: setTrust},
	{name: "ownership", supplies: decision.Facts(decision.FactOwnership), set: setOwnership},
	{name: "owner_id", supplies: decision.Facts(decision.FactOwner), set: setOwnerID},
	{name: "owner_upn", supplies: decision.Facts(decision.FactOwner), set: setOwnerUPN},
	tri("encrypted", decision.FactEncrypted, func(d *decision.Device) *decision.Tri { return &d.Encrypted }),
	tri("updated", decision.FactUpdated, func(d *decision.Device) *decision.Tri { return &d.Updated }),
	tri("jailbroken", decision.FactJailbroken, func(d *decision.Device) *decision.Tri { return &d.Jailbroken }),
	tri("apps", decision.FactApps, func(d *decision.Device) *decision.Tri { return &d.Apps }),
	tri("antivirus", decision.FactAntivirus, func(d *decision.Device) *decision.Tri { return &d.Antivirus }),
	tri("firewall", decision.FactFirewall, func(d *decision.Device) *decision.Tri { return &d.Firewall }),
	tri("secure_boot", decision.FactSecureBoot, func(d *decision.Device) *decision.Tri { return &d.SecureBoot }),
	tri("supervised", decision.FactSupervised, func(d *decision.Device) *decision.Tri { return &d.Supervised }),
	{name: "risk", supplies: decision.Facts(decision.FactRisk), set: setRisk},
	{name: "sensor", supplies: decision.Facts(decision.FactSensor), set: setSensor},
	{name: "exposure", supplies: decision.Facts(decision.FactExposure), set: setExposure},
	{name: "malware", supplies: decision.Facts(decision.FactMalware), set: setMalware, boolean: true},
	{name: "last_check_in", supplies: decision.Facts(decision.FactCheckIn), set: setCheckIn},
	{name: "evaluated_at", set: setEvaluated},
}

// fieldIndex finds a field by name.
var fieldIndex = func() map[string]int {
	m := make(map[string]int, len(fields))
	for i := range fields {
		m[fields[i].name] = i
	}
	return m
}()

func tri(name string, f decision.Fact, at func(*decision.Device) *decision.Tri) field {
	return field{
		name: name, supplies: decision.Facts(f), boolean: true,
		set: func(d *decision.Device, s string, _ time.Time) (err error) {
			*at(d), err = parseTri(s)
			return err
		},
	}
}

func setPlatform(d *decision.Device, s string, _ time.Time) error {
	p, listed := decision.ParsePlatform(s)
	d.Platform = p
	return unlistedUnless(listed || saysUnknown(s))
}

func setVersion(d *decision.Device, s string, _ time.Time) (err error) {
	d.OSVersion, err = parseVersion(s)
	return err
}

func setCompliance(d *decision.Device, s string, _ time.Time) error {
	return enum(&d.Compliance, complianceWords, s)
}

func setGrace(d *decision.Device, s string, _ time.Time) (err error) {
	d.GraceUntil, err = parseTime(s)
	return err
}

func setChannel(d *decision.Device, s string, _ time.Time) error {
	return enum(&d.Channel, channelWords, s)
}

func setLifecycle(d *decision.Device, s string, _ time.Time) error {
	return enum(&d.Lifecycle, lifecycleWords, s)
}

func setTrust(d *decision.Device, s string, _ time.Time) error {
	return enum(&d.Trust, trustWords, s)
}

func setOwnership(d *decision.Device, s string, _ time.Time) error {
	return enum(&d.Ownership, ownershipWords, s)
}

func setOwnerID(d *decision.Device, s string, _ time.Time) (err error) {
	d.OwnerID, err = userID(s)
	return err
}

func setOwnerUPN(d *decision.Device, s string, _ time.Time) (err error) {
	d.OwnerUPN, err = userName(s)
	return err
}

func setRisk(d *decision.Device, s string, _ time.Time) error {
	return enum(&d.Risk, levelWords, s)
}

func setSensor(d *decision.Device, s string, _ time.Time) error {
	return enum(&d.Sensor, sensorWords, s)
}

func setExposure(d *decision.Device, s string, _ time.Time) error {
	err := enum(&d.Exposure, levelWords, s)
	if d.Exposure == decision.LevelCompromised { // not a degree of exposure
		d.Exposure, err = decision.LevelUnknown, errUnlisted
	}
	return err
}

func setMalware(d *decision.Device, s string, _ time.Time) (err error) {
	err = enum(&d.Malware, malwareWords, s)
	if err != nil {
		d.Malware, err = parseTri(s)
	}
	return err
}

func setCheckIn(d *decision.Device, s string, now time.Time) (err error) {
	d.LastCheckIn, err = parsePast(s, now)
	return err
}

func setEvaluated(d *decision.Device, s string, now time.Time) (err error) {
	d.EvaluatedAt, err = parsePast(s, now)
	return err
}

// userID reads an object id: lower case, as Entra's tokens spell it.
func userID(s string) (string, error) {
	if s == zeroGUID {
		return "", nil
	}
	if err := plain(s); err != nil {
		return "", fmt.Errorf("user id: %w", err)
	}
	return strings.ToLower(s), nil
}

// userName reads a user principal name and keeps its case.
func userName(s string) (string, error) {
	if err := plain(s); err != nil {
		return "", fmt.Errorf("user name: %w", err)
	}
	return s, nil
}

// plain refuses what no id or name of a user contains.
func plain(s string) error {
	if len(s) > maxName {
		return fmt.Errorf("longer than %d bytes", maxName)
	}
	obvious := true
	for i := range len(s) {
		obvious = obvious && s[i] >= 0x20 && s[i] < 0x7f
	}
	if !obvious && strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r == 0x7f || r == utf8.RuneError }) {
		return errors.New("contains control or invalid characters")
	}
	return nil
}

// fits checks what no single field can: that the record names a device.
func fits(d *decision.Device) error {
	if len(d.Keys) == 0 {
		return errors.New("no usable device id")
	}
	return nil
}

// maxKinds bounds the ids of one device and the kinds of id in one file.
const maxKinds = 8

// validKind checks the name of a kind of id, as the configuration spells it.
func validKind(kind string) error {
	if kind == "" || len(kind) > 32 || strings.ContainsFunc(kind, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-'
	}) {
		return fmt.Errorf("kind of id %q is not a name of a-z, 0-9, _ and -", excerpt(kind))
	}
	return nil
}
