package nac

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

func TestLookup(t *testing.T) {
	compliant := answerFile(t, "v3-compliant")
	edit := func(old, to string) string {
		if !strings.Contains(compliant, old) {
			t.Fatalf("answer has no %q", old)
		}
		return strings.ReplaceAll(compliant, old, to)
	}
	const yes, no = decision.Yes, decision.Unknown
	for _, tt := range []struct {
		name, answer string
		managed      decision.Tri
		compliance   decision.Compliance
		problems     map[string]int
	}{
		{"v3 compliant", compliant, yes, decision.Compliant, nil},
		{"v3 noncompliant", answerFile(t, "v3-noncompliant"), yes, decision.NonCompliant, nil},
		{"v3 not evaluated", answerFile(t, "v3-not-evaluated"), yes, decision.ComplianceNotEvaluated, nil},
		{"v3 status nil", answerFile(t, "v3-status-nil"), yes, decision.ComplianceUnknown, map[string]int{"compliance status: missing": 1}},
		{"v2 compliant", answerFile(t, "v2-compliant"), yes, decision.Compliant, nil},
		{"two records", answerFile(t, "v3-two-records"), yes, decision.NonCompliant, map[string]int{"compliance status: rows disagree": 1}},
		{"byte order mark", "\xef\xbb\xbf" + compliant, yes, decision.Compliant, nil},
		{"upper-case id", strings.ReplaceAll(compliant, asked, strings.ToUpper(asked)), yes, decision.Compliant, nil},
		{"blanks", edit("<status>true</status>", "<status>\n true\n</status>"), yes, decision.Compliant, nil},
		{"other case", edit(">true<", ">True<"), yes, decision.Compliant, nil},
		{"digits", edit(">true<", ">1<"), yes, decision.Compliant, nil},
		{"status of another word", edit("<status>true</status>", "<status>mostly</status>"), yes, decision.ComplianceUnknown, map[string]int{"compliance status: no boolean": 1}},
		{"no status", edit("<status>true</status>", ""), yes, decision.ComplianceUnknown, map[string]int{"compliance status: missing": 1}},
		{"good news without registration", edit("<register_status>true</register_status>", ""), no, decision.ComplianceUnknown, map[string]int{"register_status: missing": 1}},
		{"bad news without registration", strings.ReplaceAll(answerFile(t, "v3-noncompliant"), "<register_status>true</register_status>", "<register_status>who</register_status>"), no, decision.NonCompliant, map[string]int{"register_status: no boolean": 1}},
		{"attribute of a later version", edit("<Compliance>", "<risk><level>1</level></risk><Compliance>"), yes, decision.Compliant, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := newFake(t)
			f.says(200, tt.answer)
			s, done := newSource(t, f)
			defer done()
			v, err := s.Lookup(t.Context(), askedKey)
			if err != nil {
				t.Fatal(err)
			}
			if v.Managed != tt.managed || v.Compliance != tt.compliance || len(v.Keys) != 1 || v.Keys[0] != askedKey {
				t.Errorf("got %v managed %v %v, want managed %v %v", v.Keys, v.Managed, v.Compliance, tt.managed, tt.compliance)
			}
			if got, want := v.Unreadable.Has(decision.FactCompliance), tt.compliance == decision.ComplianceUnknown; got != want {
				t.Errorf("compliance is unreadable: %v, want %v", got, want)
			}
			if got, want := v.Unreadable.Has(decision.FactManaged), tt.managed == decision.Unknown; got != want {
				t.Errorf("managed is unreadable: %v, want %v", got, want)
			}
			if st := s.Stats(); st.Found != 1 || !maps.Equal(st.Problems, tt.problems) {
				t.Errorf("stats %+v, want problems %v", st, tt.problems)
			}
		})
	}
}

func TestNotRegistered(t *testing.T) {
	for _, name := range []string{"v3-empty", "v2-empty", "v3-unregistered"} {
		f := newFake(t)
		f.says(200, answerFile(t, name))
		s, done := newSource(t, f)
		if _, err := s.Lookup(t.Context(), askedKey); !errors.Is(err, source.ErrUnknownDevice) {
			t.Errorf("%s: %v, want unknown device", name, err)
		}
		if st := s.Stats(); st.Unknown != 1 || st.Failed != 0 {
			t.Errorf("%s: stats %+v", name, st)
		}
		done()
	}
}

