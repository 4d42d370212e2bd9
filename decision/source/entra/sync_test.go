package entra

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

func TestFirstSyncListsEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := newDirectory(f, devicesPath)
		for n := range 8 {
			d.set(row(n, `"isCompliant":true,"accountEnabled":true,"trustType":"AzureAd"`))
		}
		s, done := newSource(t, f, Options{})
		defer done()
		table := swept(t, s)
		if table.Len() != 8 {
			t.Fatalf("%d devices, want 8", table.Len())
		}
		if v := find(t, table, 7); v.Compliance != decision.Compliant || v.Enabled != decision.Yes || v.Trust != decision.TrustJoined {
			t.Errorf("device %+v", v.Device)
		}
		calls := f.calls()
		if len(calls) != 3 {
			t.Errorf("%d calls, want 3 pages", len(calls))
		}
		if q := calls[0].URL.Query().Get("$select"); q != deviceSelect {
			t.Errorf("$select %q", q)
		}
		for _, c := range calls {
			if p := c.Header.Get("x-ms-throttle-priority"); p != "Low" {
				t.Errorf("priority of a sweep %q, want Low", p)
			}
		}
		if err := s.Sync(t.Context(), source.NewSweep(0)); !errors.Is(err, source.ErrUnchanged) {
			t.Errorf("second Sync = %v, want ErrUnchanged", err)
		}
		if calls = f.calls(); len(calls) != 1 || !calls[0].URL.Query().Has("$deltatoken") {
			t.Errorf("second Sync made the calls %v, want one with a delta token", calls)
		}
	})
}

func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := newDirectory(f, devicesPath)
		for n := range 4 {
			d.set(row(n, `"isCompliant":true,"isManaged":true,"operatingSystem":"Windows","operatingSystemVersion":"10.0.22631.1"`))
		}
		s, done := newSource(t, f, Options{})
		defer done()
		swept(t, s)

		d.change(`{"id":"`+objectID(0)+`","isCompliant":false}`, `{"id":"`+objectID(0)+`","isCompliant":false}`)
		d.change(`{"id":"` + objectID(1) + `","isCompliant":null,"isManaged":null}`)
		d.remove(objectID(2), "changed")
		d.remove(objectID(3), "deleted")
		d.set(row(4, `"isCompliant":true`))
		d.change(`{"id":"not an id"}`)
		sw := source.NewSweep(0)
		if err := s.Sync(t.Context(), sw); err != nil {
			t.Fatal(err)
		}
		if n, _ := sw.BadRows(); n != 1 {
			t.Errorf("%d bad rows, want 1", n)
		}
		table, err := sw.Table()
		if err != nil {
			t.Fatal(err)
		}
		if table.Len() != 3 {
			t.Errorf("%d devices, want 3", table.Len())
		}
		zero := find(t, table, 0)
		if zero.Compliance != decision.NonCompliant || zero.Managed != decision.Yes || zero.Platform != decision.Windows || zero.OSVersion[2] != 22631 {
			t.Errorf("partly changed device %+v", zero.Device)
		}
		if one := find(t, table, 1); one.Compliance != decision.ComplianceNotManaged || one.Managed != decision.No {
			t.Errorf("device that left management %+v", one.Device)
		}
		if four := find(t, table, 4); four.Compliance != decision.Compliant {
			t.Errorf("new device %+v", four.Device)
		}
		if st := s.Stats(); st.Devices != 3 || st.Bad != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestFailedFirstListingIsDiscarded(t *testing.T) {
	for name, break2 := range map[string]func() (int, string){
		"server error":        func() (int, string) { return 500, failure("InternalServerError") },
		"no value":            func() (int, string) { return 200, `{"@odata.context":"x"}` },
		"cut off without end": func() (int, string) { return 200, `{"value":[]}` },
		"half a page":         func() (int, string) { return 200, `{"value":[{"id":` },
		"foreign next link": func() (int, string) {
			return 200, `{"value":[],"@odata.nextLink":"https://elsewhere.example/v1.0/devices/delta?$skiptoken=6"}`
		},
		"permission": func() (int, string) { return 403, failure("Authorization_RequestDenied") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				d := newDirectory(f, devicesPath)
				for n := range 8 {
					d.set(row(n, `"isCompliant":true`))
				}
				f.on(devicesPath, func(q url.Values) (int, string) {
					if q.Get("$skiptoken") == "3" {
						return break2()
					}
					return d.answer(q)
				})
				s, done := newSource(t, f, Options{})
				defer done()
				err := s.Sync(t.Context(), source.NewSweep(0))
				if err == nil || errors.Is(err, source.ErrUnchanged) {
					t.Fatalf("Sync = %v, want an error", err)
				}
				if st := s.Stats(); st.Devices != 0 {
					t.Errorf("%d devices are remembered", st.Devices)
				}
				f.on(devicesPath, d.answer)
				time.Sleep(time.Hour) // any breaker is closed again
				if table := swept(t, s); table.Len() != 8 {
					t.Errorf("%d devices after the repair, want 8", table.Len())
				}
			})
		})
	}
}

func TestThrottledIsVisible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.header[devicesPath] = http.Header{"Retry-After": {"120.5"}}
		f.say(devicesPath, 429, failure("TooManyRequests"))
		s, done := newSource(t, f, Options{})
		defer done()
		err := s.Sync(t.Context(), source.NewSweep(0))
		var throttled *source.ThrottledError
		if !errors.As(err, &throttled) || throttled.RetryAfter < 2*minute {
			t.Errorf("Sync = %v, want a ThrottledError of 120.5 s", err)
		}
		var me *msgraph.Error
		if !errors.As(err, &me) {
			t.Errorf("Sync = %v, want an msgraph.Error inside", err)
		}
	})
}

