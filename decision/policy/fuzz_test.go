package policy

import (
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/gatehouse-project/gatehouse/decision"
)

// FuzzCheckPolicy reads a policy from bytes, a line per line. Whatever it is:
// errors are *Error and printable, what compiles decides without a panic, and
// a stranger never passes require user.
func FuzzCheckPolicy(f *testing.F) {
	f.Add([]byte("require user\nrequire compliant strict else step_up mfa\nfreshness sensitive"))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg := PolicyConfig{Name: "p", Place: "f:1"}
		for line := range strings.SplitSeq(string(data), "\n") {
			l := Line{Words: words(line), Place: "f:2"}
			if len(l.Words) == 0 {
				continue
			}
			checkPrintable(t, CheckLine(l))
			cfg.Lines = append(cfg.Lines, l)
		}
		err := CheckPolicy(cfg)
		checkPrintable(t, err)
		parent := PolicyConfig{Name: "base", Lines: []Line{{Words: []string{"require", "user"}}}}
		set, compileErr := Compile([]PolicyConfig{parent, cfg}, stepUps(), everything())
		checkPrintable(t, compileErr)
		if err != nil && compileErr == nil {
			t.Fatalf("CheckPolicy refuses what Compile accepts: %v", err)
		}
		if compileErr != nil {
			return
		}
		p := mustPolicy(t, set, "p")
		now := time.Now()
		stranger := &decision.Request{Now: now, Identity: &decision.Identity{}, Posture: &decision.Posture{}}
		needsUser := false
		for i := range p.Requirements {
			needsUser = needsUser || p.Requirements[i].Kind == decision.RequireUser
		}
		for _, q := range []*decision.Request{stranger, request(source(now), laptop(now), now), request(source(now), nil, now)} {
			x := Explain(p, set.Engine, q, nil)
			if x.String() == "" || len(x.Requirements) != len(p.Requirements) {
				t.Errorf("explanation of %d requirements: %s", len(p.Requirements), x)
			}
			if q == stranger && needsUser && x.Outcome == "allow" {
				t.Errorf("a stranger passes:\n%s", x)
			}
		}
	})
}

func checkPrintable(t *testing.T, err error) {
	t.Helper()
	if err == nil {
		return
	}
	var e *Error
	if !errors.As(err, &e) {
		t.Errorf("%T is no *Error: %v", err, err)
	}
	if !utf8.ValidString(e.Msg) || strings.ContainsAny(e.Msg, "\n\r\x00") {
		t.Errorf("unprintable message %q", e.Msg)
	}
}

// FuzzExpression checks that an unknown never decides: if an expression has a
// result while three facts are unknown, it has the same result whatever they
// turn out to be.
func FuzzExpression(f *testing.F) {
	for _, expr := range []string{
		`device.secure_boot || device.encrypted`, `!(device.secure_boot && device.firewall)`,
		`device.supervised ? device.antivirus : device.encrypted`, `[device.secure_boot].all(x, !x)`,
		`has(claims.level) && claims.level > 5 || device.antivirus`, `"staff" in user.groups`,
		`device.secure_boot == device.secure_boot`, `{"a": device.secure_boot}.a`, `size([device.supervised]) == 1`,
		`type(device.secure_boot) == bool`, `string(device.antivirus) == "true"`,
	} {
		f.Add(expr)
	}
	now := time.Now()
	unknown := request(source(now), laptop(now), now)
	var known []*decision.Request
	for i := range 8 {
		d := laptop(now)
		d.SecureBoot, d.Supervised, d.Antivirus = decision.TriOf(i&1 != 0), decision.TriOf(i&2 != 0), decision.TriOf(i&4 != 0)
		known = append(known, request(source(now), d, now))
	}
	f.Fuzz(func(t *testing.T, expr string) {
		c, err := checkExpression(expr)
		if err != nil {
			return
		}
		out, _, evalErr := c.program.Eval((*activation)(unknown))
		x := &expression{condition: c, ages: decision.Ages{MaxAge: time.Hour}}
		got, _ := x.Eval(unknown)
		if evalErr == nil && got == decision.No && out == nil {
			t.Errorf("no result and no error")
		}
		if got == decision.Unknown || evalErr != nil {
			return
		}
		for _, q := range known {
			if later, _ := x.Eval(q); later != got {
				t.Errorf("%s: %s while facts are unknown, %s when they are known", expr, got, later)
			}
		}
	})
}