// An answer that is not clearly about the device must not become a verdict, nor a
// word that there is no such device.
func TestUnusableAnswer(t *testing.T) {
	compliant, empty := answerFile(t, "v3-compliant"), answerFile(t, "v3-empty")
	edit := func(text, old, to string) string {
		if !strings.Contains(text, old) {
			t.Fatalf("answer has no %q", old)
		}
		return strings.ReplaceAll(text, old, to)
	}
	other := "00000000-1111-4222-8333-944445555666"
	for name, answer := range map[string]string{
		"empty":                 "",
		"text":                  "internal error",
		"JSON":                  `{"value":[]}`,
		"web page":              "<!DOCTYPE html><html><body>Sign in</body></html>",
		"cut off":               compliant[:len(compliant)/2],
		"another device":        edit(compliant, asked, other),
		"another inner id":      edit(compliant, "<Attributes><guid>"+asked, "<Attributes><guid>"+other),
		"no id":                 edit(compliant, "<guid>"+asked+"</guid>", ""),
		"id is no guid":         edit(compliant, asked, "all"),
		"empty inner id":        edit(compliant, "<Attributes><guid>"+asked, "<Attributes><guid>"),
		"MAC address instead":   edit(edit(compliant, "<guid>", "<macaddress>"), "</guid>", "</macaddress>"),
		"other device beside":   edit(compliant, "<deviceList>", "<deviceList><device><guid>"+other+"</guid></device>"),
		"nil device":            edit(empty, "<deviceList>", `<deviceList><device i:nil="true"/>`),
		"nil list":              edit(empty, "<deviceList></deviceList>", `<deviceList i:nil="true"/>`),
		"no list":               edit(empty, "<deviceList></deviceList>", ""),
		"error in the list":     edit(empty, "<deviceList>", "<deviceList><error>500</error>"),
		"two lists":             edit(empty, "<deviceList>", "<deviceList></deviceList><deviceList>"),
		"other kind":            answerFile(t, "mdminfo"),
		"other kind, a list":    edit(empty, "<name>attributes", "<name>mdmerror"),
		"other root":            "<Error><deviceList></deviceList></Error>",
		"two documents":         empty + empty,
		"text behind":           empty + "x",
		"two status":            edit(compliant, "<status>true</status>", "<status>false</status><status>true</status>"),
		"two Attributes":        edit(compliant, "</Attributes>", "</Attributes><Attributes><register_status>true</register_status></Attributes>"),
		"element in a value":    edit(compliant, "<status>true", "<status><b/>true"),
		"long value":            edit(compliant, "<status>true", "<status>"+strings.Repeat("true ", 100)),
		"document type":         "<!DOCTYPE ise_api>" + empty,
		"entity":                edit(compliant, "<status>true", "<status>&ok;"),
		"other encoding":        `<?xml version="1.0" encoding="utf-16"?>` + empty,
		"deep":                  strings.Repeat("<ise_api>", 20) + strings.Repeat("</ise_api>", 20),
		"deep below":            edit(empty, "<deviceList>", strings.Repeat("<a>", 20)+strings.Repeat("</a>", 20)+"<deviceList>"),
		"many":                  edit(empty, "<deviceList>", "<deviceList>"+strings.Repeat("<device><guid>"+asked+"</guid></device>", 17)),
		"larger than an answer": edit(empty, "<deviceList>", "<deviceList>"+strings.Repeat(" ", maxBody)),
	} {
		t.Run(name, func(t *testing.T) {
			f := newFake(t)
			f.says(200, answer)
			s, done := newSource(t, f)
			defer done()
			v, err := s.Lookup(t.Context(), askedKey)
			if err == nil || errors.Is(err, source.ErrUnknownDevice) {
				t.Fatalf("got %+v, %v; want an error that is not \"unknown\"", v.Device, err)
			}
			if strings.Contains(err.Error(), other) {
				t.Errorf("error repeats another device's id: %v", err)
			}
			if st := s.Stats(); st.Failed != 1 {
				t.Errorf("stats %+v", st)
			}
		})
	}
}

func TestRequest(t *testing.T) {
	f := newFake(t)
	f.lists(entry("ComplianceRetrievalService", unit1+"/"))
	s, done := newSource(t, f)
	defer done()
	if _, err := s.Lookup(t.Context(), askedKey); err != nil {
		t.Fatal(err)
	}
	r := f.requests[0]
	want := unit1 + "/cisco/devices/?filter=all&paging=0&querycriteria=guid&value=" + asked
	if got := r.URL.String(); got != want || r.Method != http.MethodGet || r.Header.Get("Accept") != "application/xml" {
		t.Errorf("asked %s %s as %s, want %s", r.Method, got, r.Header.Get("Accept"), want)
	}
	if r.Header.Get("Authorization") != "Bearer aaaa.bbbb.cccc" || r.Header.Get("client-request-id") == "" {
		t.Errorf("header %v", r.Header)
	}
}

