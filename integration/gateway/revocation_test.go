package gateway

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestRevocation: a revocation takes effect within a second, over whatever the
// device and user show, and survives a crash right after its answer.
func TestRevocation(t *testing.T) {
	const operator = "an-operator-token-of-length"
	s := newStand(t, standOptions{Compliance: "operator_token {env.OPERATOR}", Env: []string{"OPERATOR=" + operator}})
	cert := s.DeviceCA.Device(goodID, nil)
	sum := sha256.Sum256(cert.Certificate[0])
	withCert := s.with("h1", cert)
	byToken := func() int { return s.code(goodID) }
	byCert := func() int {
		return rig.Do(t, withCert, http.MethodGet, s.url("/"), rig.Bearer(s.token("", nil))...).StatusCode
	}
	for _, tc := range []struct {
		name          string
		body          map[string]string
		token, byCert int // while revoked
	}{
		{"device", map[string]string{"device": "entra:" + goodID, "reason": "lost"}, 403, 403},
		{"bare device", map[string]string{"device": goodID, "reason": "lost"}, 403, 403},
		{"user", map[string]string{"user": "alice@corp.example", "reason": "left"}, 403, 403},
		{"user in capitals", map[string]string{"user": "ALICE@corp.example", "reason": "left"}, 403, 403},
		{"certificate", map[string]string{"certificate": hex.EncodeToString(sum[:]), "reason": "stolen"}, 200, 403},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if a, b := byToken(), byCert(); a != 200 || b != 200 {
				t.Fatalf("before: %d by token, %d by certificate", a, b)
			}
			var entry struct {
				ID string `json:"id"`
			}
			if code := s.Gateway.Call(http.MethodPost, "/compliance/revoke", tc.body, &entry); code != http.StatusOK {
				t.Fatalf("revoke answers %d", code)
			}
			s.Gateway.Kill()
			s.setup.Dir = s.Gateway.Dir
			s.Gateway = rig.Start(s.t, s.setup) // it outlives this subtest
			withCert = s.with("h1", cert)
			if a, b := byToken(), byCert(); a != tc.token || b != tc.byCert {
				t.Errorf("after a crash: %d by token, %d by certificate; want %d and %d", a, b, tc.token, tc.byCert)
			}
			if got := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(s.token(graceID, rig.Claims{"preferred_username": "bob@corp.example", "sub": "bob"}))...); got.StatusCode != 200 {
				t.Errorf("somebody else: status %d", got.StatusCode)
			}
			release := map[string]string{"id": entry.ID, "owner": "ops"}
			if code := s.Gateway.Call(http.MethodPost, "/compliance/release", release, nil); code != http.StatusForbidden {
				t.Errorf("release without the operator token answers %d", code)
			}
			if code := s.Gateway.Call(http.MethodPost, "/compliance/release", release, nil, "Authorization", "Bearer "+operator); code != http.StatusOK {
				t.Errorf("release answers %d", code)
			}
			withCert = s.with("h1", cert)
			rig.Eventually(t, time.Minute, "released", func() bool { return byToken() == 200 && byCert() == 200 })
		})
	}
}

// TestRevocationAtOnce: the next request after the answer is refused, on open
// connections too, and one with an end ends.
func TestRevocationAtOnce(t *testing.T) {
	s := newStand(t, standOptions{})
	for _, protocol := range rig.Protocols {
		c := s.client(protocol, graceID)
		token := s.token("", rig.Claims{"sub": "bob", "preferred_username": "bob@corp.example"})
		get := func() *rig.Answer { return rig.Do(t, c, http.MethodGet, s.url("/"), rig.Bearer(token)...) }
		if a := get(); a.StatusCode != http.StatusOK {
			t.Fatalf("%s: status %d", protocol, a.StatusCode)
		}
		for life := 2 * time.Second; ; life *= 2 { // a busy machine may need longer than the first ones
			asked := time.Now()
			body := map[string]string{"device": "entra:" + graceID, "reason": "lost", "for": life.String()}
			if code := s.Gateway.Call(http.MethodPost, "/compliance/revoke", body, nil); code != http.StatusOK {
				t.Fatalf("revoke answers %d", code)
			}
			a := get()
			if a.StatusCode == http.StatusForbidden && a.Problem(t).Codes()[0] == "revoked" {
				break
			}
			if time.Since(asked) < life || life > time.Minute {
				t.Fatalf("%s: status %d: %s", protocol, a.StatusCode, a.Body)
			}
		}
		rig.Eventually(t, time.Minute, "the revocation ends", func() bool { return get().StatusCode == http.StatusOK })
	}
}

// TestRevokeRefuses: what cannot be understood is not accepted.
func TestRevokeRefuses(t *testing.T) {
	s := newStand(t, standOptions{})
	for name, body := range map[string]any{
		"nothing": map[string]string{}, "no reason": map[string]string{"device": goodID}, "two subjects": map[string]string{"device": goodID, "user": "x", "reason": "r"},
		"no id": map[string]string{"device": "entra:x", "reason": "r"}, "negative": map[string]string{"device": goodID, "reason": "r", "for": "-1h"},
		"unknown member": map[string]string{"device": goodID, "reason": "r", "until": "x"}, "short thumbprint": map[string]string{"certificate": "abcd", "reason": "r"},
		"list": []string{"x"},
	} {
		if code := s.Gateway.Call(http.MethodPost, "/compliance/revoke", body, nil); code/100 != 4 {
			t.Errorf("%s: revoke answers %d, want 4xx", name, code)
		}
	}
	if s.code(goodID) != http.StatusOK {
		t.Error("a refused call revoked something")
	}
}
