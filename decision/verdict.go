package decision

import "time"

// Compliance is what a management authority says about its own rules on a
// device. The zero value is unknown. Spellings follow Microsoft Graph
// managedDevice.complianceState.
type Compliance uint8

// The compliance states. ComplianceDelegated means that Intune defers to
// Configuration Manager; ComplianceNotEvaluated that no evaluation took place.
// Both are unknown, never compliant.
const (
	ComplianceUnknown Compliance = iota
	Compliant
	NonCompliant
	InGracePeriod
	ComplianceConflict
	ComplianceError
	ComplianceNotEvaluated
	ComplianceDelegated
	ComplianceNotManaged
)

var complianceNames = [...]string{
	"unknown", "compliant", "noncompliant", "in_grace", "conflict", "error",
	"not_evaluated", "delegated_configmgr", "not_managed",
}

// String returns the normalised name used in inventory files and logs.
func (c Compliance) String() string { return name(complianceNames[:], int(c)) }

// ParseCompliance reads a normalised name.
func ParseCompliance(s string) (Compliance, bool) {
	i, ok := index(complianceNames[:], s)
	return Compliance(i), ok
}

// Channel is the management channel of a device (Graph managementAgent).
type Channel uint8

// The channels.
const (
	ChannelUnknown Channel = iota
	ChannelIntune
	ChannelCoManaged
	ChannelConfigMgrAttached
	ChannelConfigMgrOnly
	ChannelPartnerMDM
	ChannelMDEAttach
	ChannelEAS
	ChannelNone
)

var channelNames = [...]string{
	"unknown", "intune", "comanaged", "configmgr_attached", "configmgr_only", "partner_mdm", "mde_attach", "eas", "none",
}

// String returns the normalised name.
func (c Channel) String() string { return name(channelNames[:], int(c)) }

// ParseChannel reads a normalised name.
func ParseChannel(s string) (Channel, bool) {
	i, ok := index(channelNames[:], s)
	return Channel(i), ok
}

// Lifecycle is where a device stands in its managed life (Graph managementState
// and deviceRegistrationState). Retiring, Wiping and Revoked are hard stops.
type Lifecycle uint8

// The lifecycle states.
const (
	LifecycleUnknown Lifecycle = iota
	LifecycleActive
	LifecycleRetiring
	LifecycleWiping
	LifecycleRevoked
	LifecyclePending
	LifecycleUnhealthy
	LifecycleDiscovered
)

var lifecycleNames = [...]string{"unknown", "active", "retiring", "wiping", "revoked", "pending", "unhealthy", "discovered"}

// String returns the normalised name.
func (l Lifecycle) String() string { return name(lifecycleNames[:], int(l)) }

// ParseLifecycle reads a normalised name.
func ParseLifecycle(s string) (Lifecycle, bool) {
	i, ok := index(lifecycleNames[:], s)
	return Lifecycle(i), ok
}

// GraverLifecycle returns the state that weighs more: revoked, wiping, retiring,
// then whatever is not simply active.
func GraverLifecycle(a, b Lifecycle) Lifecycle {
	weight := func(l Lifecycle) int {
		switch l {
		case LifecycleRevoked:
			return 5
		case LifecycleWiping:
			return 4
		case LifecycleRetiring:
			return 3
		case LifecyclePending, LifecycleUnhealthy, LifecycleDiscovered:
			return 2
		case LifecycleActive:
			return 1
		case LifecycleUnknown:
		}
		return 0
	}
	if weight(b) > weight(a) {
		return b
	}
	return a
}

// Trust is how a device is known to the directory (Entra trustType).
type Trust uint8

// The trust kinds.
const (
	TrustUnknown Trust = iota
	TrustJoined
	TrustHybridJoined
	TrustRegistered
	TrustNone
)

var trustNames = [...]string{"unknown", "joined", "hybrid_joined", "registered", "none"}

// String returns the name as written in a policy.
func (t Trust) String() string { return name(trustNames[:], int(t)) }

// ParseTrust reads a name as written in a policy.
func ParseTrust(s string) (Trust, bool) {
	i, ok := index(trustNames[:], s)
	return Trust(i), ok
}

