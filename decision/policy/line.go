package policy

import (
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// statement is one parsed line of a policy. Which fields are set depends on its
// word.
type statement struct {
	word, place, text string

	require    requirement        // require
	name       string             // extends, on_unknown step_up, on_outage step_up: what it refers to
	choice     string             // freshness, on_unknown: the word that was chosen
	duration   time.Duration      // max_age, stale_if_error
	stop       decision.HardStops // hard_stop
	until      time.Time          // report_only, exempt
	unenforced bool               // report_only
	exempt     decision.Exemption // exempt
}

// directive is the grammar of one word that may begin a line.
type directive struct {
	word, usage string
	min, max    int // words after the first; max 0: as many as min
	parse       func(args []string, s *statement) error
	once        bool // at most one such line in a policy
}

// directives lists every word that may begin a line, in the order in which
// errors name them.
var directives = []directive{
	{"require", "require REQUIREMENT", 1, maxWords, parseRequire, false},
	{"extends", "extends POLICY", 1, 0, parseExtends, true},
	{"freshness", "freshness relaxed|standard|sensitive|critical", 1, 0, parseFreshness, true},
	{"max_age", "max_age DURATION", 1, 0, parseMaxAge, true},
	{"stale_if_error", "stale_if_error DURATION", 1, 0, parseStaleIfError, true},
	{"on_unknown", "on_unknown block|warn|step_up NAME", 1, 2, parseOnUnknown, true},
	{"on_outage", "on_outage step_up NAME", 2, 0, parseOnOutage, true},
	{"hard_stop", "hard_stop NAME off", 2, 0, parseHardStop, false},
	{"report_only", "report_only [unenforced] until YYYY-MM-DD", 2, 3, parseReportOnly, true},
	{"exempt", `exempt group|user|device NAME until YYYY-MM-DD because "REASON"`, 6, 0, parseExempt, false},
}

// CheckLine checks the syntax of one line of a policy, expressions included.
// The error is an [*Error] with the line's place.
func CheckLine(l Line) error {
	_, err := parseLine(l)
	return err
}

func parseLine(l Line) (*statement, error) {
	s, err := parseWords(l.Words)
	if err != nil {
		return nil, &Error{Place: l.Place, Msg: err.Error()}
	}
	s.place = l.Place
	return s, nil
}

func parseWords(words []string) (*statement, error) {
	if err := checkWords(words); err != nil {
		return nil, err
	}
	for i := range directives {
		d := &directives[i]
		if d.word != words[0] {
			continue
		}
		s := &statement{word: d.word, text: text(words)}
		if err := checkCount(words[1:], d.min, d.max, d.word, d.usage); err != nil {
			return nil, err
		}
		return s, d.parse(words[1:], s)
	}
	return nil, fmt.Errorf("unknown word %q in a policy; accepted: %s", words[0], strings.Join(directiveWords(), ", "))
}

func directiveWords() []string {
	words := make([]string, len(directives))
	for i := range directives {
		words[i] = directives[i].word
	}
	return words
}

// checkCount names the missing or the first superfluous word.
func checkCount(args []string, least, most int, after, usage string) error {
	switch most = max(least, most); {
	case len(args) < least:
		return fmt.Errorf("missing value after %s; write: %s", text(append(strings.Fields(after), args...)), usage)
	case len(args) > most:
		return fmt.Errorf("unexpected word %q; write: %s", args[most], usage)
	}
	return nil
}

func parseExtends(args []string, s *statement) error {
	s.name = args[0]
	return checkName("policy", s.name)
}

// tiers are the freshness tiers of the design, in the order of their strictness.
var tiers = []struct {
	name string
	ages decision.Ages
}{
	{"relaxed", decision.Ages{MaxAge: time.Hour, StaleIfError: 16 * time.Hour}},
	{"standard", decision.Ages{MaxAge: 15 * time.Minute, StaleIfError: 4 * time.Hour}},
	{"sensitive", decision.Ages{MaxAge: 5 * time.Minute, StaleIfError: 30 * time.Minute}},
	{"critical", decision.Ages{MaxAge: time.Minute}},
}

// DefaultAges are those of a policy that says nothing: the tier standard.
var DefaultAges = tiers[1].ages

// tier returns the ages of a freshness tier.
func tier(name string) (decision.Ages, bool) {
	for i := range tiers {
		if tiers[i].name == name {
			return tiers[i].ages, true
		}
	}
	return decision.Ages{}, false
}

func parseFreshness(args []string, s *statement) error {
	if _, ok := tier(args[0]); !ok {
		return unknownWord(args[0], "freshness", []string{"relaxed", "standard", "sensitive", "critical"})
	}
	s.choice = args[0]
	return nil
}

func parseMaxAge(args []string, s *statement) (err error) {
	s.duration, err = positiveDuration(args[0])
	return err
}

func parseStaleIfError(args []string, s *statement) (err error) {
	s.duration, err = parseDuration(args[0])
	return err
}

func parseOnUnknown(args []string, s *statement) error {
	s.choice = args[0]
	usage := "on_unknown block|warn|step_up NAME"
	switch s.choice {
	case "block", "warn":
		return checkCount(args, 1, 1, "on_unknown", usage)
	case "step_up":
		if err := checkCount(args, 2, 2, "on_unknown", usage); err != nil {
			return err
		}
		s.name = args[1]
		return checkName("step_up", s.name)
	}
	return unknownWord(args[0], "on_unknown", []string{"block", "step_up NAME", "warn"})
}

func parseOnOutage(args []string, s *statement) error {
	if args[0] != "step_up" {
		return unknownWord(args[0], "on_outage", []string{"step_up NAME"})
	}
	s.name = args[1]
	return checkName("step_up", s.name)
}

// hardStopNames are the hard stops that can be switched off. A revocation is
// not among them.
var hardStopNames = []string{"disabled", "retired", "jailbroken", "compromised", "user_disabled", "user_compromised"}

func parseHardStop(args []string, s *statement) error {
	stop, ok := decision.ParseHardStop(args[0])
	if !ok {
		return unknownWord(args[0], "hard_stop", hardStopNames)
	}
	if args[1] != "off" {
		return unknownWord(args[1], "hard_stop "+args[0], []string{"off"})
	}
	s.stop = stop
	return nil
}

func parseReportOnly(args []string, s *statement) (err error) {
	if args[0] == "unenforced" {
		s.unenforced, args = true, args[1:]
	}
	usage := "report_only [unenforced] until YYYY-MM-DD"
	if err := checkCount(args, 2, 2, "report_only", usage); err != nil {
		return err
	}
	if args[0] != "until" {
		accepted := []string{"unenforced", "until"}
		if s.unenforced {
			accepted = accepted[1:]
		}
		return unknownWord(args[0], "report_only", accepted)
	}
	s.until, err = parseUntil(args[1])
	return err
}

func parseExempt(args []string, s *statement) (err error) {
	x := &s.exempt
	switch args[0] {
	case "group":
		x.Group = args[1]
	case "user":
		x.User = args[1]
	case "device":
		if x.Device, err = parseDevice(args[1]); err != nil {
			return err
		}
	default:
		return unknownWord(args[0], "exempt", []string{"group", "user", "device"})
	}
	if args[2] != "until" {
		return unknownWord(args[2], "exempt "+args[0]+" "+quote(args[1]), []string{"until"})
	}
	if x.Until, err = parseUntil(args[3]); err != nil {
		return err
	}
	if args[4] != "because" {
		return unknownWord(args[4], "until "+args[3], []string{"because"})
	}
	if strings.TrimSpace(args[5]) == "" {
		return fmt.Errorf("exempt needs a reason after because")
	}
	x.Because, s.until = args[5], x.Until
	return nil
}

// parseDevice reads KIND:VALUE; without a kind the value is an Entra device id.
func parseDevice(s string) (decision.Key, error) {
	kind, value, ok := strings.Cut(s, ":")
	if !ok {
		kind, value = decision.KindEntra, s
	}
	key, valid := decision.CanonicalKey(kind, value)
	if kind == "" || !valid {
		return key, fmt.Errorf("bad device %q: write KIND:VALUE, such as serial:PF3K9ABC; without a kind it is an Entra device id (a GUID)", s)
	}
	return key, nil
}
