package caddymodule

import (
	"net/http"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestHeaderValues(t *testing.T) {
	id := &decision.Identity{
		User: decision.User{
			ID: "t/o", Subject: "sub-1", Name: "alice@corp.example", Email: "a@corp.example",
			Groups: []string{"staff", "a,admin", "50%", "x\ny", " b c "},
		},
		Device: decision.DeviceRef{Keys: []decision.Key{{Kind: "entra", Value: "d-1"}}},
	}
	v := headerValues(id)
	want := map[int]string{
		hUser: "alice@corp.example", hUserID: "t/o", hEmail: "a@corp.example", hDevice: "d-1",
		hGroups: "staff,a%2Cadmin,50%25,x%0Ay,%20b c%20",
	}
	for i, w := range want {
		if v[i] != w {
			t.Errorf("%s is %q, want %q", headerNames[i], v[i], w)
		}
	}
	id.User.Name = "eve\r\nX-Evil: 1"
	if got := headerValues(id)[hUser]; got != "sub-1" {
		t.Errorf("a name with a line break gives %q, want the subject", got)
	}
}

func TestSetHeaders(t *testing.T) {
	e := &identityEntry{}
	e.headerVals[hUser], e.headerVals[hDevice] = "alice", "d-1"
	h := http.Header{}
	x := &exchange{id: "id-1", creds: credentials{entry: e}, req: decision.Request{Posture: &decision.Posture{}}}
	setHeaders(h, defaultHeaders|1<<hEmail|1<<hCompliance|1<<hDecision, x)
	want := map[string]string{headerUser: "alice", headerDevice: "d-1", headerCompliance: "unknown", headerDecision: "id-1"}
	if len(h) != len(want) {
		t.Errorf("headers %v, want %v", h, want)
	}
	for k, w := range want {
		if h.Get(k) != w {
			t.Errorf("%s is %q, want %q", k, h.Get(k), w)
		}
	}
	h[headerUser] = append(h[headerUser], "more") // must not reach into the next value
	if h.Get(headerDevice) != "d-1" {
		t.Error("values share memory")
	}
}

func TestParseHeaderSet(t *testing.T) {
	s, err := parseHeaderSet(nil)
	if err != nil || s != defaultHeaders {
		t.Errorf("default: %v, %v", s, err)
	}
	s, err = parseHeaderSet([]string{"none"})
	if err != nil || s != 0 {
		t.Errorf("none: %v, %v", s, err)
	}
	s, err = parseHeaderSet([]string{"remote-user-ID"})
	if err != nil || s != 1<<hUserID {
		t.Errorf("another spelling: %v, %v", s, err)
	}
	_, err = parseHeaderSet([]string{"X-Admin"})
	if err == nil {
		t.Error("an unknown header was accepted")
	}
}
