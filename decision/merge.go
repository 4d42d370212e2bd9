package decision

import (
	"slices"
	"strings"
	"time"
)

// Report is what one source says about one device, for [Merge].
type Report struct {
	State *SourceState
	// Verdict is nil if the source does not have the device.
	Verdict *Verdict
	// User is nil if the source does not have the user.
	User *UserRecord
	// Gone says that Verdict is what still counts of a device that the source does
	// not have any more.
	Gone bool
	// Cause is why the source could not be asked about this very device.
	Cause Cause
}

// Merge joins the reports of all sources into one posture. They are heard in the
// order of their [Authority], then of the configuration. For each fact the first
// source that knows it is the authority. A later source only fills what is
// unknown, with these exceptions, all towards caution: a disabled, retiring or
// jailbroken device and the worst risk count from any source; a directory's
// noncompliant beats the management system's compliant or grace, and so does a newer
// noncompliant, conflict or error of anybody. What a source said and nobody can read
// ([Device.Unreadable]) is not filled with good news. Every fact on which sources
// disagree is counted once. [Weigh] tells who said what.
//
// Compliance has an authority for each device. Where the management system says
// that Configuration Manager decides (ComplianceDelegated: co-managed without the
// workload, or attached only), Configuration Manager's verdict counts and nobody
// else's: the directory only copies. Where the management system decides itself,
// Configuration Manager's own assessment changes nothing. Without a word of the
// management system it counts, but of a co-managed device only against it: nobody
// knows there who decides.
//
// A directory's compliant is a copy. Of a device that the management system of its
// tenant does not list it is a stale one, and the device is not managed, unless the
// directory says that a partner manages it.
func Merge(reports []Report, key Key) *Posture { return weigh(reports, key, nil) }

// weigh is [Merge]. With a trail it also notes every word that it hears.
func weigh(reports []Report, key Key, t *trail) *Posture {
	p := &Posture{Evidence: make([]Evidence, len(reports)), jitter: Jitter(key), trail: t}
	var some [8]int
	order := inOrder(reports, some[:0])
	for _, i := range order {
		r := &reports[i]
		ev := &p.Evidence[i]
		ev.State, ev.Cause = r.State, r.Cause
		if r.User != nil {
			p.bar(r, r.User.Unreadable&userFacts, uint8(i+1))
			p.mergeUser(r.User, uint8(i+1))
		}
		if r.Verdict == nil {
			continue
		}
		ev.Found, ev.Confirmed = !r.Gone, r.Verdict.Confirmed
		ev.LastCheckIn, ev.EvaluatedAt = r.Verdict.LastCheckIn, r.Verdict.EvaluatedAt
		p.bar(r, r.Verdict.Unreadable&^userFacts, uint8(i+1))
		p.mergeDevice(&r.Verdict.Device, uint8(i+1))
	}
	p.notHeard(reports, order)
	p.notListed(reports)
	p.distrust()
	p.trail = nil
	return p
}

// worstCounts are the facts where a bad word of any source counts.
var worstCounts = Facts(FactEnabled, FactLifecycle, FactJailbroken, FactMalware, FactRisk, FactExposure, FactUserEnabled, FactUserRisk)

// notHeard finds the facts that a source could still overrule which was never
// read, or could not be asked about this device. Good news from anybody else is
// then no answer yet.
func (p *Posture) notHeard(reports []Report, order []int) {
	before := FactSet(0) // known from a source that comes earlier
	for _, i := range order {
		r := &reports[i]
		if r.State.Loaded() && !r.Cause.Ours() {
			for f := range NumFacts {
				if p.from[f] == uint8(i+1) {
					before |= Facts(f)
				}
			}
			continue
		}
		for f := range NumFacts {
			if r.State.mayReport(f) && p.from[f] != 0 && p.from[f] != uint8(i+1) && (!before.Has(f) || worstCounts.Has(f)) {
				p.unheard |= Facts(f)
			}
		}
	}
}

// inOrder returns the indexes of reports in the order in which they are heard.
func inOrder(reports []Report, order []int) []int {
	for i := range reports {
		at := len(order)
		for at > 0 && reports[order[at-1]].State.Authority > reports[i].State.Authority {
			at--
		}
		order = slices.Insert(order, at, i)
	}
	return order
}