func TestForgottenToken(t *testing.T) {
	for _, code := range []int{410, 400} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			d := newDirectory(f, devicesPath)
			d.set(row(0, `"isCompliant":true`))
			d.set(row(1, `"isCompliant":true`))
			s, done := newSource(t, f, Options{})
			defer done()
			swept(t, s)
			d.mu.Lock()
			delete(d.rows, objectID(1)) // a change that no delta query tells any more
			d.mu.Unlock()
			f.on(devicesPath, func(q url.Values) (int, string) {
				if q.Has("$deltatoken") {
					return code, failure("syncStateNotFound")
				}
				return d.answer(q)
			})
			if table := swept(t, s); table.Len() != 1 {
				t.Errorf("%d: %d devices after the resync, want 1", code, table.Len())
			}
			if n := s.Stats().Resyncs; n != 1 {
				t.Errorf("%d: %d resyncs, want 1", code, n)
			}
		})
	}
}

func TestFullSweepIsDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := newDirectory(f, devicesPath)
		d.set(row(0, ""))
		s, done := newSource(t, f, Options{FullSweep: time.Hour})
		defer done()
		swept(t, s)
		f.calls()
		time.Sleep(59 * minute)
		if err := s.Sync(t.Context(), source.NewSweep(0)); !errors.Is(err, source.ErrUnchanged) {
			t.Fatalf("Sync = %v", err)
		}
		time.Sleep(minute)
		swept(t, s)
		calls := f.calls()
		if last := calls[len(calls)-1].URL.Query(); !last.Has("$select") {
			t.Errorf("no complete listing after an hour: %v", last)
		}
	})
}

func TestNonsenseBehindADeltaLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := newDirectory(f, devicesPath)
		d.set(row(0, ""))
		s, done := newSource(t, f, Options{})
		defer done()
		swept(t, s)
		f.on(devicesPath, func(q url.Values) (int, string) {
			if q.Has("$deltatoken") {
				return 200, `<html>sign in</html>`
			}
			return d.answer(q)
		})
		for n := range maxFailures {
			time.Sleep(minute)
			if err := s.Sync(t.Context(), source.NewSweep(0)); err == nil || errors.Is(err, source.ErrUnchanged) {
				t.Fatalf("Sync %d = %v, want an error", n, err)
			}
		}
		time.Sleep(minute)
		swept(t, s) // lists everything instead
	})
}

func TestUnknownDeviceWithoutDeviceID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := newDirectory(f, devicesPath)
		d.set(row(0, ""))
		s, done := newSource(t, f, Options{})
		defer done()
		swept(t, s)
		d.mu.Lock()
		d.rows[objectID(1)] = row(1, `"isCompliant":true`)
		d.mu.Unlock()
		d.change(`{"id":"` + objectID(1) + `","isCompliant":true}`)
		time.Sleep(minute)
		table := swept(t, s)
		if _, ok := table.Find(entraKey(1)); ok {
			t.Error("a device is found by an id that nobody told")
		}
		time.Sleep(time.Hour)
		find(t, swept(t, s), 1)
	})
}

func TestComplianceRunsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		d := newDirectory(f, devicesPath)
		end := time.Now().Add(10 * minute).UTC().Format(time.RFC3339)
		d.set(row(0, `"isCompliant":true,"complianceExpirationDateTime":"`+end+`"`))
		s, done := newSource(t, f, Options{})
		defer done()
		if v := find(t, swept(t, s), 0); v.Compliance != decision.Compliant {
			t.Fatalf("compliance %s, want compliant", v.Compliance)
		}
		time.Sleep(10 * minute)
		if v := find(t, swept(t, s), 0); v.Compliance != decision.ComplianceNotEvaluated {
			t.Errorf("compliance %s after its end, want not_evaluated", v.Compliance)
		}
		if err := s.Sync(t.Context(), source.NewSweep(0)); !errors.Is(err, source.ErrUnchanged) {
			t.Errorf("Sync = %v, want ErrUnchanged", err)
		}
		later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
		d.change(`{"id":"` + objectID(0) + `","complianceExpirationDateTime":"` + later + `"}`)
		if v := find(t, swept(t, s), 0); v.Compliance != decision.Compliant {
			t.Errorf("compliance %s after its end moved, want compliant", v.Compliance)
		}
	})
}

func TestOptions(t *testing.T) {
	if _, err := New(Options{}); err == nil || !strings.Contains(err.Error(), "client") {
		t.Errorf("New without client = %v", err)
	}
	c := client(t, newFake())
	defer c.Close()
	if _, err := New(Options{Client: c, FullSweep: -1}); err == nil {
		t.Error("a negative time is accepted")
	}
	s, err := New(Options{Client: c, RiskyUsers: true})
	if err != nil {
		t.Fatal(err)
	}
	if !s.Facts().Has(decision.FactUserEnabled) || !s.Facts().Has(decision.FactUserRisk) {
		t.Error("user risk without users")
	}
	if s, _ = New(Options{Client: c}); s.Facts().Has(decision.FactUserEnabled) || s.Facts().Has(decision.FactCheckIn) {
		t.Error("Facts names what is not read")
	}
}
