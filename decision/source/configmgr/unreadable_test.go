package configmgr

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// healthyRow is a row of both classes about a device with nothing to say against it.
func healthyRow(change row) row {
	r := row{
		"ResourceID": 100, "SMSUniqueIdentifier": "GUID:1", "Client": 1, "DeviceOS": "Microsoft Windows NT Workstation 10.0",
		"DeviceOSBuild": "10.0.26200.7171", "IsClient": 1, "IsBlocked": 0, "ClientActiveStatus": 1, "ClientCheckPass": 1, "DeviceOwner": 1,
		"EPEnabled": 1, "EPAntivirusEnabled": 1, "EPDeploymentState": 3, "EPInfectionStatus": 1,
		"EPAntivirusSignatureLastUpdateDateTime": "2026-11-20T04:12:00Z", "LastActiveTime": "2026-11-21T07:58:00Z",
	}
	for k, v := range change {
		r[k] = v
	}
	return r
}

func read[T any](t *testing.T, r row) (v T) {
	t.Helper()
	b, err := json.Marshal(r)
	if err == nil {
		v, err = decode[T](b)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// names lists the facts of a set.
func names(set decision.FactSet) (list []string) {
	for f := range decision.NumFacts {
		if set.Has(f) {
			list = append(list, f.String())
		}
	}
	return list
}

// TestUnreadable: what nobody can read is unknown, counted and unreadable; what the
// site does not know is not.
func TestUnreadable(t *testing.T) {
	set := decision.Facts
	const verdict = decision.FactCompliance
	infected := set(verdict, decision.FactMalware, decision.FactRisk)
	for _, tt := range []struct {
		name   string
		change row
		want   decision.FactSet
	}{
		{"healthy", nil, 0},
		{"block of another type", row{"IsBlocked": []int{1}}, set(verdict, decision.FactEnabled)},
		{"block of another word", row{"IsBlocked": "maybe"}, set(verdict, decision.FactEnabled)},
		{"no word about a block, which the site always has", row{"IsBlocked": nil}, set(verdict)}, // others may know
		{"blocked", row{"IsBlocked": true}, 0},
		{"activity of the future", row{"ClientActiveStatus": 7}, set(verdict, decision.FactSensor)},
		{"activity not reported", row{"ClientActiveStatus": nil}, 0},
		{"inactive", row{"ClientActiveStatus": 0}, 0},
		{"check of the future", row{"ClientCheckPass": 9}, set(verdict)},
		{"check of the future, and inactive", row{"ClientCheckPass": 9, "ClientActiveStatus": 0}, 0},
		{"check not run", row{"ClientCheckPass": 3}, 0},
		{"check not reported", row{"ClientCheckPass": nil}, 0},
		{"system of the future", row{"DeviceOS": "Plan 9"}, set(decision.FactOS)},
		{"system not reported", row{"DeviceOS": nil}, 0},
		{"build as word, of a known system", row{"DeviceOSBuild": "a.b.c"}, 0},
		{"owner of the future", row{"DeviceOwner": 3}, set(decision.FactOwnership)},
		{"owner unknown", row{"DeviceOwner": 0}, 0},
		{"infection of the future", row{"EPInfectionStatus": 9}, infected},
		{"infection of another type", row{"EPInfectionStatus": "bad"}, infected},
		{"infection of the future, protection off", row{"EPInfectionStatus": 9, "EPEnabled": 0}, infected},
		{"infection unknown", row{"EPInfectionStatus": 0}, 0},
		{"infection not reported", row{"EPInfectionStatus": nil}, 0},
		{"cleaned, and something odd is pending", row{"EPInfectionStatus": 2, "EPPendingReboot": "soon"}, infected},
		{"cleaned, and something is pending", row{"EPInfectionStatus": 2, "EPPendingReboot": "soon", "EPPendingFullScan": 1}, 0},
		{"cleaned, protection off", row{"EPInfectionStatus": 2, "EPPendingReboot": "soon", "EPEnabled": 0}, 0},
		{"protection of another word", row{"EPEnabled": "half", "EPDeploymentState": nil}, set(decision.FactAntivirus)},
		{"protection and infection", row{"EPEnabled": "half", "EPDeploymentState": nil, "EPInfectionStatus": 0}, set(verdict, decision.FactAntivirus)},
		{"deployment of the future", row{"EPEnabled": nil, "EPDeploymentState": 6}, set(decision.FactAntivirus)},
		{"antivirus of another word", row{"EPAntivirusEnabled": "half"}, set(decision.FactAntivirus)},
		{"antivirus of another word, not managed", row{"EPAntivirusEnabled": "half", "EPEnabled": 0}, 0},
		{"antivirus not reported", row{"EPAntivirusEnabled": nil}, 0},
		{"signatures of tomorrow", row{"EPAntivirusSignatureLastUpdateDateTime": "2027-01-01T00:00:00Z"}, set(decision.FactAntivirus)},
		{"no signatures", row{"EPAntivirusSignatureLastUpdateDateTime": nil}, 0},
		{"last seen tomorrow", row{"LastActiveTime": "2027-01-01T00:00:00Z"}, set(decision.FactCheckIn)},
		{"last seen tomorrow, and heard before", row{"LastActiveTime": "2027-01-01T00:00:00Z", "LastDDR": "2026-11-20T00:00:00Z"}, 0},
		{"never seen", row{"LastActiveTime": nil}, 0},
	} {
		c := &checks{now: now, tally: map[string]int{}}
		system, facts := read[systemRow](t, healthyRow(nil)), read[resourceRow](t, healthyRow(tt.change))
		r := newRecord(&system)
		r.addFacts(c, &facts)
		r.scan = scan{done: true}
		c.client(r)
		v := judge{now: now, signatureAge: DefaultSignatureAge}.verdict(r)
		if v.Unreadable != tt.want {
			t.Errorf("%s: unreadable %v, want %v", tt.name, names(v.Unreadable), names(tt.want))
		}
		if tt.want != 0 && len(c.counted()) == 0 {
			t.Errorf("%s: nothing is counted", tt.name)
		}
	}
}

// TestUnreadableUpdates: a row about an update that nobody can read may be one that
// is missing. That the site does not know, it may say.
func TestUnreadableUpdates(t *testing.T) {
	both := decision.Facts(decision.FactUpdated, decision.FactCompliance)
	for _, tt := range []struct {
		name   string
		status []any
		none   bool
		want   decision.FactSet
	}{
		{"never scanned", nil, false, 0},
		{"unknown", []any{3, 0}, false, 0},
		{"of the future", []any{3, 7}, false, both},
		{"null", []any{nil}, false, both},
		{"of the future, and one is missing", []any{7, 2}, false, 0},
		{"nobody asks", []any{7}, true, 0},
	} {
		c := &checks{now: now, tally: map[string]int{}}
		system, facts := read[systemRow](t, healthyRow(nil)), read[resourceRow](t, healthyRow(nil))
		r := newRecord(&system)
		r.addFacts(c, &facts)
		for _, status := range tt.status {
			u := read[updateRow](t, row{"MachineID": 100, "CI_ID": 1, "Status": status})
			c.update(&u)
			r.scan.add(&u)
		}
		if v := (judge{now: now, signatureAge: DefaultSignatureAge, noUpdates: tt.none}).verdict(r); v.Unreadable != tt.want {
			t.Errorf("%s: unreadable %v, want %v", tt.name, names(v.Unreadable), names(tt.want))
		}
	}
}

// TestUnreadableRows: half a record, rows of one device that disagree, and another
// record of it.
func TestUnreadableRows(t *testing.T) {
	c := &checks{now: now, tally: map[string]int{}}
	j := judge{now: now, signatureAge: DefaultSignatureAge}
	blocked := decision.Facts(decision.FactEnabled, decision.FactCompliance)
	twice := func(first, again row) decision.Verdict {
		system, a, b := read[systemRow](t, healthyRow(nil)), read[resourceRow](t, healthyRow(first)), read[resourceRow](t, healthyRow(again))
		r := newRecord(&system)
		r.addFacts(c, &a)
		r.addFacts(c, &b)
		r.scan = scan{done: true}
		return j.verdict(r)
	}
	system := read[systemRow](t, healthyRow(nil))
	if v := j.verdict(newRecord(&system)); v.Unreadable != decision.Facts(decision.FactCompliance) || v.Enabled != decision.Unknown {
		t.Errorf("half a record: unreadable %v", names(v.Unreadable))
	}
	for _, tt := range []struct {
		name         string
		first, again row
		want         decision.FactSet
	}{
		{"the same", nil, nil, 0},
		{"owner", row{"DeviceOwner": 2}, nil, decision.Facts(decision.FactOwnership)},
		{"system", row{"DeviceOS": "Mac OS X 14.5"}, nil, decision.Facts(decision.FactOS)},
		{"block", row{"IsBlocked": 1}, nil, 0}, // one of them is enough
		{"no block, and nothing", row{"IsBlocked": nil}, nil, blocked},
		{"no block twice", row{"IsBlocked": nil}, row{"IsBlocked": nil}, decision.Facts(decision.FactCompliance)},
		{"nothing, and what nobody can read", row{"DeviceOwner": nil, "IsBlocked": nil}, row{"DeviceOwner": 9, "IsBlocked": "x"}, blocked | decision.Facts(decision.FactOwnership)},
		{"last seen tomorrow", row{}, row{"LastActiveTime": "2027-01-01T00:00:00Z"}, decision.Facts(decision.FactCheckIn)},
	} {
		for order, v := range map[string]decision.Verdict{"one way": twice(tt.first, tt.again), "the other": twice(tt.again, tt.first)} {
			if v.Unreadable != tt.want {
				t.Errorf("%s, %s: unreadable %v, want %v", tt.name, order, names(v.Unreadable), names(tt.want))
			}
		}
	}
	older := func(change row) decision.Verdict {
		var records []*record
		for i, change := range []row{{}, change} {
			change["ResourceID"] = 100 - i
			system, facts := read[systemRow](t, healthyRow(change)), read[resourceRow](t, healthyRow(change))
			r := newRecord(&system)
			r.addFacts(c, &facts)
			r.scan = scan{done: true}
			records = append(records, r)
		}
		kept, _ := devices(records)
		if len(kept) != 1 {
			t.Fatalf("%d devices", len(kept))
		}
		return j.verdict(kept[0])
	}
	if v := older(row{}); v.Unreadable != 0 || v.Compliance != decision.Compliant {
		t.Errorf("a healthy older record: %s, unreadable %v", v.Compliance, names(v.Unreadable))
	}
	if v := older(row{"IsBlocked": "x"}); v.Unreadable != blocked || v.Compliance != decision.ComplianceUnknown {
		t.Errorf("an older record that may be blocked: %s, unreadable %v", v.Compliance, names(v.Unreadable))
	}
}

// TestNoWordStopsNobody: a client without a row of its own, or whose row says nothing
// about a block, does not stop a device that the directory calls enabled, in a policy
// that does not ask the site. An odd word does: it may mean a block.
func TestNoWordStopsNobody(t *testing.T) {
	confirmed := time.Now()
	state := func(name string, index int, a decision.Authority) *decision.SourceState {
		s := &decision.SourceState{Name: name, Index: index, Authority: a}
		s.SetSupplies(decision.AllFacts)
		s.Confirm(confirmed)
		return s
	}
	policy := &decision.Policy{Requirements: []decision.Requirement{{Kind: decision.RequireNetwork}}}
	for _, tt := range []struct {
		name  string
		facts row // nil: no row
		stops bool
	}{
		{"no row", nil, false},
		{"null", row{"IsBlocked": nil}, false},
		{"not blocked", row{"IsBlocked": false}, false},
		{"another word", row{"IsBlocked": "maybe"}, true},
		{"blocked", row{"IsBlocked": true}, true},
	} {
		system := read[systemRow](t, healthyRow(nil))
		r := newRecord(&system)
		if tt.facts != nil {
			facts := read[resourceRow](t, healthyRow(tt.facts))
			r.addFacts(&checks{now: now, tally: map[string]int{}}, &facts)
		}
		site := judge{now: now}.verdict(r)
		keys := []decision.Key{{Kind: decision.KindEntra, Value: "11111111-aaaa-4bbb-8ccc-000000000001"}}
		site.Keys = keys
		entra := decision.Verdict{Device: decision.Device{Keys: keys, Enabled: decision.Yes, Compliance: decision.Compliant, Managed: decision.Yes}}
		site.Confirmed, entra.Confirmed = decision.Mono(confirmed), decision.Mono(confirmed)
		posture := decision.Merge([]decision.Report{
			{State: state("entra", 0, decision.AuthorityDirectory), Verdict: &entra},
			{State: state("site", 1, decision.AuthorityConfigMgr), Verdict: &site},
		}, keys[0])
		id := &decision.Identity{Device: decision.DeviceRef{Keys: keys, Proof: decision.ProofToken}}
		var d decision.Decision
		(&decision.Engine{}).Decide(policy, &decision.Request{Identity: id, Posture: posture, Now: confirmed}, &d)
		stopped := d.Has(decision.DeviceDisabled)
		for _, f := range d.Findings {
			stopped = stopped || f.Reason == decision.FactUnknown && f.Param == decision.FactEnabled.String()
		}
		if stopped != tt.stops {
			t.Errorf("%s: stopped %t, want %t: %+v", tt.name, stopped, tt.stops, d.Findings)
		}
	}
}
