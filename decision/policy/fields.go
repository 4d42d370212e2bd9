package policy

import (
	"strings"
	"time"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"

	"github.com/gatehouse-project/gatehouse/decision"
)

// field is one attribute that an expression can read, such as
// device.secure_boot. Its value is computed when it is read.
type field struct {
	name  string
	typ   *cel.Type
	facts decision.FactSet
	// record marks a field that stands in a source's record of the device but
	// is no fact of its own; its age is that of the record.
	record bool
	// values are the words that the field can hold, if they are a closed list.
	values []string
	// size bounds the length of a text or list, for the cost estimate.
	size uint64
	get  func(q *decision.Request) ref.Val
}

// missing is what an unknown fact reads as. CEL merges unknowns without
// changing them, so that one value serves everybody.
var missing ref.Val = types.NewUnknown(0, nil)

// objects are the variables with fields, and their fields by name.
var objects = map[string]map[string]*field{
	"device":  byName(deviceFields),
	"user":    byName(userFields),
	"request": byName(requestFields),
}

func byName(list []field) map[string]*field {
	m := make(map[string]*field, len(list))
	for i := range list {
		m[list[i].name] = &list[i]
	}
	return m
}

var deviceFields = []field{
	fact("managed", decision.FactManaged, func(q *decision.Request) decision.Tri { return q.Posture.Managed }),
	fact("enabled", decision.FactEnabled, func(q *decision.Request) decision.Tri { return q.Posture.Enabled }),
	fact("encrypted", decision.FactEncrypted, func(q *decision.Request) decision.Tri { return q.Posture.Encrypted }),
	fact("updated", decision.FactUpdated, func(q *decision.Request) decision.Tri { return q.Posture.Updated }),
	fact("jailbroken", decision.FactJailbroken, func(q *decision.Request) decision.Tri { return q.Posture.Jailbroken }),
	fact("malware", decision.FactMalware, func(q *decision.Request) decision.Tri { return q.Posture.Malware }),
	fact("secure_boot", decision.FactSecureBoot, func(q *decision.Request) decision.Tri { return q.Posture.SecureBoot }),
	fact("supervised", decision.FactSupervised, func(q *decision.Request) decision.Tri { return q.Posture.Supervised }),
	fact("antivirus", decision.FactAntivirus, func(q *decision.Request) decision.Tri { return q.Posture.Antivirus }),
	fact("firewall", decision.FactFirewall, func(q *decision.Request) decision.Tri { return q.Posture.Firewall }),
	fact("apps", decision.FactApps, func(q *decision.Request) decision.Tri { return q.Posture.Apps }),
	fact("owner", decision.FactOwner, isOwner),

	word("compliance", decision.FactCompliance, decision.ComplianceNotManaged, func(q *decision.Request) decision.Compliance { return q.Posture.Compliance }),
	word("lifecycle", decision.FactLifecycle, decision.LifecycleDiscovered, func(q *decision.Request) decision.Lifecycle { return q.Posture.Lifecycle }),
	word("risk", decision.FactRisk, decision.LevelCompromised, riskOf),
	word("exposure", decision.FactExposure, decision.LevelCompromised, func(q *decision.Request) decision.Level { return q.Posture.Exposure }),
	word("sensor", decision.FactSensor, decision.SensorDeactivated, func(q *decision.Request) decision.Sensor { return q.Posture.Sensor }),
	word("trust", decision.FactTrust, decision.TrustNone, func(q *decision.Request) decision.Trust { return q.Posture.Trust }),
	word("ownership", decision.FactOwnership, decision.Personal, func(q *decision.Request) decision.Ownership { return q.Posture.Ownership }),
	word("platform", decision.FactOS, decision.ChromeOS, platformOf),
	word("os", decision.FactOS, decision.ChromeOS, platformOf),

	{name: "os_version", typ: cel.StringType, facts: decision.Facts(decision.FactOS), size: 64, get: func(q *decision.Request) ref.Val {
		if q.Posture.OSVersion.IsZero() {
			return missing
		}
		return types.String(q.Posture.OSVersion.String())
	}},
	{name: "owner_id", typ: cel.StringType, facts: decision.Facts(decision.FactOwner), size: 256, get: func(q *decision.Request) ref.Val { return str(q.Posture.OwnerID) }},
	{name: "owner_upn", typ: cel.StringType, facts: decision.Facts(decision.FactOwner), size: 1024, get: func(q *decision.Request) ref.Val { return str(q.Posture.OwnerUPN) }},
	{name: "grace_until", typ: cel.TimestampType, facts: decision.Facts(decision.FactCompliance), get: func(q *decision.Request) ref.Val { return date(q.Posture.GraceUntil) }},
	{name: "last_check_in", typ: cel.TimestampType, facts: decision.Facts(decision.FactCheckIn), get: func(q *decision.Request) ref.Val { return date(q.Posture.LastCheckIn) }},
	{name: "checked_in", typ: cel.TimestampType, facts: decision.Facts(decision.FactCheckIn), get: func(q *decision.Request) ref.Val { return date(q.Posture.LastCheckIn) }},

	{name: "evaluated_at", typ: cel.TimestampType, record: true, get: func(q *decision.Request) ref.Val { return date(q.Posture.EvaluatedAt) }},
	{name: "name", typ: cel.StringType, record: true, size: 1024, get: func(q *decision.Request) ref.Val { return str(q.Posture.Name) }},
	{name: "model", typ: cel.StringType, record: true, size: 1024, get: func(q *decision.Request) ref.Val { return str(q.Posture.Model) }},
	recordWord("channel", decision.ChannelNone, func(q *decision.Request) decision.Channel { return q.Posture.Channel }),
	{name: "known", typ: cel.BoolType, record: true, get: deviceKnown},
	{name: "proof", typ: cel.StringType, values: wordsOf(decision.ProofCertificate), size: 64, get: func(q *decision.Request) ref.Val {
		if !q.Identity.Device.Known() || q.Identity.Device.Proof == decision.ProofNone {
			return missing
		}
		return proofs[q.Identity.Device.Proof]
	}},
}

