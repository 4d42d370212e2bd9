package policy

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestParseRequirement(t *testing.T) {
	type req = decision.Requirement
	tests := []struct {
		line string
		want req
	}{
		{`user`, req{Kind: decision.RequireUser}},
		{`group finance "Domain Users"`, req{Kind: decision.RequireGroup, Names: []string{"finance", "Domain Users"}}},
		{`client 11111111-2222-3333-4444-555555555555`, req{Kind: decision.RequireClient, Names: []string{"11111111-2222-3333-4444-555555555555"}}},
		{`network 10.0.0.0/8 192.0.2.1 2001:db8::/32`, req{Kind: decision.RequireNetwork, Nets: []netip.Prefix{
			netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/32"),
		}}},
		{`device`, req{Kind: decision.RequireDevice}},
		{`managed`, req{Kind: decision.RequireManaged}},
		{`compliant`, req{Kind: decision.RequireCompliant}},
		{`compliant strict`, req{Kind: decision.RequireCompliant, Strict: true}},
		{`encrypted else warn`, req{Kind: decision.RequireEncrypted, ElseWarn: true}},
		{`updated`, req{Kind: decision.RequireUpdated}},
		{`not jailbroken`, req{Kind: decision.RequireNotJailbroken}},
		{`not malware`, req{Kind: decision.RequireNotMalware}},
		{`risk at_most low`, req{Kind: decision.RequireRisk, Level: decision.LevelLow}},
		{`user_risk at_most none`, req{Kind: decision.RequireUserRisk, Level: decision.LevelNone}},
		{`os windows 10.0.22631 macos 14.5 linux 0`, req{Kind: decision.RequireOS, MinOS: []decision.OSFloor{
			{Platform: decision.Windows, Min: decision.Version{10, 0, 22631}}, {Platform: decision.MacOS, Min: decision.Version{14, 5}}, {Platform: decision.Linux},
		}}},
		{`trust joined hybrid_joined`, req{Kind: decision.RequireTrust, Trusts: []decision.Trust{decision.TrustJoined, decision.TrustHybridJoined}}},
		{`ownership corporate`, req{Kind: decision.RequireOwnership}},
		{`owner`, req{Kind: decision.RequireOwner}},
		{`checked_in within 14d`, req{Kind: decision.RequireCheckedIn, Within: 14 * 24 * time.Hour}},
		{`checked_in within 1d12h30m`, req{Kind: decision.RequireCheckedIn, Within: 36*time.Hour + 30*time.Minute}},
		{`proof bound_token`, req{Kind: decision.RequireProof, Proof: decision.ProofBoundToken}},
		{`proof token else warn`, req{Kind: decision.RequireProof, Proof: decision.ProofToken, ElseWarn: true}},
	}
	for _, tt := range tests {
		t.Run(tt.line, func(t *testing.T) {
			s, err := parseLine(Line{Words: words("require " + tt.line), Place: "f:1"})
			if err != nil {
				t.Fatal(err)
			}
			tt.want.Text = "require " + tt.line
			if !reflect.DeepEqual(s.require.Requirement, tt.want) {
				t.Errorf("got  %+v\nwant %+v", s.require.Requirement, tt.want)
			}
		})
	}
}

func TestParseNamesOfStepUps(t *testing.T) {
	s, err := parseWords(words(`require step_up mfa`))
	if err != nil || s.require.stepUp != "mfa" {
		t.Errorf("got %q, %v, want mfa", s.require.stepUp, err)
	}
	s, err = parseWords(words("require expression `device.encrypted || claims.x == \"else\"` \"else\" else step_up mfa"))
	if err != nil || s.require.elseStepUp != "mfa" || s.require.Message != "else" {
		t.Errorf("got %q %q, %v, want the message else and the step-up mfa", s.require.Message, s.require.elseStepUp, err)
	}
	if got, want := s.text, "require expression `device.encrypted || claims.x == \"else\"` else else step_up mfa"; got != want {
		t.Errorf("text: got %s, want %s", got, want)
	}
}

const requireAccepts = `accepted: user, group, client, network, device, managed, compliant, encrypted, updated, not jailbroken, not malware, risk, user_risk, os, trust, ownership, owner, checked_in, proof, step_up, expression`

