package entra

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// says reports whether a JSON object has a member with this value, in any case of
// the name, as the decoder reads it.
func says(raw []byte, member, value string) bool {
	var m map[string]json.RawMessage
	if json.Unmarshal(raw, &m) != nil {
		return false
	}
	for k, v := range m {
		if strings.EqualFold(k, member) && string(v) == value {
			return true
		}
	}
	return false
}

func FuzzDevice(f *testing.F) {
	f.Add([]byte(row(1, `"isCompliant":true,"accountEnabled":true,"trustType":"AzureAd"`)))
	f.Add([]byte(row(1, `"isManaged":true,"accountEnabled":null,"mdmAppId":"7c3b1f2e-5d64-4c0a-9b7e-2f1d8a6e4b90"`)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, own, err := decodeDevice(raw)
		if err != nil {
			return
		}
		if !json.Valid(raw) {
			t.Fatal("read a row that is no JSON")
		}
		d := newDevice(own)
		d.merge(&r, noon, &tally{})
		for _, k := range d.Keys {
			if c, ok := decision.CanonicalKey(k.Kind, k.Value); !ok || c != k {
				t.Errorf("id %v is not canonical", k)
			}
		}
		if d.Keys[0] != own.key() || len(d.Keys) > 3 {
			t.Errorf("ids %v of %v", d.Keys, own)
		}
		if d.Compliance == decision.Compliant && !says(raw, "isCompliant", "true") {
			t.Errorf("compliant without a word of it: %s", raw)
		}
		if d.Enabled == decision.Yes && !says(raw, "accountEnabled", "true") {
			t.Errorf("enabled without a word of it: %s", raw)
		}
		if d.Unreadable.Has(decision.FactEnabled) != (d.Enabled == decision.Unknown) {
			t.Errorf("enabled %v, unreadable %v", d.Enabled, d.Unreadable)
		}
		d.setChannel(false)
		if d.Channel == decision.ChannelPartnerMDM && d.app != mdmPartner {
			t.Errorf("a partner without a word of it: %s", raw)
		}
		// The same row again changes nothing.
		before := d.Device
		d.merge(&r, noon, &tally{})
		d.setChannel(false)
		if !equalDevice(before, d.Device) {
			t.Errorf("repeated row\n got %+v\nwant %+v", d.Device, before)
		}
		if err := source.NewBuilder(1).Add(&d.Verdict); err != nil {
			t.Errorf("the table refuses the device: %v", err)
		}
	})
}

// FuzzChanges applies the lines of a text as rows of delta queries.
func FuzzChanges(f *testing.F) {
	f.Add([]byte(twin(1, "2026-01-01T00:00:00Z", "") + "\n" + twin(2, "2025-01-01T00:00:00Z", "")))
	f.Fuzz(func(t *testing.T, text []byte) {
		r := newRegistry(false)
		for line := range bytes.SplitSeq(text, []byte("\n")) {
			if _, err := r.apply(line, noon, &tally{}); err != nil {
				t.Fatal(err)
			}
		}
		sw := source.NewSweep(0)
		if err := r.listing.Emit(sw); err != nil {
			t.Fatal(err)
		}
		if n, rows := sw.BadRows(); n > 0 {
			t.Fatalf("bad rows %v", rows)
		}
		table, err := sw.Table()
		if err != nil {
			t.Fatal(err)
		}
		if table.Len() != r.listing.Len() {
			t.Fatalf("%d devices in the table, %d in the listing", table.Len(), r.listing.Len())
		}
		for id, h := range r.holders {
			row, ok := table.Find(decision.Key{Kind: decision.KindEntra, Value: id.String()})
			if !ok || table.Verdict(row).Keys[0] != h.object.key() {
				t.Fatalf("device %v of object %v is not found", id, h.object)
			}
		}
		for object, d := range r.twins {
			if id, _ := d.id(); r.holders[id].object == object || r.holders[id].object == (guid{}) {
				t.Fatalf("object %v waits for nobody", object)
			}
		}
	})
}

func FuzzUser(f *testing.F) {
	f.Add([]byte(user(1, "true")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p := newPeople()
		if err := p.apply(raw, noon, &tally{}); err != nil {
			t.Fatal(err)
		}
		for oid, u := range p.known {
			if u.enabled == decision.Yes && !says(raw, "accountEnabled", "true") {
				t.Errorf("enabled without a word of it: %s", raw)
			}
			b := source.NewBuilder(1)
			if err := b.AddUser(&decision.UserRecord{ObjectID: oid.String(), UPN: u.upn}); err != nil {
				t.Errorf("the table refuses the user: %v", err)
			}
		}
	})
}

func FuzzRisk(f *testing.F) {
	f.Add([]byte(riskOf(1, "high", "atRisk")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		_, got, risky, err := decodeRisk(raw, &tally{})
		if err != nil || !risky {
			return
		}
		if got.level == decision.LevelNone || got.level == decision.LevelCompromised {
			t.Errorf("a user at risk has the level %s: %s", got.level, raw)
		}
		if got.compromised == decision.Yes && !strings.Contains(strings.ToLower(string(raw)), "ompromised") && !bytes.Contains(raw, []byte(`\u`)) {
			t.Errorf("compromised without a word of it: %s", raw)
		}
	})
}
