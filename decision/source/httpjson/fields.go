package httpjson

import (
	"slices"
	"strings"
	"time"

	"cel.dev/cel-go/cel"

	"github.com/gatehouse-project/gatehouse/decision"
)

// form says what a field takes, for the checks at load.
type form uint8

const (
	word    form = iota // one of the field's words
	truth               // yes or no; also true and false
	label               // any text
	moment              // a time
	dotted              // a version number
	setting             // a list of failing settings
)

// field is one normalised field of a device.
type field struct {
	name  string
	form  form
	facts decision.FactSet
	words []string // that the field takes, best known first; nil if it has none
	// constant fields may be the same for every device of a service: being
	// listed there can mean managed, but never compliant.
	constant bool
	// private fields are about a person: their values are not kept as examples.
	private bool
	// set fills the field. What it cannot read leaves the field unknown.
	set func(d *decision.Device, v any, now time.Time) reason
}

const graceUntil = "grace_until"

// fields lists every normalised name but the ids: those of the inventory file's
// JSON format. A new fact needs a row here.
var fields = []field{
	{name: "name", form: label, private: true, set: text(func(d *decision.Device) *string { return &d.Name })},
	{name: "model", form: label, set: text(func(d *decision.Device) *string { return &d.Model })},
	steady(enum("platform", decision.FactOS, decision.ParsePlatform, decision.NumPlatforms,
		func(d *decision.Device) *decision.Platform { return &d.Platform })),
	{name: "os_version", form: dotted, set: setVersion},
	enum("compliance", decision.FactCompliance, decision.ParseCompliance, decision.ComplianceNotManaged+1,
		func(d *decision.Device) *decision.Compliance { return &d.Compliance }),
	{name: graceUntil, form: moment, set: setTime(func(d *decision.Device) *time.Time { return &d.GraceUntil }, true)},
	steady(tri("managed", decision.FactManaged, func(d *decision.Device) *decision.Tri { return &d.Managed })),
	steady(enum("channel", decision.NumFacts, decision.ParseChannel, decision.ChannelNone+1,
		func(d *decision.Device) *decision.Channel { return &d.Channel })),
	enum("lifecycle", decision.FactLifecycle, decision.ParseLifecycle, decision.LifecycleDiscovered+1,
		func(d *decision.Device) *decision.Lifecycle { return &d.Lifecycle }),
	tri("enabled", decision.FactEnabled, func(d *decision.Device) *decision.Tri { return &d.Enabled }),
	enum("trust", decision.FactTrust, decision.ParseTrust, decision.TrustNone+1,
		func(d *decision.Device) *decision.Trust { return &d.Trust }),
	steady(enum("ownership", decision.FactOwnership, decision.ParseOwnership, decision.Personal+1,
		func(d *decision.Device) *decision.Ownership { return &d.Ownership })),
	{name: "owner_id", form: label, private: true, facts: decision.Facts(decision.FactOwner), set: setOwner(
		func(d *decision.Device) *string { return &d.OwnerID }, strings.ToLower)},
	{name: "owner_upn", form: label, private: true, facts: decision.Facts(decision.FactOwner), set: setOwner(
		func(d *decision.Device) *string { return &d.OwnerUPN }, func(s string) string { return s })},
	tri("encrypted", decision.FactEncrypted, func(d *decision.Device) *decision.Tri { return &d.Encrypted }),
	tri("updated", decision.FactUpdated, func(d *decision.Device) *decision.Tri { return &d.Updated }),
	tri("jailbroken", decision.FactJailbroken, func(d *decision.Device) *decision.Tri { return &d.Jailbroken }),
	tri("apps", decision.FactApps, func(d *decision.Device) *decision.Tri { return &d.Apps }),
	tri("antivirus", decision.FactAntivirus, func(d *decision.Device) *decision.Tri { return &d.Antivirus }),
	tri("firewall", decision.FactFirewall, func(d *decision.Device) *decision.Tri { return &d.Firewall }),
	tri("secure_boot", decision.FactSecureBoot, func(d *decision.Device) *decision.Tri { return &d.SecureBoot }),
	tri("supervised", decision.FactSupervised, func(d *decision.Device) *decision.Tri { return &d.Supervised }),
	enum("risk", decision.FactRisk, decision.ParseLevel, decision.LevelCompromised+1,
		func(d *decision.Device) *decision.Level { return &d.Risk }),
	enum("sensor", decision.FactSensor, decision.ParseSensor, decision.SensorDeactivated+1,
		func(d *decision.Device) *decision.Sensor { return &d.Sensor }),
	enum("exposure", decision.FactExposure, parseExposure, decision.LevelHigh+1,
		func(d *decision.Device) *decision.Level { return &d.Exposure }),
	tri("malware", decision.FactMalware, func(d *decision.Device) *decision.Tri { return &d.Malware }),
	{
		name: "last_check_in", form: moment, facts: decision.Facts(decision.FactCheckIn),
		set: setTime(func(d *decision.Device) *time.Time { return &d.LastCheckIn }, false),
	},
	{name: "evaluated_at", form: moment, set: setTime(func(d *decision.Device) *time.Time { return &d.EvaluatedAt }, false)},
	{name: "settings", form: setting, set: setSettings},
}

