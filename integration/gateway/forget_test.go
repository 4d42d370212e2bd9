package gateway

import (
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestForgetCall: what a file does not say any more is let go by the operator alone,
// by exact calls, and for good.
func TestForgetCall(t *testing.T) {
	const operator = "an-operator-token-of-length"
	s := newStand(t, standOptions{Compliance: "operator_token {env.OPERATOR}", Env: []string{"OPERATOR=" + operator}})
	rows := devices()
	rows[3]["lifecycle"] = "dismantled" // a word that nobody can read
	writeInventory(t, s.Inventory, rows)
	type device struct {
		Sources []struct {
			Kept []string `json:"kept"`
		} `json:"sources"`
	}
	kept := func() []string {
		var d device
		if code := s.Gateway.Call(http.MethodGet, "/compliance/devices/"+retiredID, nil, &d); code != http.StatusOK || len(d.Sources) != 1 {
			t.Fatalf("devices/ID answers %d: %+v", code, d)
		}
		return d.Sources[0].Kept
	}
	rig.Eventually(t, time.Minute, "the word is kept", func() bool { return reflect.DeepEqual(kept(), []string{"lifecycle"}) })
	reason := func(id string) string {
		a := rig.Do(t, s.plain(), http.MethodGet, s.plainURL("/"), rig.Bearer(s.token(id, nil))...)
		if codes := a.Problem(t).Codes(); len(codes) > 0 {
			return codes[0]
		}
		return ""
	}
	if got := reason(retiredID); got != "device_retired" {
		t.Fatalf("%s before", got)
	}
	forget := func(id string) string { return "/compliance/devices/" + id + "/forget" }
	auth := []string{"Authorization", "Bearer " + operator}
	for _, tc := range []struct {
		name, method, path string
		body               string
		header             []string
		want               int
	}{
		{"no token", "POST", forget(retiredID), `{}`, nil, 403},
		{"wrong token", "POST", forget(retiredID), `{}`, []string{"Authorization", "Bearer wrong-token-of-some-length"}, 403},
		{"wrong scheme", "POST", forget(retiredID), `{}`, []string{"Authorization", operator}, 403},
		{"no token, unknown device", "POST", forget(unknownID), `{}`, nil, 403},
		{"another origin", "POST", forget(retiredID), `{}`, append([]string{"Origin", "http://evil.example"}, auth...), 403},
		{"plain text", "POST", forget(retiredID), `{}`, append([]string{"Content-Type", "text/plain"}, auth...), 415},
		{"no body", "POST", forget(retiredID), ``, auth, 400},
		{"two values", "POST", forget(retiredID), `{} {}`, auth, 400},
		{"unknown member", "POST", forget(retiredID), `{"sources":["inventory"]}`, auth, 400},
		{"large body", "POST", forget(retiredID), `{"reason":"` + strings.Repeat("x", 1<<20) + `"}`, auth, 400},
		{"no id", "POST", forget("entra:what"), `{}`, auth, 400},
		{"empty id", "POST", forget(""), `{}`, auth, 404},
		{"unknown device", "POST", forget(unknownID), `{}`, auth, 404},
		{"unknown source", "POST", forget(retiredID), `{"source":"nope"}`, auth, 404},
		{"another path", "POST", forget(retiredID) + "/", `{}`, auth, 404},
		{"another method", "GET", forget(retiredID), ``, auth, 404},
		{"another method, too", "DELETE", forget(retiredID), ``, auth, 404},
	} {
		req, err := http.NewRequest(tc.method, s.Gateway.Admin+tc.path, strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", "application/json")
		for i := 0; i+1 < len(tc.header); i += 2 {
			req.Header.Set(tc.header[i], tc.header[i+1])
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tc.want {
			t.Errorf("%s: status %d, want %d", tc.name, resp.StatusCode, tc.want)
		}
	}
	if got := reason(retiredID); got != "device_retired" || len(kept()) != 1 {
		t.Fatalf("%s after refused calls", got)
	}

	type answer struct {
		Sources []map[string]any `json:"sources"`
	}
	call := func(id string, facts ...any) {
		t.Helper()
		var got answer
		body := map[string]string{"source": "inventory", "owner": "ops", "reason": "a new word"}
		if code := s.Gateway.Call(http.MethodPost, forget(id), body, &got, auth...); code != http.StatusOK {
			t.Fatalf("forget answers %d", code)
		}
		if want := []map[string]any{{"source": "inventory", "facts": append([]any{}, facts...)}}; !reflect.DeepEqual(got.Sources, want) {
			t.Errorf("%v, want %v", got.Sources, want)
		}
	}
	call("entra:"+retiredID, "lifecycle")
	call(retiredID) // there is nothing left
	call(badID)     // what the file says is nothing that is kept
	// What the file says counts: a word that nobody can read, which is not good either.
	if odd, bad := reason(retiredID), reason(badID); odd != "fact_unknown" || bad != "noncompliant" || len(kept()) != 0 {
		t.Errorf("%s and %s after it", odd, bad)
	}
	for _, w := range []string{`"msg":"forgotten"`, `"facts":["lifecycle"]`, `"owner":"ops"`, `"reason":"a new word"`, `"actor":"127.0.0.1:`} {
		if n := strings.Count(s.Gateway.Log(), w); n != 1 {
			t.Errorf("the log has %s %d times, want once", w, n)
		}
	}
	if strings.Contains(s.Gateway.Log(), operator) {
		t.Error("the operator token is in the log")
	}
	rows[3]["lifecycle"] = "retiring"
	writeInventory(t, s.Inventory, rows)
	rig.Eventually(t, time.Minute, "the file says it again", func() bool { return reason(retiredID) == "device_retired" })
}

// TestForgetNeedsAToken: a configuration without operator token lets nothing go.
func TestForgetNeedsAToken(t *testing.T) {
	s := newStand(t, standOptions{})
	for _, header := range [][]string{nil, {"Authorization", "Bearer "}, {"Authorization", "Bearer x"}} {
		if code := s.Gateway.Call(http.MethodPost, "/compliance/devices/"+retiredID+"/forget", map[string]string{}, nil, header...); code != http.StatusForbidden {
			t.Errorf("forget with %q answers %d", header, code)
		}
	}
}
