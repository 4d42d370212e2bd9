package emulator

import (
	"encoding/hex"
	"strings"
	"time"
)

// Names of the telling devices with which every fleet begins, in this order.
const (
	CaseHealthy            = "lt-healthy"             // Intune alone, everything right
	CaseComanaged          = "lt-comanaged"           // compliance workload in Intune
	CaseComanagedConfigMgr = "lt-comanaged-configmgr" // compliance workload in Configuration Manager
	CaseTenantAttach       = "srv-tenant-attach"      // a server that was uploaded, not enrolled
	CaseIntuneOnly         = "ph-intune-only"         // personal phone
	CaseJamf               = "mac-jamf"               // partner MDM, verdict in the directory alone
	CaseHybridOnly         = "lt-hybrid-only"         // hybrid joined, no MDM, Configuration Manager client
	CaseGraceFar           = "lt-grace-far"           // in grace for ten days
	CaseGraceNear          = "lt-grace-near"          // in grace for two minutes
	CaseGracePast          = "lt-grace-past"          // grace ended, not yet evaluated again
	CaseNoncompliant       = "lt-noncompliant"        // two settings fail, with reasons
	CaseJailbroken         = "ph-jailbroken"          // rooted Android
	CaseMalware            = "lt-malware"             // active malware in three services
	CaseUpdatesMissing     = "lt-updates-missing"     // Configuration Manager misses two updates
	CaseDefenderMedium     = "lt-defender-medium"
	CaseDefenderHigh       = "lt-defender-high"
	CaseThreatCompromised  = "ph-threat-compromised"  // threat partner reports compromised
	CaseThreatUnresponsive = "ph-threat-unresponsive" // threat partner is silent
	CaseDisabled           = "lt-disabled"            // device object disabled
	CaseWiped              = "ph-wiped"               // wipe issued
	CaseNACOnly            = "lt-nac-only"            // known to the Compliance Retrieval service alone
	CaseDuplicate          = "lt-duplicate"           // two Intune records, two Defender machines
	CaseRevoked            = "ph-revoked"             // registration revoked, retire issued
	CaseNotEvaluated       = "lt-not-evaluated"       // newly enrolled
	CaseConflict           = "lt-conflict"
	CaseError              = "lt-error"
	CaseFutureValues       = "lt-future-values"     // enumerations that no document names
	CaseUnreported         = "ph-unreported"        // isEncrypted false and jailBroken empty: not collected
	CaseConfigMgrBlocked   = "lt-configmgr-blocked" // blocked and its client is silent
	CaseDefenderSilent     = "lt-defender-silent"   // sensor without data
	CaseDefenderAttach     = "lt-defender-attach"   // msSense: managed through Defender alone
	CaseHybridPending      = "lt-hybrid-pending"    // hybrid join not finished
	CaseUserHigh           = "lt-user-high"         // healthy; its user is at high risk
	CaseUserCompromised    = "lt-user-compromised"  // its user is confirmed compromised
	CaseUserRemediated     = "lt-user-remediated"   // risk level high, but remediated
	CaseUserHidden         = "lt-user-hidden"       // level hidden: no licence
	CaseUserDisabled       = "lt-user-disabled"     // account disabled
)

