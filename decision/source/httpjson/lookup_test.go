package httpjson

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

func TestAnswerIsAboutTheDevice(t *testing.T) {
	jamf := decision.Key{Kind: "jamf", Value: "7"}
	const named = "serial, jamf and compliance"
	maps := map[string][]Field{
		named:     {{Name: "serial", Pointer: "/serial"}, {Name: "id:jamf", Pointer: "/id"}, {Name: "compliance", Pointer: "/status"}},
		"no id":   {{Name: "compliance", Pointer: "/status"}},
		"own id":  {{Name: "id:jamf", Pointer: "/id"}, {Name: "compliance", Pointer: "/status"}},
		"formula": {{Name: "compliance", Expression: `doc.status`}, {Name: "managed", Expression: "true"}},
	}
	tests := map[string]struct {
		item, fields, body string
		want               []decision.Key // nil: an error
		err                string
		unknown            bool
	}{
		"all ids":               {"", named, `{"serial": "sn1", "id": 7, "status": "compliant"}`, []decision.Key{sn1, jamf}, "", false},
		"other serial":          {"", named, `{"serial": "SN2", "id": 7, "status": "compliant"}`, nil, "another device", false},
		"unreadable serial":     {"", named, `{"serial": ["SN1"], "id": 7, "status": "compliant"}`, nil, "unreadable serial id", false},
		"no serial, another id": {"", named, `{"serial": null, "id": 7, "status": "compliant"}`, nil, "names no serial id", false},
		"no id at all":          {"", named, `{"status": "compliant"}`, nil, "names no device id", false},
		"an error page":         {"", "own id", `{"status": "error", "message": "x"}`, nil, "names no device id", false},
		"unmapped ids":          {"", "no id", `{"serial": "SN2", "status": "compliant"}`, []decision.Key{sn1}, "", false},
		"nothing mapped":        {"", "no id", `{"error": "no such device"}`, nil, "none of the mapped fields", false},
		"nothing for a formula": {"", "formula", `{"error": "no such device"}`, nil, "none of the mapped fields", false},
		"formula":               {"", "formula", `{"status": "compliant"}`, []decision.Key{sn1}, "", false},
		"null":                  {"", named, `null`, nil, "unknown device", true},
		"null item":             {"/device", named, `{"device": null}`, nil, "unknown device", true},
		"absent item":           {"/device", named, `{"devices": null}`, nil, "nothing at /device", false},
		"text":                  {"", named, `"compliant"`, nil, "neither an object nor a list", false},
		"found":                 {"/r", named, `{"r": [{"serial": "SN1", "status": "compliant"}]}`, []decision.Key{sn1}, "", false},
		"found among others": {
			"/r", named, `{"r": [{"serial": "SN10", "status": "noncompliant"}, {"serial": "SN1", "status": "compliant"}]}`,
			[]decision.Key{sn1},
			"", false,
		},
		"found nothing":      {"/r", named, `{"r": []}`, nil, "unknown device", true},
		"found twice":        {"/r", named, `{"r": [{"serial": "SN1"}, {"serial": "SN1"}]}`, nil, "several devices", false},
		"search ignored":     {"/r", named, `{"r": [{"serial": "SN2"}, {"serial": "SN3"}]}`, nil, "another device", false},
		"search without ids": {"/r", "own id", `{"r": [{"id": 7, "status": "compliant"}]}`, nil, "names no serial id: map it", false},
		"search of texts":    {"/r", named, `{"r": ["SN1"]}`, nil, "no object", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			v, err := lookUp(t, write("application/json", tt.body), func(o *Options) { o.Item, o.Map = tt.item, maps[tt.fields] })
			if tt.want == nil {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("Lookup = %v, %v; want an error with %q", v.Keys, err, tt.err)
				}
				if got := errors.Is(err, source.ErrUnknownDevice); got != tt.unknown {
					t.Errorf("unknown device = %v, want %v", got, tt.unknown)
				}
				return
			}
			if err != nil || !reflect.DeepEqual(v.Keys, tt.want) || v.Compliance != decision.Compliant {
				t.Errorf("Lookup = %v %s, %v; want %v compliant", v.Keys, v.Compliance, err, tt.want)
			}
		})
	}
}

// What cannot be asked for is unknown, without a request: it must not make the
// source look broken to other devices.
func TestNotAskedFor(t *testing.T) {
	asked := false
	s := fixed(t, func(http.ResponseWriter, *http.Request) { asked = true })
	o := good()
	o.URL, o.RootCAs = s.URL+"/{id}", s.pool()
	l, ok := build(t, o).(source.Looker)
	if !ok {
		t.Fatal("source is no Looker")
	}
	for _, k := range []decision.Key{
		{Kind: "entra", Value: "5d0c1b7e-2f64-4a1b-9d0e-6a3f1c2b4d5e"},
		{Kind: "serial", Value: ".."},
		{Kind: "serial", Value: "A/B"},
		{Kind: "serial", Value: "sn1"},
		{Kind: "serial", Value: ""},
		{Kind: "serial", Value: "TO BE FILLED BY O.E.M."},
	} {
		if _, err := l.Lookup(t.Context(), k); !errors.Is(err, source.ErrUnknownDevice) {
			t.Errorf("Lookup(%v) = %v, want an unknown device", k, err)
		}
	}
	if asked {
		t.Error("the service was asked")
	}
}

// A runner keeps what a look-up source says, under every id of the device.
func TestRunner(t *testing.T) {
	s := fixed(t, write("application/json", `{"serial": "SN1", "id": 7, "status": "compliant"}`))
	o := good()
	o.URL, o.RootCAs = s.URL+"/{id}", s.pool()
	o.Map = append(o.Map, Field{Name: "id:jamf", Pointer: "/id"})
	r := source.NewRunner(build(t, o), source.RunnerOptions{Name: "mdm", Authoritative: true})
	ctx, cancel := context.WithCancel(t.Context())
	r.Start(ctx)
	defer func() { cancel(); r.Stop() }()
	if err := r.Refresh(ctx, sn1); err != nil {
		t.Fatal(err)
	}
	m := r.Find([]decision.Key{{Kind: "jamf", Value: "7"}, sn1})
	if m.Verdict == nil || m.Ambiguous || m.Verdict.Compliance != decision.Compliant {
		t.Errorf("Find = %+v, want one compliant device", m)
	}
}