// Ownership says who owns a device (Graph managedDeviceOwnerType).
type Ownership uint8

// The kinds of ownership.
const (
	OwnershipUnknown Ownership = iota
	Corporate
	Personal
)

var ownershipNames = [...]string{"unknown", "corporate", "personal"}

// String returns the normalised name.
func (o Ownership) String() string { return name(ownershipNames[:], int(o)) }

// ParseOwnership reads a normalised name.
func ParseOwnership(s string) (Ownership, bool) {
	i, ok := index(ownershipNames[:], s)
	return Ownership(i), ok
}

// Sensor is the state of a device's threat sensor (Defender healthStatus and
// onboardingStatus, Intune partnerReportedThreatState).
type Sensor uint8

// The sensor states.
const (
	SensorUnknown Sensor = iota
	SensorActive
	SensorInactive
	SensorImpaired
	SensorNoData
	SensorUnresponsive
	SensorMisconfigured
	SensorNotOnboarded
	SensorDeactivated
)

var sensorNames = [...]string{
	"unknown", "active", "inactive", "impaired", "no_data", "unresponsive", "misconfigured", "not_onboarded", "deactivated",
}

// String returns the normalised name.
func (s Sensor) String() string { return name(sensorNames[:], int(s)) }

// ParseSensor reads a normalised name.
func ParseSensor(s string) (Sensor, bool) {
	i, ok := index(sensorNames[:], s)
	return Sensor(i), ok
}

// Device holds the facts about one device. Every zero value means unknown.
// Times are zero when the source does not report them.
type Device struct {
	Keys []Key // every id the source knows; the first is the source's own
	Name string

	Platform  Platform
	OSVersion Version
	Model     string

	Compliance Compliance
	GraceUntil time.Time // end of the grace period; meaningful with InGracePeriod
	Managed    Tri
	Channel    Channel
	Lifecycle  Lifecycle
	Enabled    Tri
	Trust      Trust
	Ownership  Ownership
	OwnerID    string // object id of the primary user
	OwnerUPN   string // user principal name of the primary user

	Encrypted  Tri
	Updated    Tri
	Jailbroken Tri
	Apps       Tri
	Antivirus  Tri
	Firewall   Tri
	SecureBoot Tri
	Supervised Tri

	Risk Level
	// RiskFloor says that Risk is only the least that it can be: whoever reported it
	// has not heard of the device since, or may not be heard itself. It can then
	// answer no to a limit, and never yes.
	RiskFloor bool
	Sensor    Sensor
	Exposure  Level
	Malware   Tri // Yes: active malware

	LastCheckIn time.Time // when the device last reported to its authority
	EvaluatedAt time.Time // when the source computed this verdict

	// Settings that fail the authority's own rules, shown to the person.
	// Bounded to MaxSettings.
	Settings []Setting

	// Unreadable are the facts about which the source said something that cannot be
	// read: a word that is new, or a value of another type. They are unknown above.
	// In [Merge] another source's good news cannot stand in for such a word. A fact
	// that the source says nothing about, or knows not to know, is not among them.
	Unreadable FactSet
}

// MaxSettings bounds Device.Settings; more are dropped.
const MaxSettings = 16

// Setting is one rule of the management authority that a device fails
// (Graph deviceCompliancePolicySettingState).
type Setting struct {
	Name   string // the setting, such as BitLocker
	Policy string // the authority's policy that asks for it
	State  string // nonCompliant, error or conflict
}

// UserRecord holds what a source says about one user. Zero values are unknown.
type UserRecord struct {
	ObjectID    string
	UPN         string
	Enabled     Tri
	Risk        Level
	Compromised Tri // Yes: an analyst confirmed that the account is taken over

	// RiskFloor says that Risk is only the least that it can be, as that of [Device].
	RiskFloor bool
	// Unreadable are those of FactUserEnabled and FactUserRisk about which the source
	// said something that cannot be read, as that of [Device]. The latter covers
	// Compromised.
	Unreadable FactSet
}

// Verdict is what one source says about one device at one time.
type Verdict struct {
	Device
	// Confirmed is when we last learnt this from the source, as [Mono]. Zero
	// for a synchronised source: its last complete sweep counts ([SourceState]).
	Confirmed int64
}
