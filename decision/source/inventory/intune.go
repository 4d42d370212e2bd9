package inventory

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// intuneColumn is a column of the report DevicesWithInventory. Each has the
// header that the admin centre writes and the name by which the reports API
// requests it, both in lower case.
type intuneColumn struct {
	headers  []string
	kind     string
	field    string // under which a word that no table lists is counted
	supplies decision.FactSet
	set      func(d *decision.Device, s string, now time.Time) error
}

// intuneColumns lists what we read, ids first and the source's own before the
// others. What the report calls "Microsoft Entra registered" is the property
// GraphDeviceIsManaged: it is no kind of trust, so only JoinType sets that.
var intuneColumns = []intuneColumn{
	{headers: []string{"device id", "deviceid"}, kind: decision.KindIntune},
	{headers: []string{"microsoft entra device id", "azure ad device id", "referenceid"}, kind: decision.KindEntra},
	{headers: []string{"serial number", "serialnumber"}, kind: decision.KindSerial},
	{headers: []string{"device name", "devicename"}, set: fields[fieldIndex["name"]].set},
	{headers: []string{"model"}, set: fields[fieldIndex["model"]].set},
	{headers: []string{"os", "devicetype"}, field: "platform", supplies: decision.Facts(decision.FactOS), set: setPlatform},
	{headers: []string{"os version", "osversion"}, field: "os_version", set: setVersion},
	{headers: []string{"last check-in", "lastcontact"}, supplies: decision.Facts(decision.FactCheckIn), set: setCheckIn},
	{headers: []string{"compliance", "compliantstate"}, field: "compliance", supplies: decision.Facts(decision.FactCompliance), set: setCompliance},
	{headers: []string{"compliance grace period expiration", "ingraceperioduntil"}, set: setGrace},
	{headers: []string{"managed by", "managementagent"}, field: "channel", supplies: decision.Facts(decision.FactManaged), set: setManagedBy},
	{headers: []string{"ownership", "ownertype"}, field: "ownership", supplies: decision.Facts(decision.FactOwnership), set: setOwnership},
	{headers: []string{"device state", "managementstate"}, field: "lifecycle", supplies: decision.Facts(decision.FactLifecycle), set: setDeviceState},
	{headers: []string{"intune registered", "deviceregistrationstate"}, field: "registration", supplies: decision.Facts(decision.FactLifecycle), set: setRegistration},
	{headers: []string{"supervised"}, field: "supervised", supplies: decision.Facts(decision.FactSupervised), set: lenient(func(d *decision.Device) *decision.Tri { return &d.Supervised })},
	{headers: []string{"encrypted"}, field: "encrypted", supplies: decision.Facts(decision.FactEncrypted), set: lenient(func(d *decision.Device) *decision.Tri { return &d.Encrypted })},
	{headers: []string{"jailbroken"}, field: "jailbroken", supplies: decision.Facts(decision.FactJailbroken), set: lenient(func(d *decision.Device) *decision.Tri { return &d.Jailbroken })},
	{headers: []string{"jointype", "join type"}, field: "trust", supplies: decision.Facts(decision.FactTrust), set: setTrust},
	{headers: []string{"userid", "user id"}, supplies: decision.Facts(decision.FactOwner), set: setOwnerID},
	{headers: []string{"primary user upn", "upn"}, supplies: decision.Facts(decision.FactOwner), set: setOwnerUPN},
}

// intuneID reports whether a header holds an id as only the export spells it.
func intuneID(name string) bool {
	return slices.Contains(intuneColumns[0].headers, name) || slices.Contains(intuneColumns[1].headers, name)
}

// intuneLayout finds columns by name, never by position. Other columns may come
// and go; one of the two ids and Compliance decide whether the file is usable.
func intuneLayout(names []string) (*layout, error) {
	l := &layout{finish: finishIntune}
	ids := false
	for i := range intuneColumns {
		c := &intuneColumns[i]
		at := -1
		for j, n := range names {
			if !slices.Contains(c.headers, n) {
				continue
			}
			if at >= 0 {
				return nil, fmt.Errorf("header has column %q twice", c.headers[0])
			}
			at = j
		}
		if at < 0 {
			continue
		}
		ids = ids || c.kind == decision.KindIntune || c.kind == decision.KindEntra
		l.supplies |= c.supplies
		l.columns = append(l.columns, column{at: at, name: names[at], kind: c.kind, label: labelIndex[c.field], facts: c.supplies, set: c.set})
	}
	switch {
	case !ids:
		return nil, errors.New(`header has neither "Device ID" nor "Microsoft Entra Device ID"`)
	case !l.supplies.Has(decision.FactCompliance):
		return nil, errors.New(`header has no column "Compliance"`)
	}
	return l, nil
}

