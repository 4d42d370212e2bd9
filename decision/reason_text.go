package decision

import (
	"strings"
	"time"
)

// Text is what a person reads about one reason: plain text, never HTML. Both
// parts are single lines without control or direction-changing characters.
type Text struct {
	// Message says in one or two short sentences what is wrong.
	Message string
	// Remediation says what to do next.
	Remediation string
}

// DefaultLanguage is used for every language that has no texts.
const DefaultLanguage = "en"

// steps holds one instruction per platform. The element of PlatformUnknown is
// the general one; it stands in for every platform that has none of its own.
type steps [NumPlatforms]string

func (s *steps) on(p Platform) string {
	if p < NumPlatforms && s[p] != "" {
		return s[p]
	}
	return s[PlatformUnknown]
}

// phrase is the text of one reason in one language.
type phrase struct {
	message string // without a parameter
	with    string // with a parameter, written {0} and {1}; "" if none is shown
	fix     steps
}

// language holds everything that is said in one language.
type language struct {
	phrases [NumReasons]phrase
	// exact holds whole messages for parameters from a closed set, so that no
	// sentence is glued together from parts with the wrong grammar.
	exact map[Reason]map[string]string
	// topics describe settings of the management authority; see topicOf.
	topics [numTopics]phrase
	// managers describe the systems that manage devices.
	managers [numManagers]manager
	// openApp is what to do in an app that the operator named {0}.
	openApp string
	date    func(time.Time) string
	more    string // ends a list that was cut; {0} is the number left out
}

// languages is filled once and only read afterwards.
var languages = map[string]*language{"en": &english, "de": &german}

// Languages lists the languages that have texts, the default first.
func Languages() []string { return []string{DefaultLanguage, "de"} }

func languageOf(lang string) *language {
	if l := languages[lang]; l != nil {
		return l
	}
	return languages[DefaultLanguage]
}

// DateText writes a time for people, in UTC: "3 March 2026, 14:05 UTC".
func DateText(lang string, t time.Time) string { return languageOf(lang).date(t.UTC()) }

// Text returns the general text of r for a platform, without a parameter. An
// unknown language falls back to English, an unknown platform to steps that
// hold everywhere. NoReason and values outside the catalogue give the zero Text.
func (r Reason) Text(lang string, p Platform) Text {
	if r == NoReason || r >= NumReasons {
		return Text{}
	}
	ph := &languageOf(lang).phrases[r]
	return Text{Message: ph.message, Remediation: ph.fix.on(p)}
}

// Text returns the text of a finding with its parameter in place: a level, a
// version, a date in UTC, names of settings. A parameter that cannot be read is
// left out rather than shown raw. Parameters may hold text that the management
// authority or a policy's author wrote: they pass [DisplayText] and are
// inserted once, so that braces in them are never expanded. Callers that write
// HTML must still escape the result.
func (f *Finding) Text(lang string, p Platform) Text {
	t := f.Reason.Text(lang, p)
	if t.Message == "" || f.Param == "" {
		return t
	}
	l := languageOf(lang)
	if m, ok := l.exact[f.Reason][f.Param]; ok {
		t.Message = m
		return t
	}
	if with := l.phrases[f.Reason].with; with != "" {
		if args := l.parameters(f); args != nil {
			t.Message = strings.NewReplacer(args...).Replace(with)
		}
	}
	return t
}

// Settings lists the settings that a noncompliant finding names, each with its
// own steps where they are known (an empty Remediation where not). It is nil
// for every other finding and where the authority named none.
func (f *Finding) Settings(lang string, p Platform) []Text {
	return languageOf(lang).settings(f, p)
}
