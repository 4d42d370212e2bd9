package vectors

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func fixedNow() time.Time { return time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC) }

func TestLoadRefuses(t *testing.T) {
	const policy = "policy: \"policy this {\\nrequire user\\n}\", "
	for in, want := range map[string]string{
		"- {name: a, polcy: x}": "field polcy not found",
		"- {name: a, " + policy + "want: allow, inventory: {encryptd: true}, device: {proof: token}, user: {name: x}}": "field encryptd not found",
		"- {name: a, want: allow}":                                                                                           "name and policy are required",
		"- {name: a, " + policy + "want: pass}":                                                                              `unknown outcome "pass"`,
		"- {name: a, " + policy + "want: block}":                                                                             "needs reasons",
		"- {name: a, " + policy + "want: allow, status: 403}":                                                                "status 403 does not fit",
		"- {name: a, " + policy + "want: allow, reasons: [revoked]}":                                                         "allow has none",
		"- {name: a, " + policy + "want: block, reasons: [bad_luck]}":                                                        `unknown reason "bad_luck"`,
		"- {name: a, " + policy + "want: step_up, reasons: [revoked]}":                                                       "step_up must be named",
		"- {name: a, " + policy + "want: allow, feed: old}":                                                                  `unknown feed "old"`,
		"- {name: a, " + policy + "want: allow, revoked: cat}":                                                               "device or user",
		"- {name: a, " + policy + "want: allow, inventory: {encrypted: true}}":                                               "has no effect",
		"- {name: a, " + policy + "want: allow, account: {enabled: true}}":                                                   "has no effect",
		"- {name: a, " + policy + "want: allow, device: {proof: token}}":                                                     "needs a token",
		"- {name: a, " + policy + "want: allow, device: {proof: attested}}":                                                  `unknown proof "attested"`,
		"- {name: a, " + policy + "want: allow, user: {issuer: github, name: x}}":                                            `unknown issuer "github"`,
		"- {name: a, " + policy + "want: allow, user: {issuer: certificate, name: x}}":                                       "comes with proof certificate",
		"- {name: a, " + policy + "want: allow, user: {name: x, acrs: [c1]}}":                                                "exist at entra only",
		"- {name: a, " + policy + "want: allow, user: {name: x, app_only: true, client: c}}":                                 "has none",
		"- {name: a, " + policy + "want: allow, user: {app_only: true}}":                                                     "needs client",
		"- {name: a, " + policy + "want: allow, user: {name: x, groups: [], groups_overage: true}}":                          "excludes groups",
		"- {name: a, " + policy + "want: allow, user: {name: x}, device: {proof: token}, inventory: {risk: awful}}":          `risk "awful" is not understood`,
		"- {name: a, " + policy + "want: allow, user: {name: x}, device: {proof: token}, inventory: {last_check_in: today}}": "is not understood",
		"name: a": "cannot unmarshal",
	} {
		_, err := parse("x.yaml", []byte(in))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", in, err, want)
		}
	}
}

