package entra

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// TestTombstone: what a sweep had before and has no longer.
func TestTombstone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := newDirectory(f, devicesPath)
		const more = `"displayName":"lt","accountEnabled":true,"isCompliant":true,"isManaged":true,"onPremisesSecurityIdentifier":"S-1-5-21-1-2-3-7"`
		for n := range 4 {
			d.set(row(n, more))
		}
		d.set(`{"id":"` + objectID(9) + `","accountEnabled":true}`)
		s, done := newSource(t, f, Options{})
		defer done()
		before := swept(t, s)

		d.remove(objectID(1), "deleted")
		// Device 2 is registered again while its old object stays, and device 3's
		// object is replaced.
		d.set(`{"id":"` + objectID(12) + `","deviceId":"` + deviceID(2) + `","accountEnabled":true,"registrationDateTime":"2026-11-01T00:00:00Z"}`)
		d.remove(objectID(3), "deleted")
		d.set(`{"id":"` + objectID(13) + `","deviceId":"` + deviceID(3) + `","accountEnabled":true}`)
		d.remove(objectID(9), "deleted")
		swept(t, s)

		for _, tt := range []struct {
			name   string
			object int
			keep   time.Duration
		}{
			{"deleted", 1, 30 * 24 * time.Hour},
			{"a duplicate speaks for it", 2, 0},
			{"registered again", 3, 0},
			{"without a device id", 9, 0},
		} {
			own, _ := parseGUID(objectID(tt.object))
			at, ok := before.Find(own.key())
			if !ok {
				t.Fatalf("%s: not in the first sweep", tt.name)
			}
			v := before.Verdict(at)
			keep := s.Tombstone(&v)
			if keep != tt.keep {
				t.Errorf("%s: kept for %v, want %v", tt.name, keep, tt.keep)
			}
			if keep == 0 {
				continue
			}
			want := decision.Device{Enabled: decision.No}
			if !slices.Equal(v.Keys, []decision.Key{entraKey(tt.object)}) || !equalDevice(v.Device, want) {
				t.Errorf("%s: %+v, want disabled and nothing else, by its Entra device id alone", tt.name, v.Device)
			}
			if err := source.NewBuilder(1).Add(&v); err != nil {
				t.Errorf("%s: the table refuses it: %v", tt.name, err)
			}
		}
	})
}

// TestTombstoneOfStaleTwin: the deletion of a duplicate that nobody saw says nothing.
func TestTombstoneOfStaleTwin(t *testing.T) {
	r := applied(t, twin(1, "2020-01-01T00:00:00Z", ""), twin(2, "2026-01-01T00:00:00Z", ""))
	own, _ := parseGUID(objectID(1))
	stale, _ := r.get(own)
	if err := r.remove(own); err != nil {
		t.Fatal(err)
	}
	s := &Source{known: *r}
	if keep := s.Tombstone(&stale.Verdict); keep != 0 {
		t.Errorf("a stale twin's deletion disables the device for %v", keep)
	}
	newer, _ := parseGUID(objectID(2))
	gone, _ := r.get(newer)
	if err := r.remove(newer); err != nil {
		t.Fatal(err)
	}
	s = &Source{known: *r}
	if keep := s.Tombstone(&gone.Verdict); keep != keepDevice {
		t.Errorf("the last object of a device is deleted: kept for %v", keep)
	}
}
