package intune

import (
	"math/bits"

	"github.com/gatehouse-project/gatehouse/decision"
)

// bearing are the facts that stand or fall with a field. A value of it that cannot be
// read makes them unreadable, as far as nothing else in the record tells them.
var bearing = map[string]decision.FactSet{
	"complianceState":                           decision.Facts(decision.FactCompliance),
	"complianceGracePeriodExpirationDateTime":   decision.Facts(decision.FactCompliance),
	"configurationManagerClientEnabledFeatures": decision.Facts(decision.FactCompliance),
	"managementAgent":                           decision.Facts(decision.FactManaged, decision.FactCompliance), // who decides
	"managementState":                           decision.Facts(decision.FactLifecycle),
	"deviceRegistrationState":                   decision.Facts(decision.FactLifecycle),
	"managedDeviceOwnerType":                    decision.Facts(decision.FactOwnership),
	"userId":                                    decision.Facts(decision.FactOwner),
	"userPrincipalName":                         decision.Facts(decision.FactOwner),
	"operatingSystem":                           decision.Facts(decision.FactOS, decision.FactEncrypted, decision.FactSupervised, decision.FactUpdated),
	"osVersion":                                 decision.Facts(decision.FactOS),
	"lastSyncDateTime":                          decision.Facts(decision.FactCheckIn, decision.FactEncrypted),
	"jailBroken":                                decision.Facts(decision.FactJailbroken),
	"isEncrypted":                               decision.Facts(decision.FactEncrypted),
	"isSupervised":                              decision.Facts(decision.FactSupervised),
	"androidSecurityPatchLevel":                 decision.Facts(decision.FactUpdated),
	"partnerReportedThreatState":                decision.Facts(decision.FactRisk, decision.FactSensor),

	// What is asked for computer by computer.
	"malwareProtectionEnabled":  decision.Facts(decision.FactAntivirus),
	"realTimeProtectionEnabled": decision.Facts(decision.FactAntivirus),
	"signatureUpdateOverdue":    decision.Facts(decision.FactAntivirus),
	"productStatus":             decision.Facts(decision.FactAntivirus, decision.FactMalware),
	"deviceState":               decision.Facts(decision.FactMalware),
	"threatState":               decision.Facts(decision.FactMalware),
	"lastReportedDateTime":      decision.Facts(decision.FactAntivirus, decision.FactMalware),
	"secureBoot":                decision.Facts(decision.FactSecureBoot),
	"bitLockerStatus":           decision.Facts(decision.FactEncrypted),
	"lastUpdateDateTime":        decision.Facts(decision.FactSecureBoot, decision.FactEncrypted),
}

// odd counts a value that cannot be read, and notes the facts that it bears on. Both
// words are from closed sets.
func (d *decoder) odd(field, why string) {
	d.count(field, why)
	d.lost |= bearing[field]
}

// count counts a value that could not be used.
func (d *decoder) count(field, why string) {
	if d.fields == nil {
		d.fields = map[string]int{}
	}
	d.fields[field+": "+why]++
}

// found takes back that a fact is lost: it is not this record's to tell.
func (d *decoder) found(f decision.Fact) { d.lost &^= decision.Facts(f) }

// take returns the facts that were lost since the last call.
func (d *decoder) take() decision.FactSet {
	lost := d.lost
	d.lost = 0
	return lost
}

// word looks up an enumeration. Graph has no null there, so null is odd too; a column
// that an export leaves out says nothing.
func word[T any](d *decoder, words map[string]T, field string, t text) (v T) {
	switch {
	case t.wrong:
		d.odd(field, "wrong type")
	case t.s == "" && d.export && !t.given:
		d.count(field, "empty")
	case t.s == "":
		d.odd(field, "empty")
	default:
		var ok bool
		if v, ok = words[fold(t.s)]; !ok {
			d.odd(field, "unknown value")
		}
	}
	return v
}

// unread are the lost facts that a record tells nothing of after all.
func unread(lost decision.FactSet, v *decision.Device) (set decision.FactSet) {
	for ; lost != 0; lost &= lost - 1 {
		if f := decision.Fact(bits.TrailingZeros32(uint32(lost))); !tells(v, f) {
			set |= decision.Facts(f)
		}
	}
	return set
}

// tells reports whether a record says all of a fact: of the system, its version, too.
func tells(v *decision.Device, f decision.Fact) bool {
	return v.Tells(f) && (f != decision.FactOS || !v.OSVersion.IsZero())
}
