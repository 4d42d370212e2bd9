package decision

// Reason is one entry of the closed catalogue of everything that can be wrong.
// Its code is stable: it appears unchanged in logs, metric labels, problem
// documents, pages and README. A new reason needs: a row in reasonTable, texts
// in reason_text.go for every language, a row in README.md beside this file, and a
// vector or test that produces it (tests check all of these).
type Reason uint8

// The reasons, grouped by where in the precedence they arise.
const (
	NoReason Reason = iota

	// The request itself.
	MalformedRequest
	AmbiguousCredentials
	PathNotAllowed
	MethodNotAllowed
	OriginNotAllowed
	PreflightNotAllowed
	EarlyData
	MisdirectedRequest

	// Credentials.
	InvalidToken
	CertificateInvalid
	KeysUnavailable
	RevocationListUnavailable

	// The user.
	SignInRequired
	GroupMissing
	GroupsUnknown
	ClientNotAllowed
	UserRiskTooHigh
	NotOwner

	// Hard stops.
	Revoked
	UserDisabled
	UserCompromised
	DeviceDisabled
	DeviceRetired
	Jailbroken
	DeviceCompromised

	// The device.
	DeviceUnidentified
	DeviceUnknown
	DeviceAmbiguous
	NotManaged
	Noncompliant
	GracePeriod
	GraceExpired
	NotEncrypted
	NotUpdated
	MalwareActive
	RiskTooHigh
	OSTooOld
	OSNotAllowed
	TrustMissing
	NotCorporate
	CheckInTooOld
	ProofTooWeak
	NetworkNotAllowed
	ExpressionFailed
	FactUnknown

	// Our own lack of facts.
	NotLoaded
	VerdictExpired
	SourceFailing
	SourceThrottled
	LookupTimeout

	// Step-up.
	StepUpRequired
	StepUpUnavailable

	NumReasons
)

// FixedBy says who can do something about a reason.
type FixedBy string

// Who can fix it.
const (
	ByUser     FixedBy = "user"     // the person at the device
	ByAdmin    FixedBy = "admin"    // who manages devices and accounts
	ByOperator FixedBy = "operator" // who runs the gateway
	ByClient   FixedBy = "client"   // who wrote the calling program
)

type reasonRow struct {
	code string
	by   FixedBy
}

var reasonTable = [NumReasons]reasonRow{
	NoReason:                  {"", ""},
	MalformedRequest:          {"malformed_request", ByClient},
	AmbiguousCredentials:      {"ambiguous_credentials", ByClient},
	PathNotAllowed:            {"path_not_allowed", ByClient},
	MethodNotAllowed:          {"method_not_allowed", ByClient},
	OriginNotAllowed:          {"origin_not_allowed", ByClient},
	PreflightNotAllowed:       {"preflight_not_allowed", ByOperator},
	EarlyData:                 {"early_data", ByClient},
	MisdirectedRequest:        {"misdirected_request", ByClient},
	InvalidToken:              {"invalid_token", ByClient},
	CertificateInvalid:        {"certificate_invalid", ByAdmin},
	KeysUnavailable:           {"keys_unavailable", ByOperator},
	RevocationListUnavailable: {"revocation_list_unavailable", ByOperator},
	SignInRequired:            {"sign_in_required", ByUser},
	GroupMissing:              {"group_missing", ByAdmin},
	GroupsUnknown:             {"groups_unknown", ByAdmin},
	ClientNotAllowed:          {"client_not_allowed", ByAdmin},
	UserRiskTooHigh:           {"user_risk_too_high", ByUser},
	NotOwner:                  {"not_owner", ByUser},
	Revoked:                   {"revoked", ByAdmin},
	UserDisabled:              {"user_disabled", ByAdmin},
	UserCompromised:           {"user_compromised", ByAdmin},
	DeviceDisabled:            {"device_disabled", ByAdmin},
	DeviceRetired:             {"device_retired", ByAdmin},
	Jailbroken:                {"jailbroken", ByUser},
	DeviceCompromised:         {"device_compromised", ByAdmin},
	DeviceUnidentified:        {"device_unidentified", ByUser},
	DeviceUnknown:             {"device_unknown", ByUser},
	DeviceAmbiguous:           {"device_ambiguous", ByAdmin},
	NotManaged:                {"not_managed", ByUser},
	Noncompliant:              {"noncompliant", ByUser},
	GracePeriod:               {"grace_period", ByUser},
	GraceExpired:              {"grace_expired", ByUser},
	NotEncrypted:              {"not_encrypted", ByUser},
	NotUpdated:                {"not_updated", ByUser},
	MalwareActive:             {"malware_active", ByUser},
	RiskTooHigh:               {"risk_too_high", ByUser},
	OSTooOld:                  {"os_too_old", ByUser},
	OSNotAllowed:              {"os_not_allowed", ByAdmin},
	TrustMissing:              {"trust_missing", ByAdmin},
	NotCorporate:              {"not_corporate", ByUser},
	CheckInTooOld:             {"checkin_too_old", ByUser},
	ProofTooWeak:              {"proof_too_weak", ByAdmin},
	NetworkNotAllowed:         {"network_not_allowed", ByUser},
	ExpressionFailed:          {"expression_failed", ByAdmin},
	FactUnknown:               {"fact_unknown", ByAdmin},
	NotLoaded:                 {"not_loaded", ByOperator},
	VerdictExpired:            {"verdict_expired", ByOperator},
	SourceFailing:             {"source_failing", ByOperator},
	SourceThrottled:           {"source_throttled", ByOperator},
	LookupTimeout:             {"lookup_timeout", ByOperator},
	StepUpRequired:            {"step_up_required", ByUser},
	StepUpUnavailable:         {"step_up_unavailable", ByOperator},
}

// Code returns the stable snake_case code.
func (r Reason) Code() string {
	if r < NumReasons {
		return reasonTable[r].code
	}
	return ""
}

// String is Code.
func (r Reason) String() string { return r.Code() }

// FixedBy returns who can do something about it.
func (r Reason) FixedBy() FixedBy {
	if r < NumReasons {
		return reasonTable[r].by
	}
	return ""
}

// ReasonByCode finds a reason by its code.
func ReasonByCode(code string) (Reason, bool) {
	for r := NoReason + 1; r < NumReasons; r++ {
		if reasonTable[r].code == code {
			return r, true
		}
	}
	return NoReason, false
}

func (c Cause) reason() Reason {
	switch c {
	case CauseNotLoaded:
		return NotLoaded
	case CauseExpired:
		return VerdictExpired
	case CauseSourceFailing:
		return SourceFailing
	case CauseThrottled:
		return SourceThrottled
	case CauseLookupTimeout:
		return LookupTimeout
	case CauseNoSuchDevice:
		return DeviceUnknown
	case CauseNone, CauseNotReported:
	}
	return FactUnknown
}
