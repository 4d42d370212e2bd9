package emulator

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

func numResources(d *Device) int {
	if d.ConfigMgr == nil {
		return 0
	}
	return 1
}

func numUpdates(d *Device) int {
	if d.ConfigMgr == nil {
		return 0
	}
	return len(d.ConfigMgr.Updates)
}

func (r row) cm() *Resource { return r.d.ConfigMgr }

// class makes the collection of one WMI class.
func class(name string, n func(*Device) int, fields ...field) *collection {
	col := &collection{
		entity: name, context: name, page: 1 << 30, maxTop: 1 << 30, skips: true, noOr: true, quoted: true, anyOr: true,
		each: eachDevice(n), fields: fields,
	}
	return col.ready()
}

const anyCompare = "eq ne gt lt ge le"

var systemFields = class("SMS_R_System", numResources,
	number("ResourceID", anyCompare, func(r row) int { return r.cm().ID }),
	text("Name", "eq startswith contains", func(r row) string { return r.d.Name }),
	text("NetbiosName", "eq startswith contains", func(r row) string { return strings.ToUpper(r.d.Name) }),
	text("SMSUniqueIdentifier", "eq", smsID),
	field{name: "AADDeviceID", kind: kindText, ops: "eq ne", json: func(b []byte, r row) []byte { return appendStringOrNull(b, cmEntraID(r)) }, get: func(r row) value { return value{s: cmEntraID(r), null: cmEntraID(r) == ""} }},
	fixed("AADTenantID", `"`+DefaultTenant+`"`),
	text("SID", "eq", func(r row) string { return r.cm().SID }),
	number("Active", anyCompare, func(r row) int { return bit(r.cm().Active) }),
	number("Client", anyCompare, func(r row) int { return bit(r.cm().Client) }),
	fixed("ClientVersion", `"5.00.9135.1008"`),
	text("Build", "eq startswith", func(r row) string { return r.d.OSVersion }),
	number("Obsolete", anyCompare, func(r row) int { return bit(r.cm().Obsolete) }),
	number("Decommissioned", anyCompare, func(r row) int { return bit(r.cm().Decommissioned) }),
	raw("MACAddresses", func(b []byte, r row) []byte { return append(appendString(append(b, '['), r.d.mac()), ']') }),
	fixed("IPAddresses", `["10.20.30.40"]`),
	text("DistinguishedName", "eq", func(r row) string { return "CN=" + r.d.Name + ",OU=Clients,DC=corp,DC=example,DC=com" }),
	text("LastLogonUserName", "eq", upn),
	date("LastLogonTimestamp", anyCompare, func(r row) time.Time { return r.cm().LastActive }),
)

var combinedFields = class("SMS_CombinedDeviceResources", numResources,
	number("ResourceID", anyCompare, func(r row) int { return r.cm().ID }),
	text("Name", "eq startswith contains", func(r row) string { return r.d.Name }),
	text("SMSID", "eq", smsID),
	text("DeviceOS", "eq startswith contains", func(r row) string { return "Microsoft Windows NT Workstation 10.0" }),
	text("DeviceOSBuild", "eq startswith", func(r row) string { return r.d.OSVersion }),
	flag("IsActive", "eq ne", func(r row) bool { return r.cm().Active }),
	flag("IsClient", "eq ne", func(r row) bool { return r.cm().Client }),
	number("IsApproved", anyCompare, func(r row) int { return bit(r.cm().Approved) }),
	flag("IsBlocked", "eq ne", func(r row) bool { return r.cm().Blocked }),
	flag("IsObsolete", "eq ne", func(r row) bool { return r.cm().Obsolete }),
	number("ClientActiveStatus", anyCompare, func(r row) int { return r.cm().ClientActive }),
	number("ClientCheckPass", anyCompare, func(r row) int { return r.cm().ClientCheck }),
	number("DeviceOwner", anyCompare, func(row) int { return 1 }),
	dateOrNull("LastActiveTime", anyCompare, func(r row) time.Time { return r.cm().LastActive }),
	dateOrNull("LastPolicyRequest", anyCompare, func(r row) time.Time { return r.cm().LastPolicy }),
	dateOrNull("LastClientCheckTime", anyCompare, func(r row) time.Time { return r.cm().LastActive }),
	dateOrNull("LastHardwareScan", anyCompare, func(r row) time.Time { return r.cm().LastPolicy }),
	dateOrNull("LastDDR", anyCompare, func(r row) time.Time { return r.cm().LastPolicy }),
	flag("EPEnabled", "eq ne", func(r row) bool { return r.cm().EPEnabled }),
	flag("EPAntivirusEnabled", "eq ne", func(r row) bool { return r.cm().EPAntivirus }),
	flag("EPAntispywareEnabled", "eq ne", func(r row) bool { return r.cm().EPAntivirus }),
	number("EPDeploymentState", anyCompare, func(r row) int { return r.cm().EPDeployment }),
	number("EPInfectionStatus", anyCompare, func(r row) int { return r.cm().EPInfection }),
	flag("EPPendingReboot", "eq ne", func(r row) bool { return r.cm().EPRebooting }),
	fixed("EPPendingFullScan", "false"),
	fixed("EPPendingOfflineScan", "false"),
	fixed("EPPendingManualSteps", "false"),
	dateOrNull("EPAntivirusSignatureLastUpdateDateTime", anyCompare, func(r row) time.Time { return r.cm().EPSignatures }),
	orNull("EPLastThreatName", "eq", func(r row) string { return r.cm().EPThreat }),
	fixed("EPLastInfectionTime", "null"),
	fixed("WipeStatus", "null"),
)

