package source

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

func build(t testing.TB, devices ...decision.Verdict) *Table {
	t.Helper()
	s := NewSweep(len(devices) + 1)
	for _, v := range devices {
		s.Device(v)
	}
	if n, rows := s.BadRows(); n > 0 {
		t.Fatalf("%d bad rows: %v", n, rows)
	}
	table, err := s.Table()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

// TestEveryFactSurvives fills every member of Device with each of its values: a
// fact that is added to the vocabulary and forgotten here fails this test.
func TestEveryFactSurvives(t *testing.T) {
	for round := range 16 {
		v := decision.Verdict{Device: filled(t, round)}
		table := build(t, v)
		got := table.Verdict(0)
		if !reflect.DeepEqual(got, v) {
			t.Fatalf("round %d:\n got %+v\nwant %+v", round, got, v)
		}
	}
}

// filled sets every member to something known that depends on round.
func filled(t *testing.T, round int) decision.Device {
	d := decision.Device{}
	rv := reflect.ValueOf(&d).Elem()
	for i := range rv.NumField() {
		f, name := rv.Field(i), rv.Type().Field(i).Name
		switch name {
		case "Keys":
			d.Keys = []decision.Key{entra(round), serial(round), {Kind: "asset", Value: "a-77"}}
			continue
		case "Settings":
			d.Settings = []decision.Setting{{Name: "BitLocker", Policy: "baseline", State: "nonCompliant"}, {Name: "é"}}
			continue
		case "OSVersion":
			d.OSVersion = decision.Version{10, 0, 22631, uint32(round) << 20}
			continue
		case "OwnerID":
			d.OwnerID = guid(7, round)
			if round%2 == 0 {
				d.OwnerID = "employee-7"
			}
			continue
		}
		switch f.Kind() {
		case reflect.String:
			f.SetString(name + strings.Repeat("x", round))
		case reflect.Bool:
			f.SetBool(round%2 == 1)
		case reflect.Uint32:
			f.SetUint(uint64(round) << 19 & uint64(decision.AllFacts))
		case reflect.Uint8:
			f.SetUint(uint64(1 + round%top(t, name)))
		default:
			if f.Type() != reflect.TypeFor[time.Time]() {
				t.Fatalf("member %s has a type that the table does not know", name)
			}
			f.Set(reflect.ValueOf(time.Unix(int64(round-8)*1e9+1, 0).UTC()))
		}
	}
	return d
}

// top finds the highest value of a member by its packed field.
func top(t *testing.T, member string) int {
	for _, f := range fields {
		if strings.EqualFold(strings.ReplaceAll(f.name, "_", ""), member) {
			return int(f.top)
		}
	}
	t.Fatalf("member %s is not packed", member)
	return 0
}

func TestFindByEachID(t *testing.T) {
	const n = 5000
	table := build(t, fleet(n, nil)...)
	if table.Len() != n {
		t.Fatalf("Len = %d, want %d", table.Len(), n)
	}
	for i := range n {
		for _, k := range healthy(i).Keys {
			row, ok := table.Find(k)
			if !ok {
				t.Fatalf("Find(%v) found nothing", k)
			}
			if v := table.Verdict(row); v.Name != healthy(i).Name {
				t.Fatalf("Find(%v) found %s, want %s", k, v.Name, healthy(i).Name)
			}
		}
	}
	for _, k := range []decision.Key{
		entra(n), serial(n),
		{},
		{Kind: decision.KindEntra},
		{Kind: "asset", Value: "1"},
		{Kind: decision.KindSerial, Value: entra(1).Value},
		{Kind: decision.KindIntune, Value: entra(1).Value},
		{Kind: decision.KindEntra, Value: strings.ToUpper(entra(10).Value)},
	} {
		if row, ok := table.Find(k); ok {
			t.Errorf("Find(%v) = %d, want nothing", k, row)
		}
	}
	if _, ok := new(Table).Find(entra(1)); ok {
		t.Error("the zero table finds something")
	}
}

func TestFindAllocatesNothing(t *testing.T) {
	table := build(t, fleet(100, nil)...)
	keys := healthy(42).Keys
	if n := testing.AllocsPerRun(100, func() {
		for _, k := range keys {
			if _, ok := table.Find(k); !ok {
				t.Error("not found")
			}
		}
	}); n != 0 {
		t.Errorf("Find allocates %v times", n)
	}
}

func TestDoubleRecords(t *testing.T) {
	older, newer := healthy(1), healthy(1)
	newer.LastCheckIn = older.LastCheckIn.Add(time.Hour)
	newer.Compliance = decision.NonCompliant
	reordered := newer
	reordered.Keys = []decision.Key{serial(1), entra(1), intune(1)}
	evaluated := older
	evaluated.EvaluatedAt, evaluated.Compliance = older.EvaluatedAt.Add(time.Hour), decision.NonCompliant
	contradiction := older
	contradiction.Compliance = decision.NonCompliant
	shared := healthy(2)
	shared.Keys = []decision.Key{intune(2), entra(2), serial(1)}

	for _, tc := range []struct {
		name      string
		devices   []decision.Verdict
		len       int
		found     map[decision.Key]decision.Compliance
		ambiguous []decision.Key
	}{
		{"same twice", []decision.Verdict{older, older}, 1, map[decision.Key]decision.Compliance{entra(1): decision.Compliant}, nil},
		{"newer last", []decision.Verdict{older, newer}, 1, map[decision.Key]decision.Compliance{entra(1): decision.NonCompliant, serial(1): decision.NonCompliant}, nil},
		{"newer first", []decision.Verdict{newer, older}, 1, map[decision.Key]decision.Compliance{entra(1): decision.NonCompliant}, nil},
		{"ids in another order", []decision.Verdict{older, reordered}, 1, map[decision.Key]decision.Compliance{entra(1): decision.NonCompliant}, nil},
		{"newer evaluation", []decision.Verdict{evaluated, older}, 1, map[decision.Key]decision.Compliance{entra(1): decision.NonCompliant}, nil},
		{"contradiction", []decision.Verdict{older, contradiction}, 2, nil, older.Keys},
		{"contradiction reversed", []decision.Verdict{contradiction, older}, 2, nil, older.Keys},
		{"shared serial", []decision.Verdict{older, shared}, 2, map[decision.Key]decision.Compliance{entra(1): decision.Compliant, entra(2): decision.Compliant}, []decision.Key{serial(1)}},
		{"shared serial and a newer twin", []decision.Verdict{older, shared, newer}, 2, map[decision.Key]decision.Compliance{entra(1): decision.NonCompliant, entra(2): decision.Compliant}, []decision.Key{serial(1)}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			table := build(t, tc.devices...)
			again := build(t, listed(table)...)
			for _, table := range []*Table{table, again} {
				if table.Len() != tc.len {
					t.Errorf("Len = %d, want %d", table.Len(), tc.len)
				}
				for k, want := range tc.found {
					row, ok := table.Find(k)
					if !ok {
						t.Errorf("Find(%v) found nothing", k)
					} else if got := table.Verdict(row).Compliance; got != want {
						t.Errorf("Find(%v) is %s, want %s", k, got, want)
					}
				}
				for _, k := range tc.ambiguous {
					if _, ok := table.Find(k); ok || !table.Ambiguous(k) {
						t.Errorf("id %v is not ambiguous", k)
					}
				}
				if got := table.AmbiguousKeys(); got != len(tc.ambiguous) {
					t.Errorf("AmbiguousKeys = %d, want %d", got, len(tc.ambiguous))
				}
			}
		})
	}
}

