package configmgr

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

const (
	entraOne = "5d0c1b7e-2f64-4a1b-9d0e-6a3f1c2b4d5e"
	entraTwo = "6e1d2c8f-3a75-4b2c-8e1f-7b4a2d3c5e6f"
	sidOne   = "S-1-5-21-1004336348-1177238915-682003330-1104"
)

// sweepOf runs one Sync and returns its devices by name.
func sweepOf(t *testing.T, s *Source) map[string]decision.Verdict {
	t.Helper()
	devices, bad := sweepAll(t, s)
	if len(bad) > 0 {
		t.Errorf("bad rows: %v", bad)
	}
	return devices
}

func sweepAll(t *testing.T, s *Source) (map[string]decision.Verdict, []source.BadRow) {
	t.Helper()
	sw := source.NewSweep(0)
	if err := s.Sync(t.Context(), sw); err != nil {
		t.Fatalf("Sync: %v", err)
	}
	_, bad := sw.BadRows()
	table, err := sw.Table()
	if err != nil {
		t.Fatal(err)
	}
	if n := table.AmbiguousKeys(); n > 0 {
		t.Errorf("%d ambiguous ids", n)
	}
	devices := map[string]decision.Verdict{}
	for _, v := range table.All() {
		devices[v.Name] = v
	}
	return devices, bad
}

func syncError(t *testing.T, s *Source) error {
	t.Helper()
	return s.Sync(t.Context(), source.NewSweep(0))
}

func TestSyncJoinsClasses(t *testing.T) {
	site := newFakeSite(t)
	site.add(100, strings.ToUpper(entraOne), sidOne)
	_, ill := site.add(101, entraTwo, "")
	ill["EPInfectionStatus"] = "4" // a number as a string
	site.update(101, 16900002, "5031999", updateMissing)
	site.add(102, "00000000-0000-0000-0000-000000000000", "")
	s := site.source(t)
	got := sweepOf(t, s)
	if len(got) != 3 {
		t.Fatalf("%d devices, want 3", len(got))
	}
	well := got["LT-0100"]
	wantKeys := []decision.Key{
		{Kind: decision.KindConfigMgr, Value: "guid:00000064-0000-4000-8000-00000000c0de"},
		{Kind: decision.KindEntra, Value: entraOne},
		{Kind: decision.KindSID, Value: strings.ToLower(sidOne)},
	}
	if !slices.Equal(well.Keys, wantKeys) {
		t.Errorf("ids %v, want %v", well.Keys, wantKeys)
	}
	if well.Compliance != decision.Compliant || well.Updated != decision.Yes || well.Channel != decision.ChannelCoManaged {
		t.Errorf("healthy device: %s, updated %s, channel %s", well.Compliance, well.Updated, well.Channel)
	}
	if well.OSVersion != (decision.Version{10, 0, 26200, 7171}) || well.Platform != decision.Windows {
		t.Errorf("os %s %s", well.Platform, well.OSVersion)
	}
	bad := got["LT-0101"]
	if bad.Compliance != decision.NonCompliant || bad.Malware != decision.Yes || bad.Risk != decision.LevelHigh || bad.Updated != decision.No {
		t.Errorf("ill device: %s, malware %s, risk %s, updated %s", bad.Compliance, bad.Malware, bad.Risk, bad.Updated)
	}
	if names := settingNames(bad.Settings); names != settingInfection+"|KB5031999" {
		t.Errorf("settings %q", names)
	}
	if own := got["LT-0102"].Keys; len(own) != 1 || own[0].Kind != decision.KindConfigMgr {
		t.Errorf("a device without Entra id and SID has ids %v, want its own only", own)
	}
}

func settingNames(settings []decision.Setting) string {
	names := make([]string, 0, len(settings))
	for _, s := range settings {
		names = append(names, s.Name)
	}
	return strings.Join(names, "|")
}

