package decision

import (
	"math/bits"
	"time"
)

// bar notes what a source said and nobody can read, where its word would count: on
// what is unknown so far, and wherever bad news of anybody counts.
func (p *Posture) bar(r *Report, unreadable FactSet, from uint8) {
	for set := unreadable; set != 0; set &= set - 1 {
		f := Fact(bits.TrailingZeros32(uint32(set)))
		if p.trail != nil && r.value(f) == Unknown.String() {
			p.note(f, from, RuleNone)
		}
		if p.from[f] == 0 || worstCounts.Has(f) {
			p.barred |= Facts(f)
		}
	}
}

// distrust takes back good news about what is barred. Of the risk a level remains
// that it has at least.
func (p *Posture) distrust() {
	if p.barred == 0 {
		return
	}
	if p.barred.Has(FactRisk) && p.Risk != LevelUnknown {
		p.RiskFloor = true
	}
	u := &p.User
	if p.barred.Has(FactUserRisk) && u.Risk != LevelUnknown {
		u.RiskFloor = true
	}
	forget(p, FactUserEnabled, &u.Enabled, u.Enabled == Yes)
	d := &p.Device
	forget(p, FactCompliance, &d.Compliance, passes(d.Compliance))
	forget(p, FactManaged, &d.Managed, d.Managed == Yes)
	forget(p, FactEnabled, &d.Enabled, d.Enabled == Yes)
	forget(p, FactLifecycle, &d.Lifecycle, !stops(d.Lifecycle))
	forget(p, FactEncrypted, &d.Encrypted, d.Encrypted == Yes)
	forget(p, FactUpdated, &d.Updated, d.Updated == Yes)
	forget(p, FactJailbroken, &d.Jailbroken, d.Jailbroken == No)
	forget(p, FactMalware, &d.Malware, d.Malware == No)
	forget(p, FactTrust, &d.Trust, true)
	forget(p, FactOwnership, &d.Ownership, d.Ownership == Corporate)
	forget(p, FactSecureBoot, &d.SecureBoot, d.SecureBoot == Yes)
	forget(p, FactSupervised, &d.Supervised, d.Supervised == Yes)
	forget(p, FactAntivirus, &d.Antivirus, d.Antivirus == Yes)
	forget(p, FactFirewall, &d.Firewall, d.Firewall == Yes)
	forget(p, FactApps, &d.Apps, d.Apps == Yes)
	forget(p, FactSensor, &d.Sensor, d.Sensor == SensorActive)
	forget(p, FactExposure, &d.Exposure, d.Exposure < LevelHigh)
	forget(p, FactOS, &d.Platform, true)
	forget(p, FactOwner, &d.OwnerID, true)
	forget(p, FactCheckIn, &d.LastCheckIn, true)
	if p.from[FactOS] == 0 {
		d.OSVersion = Version{}
	}
	if p.from[FactOwner] == 0 {
		d.OwnerID, d.OwnerUPN = "", ""
	}
}

// forget makes good news about a barred fact unknown.
func forget[T any](p *Posture, f Fact, have *T, good bool) {
	if good && p.barred.Has(f) {
		var unknown T
		*have, p.from[f] = unknown, 0
	}
}

// notListed finds a directory's copy of the word of a management system that has the
// device no more: it is not managed. The no comes from the listing.
func (p *Posture) notListed(reports []Report) {
	if p.Channel == ChannelPartnerMDM {
		return
	}
	for _, f := range []Fact{FactCompliance, FactManaged} {
		from := p.from[f]
		if from == 0 || p.Evidence[from-1].State.Authority != AuthorityDirectory {
			continue
		}
		for i := range reports {
			st := reports[i].State
			if !st.Enrols || st.Tenant != p.Evidence[from-1].State.Tenant || reports[i].Verdict != nil && !reports[i].Gone || !st.Loaded() || reports[i].Cause.Ours() || !st.mayReport(f) {
				continue
			}
			switch {
			case f == FactManaged && p.Managed == Yes:
				p.Managed = No
			case f == FactCompliance && passes(p.Compliance):
				p.Compliance, p.GraceUntil = ComplianceNotManaged, time.Time{}
			default:
				continue
			}
			p.note(f, uint8(i+1), RuleNotListed)
			p.from[f] = uint8(i + 1)
			break
		}
	}
}