func listed(table *Table) []decision.Verdict {
	var out []decision.Verdict
	for _, v := range table.All() {
		out = append(out, v)
	}
	return out
}

func TestBadDevices(t *testing.T) {
	key := func(keys ...decision.Key) decision.Verdict {
		return decision.Verdict{Device: decision.Device{Keys: keys}}
	}
	owner := healthy(1)
	owner.OwnerUPN = strings.Repeat("u", 257)
	many := key()
	for i := range MaxKeys + 1 {
		many.Keys = append(many.Keys, entra(i))
	}
	for name, v := range map[string]decision.Verdict{
		"no id":            {},
		"no kind":          key(decision.Key{Value: "x"}),
		"empty value":      key(decision.Key{Kind: "asset"}),
		"upper case GUID":  key(decision.Key{Kind: decision.KindEntra, Value: strings.ToUpper(entra(10).Value)}),
		"not a GUID":       key(decision.Key{Kind: decision.KindEntra, Value: "abc"}),
		"zero GUID":        key(decision.Key{Kind: decision.KindEntra, Value: "00000000-0000-0000-0000-000000000000"}),
		"second id is bad": key(entra(1), decision.Key{Kind: decision.KindSerial, Value: "lower"}),
		"too many ids":     many,
		"overlong owner":   owner,
	} {
		s := NewSweep(10)
		s.Device(v)
		if n, rows := s.BadRows(); n != 1 || rows[0].Place != "device 1" || rows[0].Error == "" {
			t.Errorf("%s: BadRows = %d %v, want one row for device 1", name, n, rows)
		}
		if table, err := s.Table(); err != nil || table.Len() != 0 {
			t.Errorf("%s: the device is in the table", name)
		}
	}
}

