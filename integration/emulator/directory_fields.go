package emulator

import "time"

func (r row) dir() *Directory { return r.d.Directory }

// numDirectory is the number of directory objects of a device.
func numDirectory(d *Device) int {
	if d.Directory == nil {
		return 0
	}
	return 1
}

// deviceFields is microsoft.graph.device. Its delta watches all of them; what they
// are made of stands in deviceKey too.
var deviceFields = (&collection{
	entity: "microsoft.graph.device", context: "devices",
	page: 100, maxTop: 999, advanced: true, anyOr: true, needsSelect: true, quoted: true,
	each: eachDevice(numDirectory),
	direct: map[string]func(*Fleet, string) []row{
		"deviceId": byEntraID(numDirectory),
		"id":       byObjectID,
	},
	fields: []field{
		guid("id", "eq or", func(r row) GUID { return r.dir().ObjectID }),
		guid("deviceId", "eq ne not startswith", func(r row) GUID { return r.d.EntraID }),
		text("displayName", "eq ne not startswith", func(r row) string { return r.d.Name }),
		tri("accountEnabled", "eq ne not", accountEnabled),
		tri("isCompliant", "eq ne not", func(r row) NullBool { return r.dir().Compliant }),
		tri("isManaged", "eq ne not", func(r row) NullBool { return r.dir().Managed }),
		tri("isRooted", "", func(r row) NullBool { return r.dir().Rooted }),
		orNull("trustType", "", func(r row) string { return r.dir().TrustType }),
		fixed("profileType", `"RegisteredDevice"`),
		orNull("deviceOwnership", "", func(r row) string { return r.dir().Ownership }),
		orNull("managementType", "", managementType),
		orNull("mdmAppId", "eq ne not", mdmApp),
		orNull("enrollmentProfileName", "", func(row) string { return "" }),
		orNull("operatingSystem", "eq ne not startswith", func(r row) string { return r.d.OS }),
		orNull("operatingSystemVersion", "eq ne not startswith", func(r row) string { return r.d.OSVersion }),
		dateOrNull("registrationDateTime", "", func(r row) time.Time { return r.dir().Registered }),
		dateOrNull("approximateLastSignInDateTime", "eq ne not ge le gt lt", func(r row) time.Time { return r.dir().LastSignIn }),
		dateOrNull("complianceExpirationDateTime", "", func(r row) time.Time { return r.dir().ComplianceExpires }),
		tri("onPremisesSyncEnabled", "eq ne not", func(r row) NullBool {
			if r.dir().TrustType == "ServerAd" {
				return True
			}
			return Null
		}),
		orNull("onPremisesSecurityIdentifier", "", func(r row) string { return r.dir().OnPremisesSID }),
		fixed("isManagementRestricted", "null"),
		fixed("systemLabels", "[]"),
		fixed("physicalIds", `["[USER-GID]:6f0e"]`),
		raw("alternativeSecurityIds", appendSecurityIDs),
		fixed("extensionAttributes", `{"extensionAttribute1":null}`),
	},
}).ready()

// userFields is microsoft.graph.user.
var userFields = (&collection{
	entity: "microsoft.graph.user", context: "users",
	page: 100, maxTop: 999, advanced: true, anyOr: true, quoted: true,
	each: eachUser(func(*User) bool { return true }),
	fields: []field{
		guid("id", "eq or", func(r row) GUID { return r.u.OID }),
		text("userPrincipalName", "eq ne not startswith endswith", func(r row) string { return r.u.UPN }),
		text("displayName", "eq ne not startswith", func(r row) string { return r.u.DisplayName }),
		flag("accountEnabled", "eq ne not", func(r row) bool { return r.u.Enabled }),
		text("mail", "eq ne not startswith endswith", func(r row) string { return r.u.UPN }),
	},
}).ready()

// riskFields is microsoft.graph.riskyUser.
var riskFields = (&collection{
	entity: "microsoft.graph.riskyUser", context: "identityProtection/riskyUsers",
	page: 100, maxTop: 500, anyOr: true, quoted: true,
	each: eachUser(func(u *User) bool { return u.Risk != nil }),
	fields: []field{
		guid("id", "eq", func(r row) GUID { return r.u.OID }),
		fixed("isDeleted", "false"),
		fixed("isProcessing", "false"),
		text("riskLevel", "eq ne or", func(r row) string { return r.u.Risk.Level }),
		text("riskState", "eq ne or", func(r row) string { return r.u.Risk.State }),
		text("riskDetail", "eq ne or", func(r row) string { return r.u.Risk.Detail }),
		date("riskLastUpdatedDateTime", "ge le gt lt", func(r row) time.Time { return r.u.Risk.Updated }),
		text("userPrincipalName", "eq", func(r row) string { return r.u.UPN }),
		text("userDisplayName", "eq", func(r row) string { return r.u.DisplayName }),
	},
}).ready()

// defaults are the fields of a user without $select.
func (col *collection) defaults() []*field {
	fields, _ := col.selection("", false)
	return fields
}

// byObjectID finds a device by the id that is not deviceId.
func byObjectID(f *Fleet, s string) []row {
	g, err := ParseGUID(s)
	i, ok := f.byObj[g]
	if err != nil || !ok {
		return nil
	}
	return []row{{d: f.devices[i]}}
}

func accountEnabled(r row) NullBool {
	if r.dir().EnabledNull {
		return Null
	}
	return NullBoolOf(r.dir().Enabled)
}

func managementType(r row) string {
	if r.dir().Managed == True {
		return "MDM"
	}
	return ""
}

// The values of mdmAppId: Intune, Intune together with Configuration Manager, and a
// partner of Intune.
const (
	appIntune    = "0000000a-0000-0000-c000-000000000000"
	appComanaged = "54b943f8-d761-4f8d-951e-9cea1846db5a"
	appPartner   = "7c3b1f2e-5d64-4c0a-9b7e-2f1d8a6e4b90"
)

// mdmApp is the application that manages a device.
func mdmApp(r row) string {
	switch app := r.dir().MDMApp; {
	case app == "null":
		return ""
	case app != "":
		return app
	case r.dir().Managed == True:
		return appIntune
	}
	return ""
}

// appendSecurityIDs writes what pins a registration certificate.
func appendSecurityIDs(b []byte, r row) []byte {
	key := r.dir().CertificateKey
	if key == "" {
		return append(b, "[]"...)
	}
	return append(appendString(append(b, `[{"type":2,"identityProvider":null,"key":`...), key), "}]"...)
}