var updateFields = class("SMS_UpdateComplianceStatus", numUpdates,
	number("MachineID", anyCompare, func(r row) int { return r.cm().ID }),
	number("CI_ID", anyCompare, func(r row) int { return r.cm().Updates[r.n].CI }),
	text("ArticleID", "eq", func(r row) string { return r.cm().Updates[r.n].Article }),
	fixed("BulletinID", `""`),
	text("LocalizedDisplayName", "eq startswith contains", func(r row) string { return r.cm().Updates[r.n].Name }),
	number("Status", anyCompare, func(r row) int { return r.cm().Updates[r.n].Status }),
	dateOrNull("LastStatusCheckTime", anyCompare, func(r row) time.Time { return r.cm().LastPolicy }),
	dateOrNull("LastStatusChangeTime", anyCompare, func(r row) time.Time { return r.cm().LastPolicy }),
)

var comanagementFields = class("SMS_Client_ComanagementState", numResources,
	number("ResourceId", anyCompare, func(r row) int { return r.cm().ID }),
	number("MachineId", anyCompare, func(r row) int { return r.cm().ID }),
	flag("MDMEnrolled", "eq ne", func(r row) bool { return r.cm().MDMEnrolled }),
	flag("MDMProvisioned", "eq ne", func(r row) bool { return r.cm().MDMEnrolled }),
	flag("ComgmtPolicyPresent", "eq ne", func(r row) bool { return r.cm().PolicyPresent }),
	text("Authority", "eq", func(r row) string { return mdmAuthority(r.cm()) }),
	number("CoManagementFlags", anyCompare, func(r row) int { return r.cm().CoManagementFlags }),
	orNull("AADDeviceID", "eq", cmEntraID),
	flag("HybridAADJoined", "eq ne", func(r row) bool { return r.d.Directory != nil && r.d.Directory.TrustType == "ServerAd" }),
	flag("AADJoined", "eq ne", func(r row) bool { return r.d.Directory != nil && r.d.Directory.TrustType == "AzureAd" }),
)

func bit(v bool) int {
	if v {
		return 1
	}
	return 0
}

func smsID(r row) string { return "GUID:" + strings.ToUpper(r.cm().SMSID.String()) }

// cmEntraID is upper case, unlike everywhere else.
func cmEntraID(r row) string {
	if r.cm().WithoutEntraID || r.d.EntraID.IsZero() {
		return ""
	}
	return strings.ToUpper(r.d.EntraID.String())
}

// mdmAuthority is where a co-managed device enrolled.
func mdmAuthority(r *Resource) string {
	if r.MDMEnrolled {
		return "https://enrollment.manage.microsoft.com/enrollmentserver/discovery.svc"
	}
	return ""
}

// class answers a WMI class: a list, or by key a value array with one row.
func (c *call) class(col *collection) {
	if len(c.params) == 0 {
		c.list(col)
		return
	}
	id, err := strconv.Atoi(c.params[0])
	slot, ok := c.s.fleet.byCM[id]
	if err != nil || !ok || c.s.fleet.devices[slot] == nil {
		c.fail(http.StatusNotFound, "", "No instance found for the key.")
		return
	}
	o, ok := c.options(col)
	if !ok {
		return
	}
	one := *col
	all := col.each
	one.each = func(f *Fleet, _ int64, yield func(int64, row) bool) {
		all(f, int64(slot)*maxRecords, func(key int64, r row) bool { return key/maxRecords == int64(slot) && yield(key, r) })
	}
	c.writePage(&one, o)
}

// windowsAuth accepts a basic or bearer credential, or what the Negotiate hook lets
// through; otherwise it answers as integrated Windows authentication does.
func (c *call) windowsAuth() bool {
	if bearer(c.r) == AdminToken {
		return true
	}
	if user, password, ok := c.r.BasicAuth(); ok && user == AdminUser && password == AdminPassword {
		return true
	}
	scheme, _, _ := strings.Cut(c.r.Header.Get("Authorization"), " ")
	if hook := c.s.o.Negotiate; hook != nil && (scheme == "" || strings.EqualFold(scheme, "Negotiate")) {
		passed := false
		hook(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { passed = true })).ServeHTTP(c.w, c.r)
		if !passed {
			c.status = 0 // the hook has answered
		}
		return passed
	}
	c.w.Header().Add("WWW-Authenticate", "Negotiate")
	c.w.Header().Add("WWW-Authenticate", "NTLM")
	c.fail(http.StatusUnauthorized, "Unauthorized", "Access is denied due to invalid credentials.")
	if scheme != "" { // without a credential it is the first step of Negotiate
		c.violate("AdminService credential was refused")
	}
	return false
}
