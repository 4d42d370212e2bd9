package policy

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// laptop has encryption, no secure boot that anybody knows of, and is jailbroken
// by nobody's word.
func laptop(now time.Time) *decision.Device {
	return &decision.Device{
		Name: "LT-1", Model: "X1", Platform: decision.Windows, OSVersion: decision.Version{10, 0, 22631},
		Managed: decision.Yes, Compliance: decision.InGracePeriod, GraceUntil: now.Add(48 * time.Hour),
		Encrypted: decision.Yes, Firewall: decision.No, Ownership: decision.Corporate, OwnerUPN: "alice@corp.example",
		Risk: decision.LevelLow, Trust: decision.TrustJoined, Channel: decision.ChannelIntune,
		LastCheckIn: now.Add(-2 * time.Hour), Lifecycle: decision.LifecycleActive, Sensor: decision.SensorActive,
	}
}

func TestExpression(t *testing.T) {
	now := time.Now()
	q := request(source(now), laptop(now), now)
	tests := []struct {
		expr string
		want decision.Tri
	}{
		// Three-valued logic: an unknown decides nothing by itself.
		{`device.encrypted`, decision.Yes},
		{`device.firewall`, decision.No},
		{`device.secure_boot`, decision.Unknown},
		{`!device.secure_boot`, decision.Unknown},
		{`device.secure_boot || device.encrypted`, decision.Yes},
		{`device.encrypted || device.secure_boot`, decision.Yes},
		{`device.secure_boot || device.firewall`, decision.Unknown},
		{`device.secure_boot && device.firewall`, decision.No},
		{`device.firewall && device.secure_boot`, decision.No},
		{`device.secure_boot && device.encrypted`, decision.Unknown},
		{`device.secure_boot == device.supervised`, decision.Unknown},
		{`device.secure_boot == device.secure_boot`, decision.Unknown},
		{`device.secure_boot ? true : true`, decision.Unknown},
		{`device.encrypted ? device.firewall : device.secure_boot`, decision.No},
		{`device.exposure == "low"`, decision.Unknown},
		{`device.exposure != "high"`, decision.Unknown},
		{`device.exposure in ["none", "low"]`, decision.Unknown},
		{`device.antivirus in [true, false]`, decision.Unknown},
		{`[device.secure_boot, device.encrypted].exists(x, x)`, decision.Unknown}, // a list with an unknown is unknown
		{`[device.encrypted, device.managed].all(x, x)`, decision.Yes},
		{`device.owner_id == "x"`, decision.Unknown},

		// Words, texts and times.
		{`device.risk in ["none", "low"]`, decision.Yes},
		{`device.risk == "high"`, decision.No},
		{`device.compliance == "in_grace" && device.grace_until > now`, decision.Yes},
		{`device.ownership == "corporate" && device.trust != "registered"`, decision.Yes},
		{`device.platform == "windows" && device.os == "windows"`, decision.Yes},
		{`device.os_version.startsWith("10.0.")`, decision.Yes},
		{`device.name == "LT-1" && device.model == "X1" && device.channel == "intune"`, decision.Yes},
		{`device.lifecycle == "active" && device.sensor == "active"`, decision.Yes},
		{`now - device.last_check_in < duration("3h")`, decision.Yes},
		{`now - device.checked_in < duration("1h")`, decision.No},
		{`device.owner`, decision.Yes},
		{`device.owner_upn == "alice@corp.example"`, decision.Yes},
		{`device.known`, decision.Yes},
		{`device.proof in ["token", "certificate"]`, decision.Yes},
		{`device.evaluated_at > now`, decision.Unknown},

		// The user.
		{`user.id == "corp|alice" && user.issuer == "corp" && !user.app_only`, decision.Yes},
		{`"finance" in user.groups && !("hr" in user.groups)`, decision.Yes},
		{`user.groups.exists(g, g.startsWith("fin"))`, decision.Yes},
		{`user.name.matches("(?i)^alice@")`, decision.Yes},
		{`user.email == ""`, decision.Unknown},
		{`user.email != "x"`, decision.Unknown},
		{`user.tenant != "evil"`, decision.Unknown},
		{`user.acr == "x"`, decision.Unknown},
		{`"pwd" in user.amr && size(user.acrs) == 0`, decision.Yes},
		{`now - user.auth_time < duration("2h")`, decision.Yes},
		{`user.enabled`, decision.Yes},
		{`user.risk == "none"`, decision.Unknown},

		// Claims: only what the token says; a missing one is a no.
		{`claims.level > 5`, decision.Yes},
		{`claims.level == 7 && claims.dept == "tax"`, decision.Yes},
		{`claims.missing == "x"`, decision.No},
		{`claims.missing != "x"`, decision.No},
		{`has(claims.level)`, decision.Yes},
		{`has(claims.missing)`, decision.No},
		{`!has(claims.missing)`, decision.Yes},
		{`has(claims.missing) && claims.missing == 1`, decision.No},
		{`claims.nested.a == true`, decision.Yes},
		{`has(claims.nested.b)`, decision.No},
		{`"x" in claims.list`, decision.Yes},
		{`claims["dept"] == "tax"`, decision.Yes},
		{`claims.dept > 5`, decision.No},
		{`claims.missing == "x" || device.encrypted`, decision.Yes},

		// The request.
		{`request.method == "GET" && request.host == "app.corp.example"`, decision.Yes},
		{`request.path.startsWith("/reports") && request.client_ip == "10.1.2.3"`, decision.Yes},
		{`now.getFullYear() > 2000`, decision.Yes},
	}
	for _, tt := range tests {
		t.Run(tt.expr, func(t *testing.T) {
			c, err := checkExpression(tt.expr)
			if err != nil {
				t.Fatal(err)
			}
			x := &expression{condition: c, ages: decision.Ages{MaxAge: time.Hour}}
			if got, cause := x.Eval(q); got != tt.want || cause != decision.CauseNone {
				t.Errorf("got %s (cause %d), want %s", got, cause, tt.want)
			}
		})
	}
}