// FieldNames returns the normalised names that a [Field] may have besides the
// ids, in the order of the documentation.
func FieldNames() []string {
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].name
	}
	return names
}

// enum describes a field of n words, the first of which is unknown. parse knows
// them in lower case.
func enum[T interface {
	~uint8
	String() string
}](name string, f decision.Fact, parse func(string) (T, bool), n T, at func(*decision.Device) *T,
) field {
	words := make([]string, 0, n)
	for v := T(1); v < n; v++ {
		words = append(words, v.String())
	}
	fl := field{name: name, words: append(words, T(0).String())}
	if f < decision.NumFacts {
		fl.facts = decision.Facts(f)
	}
	fl.set = func(d *decision.Device, v any, _ time.Time) reason {
		s, ok := v.(string)
		if !ok {
			return unreadable
		}
		s = lower(s)
		got, ok := parse(s)
		if !ok && s != decision.Unknown.String() {
			return unlisted
		}
		*at(d) = got
		return known
	}
	return fl
}

func tri(name string, f decision.Fact, at func(*decision.Device) *decision.Tri) field {
	fl := enum(name, f, parseTri, decision.No+1, at)
	fl.form = truth
	set := fl.set
	fl.set = func(d *decision.Device, v any, now time.Time) reason {
		if b, ok := v.(bool); ok {
			*at(d) = decision.TriOf(b)
			return known
		}
		return set(d, v, now)
	}
	return fl
}

func steady(f field) field {
	f.constant = true
	return f
}

func parseTri(s string) (decision.Tri, bool) {
	switch s {
	case "yes", "true":
		return decision.Yes, true
	case "no", "false":
		return decision.No, true
	}
	return decision.Unknown, s == decision.Unknown.String()
}

func parseExposure(s string) (decision.Level, bool) {
	l, ok := decision.ParseLevel(s)
	if l == decision.LevelCompromised { // not a degree of exposure
		return decision.LevelUnknown, false
	}
	return l, ok
}

// takes says whether a field can be filled from an expression of this type.
func (f *field) takes(t *cel.Type, table bool) bool {
	switch t.Kind() {
	case cel.DynKind:
		return true
	case cel.StringKind:
		return f.form != setting
	case cel.BoolKind:
		return table || f.form == truth
	case cel.IntKind, cel.UintKind:
		return table || f.form == moment || f.form == dotted || f.form == label
	case cel.TimestampKind:
		return f.form == moment
	case cel.ListKind:
		return f.form == setting
	}
	return false
}

// accepts reports whether the field takes a word of a translation.
func (f *field) accepts(s string) bool {
	var d decision.Device
	return slices.Contains(f.words, lower(s)) && f.set(&d, s, time.Time{}) == known
}