// cases make the telling devices.
var cases = []struct {
	name string
	make func(*maker, *Device)
}{
	{CaseHealthy, (*maker).laptop},
	{CaseComanaged, func(m *maker, d *Device) { m.comanaged(d, true) }},
	{CaseComanagedConfigMgr, func(m *maker, d *Device) { m.comanaged(d, false) }},
	{CaseTenantAttach, tenantAttach},
	{CaseIntuneOnly, (*maker).phone},
	{CaseJamf, jamf},
	{CaseHybridOnly, hybridOnly},
	{CaseGraceFar, func(m *maker, d *Device) { grace(m, d, 10*24*time.Hour) }},
	{CaseGraceNear, func(m *maker, d *Device) { grace(m, d, 2*time.Minute) }},
	{CaseGracePast, func(m *maker, d *Device) { grace(m, d, -time.Hour) }},
	{CaseNoncompliant, noncompliant},
	{CaseJailbroken, jailbroken},
	{CaseMalware, malware},
	{CaseUpdatesMissing, updatesMissing},
	{CaseDefenderMedium, func(m *maker, d *Device) { risky(m, d, "Medium") }},
	{CaseDefenderHigh, func(m *maker, d *Device) { risky(m, d, "High") }},
	{CaseThreatCompromised, func(m *maker, d *Device) { threat(m, d, "compromised", "noncompliant") }},
	{CaseThreatUnresponsive, func(m *maker, d *Device) { threat(m, d, "unresponsive", "compliant") }},
	{CaseDisabled, func(m *maker, d *Device) { m.laptop(d); d.Directory.Enabled = false }},
	{CaseWiped, func(m *maker, d *Device) { m.phone(d); d.Managed[0].State = "wipeIssued" }},
	{CaseNACOnly, nacOnly},
	{CaseDuplicate, duplicate},
	{CaseRevoked, revoked},
	{CaseNotEvaluated, func(m *maker, d *Device) { state(m, d, "unknown", Null) }},
	{CaseConflict, func(m *maker, d *Device) { state(m, d, "conflict", False) }},
	{CaseError, func(m *maker, d *Device) { state(m, d, "error", False) }},
	{CaseFutureValues, futureValues},
	{CaseUnreported, unreported},
	{CaseConfigMgrBlocked, configMgrBlocked},
	{CaseDefenderSilent, defenderSilent},
	{CaseDefenderAttach, defenderAttach},
	{CaseHybridPending, hybridPending},
	{CaseUserHigh, func(m *maker, d *Device) { userRisk(m, d, "high", "atRisk", "none") }},
	{CaseUserCompromised, func(m *maker, d *Device) {
		userRisk(m, d, "high", "confirmedCompromised", "adminConfirmedUserCompromised")
	}},
	{CaseUserRemediated, func(m *maker, d *Device) {
		userRisk(m, d, "high", "remediated", "userPassedMFADrivenByRiskBasedPolicy")
	}},
	{CaseUserHidden, func(m *maker, d *Device) { userRisk(m, d, "hidden", "atRisk", "hidden") }},
	{CaseUserDisabled, func(m *maker, d *Device) {
		m.laptop(d)
		if d.User != nil {
			d.User.Enabled = false
		}
	}},
}

// tenantAttach: upload of all devices takes servers along, and nobody is their user.
func tenantAttach(m *maker, d *Device) {
	d.OS, d.OSVersion, d.User = "Windows Server", "10.0.26100.7171", nil
	m.directory(d, "ServerAd", "Company")
	d.Directory.Compliant, d.Directory.Managed = Null, Null
	r := m.enrol(d, "configurationManagerClient", "company", "unknown")
	r.Compliance, r.Registration, r.Encrypted = "configManager", "notRegistered", false
	m.resource(d)
	m.sensor(d)
}

// jamf: Intune has a record, but the partner judges and only the directory says how.
func jamf(m *maker, d *Device) {
	m.mac(d)
	d.Managed[0].Agent, d.Managed[0].Compliance = "jamf", "unknown"
	d.Directory.MDMApp = appPartner
}

// hybridOnly shows that a hybrid join needs no co-management: isCompliant is null, which
// is not false.
func hybridOnly(m *maker, d *Device) {
	d.OS, d.OSVersion = "Windows", "10.0.26100.7171"
	m.directory(d, "ServerAd", "Company")
	d.Directory.Compliant, d.Directory.Managed, d.Directory.ComplianceExpires = Null, Null, time.Time{}
	m.resource(d)
}

// grace: the directory still says compliant, and cannot tell it from healthy.
func grace(m *maker, d *Device, left time.Duration) {
	m.laptop(d)
	r := d.Managed[0]
	r.Compliance, r.GraceUntil, r.Encrypted = "inGracePeriod", m.now.Add(left), false
	r.Policies = failing(m, "StorageRequireEncryption")
}

