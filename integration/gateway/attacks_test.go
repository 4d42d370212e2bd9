package gateway

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestBearerWithoutSpace: a token that hides behind another separator is not
// overlooked; an app that splits at white space would read it.
func TestBearerWithoutSpace(t *testing.T) {
	s := newStand(t, standOptions{})
	for _, sep := range []string{"\t", ",", ":", "="} {
		a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), "Authorization", "Bearer"+sep+s.token(goodID, nil))
		if a.StatusCode != http.StatusUnauthorized || !strings.Contains(a.Header.Get("Www-Authenticate"), "invalid_token") {
			t.Errorf("%q: status %d, %s", sep, a.StatusCode, a.Header.Get("Www-Authenticate"))
		}
	}
	// Schemes that only begin alike belong to the app.
	a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), "Authorization", "BearerX y")
	if p := a.Problem(t); a.StatusCode != http.StatusUnauthorized || p.Codes()[0] != "sign_in_required" {
		t.Errorf("another scheme: status %d %v", a.StatusCode, p.Codes())
	}
}

// TestDecisionRingIsBounded: strangers cannot fill the memory by asking for long
// paths.
func TestDecisionRingIsBounded(t *testing.T) {
	s := newStand(t, standOptions{})
	path := "/" + strings.Repeat("x", 8000)
	for range 300 {
		rig.Do(t, s.plain(), http.MethodGet, s.plainURL(path))
	}
	var got struct {
		Decisions []struct {
			Path string `json:"path"`
		} `json:"decisions"`
	}
	s.Gateway.Call(http.MethodGet, "/compliance/decisions", nil, &got)
	if len(got.Decisions) != 100 || len(got.Decisions[0].Path) != 256 {
		t.Fatalf("%d decisions, path of %d bytes", len(got.Decisions), len(got.Decisions[0].Path))
	}
}

// TestIdsFoldInASCIIOnly: a certificate for another device whose serial number
// folds to a known one under Unicode rules names nobody.
func TestIdsFoldInASCIIOnly(t *testing.T) {
	s := newStand(t, standOptions{Policies: `
	policy standard {
		require user
		require compliant
		require owner
	}`, Directives: "compliance standard", Rows: []row{
		device(goodID, "LAPTOP-GOOD", "compliant", row{"owner": row{"upn": "boss@corp.example"}}),
	}})
	for name, want := range map[string]int{
		"boss@corp.example": http.StatusOK, "BOSS@corp.example": http.StatusOK, "bo\u017fs@corp.example": http.StatusForbidden,
	} {
		a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(s.token(goodID, rig.Claims{"preferred_username": name}))...)
		if a.StatusCode != want {
			t.Errorf("%q: status %d, want %d: %s", name, a.StatusCode, want, a.Body)
		}
	}
}

// TestHardStopsAreNeverHeld: however many devices turn bad at once, a device that
// is wiped or taken over stops at once.
func TestHardStopsAreNeverHeld(t *testing.T) {
	id := func(i int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", i+1) }
	fleet := func(bad row) []row {
		rows := make([]row, 40)
		for i := range rows {
			more := row{}
			if i < 25 {
				more = bad
			}
			rows[i] = device(id(i), fmt.Sprintf("LAPTOP-%d", i), "compliant", more)
		}
		return rows
	}
	for name, bad := range map[string]row{
		"jailbroken": {"jailbroken": true}, "wiping": {"lifecycle": "wiping"}, "disabled": {"enabled": false}, "compromised": {"risk": "compromised"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStand(t, standOptions{Rows: fleet(nil)})
			token := s.token(id(0), nil)
			if a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(token)...); a.StatusCode != http.StatusOK {
				t.Fatalf("before: status %d", a.StatusCode)
			}
			writeInventory(t, s.Inventory, fleet(bad))
			rig.Eventually(t, time.Minute, "the device stops", func() bool {
				return rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(token)...).StatusCode == http.StatusForbidden
			})
		})
	}
}

// TestNothingGoodFromOldFacts: the app is not told "compliant" on facts that are
// too old for the route's policy, even where the policy does not ask.
func TestNothingGoodFromOldFacts(t *testing.T) {
	s := prepareStand(t, standOptions{Policies: `
	policy standard {
		require user
		freshness critical
	}`, Directives: "compliance standard {\n identity_headers X-Device-Compliance Remote-User\n}"})
	old := time.Now().Add(-30 * time.Hour)
	if err := os.Chtimes(s.Inventory, old, old); err != nil {
		t.Fatal(err)
	}
	s.Gateway = rig.Start(t, s.setup)
	a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(s.token(goodID, nil))...)
	if a.StatusCode != http.StatusOK {
		t.Fatalf("status %d: %s", a.StatusCode, a.Body)
	}
	if got := a.Seen(t).Header.Get("X-Device-Compliance"); got != "unknown" {
		t.Errorf("X-Device-Compliance is %q, want unknown", got)
	}
}

// TestClientAddressNeedsStrictProxies: a policy that looks at the client's address
// does not load where a client can write that address.
func TestClientAddressNeedsStrictProxies(t *testing.T) {
	o := standOptions{Policies: `
	policy standard {
		require user
		require network 10.0.0.0/8
	}`, Directives: "compliance standard", Global: "servers {\n trusted_proxies static 127.0.0.1/32\n}"}
	_, err := rig.TryStart(t, prepareStand(t, o).setup)
	if err == nil || !strings.Contains(err.Error(), "trusted_proxies_strict") {
		t.Errorf("loaded without trusted_proxies_strict: %v", err)
	}
	o.Global = "servers {\n trusted_proxies static 127.0.0.1/32\n trusted_proxies_strict\n}"
	s := newStand(t, o)
	for xff, want := range map[string]int{"10.0.0.1": http.StatusOK, "10.0.0.1, 203.0.113.9": http.StatusForbidden} {
		a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), append(rig.Bearer(s.token("", nil)), "X-Forwarded-For", xff)...)
		if a.StatusCode != want {
			t.Errorf("X-Forwarded-For %s: status %d, want %d", xff, a.StatusCode, want)
		}
	}
}

// TestRevokingNothingIsSaid: an id that cannot match anything is refused, one that
// no source has is named as such.
func TestRevokingNothingIsSaid(t *testing.T) {
	s := newStand(t, standOptions{})
	revoke := func(device string) (status int, known bool) {
		var out struct {
			Known bool `json:"known"`
		}
		status = s.Gateway.Call(http.MethodPost, "/compliance/revoke", map[string]string{"device": device, "reason": "r", "for": "1h"}, &out)
		return status, out.Known
	}
	for device, want := range map[string]struct {
		status int
		known  bool
	}{
		"asset:1": {http.StatusBadRequest, false}, "name:LAPTOP-GOOD": {http.StatusBadRequest, false},
		"Entra:" + badID: {http.StatusOK, true}, "entra:" + unknownID: {http.StatusOK, false},
	} {
		if status, known := revoke(device); status != want.status || known != want.known {
			t.Errorf("%s: status %d, known %v", device, status, known)
		}
	}
	for _, user := range []string{"alice", "alice@corp.example"} {
		s := newStand(t, standOptions{})
		s.Gateway.Call(http.MethodPost, "/compliance/revoke", map[string]string{"user": user, "reason": "r"}, nil)
		if a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(s.token(goodID, nil))...); a.StatusCode != http.StatusForbidden {
			t.Errorf("user %s revoked: status %d", user, a.StatusCode)
		}
	}
}
