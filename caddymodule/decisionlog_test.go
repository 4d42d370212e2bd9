package caddymodule

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestDecisionRing(t *testing.T) {
	g := newDecisionRing()
	start := time.Unix(1_800_000_000, 0)
	add := func(i int) {
		g.add(decisionRecord{ID: strconv.Itoa(i), Request: decision.Request{Now: start.Add(time.Duration(i) * time.Second)}}, time.Hour)
	}
	any := func(*decisionRecord) bool { return true }
	ids := func(n int, at time.Time) string {
		var out []string
		for _, rec := range g.latest(n, at, time.Hour, any) {
			out = append(out, rec.ID)
		}
		return strings.Join(out, " ")
	}
	if got := ids(5, start); got != "" {
		t.Errorf("an empty ring holds %q", got)
	}
	for i := range 200 {
		add(i)
	}
	if got, want := ids(3, start), "199 198 197"; got != want {
		t.Errorf("latest are %q, want %q", got, want)
	}
	add(3700) // an hour after record 100
	if g.n != 101 {
		t.Errorf("%d records are kept, want those of the last hour: 101", g.n)
	}
	if got, want := ids(200, start.Add(3700*time.Second)), 101; len(strings.Fields(got)) != want {
		t.Errorf("%d records are shown, want %d", len(strings.Fields(got)), want)
	}
	for i := range 2 * ringSize {
		g.add(decisionRecord{ID: "x" + strconv.Itoa(i), Request: decision.Request{Now: start.Add(3800 * time.Second)}}, time.Hour)
	}
	if g.n != ringSize || len(g.buf) != ringSize {
		t.Errorf("%d of %d records, want %d", g.n, len(g.buf), ringSize)
	}
	if got, want := ids(2, start.Add(3800*time.Second)), "x19999 x19998"; got != want {
		t.Errorf("latest are %q, want %q", got, want)
	}
}

func TestPrivacy(t *testing.T) {
	u := &decision.User{ID: "corp|alice", Name: "alice@corp.example"}
	keys := []decision.Key{{Kind: "entra", Value: "d-1"}}
	tests := []struct {
		mode, user, device string
	}{
		{"", "alice@corp.example", "d-1"},
		{"clear", "alice@corp.example", "d-1"},
		{"omit", "", ""},
	}
	for _, tc := range tests {
		p := privacyFilter{users: tc.mode, devices: tc.mode, key: []byte("k")}
		if got := p.user(u); got != tc.user {
			t.Errorf("%q: user %q, want %q", tc.mode, got, tc.user)
		}
		if got := p.device(keys); got != tc.device {
			t.Errorf("%q: device %q, want %q", tc.mode, got, tc.device)
		}
	}
	p := privacyFilter{users: "hash", key: []byte("k")}
	q := privacyFilter{users: "hash", key: []byte("other")}
	if a, b := p.user(u), p.user(&decision.User{ID: "corp|bob", Name: "bob"}); a == b || !strings.HasPrefix(a, "u_") {
		t.Errorf("hashes %q and %q", a, b)
	}
	if p.user(u) == q.user(u) {
		t.Error("the hash does not depend on the key")
	}
}