// userFields are unknown as a whole for a stranger, so that nothing is concluded
// from who did not sign in.
var userFields = []field{
	userText("id", func(u *decision.User) string { return u.ID }),
	userText("name", func(u *decision.User) string { return u.Name }),
	userText("email", func(u *decision.User) string { return u.Email }),
	userText("issuer", func(u *decision.User) string { return u.Issuer }),
	userText("tenant", func(u *decision.User) string { return u.Tenant }),
	userText("client", func(u *decision.User) string { return u.Client }),
	userText("acr", func(u *decision.User) string { return u.ACR }),
	userList("acrs", func(u *decision.User) ([]string, bool) { return u.ACRs, u.Issuer != decision.IssuerCertificate }),
	userList("amr", func(u *decision.User) ([]string, bool) { return u.AMR, u.Issuer != decision.IssuerCertificate }),
	userList("groups", func(u *decision.User) ([]string, bool) { return u.Groups, u.GroupsKnown == decision.Yes }),
	{name: "app_only", typ: cel.BoolType, get: func(q *decision.Request) ref.Val {
		if !q.Identity.User.Known() {
			return missing
		}
		return types.Bool(q.Identity.User.AppOnly)
	}},
	{name: "auth_time", typ: cel.TimestampType, get: func(q *decision.Request) ref.Val {
		if u := &q.Identity.User; u.Known() && u.AuthTime > 0 {
			return date(time.Unix(u.AuthTime, 0))
		}
		return missing
	}},
	fact("enabled", decision.FactUserEnabled, func(q *decision.Request) decision.Tri { return q.Posture.User.Enabled }),
	word("risk", decision.FactUserRisk, decision.LevelCompromised, userRiskOf),
}

var requestFields = []field{
	{name: "method", typ: cel.StringType, size: 64, get: func(q *decision.Request) ref.Val { return types.String(q.Method) }},
	{name: "host", typ: cel.StringType, size: 1024, get: func(q *decision.Request) ref.Val { return types.String(q.Host) }},
	{name: "path", typ: cel.StringType, size: 16 << 10, get: func(q *decision.Request) ref.Val { return types.String(q.Path) }},
	{name: "client_ip", typ: cel.StringType, size: 64, get: func(q *decision.Request) ref.Val {
		if !q.ClientIP.IsValid() {
			return missing
		}
		return types.String(q.ClientIP.String())
	}},
}

// fact is a field of a yes-or-no fact.
func fact(name string, f decision.Fact, get func(q *decision.Request) decision.Tri) field {
	return field{name: name, typ: cel.BoolType, facts: decision.Facts(f), get: func(q *decision.Request) ref.Val {
		switch get(q) {
		case decision.Yes:
			return types.True
		case decision.No:
			return types.False
		case decision.Unknown:
		}
		return missing
	}}
}

