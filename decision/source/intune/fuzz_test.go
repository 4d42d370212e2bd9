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
	if v.LastCheckIn.After(now.Add(futureLimit)) {
		t.Fatalf("last check-in %s is in the future", v.LastCheckIn)
	}
	if good(v.Compliance) && v.Channel != decision.ChannelIntune && v.Channel != decision.ChannelCoManaged {
		t.Fatalf("%s from channel %s", v.Compliance, v.Channel)
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
		_, _ = assigned(body)
		if tn, err := parseSettings(body); err == nil && (tn.checkIn <= 0 || tn.checkIn > 365*24*60*60*1e9) {
			t.Fatalf("check-in threshold is %s", tn.checkIn)
		}
	})
}
