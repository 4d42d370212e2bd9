package decision

import "time"

// Value prints a fact as sources and expressions spell it; "unknown" if nobody
// reports it. The owner's name is personal data: filter it before it is shown.
func (p *Posture) Value(f Fact) string {
	switch f {
	case FactManaged:
		return p.Managed.String()
	case FactCompliance:
		return p.Compliance.String()
	case FactEnabled:
		return p.Enabled.String()
	case FactLifecycle:
		return p.Lifecycle.String()
	case FactEncrypted:
		return p.Encrypted.String()
	case FactUpdated:
		return p.Updated.String()
	case FactJailbroken:
		return p.Jailbroken.String()
	case FactMalware:
		return p.Malware.String()
	case FactRisk:
		return levelText(p.Risk, p.RiskFloor)
	case FactOS:
		if p.OSVersion.IsZero() {
			return p.Platform.String()
		}
		return p.Platform.String() + " " + p.OSVersion.String()
	case FactTrust:
		return p.Trust.String()
	case FactOwnership:
		return p.Ownership.String()
	case FactOwner:
		return p.ownerText()
	case FactCheckIn:
		return dateText(p.LastCheckIn)
	case FactSecureBoot:
		return p.SecureBoot.String()
	case FactSupervised:
		return p.Supervised.String()
	case FactAntivirus:
		return p.Antivirus.String()
	case FactFirewall:
		return p.Firewall.String()
	case FactApps:
		return p.Apps.String()
	case FactSensor:
		return p.Sensor.String()
	case FactExposure:
		return p.Exposure.String()
	case FactUserEnabled:
		return p.User.Enabled.String()
	case FactUserRisk:
		return levelText(p.User.Risk, p.User.RiskFloor)
	case NumFacts:
	}
	return Unknown.String()
}

// Tells reports whether d says anything about f; never about a fact of the user.
func (d *Device) Tells(f Fact) bool {
	if f == FactOwner {
		return d.OwnerID != "" || d.OwnerUPN != "" // whatever they are called
	}
	p := Posture{Device: *d}
	return p.Value(f) != Unknown.String()
}

func (p *Posture) ownerText() string {
	switch {
	case p.OwnerUPN != "":
		return p.OwnerUPN
	case p.OwnerID != "":
		return p.OwnerID
	}
	return Unknown.String()
}

func levelText(l Level, floor bool) string {
	if floor && l != LevelUnknown {
		return "at_least_" + l.String()
	}
	return l.String()
}

func dateText(t time.Time) string {
	if t.IsZero() {
		return Unknown.String()
	}
	return t.UTC().Format(time.RFC3339)
}
