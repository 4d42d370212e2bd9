package emulator

import "time"

// Device is one computer or phone with what each service knows of it. A nil record:
// the service does not know the device. The records of one device may contradict one
// another, as they do in life. Change devices only inside [Server.Update].
type Device struct {
	Name      string
	EntraID   GUID   // deviceId of the directory; zero: not registered
	Serial    string // serial number of the maker
	OS        string // as Intune spells it: Windows, Windows Server, iOS, Android, macOS, Linux
	OSVersion string
	MAC       string // 12 upper-case hexadecimal digits; empty: derived from EntraID
	User      *User  // primary user; nil: none

	Directory *Directory // the device object of Entra ID
	Managed   []*Managed // Intune records; re-enrolment leaves more than one
	Machines  []*Machine // Defender for Endpoint; reimaging leaves more than one
	ConfigMgr *Resource  // record of Configuration Manager
	NAC       *NAC       // overrides what NAC 2.0 answers; nil: derived from Managed

	slot int32 // place in the fleet, stable for the life of the device
}

// Directory is the device object of Entra ID, as Graph's device resource shows it.
type Directory struct {
	ObjectID          GUID // Graph's id, another one than Device.EntraID
	Enabled           bool
	EnabledNull       bool      // accountEnabled is null, which no document allows
	Compliant         NullBool  // isCompliant
	Managed           NullBool  // isManaged
	MDMApp            string    // mdmAppId; empty: Intune's if Managed, else null; "null": null
	Rooted            NullBool  // isRooted
	TrustType         string    // AzureAd, ServerAd, Workplace
	Ownership         string    // Company, Personal, empty: null
	Registered        time.Time // zero: null, a hybrid join that is still pending
	LastSignIn        time.Time
	ComplianceExpires time.Time // zero: null
	OnPremisesSID     string    // empty: null
	CertificateKey    string    // base64 key of the type 2 entry of alternativeSecurityIds; empty: none

	print directoryPrint
}

// Managed is one managedDevice of Intune. Its enumerations are text, so a test can
// set a value that no document names.
type Managed struct {
	ID                 GUID
	Compliance         string    // complianceState
	GraceUntil         time.Time // zero: none, shown as the last second of year 9999
	Agent              string    // managementAgent
	State              string    // managementState
	Registration       string    // deviceRegistrationState
	OwnerType          string    // company, personal, unknown
	EnrollmentType     string
	JailBroken         string // "True", "False", "Unknown" or empty
	Threat             string // partnerReportedThreatState
	PatchLevel         string // androidSecurityPatchLevel
	Encrypted          bool
	Supervised         bool
	LastSync           time.Time
	Enrolled           time.Time
	CertificateExpires time.Time

	Workloads   *Workloads     // configurationManagerClientEnabledFeatures; nil: null
	Policies    []*PolicyState // compliance policies; nil: one that fits Compliance
	Protection  *Protection    // windowsProtectionState; nil: clean on Windows
	Attestation *Attestation   // deviceHealthAttestationState; nil: null
	Actions     []Action       // deviceActionResults

	// NextCompliance is what the next check-in reports: syncDevice sets Compliance
	// to it. Empty: no change.
	NextCompliance string

	seen seenRecord
}

// Workloads says which workloads of a co-managed device Intune manages.
type Workloads struct {
	Inventory, ModernApps, ResourceAccess, DeviceConfiguration, CompliancePolicy, WindowsUpdate bool
}

// PolicyState is one deviceCompliancePolicyState. Its enumeration is complianceStatus,
// which spells nonCompliant otherwise than complianceState does.
type PolicyState struct {
	ID       GUID
	Name     string
	Platform string // windows10AndLater, iOS, android, macOS, all
	State    string // complianceStatus: nonCompliant with a capital C
	Settings []SettingState
}

