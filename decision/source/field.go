package source

import "github.com/gatehouse-project/gatehouse/decision"

// field is one enumerated member of [decision.Device] in the packed word of a
// row. The table is the single place that knows how facts are packed, restored
// and compared: a new fact needs one line here.
type field struct {
	name  string
	shift uint8 // of its bits in the word
	top   uint8 // highest value that has a meaning; above it is unknown
	// rank orders the values from good to bad for the guards, unknown in
	// between. Without ranks a change is no news.
	rank []uint8
	get  func(*decision.Device) uint8
	set  func(*decision.Device, uint8)
	// fact is the fact of that name; NumFacts if the field is none by itself.
	fact decision.Fact
}

// enum describes a member by a function that returns its address.
func enum[T ~uint8](name string, top T, at func(*decision.Device) *T, rank ...uint8) field {
	return field{
		name: name, top: uint8(top), rank: rank,
		get: func(d *decision.Device) uint8 { return uint8(*at(d)) },
		set: func(d *decision.Device, v uint8) { *at(d) = T(v) },
	}
}

func wanted(name string, at func(*decision.Device) *decision.Tri) field {
	return enum(name, decision.No, at, 1, 0, 2)
}

func unwanted(name string, at func(*decision.Device) *decision.Tri) field {
	return enum(name, decision.No, at, 1, 2, 0)
}

func level(name string, at func(*decision.Device) *decision.Level) field {
	return enum(name, decision.LevelCompromised, at, 2, 0, 1, 3, 4, 5)
}

// complianceField is the place of compliance in fields: grace period and
// settings travel with it.
const complianceField = 0

var fields = layout([]field{
	enum("compliance", decision.ComplianceNotManaged, func(d *decision.Device) *decision.Compliance { return &d.Compliance },
		2, 0, 3, 1, 3, 3, 2, 2, 3),
	enum("lifecycle", decision.LifecycleDiscovered, func(d *decision.Device) *decision.Lifecycle { return &d.Lifecycle },
		1, 0, 2, 2, 2, 1, 1, 1),
	enum("trust", decision.TrustNone, func(d *decision.Device) *decision.Trust { return &d.Trust }, 2, 0, 0, 1, 3),
	enum("ownership", decision.Personal, func(d *decision.Device) *decision.Ownership { return &d.Ownership }, 1, 0, 2),
	enum("sensor", decision.SensorDeactivated, func(d *decision.Device) *decision.Sensor { return &d.Sensor },
		1, 0, 2, 2, 2, 2, 2, 2, 2),
	enum("platform", decision.NumPlatforms-1, func(d *decision.Device) *decision.Platform { return &d.Platform }),
	enum("channel", decision.ChannelNone, func(d *decision.Device) *decision.Channel { return &d.Channel }),
	level("risk", func(d *decision.Device) *decision.Level { return &d.Risk }),
	level("exposure", func(d *decision.Device) *decision.Level { return &d.Exposure }),
	wanted("managed", func(d *decision.Device) *decision.Tri { return &d.Managed }),
	wanted("enabled", func(d *decision.Device) *decision.Tri { return &d.Enabled }),
	wanted("encrypted", func(d *decision.Device) *decision.Tri { return &d.Encrypted }),
	wanted("updated", func(d *decision.Device) *decision.Tri { return &d.Updated }),
	wanted("apps", func(d *decision.Device) *decision.Tri { return &d.Apps }),
	wanted("antivirus", func(d *decision.Device) *decision.Tri { return &d.Antivirus }),
	wanted("firewall", func(d *decision.Device) *decision.Tri { return &d.Firewall }),
	wanted("secure_boot", func(d *decision.Device) *decision.Tri { return &d.SecureBoot }),
	wanted("supervised", func(d *decision.Device) *decision.Tri { return &d.Supervised }),
	unwanted("jailbroken", func(d *decision.Device) *decision.Tri { return &d.Jailbroken }),
	unwanted("malware", func(d *decision.Device) *decision.Tri { return &d.Malware }),
	{
		name: "risk_floor", top: 1,
		get: func(d *decision.Device) uint8 {
			if d.RiskFloor {
				return 1
			}
			return 0
		},
		set: func(d *decision.Device, v uint8) { d.RiskFloor = v == 1 },
	},
})