// merge takes v for fact f if nothing is known yet, or if a rule lets it overrule
// what is.
func merge[T comparable](p *Posture, f Fact, have *T, v T, from uint8, over Rule) {
	var unknown T
	switch {
	case v == unknown:
		return
	case p.from[f] == 0:
		over = RuleAuthority
	case v == *have:
		p.note(f, from, RuleNone)
		return
	default:
		p.dispute(f)
		if over == RuleNone {
			p.note(f, from, RuleNone)
			return
		}
	}
	p.note(f, from, over)
	*have, p.from[f] = v, from
}

// when is the rule that applies on a condition.
func (r Rule) when(applies bool) Rule {
	if applies {
		return r
	}
	return RuleNone
}

// dispute records that sources disagree about f.
func (p *Posture) dispute(f Fact) {
	if !p.disputed.Has(f) {
		p.disputed |= Facts(f)
		p.Conflicts++
	}
}

func (p *Posture) mergeDevice(d *Device, from uint8) {
	have := &p.Device
	if have.Name == "" {
		have.Name = d.Name
	}
	if have.Model == "" {
		have.Model = d.Model
	}
	if have.Channel == ChannelUnknown {
		have.Channel = d.Channel
	}
	have.Keys = appendKeys(have.Keys, d.Keys)
	p.mergeCompliance(d, from)
	merge(p, FactManaged, &have.Managed, d.Managed, from, RuleNone)
	merge(p, FactEnabled, &have.Enabled, d.Enabled, from, RuleWorst.when(d.Enabled == No))
	merge(p, FactLifecycle, &have.Lifecycle, d.Lifecycle, from, RuleWorst.when(stops(d.Lifecycle) && !stops(have.Lifecycle)))
	merge(p, FactEncrypted, &have.Encrypted, d.Encrypted, from, RuleNone)
	merge(p, FactUpdated, &have.Updated, d.Updated, from, RuleNone)
	merge(p, FactJailbroken, &have.Jailbroken, d.Jailbroken, from, RuleWorst.when(d.Jailbroken == Yes))
	merge(p, FactMalware, &have.Malware, d.Malware, from, RuleWorst.when(d.Malware == Yes))
	if d.Risk != LevelUnknown {
		// Somebody who watches the device knows how bad it is; others only add.
		have.RiskFloor = d.RiskFloor && (have.RiskFloor || have.Risk == LevelUnknown)
	}
	merge(p, FactRisk, &have.Risk, d.Risk, from, RuleWorst.when(d.Risk > have.Risk))
	merge(p, FactTrust, &have.Trust, d.Trust, from, RuleNone)
	merge(p, FactOwnership, &have.Ownership, d.Ownership, from, RuleNone)
	merge(p, FactSecureBoot, &have.SecureBoot, d.SecureBoot, from, RuleNone)
	merge(p, FactSupervised, &have.Supervised, d.Supervised, from, RuleNone)
	merge(p, FactAntivirus, &have.Antivirus, d.Antivirus, from, RuleNone)
	merge(p, FactFirewall, &have.Firewall, d.Firewall, from, RuleNone)
	merge(p, FactApps, &have.Apps, d.Apps, from, RuleNone)
	merge(p, FactSensor, &have.Sensor, d.Sensor, from, RuleNone)
	merge(p, FactExposure, &have.Exposure, d.Exposure, from, RuleWorst.when(d.Exposure > have.Exposure))
	p.mergeOS(d, from)
	p.mergeOwner(d, from)
	if d.LastCheckIn.After(have.LastCheckIn) {
		have.LastCheckIn, p.from[FactCheckIn] = d.LastCheckIn, from
		p.note(FactCheckIn, from, RuleLatest)
	} else if !d.LastCheckIn.IsZero() {
		p.note(FactCheckIn, from, RuleNone)
	}
	if d.EvaluatedAt.After(have.EvaluatedAt) {
		have.EvaluatedAt = d.EvaluatedAt
	}
}

// mergeOS takes platform and version from one source. Versions differ because
// sources are read at different times; only another platform is a contradiction.
func (p *Posture) mergeOS(d *Device, from uint8) {
	have := &p.Device
	switch {
	case d.Platform == PlatformUnknown:
		return
	case p.from[FactOS] == 0:
		p.note(FactOS, from, RuleAuthority)
		have.Platform, have.OSVersion, p.from[FactOS] = d.Platform, d.OSVersion, from
		return
	case d.Platform != have.Platform:
		p.dispute(FactOS)
	}
	p.note(FactOS, from, RuleNone)
}

