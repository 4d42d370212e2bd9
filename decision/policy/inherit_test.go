package policy

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestInheritRequirements(t *testing.T) {
	set := mustCompile(t, `
child
	require group finance
	extends base
	require encrypted
base
	require user
	require risk at_most low else step_up mfa
	hard_stop retired off
	exempt group vip until 2026-04-01 because "new laptops"
	on_outage step_up mfa
`)
	p := mustPolicy(t, set, "child")
	var got []string
	for _, r := range p.Requirements {
		got = append(got, r.Place+" "+r.Policy+" "+r.Text)
	}
	want := []string{
		"f:7 base require user", "f:8 base require risk at_most low else step_up mfa",
		"f:3 child require group finance", "f:5 child require encrypted",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if p.Requirements[1].ElseStepUp == nil || p.Requirements[2].ElseStepUp != nil {
		t.Error("else does not stay with its own line")
	}
	if p.HardStopsOff != 0 || p.Exemptions != nil {
		t.Errorf("hard_stop off or an exemption was inherited: %d, %v", p.HardStopsOff, p.Exemptions)
	}
	if p.OnOutage == nil || p.OnOutage.Name != "mfa" {
		t.Errorf("on_outage: got %v, want mfa inherited", p.OnOutage)
	}
	base := mustPolicy(t, set, "base")
	if base.HardStopsOff != decision.StopRetired || len(base.Exemptions) != 1 || len(base.Requirements) != 2 {
		t.Errorf("the parent changed: %+v", base)
	}
}

func TestInheritStrictness(t *testing.T) {
	const more = "; a policy may only be stricter than the one it extends"
	tests := []struct {
		parent, child string
		ages          decision.Ages // with want ""
		unknown       string
		want          string
	}{
		{"", "", decision.Ages{MaxAge: 15 * time.Minute, StaleIfError: 4 * time.Hour}, "block", ``},
		{"freshness relaxed", "", decision.Ages{MaxAge: time.Hour, StaleIfError: 16 * time.Hour}, "block", ``},
		{"freshness relaxed", "freshness standard", decision.Ages{MaxAge: 15 * time.Minute, StaleIfError: 4 * time.Hour}, "block", ``},
		{"", "freshness critical", decision.Ages{MaxAge: time.Minute}, "block", ``},
		{"", "max_age 10m", decision.Ages{MaxAge: 10 * time.Minute, StaleIfError: 4 * time.Hour}, "block", ``},
		{"", "stale_if_error 0s", decision.Ages{MaxAge: 15 * time.Minute}, "block", ``},
		{"", "freshness relaxed", decision.Ages{}, "", `freshness relaxed is laxer than policy base: max_age 1h instead of 15m` + more},
		{"", "max_age 16m", decision.Ages{}, "", `max_age 16m is laxer than policy base: max_age 16m instead of 15m` + more},
		{"", "stale_if_error 5h", decision.Ages{}, "", `stale_if_error 5h is laxer than policy base: stale_if_error 5h instead of 4h` + more},
		{"max_age 1m|stale_if_error 0s", "freshness sensitive", decision.Ages{}, "", `freshness sensitive is laxer than policy base: max_age 5m instead of 1m` + more},
		{"max_age 6m|stale_if_error 0s", "freshness sensitive", decision.Ages{}, "", `freshness sensitive is laxer than policy base: stale_if_error 30m instead of 0s` + more},
		{"freshness critical", "freshness critical", decision.Ages{MaxAge: time.Minute}, "block", ``},
		{"on_unknown warn", "", decision.Ages{MaxAge: 15 * time.Minute, StaleIfError: 4 * time.Hour}, "warn", ``},
		{"on_unknown warn", "on_unknown step_up mfa", decision.Ages{MaxAge: 15 * time.Minute, StaleIfError: 4 * time.Hour}, "step_up mfa", ``},
		{"on_unknown warn", "on_unknown block", decision.Ages{MaxAge: 15 * time.Minute, StaleIfError: 4 * time.Hour}, "block", ``},
		{"on_unknown step_up mfa", "on_unknown block", decision.Ages{MaxAge: 15 * time.Minute, StaleIfError: 4 * time.Hour}, "block", ``},
		{"on_unknown step_up mfa", "on_unknown step_up mfa", decision.Ages{MaxAge: 15 * time.Minute, StaleIfError: 4 * time.Hour}, "step_up mfa", ``},
		{"on_unknown step_up mfa", "on_unknown step_up strong", decision.Ages{}, "", `on_unknown step_up strong is laxer than policy base, which has on_unknown step_up mfa` + more},
		{"on_unknown step_up mfa", "on_unknown warn", decision.Ages{}, "", `on_unknown warn is laxer than policy base, which has on_unknown step_up mfa` + more},
		{"", "on_unknown step_up mfa", decision.Ages{}, "", `on_unknown step_up mfa is laxer than policy base, which has on_unknown block` + more},
		{"", "on_unknown warn", decision.Ages{}, "", `on_unknown warn is laxer than policy base, which has on_unknown block` + more},
	}
	lines := func(s string) string { return " " + strings.ReplaceAll(s, "|", "\n ") + "\n" }
	for _, tt := range tests {
		t.Run(tt.parent+" to "+tt.child, func(t *testing.T) {
			set, err := Compile(config("base\n require user\n"+lines(tt.parent)+"child\n extends base\n"+lines(tt.child)), stepUps(), everything())
			if tt.want != "" {
				if err == nil || !strings.HasSuffix(err.Error(), ": "+tt.want) {
					t.Errorf("got  %v\nwant %s", err, tt.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			p := mustPolicy(t, set, "child")
			if p.Ages != tt.ages || unknownText(p.OnUnknown) != tt.unknown {
				t.Errorf("got %+v %s, want %+v %s", p.Ages, unknownText(p.OnUnknown), tt.ages, tt.unknown)
			}
		})
	}
}

func TestReportOnly(t *testing.T) {
	end := time.Date(2026, 3, 21, 0, 0, 0, 0, time.UTC) // 2026-03-20 24:00
	set := mustCompile(t, `
base
	require user
trial
	extends base
	require encrypted
	report_only until 2026-03-20
alone
	require user
	report_only unenforced until 2026-03-20
needless
	extends base
	report_only unenforced until 2026-03-20
below
	extends trial
deep
	extends trial
	report_only until 2026-03-25
`)
	tests := []struct {
		policy          string
		at              time.Time
		enforce, report string
	}{
		{"base", loadTime, "base", ""},
		{"trial", loadTime, "base", "trial"},
		{"trial", end.Add(-time.Second), "base", "trial"},
		{"trial", end, "trial", ""},
		{"alone", loadTime, "", "alone"},
		{"alone", end, "alone", ""},
		{"needless", loadTime, "base", "needless"},
		{"below", loadTime, "below", ""}, // report_only is not inherited
		{"deep", loadTime, "base", "deep"},
		{"deep", end, "trial", "deep"},
		{"deep", end.AddDate(0, 0, 5), "deep", ""},
	}
	name := func(p *decision.Policy) string {
		if p == nil {
			return ""
		}
		return p.Name
	}
	for _, tt := range tests {
		enforce, report := mustPolicy(t, set, tt.policy).Split(tt.at)
		if name(enforce) != tt.enforce || name(report) != tt.report {
			t.Errorf("%s at %s: got %q and %q, want %q and %q", tt.policy, tt.at, name(enforce), name(report), tt.enforce, tt.report)
		}
	}
	want := []string{"f:13: policy needless: unenforced has no effect: policy base stays enforced"}
	if !slices.Equal(set.Warnings, want) {
		t.Errorf("warnings: got %q, want %q", set.Warnings, want)
	}
}

// An expired trial enforces; an expired exemption is void; both load.
func TestExpired(t *testing.T) {
	set := mustCompile(t, `
p
	require user
	report_only unenforced until 2026-03-09
	exempt user alice@corp.example until 2026-03-09 because "new laptop"
	exempt device serial:pf3k9 until 2026-03-10 because "spare part"
	require device else step_up mfa
`)
	p := mustPolicy(t, set, "p")
	if enforce, report := p.Split(loadTime); enforce != p || report != nil {
		t.Error("an expired trial is not enforced")
	}
	if len(p.Exemptions) != 1 || p.Exemptions[0].Device != (decision.Key{Kind: "serial", Value: "PF3K9"}) ||
		!p.Exemptions[0].Until.Equal(time.Date(2026, 3, 11, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("got %+v, want the exemption of the device until the end of the day", p.Exemptions)
	}
	want := []string{
		"f:4: policy p: report_only ended on 2026-03-09: the policy is enforced",
		`f:5: policy p: exemption ended on 2026-03-09 and is void: exempt user alice@corp.example until 2026-03-09 because "new laptop"`,
		"f:7: require device else step_up mfa: else has no effect here: that no source has a device is unknown, not no; see on_unknown",
	}
	if !slices.Equal(set.Warnings, want) {
		t.Errorf("warnings:\ngot  %q\nwant %q", set.Warnings, want)
	}
}

// Small policies through the engine: what the words do in the end.
func TestDecide(t *testing.T) {
	now := time.Now()
	fresh, old := source(now), source(now.Add(-time.Hour))
	bare := &decision.Device{Platform: decision.Windows, Managed: decision.Yes}
	tests := []struct {
		name, lines string
		state       *decision.SourceState
		device      *decision.Device
		want        decision.Outcome
		findings    string
	}{
		{"pass", "require encrypted; require not jailbroken", fresh, laptop(now), decision.Allow, ""},
		{"no", "require encrypted; require group hr", fresh, &decision.Device{Encrypted: decision.No}, decision.Block, "block not_encrypted, block group_missing"},
		{"unknown blocks", "require encrypted", fresh, bare, decision.Block, "block fact_unknown"},
		{"unknown warns", "require encrypted; on_unknown warn", fresh, bare, decision.Allow, "warn fact_unknown"},
		{"unknown steps up", "require encrypted; on_unknown step_up mfa", fresh, bare, decision.RequestStepUp, "step_up fact_unknown"},
		{"grace counts", "require compliant", fresh, laptop(now), decision.Allow, "warn grace_period"},
		{"strict", "require compliant strict", fresh, laptop(now), decision.Block, "block grace_period"},
		{"else step_up", "require compliant strict else step_up mfa", fresh, laptop(now), decision.RequestStepUp, "step_up grace_period"},
		{"else warn", "require risk at_most none else warn", fresh, laptop(now), decision.Allow, "warn risk_too_high"},
		{"expired", "require encrypted", old, laptop(now), decision.Undecided, "undecided verdict_expired"},
		{"relaxed", "require encrypted; max_age 2h", old, laptop(now), decision.Allow, ""},
		{"on_outage", "require encrypted; on_outage step_up mfa", old, laptop(now), decision.RequestStepUp, "step_up verdict_expired"},
		{"exempt", "require risk at_most none; exempt user alice@corp.example until 2099-01-01 because x", fresh, laptop(now), decision.Allow, "warn risk_too_high"},
		{"exempt covers no group", "require group hr; exempt user alice@corp.example until 2099-01-01 because x", fresh, laptop(now), decision.Block, "block group_missing"},
		{"hard stop", "require user", fresh, &decision.Device{Jailbroken: decision.Yes}, decision.Block, "block jailbroken"},
		{"hard stop off", "require user; hard_stop jailbroken off", fresh, &decision.Device{Jailbroken: decision.Yes}, decision.Allow, ""},
		{"expression yes", "require expression `device.secure_boot || device.encrypted` x", fresh, laptop(now), decision.Allow, ""},
		{"expression no", "require expression device.firewall `Turn it on.`", fresh, laptop(now), decision.Block, "block expression_failed"},
		{"expression unknown", "require expression device.secure_boot x", fresh, laptop(now), decision.Block, "block fact_unknown"},
		{"expression expired", "require expression device.encrypted x", old, laptop(now), decision.Undecided, "undecided verdict_expired"},
		{"expression no sticks", "require expression device.firewall x", old, laptop(now), decision.Block, "block expression_failed"},
		{"record expired", "require expression device.known x", old, laptop(now), decision.Undecided, "undecided verdict_expired"},
		{"expression else", "require expression device.firewall x else step_up mfa", fresh, laptop(now), decision.RequestStepUp, "step_up expression_failed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			env := everything()
			env.Now = time.Date(2098, 12, 1, 0, 0, 0, 0, time.UTC)
			set, err := Compile(config("p\n "+strings.ReplaceAll(tt.lines, "; ", "\n ")), stepUps(), env)
			if err != nil {
				t.Fatal(err)
			}
			d := decide(set, mustPolicy(t, set, "p"), request(tt.state, tt.device, now))
			if d.Outcome != tt.want || findings(d) != tt.findings {
				t.Errorf("got %s (%s), want %s (%s)", d.Outcome, findings(d), tt.want, tt.findings)
			}
		})
	}
}

// An inherited expression is judged by the ages of the policy that inherits it.
func TestInheritedExpressionAges(t *testing.T) {
	now := time.Now()
	set := mustCompile(t, "base\n require expression device.known x\n max_age 2h\nchild\n extends base\n max_age 10m")
	q := request(source(now.Add(-time.Hour)), laptop(now), now)
	for name, want := range map[string]decision.Outcome{"base": decision.Allow, "child": decision.Undecided} {
		if got := decide(set, mustPolicy(t, set, name), q).Outcome; got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
}

// A realistic configuration: three policies in a chain.
func TestCompileChain(t *testing.T) {
	set := mustCompile(t, `
standard
	require user
	require managed
	require compliant
	require encrypted
	require not jailbroken
	require risk at_most medium
	require risk at_most low else step_up mfa
	require os windows 10.0.22631 macos 14.5 ios 17.5 android 14
	require checked_in within 14d
finance
	extends standard
	require group finance-users
	require proof certificate
	require step_up mfa
	require expression `+"`device.ownership == \"corporate\"`"+` "Only company-owned devices reach finance."
	freshness sensitive
finance_next
	extends finance
	require expression device.secure_boot "Secure boot must be on."
`)
	p := mustPolicy(t, set, "finance_next")
	if len(p.Requirements) != 14 || p.Ages != (decision.Ages{MaxAge: 5 * time.Minute, StaleIfError: 30 * time.Minute}) {
		t.Errorf("got %d requirements and %+v, want 14 and the ages of sensitive", len(p.Requirements), p.Ages)
	}
	r := p.Requirements[12]
	if r.Message != "Only company-owned devices reach finance." || r.Policy != "finance" || r.Expr.Facts() != decision.Facts(decision.FactOwnership) {
		t.Errorf("got %+v", r)
	}
	if set.Warnings != nil {
		t.Errorf("warnings: %q", set.Warnings)
	}
}
