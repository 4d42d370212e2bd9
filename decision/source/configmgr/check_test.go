package configmgr

import (
	"maps"
	"net/http"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// problemsOf are the counters of a source in the form of a map.
func problemsOf(s *Source) map[string]uint64 {
	got := map[string]uint64{}
	for _, v := range s.Counters().Skipped {
		got[v.Field+": "+v.Reason] = v.Count
	}
	return got
}

// TestSkippedValues: every value that counts as unknown because it cannot be used is
// counted, by a sweep and by a look-up alike. What a client never reported is not.
func TestSkippedValues(t *testing.T) {
	next := "2027-12-24T00:00:00Z"
	one := func(what string) map[string]uint64 { return map[string]uint64{what: 1} }
	type counted = map[string]uint64
	tests := []struct {
		name          string
		system, facts row
		want          counted
		compliance    decision.Compliance
	}{
		{"healthy", nil, nil, counted{}, decision.Compliant},
		{"never reported", nil, row{
			"ClientActiveStatus": nil, "ClientCheckPass": nil, "LastActiveTime": nil, "LastClientCheckTime": nil, "EPEnabled": nil,
			"EPDeploymentState": nil, "EPInfectionStatus": nil, "EPAntivirusSignatureLastUpdateDateTime": nil, "DeviceOwner": nil,
		}, counted{}, decision.ComplianceUnknown},
		{"never set", row{"AADDeviceID": "00000000-0000-0000-0000-000000000000", "SID": "S-1-12-1-2-3", "Build": "10.0"}, row{
			"LastDDR": "1980-01-01T00:00:00Z", "EPInfectionStatus": 0, "ClientCheckPass": 3, "DeviceOwner": 0, "DeviceOSBuild": "",
		}, counted{}, decision.ComplianceUnknown},
		{"unknown numbers", nil, row{"ClientActiveStatus": 7, "ClientCheckPass": -1, "DeviceOwner": "9", "EPDeploymentState": 6, "EPInfectionStatus": 77}, counted{
			"ClientActiveStatus: unknown value": 1, "ClientCheckPass: unknown value": 1, "DeviceOwner: unknown value": 1,
			"EPDeploymentState: unknown value": 1, "EPInfectionStatus: unknown value": 1,
		}, decision.ComplianceUnknown},
		{"unknown words", nil, row{"IsBlocked": "maybe", "EPEnabled": 2, "DeviceOS": "TempleOS 5", "DeviceOSBuild": "10.0.x.y"}, counted{
			"IsBlocked: unknown value": 1, "EPEnabled: unknown value": 1, "DeviceOS: unknown value": 1, "DeviceOSBuild: bad text": 1,
		}, decision.ComplianceUnknown},
		{"wrong types", row{"NetbiosName": []int{1}, "Decommissioned": row{}}, row{
			"IsBlocked": row{}, "ClientCheckPass": "passed", "LastActiveTime": []int{1}, "DeviceOS": row{}, "IsObsolete": []int{},
		}, counted{
			"NetbiosName: wrong type": 1, "Decommissioned: wrong type": 1, "IsBlocked: wrong type": 1, "ClientCheckPass: wrong type": 1,
			"LastActiveTime: wrong type": 1, "DeviceOS: wrong type": 1, "IsObsolete: wrong type": 1,
		}, decision.ComplianceUnknown},
		{"cleaned, what is pending is unclear", nil, row{"EPInfectionStatus": 2, "EPPendingReboot": "soon"}, one("EPPendingReboot: unknown value"), decision.ComplianceUnknown},
		{"bad date", nil, row{"EPAntivirusSignatureLastUpdateDateTime": "yesterday"}, one("EPAntivirusSignatureLastUpdateDateTime: bad date"), decision.Compliant},
		{"future", nil, row{"LastActiveTime": next, "LastPolicyRequest": next, "LastDDR": next, "LastClientCheckTime": next, "EPAntivirusSignatureLastUpdateDateTime": next}, counted{
			"LastActiveTime: in the future": 1, "LastPolicyRequest: in the future": 1, "LastDDR: in the future": 1,
			"LastClientCheckTime: in the future": 1, "EPAntivirusSignatureLastUpdateDateTime: in the future": 1,
		}, decision.Compliant},
		{"bad ids", row{"AADDeviceID": "none", "SID": "nonsense"}, nil, counted{"AADDeviceID: bad id": 1, "SID: bad id": 1}, decision.Compliant},
		{"half a row", nil, row{"IsBlocked": nil}, one("IsBlocked: missing"), decision.ComplianceUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			site := newFakeSite(t)
			system, facts := site.add(100, entraOne, sidOne)
			maps.Copy(system, tt.system)
			maps.Copy(facts, tt.facts)
			s := site.source(t)
			v := sweepOf(t, s)["LT-0100"]
			if v.Compliance != tt.compliance {
				t.Errorf("compliance %s, want %s", v.Compliance, tt.compliance)
			}
			if got := problemsOf(s); !maps.Equal(got, tt.want) {
				t.Errorf("the sweep counts %v, want %v", got, tt.want)
			}
			if tt.name == "future" && (!v.LastCheckIn.IsZero() || v.Antivirus != decision.Unknown) {
				t.Errorf("a date of the future counts: checked in %s, antivirus %s", v.LastCheckIn, v.Antivirus)
			}
			sweepOf(t, s)
			if got := problemsOf(s); !maps.Equal(got, tt.want) {
				t.Errorf("after two sweeps: %v, want those of the last one %v", got, tt.want)
			}
			alone := site.source(t) // no sweep before
			if _, err := alone.Lookup(t.Context(), decision.Key{Kind: decision.KindConfigMgr, Value: "guid:00000064-0000-4000-8000-00000000c0de"}); err != nil {
				t.Fatal(err)
			}
			if got := problemsOf(alone); !maps.Equal(got, tt.want) {
				t.Errorf("the look-up counts %v, want %v", got, tt.want)
			}
		})
	}
}