// Ids that the service cannot have cost no call.
func TestOtherIDs(t *testing.T) {
	f := newFake(t)
	s, done := newSource(t, f)
	defer done()
	for _, k := range []decision.Key{
		{Kind: decision.KindEntra, Value: asked},
		{Kind: decision.KindSerial, Value: "SN1"},
		{Kind: decision.KindIntune, Value: "all&querycriteria=compliance"},
		{Kind: decision.KindIntune, Value: strings.ToUpper(asked)},
		{},
	} {
		if _, err := s.Lookup(t.Context(), k); !errors.Is(err, source.ErrUnknownDevice) {
			t.Errorf("%v: %v, want unknown device", k, err)
		}
	}
	if found, devices := f.counts(); found+devices != 0 {
		t.Errorf("%d discoveries and %d calls, want none", found, devices)
	}
}

func TestServiceErrors(t *testing.T) {
	for _, tt := range []struct {
		status int
		kind   msgraph.Kind
	}{
		{400, msgraph.KindBadRequest},
		{403, msgraph.KindPermission},
		{404, msgraph.KindNotFound},
		{429, msgraph.KindThrottled},
		{500, msgraph.KindUnavailable},
	} {
		bubble(t, func(t *testing.T, f *fakeService, s *Source) {
			f.says(tt.status, "<Error><Code>x</Code></Error>")
			err := look(t, s)
			var me *msgraph.Error
			var throttled *source.ThrottledError
			if !errors.As(err, &me) || me.Kind != tt.kind || errors.Is(err, source.ErrUnknownDevice) {
				t.Errorf("status %d: %v, want kind %v", tt.status, err, tt.kind)
			}
			if errors.As(err, &throttled) != (tt.status == 429) {
				t.Errorf("status %d: %v, throttled is for 429", tt.status, err)
			}
		})
	}
}

func TestNew(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("a source without a client")
	}
	s, done := newSource(t, newFake(t))
	defer done()
	if got, want := s.Facts(), decision.Facts(decision.FactCompliance, decision.FactManaged); got != want {
		t.Errorf("facts %b, want %b", got, want)
	}
}

func FuzzDecode(f *testing.F) {
	for _, name := range []string{
		"v3-compliant", "v3-noncompliant", "v3-not-evaluated", "v3-status-nil", "v3-unregistered", "v3-empty",
		"v3-two-records", "v2-compliant", "v2-empty", "mdminfo",
	} {
		f.Add([]byte(answerFile(f, name)))
	}
	service := newFake(f)
	s, done := newSource(f, service)
	f.Cleanup(done)
	f.Fuzz(func(t *testing.T, body []byte) {
		rows, err := decode(body)
		if err != nil {
			if len(rows) > 0 {
				t.Error("rows beside an error")
			}
			return
		}
		text := strings.ToLower(string(body))
		if !strings.Contains(text, "devicelist") || len(rows) > maxRows {
			t.Errorf("%d rows of an answer without a list", len(rows))
		}
		v, err := s.judge(rows, askedKey)
		switch {
		case errors.Is(err, source.ErrUnknownDevice):
			if len(rows) > 0 && !strings.Contains(text, "register_status") {
				t.Error("a record without a word of registration is unknown")
			}
			return
		case err != nil:
			return
		}
		if len(v.Keys) != 1 || v.Keys[0] != askedKey {
			t.Errorf("ids %v", v.Keys)
		}
		if v.Compliance == decision.Compliant && (v.Managed != decision.Yes || !strings.Contains(text, "status")) {
			t.Errorf("compliant without a word of it: %+v", v.Device)
		}
		if err := source.NewBuilder(1).Add(&v); err != nil {
			t.Errorf("no table takes it: %v", err)
		}
	})
}

func FuzzEndpoint(f *testing.F) {
	f.Add([]byte(entry("ComplianceRetrievalService", unit1)))
	f.Add([]byte(`{"providerName":null,"serviceName":"ComplianceRetrievalService","uri":"` + unit2 + `"}`))
	f.Add([]byte(entry("NACAPIService", unit1)))
	f.Add([]byte(entry("complianceretrievalservice", "https://fef.unit1.manage.intune.example.attacker.example/x")))
	f.Add([]byte(entry("complianceretrievalservice", "https://user@fef.unit1.manage.intune.example/%2e%2e/x?y")))
	s, done := newSource(f, newFake(f))
	f.Cleanup(done)
	f.Fuzz(func(t *testing.T, raw []byte) {
		uri, ok := endpoint(raw)
		if !ok || s.service.check(uri) != nil {
			return
		}
		u, err := url.Parse(strings.TrimRight(uri, "/") + "/cisco/devices/")
		if err != nil {
			t.Fatalf("%q: %v", uri, err)
		}
		host := strings.ToLower(u.Hostname())
		if u.Scheme != "https" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
			host != "graph.example" && !strings.HasSuffix(host, ".manage.intune.example") {
			t.Errorf("a token would go to %q", uri)
		}
	})
}
