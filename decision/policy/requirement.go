package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
)

// requirement is a require line before its names are resolved: the embedded
// value still lacks StepUp, ElseStepUp and Expr.
type requirement struct {
	decision.Requirement
	stepUp     string // NAME of require step_up
	elseStepUp string // NAME of else step_up
	expr       *condition
}

// form is the grammar of one kind of requirement.
type form struct {
	kind  decision.Kind
	usage string
	min   int // words after the kind
	max   int // 0: as many as min
	parse func(args []string, r *requirement) error
}

// forms lists the requirements in the order in which errors name them.
var forms = []form{
	{decision.RequireUser, "", 0, 0, nil},
	{decision.RequireGroup, " NAME...", 1, maxWords, parseNames},
	{decision.RequireClient, " APPID...", 1, maxWords, parseNames},
	{decision.RequireNetwork, " CIDR...", 1, maxWords, parseNetwork},
	{decision.RequireDevice, "", 0, 0, nil},
	{decision.RequireManaged, "", 0, 0, nil},
	{decision.RequireCompliant, " [strict]", 0, 1, parseCompliant},
	{decision.RequireEncrypted, "", 0, 0, nil},
	{decision.RequireUpdated, "", 0, 0, nil},
	{decision.RequireNotJailbroken, "", 0, 0, nil},
	{decision.RequireNotMalware, "", 0, 0, nil},
	{decision.RequireRisk, " at_most none|low|medium|high", 2, 0, parseAtMost},
	{decision.RequireUserRisk, " at_most none|low|medium|high", 2, 0, parseAtMost},
	{decision.RequireOS, " PLATFORM MINIMUM...", 2, 2 * int(decision.NumPlatforms), parseOS},
	{decision.RequireTrust, " joined|hybrid_joined|registered...", 1, 3, parseTrust},
	{decision.RequireOwnership, " corporate", 1, 0, parseOwnership},
	{decision.RequireOwner, "", 0, 0, nil},
	{decision.RequireCheckedIn, " within DURATION", 2, 0, parseCheckedIn},
	{decision.RequireProof, " certificate|forwarded_certificate|bound_token|token|attested", 1, 0, parseProof},
	{decision.RequireStepUp, " NAME", 1, 0, parseStepUpName},
	{decision.RequireExpression, " CEL MESSAGE", 2, 0, parseExpression},
}

func formNames() []string {
	names := make([]string, len(forms))
	for i := range forms {
		names[i] = forms[i].kind.String()
	}
	return names
}

func parseRequire(args []string, s *statement) error {
	r := &s.require
	r.Text = s.text
	kind, rest := args[0], args[1:]
	if kind == "not" {
		if len(rest) == 0 {
			return fmt.Errorf("missing value after require not; write: require not jailbroken|malware")
		}
		kind, rest = "not "+rest[0], rest[1:]
	}
	i := slices.IndexFunc(forms, func(f form) bool { return f.kind.String() == kind })
	if i < 0 {
		if args[0] == "not" {
			return unknownWord(args[1], "require not", []string{"jailbroken", "malware"})
		}
		return unknownWord(kind, "require", formNames())
	}
	f := &forms[i]
	r.Kind = f.kind
	own, suffix := cutSuffix(rest, f)
	if err := checkCount(own, f.min, f.max, "require "+kind, "require "+kind+f.usage); err != nil {
		return err
	}
	if f.parse != nil {
		if err := f.parse(own, r); err != nil {
			return err
		}
	}
	return parseElse(suffix, r)
}

// cutSuffix splits the words at else. The two words of an expression are never
// taken for it.
func cutSuffix(args []string, f *form) (own, suffix []string) {
	from := 0
	if f.kind == decision.RequireExpression {
		from = min(f.min, len(args))
	}
	if i := slices.Index(args[from:], "else"); i >= 0 {
		return args[:from+i], args[from+i:]
	}
	return args, nil
}

func parseElse(suffix []string, r *requirement) error {
	if len(suffix) == 0 {
		return nil
	}
	usage := "else step_up NAME, or else warn"
	if err := checkCount(suffix, 2, 3, "", usage); err != nil {
		return err
	}
	switch suffix[1] {
	case "warn":
		if r.Kind == decision.RequireUser {
			return fmt.Errorf("require user cannot have else warn: nobody would be signed in")
		}
		r.ElseWarn = true
		return checkCount(suffix, 2, 2, "", usage)
	case "step_up":
		switch r.Kind {
		case decision.RequireUser, decision.RequireProof, decision.RequireStepUp:
			return fmt.Errorf("require %s cannot have else step_up", r.Kind)
		}
		if err := checkCount(suffix, 3, 3, "", usage); err != nil {
			return err
		}
		r.elseStepUp = suffix[2]
		return checkName("step_up", r.elseStepUp)
	}
	return unknownWord(suffix[1], "else", []string{"step_up NAME", "warn"})
}

