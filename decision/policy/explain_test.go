package policy

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

const explained = `
base
	require user
	require managed
	require not jailbroken
p
	extends base
	require compliant
	require encrypted
	require updated
	require risk at_most none else step_up mfa
	require expression device.firewall "Turn the firewall on."
	require network 192.0.2.0/24 else warn
`

func TestExplain(t *testing.T) {
	now := time.Now()
	set := mustCompile(t, explained)
	q := request(source(now.Add(-3*time.Minute)), laptop(now), now)
	x := Explain(mustPolicy(t, set, "p"), set.Engine, q, nil)

	if x.Policy != "p" || x.Outcome != "block" || x.Mode != "enforce" || x.Until != nil || len(x.Revision) != 12 {
		t.Errorf("got %+v", x)
	}
	want := []ExplainedRequirement{
		{Text: "require user", Place: "f:3", Policy: "base", Result: "pass"},
		{Text: "require managed", Place: "f:4", Policy: "base", Result: "pass", Source: "inventory"},
		{Text: "require not jailbroken", Place: "f:5", Policy: "base", Result: "pass", Note: "does not apply to windows"},
		{Text: "require compliant", Place: "f:8", Policy: "p", Result: "warn", Reason: "grace_period", Param: q.Posture.GraceUntil.UTC().Format(time.RFC3339), Source: "inventory"},
		{Text: "require encrypted", Place: "f:9", Policy: "p", Result: "pass", Source: "inventory"},
		{Text: "require updated", Place: "f:10", Policy: "p", Result: "unknown", Reason: "fact_unknown", Param: "updated"},
		{Text: "require risk at_most none else step_up mfa", Place: "f:11", Policy: "p", Result: "step_up", Reason: "risk_too_high", Param: "low", Source: "inventory"},
		{Text: `require expression device.firewall "Turn the firewall on."`, Place: "f:12", Policy: "p", Result: "fail", Reason: "expression_failed", Param: "Turn the firewall on."},
		{Text: "require network 192.0.2.0/24 else warn", Place: "f:13", Policy: "p", Result: "warn", Reason: "network_not_allowed"},
	}
	if len(x.Requirements) != len(want) {
		t.Fatalf("got %d requirements, want %d", len(x.Requirements), len(want))
	}
	for i := range want {
		if x.Requirements[i] != want[i] {
			t.Errorf("got  %+v\nwant %+v", x.Requirements[i], want[i])
		}
	}
	for name, want := range map[string]string{
		"managed": "yes inventory fresh 180", "compliance": "in_grace inventory fresh 180", "os": "windows 10.0.22631 inventory fresh 180",
		"updated": "unknown  none -", "owner": "alice@corp.example inventory fresh 180", "jailbroken": "unknown  none -",
	} {
		got := "absent"
		for _, f := range x.Facts {
			if f.Name == name {
				age := "-"
				if f.AgeSeconds != nil {
					age = (time.Duration(*f.AgeSeconds) * time.Second).String()
					age = strings.NewReplacer("3m0s", "180").Replace(age)
				}
				got = f.Value + " " + f.Source + " " + f.Freshness + " " + age
			}
		}
		if got != want {
			t.Errorf("fact %s: got %s, want %s", name, got, want)
		}
	}
}

// The same reason from two lines is one finding of the decision, and both lines
// say it.
func TestExplainEachLine(t *testing.T) {
	now := time.Now()
	set := mustCompile(t, "p\n require risk at_most none\n require risk at_most none else step_up mfa")
	x := Explain(mustPolicy(t, set, "p"), set.Engine, request(source(now), laptop(now), now), nil)
	if len(x.Reasons) != 1 || x.Requirements[0].Result != "fail" || x.Requirements[1].Result != "step_up" {
		t.Errorf("got %+v", x)
	}
}

// An operator sees what a stranger fails; the stranger's own reasons stay short.
func TestExplainStranger(t *testing.T) {
	set := mustCompile(t, "p\n require user\n require encrypted\n require network 192.0.2.0/24")
	q := &decision.Request{Now: time.Now(), Identity: &decision.Identity{}, Posture: &decision.Posture{}}
	x := Explain(mustPolicy(t, set, "p"), set.Engine, q, nil)
	if x.Outcome != "authenticate" || len(x.Reasons) != 1 || x.Reasons[0].Code != "sign_in_required" {
		t.Errorf("got %+v", x)
	}
	for i, want := range []string{"authenticate", "unknown", "unknown"} {
		if got := x.Requirements[i].Result; got != want {
			t.Errorf("%s: got %s, want %s", x.Requirements[i].Text, got, want)
		}
	}
}

