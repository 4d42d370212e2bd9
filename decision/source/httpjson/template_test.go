package httpjson

import (
	"net/url"
	"strings"
	"testing"
)

func TestExpand(t *testing.T) {
	const base = "https://mdm.corp.example"
	tests := []struct {
		template, id string
		want         string // "": cannot be asked for
	}{
		{base + "/devices/{id}", "SN-1", base + "/devices/SN-1"},
		{base + "/devices/{id}", "VMware-56 4d", base + "/devices/VMware-56%204d"},
		{base + "/{kind}/{id}/posture", "SN1", base + "/serial/SN1/posture"},
		{base + "/devices/{id}", "..", ""},
		{base + "/devices/{id}", ".", ""},
		{base + "/devices/{id}", "../admin", ""},
		{base + "/devices/{id}", `..\admin`, ""},
		{base + "/devices/{id}", "%2e%2e", ""},
		{base + "/devices/{id}", "a;b", ""},
		{base + "/devices/{id}", "a?b", ""},
		{base + "/devices/{id}", "a#b", ""},
		{base + "/devices/{id}", "@evil.example", ""},
		{base + "/devices/{id}", "gr\u00fcn", ""},
		{base + "/devices('{id}')", "x')/secret('", ""},
		{base + "/devices?serial={id}", "a/b&c=d#e?f", base + "/devices?serial=a%2Fb%26c%3Dd%23e%3Ff"},
		{base + "/devices?x=1&serial={id}&y=2", "gr\u00fcn", base + "/devices?x=1&serial=gr%C3%BCn&y=2"},
		{base + `/devices?filter=serial=="{id}"`, "SN1", base + "/devices?filter=serial==%22SN1%22"},
		{base + `/devices?filter=serial=="{id}"`, `x" or serial=="y`, ""},
		{base + "/devices?filter=serial=={id}", "x,serial==y", ""},
		{base + "/devices?filter=serial=={id}", "*", ""},
		{base + "/devices?filter=serial:{id}", "x+y", ""},
		{base + "/devices?a={kind}={id}", "x/y", ""},
		{base + "/devices/{id}?full=1", "x/y", ""},
		{base + "?serial={id}", "x/y", base + "?serial=x%2Fy"},
		{base + "/devices?serial={id}", strings.Repeat("\u00e9", maxURL/4), ""},
	}
	for _, tt := range tests {
		tm, err := parseTemplate(tt.template, "id", "kind")
		if err != nil {
			t.Errorf("parseTemplate(%s): %v", tt.template, err)
			continue
		}
		got, ok := tm.expand(map[string]string{"id": tt.id, "kind": "serial"})
		if !ok {
			got = ""
		}
		if got != tt.want {
			t.Errorf("expand(%s, %q) = %q, want %q", tt.template, tt.id, got, tt.want)
		}
	}
}

// FuzzExpand holds that no id changes where a request goes: the host, the path
// up to the id, and the other parameters.
func FuzzExpand(f *testing.F) {
	for _, id := range []string{"SN1", "../x", "a&b=c", "%2e%2e%2f", `x" or "y`, "\u2028", "@h", "a b", "//h/"} {
		f.Add(id)
	}
	path, err := parseTemplate("https://mdm.corp.example/v1/devices/{id}/posture", "id")
	if err != nil {
		f.Fatal(err)
	}
	query, err := parseTemplate("https://mdm.corp.example/v1/find?a=1&serial={id}&b=2", "id")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if s, ok := path.expand(map[string]string{"id": id}); ok {
			u := mustURL(t, s)
			if u.Host != "mdm.corp.example" || u.Path != "/v1/devices/"+id+"/posture" || u.RawQuery != "" || u.Fragment != "" ||
				u.JoinPath().Path != u.Path {
				t.Errorf("id %q in the path leads to %s", id, s)
			}
		}
		if s, ok := query.expand(map[string]string{"id": id}); ok {
			u := mustURL(t, s)
			v, err := url.ParseQuery(u.RawQuery)
			if err != nil || u.Host != "mdm.corp.example" || u.Path != "/v1/find" || u.Fragment != "" ||
				len(v) != 3 || v.Get("serial") != id || v.Get("a") != "1" || v.Get("b") != "2" {
				t.Errorf("id %q in the query leads to %s (%v)", id, s, err)
			}
		}
	})
}