// enum is a closed list of words whose zero value is unknown.
type enum interface {
	~uint8
	String() string
}

// word is a field of a fact that is one word of a closed list.
func word[E enum](name string, f decision.Fact, last E, get func(q *decision.Request) E) field {
	w := recordWord(name, last, get)
	w.facts, w.record = decision.Facts(f), false
	return w
}

func recordWord[E enum](name string, last E, get func(q *decision.Request) E) field {
	texts := textsOf(last)
	return field{name: name, typ: cel.StringType, record: true, values: wordsOf(last), size: 64, get: func(q *decision.Request) ref.Val {
		if e := int(get(q)); e < len(texts) {
			return texts[e]
		}
		return missing
	}}
}

// wordsOf lists the names of an enum, without that of the zero value.
func wordsOf[E enum](last E) []string {
	names := make([]string, 0, last)
	for e := E(1); e <= last; e++ {
		names = append(names, e.String())
	}
	return names
}

// textsOf holds the names as CEL values, so that reading one allocates nothing.
func textsOf[E enum](last E) []ref.Val {
	texts := make([]ref.Val, 1, int(last)+1)
	texts[0] = missing
	for e := E(1); e <= last; e++ {
		texts = append(texts, types.String(e.String()))
	}
	return texts
}

var proofs = textsOf(decision.ProofCertificate)

func userText(name string, get func(u *decision.User) string) field {
	return field{name: name, typ: cel.StringType, size: 8 << 10, get: func(q *decision.Request) ref.Val {
		if !q.Identity.User.Known() {
			return missing
		}
		return str(get(&q.Identity.User))
	}}
}

func userList(name string, get func(u *decision.User) ([]string, bool)) field {
	return field{name: name, typ: cel.ListType(cel.StringType), size: 4 << 10, get: func(q *decision.Request) ref.Val {
		list, known := get(&q.Identity.User)
		if !known || !q.Identity.User.Known() {
			return missing
		}
		return types.NewStringList(types.DefaultTypeAdapter, list)
	}}
}

// str is a text that is unknown when empty: a credential or a source without
// the value does not say that it is empty.
func str(s string) ref.Val {
	if s == "" {
		return missing
	}
	return types.String(s)
}

func date(t time.Time) ref.Val {
	if t.IsZero() {
		return missing
	}
	return types.Timestamp{Time: t.UTC().Round(0)}
}

func platformOf(q *decision.Request) decision.Platform { return q.Posture.Platform }

// isOwner compares the device's primary user with the signed-in user as
// require owner does: by object id, else by name without regard to case.
func isOwner(q *decision.Request) decision.Tri {
	s, u := q.Posture, &q.Identity.User
	switch {
	case !u.Known():
	case s.OwnerID != "" && u.ObjectID != "":
		return decision.TriOf(strings.EqualFold(s.OwnerID, u.ObjectID))
	case s.OwnerUPN != "" && u.Name != "":
		return decision.TriOf(strings.EqualFold(s.OwnerUPN, u.Name))
	}
	return decision.Unknown
}

// deviceKnown is no only if every authoritative source answered and none has
// the device.
func deviceKnown(q *decision.Request) ref.Val {
	switch {
	case !q.Identity.Device.Known():
		return missing
	case q.Posture.Known():
		return types.True
	case absence(q.Posture) == decision.CauseNone:
		return types.False
	}
	return missing
}

// absence returns why it cannot be said that no source has the device, or
// CauseNone if it can.
func absence(p *decision.Posture) decision.Cause {
	asked := false
	for i := range p.Evidence {
		ev := &p.Evidence[i]
		if !ev.State.Authoritative {
			continue
		}
		asked = true
		switch {
		case ev.Cause.Ours():
			return ev.Cause
		case !ev.State.Loaded():
			return decision.CauseNotLoaded
		case ev.State.Failing() != decision.CauseNone:
			return ev.State.Failing()
		}
	}
	if !asked {
		return decision.CauseNotLoaded
	}
	return decision.CauseNone
}

// riskOf is unknown where only a floor is known: an expression may ask for anything.
func riskOf(q *decision.Request) decision.Level {
	if q.Posture.RiskFloor {
		return decision.LevelUnknown
	}
	return q.Posture.Risk
}

// userRiskOf is the same for the user.
func userRiskOf(q *decision.Request) decision.Level {
	if q.Posture.User.RiskFloor {
		return decision.LevelUnknown
	}
	return q.Posture.User.Risk
}
