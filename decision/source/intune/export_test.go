package intune

import (
	"archive/zip"
	"bytes"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func readAll(t *testing.T, table string) ([]decision.Verdict, int, error) {
	t.Helper()
	var list []decision.Verdict
	bad := 0
	err := readCSV(strings.NewReader(table), func(_ int, r *record, err error) error {
		d := decoder{now: now, export: true}
		var v decision.Verdict
		if err == nil {
			v, err = d.verdict(r)
		}
		if err != nil {
			bad++
			return nil
		}
		list = append(list, v)
		return nil
	})
	return list, bad, err
}

func TestReadExport(t *testing.T) {
	table, err := os.ReadFile("testdata/export.csv")
	if err != nil {
		t.Fatal(err)
	}
	list, bad, err := readAll(t, "\ufeff"+strings.ReplaceAll(string(table), "\n", "\r\n"))
	if err != nil || bad > 0 || len(list) != 3 {
		t.Fatalf("%d rows, %d bad, %v", len(list), bad, err)
	}
	a, b, c := list[0], list[1], list[2]
	if a.Compliance != decision.Compliant || a.Encrypted != decision.Yes || a.OwnerUPN != "ann@example.com" || len(a.Keys) != 3 ||
		!a.LastCheckIn.Equal(now.Add(-time.Hour)) || !a.GraceUntil.IsZero() || a.Risk != decision.LevelUnknown {
		t.Errorf("first row is %+v", a.Device)
	}
	if b.Compliance != decision.InGracePeriod || b.Encrypted != decision.Unknown || b.Jailbroken != decision.Yes || b.Supervised != decision.Yes ||
		b.Name != `PHONE, "two"` || b.GraceUntil.IsZero() || b.Ownership != decision.Personal {
		t.Errorf("second row is %+v", b.Device)
	}
	if c.Compliance != decision.ComplianceDelegated || c.Lifecycle != decision.LifecycleWiping || len(c.Keys) != 2 || c.Encrypted != decision.No {
		t.Errorf("third row is %+v", c.Device)
	}
}

func TestReadExportRefuses(t *testing.T) {
	const header = "DeviceId,CompliantState,LastContact\n"
	tests := []struct {
		name, table string
		bad         int
		ok          bool
	}{
		{"requested names", header + ownID + ",Compliant,2026-11-22 06:00:00\n", 0, true},
		{"short row", header + ownID + ",Compliant\n" + ownID + ",Compliant,\n", 1, true},
		{"row without id", header + ",Compliant,\n" + ownID + ",Compliant,\n", 1, true},
		{"empty", "", 0, false},
		{"header only", header, 0, false},
		{"no compliance", "DeviceId,LastContact\n" + ownID + ",\n", 0, false},
		{"column twice", "DeviceId,CompliantState,LastContact,Device ID\n" + ownID + ",Compliant,,x\n", 0, false},
		{"cut in a quote", header + ownID + ",\"Comp", 0, false},
		{"page", "<html><body>sign in</body></html>\n", 0, false},
	}
	for _, test := range tests {
		_, bad, err := readAll(t, test.table)
		if (err == nil) != test.ok || bad != test.bad {
			t.Errorf("%s: %d bad, %v, want %d, ok %v", test.name, bad, err, test.bad, test.ok)
		}
	}
	stop := errors.New("stop")
	err := readCSV(strings.NewReader(header+ownID+",Compliant,\n"), func(int, *record, error) error { return stop })
	if !errors.Is(err, stop) {
		t.Errorf("reading goes on after %v: %v", stop, err)
	}
}

func TestOpenExport(t *testing.T) {
	packed := func(names ...string) []byte {
		var b bytes.Buffer
		z := zip.NewWriter(&b)
		for _, n := range names {
			w, err := z.Create(n)
			if err == nil {
				_, err = w.Write([]byte("x"))
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for _, test := range []struct {
		name string
		file []byte
		ok   bool
	}{
		{"one table", packed("DevicesWithInventory_1.csv"), true},
		{"and a note", packed("a.CSV", "readme.txt"), true},
		{"two tables", packed("a.csv", "b.csv"), false},
		{"no table", packed("a.json"), false},
		{"no zip", []byte("DeviceId"), false},
		{"nothing", nil, false},
	} {
		r, err := openExport(test.file)
		if (err == nil) != test.ok {
			t.Errorf("%s: %v", test.name, err)
		}
		if r != nil {
			r.Close()
		}
	}
}

// TestJoin checks what a row of an export changes about a full record.
func TestJoin(t *testing.T) {
	known := func(c decision.Compliance, ch decision.Channel) decision.Verdict {
		v := dev(1, 11, "A", 5, c)
		v.Channel, v.Risk, v.Settings = ch, decision.LevelHigh, []decision.Setting{{Name: "BitLocker"}}
		return v
	}
	row := func(c decision.Compliance, hours int) decision.Verdict { return dev(1, 11, "A", hours, c) }
	co, mdm := decision.ChannelCoManaged, decision.ChannelIntune
	tests := []struct {
		name       string
		known, row decision.Verdict
		want       decision.Compliance
		hours      int
	}{
		{"newer and better", known(decision.NonCompliant, mdm), row(decision.Compliant, 1), decision.Compliant, 1},
		{"same time and better", known(decision.NonCompliant, mdm), row(decision.Compliant, 5), decision.NonCompliant, 5},
		{"same time and worse", known(decision.Compliant, mdm), row(decision.NonCompliant, 5), decision.NonCompliant, 5},
		{"older and worse", known(decision.Compliant, mdm), row(decision.NonCompliant, 9), decision.NonCompliant, 5},
		{"newer, unreadable", known(decision.Compliant, mdm), row(decision.ComplianceUnknown, 1), decision.Compliant, 5},
		{"Configuration Manager decides", known(decision.ComplianceDelegated, co), row(decision.NonCompliant, 1), decision.ComplianceDelegated, 1},
		{"co-managed, Intune decides", known(decision.Compliant, co), row(decision.NonCompliant, 5), decision.NonCompliant, 5},
		{"co-managed, row cannot tell", known(decision.NonCompliant, co), row(decision.ComplianceDelegated, 1), decision.NonCompliant, 1},
		{"partner decides", known(decision.ComplianceUnknown, decision.ChannelPartnerMDM), row(decision.Compliant, 1), decision.ComplianceUnknown, 1},
	}
	for _, test := range tests {
		got := join(&test.known, &test.row)
		if got.Compliance != test.want || !got.LastCheckIn.Equal(now.Add(-time.Duration(test.hours)*time.Hour)) {
			t.Errorf("%s: %s at %s, want %s %d h ago", test.name, got.Compliance, got.LastCheckIn, test.want, test.hours)
		}
		if got.Risk != decision.LevelHigh || got.Channel != test.known.Channel {
			t.Errorf("%s: the row changed risk to %s, channel to %s", test.name, got.Risk, got.Channel)
		}
	}
	k, r := known(decision.Compliant, mdm), row(decision.Compliant, 5)
	r.Jailbroken, r.Lifecycle = decision.Yes, decision.LifecycleWiping
	if got := join(&k, &r); got.Jailbroken != decision.Yes || got.Lifecycle != decision.LifecycleWiping {
		t.Error("bad news of an export is lost")
	}
}
