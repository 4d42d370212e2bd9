package intune

import "github.com/gatehouse-project/gatehouse/decision"

// The spellings of Graph v1.0 and beta and of the device export, reduced by fold. What is not listed is unknown, and counted.
var (
	complianceWords = map[string]decision.Compliance{
		"compliant":     decision.Compliant,
		"noncompliant":  decision.NonCompliant,
		"notcompliant":  decision.NonCompliant,
		"conflict":      decision.ComplianceConflict,
		"error":         decision.ComplianceError,
		"ingraceperiod": decision.InGracePeriod,
		"configmanager": decision.ComplianceDelegated,
		"configmgr":     decision.ComplianceDelegated,
		"seeconfigmgr":  decision.ComplianceDelegated,
		"unknown":       decision.ComplianceNotEvaluated, // newly enrolled, or nothing to evaluate
		"notevaluated":  decision.ComplianceNotEvaluated,
	}
	agentWords = map[string]decision.Channel{
		"mdm":                               decision.ChannelIntune,
		"easmdm":                            decision.ChannelIntune,
		"intuneclient":                      decision.ChannelIntune,
		"easintuneclient":                   decision.ChannelIntune,
		"googleclouddevicepolicycontroller": decision.ChannelIntune,
		"microsoft365managedmdm":            decision.ChannelIntune,
		"intuneaosp":                        decision.ChannelIntune,
		"intune":                            decision.ChannelIntune,
		"configurationmanagerclientmdm":     decision.ChannelCoManaged,
		"configurationmanagerclientmdmeas":  decision.ChannelCoManaged,
		"comanaged":                         decision.ChannelCoManaged,
		"configurationmanagerclient":        decision.ChannelConfigMgrAttached,
		"configmgr":                         decision.ChannelConfigMgrAttached,
		"jamf":                              decision.ChannelPartnerMDM,
		"mssense":                           decision.ChannelMDEAttach,
		"mde":                               decision.ChannelMDEAttach,
		"eas":                               decision.ChannelEAS,
		"unknown":                           decision.ChannelUnknown,
	}
	// Canceled and failed actions leave a device as it was.
	stateWords = map[string]decision.Lifecycle{
		"managed":        decision.LifecycleActive,
		"retirepending":  decision.LifecycleRetiring,
		"retireissued":   decision.LifecycleRetiring,
		"retirefailed":   decision.LifecycleActive,
		"retirecanceled": decision.LifecycleActive,
		"wipepending":    decision.LifecycleWiping,
		"wipeissued":     decision.LifecycleWiping,
		"deletepending":  decision.LifecycleWiping,
		"wipefailed":     decision.LifecycleActive,
		"wipecanceled":   decision.LifecycleActive,
		"unhealthy":      decision.LifecycleUnhealthy,
		"discovered":     decision.LifecycleDiscovered,
	}
	// A registration that is fine says nothing about the life of a device.
	registrationWords = map[string]decision.Lifecycle{
		"registered":                     decision.LifecycleUnknown,
		"notregistered":                  decision.LifecycleUnknown,
		"unknown":                        decision.LifecycleUnknown,
		"revoked":                        decision.LifecycleRevoked,
		"approvalpending":                decision.LifecyclePending,
		"notregisteredpendingenrollment": decision.LifecyclePending,
		"keyconflict":                    decision.LifecycleUnhealthy,
		"certificatereset":               decision.LifecycleUnhealthy,
	}
	ownershipWords = map[string]decision.Ownership{
		"company":   decision.Corporate,
		"corporate": decision.Corporate,
		"personal":  decision.Personal,
		"unknown":   decision.OwnershipUnknown,
	}
	triWords = map[string]decision.Tri{
		"true": decision.Yes, "yes": decision.Yes,
		"false": decision.No, "no": decision.No,
		"unknown": decision.Unknown,
	}
	// threatWords read partnerReportedThreatState: a partner that has not
	// reported yet, or cannot, knows nothing about the risk.
	threatWords = map[string]threat{
		"unknown":        {},
		"activated":      {sensor: decision.SensorNoData},
		"deactivated":    {sensor: decision.SensorDeactivated},
		"secured":        {decision.LevelNone, decision.SensorActive},
		"lowseverity":    {decision.LevelLow, decision.SensorActive},
		"mediumseverity": {decision.LevelMedium, decision.SensorActive},
		"highseverity":   {decision.LevelHigh, decision.SensorActive},
		"compromised":    {decision.LevelCompromised, decision.SensorActive},
		"unresponsive":   {sensor: decision.SensorUnresponsive},
		"misconfigured":  {sensor: decision.SensorMisconfigured},
	}
)

type threat struct {
	risk   decision.Level
	sensor decision.Sensor
}

// placeholders are serial numbers that makers forgot to set.
var placeholders = map[string]bool{
	"0": true, "NONE": true, "N/A": true, "NA": true, "NULL": true, "UNKNOWN": true, "INVALID": true,
	"DEFAULT STRING": true, "TO BE FILLED BY O.E.M.": true, "TO BE FILLED BY OEM": true, "NOT SPECIFIED": true,
	"NOT AVAILABLE": true, "NOT APPLICABLE": true, "SYSTEM SERIAL NUMBER": true, "CHASSIS SERIAL NUMBER": true,
	"BASE BOARD SERIAL NUMBER": true, "SERIALNUMBER": true, "SERIAL NUMBER": true, "O.E.M.": true, "OEM": true,
	"123456789": true, "1234567890": true, "0123456789": true, "XXXXXXXX": true,
}

// placeholder reports whether a canonical serial number identifies nothing: a
// known one, or one character repeated.
func placeholder(serial string) bool {
	if placeholders[serial] {
		return true
	}
	for i := range len(serial) {
		if serial[i] != serial[0] {
			return false
		}
	}
	return true
}

// fold reduces a spelling to letters and digits in lower case: Graph and the
// export spell one value differently. Any other character than the separators of
// exports makes it no word at all.
func fold(s string) string {
	b := make([]byte, 0, 48) // the longest words have 47
	for i := range len(s) {
		c := s[i]
		switch {
		case 'A' <= c && c <= 'Z':
			c += 'a' - 'A'
		case 'a' <= c && c <= 'z', '0' <= c && c <= '9':
		case c == ' ' || c == '_' || c == '-':
			continue
		default:
			return "?"
		}
		if len(b) == cap(b) {
			return "?"
		}
		b = append(b, c)
	}
	return string(b)
}
