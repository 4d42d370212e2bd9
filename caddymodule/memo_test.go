//go:build unix

package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/gatehouse-project/gatehouse/cache"
	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/identity"
)

// TestEveryCombinationHasItsIdentity: the identity kept with a token is used for
// exactly the combination that it was made for.
func TestEveryCombinationHasItsIdentity(t *testing.T) {
	known, err := cache.New[identityKey, *identityEntry](cache.Options[identityKey]{Capacity: 16})
	if err != nil {
		t.Fatal(err)
	}
	id := &identifier{known: known, hits: new(atomic.Uint64), nobody: &identityEntry{}}
	token := func(name string) *identity.Token {
		return &identity.Token{User: decision.User{ID: name}, Device: []decision.Key{{Kind: "entra", Value: name}}}
	}
	cert := func(device string) *identity.Certificate {
		return &identity.Certificate{Keys: []decision.Key{{Kind: "entra", Value: device}}}
	}
	alice, bob, one, two := token("alice"), token("bob"), cert("one"), cert("two")
	keys := []identityKey{
		{},
		{token: alice},
		{token: alice, cert: one},
		{token: alice, cert: two},
		{token: alice, cert: one, forwarded: true},
		{token: alice, foreign: true},
		{token: bob, cert: two},
		{token: bob},
		{cert: one},
		{cert: one, forwarded: true},
	}
	first := map[identityKey]*identityEntry{}
	for round := range 3 {
		for _, k := range keys {
			e := id.entry(k)
			if e.token != k.token || e.cert != k.cert || e.Foreign != k.foreign {
				t.Fatalf("round %d: %+v: got the identity of another combination", round, k)
			}
			if round == 0 {
				first[k] = e
			} else if first[k] != e {
				t.Errorf("round %d: %+v: the identity was made again", round, k)
			}
		}
	}
	if first[keys[2]].Device.Proof == first[keys[4]].Device.Proof {
		t.Error("a forwarded certificate counts as one of the connection")
	}
}

// TestConnectionMemoIsNoCredential: what one request of a connection showed says
// nothing about the next one.
func TestConnectionMemoIsNoCredential(t *testing.T) {
	s := newBench(t, 2)
	base := s.get().WithContext(withConnMemo(t.Context(), nil))
	ask := func(authorization string) (user string, status int) {
		t.Helper()
		r := base.Clone(base.Context())
		if authorization != "" {
			r.Header.Set("Authorization", authorization)
		}
		w := httptest.NewRecorder()
		next := caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
			user = r.Header.Get("Remote-User")
			return nil
		})
		err := s.handler.ServeHTTP(w, s.request(r), next)
		if err != nil {
			t.Fatal(err)
		}
		return user, w.Code
	}
	a, b := s.headers[0], s.headers[1]
	for i, tc := range []struct {
		authorization, user string
		status              int
	}{
		{a, "user0@corp.example", 200},
		{a, "user0@corp.example", 200},
		{b, "user1@corp.example", 200},
		{a, "user0@corp.example", 200},
		{"", "", 401},
		{a[:len(a)-4] + "AAAA", "", 401},
		{a, "user0@corp.example", 200},
		{a + "A", "", 401},
		{b, "user1@corp.example", 200},
		{b[:len(b)-1], "", 401},
	} {
		user, status := ask(tc.authorization)
		if user != tc.user || status != tc.status {
			t.Errorf("request %d: got %q, %d, want %q, %d", i, user, status, tc.user, tc.status)
		}
	}
}