// TestSkippedRows: what is wrong with whole rows, beside each other or one by one.
func TestSkippedRows(t *testing.T) {
	more := func(class string, rows ...row) func(*fakeSite) {
		return func(f *fakeSite) { f.classes[class] = append(f.classes[class], rows...) }
	}
	again := func(f *fakeSite, class string, change row) {
		r := maps.Clone(f.classes[class][0])
		maps.Copy(r, change)
		f.classes[class] = append(f.classes[class], r)
	}
	tests := []struct {
		name   string
		change func(*fakeSite)
		want   map[string]uint64
		check  func(*decision.Verdict) bool
	}{
		{"rows twice", func(f *fakeSite) {
			for _, class := range []string{classSystem, classResources, classComanagement, classUpdates} {
				again(f, class, nil)
			}
		}, map[string]uint64{}, func(v *decision.Verdict) bool {
			return v.Compliance == decision.Compliant && v.Channel == decision.ChannelCoManaged
		}},
		{
			"no row of facts", func(f *fakeSite) { f.classes[classResources] = nil },
			map[string]uint64{classResources + ": missing": 1},
			func(v *decision.Verdict) bool { return v.Compliance == decision.ComplianceUnknown },
		},
		{
			"facts disagree", func(f *fakeSite) {
				again(f, classResources, row{"ClientCheckPass": 2, "DeviceOwner": 2, "EPEnabled": false, "DeviceOSBuild": "10.0.1.1"})
			},
			map[string]uint64{"ClientCheckPass: rows disagree": 1, "DeviceOwner: rows disagree": 1, "EPEnabled: rows disagree": 1, "DeviceOSBuild: rows disagree": 1},
			func(v *decision.Verdict) bool {
				return v.Compliance == decision.ComplianceUnknown && v.Ownership == decision.OwnershipUnknown
			},
		},
		{
			"facts disagree, the second has none", func(f *fakeSite) { again(f, classResources, row{"ClientActiveStatus": nil}) },
			map[string]uint64{"ClientActiveStatus: rows disagree": 1},
			func(v *decision.Verdict) bool { return v.Compliance == decision.ComplianceUnknown },
		},
		{"a block stays", func(f *fakeSite) {
			again(f, classResources, nil)
			f.classes[classResources][0]["IsBlocked"] = true
		}, map[string]uint64{"IsBlocked: rows disagree": 1}, func(v *decision.Verdict) bool {
			return v.Enabled == decision.No && v.Compliance == decision.NonCompliant
		}},
		{"an infection stays", func(f *fakeSite) {
			again(f, classResources, nil)
			f.classes[classResources][0]["EPInfectionStatus"] = 4
		}, map[string]uint64{"EPInfectionStatus: rows disagree": 1}, func(v *decision.Verdict) bool { return v.Malware == decision.Yes && v.Risk == decision.LevelHigh }},
		{
			"the earlier date counts", func(f *fakeSite) { again(f, classResources, row{"LastActiveTime": "2026-11-19T07:58:00Z"}) },
			map[string]uint64{},
			func(v *decision.Verdict) bool { return v.LastCheckIn.Day() == 19 },
		},
		{
			"ids disagree", func(f *fakeSite) { again(f, classSystem, row{"AADDeviceID": entraTwo, "SID": nil}) },
			map[string]uint64{"AADDeviceID: rows disagree": 1, "SID: rows disagree": 1},
			func(v *decision.Verdict) bool { return len(v.Keys) == 1 && v.Keys[0].Kind == decision.KindConfigMgr },
		},
		{
			"co-management disagrees", func(f *fakeSite) { again(f, classComanagement, row{"MDMEnrolled": false}) },
			map[string]uint64{classComanagement + ": rows disagree": 1},
			func(v *decision.Verdict) bool { return v.Channel == decision.ChannelUnknown },
		},
		{"co-management without an id", more(classComanagement, row{"MDMEnrolled": true}), map[string]uint64{classComanagement + ": missing": 1}, nil},
		{"co-management is odd", func(f *fakeSite) {
			f.classes[classComanagement][0]["MDMEnrolled"], f.classes[classComanagement][0]["ComgmtPolicyPresent"] = "perhaps", row{}
		}, map[string]uint64{"MDMEnrolled: unknown value": 1, "ComgmtPolicyPresent: wrong type": 1}, func(v *decision.Verdict) bool { return v.Channel == decision.ChannelUnknown }},
		{"facts of a printer", func(f *fakeSite) {
			f.classes[classSystem] = append(f.classes[classSystem], row{"ResourceID": 7, "Client": 0})
			f.classes[classResources] = append(f.classes[classResources], row{"ResourceID": 7, "IsClient": false, "DeviceOS": "Printer", "IsBlocked": nil})
		}, map[string]uint64{}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			site := newFakeSite(t)
			site.add(100, entraOne, sidOne)
			site.set(func() { tt.change(site) })
			s := site.source(t)
			v := sweepOf(t, s)["LT-0100"]
			if got := problemsOf(s); !maps.Equal(got, tt.want) {
				t.Errorf("counts %v, want %v", got, tt.want)
			}
			if tt.check != nil && !tt.check(&v) {
				t.Errorf("verdict %+v", v)
			}
		})
	}
	t.Run("one row says that the device is gone", func(t *testing.T) {
		site := newFakeSite(t)
		site.add(99, entraTwo, "")
		site.add(100, entraOne, sidOne)
		site.set(func() {
			r := maps.Clone(site.classes[classSystem][1])
			r["Obsolete"] = 1
			site.classes[classSystem] = append(site.classes[classSystem], r)
		})
		s := site.source(t)
		if got := sweepOf(t, s); len(got) != 1 || problemsOf(s)[classSystem+": rows disagree"] != 1 {
			t.Errorf("%d devices, counts %v, want 1 device and one disagreement", len(got), problemsOf(s))
		}
	})
}

