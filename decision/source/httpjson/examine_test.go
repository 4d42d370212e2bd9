package httpjson

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/sourcetest"
)

func TestExamine(t *testing.T) {
	for name, tc := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request)
		check  string
		state  checkup.State
		text   string
	}{
		"unknown":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(404) }, checkup.CheckAnswer, checkup.OK, "does not know a device that nobody has"},
		"everything": {say(`{"label":"somebody's"}`), checkup.CheckAnswer, checkup.Fault, "that no device has"},
		"another":    {say(`{"id_serial":"OTHER"}`), checkup.CheckAnswer, checkup.OK, ""},
		"refused":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) }, checkup.CheckSignIn, checkup.Fault, "401"},
		"forbidden":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(403) }, checkup.CheckPermission, checkup.Fault, "403"},
		"throttled":  {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(429) }, checkup.CheckHeadroom, checkup.Warning, "wait"},
		"page":       {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, checkup.CheckAnswer, checkup.Fault, ""},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(tc.answer))
			defer srv.Close()
			o := Options{URL: srv.URL + "/devices/{id}", Kinds: []string{decision.KindSerial}, Map: []Field{{Name: "name", Pointer: "/label"}, {Name: "serial", Pointer: "/id_serial"}}}
			if name == "everything" {
				o.Map = o.Map[:1]
			}
			expect(t, o, tc.check, tc.state, tc.text)
		})
	}
}

func TestExamineList(t *testing.T) {
	s := newService(t, sourcetest.Devices(7))
	o := Options{ListURL: s.URL + "/list", Items: "/devices", Map: dialect, Bearer: "s3cret", RootCAs: s.pool()}
	for name, tc := range map[string]struct {
		body  string
		check string
		state checkup.State
		text  string
	}{
		"all":      {`[{"id_serial":"A1","label":"x"}]`, checkup.CheckRows, checkup.OK, "all 1 devices"},
		"some":     {`[{"id_serial":"A1"},{"label":"x"}]`, checkup.CheckRows, checkup.Warning, "1 of the 2 devices"},
		"none":     {`[{"label":"x"}]`, checkup.CheckRows, checkup.Fault, "none of the 1 devices"},
		"unlisted": {`[{"id_serial":"A1","status":"odd"}]`, checkup.CheckRows, checkup.Warning, "compliance is unknown of every device"},
		"empty":    {`[]`, checkup.CheckDevices, checkup.Warning, "empty"},
		"no list":  {`{}`, checkup.CheckAnswer, checkup.Fault, ""},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(say(tc.body)))
			defer srv.Close()
			fields := []Field{{Name: "serial", Pointer: "/id_serial"}, {Name: "name", Pointer: "/label"}}
			if name == "unlisted" {
				fields = []Field{{Name: "serial", Pointer: "/id_serial"}, {Name: "compliance", Pointer: "/status", Values: map[string]string{"PASS": "compliant"}}}
			}
			expect(t, Options{ListURL: srv.URL, Map: fields}, tc.check, tc.state, tc.text)
		})
	}
	o.RootCAs = nil
	expect(t, o, checkup.CheckCertificate, checkup.Fault, "not trusted")
	s.Close()
	o.RootCAs = s.pool()
	expect(t, o, checkup.CheckReach, checkup.Fault, "refused")
}

func say(body string) func(http.ResponseWriter, *http.Request) {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
	}
}

func expect(t *testing.T, o Options, check string, state checkup.State, text string) {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e, ok := s.(source.Examiner)
	if !ok {
		t.Fatal("no examiner")
	}
	x := e.Examine(t.Context())
	for _, f := range x.Findings {
		if f.Check == check && f.State == state && strings.Contains(f.Text, text) {
			return
		}
	}
	t.Errorf("want %s %s %q, got %+v", check, state, text, x.Findings)
}
