package emulator

import (
	"strconv"
	"time"
)

const noGUID = `"00000000-0000-0000-0000-000000000000"`

// managedFields is microsoft.graph.managedDevice: names, order and filters as in the
// service's metadata. What it says nothing of stands there as null or a default.
var managedFields = (&collection{
	entity: "microsoft.graph.managedDevice", context: "deviceManagement/managedDevices",
	page: 1000, maxTop: 1000, counts: true, needsSelect: true, quoted: true,
	each: eachDevice(numManaged),
	direct: map[string]func(*Fleet, string) []row{
		"azureADDeviceId": byEntraID(numManaged),
	},
	fields: []field{
		guid("id", "", func(r row) GUID { return r.managed().ID }),
		userGUID("userId"),
		text("deviceName", "eq contains", func(r row) string { return r.d.Name }),
		text("managedDeviceOwnerType", "", func(r row) string { return r.managed().OwnerType }),
		fixed("deviceActionResults", "[]"), // replaced below
		date("enrolledDateTime", "lt gt", func(r row) time.Time { return r.managed().Enrolled }),
		oddDate("lastSyncDateTime", "lt gt", func(r row) time.Time { return r.managed().LastSync }),
		text("operatingSystem", "eq or", func(r row) string { return r.d.OS }),
		text("complianceState", "eq or", func(r row) string { return r.managed().Compliance }),
		text("jailBroken", "eq or", func(r row) string { return r.managed().JailBroken }),
		text("managementAgent", "eq or", func(r row) string { return r.managed().Agent }),
		text("osVersion", "contains", func(r row) string { return r.d.OSVersion }),
		fixed("easActivated", "false"),
		fixed("easDeviceId", "null"),
		fixed("easActivationDateTime", `"0001-01-01T00:00:00Z"`),
		flag("azureADRegistered", "", func(r row) bool { return !r.d.EntraID.IsZero() }),
		text("deviceEnrollmentType", "", func(r row) string { return r.managed().EnrollmentType }),
		fixed("activationLockBypassCode", "null"),
		text("emailAddress", "contains", upn),
		guid("azureADDeviceId", "eq", func(r row) GUID { return r.d.EntraID }),
		text("deviceRegistrationState", "", func(r row) string { return r.managed().Registration }),
		fixed("deviceCategoryDisplayName", `"Unknown"`),
		flag("isSupervised", "", func(r row) bool { return r.managed().Supervised }),
		fixed("exchangeLastSuccessfulSyncDateTime", `"0001-01-01T00:00:00Z"`),
		fixed("exchangeAccessState", `"none"`),
		fixed("exchangeAccessStateReason", `"none"`),
		fixed("remoteAssistanceSessionUrl", "null"),
		flag("isEncrypted", "", func(r row) bool { return r.managed().Encrypted }),
		text("userPrincipalName", "eq ne", upn),
		fixed("model", `"Model 7"`),
		text("manufacturer", "eq or", manufacturer),
		fixed("imei", `""`),
		date("complianceGracePeriodExpirationDateTime", "lt gt", func(r row) time.Time { return graceEnd(r.managed().GraceUntil) }),
		text("serialNumber", "eq or", func(r row) string { return r.d.Serial }),
		fixed("phoneNumber", `""`),
		text("androidSecurityPatchLevel", "", func(r row) string { return r.managed().PatchLevel }),
		text("userDisplayName", "", displayName),
		raw("configurationManagerClientEnabledFeatures", appendWorkloads),
		text("wiFiMacAddress", "", func(r row) string { return r.d.mac() }),
		inSingle(raw("deviceHealthAttestationState", appendAttestation)),
		fixed("subscriberCarrier", `""`),
		fixed("meid", `""`),
		fixed("totalStorageSpaceInBytes", "511101108224"),
		fixed("freeStorageSpaceInBytes", "255550554112"),
		text("managedDeviceName", "", func(r row) string { return r.d.Name + "_" + r.managed().OwnerType }),
		text("partnerReportedThreatState", "", func(r row) string { return r.managed().Threat }),
		fixed("requireUserEnrollmentApproval", "null"),
		date("managementCertificateExpirationDate", "", func(r row) time.Time { return r.managed().CertificateExpires }),
		fixed("iccid", "null"),
		inSingle(text("udid", "", func(r row) string { return r.managed().ID.String() })),
		fixed("notes", "null"),
		inSingle(text("ethernetMacAddress", "", func(r row) string { return r.d.mac() })),
		inSingle(fixed("physicalMemoryInBytes", "17179869184")),
		text("managementState", "eq or", func(r row) string { return r.managed().State }),
		inBeta(text("joinType", "", joinType)),
		inBeta(number("windowsActiveMalwareCount", "", activeMalware)),
	},
}).ready()

