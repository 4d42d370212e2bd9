package commands

import (
	"regexp"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

func TestHelp(t *testing.T) {
	dir := t.TempDir()
	help := run(t, dir, "", "help")
	help.expect(t, 0, "Gatehouse is an access gateway", "gatehouse demo", "reverse-proxy")
	sub := run(t, dir, "", "compliance", "--help")
	for _, name := range []string{"explain", "lint", "doctor", "devices", "revoke", "release", "accept", "status", "decisions"} {
		for _, r := range []result{help, sub} {
			if !strings.Contains(r.out, "\n  "+name+" ") {
				t.Errorf("help does not list %s:\n%s", name, r.out)
			}
		}
		long, short := run(t, dir, "", "compliance", name, "--help"), run(t, dir, "", name, "--help")
		short.expect(t, 0, "Usage:", name)
		if long.status != 0 || strings.ReplaceAll(long.out, "compliance "+name, name) != strings.ReplaceAll(short.out, "compliance "+name, name) {
			t.Errorf("`compliance %s` and `%s` differ:\n%s\n%s", name, name, long.out, short.out)
		}
	}
	if !strings.Contains(help.out, "\n  demo ") {
		t.Errorf("help does not list demo:\n%s", help.out)
	}
	run(t, dir, "", "compliance").expect(t, 0, "Commands for the compliance gateway")
	run(t, dir, "", "compliance", "bogus").expect(t, 1, `unknown command "bogus"`)
}

// TestVersion: what people paste into a report names this binary, and Caddy's.
func TestVersion(t *testing.T) {
	dir := t.TempDir()
	line := regexp.MustCompile(`^gatehouse (devel|v?[0-9a-f]\S*) \(caddy v2\.\d+\.\d+\)\n$`)
	for _, arg := range []string{"version", "--version"} {
		r := run(t, dir, "", arg)
		if r.status != 0 || !line.MatchString(r.out) {
			t.Errorf("%s: status %d, %q", arg, r.status, r.out)
		}
	}
	run(t, dir, "", "build-info").expect(t, 0, "github.com/caddyserver/caddy/v2")
}

// TestHelpNamesThisBinary: an example that says caddy would start another one.
func TestHelpNamesThisBinary(t *testing.T) {
	typed := regexp.MustCompile(`caddy (run|start|stop|reload|version)\b`)
	dir := t.TempDir()
	for _, args := range [][]string{{"--help"}, {"start", "--help"}, {"run", "--help"}, {"environ", "--help"}, {"version", "--help"}} {
		r := run(t, dir, "", args...)
		if m := typed.FindString(r.out); r.status != 0 || m != "" {
			t.Errorf("%v: status %d, it says %q:\n%s", args, r.status, m, r.out)
		}
	}
	run(t, dir, "", "--help").expect(t, 0, "$ gatehouse run --config Caddyfile")
}

// The garbage collector is set for a proxy, unless the environment says more.
func TestGarbageCollector(t *testing.T) {
	for env, want := range map[string]float64{"GOGC=": 400, "GOGC=77": 77} {
		g := rig.Start(t, rig.Setup{
			Compliance: "issuer corp https://idp.corp.example {\njwks file " + rig.NewIssuer(t, "https://idp.corp.example").JWKS +
				"\naudience a\n}\npolicy p {\nrequire user\n}",
			Env: []string{env},
		})
		got, ok := g.Metric("go_gc_gogc_percent")
		if !ok || got != want {
			t.Errorf("with %s the collector's target is %v (%v), want %v", env, got, ok, want)
		}
	}
}