// mergeOwner takes both names of the owner from one source.
func (p *Posture) mergeOwner(d *Device, from uint8) {
	have := &p.Device
	switch {
	case d.OwnerID == "" && d.OwnerUPN == "":
		return
	case p.from[FactOwner] == 0:
		p.note(FactOwner, from, RuleAuthority)
		have.OwnerID, have.OwnerUPN, p.from[FactOwner] = d.OwnerID, d.OwnerUPN, from
		return
	case otherOwner(have, d):
		p.dispute(FactOwner)
	}
	p.note(FactOwner, from, RuleNone)
}

// otherOwner reports whether two sources name different people. An object id and a
// name cannot be compared.
func otherOwner(a, b *Device) bool {
	if a.OwnerID != "" && b.OwnerID != "" {
		return a.OwnerID != b.OwnerID
	}
	return a.OwnerUPN != "" && b.OwnerUPN != "" && !strings.EqualFold(a.OwnerUPN, b.OwnerUPN)
}

func (p *Posture) mergeCompliance(d *Device, from uint8) {
	have, before := &p.Device, p.from[FactCompliance]
	of := func(from uint8) Authority { return p.Evidence[from-1].State.Authority }
	who, delegated := of(from), have.Compliance == ComplianceDelegated
	switch {
	case d.Compliance == ComplianceUnknown:
	case delegated && who == AuthorityConfigMgr:
		p.note(FactCompliance, from, RuleDelegated)
		have.Compliance, p.from[FactCompliance], p.delegated = d.Compliance, from, true
	case delegated:
		p.note(FactCompliance, from, RuleNone) // whoever says something else copies, or guesses
	case who == AuthorityConfigMgr && passes(d.Compliance) && !p.aloneManages(d):
		p.note(FactCompliance, from, RuleNone) // its own assessment is not what it was asked for
	case who == AuthorityConfigMgr, p.delegated:
		merge(p, FactCompliance, &have.Compliance, d.Compliance, from, RuleNone)
	default:
		over := RuleNewer.when(d.observed().After(p.observedBy(FactCompliance)) && passes(have.Compliance) && fails(d.Compliance))
		if who == AuthorityDirectory && passes(have.Compliance) && d.Compliance == NonCompliant {
			over = RuleWorst
		}
		merge(p, FactCompliance, &have.Compliance, d.Compliance, from, over)
	}
	if p.from[FactCompliance] != before {
		have.GraceUntil, have.Settings = d.GraceUntil, d.Settings
	}
}

// aloneManages reports whether Configuration Manager has the device to itself, as far
// as anybody says.
func (p *Posture) aloneManages(d *Device) bool {
	elsewhere := func(c Channel) bool { return c == ChannelIntune || c == ChannelCoManaged }
	return !elsewhere(d.Channel) && !elsewhere(p.Channel)
}

func passes(c Compliance) bool { return c == Compliant || c == InGracePeriod }

func fails(c Compliance) bool {
	return c == NonCompliant || c == ComplianceConflict || c == ComplianceError
}

func (p *Posture) mergeUser(u *UserRecord, from uint8) {
	have := &p.User
	if have.ObjectID == "" {
		have.ObjectID = u.ObjectID
	}
	if have.UPN == "" {
		have.UPN = u.UPN
	}
	merge(p, FactUserEnabled, &have.Enabled, u.Enabled, from, RuleWorst.when(u.Enabled == No))
	have.RiskFloor = have.RiskFloor || u.RiskFloor // nobody watches an account so that others only add
	merge(p, FactUserRisk, &have.Risk, u.Risk, from, RuleWorst.when(u.Risk > have.Risk))
	if u.Compromised == Yes || have.Compromised == Unknown {
		have.Compromised = u.Compromised
	}
}

func (d *Device) observed() time.Time {
	if d.EvaluatedAt.After(d.LastCheckIn) {
		return d.EvaluatedAt
	}
	return d.LastCheckIn
}

func (p *Posture) observedBy(f Fact) time.Time {
	i := p.from[f]
	if i == 0 {
		return time.Time{}
	}
	ev := &p.Evidence[i-1]
	if ev.EvaluatedAt.After(ev.LastCheckIn) {
		return ev.EvaluatedAt
	}
	return ev.LastCheckIn
}

func stops(l Lifecycle) bool {
	return l == LifecycleRetiring || l == LifecycleWiping || l == LifecycleRevoked
}

func appendKeys(have, more []Key) []Key {
next:
	for _, k := range more {
		for _, h := range have {
			if h == k {
				continue next
			}
		}
		have = append(have, k)
	}
	return have
}