func TestExplainFreshness(t *testing.T) {
	now := time.Now()
	set := mustCompile(t, "p\n require encrypted")
	for _, tt := range []struct {
		age     time.Duration
		failing bool
		want    string
	}{{0, false, "fresh"}, {time.Hour, true, "stale"}, {time.Hour, false, "expired"}, {9 * time.Hour, true, "expired"}} {
		s := source(now.Add(-tt.age))
		if tt.failing {
			s.Fail(decision.CauseSourceFailing)
		}
		x := Explain(mustPolicy(t, set, "p"), set.Engine, request(s, &decision.Device{Encrypted: decision.Yes}, now), nil)
		if got := x.Facts[0]; got.Name != "encrypted" || got.Freshness != tt.want {
			t.Errorf("%s old, failing %t: got %+v, want %s", tt.age, tt.failing, got, tt.want)
		}
	}
}

func TestExplainNotes(t *testing.T) {
	now := time.Now()
	steps := append(stepUps(), healthy())
	set, err := Compile(config(`
p
	require risk at_most none else step_up mfa
	require updated
	on_unknown step_up mfa
a
	require managed
x
	require risk at_most none
	exempt group staff until 2026-04-01 because "new laptops"
`), steps, everything())
	if err != nil {
		t.Fatal(err)
	}
	q := request(source(now), laptop(now), now)
	q.Identity.User.AMR, q.Identity.User.ACR = []string{"mfa"}, "urn:mfa"
	for _, r := range Explain(mustPolicy(t, set, "p"), set.Engine, q, nil).Requirements {
		if r.Result != "pass" || r.Note != "by a step-up instead of the fact" {
			t.Errorf("got %+v, want a pass by a step-up", r)
		}
	}

	q = request(source(now), laptop(now), now)
	q.Identity.Device = decision.DeviceRef{}
	q.Identity.User.Issuer, q.Identity.User.ACRs = "entra", []string{"c2"}
	if r := Explain(mustPolicy(t, set, "a"), set.Engine, q, nil).Requirements[0]; r.Result != "pass" || r.Source != "entra_auth_context" {
		t.Errorf("got %+v, want a pass by attestation", r)
	}

	q = request(source(loadTime), laptop(loadTime), loadTime)
	if r := Explain(mustPolicy(t, set, "x"), set.Engine, q, nil).Requirements[0]; r.Result != "warn" || r.Note != "exempt: new laptops" {
		t.Errorf("got %+v, want a warning by exemption", r)
	}
}

func TestExplainReportOnly(t *testing.T) {
	set := mustCompile(t, "base\n require user\np\n extends base\n require encrypted\n report_only until 2026-04-01")
	q := request(source(loadTime), laptop(loadTime), loadTime)
	x := Explain(mustPolicy(t, set, "p"), set.Engine, q, nil)
	if x.Mode != "report_only" || x.Enforced != "base" || x.Until == nil || !x.Until.Equal(time.Date(2026, 4, 2, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("got %+v", x)
	}
	if got, want := x.String(), "report only until 2026-04-02T00:00:00Z; enforced: base\n"; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestExplanationString(t *testing.T) {
	set := mustCompile(t, "p\n require encrypted\n require risk at_most none else step_up mfa")
	now := time.Now()
	d := &decision.Device{Encrypted: decision.Yes, Risk: decision.LevelLow, OwnerUPN: "al\x1bice"}
	p := mustPolicy(t, set, "p")
	got := Explain(p, set.Engine, request(source(now), d, now), nil).String()
	want := "policy p, revision " + p.Revision + `: step_up mfa

reasons:
  step_up  risk_too_high  low  inventory  f:3

requirements:
  pass     require encrypted                           -              -    inventory  f:2
  step_up  require risk at_most none else step_up mfa  risk_too_high  low  inventory  f:3

facts:
  encrypted     yes     inventory  0s  fresh
  risk          low     inventory  0s  fresh
  owner         al?ice  inventory  0s  fresh
  user_enabled  yes     inventory  0s  fresh
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// The JSON form has stable names, and lists are never null.
func TestExplanationJSON(t *testing.T) {
	set := mustCompile(t, "p\n require network 10.0.0.0/8")
	q := &decision.Request{Now: loadTime, Identity: &decision.Identity{}, Posture: &decision.Posture{}}
	q.ClientIP = request(source(loadTime), nil, loadTime).ClientIP
	p := mustPolicy(t, set, "p")
	b, err := json.Marshal(Explain(p, set.Engine, q, nil))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"policy":"p","revision":"` + p.Revision + `","mode":"enforce","outcome":"allow","reasons":[],` +
		`"requirements":[{"text":"require network 10.0.0.0/8","place":"f:2","policy":"p","result":"pass"}],"facts":[],"conflicts":0}`
	if string(b) != want {
		t.Errorf("got  %s\nwant %s", b, want)
	}
}

func TestConfigJSON(t *testing.T) {
	want := `[{"name":"p","place":"f:1","lines":[{"words":["require","user"],"place":"f:2"}]}]`
	b, err := json.Marshal(config("p\n require user"))
	if err != nil || string(b) != want {
		t.Errorf("got %s, %v, want %s", b, err, want)
	}
}
