package entra

import (
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// twin is an object that says that it is device 1.
func twin(object int, registered, more string) string {
	if registered != "null" {
		registered = `"` + registered + `"`
	}
	return fmt.Sprintf(`{"id":%q,"deviceId":%q,"registrationDateTime":%s%s}`, objectID(object), deviceID(1), registered, more)
}

func applied(t *testing.T, rows ...string) *registry {
	t.Helper()
	r := newRegistry(false)
	for _, row := range rows {
		if _, err := r.apply([]byte(row), noon, &tally{}); err != nil {
			t.Fatal(err)
		}
	}
	return &r
}

// named returns the object that counts as device 1, by its display name.
func named(t *testing.T, r *registry) string {
	t.Helper()
	sw := source.NewSweep(0)
	if err := r.listing.Emit(sw); err != nil {
		t.Fatal(err)
	}
	table, err := sw.Table()
	if err != nil {
		t.Fatal(err)
	}
	if table.AmbiguousKeys() > 0 {
		t.Errorf("%d ambiguous ids", table.AmbiguousKeys())
	}
	row, ok := table.Find(entraKey(1))
	if !ok {
		return ""
	}
	return table.Verdict(row).Name
}

func TestTwins(t *testing.T) {
	old := twin(1, "2020-01-01T00:00:00Z", `,"displayName":"old"`)
	mid := twin(2, "2023-01-01T00:00:00Z", `,"displayName":"mid"`)
	last := twin(3, "2026-01-01T00:00:00Z", `,"displayName":"new"`)
	pending := twin(4, "null", `,"displayName":"pending"`)
	future := twin(5, "2199-01-01T00:00:00Z", `,"displayName":"future"`)
	gone := func(n int) string { return `{"id":"` + objectID(n) + `","@removed":{"reason":"deleted"}}` }
	for _, tt := range []struct {
		name string
		rows []string
		want string
		left int
	}{
		{"oldest first", []string{old, mid, last}, "new", 2},
		{"newest first", []string{last, mid, old}, "new", 2},
		{"repeated", []string{mid, last, mid, last, last}, "new", 1},
		{"a date that is not known is the oldest", []string{pending, old}, "old", 1},
		{"a date in the future is not known", []string{future, old}, "old", 1},
		{"the newest goes", []string{old, last, mid, gone(3)}, "mid", 1},
		{"the older goes", []string{old, last, gone(1)}, "new", 0},
		{"one comes after another has gone", []string{last, gone(3), old}, "old", 0},
		{"the newer changes, the older is repeated", []string{old, last, `{"id":"` + objectID(3) + `","displayName":"other"}`, old}, "other", 1},
		{"the one aside registers", []string{pending, old, `{"id":"` + objectID(4) + `","registrationDateTime":"2026-01-01T00:00:00Z"}`}, "pending", 1},
		{"all go", []string{old, last, gone(3), gone(1)}, "", 0},
		{"the older changes", []string{old, last, `{"id":"` + objectID(1) + `","displayName":"other"}`}, "new", 1},
		{"the newer changes", []string{old, last, `{"id":"` + objectID(3) + `","displayName":"other"}`}, "other", 1},
		{"the newer loses its deviceId", []string{old, last, `{"id":"` + objectID(3) + `","deviceId":null}`}, "old", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := applied(t, tt.rows...)
			if got := named(t, r); got != tt.want {
				t.Errorf("device 1 is %q, want %q", got, tt.want)
			}
			if len(r.twins) != tt.left {
				t.Errorf("%d objects wait aside, want %d", len(r.twins), tt.left)
			}
		})
	}
}

func TestTwinsOfOneDate(t *testing.T) {
	a := twin(1, "2026-01-01T00:00:00Z", `,"displayName":"a"`)
	b := twin(2, "2026-01-01T00:00:00Z", `,"displayName":"b"`)
	if x, y := named(t, applied(t, a, b)), named(t, applied(t, b, a)); x != y {
		t.Errorf("the order of the rows decides: %q and %q", x, y)
	}
}

func TestTwinsAreBounded(t *testing.T) {
	r := newRegistry(false)
	var err error
	for n := 1; n <= maxTwins+2 && err == nil; n++ {
		_, err = r.apply([]byte(twin(n, "2026-01-01T00:00:00Z", "")), noon, &tally{})
	}
	if err == nil {
		t.Error("any number of objects may share a deviceId")
	}
}

func TestRegistryExpiresTwins(t *testing.T) {
	end := noon.Add(time.Hour).Format(time.RFC3339)
	r := applied(t,
		twin(1, "2020-01-01T00:00:00Z", `,"isCompliant":true,"complianceExpirationDateTime":"`+end+`"`),
		twin(2, "2026-01-01T00:00:00Z", `,"isCompliant":false,"complianceExpirationDateTime":"`+end+`"`))
	if changed, err := r.expire(noon); changed || err != nil {
		t.Errorf("expire before the end = %v, %v", changed, err)
	}
	if changed, err := r.expire(noon.Add(time.Hour)); !changed || err != nil {
		t.Errorf("expire = %v, %v", changed, err)
	}
	if changed, _ := r.expire(noon.Add(time.Hour)); changed {
		t.Error("a second expire changes something")
	}
	own, _ := parseGUID(objectID(1))
	if d, ok := r.get(own); !ok || d.Compliance != decision.ComplianceNotEvaluated {
		t.Errorf("object aside %+v", d.Device)
	}
}

// TestLargeListing passes the size from which the listing packs on the way.
func TestLargeListing(t *testing.T) {
	const devices = 20_000
	r := newRegistry(false)
	apply := func(row string) {
		if _, err := r.apply([]byte(row), noon, &tally{}); err != nil {
			t.Fatal(err)
		}
	}
	for n := range devices {
		apply(row(n, `"isCompliant":true`))
	}
	for n := 0; n < devices; n += 1000 {
		apply(`{"id":"` + objectID(n) + `","isCompliant":false}`)
		apply(`{"id":"` + objectID(n+1) + `","@removed":{"reason":"deleted"}}`)
	}
	if got, want := r.listing.Len(), devices-devices/1000; got != want {
		t.Errorf("%d devices, want %d", got, want)
	}
	for n, want := range map[int]decision.Compliance{0: decision.NonCompliant, 2: decision.Compliant, 19_000: decision.NonCompliant} {
		own, _ := parseGUID(objectID(n))
		if d, ok := r.get(own); !ok || d.Compliance != want || len(d.Keys) != 2 {
			t.Errorf("device %d: %+v, %v, want %s", n, d.Device, ok, want)
		}
	}
}
