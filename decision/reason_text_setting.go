package decision

import (
	"strconv"
	"strings"
	"unicode"
)

// topic is a group of management settings that a person repairs in one way.
type topic uint8

const (
	topicOther topic = iota
	topicEncryption
	topicUpdate
	topicFirewall
	topicPassword
	topicAntivirus
	topicBoot
	topicJailbreak
	topicThreat
	topicContact
	topicAssigned
	topicConfigMgr
	numTopics
)

// topicWords finds the topic of a setting by a word in its name, lower case and
// without spaces. Intune names settings PolicyClass.PropertyName
// (deviceComplianceSettingState.setting); other authorities use plain words.
// The first match wins, so narrower words come first.
var topicWords = []struct {
	word  string
	topic topic
}{
	{"configurationmanager", topicConfigMgr},
	{"jailbr", topicJailbreak},
	{"jailbreak", topicJailbreak},
	{"rooted", topicJailbreak},
	{"safetynet", topicJailbreak},
	{"playintegrity", topicJailbreak},
	{"threatprotection", topicThreat},
	{"machinerisk", topicThreat},
	{"bitlocker", topicEncryption},
	{"filevault", topicEncryption},
	{"encrypt", topicEncryption},
	{"osminimum", topicUpdate},
	{"osmaximum", topicUpdate},
	{"minimumos", topicUpdate},
	{"osversion", topicUpdate},
	{"patchlevel", topicUpdate},
	{"buildversion", topicUpdate},
	{"validoperatingsystem", topicUpdate},
	{"firewall", topicFirewall},
	{"password", topicPassword},
	{"passcode", topicPassword},
	{"screenlock", topicPassword},
	{"antivirus", topicAntivirus},
	{"antispyware", topicAntivirus},
	{"defender", topicAntivirus},
	{"signatureoutofdate", topicAntivirus},
	{"rtpenabled", topicAntivirus},
	{"realtimeprotection", topicAntivirus},
	{"secureboot", topicBoot},
	{"codeintegrity", topicBoot},
	{"earlylaunch", topicBoot},
	{"tpm", topicBoot},
	{"healthydevicereport", topicBoot},
	{"systemintegrity", topicBoot},
	{"remaincontact", topicContact},
	{"isactive", topicContact},
	{"policyassigned", topicAssigned},
	{"userexistence", topicAssigned},
}

// property returns the last part of PolicyClass.PropertyName; a name with
// spaces is plain words already.
func property(name string) string {
	if i := strings.LastIndexByte(name, '.'); i >= 0 && i < len(name)-1 && !strings.Contains(name, " ") {
		return name[i+1:]
	}
	return name
}

func topicOf(name string) topic {
	key := strings.ToLower(strings.ReplaceAll(property(name), " ", ""))
	for _, w := range topicWords {
		if strings.Contains(key, w.word) {
			return w.topic
		}
	}
	return topicOther
}

// spaced splits a property name into words ("deviceNameFormat" becomes "Device
// name format"); a name that has spaces stays as it is.
func spaced(name string) string {
	if strings.Contains(name, " ") {
		return name
	}
	var b strings.Builder
	var last rune
	for i, r := range name {
		switch {
		case i == 0:
			r = unicode.ToUpper(r)
		case unicode.IsUpper(r) && unicode.IsLower(last):
			b.WriteByte(' ')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
		last = r
	}
	return b.String()
}

// setting describes one failing setting.
func (l *language) setting(raw string, p Platform) Text {
	shown := DisplayText(raw)
	if t := topicOf(shown); t != topicOther {
		return Text{Message: l.topics[t].message, Remediation: l.topics[t].fix.on(p)}
	}
	return Text{Message: spaced(property(shown))}
}

// settings describes the settings that f names, each once.
func (l *language) settings(f *Finding, p Platform) []Text {
	if f.Reason != Noncompliant || f.Param == "" || l.exact[Noncompliant][f.Param] != "" {
		return nil
	}
	names := strings.SplitN(f.Param, ", ", MaxSettings+1)
	if len(names) > MaxSettings {
		names = names[:MaxSettings]
	}
	var list []Text
	seen := make(map[string]bool, len(names))
	for _, s := range names {
		if t := l.setting(s, p); t.Message != "" && !seen[t.Message] {
			seen[t.Message] = true
			list = append(list, t)
		}
	}
	return list
}

// settingNames joins the names of the failing settings; what does not fit is
// counted, never cut in the middle.
func (l *language) settingNames(f *Finding) string {
	list := l.settings(f, PlatformUnknown)
	var b strings.Builder
	for i, t := range list {
		if i > 0 && b.Len()+len(t.Message) > maxDisplay {
			b.WriteString(strings.Replace(l.more, "{0}", strconv.Itoa(len(list)-i), 1))
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(t.Message)
	}
	return b.String()
}
