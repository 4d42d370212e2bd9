package intune

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// selected are the properties that we ask for: a full record takes 4 KB.
const selected = "id,azureADDeviceId,deviceName,userId,userPrincipalName,complianceState," +
	"complianceGracePeriodExpirationDateTime,managementAgent,managementState,managedDeviceOwnerType," +
	"deviceRegistrationState,isEncrypted,jailBroken,isSupervised,operatingSystem,osVersion,model," +
	"androidSecurityPatchLevel,partnerReportedThreatState,lastSyncDateTime,configurationManagerClientEnabledFeatures,serialNumber"

// record is a Graph managedDevice, or a row of the export, as text.
type record struct {
	ID           text  `json:"id"`
	EntraID      text  `json:"azureADDeviceId"`
	Serial       text  `json:"serialNumber"`
	Name         text  `json:"deviceName"`
	Model        text  `json:"model"`
	UserID       text  `json:"userId"`
	UPN          text  `json:"userPrincipalName"`
	OS           text  `json:"operatingSystem"`
	OSVersion    text  `json:"osVersion"`
	Compliance   text  `json:"complianceState"`
	Grace        text  `json:"complianceGracePeriodExpirationDateTime"`
	Agent        text  `json:"managementAgent"`
	State        text  `json:"managementState"`
	Registration text  `json:"deviceRegistrationState"`
	Ownership    text  `json:"managedDeviceOwnerType"`
	Jailbroken   text  `json:"jailBroken"`
	Threat       text  `json:"partnerReportedThreatState"`
	PatchLevel   text  `json:"androidSecurityPatchLevel"`
	LastSync     text  `json:"lastSyncDateTime"`
	Encrypted    flag  `json:"isEncrypted"`
	Supervised   flag  `json:"isSupervised"`
	Workloads    loads `json:"configurationManagerClientEnabledFeatures"`

	encrypted, supervised text // as an export writes them
}

var errNoID = errors.New("record has no usable device id")

// decoder turns records into verdicts. It is not safe for concurrent use.
type decoder struct {
	now    time.Time
	fields map[string]int // values that could not be used, by field and reason
	// lost are the facts that such a value of the record at hand bears on.
	lost   decision.FactSet
	export bool // the rows come from an export, which lacks some fields
	// patchWithin is Options.PatchWithin.
	patchWithin time.Duration
}

func (s *Source) decoder() decoder { return decoder{now: s.o.Now(), patchWithin: s.o.PatchWithin} }

func (d *decoder) decode(raw []byte) (decision.Verdict, error) {
	var r record
	if err := json.Unmarshal(raw, &r); err != nil {
		return decision.Verdict{}, errors.New("record is no JSON object")
	}
	return d.verdict(&r)
}

// plain is text that may be empty.
func (d *decoder) plain(field string, t text) string {
	if t.wrong {
		d.odd(field, "wrong type")
	}
	return strings.TrimSpace(t.s)
}

// atMost is text that must not be cut: it names a person.
func (d *decoder) atMost(field, s string, n int) string {
	if len(s) > n {
		d.odd(field, "too long")
		return ""
	}
	return s
}

