package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func compileError(src string, steps []StepUpConfig, env Environment) string {
	set, err := Compile(config(src), steps, env)
	switch {
	case err != nil && set != nil:
		return "a set beside the error"
	case err != nil:
		return err.Error()
	}
	return ""
}

// What lines say about each other and about the environment.
func TestCompileErrors(t *testing.T) {
	groups := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, " require group g%d\n", i)
		}
		return b.String()
	}
	without := func(change func(*Environment)) Environment {
		env := everything()
		change(&env)
		return env
	}
	noSources := without(func(e *Environment) { e.Facts, e.Sources = 0, nil })
	noIssuers := without(func(e *Environment) { e.Issuers = nil })
	certificateUser := without(func(e *Environment) { e.Issuers = []Issuer{{Name: decision.IssuerCertificate}} })
	noDevice := without(func(e *Environment) { e.Proofs = nil })
	onlyTokens := without(func(e *Environment) { e.Proofs = []decision.Proof{decision.ProofToken} })
	fewFacts := without(func(e *Environment) {
		e.Facts, e.Sources = decision.Facts(decision.FactManaged, decision.FactCompliance), []string{"inventory", "intune"}
	})
	polled := without(func(e *Environment) {
		e.Sources = []string{"inventory", "intune"}
		e.PollIntervals = map[string]time.Duration{"intune": 5 * time.Minute, "inventory": 10 * time.Second}
		e.FactsFrom = func(f decision.Fact) string {
			if f == decision.FactCompliance {
				return "inventory, intune"
			}
			return "inventory"
		}
	})
	noNames := polled
	noNames.FactsFrom = nil
	noTime := without(func(e *Environment) { e.Now = time.Time{} })

	tests := []struct {
		name, src string
		env       Environment
		want      string
	}{
		{"twice", "p\n require user\np\n require user", everything(), `f:3: second policy p`},
		{"unknown parent", "p\n extends standrad\nstandard\n require user", everything(), `f:2: unknown policy "standrad"; configured: standard`},
		{"no parent at all", "p\n extends q", everything(), `f:2: unknown policy "q"; configured: none`},
		{"cycle", "a\n extends b\nb\n extends c\nc\n extends a", everything(), `f:6: policies extend each other: a, b, c, a`},
		{"below a cycle", "d\n extends a\na\n extends b\nb\n extends a", everything(), `f:6: policies extend each other: a, b, a`},
		{"faulty parent once", "a\n require usr\nb\n extends a\nc\n extends b", everything(), `f:2: unknown word "usr" after require; ` + requireAccepts},
		{"too many lines", "p\n" + groups(257), everything(), `f:1: policy p has 257 lines: at most 256`},
		{
			"too many requirements", "a\n" + groups(250) + "b\n extends a\n" + groups(250) + "c\n extends b\n" + groups(250), everything(),
			`f:504: policy c has 750 requirements with those it inherits: at most 512`,
		},

		{"unknown step-up", "p\n require step_up mfaa", everything(), `f:2: unknown step_up "mfaa"; configured: mfa, strong`},
		{"unknown else", "p\n require managed else step_up x", everything(), `f:2: unknown step_up "x"; configured: mfa, strong`},
		{"unknown on_unknown", "p\n require managed\n on_unknown step_up x", everything(), `f:3: unknown step_up "x"; configured: mfa, strong`},
		{"unknown on_outage", "p\n require managed\n on_outage step_up x", everything(), `f:3: unknown step_up "x"; configured: mfa, strong`},

		{"user", "p\n require user", noIssuers, `f:2: require user: no issuer is configured, and no certificate block names a user`},
		{"user by certificate", "p\n require user\n require owner", certificateUser, ``},
		{"group by certificate", "p\n require group a", certificateUser, `f:2: require group a: no issuer is configured`},
		{"client", "p\n require client a", noIssuers, `f:2: require client a: no issuer is configured`},
		{"user risk", "p\n require user_risk at_most low", noSources, `f:2: require user_risk at_most low: no source supplies user_risk (configured sources: none)`},
		{"owner", "p\n require owner", noIssuers, `f:2: require owner: no issuer is configured, and no certificate block names a user`},
		{"network needs nothing", "p\n require network 10.0.0.0/8", Environment{}, ``},
		{"device without id", "p\n require device", noDevice, `f:2: require device: no issuer and no certificate block names a device`},
		{"device without source", "p\n require device", noSources, `f:2: require device: no source is configured`},
		{"posture without id", "p\n require encrypted", noDevice, `f:2: require encrypted: no issuer and no certificate block names a device`},
		{"missing fact", "p\n require compliant\n require encrypted", fewFacts, `f:3: require encrypted: no source supplies encrypted (configured sources: inventory, intune)`},
		{"os", "p\n require os windows 10", fewFacts, `f:2: require os windows 10: no source supplies os (configured sources: inventory, intune)`},
		{"proof", "p\n require proof certificate", onlyTokens, `f:2: require proof certificate: no issuer and no certificate block gives a device the proof certificate or a stronger one (configured: token)`},
		{"weaker proof is there", "p\n require proof token", everything(), ``},
		{"attested without attests", "p\n require proof attested", noDevice, `f:2: require proof attested: no issuer and no certificate block gives a device the proof attested or a stronger one (configured: none)`},
		{"proof without source", "p\n require proof token", noSources, `f:2: require proof token: no source is configured`},
		{"expression facts", "p\n require expression `device.managed && device.secure_boot` x", fewFacts, "f:2: require expression \"device.managed && device.secure_boot\" x: no source supplies secure_boot (configured sources: inventory, intune)"},
		{"expression user", "p\n require expression `user.id == \"a\"` x", noIssuers, "f:2: require expression `user.id == \"a\"` x: no issuer is configured, and no certificate block names a user"},
		{"expression claims", "p\n require expression `claims.a == 1` x", certificateUser, "f:2: require expression \"claims.a == 1\" x: no issuer is configured"},
		{"expression record", "p\n require expression device.known x", noSources, "f:2: require expression device.known x: no source is configured"},
		{"expression device", "p\n require expression device.managed x", noDevice, "f:2: require expression device.managed x: no issuer and no certificate block names a device"},
		{"expression request", "p\n require expression `request.method == \"GET\"` x", Environment{}, ``},

		{"expression user fact", "p\n require expression `user.risk == \"low\"` x", noIssuers, "f:2: require expression `user.risk == \"low\"` x: no issuer is configured, and no certificate block names a user"},

		{"poll interval", "p\n require compliant\n freshness critical", polled, `f:3: policy p: max_age 1m is too short for the poll interval 5m of source intune, which supplies compliance; the shortest is 6m15s`},
		{"poll interval of another fact", "p\n require encrypted\n freshness critical", polled, ``},
		{"poll interval, presence", "p\n require device\n max_age 30s", polled, `f:3: policy p: max_age 30s is too short for the poll interval 5m of source intune, which supplies devices; the shortest is 6m15s`},
		{"poll interval, expression", "p\n require expression `device.compliance == \"compliant\"` x\n max_age 4m", polled, `f:3: policy p: max_age 4m is too short for the poll interval 5m of source intune, which supplies compliance; the shortest is 6m15s`},
		{"poll interval, no names", "p\n require encrypted\n max_age 4m", noNames, `f:3: policy p: max_age 4m is too short for the poll interval 5m of source intune, which supplies encrypted; the shortest is 6m15s`},
		{"poll interval reached", "p\n require compliant\n max_age 5m", polled, `f:3: policy p: max_age 5m is too short for the poll interval 5m of source intune, which supplies compliance; the shortest is 6m15s`},
		{"poll interval with its margin", "p\n require compliant\n max_age 6m15s", polled, ``},
		{"poll interval, just below its margin", "p\n require compliant\n max_age 6m14s", polled, `f:3: policy p: max_age 6m14s is too short for the poll interval 5m of source intune, which supplies compliance; the shortest is 6m15s`},
		{"poll interval, no facts", "p\n require user\n freshness critical", polled, ``},
		{"poll interval inherited", "q\n require user\n freshness critical\np\n extends q\n require compliant", polled, `f:4: policy p: max_age 1m is too short for the poll interval 5m of source intune, which supplies compliance; the shortest is 6m15s`},

		{"trial too long", "p\n require user\n report_only unenforced until 2026-06-09", everything(), `f:3: report_only until 2026-06-09 is more than 90 days ahead; the latest date is 2026-06-08`},
		{"trial just in time", "p\n require user\n report_only unenforced until 2026-06-08", everything(), ``},
		{"exemption too long", "p\n require user\n exempt group a until 2027-01-01 because x", everything(), `f:3: exempt until 2027-01-01 is more than 90 days ahead; the latest date is 2026-06-08`},
		{"no time", "p\n require user\n exempt group a until 2026-04-01 because x", noTime, `f:3: exempt: the time of loading is not known`},
		{
			"trial below a trial", "q\n require user\n report_only unenforced until 2026-04-01\np\n extends q\n report_only until 2026-04-01", everything(),
			`f:6: report_only would enforce nothing: policy q is report_only itself; if that is meant, write: report_only unenforced until 2026-04-01`,
		},
		{
			"every mistake at once", "p\n require group a\n require step_up x\nq\n extends r", noIssuers,
			"f:2: require group a: no issuer is configured\nf:3: unknown step_up \"x\"; configured: none\nf:3: require step_up x: no issuer is configured\nf:5: unknown policy \"r\"; configured: p",
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			steps := stepUps()
			if len(tt.env.Issuers) < 2 {
				steps = nil
			}
			if got := compileError(tt.src, steps, tt.env); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestCompileManyErrors(t *testing.T) {
	src := "p\n"
	for range 30 {
		src += " require usr\n"
	}
	got := compileError(src, nil, everything())
	if want := "\nand 10 more errors"; !strings.HasSuffix(got, want) || strings.Count(got, "\n") != maxErrors {
		t.Errorf("got %s, want %d errors and %s", got, maxErrors, want)
	}
	var e *Error
	if _, err := Compile(config(src), nil, everything()); !errors.As(err, &e) || e.Place != "f:2" {
		t.Errorf("got %v, want an *Error with the place f:2", err)
	}
}

func TestStepUpErrors(t *testing.T) {
	one := func(f StepUpFor) []StepUpConfig {
		return []StepUpConfig{{Name: "s", Place: "s:1", For: []StepUpFor{f}}}
	}
	tests := []struct {
		name  string
		steps []StepUpConfig
		want  string
	}{
		{"good", one(StepUpFor{Issuer: "entra", AuthContext: "c99", Attests: []string{"os", "not_malware"}}), ``},
		{"no name", []StepUpConfig{{Place: "s:1"}}, `s:1: step_up has no name`},
		{"twice", append(one(StepUpFor{Issuer: "corp", AMR: []string{"mfa"}}), one(StepUpFor{Issuer: "corp", AMR: []string{"mfa"}})...), `s:1: second step_up s`},
		{"no for", []StepUpConfig{{Name: "s", Place: "s:1"}}, `s:1: step_up s has no for block: no issuer could do it`},
		{"bad age", []StepUpConfig{{Name: "s", Place: "s:1", MaxAge: "soon", For: []StepUpFor{{Issuer: "corp"}}}}, `s:1: step_up s: max_age: bad duration "soon": write it like 15m, 4h or 14d`},
		{"age alone", []StepUpConfig{{Name: "s", Place: "s:1", MaxAge: "1h", For: []StepUpFor{{Issuer: "corp"}}}}, ``},
		{"asks for nothing", one(StepUpFor{Issuer: "corp", Place: "s:2"}), `s:2: step_up s: for corp asks for nothing: add auth_context, acr_values or amr, or max_age to the step_up`},
		{"unknown issuer", one(StepUpFor{Issuer: "okta", AMR: []string{"mfa"}}), `s:1: step_up s: unknown issuer "okta"; configured: corp, entra`},
		{"certificate", one(StepUpFor{Issuer: "certificate", AMR: []string{"mfa"}}), `s:1: step_up s: unknown issuer "certificate"; configured: corp, entra`},
		{"issuer twice", []StepUpConfig{{Name: "s", Place: "s:1", For: []StepUpFor{{Issuer: "corp", AMR: []string{"mfa"}}, {Issuer: "corp", AMR: []string{"hwk"}}}}}, `s:1: step_up s: second for corp`},
		{"not Entra", one(StepUpFor{Issuer: "corp", AuthContext: "c1"}), `s:1: step_up s: issuer corp is not an Entra issuer and has no auth_context; use acr_values or amr`},
		{"context 0", one(StepUpFor{Issuer: "entra", AuthContext: "c0"}), `s:1: step_up s: bad auth_context "c0": c1 to c99`},
		{"context 100", one(StepUpFor{Issuer: "entra", AuthContext: "c100"}), `s:1: step_up s: bad auth_context "c100": c1 to c99`},
		{"context 01", one(StepUpFor{Issuer: "entra", AuthContext: "c01"}), `s:1: step_up s: bad auth_context "c01": c1 to c99`},
		{"divided acr", one(StepUpFor{Issuer: "corp", ACRValues: []string{"a b"}}), `s:1: step_up s: acr_values has an empty, overlong or divided value`},
		{"empty amr", one(StepUpFor{Issuer: "corp", AMR: []string{""}}), `s:1: step_up s: amr has an empty, overlong or divided value`},
		{"many values", one(StepUpFor{Issuer: "corp", AMR: make([]string, 65)}), `s:1: step_up s: amr has 65 values: at most 64`},
		{"many blocks", []StepUpConfig{{Name: "s", Place: "s:1", For: make([]StepUpFor, 65)}}, `s:1: step_up s has 65 for blocks: at most 64`},
		{
			"attests unknown", one(StepUpFor{Issuer: "entra", AuthContext: "c2", Attests: []string{"user"}}),
			`s:1: step_up s: unknown word "user" after attests; accepted: managed, compliant, encrypted, updated, not_jailbroken, not_malware, risk, os, trust, ownership`,
		},
		{"attests twice", one(StepUpFor{Issuer: "entra", AuthContext: "c2", Attests: []string{"os", "os"}}), `s:1: step_up s: attests os is named twice`},
		{
			"attests without context", one(StepUpFor{Issuer: "corp", AMR: []string{"mfa"}, Attests: []string{"compliant"}}),
			`s:1: step_up s: attests needs an auth_context: only an authentication context shows that corp checked the device`,
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := compileError("p\n require user", tt.steps, everything()); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestCompileStepUp(t *testing.T) {
	set, err := Compile(config("p\n require step_up mfa"), append(stepUps(), healthy()), everything())
	if err != nil {
		t.Fatal(err)
	}
	su := mustPolicy(t, set, "p").Requirements[0].StepUp
	if su.Name != "mfa" || su.MaxAge != 12*time.Hour || su.For["entra"].AuthContext != "c1" || !slices.Equal(su.For["corp"].AMR, []string{"mfa"}) {
		t.Errorf("got %+v", su)
	}
	if a := set.Engine.Attesting; len(a) != 1 || a[0].Name != "healthy" ||
		!slices.Equal(a[0].For["entra"].Attests, []decision.Kind{decision.RequireManaged, decision.RequireCompliant, decision.RequireNotJailbroken}) {
		t.Errorf("attesting: got %+v", a)
	}
}

// A step-up that attests a requirement supplies it: no source and no device id
// is needed.
func TestCompileAttested(t *testing.T) {
	env := Environment{Issuers: []Issuer{{Name: "entra", Entra: true}}, Now: loadTime}
	steps := []StepUpConfig{healthy()}
	if got := compileError("p\n require managed\n require compliant\n require proof attested\n on_unknown step_up healthy", steps, env); got != "" {
		t.Errorf("got %s, want no error", got)
	}
	want := `f:2: require encrypted: no issuer and no certificate block names a device`
	if got := compileError("p\n require encrypted", steps, env); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestSetNames(t *testing.T) {
	set := mustCompile(t, "b\n require user\na\n extends b")
	if got, want := set.Names(), []string{"a", "b"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if _, ok := set.Policy("c"); ok {
		t.Error("a policy that nobody wrote")
	}
}

func TestRevision(t *testing.T) {
	rev := func(src string, steps []StepUpConfig) string {
		set, err := Compile(config(src), steps, everything())
		if err != nil {
			t.Fatal(err)
		}
		return mustPolicy(t, set, "p").Revision
	}
	base := rev("p\n require user", nil)
	if len(base) != 12 || strings.Trim(base, "0123456789abcdef") != "" {
		t.Errorf("got %q, want 12 hexadecimal digits", base)
	}
	if moved := rev("\n\nq\n require user\np\n require user", nil); moved != base {
		t.Errorf("a moved policy has another revision: %s, %s", moved, base)
	}
	seen := map[string]string{base: "base"}
	for _, src := range []string{
		"p\n require user\n require managed", "p\n require managed\n require user", "p\n require user\n freshness critical",
		"p\n require user\n on_unknown warn", "p\n require user\n hard_stop retired off",
		"p\n require user\n exempt group a until 2026-04-01 because x", "p\n require user\n exempt group a until 2026-04-02 because x",
		"p\n require user\n report_only unenforced until 2026-04-01", "q\n require user\np\n extends q",
	} {
		r := rev(src, nil)
		if other, twice := seen[r]; twice {
			t.Errorf("%q and %q have the same revision", src, other)
		}
		seen[r] = src
	}
	steps := stepUps()
	before := rev("p\n require step_up mfa", steps)
	steps[0].MaxAge = "1h"
	if rev("p\n require step_up mfa", steps) == before {
		t.Error("a changed step-up keeps the revision of a policy that requires it")
	}
	if rev("p\n require user", steps) != base {
		t.Error("a changed step-up changes the revision of a policy without it")
	}
}

// A set may be used by many requests at once.
func TestConcurrentUse(t *testing.T) {
	now := time.Now()
	set := mustCompile(t, "p\n require expression `device.secure_boot || device.encrypted && \"finance\" in user.groups` x\n require risk at_most none else step_up mfa")
	p := mustPolicy(t, set, "p")
	q := request(source(now), laptop(now), now)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 200 {
				if d := decide(set, p, q); d.Outcome != decision.RequestStepUp {
					t.Errorf("got %s, want step_up", d.Outcome)
				}
			}
			_ = Explain(p, set.Engine, q, nil).String()
		})
	}
	wg.Wait()
}