func TestCapacity(t *testing.T) {
	s := NewSweep(10)
	for i := range 13 {
		s.Device(healthy(i))
	}
	if _, err := s.Table(); err == nil || !strings.Contains(err.Error(), "13") || !strings.Contains(err.Error(), "10") {
		t.Errorf("error %v does not name both numbers", err)
	}
	s = NewSweep(2)
	for i := range 3 {
		s.User(decision.UserRecord{ObjectID: guid(1, i)})
	}
	if _, err := s.Table(); err == nil || !strings.Contains(err.Error(), "3 users") {
		t.Errorf("error %v does not name the users", err)
	}
}

func TestUnknownValuesBecomeUnknown(t *testing.T) {
	v := healthy(1)
	v.Compliance, v.Enabled, v.Platform, v.Risk = 99, 7, 200, 15
	got := build(t, v).Verdict(0)
	if got.Compliance != 0 || got.Enabled != 0 || got.Platform != 0 || got.Risk != 0 {
		t.Errorf("got %v %v %v %v, want unknown", got.Compliance, got.Enabled, got.Platform, got.Risk)
	}
	if got.Managed != decision.Yes {
		t.Error("a neighbour of an unknown value was lost")
	}
}

func TestManyWordsAndLongStrings(t *testing.T) {
	s := NewSweep(maxInterned + 10)
	for i := range maxInterned + 5 {
		v := healthy(i)
		v.Model = "model " + v.Name
		v.Name = strings.Repeat("é", 200)
		s.Device(v)
	}
	table, err := s.Table()
	if err != nil {
		t.Fatal(err)
	}
	v := table.Verdict(maxInterned + 4)
	if want := "model " + healthy(maxInterned+4).Name; v.Model != want {
		t.Errorf("Model = %q, want %q", v.Model, want)
	}
	if want := strings.Repeat("é", 128); v.Name != want {
		t.Errorf("Name has %d bytes, want %d", len(v.Name), len(want))
	}
}

func TestTooManyKinds(t *testing.T) {
	s := NewSweep(0)
	for i := range maxKinds + 1 {
		s.Device(decision.Verdict{Device: decision.Device{Keys: []decision.Key{{Kind: "k" + serial(i).Value, Value: "1"}}}})
	}
	if n, _ := s.BadRows(); n != 1 {
		t.Errorf("%d bad rows, want 1", n)
	}
	if table, err := s.Table(); err != nil || table.Len() != maxKinds {
		t.Errorf("table of %d, error %v", table.Len(), err)
	}
}