// SettingState is one row of settingStates.
type SettingState struct {
	Setting   string // PolicyClass.PropertyName
	State     string
	Current   string // currentValue; empty: null
	ErrorCode int64
	System    bool // row of the system account, which repeats a user's row
}

// Protection is windowsProtectionState.
type Protection struct {
	State             string // flags, comma separated: clean, rebootPending, critical ...
	Product           string // productStatus flags
	RealTime          bool
	MalwareProtection bool
	Tamper            bool
	SignatureOverdue  bool
	QuickScanOverdue  bool
	FullScanOverdue   bool
	RebootRequired    bool
	Malware           []Malware
}

// Malware is one detectedMalwareState.
type Malware struct {
	Name, Severity, Execution, Threat string // threatState: active, quarantined, ...
	Detected                          time.Time
}

// Attestation holds the telling fields of deviceHealthAttestationState.
type Attestation struct {
	BitLocker, SecureBoot, CodeIntegrity, BootDebugging string
	At                                                  time.Time // lastUpdateDateTime; zero: the last check-in
}

// Action is one deviceActionResult.
type Action struct {
	Name, State string
	At          time.Time
}

// Machine is one machine of Defender for Endpoint. Empty Risk, Exposure or Value: null.
type Machine struct {
	ID                                        string // 40 hexadecimal digits
	Risk, Exposure, Health, Onboarding, Value string
	FirstSeen, LastSeen                       time.Time
	Tags                                      []string
	WithoutEntraID                            bool // aadDeviceId is null
	Alerts                                    []*Alert
}

// Alert is one alert of Defender for Endpoint.
type Alert struct {
	ID, Title, Severity, Status, Category string
	Created, Updated                      time.Time
}

// Resource is a device in Configuration Manager: the classes SMS_R_System,
// SMS_CombinedDeviceResources, SMS_Client_ComanagementState in one.
type Resource struct {
	ID                                  int // ResourceID
	SMSID                               GUID
	SID                                 string
	WithoutEntraID                      bool // AADDeviceID is not collected
	Active, Client, Approved            bool
	Blocked, Obsolete, Decommissioned   bool
	ClientActive, ClientCheck           int // 1 healthy
	EPEnabled, EPAntivirus, EPRebooting bool
	EPDeployment, EPInfection           int // 3 managed; 1 none, 2 cleaned, 3 pending, 4 failed
	EPThreat                            string
	EPSignatures                        time.Time
	LastActive, LastPolicy              time.Time
	MDMEnrolled, PolicyPresent          bool
	CoManagementFlags                   int
	Updates                             []UpdateState
}

// UpdateState is one row of SMS_UpdateComplianceStatus.
type UpdateState struct {
	CI      int
	Article string
	Name    string
	Status  int // 0 unknown, 1 not required, 2 required and missing, 3 installed
}

// NAC is the answer of the Compliance Retrieval service for one device.
type NAC struct {
	ID                    GUID // Intune device id by which it is asked
	Registered, Compliant bool
	Odd                   bool // the status is a word that no document names
}

// User is one user of the directory.
type User struct {
	OID         GUID
	UPN         string
	DisplayName string
	Enabled     bool
	Groups      []GUID // transitive membership
	Risk        *Risk  // nil: no risk history, riskyUsers answers 404

	slot  int32
	print directoryPrint
}

// Risk is one riskyUser.
type Risk struct {
	Level   string // low, medium, high, hidden, none
	State   string // atRisk, confirmedCompromised, remediated, dismissed, confirmedSafe, none
	Detail  string
	Updated time.Time
}

// Settings are the tenant's compliance settings.
type Settings struct {
	SecureByDefault bool // false: a device without a policy counts as compliant
	CheckinDays     int  // deviceComplianceCheckinThresholdDays
}

// Connector is one mobileThreatDefenseConnector.
type Connector struct {
	ID                    GUID
	State                 string // available, enabled, unresponsive, unavailable
	LastHeartbeat         time.Time
	ThresholdDays         int
	Windows, IOS, Android bool
}