// A stranger has no attributes at all: nothing is concluded from their absence.
func TestExpressionStranger(t *testing.T) {
	q := &decision.Request{Now: time.Now(), Identity: &decision.Identity{}, Posture: &decision.Posture{}}
	for object, fields := range objects {
		if object == "request" {
			continue
		}
		for name, f := range fields {
			if got := f.get(q); got != missing {
				t.Errorf("%s.%s of a stranger is %v, want unknown", object, name, got)
			}
		}
	}
	for _, expr := range []string{
		`!has(claims.blocked)`, `size(claims) == 0`, `!("x" in claims)`, `!user.app_only`, `!("x" in user.groups)`,
		`!device.known`, `user.issuer != "x"`, `request.client_ip != "10.0.0.1"`,
	} {
		c, err := checkExpression(expr)
		if err != nil {
			t.Fatal(err)
		}
		if got, _ := (&expression{condition: c}).Eval(q); got != decision.Unknown {
			t.Errorf("%s: got %s, want unknown", expr, got)
		}
	}
}

func TestExpressionGroupsNotListed(t *testing.T) {
	now := time.Now()
	q := request(source(now), laptop(now), now)
	q.Identity.User.GroupsKnown = decision.No // overage: the list is not complete
	c, err := checkExpression(`!("contractors" in user.groups)`)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := (&expression{condition: c}).Eval(q); got != decision.Unknown {
		t.Errorf("got %s, want unknown", got)
	}
}

// Every fact can be read under its own name.
func TestEveryFactHasAField(t *testing.T) {
	for f := decision.Fact(0); f < decision.NumFacts; f++ {
		object, name := "device", f.String()
		if rest, ok := strings.CutPrefix(name, "user_"); ok {
			object, name = "user", rest
		}
		fd, ok := objects[object][name]
		if !ok {
			t.Errorf("no field %s.%s", object, name)
			continue
		}
		if !fd.facts.Has(f) {
			t.Errorf("%s.%s does not declare the fact %s", object, name, f)
		}
	}
}

func TestExpressionFacts(t *testing.T) {
	c, err := checkExpression(`(device.risk == "low" || device.os_version == "1") && user.risk != "high" && "g" in user.groups && claims.x == 1`)
	if err != nil {
		t.Fatal(err)
	}
	want := decision.Facts(decision.FactRisk, decision.FactOS, decision.FactUserRisk)
	if got := c.uses; got.facts != want || !got.device || !got.user || !got.claims || got.record {
		t.Errorf("got %+v, want facts %b with device, user, claims", got, want)
	}
}

func TestExpressionErrors(t *testing.T) {
	long := `"` + strings.Repeat("x", maxExpression) + `" == "x"`
	tests := []struct{ expr, want string }{
		{`device.secureboot`, `expression, column 7: unknown field secureboot`},
		{`devise.secure_boot`, `expression, column 1: undeclared reference to 'devise' (in container '')`},
		{`device.risk`, `expression has the type string, not bool; compare it with something`},
		{`claims.admin`, `expression has the type dyn, not bool; compare it with something`},
		{`1 + 1`, `expression has the type int, not bool; compare it with something`},
		{`device.encrypted == "yes"`, `found no matching overload for '_==_'`},
		{`device.encrypted &&`, `Syntax error`},
		{``, `Syntax error`},
		{`device == device`, `expression: device stands alone; write device.FIELD, one of: antivirus, apps, `},
		{`dyn(device).x == 1`, `expression: device stands alone`},
		{`[user].exists(u, u.app_only)`, `expression: user stands alone`},
		{`has(device.secure_boot)`, `expression: has(device.secure_boot) is not possible`},
		{`gatehouse.device{encrypted: true}.encrypted`, `expression: objects such as gatehouse.device{} cannot be built`},
		{`claims.list.exists(device, device.encrypted)`, `expression: the name device is taken`},
		{`claims.list.exists(now, now == 1)`, `expression: the name now is taken`},
		{`device.ownership == "corprate"`, `expression: device.ownership is never "corprate"; accepted: corporate, personal`},
		{`"corprate" != device.ownership`, `expression: device.ownership is never "corprate"`},
		{`device.risk in ["low", "clear"]`, `expression: device.risk is never "clear"; accepted: none, low, medium, high, compromised`},
		{`device.compliance == "unknown"`, `expression: device.compliance is never "unknown"`},
		{`device.os_version >= "14.5"`, `expression: device.os_version is text and text sorts by letter; use == or in, or a line: require os`},
		{`"low" > user.risk`, `expression: user.risk is text and text sorts by letter; use == or in, or a line: require risk at_most`},
		{`user.name.matches(claims.pattern)`, `expression: the pattern of matches must be written as text`},
		{`user.name.matches("(")`, `invalid matches argument`},
		{`now - user.auth_time < duration("2 hours")`, `invalid duration argument`},
		{`user.nosuch(1)`, `undeclared reference to 'nosuch'`},
		{long, `expression`},
		{strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200), `recursion`},
	}
	for _, tt := range tests {
		_, err := checkExpression(tt.expr)
		if err == nil {
			t.Errorf("%.60s: no error, want %s", tt.expr, tt.want)
			continue
		}
		if got := err.Error(); !strings.Contains(got, tt.want) || strings.Contains(got, "\n") {
			t.Errorf("%.60s: got %s, want %s", tt.expr, got, tt.want)
		}
	}
}