// noncompliant has two reasons, and attestation that only the single record shows.
func noncompliant(m *maker, d *Device) {
	m.laptop(d)
	r := d.Managed[0]
	r.Compliance, r.Encrypted, d.OSVersion = "noncompliant", false, "10.0.22631.2861"
	r.Policies = failing(m, "StorageRequireEncryption", "OsMinimumVersion")
	r.Attestation = &Attestation{BitLocker: "Disabled", SecureBoot: "Enabled", CodeIntegrity: "Enabled", BootDebugging: "Disabled"}
	d.Directory.Compliant = False
}

// failing is a Windows policy with failing settings, each listed twice: for the user
// and for the system account, for which it is compliant.
func failing(m *maker, settings ...string) []*PolicyState {
	p := &PolicyState{ID: m.guid(), Name: "Laptops baseline", Platform: "windows10AndLater", State: "nonCompliant"}
	for _, s := range settings {
		name := "Windows10CompliancePolicy." + s
		p.Settings = append(p.Settings,
			SettingState{Setting: name, State: "nonCompliant", ErrorCode: -2016345612},
			SettingState{Setting: name, State: "compliant", System: true})
	}
	p.Settings = append(p.Settings, SettingState{Setting: "Windows10CompliancePolicy.SecureBootEnabled", State: "compliant", Current: "true"})
	return []*PolicyState{p, builtIn("compliant")}
}

// jailbroken says so in three places: Intune, a policy, and the directory.
func jailbroken(m *maker, d *Device) {
	m.android(d)
	r := d.Managed[0]
	r.JailBroken, r.Compliance = "True", "noncompliant"
	r.Policies = []*PolicyState{{
		ID: m.guid(), Name: "Phones", Platform: "android", State: "nonCompliant",
		Settings: []SettingState{{Setting: "AndroidCompliancePolicy.SecurityBlockJailbrokenDevices", State: "nonCompliant", ErrorCode: -2016345708}},
	}, builtIn("compliant")}
	d.Directory.Compliant, d.Directory.Rooted = False, True
}

// malware is found by Windows, Configuration Manager and Defender alike.
func malware(m *maker, d *Device) {
	m.comanaged(d, true)
	found := m.ago(5 * time.Hour)
	r := d.Managed[0]
	r.Compliance, r.Threat, d.Directory.Compliant = "noncompliant", "highSeverity", False
	r.Policies = failing(m, "DeviceThreatProtectionRequiredSecurityLevel")
	r.Protection = &Protection{
		State: "critical,rebootPending", Product: "rebootRequired", RealTime: true, MalwareProtection: true, Tamper: true, RebootRequired: true,
		Malware: []Malware{
			{Name: "Trojan:Win32/Sample.A", Severity: "severe", Execution: "running", Threat: "active", Detected: found},
			{Name: "PUA:Win32/Sample.B", Severity: "low", Execution: "notRunning", Threat: "cleaned", Detected: found},
		},
	}
	d.ConfigMgr.EPInfection, d.ConfigMgr.EPThreat = 4, "Trojan:Win32/Sample.A"
	d.Machines[0].Risk = "High"
	d.Machines[0].Alerts = alerts(m, "High", "New")
}

// updatesMissing: Intune knows nothing of it, since Configuration Manager is the authority.
func updatesMissing(m *maker, d *Device) {
	m.comanaged(d, false)
	d.ConfigMgr.Updates = []UpdateState{
		{CI: 16790001, Article: "5046617", Name: "2026-11 Cumulative Update", Status: 2},
		{CI: 16790003, Article: "5046740", Name: "2026-11 .NET Framework update", Status: 2},
		{CI: 16790002, Article: "890830", Name: "Malicious Software Removal Tool", Status: 3},
	}
}

// alerts is one alert of a machine.
func alerts(m *maker, severity, status string) []*Alert {
	at := m.ago(5 * time.Hour)
	return []*Alert{{
		ID: "da" + m.guid().String(), Title: "Suspicious process", Severity: severity,
		Status: status, Category: "Malware", Created: at, Updated: at,
	}}
}

// risky: Intune has not heard of Defender's risk, so both axes differ.
func risky(m *maker, d *Device, risk string) {
	m.laptop(d)
	d.Machines[0].Risk, d.Machines[0].Exposure = risk, "Medium"
	d.Machines[0].Alerts = alerts(m, risk, "InProgress")
}

