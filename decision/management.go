package decision

import "strings"

// Manager is the system that manages a device, as far as the sources say. The zero
// value is unknown.
type Manager uint8

// The managers. ManagerPartner is any system besides Intune and Configuration
// Manager, such as a partner of Intune or one that is read over JSON.
const (
	ManagerUnknown Manager = iota
	ManagerIntune
	ManagerConfigMgr
	ManagerPartner
	numManagers
)

var managerNames = [numManagers]string{"unknown", "intune", "configmgr", "partner"}

// String returns the stable name used in problem documents.
func (m Manager) String() string { return name(managerNames[:], int(m)) }

// Manager says which system manages the device, and the name of the source that
// says so. Who decides about compliance comes first: a person has to go where the
// rules are that the device fails. Then counts the management channel of the
// device. A directory's copy of the verdict names no system: where nobody else
// knows the device the manager is unknown, and so it is while it is unclear which
// device it is.
func (p *Posture) Manager() (m Manager, source string) {
	if p.Ambiguous || p.Managed == No {
		return ManagerUnknown, ""
	}
	if from := p.from[FactCompliance]; from != 0 && p.Evidence[from-1].State.Authority == AuthorityConfigMgr {
		return ManagerConfigMgr, p.Evidence[from-1].State.Name
	}
	switch p.Channel {
	case ChannelIntune:
		m = ManagerIntune
	case ChannelCoManaged:
		m = ManagerIntune
		if p.Compliance == ComplianceDelegated {
			m = ManagerConfigMgr
		}
	case ChannelConfigMgrAttached, ChannelConfigMgrOnly:
		m = ManagerConfigMgr
	case ChannelPartnerMDM:
		m = ManagerPartner
	case ChannelMDEAttach, ChannelEAS, ChannelNone: // reached without being managed
		return ManagerUnknown, ""
	case ChannelUnknown:
	}
	from := p.from[FactManaged]
	if from == 0 {
		return m, p.Source(FactCompliance)
	}
	state := p.Evidence[from-1].State
	if m == ManagerUnknown && p.Managed == Yes && state.Authority == AuthorityManagement {
		m = ManagerPartner // it says so of itself
	}
	return m, state.Name
}

// Management is who manages a device, for the texts that a person reads. The zero
// value is unknown and says nothing.
type Management struct {
	Manager Manager
	// App is the operator's name for the app or portal where people look after
	// their devices. "": the system's own, if it has one.
	App string
}

// manager is what is said about one system in one language.
type manager struct {
	app     steps  // its app, by platform; "" if that has no known name
	message string // names the system
	fix     steps  // what to do there
}

// AppName is the name of the app or portal on a platform, fit to be shown, or "" if
// none is known.
func (m Management) AppName(lang string, p Platform) string {
	switch {
	case m.Manager == ManagerUnknown || m.Manager >= numManagers:
		return ""
	case m.App != "":
		return DisplayText(m.App)
	}
	return languageOf(lang).managers[m.Manager].app.on(p)
}

// Text says which system manages a device and what to do there. It is zero if that
// is unknown.
func (m Management) Text(lang string, p Platform) Text {
	if m.Manager == ManagerUnknown || m.Manager >= numManagers {
		return Text{}
	}
	l := languageOf(lang)
	t := Text{Message: l.managers[m.Manager].message, Remediation: l.managers[m.Manager].fix.on(p)}
	if m.App != "" {
		t.Remediation = strings.Replace(l.openApp, "{0}", m.AppName(lang, p), 1)
	}
	return t
}

// TextBy is [Finding.Text] for a device whose manager is known: steps that lead to
// Company Portal become those of the manager where that is another one.
func (f *Finding) TextBy(lang string, p Platform, m Management) Text {
	t := f.Text(lang, p)
	l := languageOf(lang)
	other := m.Manager == ManagerConfigMgr || m.Manager == ManagerPartner || m.App != "" && m.Manager == ManagerIntune
	if other && f.Reason < NumReasons && l.phrases[f.Reason].fix == l.managers[ManagerIntune].fix {
		t.Remediation = m.Text(lang, p).Remediation
	}
	return t
}
