package identity

import (
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestUserGroups(t *testing.T) {
	many := make([]string, claimMaxGroups+1)
	for i := range many {
		many[i] = "g"
	}
	corp, err := newIssuer(new(testCorp(t)), nil)
	if err != nil {
		t.Fatal(err)
	}
	roles := testCorp(t)
	roles.GroupsClaim = "roles"
	byRole, err := newIssuer(&roles, nil)
	if err != nil {
		t.Fatal(err)
	}
	list := func(s ...string) []any {
		out := []any{}
		for _, v := range s {
			out = append(out, v)
		}
		return out
	}
	for _, tc := range []struct {
		name   string
		is     *issuer
		claims map[string]any
		known  decision.Tri
		want   []string
		bad    bool
	}{
		{"absent", corp, nil, decision.Unknown, nil, false},
		{"present", corp, map[string]any{"groups": list("a", "b")}, decision.Yes, []string{"a", "b"}, false},
		{"empty", corp, map[string]any{"groups": list()}, decision.Yes, nil, false},
		{"one string", corp, map[string]any{"groups": "a"}, decision.Yes, []string{"a"}, false},
		{"elsewhere", corp, map[string]any{"_claim_names": map[string]any{"groups": "src1"}}, decision.No, nil, false},
		{"other claim elsewhere", corp, map[string]any{"_claim_names": map[string]any{"x": "src1"}}, decision.Unknown, nil, false},
		{"hasgroups", corp, map[string]any{"hasgroups": true}, decision.No, nil, false},
		{"hasgroups as text", corp, map[string]any{"hasgroups": "true"}, decision.No, nil, false},
		{"hasgroups false", corp, map[string]any{"hasgroups": false}, decision.Unknown, nil, false},
		{"hasgroups is not about roles", byRole, map[string]any{"hasgroups": true, "roles": list("r")}, decision.Yes, []string{"r"}, false},
		{"too many", corp, map[string]any{"groups": list(many...)}, decision.No, nil, false},
		{"most", corp, map[string]any{"groups": list(many[1:]...)}, decision.Yes, many[1:], false},
		{"null", corp, map[string]any{"groups": nil}, decision.Yes, nil, true},
		{"empty name", corp, map[string]any{"groups": list("")}, decision.Yes, nil, true},
		{"number", corp, map[string]any{"groups": []any{int64(1)}}, decision.Yes, nil, true},
		{"C1 control", corp, map[string]any{"groups": list("a\u0085b")}, decision.Yes, nil, true},
	} {
		r := &claimReader{m: tc.claims}
		var u decision.User
		tc.is.groups(r, &u)
		if u.GroupsKnown != tc.known || !slices.Equal(u.Groups, tc.want) || (r.bad != "") != tc.bad {
			t.Errorf("%s: got %v, %d groups, bad %q", tc.name, u.GroupsKnown, len(u.Groups), r.bad)
		}
	}
}

func TestUserApp(t *testing.T) {
	corp, err := newIssuer(new(testCorp(t)), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name   string
		claims map[string]any
		client string
		app    bool
	}{
		{"person", map[string]any{"sub": "alice", "client_id": "app"}, "app", false},
		{"RFC 9068", map[string]any{"sub": "app", "client_id": "app"}, "app", true},
		{"Okta", map[string]any{"sub": "app", "cid": "app"}, "app", true},
		{"Auth0", map[string]any{"sub": "app@clients", "azp": "app"}, "app", true},
		{"Auth0 by grant", map[string]any{"sub": "x", "azp": "app", "gty": "client-credentials"}, "app", true},
		{"Keycloak", map[string]any{"sub": "0-1-2", "azp": "App", "preferred_username": "service-account-app"}, "App", true},
		{"no client", map[string]any{"sub": "alice"}, "", false},
		{"client_id wins", map[string]any{"sub": "alice", "client_id": "a", "azp": "b"}, "a", false},
	} {
		u := corp.user(&claimReader{m: tc.claims}, corpURL)
		if u.AppOnly != tc.app || u.Client != tc.client || tc.app && (u.Name != "" || u.Email != "") {
			t.Errorf("%s: got %+v", tc.name, u)
		}
	}
}

func TestUserName(t *testing.T) {
	own := testCorp(t)
	own.NameClaims = []string{"login", "sub"}
	for _, tc := range []struct {
		name   string
		o      IssuerOptions
		claims map[string]any
		want   string
	}{
		{"first", testCorp(t), map[string]any{"preferred_username": "a", "upn": "b"}, "a"},
		{"second", testCorp(t), map[string]any{"upn": "b", "unique_name": "c"}, "b"},
		{"third", testCorp(t), map[string]any{"unique_name": "c"}, "c"},
		{"none", testCorp(t), nil, ""},
		{"configured", own, map[string]any{"login": "d", "upn": "b"}, "d"},
		{"configured, second", own, map[string]any{"upn": "b"}, "s"},
	} {
		is, err := newIssuer(&tc.o, nil)
		if err != nil {
			t.Fatal(err)
		}
		u := is.user(&claimReader{m: testMerge(map[string]any{"sub": "s"}, tc.claims)}, corpURL)
		if u.Name != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, u.Name, tc.want)
		}
	}
}

func TestUserEmail(t *testing.T) {
	for _, tc := range []struct {
		email    any
		verified any
		want     bool
	}{
		{"a@b.example", nil, true},
		{"a@b.example", true, true},
		{"a@b.example", "true", true},
		{"a@b.example", false, false},
		{"a@b.example", "false", false},
		{"attacker@evil.example@corp.example", nil, false},
		{"alice", nil, false},
		{"@corp.example", nil, false},
		{"alice@", nil, false},
		{"a b@corp.example", nil, false},
		{"a@corp.example,b", nil, false},
		{"a\u0000@corp.example", nil, false},
		{strings.Repeat("a", 250) + "@b.example", nil, false},
		{[]any{"a@b.example"}, nil, false},
		{"", nil, false},
	} {
		r := &claimReader{m: map[string]any{"email": tc.email}}
		if tc.verified != nil {
			r.m["email_verified"] = tc.verified
		}
		if got := claimEmail(r); (got != "") != tc.want {
			t.Errorf("%v, verified %v: got %q, want shown %t", tc.email, tc.verified, got, tc.want)
		}
	}
}

func TestClaimSeconds(t *testing.T) {
	for _, tc := range []struct {
		v    any
		want int64
	}{
		{int64(1), 1},
		{1.9, 1},
		{1.78e9, 1_780_000_000},
		{int64(100_000_000_000), 100_000_000_000},
		{int64(100_000_000_001), 0},
		{int64(0), 0},
		{int64(-1), 0},
		{0.5, 0},
		{-1e300, 0},
		{1e300, 0},
		{"1", 0},
		{nil, 0},
		{true, 0},
	} {
		r := &claimReader{m: map[string]any{"t": tc.v}}
		if got := r.seconds("t"); got != tc.want || (r.bad == "") != (tc.want != 0) {
			t.Errorf("%v: got %d, bad %q, want %d", tc.v, got, r.bad, tc.want)
		}
	}
	r := &claimReader{}
	if got := r.seconds("t"); got != 0 || r.bad != "" {
		t.Errorf("absent: got %d, bad %q", got, r.bad)
	}
}