func init() {
	f := managedFields.byName["deviceActionResults"]
	f.json = appendActions
}

func numManaged(d *Device) int { return len(d.Managed) }

// userGUID is the primary user's id, empty without one.
func userGUID(name string) field {
	return raw(name, func(b []byte, r row) []byte {
		if r.d.User == nil {
			return append(b, `""`...)
		}
		return append(r.d.User.OID.append(append(b, '"')), '"')
	})
}

func upn(r row) string {
	if r.d.User == nil {
		return ""
	}
	return r.d.User.UPN
}

func displayName(r row) string {
	if r.d.User == nil {
		return ""
	}
	return r.d.User.DisplayName
}

func manufacturer(r row) string {
	switch r.d.OS {
	case "iOS", "macOS":
		return "Apple"
	case "Android":
		return "Google"
	}
	return "Contoso"
}

// joinType is the beta property that says how the directory knows the device.
func joinType(r row) string {
	switch dir := r.d.Directory; {
	case dir == nil:
		return "unknown"
	case dir.TrustType == "ServerAd":
		return "hybridAzureADJoined"
	case dir.TrustType == "AzureAd":
		return "azureADJoined"
	}
	return "azureADRegistered"
}

func activeMalware(r row) (n int) {
	if p := r.managed().Protection; p != nil {
		for _, m := range p.Malware {
			if m.Threat == "active" {
				n++
			}
		}
	}
	return n
}

// graceEnd is the last second of year 9999 when there is no grace.
func graceEnd(t time.Time) time.Time {
	if t.IsZero() {
		return time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	}
	return t
}

// appendWorkloads writes null for a device that is not co-managed.
func appendWorkloads(b []byte, r row) []byte {
	w := r.managed().Workloads
	if w == nil {
		return append(b, "null"...)
	}
	for i, x := range []struct {
		name string
		on   bool
	}{
		{"inventory", w.Inventory},
		{"modernApps", w.ModernApps},
		{"resourceAccess", w.ResourceAccess},
		{"deviceConfiguration", w.DeviceConfiguration},
		{"compliancePolicy", w.CompliancePolicy},
		{"windowsUpdateForBusiness", w.WindowsUpdate},
	} {
		sep := byte(',')
		if i == 0 {
			sep = '{'
		}
		b = append(append(append(b, sep, '"'), x.name...), `":`...)
		b = strconv.AppendBool(b, x.on)
	}
	return append(b, '}')
}

// appendAttestation keeps a misspelling of the service's, and its date, which is
// text in the American style.
func appendAttestation(b []byte, r row) []byte {
	a := r.managed().Attestation
	if a == nil {
		return append(b, "null"...)
	}
	at := a.At
	if at.IsZero() {
		at = r.managed().LastSync
	}
	b = appendString(append(b, `{"lastUpdateDateTime":`...), at.UTC().Format("1/2/2006 3:04:05 PM"))
	b = appendString(append(b, `,"dataExcutionPolicy":"Enabled","bitLockerStatus":`...), a.BitLocker)
	b = appendString(append(b, `,"secureBoot":`...), a.SecureBoot)
	b = appendString(append(b, `,"codeIntegrity":`...), a.CodeIntegrity)
	b = appendString(append(b, `,"bootDebugging":`...), a.BootDebugging)
	return append(b, '}')
}

func appendActions(b []byte, r row) []byte {
	b = append(b, '[')
	for i, a := range r.managed().Actions {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(append(b, `{"actionName":`...), a.Name)
		b = appendString(append(b, `,"actionState":`...), a.State)
		b = appendDate(append(b, `,"startDateTime":`...), a.At)
		b = appendDate(append(b, `,"lastUpdatedDateTime":`...), a.At)
		b = append(b, '}')
	}
	return append(b, ']')
}
