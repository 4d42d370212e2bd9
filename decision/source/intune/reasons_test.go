package intune

import (
	"slices"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestAddSetting(t *testing.T) {
	rows := []string{
		`{"setting":"Windows10CompliancePolicy.StorageRequireEncryption","state":"compliant","userPrincipalName":"System account"}`,
		`{"setting":"Windows10CompliancePolicy.StorageRequireEncryption","settingName":null,"state":"nonCompliant","userId":"6f0e"}`,
		`{"setting":"Windows10CompliancePolicy.StorageRequireEncryption","state":"nonCompliant","userPrincipalName":"System account"}`,
		`{"setting":"Windows10CompliancePolicy.OsMinimumVersion","state":"error"}`,
		`{"setting":"TpmRequired","state":"conflict"}`,
		`{"setting":null,"state":"nonCompliant"}`,
		`{"setting":"A.B","state":"notAssigned"}`,
		`{"setting":"A.B","state":7}`,
		`[]`,
	}
	var got []decision.Setting
	for _, r := range rows {
		got = addSetting(got, "Laptops", []byte(r))
	}
	want := []decision.Setting{
		{Name: "StorageRequireEncryption", Policy: "Laptops", State: "nonCompliant"},
		{Name: "OsMinimumVersion", Policy: "Laptops", State: "error"},
		{Name: "TpmRequired", Policy: "Laptops", State: "conflict"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestReasonsDue(t *testing.T) {
	r := reasons{due: map[string]time.Time{}, done: map[string]time.Time{}}
	bad, good := dev(1, 11, "", 5, decision.NonCompliant), dev(2, 12, "", 1, decision.Compliant)
	grace := dev(3, 13, "", 2, decision.InGracePeriod)
	for _, v := range []decision.Verdict{bad, good, grace} {
		r.note(&v)
	}
	if got := r.next(5); !slices.Equal(got, []string{guidOf(3), guidOf(1)}) {
		t.Errorf("due are %v", got)
	}
	if got := r.next(1); !slices.Equal(got, []string{guidOf(3)}) {
		t.Errorf("due first are %v", got)
	}
	r.done[guidOf(1)] = bad.LastCheckIn
	delete(r.due, guidOf(1))
	r.note(&bad)
	if len(r.due) != 1 {
		t.Error("reasons are due again without a check-in")
	}
	bad.LastCheckIn = bad.LastCheckIn.Add(time.Hour)
	r.note(&bad)
	if len(r.due) != 2 {
		t.Error("reasons are not due after a check-in")
	}
	bad.Compliance = decision.Compliant
	if r.note(&bad); len(r.due) != 1 || len(r.done) != 0 {
		t.Error("reasons of a compliant device are remembered")
	}
}

func TestAssigned(t *testing.T) {
	tests := []struct {
		body    string
		has, ok bool
	}{
		{`{"value":[{"displayName":"Default Device Compliance Policy","state":"compliant"}]}`, false, true},
		{`{"value":[{"displayName":"Default Device Compliance Policy","state":"compliant"},{"displayName":"Laptops","state":"compliant"}]}`, true, true},
		{`{"value":[{"displayName":"Laptops","state":"notApplicable"}]}`, false, true},
		{`{"value":[{"displayName":"Laptops","state":"notAssigned"},{"displayName":"Phones","state":"unknown"}]}`, false, true},
		{`{"value":[{"displayName":null,"state":"compliant"}]}`, false, true},
		{`{"value":[{"displayName":"Laptops","state":"valueOfTheYear2031"}]}`, false, true},
		{`{"value":[{"displayName":"Laptops","state":7},{"displayName":"Phones","state":"nonCompliant"}]}`, true, true},
		{`{"value":[]}`, false, true},
		{`{"value":null}`, false, false},
		{`{}`, false, false},
		{`<html>`, false, false},
	}
	for _, test := range tests {
		has, err := assigned(&decoder{now: now}, []byte(test.body))
		if has != test.has || (err == nil) != test.ok {
			t.Errorf("assigned(%s) = %v, %v", test.body, has, err)
		}
	}
}