// TestUnnamedUpdateRows: where updates are named, a row that does not say which one
// it is about may be about one of them.
func TestUnnamedUpdateRows(t *testing.T) {
	for name, tt := range map[string]struct {
		odd  row
		what string
	}{
		"no CI":         {row{"MachineID": 100, "CI_ID": nil, "ArticleID": nil, "Status": 2}, "CI_ID: missing"},
		"odd CI":        {row{"MachineID": 100, "CI_ID": row{}, "ArticleID": nil, "Status": 2}, "CI_ID: wrong type"},
		"odd article":   {row{"MachineID": 100, "CI_ID": 7, "ArticleID": row{}, "Status": 2}, "ArticleID: wrong type"},
		"odd status":    {row{"MachineID": 100, "CI_ID": 16900001, "ArticleID": "5031356", "Status": 8}, "Status: unknown value"},
		"wrong status":  {row{"MachineID": 100, "CI_ID": 16900001, "ArticleID": "5031356", "Status": "new"}, "Status: wrong type"},
		"status absent": {row{"MachineID": 100, "CI_ID": 16900001, "ArticleID": "5031356"}, "Status: missing"},
	} {
		t.Run(name, func(t *testing.T) {
			site := newFakeSite(t)
			site.add(100, entraOne, "")
			site.classes[classUpdates] = append(site.classes[classUpdates], tt.odd)
			s := site.source(t, func(o *Options) { o.Updates = []int{16900001} })
			v, err := s.Lookup(t.Context(), entraKey(entraOne))
			if err != nil || v.Updated != decision.Unknown || v.Compliance != decision.ComplianceUnknown {
				t.Errorf("updated %s, compliance %s, %v; want unknown", v.Updated, v.Compliance, err)
			}
			if got := problemsOf(s); got[tt.what] != 1 || len(got) != 1 {
				t.Errorf("counts %v, want %s", got, tt.what)
			}
		})
	}
}

