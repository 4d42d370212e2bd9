package intune

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// check fails if a verdict breaks what every record must keep.
func check(t *testing.T, v *decision.Verdict) {
	t.Helper()
	if len(v.Keys) == 0 || v.Keys[0].Kind != decision.KindIntune {
		t.Fatalf("first id is not the Intune id: %v", v.Keys)
	}
	for _, k := range v.Keys {
		if c, ok := decision.CanonicalKey(k.Kind, k.Value); !ok || c != k {
			t.Fatalf("id %v is not canonical", k)
		}
	}
	if v.LastCheckIn.After(now.Add(clockSkew)) {
		t.Fatalf("last check-in %s is in the future", v.LastCheckIn)
	}
	if good(v.Compliance) && v.Channel != decision.ChannelIntune && v.Channel != decision.ChannelCoManaged {
		t.Fatalf("%s from channel %s", v.Compliance, v.Channel)
	}
	for f := range decision.NumFacts {
		if v.Unreadable.Has(f) && tells(&v.Device, f) {
			t.Fatalf("%s is known and unreadable: %+v", f, v.Device)
		}
	}
	if err := source.NewBuilder(1).Add(v); err != nil {
		t.Fatalf("record cannot be kept: %v", err)
	}
}

func FuzzRecord(f *testing.F) {
	files, err := filepath.Glob("testdata/record_*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add(with(nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := decoder{now: now}
		v, err := d.decode(raw)
		if err != nil {
			return
		}
		check(t, &v)
		if good(v.Compliance) && !bytes.Contains(bytes.ToLower(raw), []byte("co")) && !bytes.Contains(raw, []byte(`\u`)) && !bytes.Contains(bytes.ToLower(raw), []byte("grace")) {
			t.Fatalf("%s is said nowhere in %s", v.Compliance, raw)
		}
		again, err := (&decoder{now: now}).decode(raw)
		if fleet := (fleet{}); err != nil || !fleet.put(v) || fleet.put(again) {
			t.Fatalf("one record gives two verdicts")
		}
	})
}

func FuzzExport(f *testing.F) {
	b, err := os.ReadFile("testdata/export.csv")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Add([]byte("DeviceId,CompliantState,LastContact\n" + ownID + ",Compliant,2026-11-22 06:00:00\n"))
	f.Add([]byte("DeviceId,CompliantState,LastContact,ManagementAgent\n" + ownID + ",Compliant,x,Intune\n\"\n"))
	f.Fuzz(func(t *testing.T, table []byte) {
		_ = readCSV(bytes.NewReader(table), func(_ int, r *record, err error) error {
			if err != nil {
				return nil
			}
			d := decoder{now: now, export: true}
			if v, err := d.verdict(r); err == nil {
				check(t, &v)
				if v.Risk != decision.LevelUnknown {
					t.Fatal("an export tells a risk")
				}
			}
			return nil
		})
	})
}

func FuzzReasons(f *testing.F) {
	f.Add([]byte(`{"setting":"Windows10CompliancePolicy.StorageRequireEncryption","settingName":null,"state":"nonCompliant"}`), []byte(`{"value":[{"displayName":"Laptops","state":"compliant"}]}`))
	f.Add([]byte(`{"setting":".","state":"error"}`), []byte(`{"value":[null]}`))
	f.Add([]byte(`null`), []byte(`{"settings":{"secureByDefault":true,"deviceComplianceCheckinThresholdDays":7}}`))
	f.Fuzz(func(t *testing.T, setting, body []byte) {
		var list []decision.Setting
		for range decision.MaxSettings + 1 {
			list = addSetting(list, "p", setting)
		}
		if len(list) > 1 {
			t.Fatalf("one setting is listed %d times", len(list))
		}
		_, _ = assigned(&decoder{now: now}, body)
		if tn, err := parseSettings(body); err == nil && (tn.checkIn <= 0 || tn.checkIn > 365*24*60*60*1e9) {
			t.Fatalf("check-in threshold is %s", tn.checkIn)
		}
	})
}

// FuzzHealth reads what is asked for computer by computer: nothing good may come of
// an answer that does not say so.
func FuzzHealth(f *testing.F) {
	f.Add(protected(nil), []byte(`{"value":[{"threatState":"cleaned"}]}`), []byte(`{"id":"`+ownID+`","deviceHealthAttestationState":{"secureBoot":"Enabled","bitLockerStatus":"Enabled","lastUpdateDateTime":"11/20/2026 7:14:02 AM"}}`))
	f.Add(protected(map[string]any{"deviceState": "rebootPending, critical"}), []byte(`{"value":[{"threatState":"active"},null]}`), []byte(`{"id":"`+ownID+`","deviceHealthAttestationState":null}`))
	f.Add(protected(map[string]any{"deviceState": 7, "productStatus": ",,", "realTimeProtectionEnabled": "true"}), []byte(`{"value":null}`), []byte(`[]`))
	f.Add([]byte(`{"deviCeStAte":"CritiCAl"}`), []byte(`{"vAlue":[]}`), []byte(`0`))
	f.Fuzz(func(t *testing.T, state, list, attested []byte) {
		d := &decoder{now: now}
		p, err := parseProtection(d, state)
		if err != nil && p != (protection{}) {
			t.Fatalf("a refused state says %+v", p)
		}
		if p.look && p.malware != decision.Unknown {
			t.Fatalf("malware is %s before the list was read", p.malware)
		}
		if p.malware == decision.No && !bytes.Contains(bytes.ToLower(state), []byte("cl")) && !bytes.Contains(state, []byte(`\u`)) {
			t.Fatalf("clean is said nowhere in %s", state)
		}
		before := p.malware
		if err := p.addMalware(d, list); err != nil && p.malware != before {
			t.Fatalf("a refused list changes malware to %s", p.malware)
		}
		if (p.malware == decision.Yes) != (p.risk > decision.LevelNone) {
			t.Fatalf("malware %s with risk %s", p.malware, p.risk)
		}
		if p.reported.After(now.Add(futureLimit)) {
			t.Fatalf("reported at %s", p.reported)
		}
		a, err := parseAttestation(d, ownID, attested)
		if err != nil && a != (attestation{}) || a.at.After(now.Add(futureLimit)) {
			t.Fatalf("attestation %+v, %v", a, err)
		}
		h := health{asked: now, protection: p, attestation: a}
		if got := h.facets(now); p.reported.IsZero() && got.antivirus == decision.Yes || a.at.IsZero() && got.secureBoot == decision.Yes {
			t.Fatalf("good facts without a date: %+v", got)
		}
	})
}

func FuzzConnector(f *testing.F) {
	f.Add([]byte(`{"partnerState":"enabled","lastHeartbeatDateTime":"2026-11-22T06:55:00Z","partnerUnresponsivenessThresholdInDays":7,"windowsEnabled":true}`))
	f.Add([]byte(`{"partnerState":"unresponsive","androidEnabled":true,"macEnabled":null}`))
	f.Add([]byte(`{"partnerState":5,"partnerUnresponsivenessThresholdInDays":-1}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var s connectorStates
		_ = s.add(&decoder{now: now}, raw)
		silent, deaf := s.done()
		for p := range silent {
			if silent[p] && deaf[p] || !silent[p] && !deaf[p] && !s.alive[p] {
				t.Fatalf("platform %d: silent %v, deaf %v, %+v", p, silent[p], deaf[p], s)
			}
		}
	})
}
