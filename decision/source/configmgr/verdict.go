package configmgr

import (
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// The values of the enumerated properties of SMS_CombinedDeviceResources.
const (
	clientInactive = 0
	clientActive   = 1
	checkPassed    = 1
	checkFailed    = 2
	checkNotRun    = 3
	ownerCompany   = 1
	ownerPersonal  = 2

	deploymentUnmanaged = 1
	deploymentPlanned   = 2
	deploymentManaged   = 3
	deploymentFailed    = 4
	deploymentReboot    = 5

	infectionNone    = 1
	infectionCleaned = 2
	infectionPending = 3
	infectionFailed  = 4
)

// judge turns a record into a verdict.
type judge struct {
	now          time.Time
	signatureAge time.Duration
	noUpdates    bool
}

// verdict says what the site knows about one device.
func (j judge) verdict(r *record) decision.Verdict {
	f := &r.facts
	v := decision.Verdict{Device: decision.Device{
		Keys: r.keys, Name: r.name, Managed: decision.Yes,
		Channel: channel(r.comanaged), Ownership: ownership(f.DeviceOwner),
		Malware: malware(f), Risk: risk(f), Antivirus: j.antivirus(f),
		LastCheckIn: lastCheckIn(f), EvaluatedAt: f.LastClientCheckTime.Time,
	}}
	d := &v.Device
	if d.Name == "" {
		d.Name = f.Name.s
	}
	d.Platform, d.OSVersion = system(f, r.build)
	d.Enabled = enabled(r.blocked())
	if !j.noUpdates {
		d.Updated = r.scan.updated()
	}
	if f.ClientActiveStatus.is(clientInactive) {
		d.Sensor = decision.SensorInactive
	}
	if d.Sensor == decision.SensorInactive || f.ClientActiveStatus.odd() {
		outdate(d)
	}
	d.Compliance, d.Settings = j.compliance(r)
	d.Unreadable = j.unreadable(r, d)
	return v
}

// enabled turns a block around. That the site does not block a device must be said: a
// block counts until it is lifted in so many words.
func enabled(blocked decision.Tri) decision.Tri {
	switch blocked {
	case decision.Yes:
		return decision.No
	case decision.No:
		return decision.Yes
	case decision.Unknown:
	}
	return decision.Unknown
}

// blocked says whether the site blocks the device. Another record of it can say yes,
// or something that nobody can read, but never no.
func (r *record) blocked() decision.Tri {
	switch own := r.facts.IsBlocked.Tri; {
	case own == decision.Yes || r.blockedTwin:
		return decision.Yes
	case r.oddTwin:
		return decision.Unknown
	default:
		return own
	}
}

// outdate takes back the good facts of a client that no longer reports, as far as
// anybody can tell. The risk was at least what it reported last.
func outdate(d *decision.Device) {
	for fact, good := range map[*decision.Tri]decision.Tri{
		&d.Updated: decision.Yes, &d.Antivirus: decision.Yes, &d.Malware: decision.No,
	} {
		if *fact == good {
			*fact = decision.Unknown
		}
	}
	d.RiskFloor = d.Risk != decision.LevelUnknown
}

func channel(comanaged decision.Tri) decision.Channel {
	switch comanaged {
	case decision.Yes:
		return decision.ChannelCoManaged
	case decision.No:
		return decision.ChannelConfigMgrOnly
	case decision.Unknown:
	}
	return decision.ChannelUnknown
}

// isComanaged needs both: enrolled at the other authority, and our policy present.
func (r *comanagementRow) isComanaged() decision.Tri {
	a, b := r.MDMEnrolled.Tri, r.ComgmtPolicyPresent.Tri
	switch {
	case a == decision.No || b == decision.No:
		return decision.No
	case a == decision.Yes && b == decision.Yes:
		return decision.Yes
	}
	return decision.Unknown
}

func ownership(n number) decision.Ownership {
	switch {
	case n.is(ownerCompany):
		return decision.Corporate
	case n.is(ownerPersonal):
		return decision.Personal
	}
	return decision.OwnershipUnknown
}

func lastCheckIn(f *resourceRow) time.Time {
	if !f.LastActiveTime.IsZero() {
		return f.LastActiveTime.Time
	}
	if f.LastPolicyRequest.After(f.LastDDR.Time) {
		return f.LastPolicyRequest.Time
	}
	return f.LastDDR.Time
}

// system reads the platform, and the version where the site knows the build.
func system(f *resourceRow, own string) (decision.Platform, decision.Version) {
	p, ok := platform(f.DeviceOS.s)
	if !ok {
		return p, decision.Version{}
	}
	for _, s := range []string{f.DeviceOSBuild.s, own} {
		if v, ok := build(s); ok {
			return p, v
		}
	}
	return p, decision.Version{}
}

// platform reads DeviceOS, such as "Microsoft Windows NT Workstation 10.0".
func platform(s string) (decision.Platform, bool) {
	name := strings.TrimPrefix(strings.ToLower(s), "microsoft ")
	for _, family := range []string{"windows", "mac os x", "macos", "darwin"} {
		if strings.HasPrefix(name, family) {
			return decision.ParsePlatform(family)
		}
	}
	return decision.PlatformUnknown, false
}

// build reads a version that has a build: "10.0" alone says nothing and would look
// like a very old one.
func build(s string) (v decision.Version, ok bool) {
	if strings.Count(s, ".") < 2 {
		return v, false
	}
	v, err := decision.ParseVersion(s)
	return v, err == nil
}

// protected reports whether the site manages endpoint protection on the device.
func protected(f *resourceRow) decision.Tri {
	switch {
	case f.EPEnabled.Tri != decision.Unknown:
		return f.EPEnabled.Tri
	case f.EPDeploymentState.is(deploymentUnmanaged):
		return decision.No
	case f.EPDeploymentState.known && f.EPDeploymentState.value > deploymentUnmanaged && f.EPDeploymentState.value <= deploymentReboot:
		return decision.Yes
	}
	return decision.Unknown
}

// infection is the effective EPInfectionStatus, 0 if unknown: a cleaned device that
// still waits for a reboot or a scan is not clean yet, and a good status counts
// only where endpoint protection is not switched off.
func infection(f *resourceRow) int64 {
	switch s := f.EPInfectionStatus; {
	case s.is(infectionPending), s.is(infectionFailed):
		return s.value
	case protected(f) == decision.No:
		return 0
	case s.is(infectionCleaned):
		for _, p := range f.pending() {
			if p.Tri == decision.Yes {
				return infectionPending
			}
		}
		if oddInfection(f) {
			return 0
		}
		return infectionCleaned
	case s.is(infectionNone):
		return infectionNone
	}
	return 0
}

func malware(f *resourceRow) decision.Tri {
	switch infection(f) {
	case infectionNone, infectionCleaned:
		return decision.No
	case infectionPending, infectionFailed:
		return decision.Yes
	}
	return decision.Unknown
}

func risk(f *resourceRow) decision.Level {
	switch infection(f) {
	case infectionNone, infectionCleaned:
		return decision.LevelNone
	case infectionPending:
		return decision.LevelMedium
	case infectionFailed:
		return decision.LevelHigh
	}
	return decision.LevelUnknown
}

// antivirus is about the site's own endpoint protection. Where the site does not
// manage it, another product may do the work: unknown.
func (j judge) antivirus(f *resourceRow) decision.Tri {
	switch state := f.EPDeploymentState; {
	case protected(f) != decision.Yes, state.is(deploymentPlanned):
		return decision.Unknown
	case f.EPAntivirusEnabled.Tri == decision.No, state.is(deploymentFailed):
		return decision.No
	case f.EPAntivirusEnabled.Tri == decision.Unknown:
		return decision.Unknown
	case f.SignatureDate.IsZero():
		return decision.Unknown
	case j.now.Sub(f.SignatureDate.Time) > j.signatureAge:
		return decision.No
	}
	return decision.Yes
}

// compliance makes the verdict that doc.go describes.
func (j judge) compliance(r *record) (decision.Compliance, []decision.Setting) {
	if !r.hasFacts {
		return decision.ComplianceUnknown, nil
	}
	f := &r.facts
	verdict := decision.Compliant
	var failed []decision.Setting
	need := func(yes, no bool, name, policy string) {
		switch {
		case no:
			verdict = decision.NonCompliant
			if len(failed) < decision.MaxSettings {
				failed = append(failed, decision.Setting{Name: name, Policy: policy, State: "nonCompliant"})
			}
		case !yes && verdict == decision.Compliant:
			verdict = decision.ComplianceUnknown
		}
	}
	need(r.blocked() == decision.No, r.blocked() == decision.Yes, settingBlocked, policySite)
	need(f.ClientActiveStatus.is(clientActive), f.ClientActiveStatus.is(clientInactive), settingActive, policyClient)
	need(f.ClientCheckPass.is(checkPassed), f.ClientCheckPass.is(checkFailed), settingCheck, policyClient)
	if state := infection(f); state != 0 || protected(f) != decision.No || oddInfection(f) {
		need(state == infectionNone || state == infectionCleaned, state == infectionPending || state == infectionFailed,
			settingInfection, policyProtection)
	}
	if j.noUpdates {
		return verdict, failed
	}
	updated := r.scan.updated()
	if updated != decision.No {
		need(updated == decision.Yes, false, "", "")
		return verdict, failed
	}
	named := false
	for _, a := range r.scan.articles {
		if a != "" {
			need(false, true, a, policyUpdates)
			named = true
		}
	}
	if !named {
		need(false, true, settingUpdates, policyUpdates)
	}
	return verdict, failed
}

// What a person reads when a check fails. Names with "Configuration Manager" or
// "Antivirus" get the advice for that.
const (
	settingBlocked   = "Configuration Manager: device is blocked"
	settingActive    = "Configuration Manager client is inactive"
	settingCheck     = "Configuration Manager client check failed"
	settingInfection = "Antivirus: infection is not cleaned"
	settingUpdates   = "Required software updates"

	policySite       = "Site"
	policyClient     = "Client status"
	policyProtection = "Endpoint Protection"
	policyUpdates    = "Software updates"
)
