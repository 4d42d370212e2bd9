package entra

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

const fakeTenant = "11111111-1111-4111-8111-111111111111"

func groupID(n int) string { return fmt.Sprintf("%08x-0000-4000-8000-000000000960", n) }

func TestMemberGroupsOfOneUser(t *testing.T) {
	for _, tt := range []struct {
		name    string
		status  int
		body    string
		want    []string
		unknown bool // ErrUnknownUser
		kind    msgraph.Kind
		fails   bool
	}{
		{name: "one of two", status: 200, body: `{"value":["` + groupID(1) + `"]}`, want: []string{groupID(1)}},
		{name: "in capitals", status: 200, body: `{"value":["` + strings.ToUpper(groupID(1)) + `"]}`, want: []string{groupID(1)}},
		{name: "none", status: 200, body: `{"value":[]}`},
		{name: "no ids", status: 200, body: `{"value":["finance",7,null,{}]}`},
		{name: "null", status: 200, body: `{"value":null}`, fails: true},
		{name: "no list", status: 200, body: `{}`, fails: true},
		{name: "a text", status: 200, body: `{"value":"` + groupID(1) + `"}`, fails: true},
		{name: "no such user", status: 404, body: failure("Request_ResourceNotFound"), unknown: true, fails: true},
		{name: "wrong path", status: 404, body: failure("BadRequest"), fails: true},
		{name: "no permission", status: 403, body: failure("Authorization_RequestDenied"), fails: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, _, _ := scene(1)
				path := "/v1.0/users/" + userID(1) + "/checkMemberGroups"
				f.say(path, tt.status, tt.body)
				s, done := newSource(t, f, Options{GroupTenant: fakeTenant})
				defer done()
				answers, err := s.MemberGroups(t.Context(), []string{userID(1)}, []string{groupID(1), groupID(2)}, true)
				if err != nil || len(answers) != 1 {
					t.Fatalf("%+v, %v", answers, err)
				}
				a := answers[0]
				if !slices.Equal(a.Groups, tt.want) || (a.Err != nil) != tt.fails || errors.Is(a.Err, source.ErrUnknownUser) != tt.unknown {
					t.Errorf("%+v, want %v", a, tt.want)
				}
				if tt.status == 403 && !strings.Contains(a.Err.Error(), "GroupMember.Read.All") {
					t.Errorf("error %v does not name the permission", a.Err)
				}
			})
		})
	}
}

func TestMemberGroupsNeedsIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, _ := scene(1)
		s, done := newSource(t, f, Options{GroupTenant: fakeTenant})
		defer done()
		answers, err := s.MemberGroups(t.Context(), []string{"../me", "a/b"}, []string{groupID(1)}, false)
		if err != nil || len(f.calls()) != 0 {
			t.Fatalf("%+v, %v", answers, err)
		}
		for _, a := range answers {
			if !errors.Is(a.Err, source.ErrUnknownUser) {
				t.Errorf("%+v", a)
			}
		}
	})
}

func TestGroupTenant(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, _ := scene(1)
		c := client(t, f)
		defer c.Close()
		for tenant, want := range map[string]string{"": "", strings.ToUpper(fakeTenant): fakeTenant} {
			s, err := New(Options{Client: c, GroupTenant: tenant})
			if err != nil || s.GroupTenant() != want || s.o.Users != (want != "") {
				t.Errorf("tenant %q: %v", tenant, err)
			}
		}
		if _, err := New(Options{Client: c, GroupTenant: "corp.example"}); err == nil || !strings.Contains(err.Error(), "GUID") {
			t.Errorf("a domain: %v", err)
		}
	})
}

