package intune

import (
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

func guidOf(n int) string { return fmt.Sprintf("%08x-1111-4222-8333-944445555666", n) }

// dev is a record with an own id, an Entra id (0: none), a serial number and the
// hours since its check-in.
func dev(own, entra int, serial string, hours int, c decision.Compliance) decision.Verdict {
	v := decision.Verdict{Device: decision.Device{
		Keys:       []decision.Key{{Kind: decision.KindIntune, Value: guidOf(own)}},
		Compliance: c, LastCheckIn: now.Add(-time.Duration(hours) * time.Hour),
	}}
	if entra > 0 {
		v.Keys = append(v.Keys, decision.Key{Kind: decision.KindEntra, Value: guidOf(entra)})
	}
	if serial != "" {
		v.Keys = append(v.Keys, decision.Key{Kind: decision.KindSerial, Value: serial})
	}
	return v
}

func packed(t *testing.T, list ...decision.Verdict) fleet {
	t.Helper()
	b := source.NewBuilder(100)
	for i := range list {
		if err := b.Add(&list[i]); err != nil {
			t.Fatal(err)
		}
	}
	table, err := b.Build()
	if err != nil {
		t.Fatal(err)
	}
	return newFleet(table)
}

// TestSettle checks that one record is emitted for each device, whether its
// records are packed or changed, and in whatever order they came.
func TestSettle(t *testing.T) {
	tests := []struct {
		name    string
		records []decision.Verdict
		want    map[int]int // own id to number of ids
		lost    int
		shared  int
	}{
		{"different", []decision.Verdict{dev(1, 11, "A", 1, 1), dev(2, 12, "B", 1, 1)}, map[int]int{1: 3, 2: 3}, 0, 0},
		{"newer enrolment", []decision.Verdict{dev(1, 11, "A", 9, 2), dev(2, 11, "A", 1, 1)}, map[int]int{2: 3}, 1, 0},
		{"same time, worse counts", []decision.Verdict{dev(2, 11, "", 1, decision.Compliant), dev(1, 11, "", 1, decision.NonCompliant)}, map[int]int{1: 2}, 1, 0},
		{"three enrolments", []decision.Verdict{dev(1, 11, "A", 9, 2), dev(2, 11, "A", 1, 1), dev(3, 11, "A", 5, 1)}, map[int]int{2: 3}, 2, 0},
		{"shared serial number", []decision.Verdict{dev(1, 11, "A", 9, 2), dev(2, 12, "A", 1, 1), dev(3, 13, "B", 1, 1)}, map[int]int{1: 2, 2: 2, 3: 3}, 0, 1},
		{"serial number of a stale record", []decision.Verdict{dev(1, 11, "A", 9, 2), dev(2, 11, "B", 1, 1), dev(3, 13, "A", 1, 1)}, map[int]int{2: 3, 3: 3}, 1, 0},
		{"without Entra id", []decision.Verdict{dev(1, 0, "", 9, 2), dev(2, 0, "", 1, 1)}, map[int]int{1: 1, 2: 1}, 0, 0},
		{"one record with two Entra ids", []decision.Verdict{dev(1, 11, "", 9, 2), dev(1, 12, "", 1, 1)}, map[int]int{1: 2}, 1, 0},
	}
	for _, test := range tests {
		for changed := range 1 << len(test.records) {
			var base, over []decision.Verdict
			for i, v := range test.records {
				if changed&(1<<i) == 0 {
					base = append(base, v)
				} else {
					over = append(over, v)
				}
			}
			f := packed(t, base...)
			for _, v := range over {
				f.put(v)
			}
			lost := test.lost
			if len(test.records) == 2 && test.records[0].Keys[0] == test.records[1].Keys[0] && changed != 0 {
				lost = 0 // the newer record replaced the other one already
			}
			s := f.settle()
			if len(s.lost) != lost || len(s.shared) != test.shared {
				t.Errorf("%s, changed %b: %d lost and %d shared, want %d and %d", test.name, changed, len(s.lost), len(s.shared), lost, test.shared)
			}
			sweep := source.NewSweep(10)
			if n := f.emit(sweep, s); n != len(test.want) {
				t.Errorf("%s, changed %b: emitted %d devices, want %d", test.name, changed, n, len(test.want))
			}
			table, err := sweep.Table()
			if err != nil {
				t.Fatal(err)
			}
			if table.AmbiguousKeys() > 0 || table.Len() != len(test.want) {
				t.Errorf("%s, changed %b: %d ambiguous ids of %d devices", test.name, changed, table.AmbiguousKeys(), table.Len())
			}
			for own, ids := range test.want {
				row, ok := table.Find(decision.Key{Kind: decision.KindIntune, Value: guidOf(own)})
				if !ok {
					t.Errorf("%s, changed %b: device %d is missing", test.name, changed, own)
				} else if got := len(table.Verdict(row).Keys); got != ids {
					t.Errorf("%s, changed %b: device %d has %d ids, want %d", test.name, changed, own, got, ids)
				}
			}
		}
	}
}

func TestFleetPut(t *testing.T) {
	f := packed(t, dev(1, 11, "A", 5, decision.Compliant))
	steps := []struct {
		name string
		put  decision.Verdict
		want bool
	}{
		{"the same", dev(1, 11, "A", 5, decision.Compliant), false},
		{"an older one", dev(1, 11, "A", 6, decision.Compliant), false},
		{"an older one that knows nothing", dev(1, 11, "A", 6, decision.ComplianceUnknown), false},
		{"an older one with bad news", dev(1, 11, "A", 6, decision.NonCompliant), true},
		{"the first one again", dev(1, 11, "A", 5, decision.Compliant), true},
		{"another verdict at the same time", dev(1, 11, "A", 5, decision.NonCompliant), true},
		{"that again", dev(1, 11, "A", 5, decision.NonCompliant), false},
		{"a newer one", dev(1, 11, "A", 4, decision.Compliant), true},
		{"a new device", dev(2, 12, "B", 4, decision.Compliant), true},
	}
	for _, s := range steps {
		if got := f.put(s.put); got != s.want {
			t.Errorf("put of %s = %v, want %v", s.name, got, s.want)
		}
	}
	if f.len() != 2 {
		t.Errorf("len = %d, want 2", f.len())
	}
	undated := dev(1, 11, "A", 0, decision.NonCompliant)
	undated.LastCheckIn = time.Time{}
	if !f.put(undated) {
		t.Error("a record that lost its date is left out")
	}
}

// TestWorse: what counts as bad news that a record may not be left out for.
func TestWorse(t *testing.T) {
	fine := decision.Device{
		Compliance: decision.Compliant, Lifecycle: decision.LifecycleActive, Jailbroken: decision.No,
		Encrypted: decision.Yes, Updated: decision.Yes, Risk: decision.LevelNone,
	}
	tests := []struct {
		name   string
		change func(*decision.Device)
		want   bool
	}{
		{"the same", func(*decision.Device) {}, false},
		{"nothing known", func(d *decision.Device) { *d = decision.Device{} }, false},
		{"noncompliant", func(d *decision.Device) { d.Compliance = decision.NonCompliant }, true},
		{"in grace", func(d *decision.Device) { d.Compliance = decision.InGracePeriod }, true},
		{"not evaluated", func(d *decision.Device) { d.Compliance = decision.ComplianceNotEvaluated }, false},
		{"wiped", func(d *decision.Device) { d.Lifecycle = decision.LifecycleWiping }, true},
		{"jailbroken", func(d *decision.Device) { d.Jailbroken = decision.Yes }, true},
		{"not encrypted", func(d *decision.Device) { d.Encrypted = decision.No }, true},
		{"not updated", func(d *decision.Device) { d.Updated = decision.No }, true},
		{"low risk", func(d *decision.Device) { d.Risk = decision.LevelLow }, true},
	}
	for _, test := range tests {
		d := fine
		test.change(&d)
		a, b := decision.Verdict{Device: d}, decision.Verdict{Device: fine}
		if got := worse(&a, &b); got != test.want {
			t.Errorf("%s is worse: %v, want %v", test.name, got, test.want)
		}
		if worse(&b, &a) {
			t.Errorf("fine is worse than %s", test.name)
		}
	}
}

// TestUndatedRecord: of two records of a device one whose date cannot be read is the
// newest if it has bad news, and the oldest if not.
func TestUndatedRecord(t *testing.T) {
	undated := func(c decision.Compliance) decision.Verdict {
		v := dev(1, 11, "", 0, c)
		v.LastCheckIn, v.Unreadable = time.Time{}, decision.Facts(decision.FactCheckIn)
		return v
	}
	never := dev(1, 11, "", 0, decision.NonCompliant)
	never.LastCheckIn = time.Time{}
	dated := dev(2, 11, "", 1, decision.Compliant)
	for name, test := range map[string]struct {
		v    decision.Verdict
		want bool
	}{
		"bad":              {undated(decision.NonCompliant), true},
		"good":             {undated(decision.Compliant), false},
		"unknown":          {undated(decision.ComplianceUnknown), false},
		"never checked in": {never, false},
	} {
		if got := better(&test.v, &dated); got != test.want || better(&dated, &test.v) == got {
			t.Errorf("%s: believed %v, want %v", name, got, test.want)
		}
	}
}

func TestFleetPacks(t *testing.T) {
	f := fleet{}
	for i := range 3000 {
		f.put(dev(i+1, 10_000+i, fmt.Sprintf("S%d", i), 1, decision.Compliant))
	}
	before := f.view()
	if err := f.pack(); err != nil {
		t.Fatal(err)
	}
	if f.base == nil || len(f.over) != 0 || f.len() != 3000 || before.len() != 3000 {
		t.Errorf("after packing: %d packed and %d changed records, view has %d", f.len(), len(f.over), before.len())
	}
	f.put(dev(7, 10_006, "S6", 0, decision.NonCompliant))
	v, ok := f.with(decision.Key{Kind: decision.KindSerial, Value: "S6"})
	if !ok || v.Compliance != decision.NonCompliant {
		t.Errorf("with finds %v, %s", ok, v.Compliance)
	}
}

// BenchmarkEmit emits a fleet of 100,000 devices with some changes.
func BenchmarkEmit(b *testing.B) {
	f := fleet{}
	for i := range 100_000 {
		f.put(dev(i+1, 1_000_000+i, fmt.Sprintf("S%d", i), 1, decision.Compliant))
	}
	if err := f.pack(); err != nil {
		b.Fatal(err)
	}
	for i := range 500 {
		f.put(dev(i+1, 1_000_000+i, fmt.Sprintf("S%d", i), 0, decision.Compliant))
	}
	b.ReportAllocs()
	for b.Loop() {
		sweep := source.NewSweep(0)
		f.emit(sweep, f.settle())
	}
}

// BenchmarkDecode decodes one record.
func BenchmarkDecode(b *testing.B) {
	raw := with(nil)
	d := decoder{now: now}
	b.SetBytes(int64(len(raw)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}