// verdict says what a record means. The error says why it cannot be used.
func (d *decoder) verdict(r *record) (decision.Verdict, error) {
	var v decision.Verdict
	own, ok := decision.CanonicalKey(decision.KindIntune, r.ID.s)
	if !ok || r.ID.wrong {
		return v, errNoID
	}
	d.lost = 0
	v.Keys = make([]decision.Key, 1, 3)
	v.Keys[0] = own
	d.otherKeys(&v, r)
	v.Name, v.Model = d.plain("deviceName", r.Name), d.plain("model", r.Model)
	if id := strings.ToLower(d.plain("userId", r.UserID)); strings.Trim(id, "0-") != "" {
		v.OwnerID = d.atMost("userId", id, 64)
	}
	v.OwnerUPN = d.atMost("userPrincipalName", d.plain("userPrincipalName", r.UPN), 256)
	d.system(&v, r)
	v.LastCheckIn = d.checkIn(r.LastSync)
	v.Ownership = word(d, ownershipWords, "managedDeviceOwnerType", r.Ownership)
	d.lifecycle(&v, r)
	if r.Jailbroken.wrong || r.Jailbroken.s != "" { // empty is how Graph spells unknown here
		v.Jailbroken = word(d, triWords, "jailBroken", r.Jailbroken)
	}
	if !d.export {
		t := word(d, threatWords, "partnerReportedThreatState", r.Threat)
		v.Risk, v.Sensor = t.risk, t.sensor
	}
	d.compliance(&v, r)
	if d.export {
		r.Encrypted.is, r.Supervised.is = d.truth("isEncrypted", r.encrypted), d.truth("isSupervised", r.supervised)
	}
	v.Encrypted = d.encrypted(&v, r.Encrypted)
	v.Updated = d.patched(v.Platform, r.PatchLevel)
	if r.Supervised.wrong {
		d.odd("isSupervised", "wrong type")
	} else if v.Platform == decision.IOS || v.Platform == decision.MacOS {
		v.Supervised = r.Supervised.is // elsewhere it is always false
	}
	v.Unreadable = unread(d.take(), &v.Device)
	return v, nil
}

// truth reads a boolean of an export, which may be empty.
func (d *decoder) truth(field string, t text) decision.Tri {
	if strings.TrimSpace(t.s) == "" {
		return decision.Unknown
	}
	return word(d, triWords, field, t)
}

// lifecycle joins the two words about the life of a device: the graver counts. One
// that cannot be read may be graver than any but a stop.
func (d *decoder) lifecycle(v *decision.Verdict, r *record) {
	v.Lifecycle = decision.GraverLifecycle(word(d, stateWords, "managementState", r.State),
		word(d, registrationWords, "deviceRegistrationState", r.Registration))
	if d.lost.Has(decision.FactLifecycle) && !ends(v.Lifecycle) {
		v.Lifecycle = decision.LifecycleUnknown
	}
}

func (d *decoder) otherKeys(v *decision.Verdict, r *record) {
	switch k, ok := decision.CanonicalKey(decision.KindEntra, r.EntraID.s); {
	case r.EntraID.wrong:
		d.odd("azureADDeviceId", "wrong type")
	case ok:
		v.Keys = append(v.Keys, k)
	case strings.Trim(r.EntraID.s, "0-") != "": // only zeroes: not registered
		d.odd("azureADDeviceId", "unknown value")
	}
	switch k, ok := decision.CanonicalKey(decision.KindSerial, r.Serial.s); {
	case r.Serial.wrong:
		d.odd("serialNumber", "wrong type")
	case !ok && strings.TrimSpace(r.Serial.s) != "":
		d.odd("serialNumber", "unknown value")
	case ok && !placeholder(k.Value):
		v.Keys = append(v.Keys, k)
	}
}

func (d *decoder) system(v *decision.Verdict, r *record) {
	if os := d.plain("operatingSystem", r.OS); os != "" && !strings.EqualFold(os, "unknown") {
		p, ok := decision.ParsePlatform(os)
		if v.Platform = p; !ok {
			d.odd("operatingSystem", "unknown value")
		}
	}
	if s := d.plain("osVersion", r.OSVersion); s != "" && v.Platform != decision.PlatformUnknown {
		ver, err := decision.ParseVersion(s)
		if v.OSVersion = ver; err != nil {
			d.odd("osVersion", "unknown value")
		}
	}
}