func TestEmulatedGroups(t *testing.T) {
	e, s, _ := connect(t, emulator.Options{Devices: 60, Strict: true}, Options{GroupTenant: emulator.DefaultTenant})
	want := map[string][]string{}
	var users, groups []string
	e.Update(func(f *emulator.Fleet) {
		var ids []emulator.GUID
		for n := range 250 {
			ids = append(ids, emulator.MustGUID(groupID(n)))
		}
		for n := range 25 {
			groups = append(groups, groupID(10*n))
		}
		for _, name := range []string{emulator.CaseHealthy, emulator.CaseComanaged, emulator.CaseJamf} {
			u := f.Device(name).User
			if slices.Contains(users, u.OID.String()) {
				continue
			}
			u.Groups = ids[:250-60*len(users)]
			users = append(users, u.OID.String())
			for _, g := range groups {
				if slices.Contains(u.Groups, emulator.MustGUID(g)) {
					want[u.OID.String()] = append(want[u.OID.String()], g)
				}
			}
		}
	})
	nobody := userID(4711)
	answers, err := s.MemberGroups(t.Context(), append(slices.Clone(users), nobody), groups, false)
	if err != nil || len(answers) != len(users)+1 {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	for i, u := range users {
		if got := answers[i]; got.Err != nil || !slices.Equal(got.Groups, want[u]) || len(got.Groups) == 0 {
			t.Errorf("user %d: %+v, want %v", i, got, want[u])
		}
	}
	if got := answers[len(users)]; !errors.Is(got.Err, source.ErrUnknownUser) {
		t.Errorf("nobody: %+v", got)
	}
	one, err := s.MemberGroups(t.Context(), users[:1], groups[:20], true)
	if err != nil || one[0].Err != nil || !slices.Equal(one[0].Groups, want[users[0]][:20]) {
		t.Errorf("one user: %+v, %v", one, err)
	}
	e.Check(t)

	e, s, _ = connect(t, emulator.Options{Devices: 60}, Options{GroupTenant: emulator.DefaultTenant})
	e.Grant("GroupMember.Read.All", false)
	e.Grant("Directory.Read.All", false)
	other, err := s.MemberGroups(t.Context(), users, groups, false)
	if err == nil {
		err = other[0].Err
	}
	var me *msgraph.Error
	if !errors.As(err, &me) || me.Kind != msgraph.KindPermission || !strings.Contains(err.Error(), "GroupMember.Read.All") {
		t.Errorf("without permission: %v", err)
	}
	if err := s.Sync(t.Context(), source.NewSweep(0)); err != nil {
		t.Errorf("the devices need no such permission: %v", err)
	}
}

func TestGroupsOfAnotherTenant(t *testing.T) {
	e, s, _ := connect(t, emulator.Options{Devices: 5, Strict: true}, Options{GroupTenant: fakeTenant})
	_, err := s.MemberGroups(t.Context(), []string{userID(1)}, []string{groupID(1)}, true)
	if err == nil || !strings.Contains(err.Error(), "another tenant") {
		t.Errorf("MemberGroups with a credential of another tenant: %v", err)
	}
	e.Check(t)
}

// A token that does not say whose it is may be of another tenant.
func TestGroupsOfNoTenant(t *testing.T) {
	for _, claims := range []string{`{}`, `{"tid":""}`, `{"tid":"corp.example"}`, `{"tid":7}`, `opaque`} {
		t.Run(claims, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, _, _ := scene(1)
				f.claims = claims
				f.say("/v1.0/users/"+userID(1)+"/checkMemberGroups", 200, `{"value":["`+groupID(1)+`"]}`)
				s, done := newSource(t, f, Options{GroupTenant: fakeTenant})
				defer done()
				answers, err := s.MemberGroups(t.Context(), []string{userID(1)}, []string{groupID(1)}, true)
				if err == nil || !strings.Contains(err.Error(), "does not say which tenant") || len(f.calls()) != 0 {
					t.Errorf("%+v, %v", answers, err)
				}
			})
		})
	}
}

func FuzzGroups(f *testing.F) {
	f.Add([]byte(`{"value":[]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		ids, err := decodeGroups(body)
		for _, id := range ids {
			if g, ok := parseGUID(id); !ok || g.String() != id || err != nil {
				t.Errorf("%q is no id, error %v", id, err)
			}
		}
	})
}
