package httpjson

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// seeds adds the answers in testdata.
func seeds(f *testing.F) {
	f.Helper()
	paths, err := filepath.Glob("testdata/*.json")
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, p := range paths {
		b, err := os.ReadFile(p)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(b))
	}
}

var fuzzMap = []Field{
	{Name: "serial", Pointer: "/hardware/serial"},
	{Name: "id:asset", Expression: "doc.id"},
	{Name: "compliance", Pointer: "/status", Values: map[string]string{"PASS": "compliant", "FAIL": "noncompliant"}},
	{Name: "risk", Expression: `doc.score >= 70 ? "high" : "low"`},
	{Name: "encrypted", Pointer: "/disk/encrypted"},
	{Name: "platform", Pointer: "/os/name"},
	{Name: "os_version", Pointer: "/os/version"},
	{Name: "last_check_in", Pointer: "/seen"},
	{Name: "owner_upn", Pointer: "/user/mail"},
	{Name: "settings", Expression: `doc.checks.filter(c, !c.ok)`},
	{Name: "name", Pointer: "/name"},
	{Name: "owner_id", Pointer: "/user/id"},
	{Name: "grace_until", Pointer: "/grace"},
	{Name: "malware", Expression: `doc.threats[0].state == "active"`},
}

// checkVerdict holds what must be true of any device, whatever the service sent.
func checkVerdict(t *testing.T, d *decision.Device, text string) {
	t.Helper()
	if d.Compliance == decision.Compliant && !strings.Contains(text, "PASS") && !strings.Contains(text, `\u`) {
		t.Errorf("compliant without PASS: %q", text)
	}
	if len(d.Name) > maxText || len(d.OwnerUPN) > maxText || len(d.Settings) > decision.MaxSettings || d.LastCheckIn.Sub(noon) > futureLimit {
		t.Errorf("device out of bounds: %+v", d)
	}
	p := decision.Posture{Device: *d}
	for f := range decision.NumFacts {
		if d.Unreadable.Has(f) && p.Value(f) != decision.Unknown.String() && f != decision.FactOS {
			t.Errorf("%s is unreadable and %s: %q", f, p.Value(f), text)
		}
	}
	if d.Unreadable.Has(decision.FactOS) && d.Platform != decision.PlatformUnknown {
		t.Errorf("the platform is unreadable and %s: %q", d.Platform, text)
	}
	if err := source.NewBuilder(1).Add(&decision.Verdict{Device: *d}); err != nil {
		t.Errorf("device of %q: %v", text, err)
	}
}

// FuzzLookup sends any answer about one device through the decoder and the map.
func FuzzLookup(f *testing.F) {
	seeds(f)
	var body string
	o := Options{
		URL: "https://mdm.corp.example/{id}", Item: "/device", Kinds: []string{decision.KindSerial}, Map: fuzzMap, Now: fixedNow,
		Transport: exchange(func(*http.Request) (*http.Response, error) { return response(200, body), nil }),
	}
	s, err := New(o)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		body = text
		v, err := s.(source.Looker).Lookup(context.Background(), sn1)
		if err != nil {
			return
		}
		if !slices.Contains(v.Keys, sn1) {
			t.Errorf("%q gives ids %v", text, v.Keys)
		}
		checkVerdict(t, &v.Device, text)
	})
}

// FuzzSync sends any list through the decoder and the map.
func FuzzSync(f *testing.F) {
	seeds(f)
	var body string
	o := Options{
		ListURL: "https://mdm.corp.example/", Items: "/devices", Next: "/next", MaxPages: 2, Map: fuzzMap, Now: fixedNow,
		Transport: exchange(func(r *http.Request) (*http.Response, error) {
			if r.URL.Host != "mdm.corp.example" || r.URL.Scheme != "https" {
				panic("request for " + r.URL.String())
			}
			return response(200, body), nil
		}),
	}
	s, err := New(o)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text string) {
		body = text
		sweep := source.NewSweep(100)
		if err := s.(source.Syncer).Sync(context.Background(), sweep); err != nil {
			return
		}
		table, err := sweep.Table()
		if err != nil {
			return // more than fits
		}
		for _, v := range table.All() {
			checkVerdict(t, &v.Device, text)
		}
	})
}
