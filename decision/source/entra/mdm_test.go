package entra

import (
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestManagementChannel(t *testing.T) {
	const partner = `"a4a1d6ef-0000-4000-8000-0000000000aa"`
	change := func(members string) string { return `{"id":"` + objectID(1) + `",` + members + `}` }
	const none, some = decision.ChannelUnknown, decision.ChannelPartnerMDM
	for _, tt := range []struct {
		name    string
		rows    []string
		want    decision.Channel // by mdmAppId alone
		unnamed decision.Channel // with partner_mdm
	}{
		{"nobody", []string{row(1, `"mdmAppId":null`)}, none, none},
		{"intune", []string{row(1, `"isManaged":true,"mdmAppId":"0000000A-0000-0000-C000-000000000000"`)}, none, none},
		{"intune with configuration manager", []string{row(1, `"isManaged":true,"mdmAppId":"54b943f8-d761-4f8d-951e-9cea1846db5a"`)}, none, none},
		{"partner", []string{row(1, `"isManaged":true,"mdmAppId":`+partner)}, some, some},
		{"partner, not managed now", []string{row(1, `"isManaged":false,"mdmAppId":`+partner)}, some, some},
		{"managed, unnamed", []string{row(1, `"isManaged":true,"mdmAppId":null`)}, none, some},
		{"managed, empty", []string{row(1, `"isManaged":true,"mdmAppId":""`)}, none, some},
		{"managed, zero", []string{row(1, `"isManaged":true,"mdmAppId":"00000000-0000-0000-0000-000000000000"`)}, none, some},
		{"managed, never told", []string{row(1, `"isManaged":true`)}, none, some},
		{"managed cannot be read", []string{row(1, `"isManaged":1,"mdmAppId":null`)}, none, none},
		{"name cannot be read", []string{row(1, `"isManaged":true,"mdmAppId":"jamf"`)}, none, none},
		{"name of another type", []string{row(1, `"isManaged":true,"mdmAppId":7`)}, none, none},
		{"partner, something else changes", []string{row(1, `"isManaged":true,"mdmAppId":`+partner), change(`"isCompliant":false`)}, some, some},
		{"intune, something else changes", []string{row(1, `"isManaged":true,"mdmAppId":"`+appIntune+`"`), change(`"isCompliant":false`)}, none, none},
		{"intune, managed later", []string{row(1, `"mdmAppId":"`+appIntune+`"`), change(`"isManaged":true`)}, none, none},
		{"unnamed, managed later", []string{row(1, `"isManaged":null`), change(`"isManaged":true`)}, none, some},
		{"unnamed, not managed later", []string{row(1, `"isManaged":true`), change(`"isManaged":null`)}, none, none},
		{"from intune to a partner", []string{row(1, `"isManaged":true,"mdmAppId":"`+appIntune+`"`), change(`"mdmAppId":` + partner)}, some, some},
		{"from a partner to intune", []string{row(1, `"isManaged":true,"mdmAppId":`+partner), change(`"mdmAppId":"` + appIntune + `"`)}, none, none},
		{"from a partner to nobody", []string{row(1, `"isManaged":true,"mdmAppId":`+partner), change(`"mdmAppId":null,"isManaged":null`)}, none, none},
	} {
		if got := one(t, false, tt.rows...).Channel; got != tt.want {
			t.Errorf("%s: channel %v, want %v", tt.name, got, tt.want)
		}
		if got := one(t, true, tt.rows...).Channel; got != tt.unnamed {
			t.Errorf("%s, with partner_mdm: channel %v, want %v", tt.name, got, tt.unnamed)
		}
	}
}

// TestManagementOfTwins: an object that takes a duplicate's place brings its own
// management system along, and a removed one leaves nothing behind.
func TestManagementOfTwins(t *testing.T) {
	r := newRegistry(true)
	apply := func(row string) {
		t.Helper()
		if _, err := r.apply([]byte(row), noon, &tally{}); err != nil {
			t.Fatal(err)
		}
	}
	apply(twin(1, "2020-01-01T00:00:00Z", `,"isManaged":true,"mdmAppId":"`+appIntune+`"`))
	apply(twin(2, "2026-01-01T00:00:00Z", `,"isManaged":true`))
	apply(`{"id":"` + objectID(2) + `","@removed":{"reason":"deleted"}}`)
	apply(`{"id":"` + objectID(1) + `","isCompliant":true}`)
	own, _ := parseGUID(objectID(1))
	if d, ok := r.get(own); !ok || d.Channel != decision.ChannelUnknown {
		t.Errorf("device of Intune in its twin's place: %+v", d.Device)
	}
	apply(`{"id":"` + objectID(1) + `","@removed":{"reason":"deleted"}}`)
	if len(r.apps) != 0 {
		t.Errorf("%d management systems of nobody", len(r.apps))
	}
}