// layout gives every field its bits, two for a Tri, four for the others, and its fact.
func layout(fs []field) []field {
	var shift uint8
	for i := range fs {
		fs[i].shift = shift
		shift += fs[i].width()
		fs[i].fact = 0
		for fs[i].fact < decision.NumFacts && fs[i].fact.String() != fs[i].name {
			fs[i].fact++
		}
	}
	if shift > 64 {
		panic("source: facts do not fit into one word")
	}
	return fs
}

func (f *field) width() uint8 {
	if f.top <= 3 {
		return 2
	}
	return 4
}

// in returns the field's value in a packed word; a value without a meaning, as
// a newer snapshot might hold, is unknown.
func (f *field) in(word uint64) uint8 {
	v := uint8(word>>f.shift) & (1<<f.width() - 1)
	if v > f.top {
		return 0
	}
	return v
}

// pack puts all enumerated facts into one word. Values without a meaning become
// unknown.
func pack(d *decision.Device) uint64 {
	var w uint64
	for i := range fields {
		f := &fields[i]
		if v := f.get(d); v <= f.top {
			w |= uint64(v) << f.shift
		}
	}
	return w
}

// with returns the word with another value of the field.
func (f *field) with(word uint64, v uint8) uint64 {
	return word&^((1<<f.width()-1)<<f.shift) | uint64(v)<<f.shift
}

// bad reports whether a value is worse than to know nothing.
func (f *field) bad(v uint8) bool { return len(f.rank) > 0 && f.rank[v] > f.rank[0] }

func unpack(w uint64, d *decision.Device) {
	for i := range fields {
		f := &fields[i]
		f.set(d, f.in(w))
	}
}

// compare says whether the news from old to fresh is good, bad or, of
// different facts, both. Only fields whose bit is in known count. That it is known by
// now whether the sensor behind a level speaks, which made a floor of it (see
// [decision.Device].RiskFloor), is no news about the device.
func compare(old, fresh uint64, known uint32) (better, worse bool) {
	if old == fresh {
		return false, false
	}
	for i := range fields {
		f := &fields[i]
		if len(f.rank) == 0 || known&(1<<i) == 0 {
			continue
		}
		a, b := f.rank[f.in(old)], f.rank[f.in(fresh)]
		if i == sensorField && f.in(old) == 0 && fields[floorField].in(old) == 1 && b < a {
			continue
		}
		better = better || b < a
		worse = worse || b > a
	}
	return better, worse
}

// differ returns the bits of the fields in which two words differ.
func differ(a, b uint64) (bits uint32) {
	for i := range fields {
		if fields[i].in(a) != fields[i].in(b) {
			bits |= 1 << i
		}
	}
	return bits
}

// worsen copies to d whatever is worse in fresh, and nothing else.
func worsen(d, fresh *decision.Device) {
	for i := range fields {
		f := &fields[i]
		if len(f.rank) == 0 {
			continue
		}
		v := f.get(fresh)
		if f.rank[v] <= f.rank[f.get(d)] {
			continue
		}
		f.set(d, v)
		if i == complianceField {
			d.GraceUntil, d.Settings = fresh.GraceUntil, fresh.Settings
		}
	}
}

// doubt notes in d where fresh has a word that nobody can read about a fact that d
// does not know either: another source must not answer in its place.
func doubt(d, fresh *decision.Device) {
	for i := range fields {
		f := &fields[i]
		if f.fact < decision.NumFacts && f.get(d) == 0 && fresh.Unreadable.Has(f.fact) {
			d.Unreadable |= decision.Facts(f.fact)
		}
	}
}

// stop copies to d what ends every request of a device. It is never held back: a
// device that is wiped, disabled, jailbroken or taken over stops at once, however
// many others do.
func stop(d, fresh *decision.Device) {
	if fresh.Enabled == decision.No {
		d.Enabled = decision.No
	}
	switch fresh.Lifecycle {
	case decision.LifecycleRetiring, decision.LifecycleWiping, decision.LifecycleRevoked:
		d.Lifecycle = fresh.Lifecycle
	case decision.LifecycleUnknown, decision.LifecycleActive, decision.LifecyclePending, decision.LifecycleUnhealthy, decision.LifecycleDiscovered:
	}
	if fresh.Jailbroken == decision.Yes {
		d.Jailbroken = decision.Yes
	}
	if fresh.Risk == decision.LevelCompromised {
		d.Risk = decision.LevelCompromised
	}
}