// setManagedBy reads the management agent. Exchange ActiveSync and Defender's
// own channel reach a device without enrolling it, so they leave open whether
// it is managed.
func setManagedBy(d *decision.Device, s string, _ time.Time) error {
	err := enum(&d.Channel, channelWords, s)
	switch d.Channel {
	case decision.ChannelIntune, decision.ChannelCoManaged, decision.ChannelConfigMgrAttached,
		decision.ChannelConfigMgrOnly, decision.ChannelPartnerMDM:
		d.Managed = decision.Yes
	case decision.ChannelNone:
		d.Managed = decision.No
	case decision.ChannelUnknown, decision.ChannelMDEAttach, decision.ChannelEAS:
	}
	return err
}

// setDeviceState reads Graph managementState.
func setDeviceState(d *decision.Device, s string, _ time.Time) error {
	return worsen(d, lifecycleWords, s)
}

// setRegistration reads Graph deviceRegistrationState; "registered" adds nothing.
func setRegistration(d *decision.Device, s string, _ time.Time) error {
	return worsen(d, registrationWords, s)
}

// worsen joins what two columns say about the life of a device.
func worsen(d *decision.Device, words map[string]decision.Lifecycle, s string) error {
	v, listed := word(words, s)
	d.Lifecycle = decision.GraverLifecycle(d.Lifecycle, v)
	return unlistedUnless(listed)
}

// lenient reads True and False; whatever else a later export may say is unknown
// and [errUnlisted].
func lenient(at func(*decision.Device) *decision.Tri) func(*decision.Device, string, time.Time) error {
	return func(d *decision.Device, s string, _ time.Time) error {
		return enum(at(d), triWords, s)
	}
}

// finishIntune applies what the record as a whole means.
func finishIntune(d *decision.Device) {
	// Graph isEncrypted cannot be null: "not collected" reads as false. A
	// device that never checked in collected nothing, and iOS reports only
	// through a passcode report that the export does not have.
	if d.Encrypted == decision.No && (d.Platform == decision.IOS || d.LastCheckIn.IsZero()) {
		d.Encrypted = decision.Unknown
	}
	if d.Unreadable.Has(decision.FactLifecycle) {
		settleLifecycle(d)
	}
	if d.Compliance != decision.Compliant && d.Compliance != decision.InGracePeriod {
		return
	}
	switch d.Channel {
	case decision.ChannelUnknown:
		if d.Unreadable.Has(decision.FactManaged) { // nobody can tell whether Intune evaluated anything
			d.Compliance = decision.ComplianceUnknown
			d.Unreadable |= decision.Facts(decision.FactCompliance)
		}
	case decision.ChannelConfigMgrAttached, decision.ChannelConfigMgrOnly:
		// Uploaded by Configuration Manager: Intune evaluated nothing.
		d.Compliance = decision.ComplianceDelegated
	case decision.ChannelMDEAttach, decision.ChannelEAS:
		d.Compliance = decision.ComplianceNotEvaluated
	case decision.ChannelIntune, decision.ChannelCoManaged, decision.ChannelPartnerMDM, decision.ChannelNone:
	}
}

// settleLifecycle joins a word that nobody can read with what the other column says:
// a device that is going away goes, and of any other nobody knows.
func settleLifecycle(d *decision.Device) {
	switch d.Lifecycle {
	case decision.LifecycleRevoked, decision.LifecycleWiping, decision.LifecycleRetiring:
		d.Unreadable &^= decision.Facts(decision.FactLifecycle)
	case decision.LifecycleUnknown, decision.LifecycleActive, decision.LifecyclePending, decision.LifecycleUnhealthy,
		decision.LifecycleDiscovered:
		d.Lifecycle = decision.LifecycleUnknown
	}
}