func TestCheckLineErrors(t *testing.T) {
	tests := []struct{ line, want string }{
		{``, `line is empty`},
		{`requires user`, `unknown word "requires" in a policy; accepted: require, extends, freshness, max_age, stale_if_error, on_unknown, on_outage, hard_stop, report_only, exempt`},
		{`require`, `missing value after require; write: require REQUIREMENT`},
		{`require encrpted`, `unknown word "encrpted" after require; ` + requireAccepts},
		{`require user strict`, `unexpected word "strict"; write: require user`},
		{`require user else warn`, `require user cannot have else warn: nobody would be signed in`},
		{`require user else step_up mfa`, `require user cannot have else step_up`},
		{`require group`, `missing value after require group; write: require group NAME...`},
		{`require group a a`, `group "a" is named twice`},
		{`require client`, `missing value after require client; write: require client APPID...`},
		{`require network`, `missing value after require network; write: require network CIDR...`},
		{`require network corp`, `bad network "corp": write an address or a CIDR such as 10.0.0.0/8`},
		{`require network 10.0.0.1/8`, `network "10.0.0.1/8" has bits set after its prefix: write 10.0.0.0/8`},
		{`require network ::ffff:10.0.0.0/104`, `network "::ffff:10.0.0.0/104" is IPv4 in IPv6 form: write it as IPv4`},
		{`require network fe80::1%eth0`, `bad network "fe80::1%eth0": write an address or a CIDR such as 10.0.0.0/8`},
		{`require network 10.0.0.0/8 10.0.0.0/8`, `network "10.0.0.0/8" is named twice`},
		{`require device LT-1`, `unexpected word "LT-1"; write: require device`},
		{`require managed else`, `missing value after else; write: else step_up NAME, or else warn`},
		{`require managed else block`, `unknown word "block" after else; accepted: step_up NAME, warn`},
		{`require managed else warn now`, `unexpected word "now"; write: else step_up NAME, or else warn`},
		{`require managed else step_up`, `missing value after else step_up; write: else step_up NAME, or else warn`},
		{`require managed else step_up mfa now`, `unexpected word "now"; write: else step_up NAME, or else warn`},
		{`require compliant stirct`, `unknown word "stirct" after require compliant; accepted: strict, else`},
		{`require not`, `missing value after require not; write: require not jailbroken|malware`},
		{`require not encrypted`, `unknown word "encrypted" after require not; accepted: jailbroken, malware`},
		{`require jailbroken`, `unknown word "jailbroken" after require; ` + requireAccepts},
		{`require risk low`, `missing value after require risk low; write: require risk at_most none|low|medium|high`},
		{`require risk below low`, `unknown word "below" after require risk; accepted: at_most`},
		{`require risk at_most compromised`, `unknown word "compromised" after at_most; accepted: none, low, medium, high`},
		{`require user_risk at_most Low`, `unknown word "Low" after at_most; accepted: none, low, medium, high`},
		{`require os windows`, `missing value after require os windows; write: require os PLATFORM MINIMUM...`},
		{`require os windows 10 macos`, `missing minimum version after macos; write: require os PLATFORM MINIMUM`},
		{`require os beos 5`, `unknown word "beos" after require os; accepted: windows, macos, ios, android, linux, chromeos`},
		{`require os windows 11h2`, `bad version "11h2" after windows: write up to four numbers such as 10.0.22631, or 0 for any`},
		{`require os windows 10.0.1.2.3`, `bad version "10.0.1.2.3" after windows: write up to four numbers such as 10.0.22631, or 0 for any`},
		{`require os ios 17 ios 18`, `platform ios is named twice`},
		{`require trust azure`, `unknown word "azure" after require trust; accepted: joined, hybrid_joined, registered`},
		{`require trust joined joined`, `trust joined is named twice`},
		{`require ownership personal`, `unknown word "personal" after require ownership; accepted: corporate`},
		{`require owner alice`, `unexpected word "alice"; write: require owner`},
		{`require checked_in 14d`, `missing value after require checked_in 14d; write: require checked_in within DURATION`},
		{`require checked_in in 14d`, `unknown word "in" after require checked_in; accepted: within`},
		{`require checked_in within 14`, `bad duration "14": write it like 15m, 4h or 14d`},
		{`require checked_in within -1h`, `bad duration "-1h": write it like 15m, 4h or 14d`},
		{`require checked_in within 0s`, `duration "0s" is too short: at least 1s`},
		{`require checked_in within 400d`, `duration "400d" is too long: at most 366d`},
		{`require proof tpm`, `unknown word "tpm" after require proof; accepted: certificate, forwarded_certificate, bound_token, token, attested`},
		{`require proof none`, `unknown word "none" after require proof; accepted: certificate, forwarded_certificate, bound_token, token, attested`},
		{`require proof token else step_up mfa`, `require proof cannot have else step_up`},
		{`require step_up`, `missing value after require step_up; write: require step_up NAME`},
		{`require step_up m/fa`, `bad step_up name "m/fa": letters, digits, _, - and . only`},
		{`require step_up mfa else step_up strong`, `require step_up cannot have else step_up`},
		{`require expression device.encrypted`, `missing value after require expression device.encrypted; write: require expression CEL MESSAGE`},
		{`require expression device.encrypted "  "`, `require expression needs a message for the person who is blocked`},
		{`require expression device.encrypted Sorry.  else wrn`, `unknown word "wrn" after else; accepted: step_up NAME, warn`},
		{`require expression device.secureboot "x"`, `expression, column 7: unknown field secureboot`},
		{`extends`, `missing value after extends; write: extends POLICY`},
		{`extends a b`, `unexpected word "b"; write: extends POLICY`},
		{`extends a:b`, `bad policy name "a:b": letters, digits, _, - and . only`},
		{`freshness strict`, `unknown word "strict" after freshness; accepted: relaxed, standard, sensitive, critical`},
		{`max_age 0s`, `duration "0s" is too short: at least 1s`},
		{`max_age soon`, `bad duration "soon": write it like 15m, 4h or 14d`},
		{`stale_if_error 1h 2h`, `unexpected word "2h"; write: stale_if_error DURATION`},
		{`on_unknown allow`, `unknown word "allow" after on_unknown; accepted: block, step_up NAME, warn`},
		{`on_unknown step_up`, `missing value after on_unknown step_up; write: on_unknown block|warn|step_up NAME`},
		{`on_unknown block now`, `unexpected word "now"; write: on_unknown block|warn|step_up NAME`},
		{`on_outage warn x`, `unknown word "warn" after on_outage; accepted: step_up NAME`},
		{`on_outage step_up`, `missing value after on_outage step_up; write: on_outage step_up NAME`},
		{`hard_stop revoked off`, `unknown word "revoked" after hard_stop; accepted: disabled, retired, jailbroken, compromised, user_disabled, user_compromised`},
		{`hard_stop retired`, `missing value after hard_stop retired; write: hard_stop NAME off`},
		{`hard_stop retired on`, `unknown word "on" after hard_stop retired; accepted: off`},
		{`report_only`, `missing value after report_only; write: report_only [unenforced] until YYYY-MM-DD`},
		{`report_only from 2026-03-20`, `unknown word "from" after report_only; accepted: unenforced, until`},
		{`report_only unenforced until`, `missing value after report_only until; write: report_only [unenforced] until YYYY-MM-DD`},
		{`report_only unenforced before 2026-03-20`, `unknown word "before" after report_only; accepted: until`},
		{`report_only until 20-03-2026`, `bad date "20-03-2026": write it as YYYY-MM-DD`},
		{`report_only until 2026-02-30`, `bad date "2026-02-30": write it as YYYY-MM-DD`},
		{`exempt group a`, `missing value after exempt group a; write: exempt group|user|device NAME until YYYY-MM-DD because "REASON"`},
		{`exempt team a until 2026-03-20 because x`, `unknown word "team" after exempt; accepted: group, user, device`},
		{`exempt device a until 2026-03-20 because x`, `bad device "a": write KIND:VALUE, such as serial:PF3K9ABC; without a kind it is an Entra device id (a GUID)`},
		{`exempt device :a until 2026-03-20 because x`, `bad device ":a": write KIND:VALUE, such as serial:PF3K9ABC; without a kind it is an Entra device id (a GUID)`},
		{`exempt user a till 2026-03-20 because x`, `unknown word "till" after exempt user a; accepted: until`},
		{`exempt user a until tomorrow because x`, `bad date "tomorrow": write it as YYYY-MM-DD`},
		{`exempt user a until 2026-03-20 why x`, `unknown word "why" after until 2026-03-20; accepted: because`},
		{`exempt user a until 2026-03-20 because " "`, `exempt needs a reason after because`},
		{`exempt user a until 2026-03-20 because x y`, `unexpected word "y"; write: exempt group|user|device NAME until YYYY-MM-DD because "REASON"`},
		{`require group ""`, `word 3 of the line is empty`},
		{"require group a\x00b", `word 3 of the line has a control character`},
		{"require group a\xffb", `word 3 of the line is not valid UTF-8`},
		{`require group ` + strings.Repeat("g", maxWord+1), `word 3 of the line is longer than 512 bytes`},
		{`require group` + strings.Repeat(" g", maxWords), `line has 514 words: at most 512`},
	}
	for _, tt := range tests {
		err := CheckLine(Line{Words: words(tt.line), Place: "Caddyfile:12"})
		var e *Error
		if !errors.As(err, &e) {
			t.Errorf("%.60s: got %v, want an *Error", tt.line, err)
			continue
		}
		if got, want := err.Error(), "Caddyfile:12: "+tt.want; got != want {
			t.Errorf("%.60s:\ngot  %s\nwant %s", tt.line, got, want)
		}
	}
}