func TestSyncLeavesOut(t *testing.T) {
	for name, change := range map[string]func(system, facts row){
		"obsolete":             func(system, _ row) { system["Obsolete"] = 1 },
		"obsolete elsewhere":   func(_, facts row) { facts["IsObsolete"] = true },
		"decommissioned":       func(system, _ row) { system["Decommissioned"] = "1" },
		"discovered only":      func(system, facts row) { system["Client"], facts["IsClient"] = nil, false },
		"not known to be one":  func(system, facts row) { delete(system, "Client"); delete(facts, "IsClient") },
		"client removed again": func(system, facts row) { system["Client"], facts["IsClient"] = 0, 0 },
	} {
		t.Run(name, func(t *testing.T) {
			site := newFakeSite(t)
			site.add(100, entraOne, "")
			change(site.add(101, entraTwo, ""))
			got := sweepOf(t, site.source(t))
			if keys := slices.Collect(maps.Keys(got)); !slices.Equal(keys, []string{"LT-0100"}) {
				t.Errorf("devices %v, want LT-0100 only", keys)
			}
			_, err := site.source(t).Lookup(t.Context(), decision.Key{Kind: decision.KindEntra, Value: entraTwo})
			if !errors.Is(err, source.ErrUnknownDevice) {
				t.Errorf("Lookup = %v, want unknown device", err)
			}
		})
	}
}

func TestSyncBadRows(t *testing.T) {
	site := newFakeSite(t)
	site.add(100, entraOne, "")
	system, _ := site.add(101, "", "")
	system["SMSUniqueIdentifier"] = nil
	broken, _ := site.add(102, "", "")
	delete(broken, "ResourceID")
	site.classes[classResources] = append(site.classes[classResources], row{"ResourceID": "x"}, row{"ResourceID": 999})
	got, bad := sweepAll(t, site.source(t))
	if len(got) != 1 || len(bad) != 3 {
		t.Errorf("%d devices and bad rows %v, want 1 and 3", len(got), bad)
	}
}

func TestSyncPages(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 4, 6, 7, 31} {
		for _, limit := range []int{0, 2} { // 2: the server has a smaller page than asked for
			site := newFakeSite(t)
			site.limit = limit
			for i := range n {
				site.add(100+i, fmt.Sprintf("%08x-0000-4000-8000-00000000e0e0", i+1), "")
			}
			if got := sweepOf(t, site.source(t)); len(got) != n {
				t.Errorf("%d devices, server's limit %d: got %d", n, limit, len(got))
			}
		}
	}
}

func TestSyncOddServers(t *testing.T) {
	page := func(w http.ResponseWriter, body string) bool {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(body))
		return true
	}
	one := `{"ResourceID":100,"Name":"A","SMSUniqueIdentifier":"GUID:1","Client":1}`
	tests := []struct {
		name  string
		fault func(w http.ResponseWriter, r *http.Request, class string) bool
		want  string // of the error
	}{
		{"does not know $skip", func(w http.ResponseWriter, _ *http.Request, _ string) bool {
			return page(w, `{"value":[`+one+`]}`)
		}, "same page again"},
		{"link to another server", func(w http.ResponseWriter, _ *http.Request, _ string) bool {
			return page(w, `{"value":[`+one+`],"@odata.nextLink":"https://evil.example/x"}`)
		}, "another server"},
		{"link without TLS", func(w http.ResponseWriter, r *http.Request, _ string) bool {
			return page(w, `{"value":[`+one+`],"@odata.nextLink":"http://`+r.Host+`/x"}`)
		}, "another server"},
		{"web page", func(w http.ResponseWriter, _ *http.Request, _ string) bool {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = w.Write([]byte("<html>"))
			return true
		}, "web page"},
		{"no envelope", func(w http.ResponseWriter, _ *http.Request, _ string) bool { return page(w, `{"x":1}`) }, "not JSON of an AdminService"},
		{"cut off", func(w http.ResponseWriter, _ *http.Request, _ string) bool { return page(w, `{"value":[`+one) }, "cut off"},
		{"rows that are none", func(w http.ResponseWriter, _ *http.Request, _ string) bool { return page(w, `{"value":[1]}`) }, "not JSON of an AdminService"},
		{"null", func(w http.ResponseWriter, _ *http.Request, _ string) bool { return page(w, `{"value":null}`) }, "not JSON of an AdminService"},
		{"redirect", func(w http.ResponseWriter, r *http.Request, _ string) bool {
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
			return true
		}, "302 the server sends us elsewhere"},
		{"too large", func(w http.ResponseWriter, _ *http.Request, _ string) bool {
			w.Header().Set("Content-Type", "application/json")
			blank := []byte(strings.Repeat(" ", 1<<20))
			for range maxBody>>20 + 1 {
				_, _ = w.Write(blank)
			}
			return true
		}, "larger than 32 MiB"},
		{"missing class", func(w http.ResponseWriter, _ *http.Request, class string) bool {
			if class != classUpdates {
				return false
			}
			w.WriteHeader(http.StatusNotFound)
			return true
		}, "SMS_UpdateComplianceStatus: 404 no such class"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			site := newFakeSite(t)
			site.fault = tt.fault
			err := syncError(t, site.source(t))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Sync = %v, want an error with %q", err, tt.want)
			}
		})
	}
}