func TestAnswersAboutOthersAreCounted(t *testing.T) {
	site := newFakeSite(t)
	site.add(100, entraOne, "")
	site.add(101, entraTwo, "")
	site.fault = func(w http.ResponseWriter, _ *http.Request, class string) bool {
		if class != classResources && class != classComanagement {
			return false
		}
		writeRows(w, class, site.classes[class][1:])
		return true
	}
	s := site.source(t)
	v, err := s.Lookup(t.Context(), entraKey(entraOne))
	if err != nil || v.Compliance != decision.ComplianceUnknown || v.Channel != decision.ChannelUnknown {
		t.Errorf("compliance %s, channel %s, %v; want unknown", v.Compliance, v.Channel, err)
	}
	want := map[string]uint64{classResources + ": about another device": 1, classResources + ": missing": 1, classComanagement + ": about another device": 1}
	if got := problemsOf(s); !maps.Equal(got, want) {
		t.Errorf("counts %v, want %v", got, want)
	}
}

func TestStats(t *testing.T) {
	site := newFakeSite(t)
	site.add(100, entraOne, "")
	site.add(101, entraOne, "") // installed anew
	site.add(102, entraTwo, "")
	nameless, facts := site.add(103, "", "")
	nameless["SMSUniqueIdentifier"], facts["LastDDR"] = nil, "later"
	site.classes[classUpdates] = site.classes[classUpdates][:2]
	s := site.source(t)
	if st := s.Stats(); st.Devices != 0 || !st.Complete.IsZero() || len(s.Counters().Skipped) != 0 {
		t.Errorf("before the first listing: %+v", st)
	}
	sweepAll(t, s)
	st := s.Stats()
	if st.Devices != 2 || st.Duplicates != 1 || st.Bad != 1 || st.NeverScanned != 2 || !st.Complete.Equal(now) || st.Problems["LastDDR: bad date"] != 1 {
		t.Errorf("%+v", st)
	}
	st.Problems["mine"] = 1
	if own, ok := s.Counters().Own.(Stats); !ok || len(own.Problems) != 1 {
		t.Errorf("counters %+v, want those of the source", own)
	}
	site.set(func() {
		site.fault = func(w http.ResponseWriter, _ *http.Request, _ string) bool {
			w.WriteHeader(http.StatusForbidden)
			return true
		}
	})
	if err := syncError(t, s); err == nil {
		t.Fatal("Sync of a site that refuses")
	}
	if st := s.Stats(); st.Devices != 2 {
		t.Errorf("after a failed listing: %+v, want the last good one", st)
	}
}

// TestStatusShowsSkippedValues: what the runner hands to operators and metrics.
func TestStatusShowsSkippedValues(t *testing.T) {
	site := newFakeSite(t)
	_, facts := site.add(100, entraOne, "")
	facts["EPInfectionStatus"] = 9
	r := source.NewRunner(site.source(t), source.RunnerOptions{Name: "cm"})
	if err := r.SyncNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := source.SkippedValue{Field: "EPInfectionStatus", Reason: unknownValue, Count: 1}
	if c := r.Status().Counters; c == nil || len(c.Skipped) != 1 || c.Skipped[0] != want {
		t.Errorf("status has %+v, want %+v", c, want)
	}
}