func TestErrorWithoutPlace(t *testing.T) {
	if got, want := (&Error{Msg: "no"}).Error(), "no"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCheckPolicy(t *testing.T) {
	tests := []struct{ name, src, want string }{
		{"good", "p\n require user\n freshness critical", ``},
		{"empty", "p", `f:1: policy p requires nothing; add a require line or extends`},
		{"rules only", "p\n freshness critical", `f:1: policy p requires nothing; add a require line or extends`},
		{"extends is enough", "p\n extends q", ``},
		{"off", "off\n require user", `f:1: a policy cannot be named off: that word switches the check off on a route`},
		{"bad name", "p{}\n require user", `f:1: bad policy name "p{}": letters, digits, _, - and . only`},
		{"two freshness", "p\n require user\n freshness critical\n freshness relaxed", `f:4: second line freshness relaxed in this policy; the first is at f:3`},
		{"two on_unknown", "p\n require user\n on_unknown block\n on_unknown warn", `f:4: second line on_unknown warn in this policy; the first is at f:3`},
		{"two extends", "p\n extends a\n extends b", `f:3: second line extends b in this policy; the first is at f:2`},
		{"same requirement", "p\n require group a\n require group b\n require group a", `f:4: second line require group a in this policy; the first is at f:2`},
		{"same hard stop", "p\n require user\n hard_stop retired off\n hard_stop retired off", `f:4: second line hard_stop retired off in this policy; the first is at f:3`},
		{"two hard stops", "p\n require user\n hard_stop retired off\n hard_stop disabled off", ``},
		{"two limits of one kind", "p\n require risk at_most medium\n require risk at_most low else step_up mfa", ``},
		{"tier and age", "p\n require user\n freshness critical\n max_age 1m", `f:4: max_age beside freshness critical: write a tier or ages, not both`},
		{"report_only alone", "p\n require user\n report_only until 2026-04-01", `f:3: report_only without a policy to extend would enforce nothing; if that is meant, write: report_only unenforced until 2026-04-01`},
		{"report_only unenforced", "p\n require user\n report_only unenforced until 2026-04-01", ``},
		{"itself", "p\n extends p", `f:2: policy p extends itself`},
		{"two mistakes", "p\n require usr\n freshnes x", "f:2: unknown word \"usr\" after require; " + requireAccepts + "\nf:3: unknown word \"freshnes\" in a policy; accepted: require, extends, freshness, max_age, stale_if_error, on_unknown, on_outage, hard_stop, report_only, exempt"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := CheckPolicy(config(tt.src)[0]); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestDurations(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"15m": 15 * time.Minute, "4h": 4 * time.Hour, "14d": 14 * 24 * time.Hour, "1d12h": 36 * time.Hour, "0s": 0, "90s": 90 * time.Second, "0d": 0,
	} {
		if got, err := parseDuration(in); got != want || err != nil {
			t.Errorf("%s: got %s, %v, want %s", in, got, err, want)
		}
	}
	for _, in := range []string{"", "d", "h", "-1d", "+1h", "1dd", "1h1d", "1d-1h", "1 d", "1e3s", "99999999d", ".5h", "9999999h"} {
		if got, err := parseDuration(in); err == nil {
			t.Errorf("%s: got %s, want an error", in, got)
		}
	}
	for in, want := range map[time.Duration]string{14 * 24 * time.Hour: "14d", 4 * time.Hour: "4h", 15 * time.Minute: "15m", 90 * time.Second: "1m30s", 0: "0s"} {
		if got := formatDuration(in); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}
