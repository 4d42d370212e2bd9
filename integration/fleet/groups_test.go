package fleet

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestGroupsOverage: who is in more groups than a token can list is allowed or
// refused by group as everybody else, and no longer in one within a poll.
func TestGroupsOverage(t *testing.T) {
	t.Parallel()
	finance := emulator.MustGUID("44444444-aaaa-4aaa-8aaa-000000000001").String()
	s := open(t, options{
		Entra: true,
		Sources: `
		source entra {
			poll 1s
			groups_overage on
		}`,
		Policies: `
		policy finance {
			require user
			require group ` + finance + `
			max_age 1m
			stale_if_error 1m
		}
		policy others {
			require user
			require group 44444444-aaaa-4aaa-8aaa-00000000ffff
		}
		policy named {
			require user
			require group finance-users
		}`,
	})
	u := s.device(emulator.CaseHealthy).User
	groups := func(in bool) []emulator.GUID {
		list := make([]emulator.GUID, 0, 300)
		for n := range 299 {
			list = append(list, emulator.MustGUID(fmt.Sprintf("55555555-aaaa-4aaa-8aaa-%012d", n)))
		}
		if in {
			list = append(list, emulator.MustGUID(finance))
		}
		return list
	}
	s.tenant.Update(func(f *emulator.Fleet) { f.User(u.UPN).Groups = groups(true) })
	token := s.entraToken(u, nil)
	expect := func(name, policy, token string, want int, reasons ...string) {
		t.Helper()
		if n, got := s.ask(policy, token); n != want || !slices.Equal(got, reasons) {
			t.Errorf("%s: %d %v, want %d %v", name, n, got, want, reasons)
		}
	}
	// A busy machine may take longer than the one look-up may; then the background
	// brings the answer.
	rig.Eventually(t, time.Minute, "the first answer", func() bool { n, _ := s.ask("finance", token); return n == http.StatusOK })
	expect("member", "finance", token, 200)
	expect("no member", "others", token, 403, "group_missing")
	expect("a group by name", "named", token, 403, "groups_unknown")
	expect("hasgroups", "finance", s.entraToken(u, rig.Claims{"hasgroups": true, "_claim_names": nil, "_claim_sources": nil}), 200)
	expect("no groups claim at all", "finance", s.entraToken(u, rig.Claims{"_claim_names": nil, "_claim_sources": nil}), 403, "groups_unknown")
	expect("listed in the token", "finance", s.entraToken(u, rig.Claims{"groups": []string{finance}, "_claim_names": nil, "_claim_sources": nil}), 200)
	expect("forged", "finance", token[:len(token)-4]+"AAAA", 401, "invalid_token")
	expect("an issuer without a tenant", "finance", s.issuer.Token(rig.Claims{
		"sub": u.OID.String(), "oid": u.OID.String(), "tid": emulator.DefaultTenant, "groups": nil, "hasgroups": true,
	}), 403, "groups_unknown")
	nobody := *u
	nobody.OID = emulator.MustGUID("66666666-aaaa-4aaa-8aaa-000000000001")
	rig.Eventually(t, time.Minute, "the word that there is no such user", func() bool {
		n, got := s.ask("finance", s.entraToken(&nobody, nil))
		return n == http.StatusForbidden && slices.Equal(got, []string{"groups_unknown"})
	})

	s.tenant.Update(func(f *emulator.Fleet) { f.User(u.UPN).Groups = groups(false) })
	rig.Eventually(t, time.Minute, "the refusal after the group was taken away", func() bool {
		n, got := s.ask("finance", token)
		return n == http.StatusForbidden && slices.Equal(got, []string{"group_missing"})
	})
	s.tenant.Update(func(f *emulator.Fleet) { f.User(u.UPN).Groups = groups(true) })
	rig.Eventually(t, time.Minute, "the group given back", func() bool { n, _ := s.ask("finance", token); return n == http.StatusOK })
	s.tenant.Update(func(f *emulator.Fleet) { f.User(u.UPN).Enabled = false })
	rig.Eventually(t, time.Minute, "the refusal of a disabled user", func() bool {
		n, got := s.ask("finance", token)
		return n == http.StatusForbidden && slices.Contains(got, "user_disabled")
	})
	s.tenant.Check(t)
}

// TestGroupsOverageFails: a known user is served while the look-ups fail, a new one is
// undecided, and nobody gets past a group by that.
func TestGroupsOverageFails(t *testing.T) {
	t.Parallel()
	finance := emulator.MustGUID("44444444-aaaa-4aaa-8aaa-000000000001")
	s := open(t, options{
		Entra: true,
		Sources: `
		source entra {
			poll 1s
			groups_overage on
		}`,
		Policies: `
		policy finance {
			require user
			require group ` + finance.String() + `
			max_age 30m
			on_unknown warn
		}`,
	})
	known, fresh := s.device(emulator.CaseHealthy).User, s.device(emulator.CaseJamf).User
	s.tenant.Update(func(f *emulator.Fleet) {
		f.User(known.UPN).Groups, f.User(fresh.UPN).Groups = []emulator.GUID{finance}, []emulator.GUID{finance}
	})
	status := func(u *emulator.User) (int, []string) { return s.ask("finance", s.entraToken(u, nil)) }
	rig.Eventually(t, time.Minute, "the first answer", func() bool { n, _ := status(known); return n == http.StatusOK })
	repair := []func(){
		s.tenant.Fail("graph/checkMemberGroups", emulator.Fault{Kind: emulator.Status, Status: 500}),
		s.tenant.Fail("graph/batch", emulator.Fault{Kind: emulator.Status, Status: 500}),
	}
	rig.Eventually(t, time.Minute, "the failure to be seen", func() bool {
		n, got := status(fresh)
		return n == http.StatusServiceUnavailable && slices.Equal(got, []string{"source_failing"})
	})
	if n, got := status(known); n != http.StatusOK {
		t.Errorf("a known user while the look-ups fail: %d %v", n, got)
	}
	for _, f := range repair {
		f()
	}
	rig.Eventually(t, 3*time.Minute, "the recovery", func() bool { n, _ := status(fresh); return n == http.StatusOK })
}