// encrypted reads isEncrypted, which cannot be null: "not collected" reads as
// false. So false counts only of an enrolled device that did check in, on a
// platform that reports it.
func (d *decoder) encrypted(v *decision.Verdict, f flag) decision.Tri {
	if f.wrong {
		d.odd("isEncrypted", "wrong type")
		return decision.Unknown
	}
	if f.is == decision.Unknown && !d.export {
		d.odd("isEncrypted", "empty")
	}
	if f.is != decision.No {
		return f.is
	}
	if v.Channel != decision.ChannelIntune && v.Channel != decision.ChannelCoManaged {
		return decision.Unknown
	}
	switch v.Platform {
	case decision.Windows, decision.MacOS, decision.Android:
		if !v.LastCheckIn.IsZero() {
			return decision.No
		}
	case decision.PlatformUnknown, decision.IOS, decision.Linux, decision.ChromeOS, decision.NumPlatforms:
	}
	return decision.Unknown
}

// compliance reads whose word counts, and what it is (reference: co-management
// workloads, tenant attach). A good word counts only from a channel by which
// Intune evaluates.
func (d *decoder) compliance(v *decision.Verdict, r *record) {
	said := word(d, complianceWords, "complianceState", r.Compliance)
	v.Channel = word(d, agentWords, "managementAgent", r.Agent)
	switch v.Channel {
	case decision.ChannelIntune:
		v.Managed, v.Compliance = decision.Yes, said
	case decision.ChannelCoManaged:
		v.Managed, v.Compliance = decision.Yes, d.coManaged(said, r.Workloads)
	case decision.ChannelConfigMgrAttached:
		v.Managed, v.Compliance = decision.Yes, decision.ComplianceDelegated
	case decision.ChannelPartnerMDM:
		v.Managed = decision.Yes // the partner's verdict is in the directory
		d.found(decision.FactCompliance)
	case decision.ChannelUnknown:
		// Of an agent that cannot be read nobody knows whether it leaves the verdict
		// to somebody else, so only a no is taken.
		if fails(said) || !good(said) && !d.lost.Has(decision.FactManaged) {
			v.Compliance = said
		}
	case decision.ChannelConfigMgrOnly, decision.ChannelMDEAttach, decision.ChannelEAS, decision.ChannelNone:
		// Reached without enrolment: Intune evaluates nothing.
		d.found(decision.FactCompliance)
	}
	if v.Compliance != decision.InGracePeriod {
		return
	}
	until, ok := d.date("complianceGracePeriodExpirationDateTime", r.Grace)
	if !ok { // there is an end, and nobody can say when: it may be over
		v.Compliance = decision.ComplianceUnknown
	}
	v.GraceUntil = until
}

// coManaged reads the verdict about a co-managed device, which is Intune's only
// if it owns the workload. If nobody says who does, a good word is not taken.
func (d *decoder) coManaged(said decision.Compliance, w loads) decision.Compliance {
	const field = "configurationManagerClientEnabledFeatures"
	switch {
	case w.compliance == decision.Yes:
		return said
	case w.compliance == decision.No:
		return decision.ComplianceDelegated
	case w.wrong:
		d.odd(field, "wrong type")
		if fails(said) {
			return said
		}
		return decision.ComplianceUnknown
	case !d.export:
		d.count(field, "missing for a co-managed device")
	}
	if good(said) {
		return decision.ComplianceDelegated
	}
	return said
}

// good reports whether a state lets a device in.
func good(c decision.Compliance) bool {
	return c == decision.Compliant || c == decision.InGracePeriod
}

// fails reports whether a state is a no.
func fails(c decision.Compliance) bool { return failing(c) && c != decision.InGracePeriod }

// ends reports whether a state stops a device.
func ends(l decision.Lifecycle) bool {
	return l == decision.LifecycleRetiring || l == decision.LifecycleWiping || l == decision.LifecycleRevoked
}

// failing reports whether there are reasons to ask for.
func failing(c decision.Compliance) bool {
	switch c {
	case decision.NonCompliant, decision.InGracePeriod, decision.ComplianceConflict, decision.ComplianceError:
		return true
	case decision.ComplianceUnknown, decision.Compliant, decision.ComplianceNotEvaluated, decision.ComplianceDelegated, decision.ComplianceNotManaged:
	}
	return false
}