func TestUnique(t *testing.T) {
	row := func(serial string) *Row { return &Row{Serial: serial} }
	off := false
	for want, vs := range map[string][]Vector{
		`name "a" is used twice`:     {{Name: "a"}, {Name: "a"}},
		`serial "s" is used twice`:   {{Name: "a", Inventory: row("s")}, {Name: "b", Inventory: row("s")}},
		"asks in another vector too": {{Name: "a", User: &User{Name: "x"}, Account: &Account{Enabled: &off}}, {Name: "b", User: &User{Name: "X"}}},
	} {
		if err := unique(vs); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}

func TestTokenize(t *testing.T) {
	lines, err := tokenize("a \"b c\" `d \"e\"` # f\n\n  # g\n\t} {\n\"\"")
	want := []line{{[]string{"a", "b c", `d "e"`}, 1}, {[]string{"}", "{"}, 4}, {[]string{""}, 5}}
	if err != nil || !reflect.DeepEqual(lines, want) {
		t.Errorf("got %v, %v; want %v", lines, err, want)
	}
	if _, err := tokenize("a\n\"b"); err == nil || err.Error() != "line 2: quote is not closed" {
		t.Errorf("got %v", err)
	}
}

func TestCompileRefuses(t *testing.T) {
	for in, want := range map[string]string{
		"policy this {\nrequire user":         "block is not closed",
		"polcy this {\nrequire user\n}":       `unknown block "polcy"`,
		"policy this\n{\n}":                   "want a block",
		"":                                    "no policy",
		"policy this {\nrequire usr\n}":       `policy:2: unknown word "usr"`,
		"step_up m {\nfor corp {\namr\n}\n}":  "unknown word or count",
		"step_up m {\nmax_age\n}":             `unknown word "max_age"`,
		"step_up m {\nfor corp {\namr x\n}\n": "block is not closed",
		"step_up m {\nfor nobody {\namr x\n}\n}\npolicy this {\nrequire user\n}": `unknown issuer "nobody"`,
	} {
		v := Vector{Name: "x", Policy: in}
		if _, _, err := v.Compile(fixedNow()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q\ngot  %v\nwant %s", in, err, want)
		}
	}
}

func TestDates(t *testing.T) {
	v := Vector{Name: "x", Policy: "{{+30d}} {{-1d}} {{device}} {{x}}"}
	if got, want := v.PolicyText(fixedNow()), "2026-06-03 2026-05-03 "+v.DeviceID()+" {{x}}"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for in, want := range map[string]string{"-3d": "2026-05-01T12:00:00Z", "+90m": "2026-05-04T13:30:00Z", "3d": "", "-": "", "-xd": "", "+1w": ""} {
		got, err := relative(in, fixedNow())
		if (err == nil) != (want != "") || err == nil && got.Format(time.RFC3339) != want {
			t.Errorf("%q: got %v, %v; want %q", in, got, err, want)
		}
	}
}

// Ids are usable, stable and distinct, so that all vectors fit into one file.
func TestDeviceIDs(t *testing.T) {
	if got := (&Vector{Name: "a"}).DeviceID(); got != (&Vector{Name: "a"}).DeviceID() {
		t.Error("not a function of the name")
	}
	ids, hosts := map[string]bool{}, map[string]bool{}
	for _, v := range load(t) {
		if k, ok := decision.CanonicalKey(decision.KindEntra, v.DeviceID()); !ok || k.Value != v.DeviceID() {
			t.Errorf("%q: %s is not canonical", v.Name, v.DeviceID())
		}
		if ids[v.DeviceID()] || hosts[v.Host()] {
			t.Errorf("%q: id or host of another vector", v.Name)
		}
		ids[v.DeviceID()], hosts[v.Host()] = true, true
	}
}

func TestClaims(t *testing.T) {
	groups := []string{"a"}
	v := Vector{
		Name: "x", Device: &Device{Proof: "token"},
		User: &User{Issuer: "entra", Name: "n@x", Groups: &groups, ACRs: []string{"c1"}, CP1: true, SignedIn: "-1h", Claims: map[string]any{"k": 1}},
	}
	got, err := json.Marshal(v.Claims(fixedNow()))
	if err != nil {
		t.Fatal(err)
	}
	want := `{"acrs":["c1"],"auth_time":1777892400,"deviceid":"` + v.DeviceID() + `","groups":["a"],"k":1,"oid":"` + v.ObjectID() +
		`","preferred_username":"n@x","scp":"access","sub":"` + v.subject() + `","tid":"` + TenantID + `","xms_cc":["cp1"]}`
	if string(got) != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if c := (&Vector{User: &User{Issuer: decision.IssuerCertificate}}).Claims(fixedNow()); c != nil {
		t.Errorf("a certificate has claims: %v", c)
	}
}