func parseNames(args []string, r *requirement) error {
	for i, name := range args {
		if slices.Contains(args[:i], name) {
			return fmt.Errorf("%s %q is named twice", r.Kind, name)
		}
	}
	r.Names = slices.Clone(args)
	return nil
}

func parseNetwork(args []string, r *requirement) error {
	for _, arg := range args {
		n, err := netip.ParsePrefix(arg)
		if err != nil {
			a, err := netip.ParseAddr(arg)
			if err != nil || a.Zone() != "" {
				return fmt.Errorf("bad network %q: write an address or a CIDR such as 10.0.0.0/8", arg)
			}
			n = netip.PrefixFrom(a, a.BitLen())
		}
		switch {
		case n.Addr().Is4In6():
			return fmt.Errorf("network %q is IPv4 in IPv6 form: write it as IPv4", arg)
		case n != n.Masked():
			return fmt.Errorf("network %q has bits set after its prefix: write %s", arg, n.Masked())
		case slices.Contains(r.Nets, n):
			return fmt.Errorf("network %q is named twice", arg)
		}
		r.Nets = append(r.Nets, n)
	}
	return nil
}

func parseCompliant(args []string, r *requirement) error {
	if len(args) == 0 {
		return nil
	}
	if args[0] != "strict" {
		return unknownWord(args[0], "require compliant", []string{"strict", "else"})
	}
	r.Strict = true
	return nil
}

// limits are the levels that a policy may name. Compromised is a hard stop.
var limits = []string{"none", "low", "medium", "high"}

func parseAtMost(args []string, r *requirement) error {
	if args[0] != "at_most" {
		return unknownWord(args[0], "require "+r.Kind.String(), []string{"at_most"})
	}
	if !slices.Contains(limits, args[1]) {
		return unknownWord(args[1], "at_most", limits)
	}
	r.Level, _ = decision.ParseLevel(args[1])
	return nil
}

func parseOS(args []string, r *requirement) error {
	for len(args) > 0 {
		p, ok := platform(args[0])
		if !ok {
			return unknownWord(args[0], "require os", platformNames())
		}
		if len(args) == 1 {
			return fmt.Errorf("missing minimum version after %s; write: require os PLATFORM MINIMUM", args[0])
		}
		if slices.ContainsFunc(r.MinOS, func(f decision.OSFloor) bool { return f.Platform == p }) {
			return fmt.Errorf("platform %s is named twice", args[0])
		}
		v, err := decision.ParseVersion(args[1])
		if err != nil || strings.Trim(args[1], "0123456789.") != "" || strings.Count(args[1], ".") > 3 {
			return fmt.Errorf("bad version %q after %s: write up to four numbers such as 10.0.22631, or 0 for any", args[1], args[0])
		}
		r.MinOS = append(r.MinOS, decision.OSFloor{Platform: p, Min: v})
		args = args[2:]
	}
	return nil
}

// platform reads the one spelling that policies use; exports of device
// authorities know more.
func platform(s string) (decision.Platform, bool) {
	for p := decision.PlatformUnknown + 1; p < decision.NumPlatforms; p++ {
		if p.String() == s {
			return p, true
		}
	}
	return decision.PlatformUnknown, false
}

func platformNames() []string {
	var names []string
	for p := decision.PlatformUnknown + 1; p < decision.NumPlatforms; p++ {
		names = append(names, p.String())
	}
	return names
}

func parseTrust(args []string, r *requirement) error {
	accepted := []string{"joined", "hybrid_joined", "registered"}
	for _, arg := range args {
		if !slices.Contains(accepted, arg) {
			return unknownWord(arg, "require trust", accepted)
		}
		t, _ := decision.ParseTrust(arg)
		if slices.Contains(r.Trusts, t) {
			return fmt.Errorf("trust %s is named twice", arg)
		}
		r.Trusts = append(r.Trusts, t)
	}
	return nil
}

func parseOwnership(args []string, _ *requirement) error {
	if args[0] != "corporate" {
		return unknownWord(args[0], "require ownership", []string{"corporate"})
	}
	return nil
}

func parseCheckedIn(args []string, r *requirement) (err error) {
	if args[0] != "within" {
		return unknownWord(args[0], "require checked_in", []string{"within"})
	}
	r.Within, err = positiveDuration(args[1])
	return err
}

func parseProof(args []string, r *requirement) error {
	p, ok := decision.ParseProof(args[0])
	if !ok {
		return unknownWord(args[0], "require proof", []string{"certificate", "forwarded_certificate", "bound_token", "token", "attested"})
	}
	r.Proof = p
	return nil
}

func parseStepUpName(args []string, r *requirement) error {
	r.stepUp = args[0]
	return checkName("step_up", r.stepUp)
}

func parseExpression(args []string, r *requirement) (err error) {
	r.Message = args[1]
	if strings.TrimSpace(r.Message) == "" {
		return fmt.Errorf("require expression needs a message for the person who is blocked")
	}
	r.expr, err = checkExpression(args[0])
	return err
}