func TestSyncFollowsLinks(t *testing.T) {
	site := newFakeSite(t)
	for i := range 5 {
		site.add(100+i, fmt.Sprintf("%08x-0000-4000-8000-00000000e0e0", i+1), "")
	}
	site.fault = func(w http.ResponseWriter, r *http.Request, class string) bool {
		q := r.URL.Query()
		if class != classSystem || q.Get("$skip") != "" && q.Get("$skiptoken") == "" {
			return false
		}
		rows := site.classes[classSystem][:2]
		link := `,"@odata.nextLink":"/AdminService/wmi/SMS_R_System?$skiptoken=2"`
		if q.Get("$skiptoken") == "2" {
			rows, link = site.classes[classSystem][2:5], ""
		}
		var b strings.Builder
		for i, s := range rows {
			if i > 0 {
				b.WriteByte(',')
			}
			fmt.Fprintf(&b, `{"ResourceID":%d,"Name":%q,"SMSUniqueIdentifier":%q,"Client":true}`, s["ResourceID"], s["Name"], s["SMSUniqueIdentifier"])
		}
		_, _ = fmt.Fprintf(w, `{"value":[%s]%s}`, b.String(), link)
		return true
	}
	if got := sweepOf(t, site.source(t)); len(got) != 5 {
		t.Errorf("%d devices, want 5", len(got))
	}
}

func TestServerWithoutPaging(t *testing.T) {
	site := newFakeSite(t)
	for i := range 5 { // more than a page of 3
		site.add(100+i, fmt.Sprintf("%08x-0000-4000-8000-00000000e0e0", i+1), "")
	}
	site.fault = func(w http.ResponseWriter, r *http.Request, class string) bool {
		if class == classUpdates {
			return false
		}
		writeRows(w, class, site.classes[class])
		return true
	}
	if got := sweepOf(t, site.source(t)); len(got) != 5 {
		t.Errorf("%d devices, want 5", len(got))
	}
}

// TestOlderSite: a version without the newer properties and without co-management.
func TestOlderSite(t *testing.T) {
	site := newFakeSite(t)
	site.add(100, "", sidOne)
	site.set(func() {
		delete(site.classes, classComanagement)
		site.strict = map[string]string{classSystem: systemFields[1], classResources: "ResourceID"}
	})
	s := site.source(t)
	for range 2 {
		v := sweepOf(t, s)["LT-0100"]
		if v.Compliance != decision.Compliant || v.Channel != decision.ChannelUnknown {
			t.Errorf("compliance %s, channel %s, want compliant and unknown", v.Compliance, v.Channel)
		}
	}
	v, err := s.Lookup(t.Context(), decision.Key{Kind: decision.KindSID, Value: strings.ToLower(sidOne)})
	if err != nil || v.Compliance != decision.Compliant {
		t.Errorf("Lookup = %s, %v", v.Compliance, err)
	}
	// A refused list of properties is not sent again: two pages and one refusal each.
	n := 0
	for _, c := range site.seen() {
		if c == classSystem {
			n++
		}
	}
	if n != 1+2+2 {
		t.Errorf("%d requests for %s in two sweeps, want 5", n, classSystem)
	}
}

func TestCapacity(t *testing.T) {
	site := newFakeSite(t)
	s := site.source(t, func(o *Options) { o.Capacity = 1; o.PageSize = 1000 })
	for i := range 4*1 + 1001 {
		site.classes[classSystem] = append(site.classes[classSystem], row{"ResourceID": i})
	}
	if err := syncError(t, s); err == nil || !strings.Contains(err.Error(), "more than 1004 rows") {
		t.Errorf("Sync = %v, want too many rows", err)
	}
}

func TestSyncEndsWithContext(t *testing.T) {
	site := newFakeSite(t)
	site.add(100, entraOne, "")
	s := site.source(t)
	ctx, cancel := context.WithCancel(t.Context())
	site.fault = func(http.ResponseWriter, *http.Request, string) bool { cancel(); return false }
	if err := s.Sync(ctx, source.NewSweep(0)); !errors.Is(err, context.Canceled) {
		t.Errorf("Sync = %v, want canceled", err)
	}
}