// threat: the level that a mobile threat defence partner pushed to Intune.
func threat(m *maker, d *Device, threat, compliance string) {
	m.android(d)
	d.Managed[0].Threat, d.Managed[0].Compliance = threat, compliance
	d.Directory.Compliant = NullBoolOf(compliance == "compliant")
}

// nacOnly is in no service but the Compliance Retrieval service.
func nacOnly(m *maker, d *Device) {
	d.OS, d.OSVersion = "Windows", "10.0.26200.7171"
	d.NAC = &NAC{ID: m.guid(), Registered: true, Compliant: true}
	d.MAC = "02" + strings.ToUpper(hex.EncodeToString(d.NAC.ID[11:]))
}

// duplicate: taking the first record, or any that is bad, gives the wrong answer.
func duplicate(m *maker, d *Device) {
	m.laptop(d)
	old := m.enrol(d, "mdm", "company", "windowsAzureADJoin")
	old.Compliance, old.LastSync = "noncompliant", m.now.Add(-60*24*time.Hour)
	d.Managed[0], d.Managed[1] = d.Managed[1], d.Managed[0] // the stale one comes first
	m.sensor(d).LastSeen = m.now.Add(-50 * 24 * time.Hour)
	d.Machines[1].Risk, d.Machines[1].Health = "High", "Inactive"
}

// revoked: Intune still says compliant of a device that must not come in.
func revoked(m *maker, d *Device) {
	m.phone(d)
	d.Managed[0].Registration, d.Managed[0].State = "revoked", "retireIssued"
	d.Directory.Compliant = False
}

// state is a compliance state and what of it was copied to the directory.
func state(m *maker, d *Device, compliance string, copied NullBool) {
	m.laptop(d)
	d.Managed[0].Compliance, d.Directory.Compliant = compliance, copied
	if compliance == "unknown" {
		d.Managed[0].Enrolled, d.Managed[0].LastSync = m.now.Add(-5*time.Minute), time.Time{}
	}
}

// futureValues has enumerations of tomorrow; a client must read them as unknown.
func futureValues(m *maker, d *Device) {
	m.laptop(d)
	r := d.Managed[0]
	r.Agent, r.State, r.Threat = "unknownFutureValue", "unknownFutureValue", "quantumSeverity"
	r.Registration, r.EnrollmentType, r.JailBroken = "registeredByFleet", "unknownFutureValue", "Perhaps"
	d.Machines[0].Risk, d.Machines[0].Health = "Extreme", "Hibernating"
}

// unreported: false and empty mean here that nobody collected the fact.
func unreported(m *maker, d *Device) {
	m.phone(d)
	d.Managed[0].Encrypted, d.Managed[0].JailBroken = false, ""
	d.Directory.Rooted = Null
}

// configMgrBlocked: an administrator blocked it, and its client is silent for weeks.
func configMgrBlocked(m *maker, d *Device) {
	m.comanaged(d, false)
	r := d.ConfigMgr
	r.Blocked, r.ClientActive, r.ClientCheck, r.LastActive = true, 0, 2, m.now.Add(-40*24*time.Hour)
}

// defenderSilent: no risk is known, which is not the same as no risk.
func defenderSilent(m *maker, d *Device) {
	m.laptop(d)
	x := d.Machines[0]
	x.Health, x.Risk, x.LastSeen = "NoSensorData", "", m.now.Add(-20*24*time.Hour)
}

// defenderAttach has an Intune record without being enrolled.
func defenderAttach(m *maker, d *Device) {
	m.laptop(d)
	d.Managed[0].Agent, d.Managed[0].Compliance = "msSense", "unknown"
	d.Directory.Compliant, d.Directory.Managed = Null, Null
}

// hybridPending has no date of registration, and Configuration Manager no Entra id.
func hybridPending(m *maker, d *Device) {
	hybridOnly(m, d)
	d.Directory.Registered, d.ConfigMgr.WithoutEntraID = time.Time{}, true
}

// userRisk: the device is healthy, its user is not.
func userRisk(m *maker, d *Device, level, state, detail string) {
	m.laptop(d)
	if d.User != nil {
		d.User.Risk = &Risk{Level: level, State: state, Detail: detail, Updated: m.ago(24 * time.Hour)}
	}
}