// The work of one evaluation is bounded, and what exceeds it is a no.
func TestExpressionCost(t *testing.T) {
	now := time.Now()
	q := request(source(now), laptop(now), now)
	list := make([]any, 2000)
	for i := range list {
		list[i] = fmt.Sprint(i)
	}
	q.Identity.User.Claims["list"] = list
	c, err := checkExpression(`claims.list.all(a, claims.list.exists(b, a == b))`)
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := (&expression{condition: c}).Eval(q); got != decision.No {
		t.Errorf("an expression over its cost limit: got %s, want no", got)
	}
}

// Fields that are no facts age with the device's record.
func TestExpressionRecordAge(t *testing.T) {
	now := time.Now()
	ages := decision.Ages{MaxAge: 15 * time.Minute, StaleIfError: time.Hour}
	failing := func(age time.Duration) *decision.SourceState {
		s := source(now.Add(-age))
		s.Fail(decision.CauseSourceFailing)
		return s
	}
	never := &decision.SourceState{Name: "inventory", Authoritative: true}
	d := laptop(now)
	tests := []struct {
		name  string
		expr  string
		state *decision.SourceState
		d     *decision.Device
		want  decision.Tri
		cause decision.Cause
	}{
		{"fresh", `device.known`, source(now), d, decision.Yes, decision.CauseNone},
		{"expired", `device.known`, source(now.Add(-16 * time.Minute)), d, decision.Unknown, decision.CauseExpired},
		{"stale while failing", `device.known`, failing(30 * time.Minute), d, decision.Yes, decision.CauseNone},
		{"expired while failing", `device.known`, failing(80 * time.Minute), d, decision.Unknown, decision.CauseSourceFailing},
		{"name expired", `device.name == "LT-1"`, source(now.Add(-16 * time.Minute)), d, decision.Unknown, decision.CauseExpired},
		{"no sticks", `device.name == "other"`, source(now.Add(-16 * time.Minute)), d, decision.No, decision.CauseNone},
		{"absent", `device.known`, source(now), nil, decision.No, decision.CauseNone},
		{"absent, negated", `!device.known`, source(now), nil, decision.Yes, decision.CauseNone},
		{"absent by an old word", `!device.known`, source(now.Add(-16 * time.Minute)), nil, decision.Unknown, decision.CauseExpired},
		{"absent, source failing", `!device.known`, failing(time.Minute), nil, decision.Unknown, decision.CauseSourceFailing},
		{"absent, never loaded", `!device.known`, never, nil, decision.Unknown, decision.CauseNotLoaded},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := checkExpression(tt.expr)
			if err != nil {
				t.Fatal(err)
			}
			got, cause := (&expression{condition: c, ages: ages}).Eval(request(tt.state, tt.d, now))
			if got != tt.want || cause != tt.cause {
				t.Errorf("got %s cause %d, want %s cause %d", got, cause, tt.want, tt.cause)
			}
		})
	}
}

func BenchmarkExpression(b *testing.B) {
	now := time.Now()
	q := request(source(now), laptop(now), now)
	for _, expr := range []string{
		`device.encrypted`,
		`device.ownership == "corporate"`,
		`device.secure_boot || device.encrypted`,
		`device.risk in ["none", "low"] && "finance" in user.groups && now - device.last_check_in < duration("24h")`,
		`has(claims.dept) && claims.dept == "tax"`,
	} {
		c, err := checkExpression(expr)
		if err != nil {
			b.Fatal(err)
		}
		x := &expression{condition: c, ages: decision.Ages{MaxAge: time.Hour}}
		b.Run(expr, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got, _ := x.Eval(q); got != decision.Yes {
					b.Fatal(got)
				}
			}
		})
	}
}
