package configmgr

// The classes that are read. Their names are case-sensitive on the wire.
const (
	classSystem       = "SMS_R_System"
	classResources    = "SMS_CombinedDeviceResources"
	classUpdates      = "SMS_UpdateComplianceStatus"
	classComanagement = "SMS_Client_ComanagementState"
	classSite         = "SMS_Site"
)

// The properties that are read, in tiers: a site that refuses the first list, as
// an older version does, is asked for the second, and after that for all.
var (
	systemFields = []string{
		"ResourceID,Name,NetbiosName,SMSUniqueIdentifier,SID,Client,Obsolete,Decommissioned,AADDeviceID,Build",
		"ResourceID,Name,NetbiosName,SMSUniqueIdentifier,SID,Client,Obsolete,Decommissioned,AADDeviceID",
	}
	resourceFields = []string{
		resourceBase + ",DeviceOSBuild",
		resourceBase,
	}
	// Without CI_ID the rows of one device would look alike.
	updateFields = []string{"MachineID,CI_ID,ArticleID,Status"}
	// Which id property the class has differs between versions: all are read.
	comanagementFields = []string(nil)
)

const resourceBase = "ResourceID,Name,SMSID,DeviceOS,IsClient,IsBlocked,IsObsolete,ClientActiveStatus,ClientCheckPass," +
	"DeviceOwner,LastActiveTime,LastClientCheckTime,LastPolicyRequest,LastDDR,EPEnabled,EPAntivirusEnabled," +
	"EPDeploymentState,EPInfectionStatus,EPPendingReboot,EPPendingFullScan,EPPendingOfflineScan,EPPendingManualSteps," +
	"EPAntivirusSignatureLastUpdateDateTime"

// systemRow is one SMS_R_System: who a device is. AADDeviceID and Build exist in
// current versions only.
type systemRow struct {
	ResourceID          number
	Name                text
	NetbiosName         text
	SMSUniqueIdentifier text
	AADDeviceID         text
	SID                 text
	Build               text
	Client              flag
	Obsolete            flag
	Decommissioned      flag
}

// resourceRow is one SMS_CombinedDeviceResources: how a device is.
type resourceRow struct {
	ResourceID           number
	Name                 text
	SMSID                text
	DeviceOS             text
	DeviceOSBuild        text
	IsClient             flag
	IsBlocked            flag
	IsObsolete           flag
	ClientActiveStatus   number // 0 inactive, 1 active
	ClientCheckPass      number // 1 passed, 2 failed
	DeviceOwner          number // 1 company, 2 personal
	LastActiveTime       moment
	LastClientCheckTime  moment
	LastPolicyRequest    moment
	LastDDR              moment
	EPEnabled            flag
	EPAntivirusEnabled   flag
	EPDeploymentState    number // 1 unmanaged, 2 to be installed, 3 managed, 4 install error, 5 reboot pending
	EPInfectionStatus    number // 0 unknown, 1 none, 2 cleaned, 3 pending, 4 failed
	EPPendingReboot      flag
	EPPendingFullScan    flag
	EPPendingOfflineScan flag
	EPPendingManualSteps flag

	SignatureDate moment `json:"EPAntivirusSignatureLastUpdateDateTime"`
}

// updateRow is one SMS_UpdateComplianceStatus: one update on one device.
type updateRow struct {
	MachineID number
	CIID      number `json:"CI_ID"`
	ArticleID text
	Status    number
}

// The values of SMS_UpdateComplianceStatus.Status.
const (
	updateUnknown     = 0
	updateNotRequired = 1
	updateMissing     = 2
	updateInstalled   = 3
)

// comanagementRow is one SMS_Client_ComanagementState.
type comanagementRow struct {
	ResourceID          number
	MachineID           number
	MDMEnrolled         flag
	ComgmtPolicyPresent flag
}

// id returns the ResourceID under either of its names.
func (r *comanagementRow) id() number {
	if r.MachineID.known {
		return r.MachineID
	}
	return r.ResourceID
}
