package entra

import (
	"context"
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

func TestLookup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		byDevice, byObject := "/v1.0/devices(deviceId='"+deviceID(1)+"')", "/v1.0/devices/"+objectID(1)
		one := `{"@odata.context":"x",` + strings.TrimPrefix(row(1, `"isCompliant":true,"accountEnabled":false`), "{")
		f.say(byDevice, 200, one)
		f.say(byObject, 200, one)
		s, done := newSource(t, f, Options{})
		defer done()
		for _, k := range []decision.Key{entraKey(1), {Kind: decision.KindEntraObject, Value: objectID(1)}} {
			v, err := s.Lookup(t.Context(), k)
			if err != nil {
				t.Errorf("Lookup(%v): %v", k, err)
			}
			if v.Compliance != decision.Compliant || v.Enabled != decision.No || len(v.Keys) != 2 {
				t.Errorf("Lookup(%v) = %+v", k, v.Device)
			}
		}
		for _, c := range f.calls() {
			if p, sel := c.Header.Get("x-ms-throttle-priority"), c.URL.Query().Get("$select"); p != "High" || sel != deviceSelect {
				t.Errorf("priority %q, $select %q", p, sel)
			}
		}
	})
}

// TestLookupOfOddValues: a single answer says as plainly as a listing what nobody can
// read, and whose the verdict is.
func TestLookupOfOddValues(t *testing.T) {
	for _, tt := range []struct {
		members string
		odd     decision.FactSet
		channel decision.Channel
	}{
		{`"accountEnabled":true,"isManaged":true,"mdmAppId":null`, 0, decision.ChannelPartnerMDM},
		{`"accountEnabled":null,"isManaged":true,"mdmAppId":"` + appIntune + `"`, decision.Facts(decision.FactEnabled), decision.ChannelUnknown},
		{`"isCompliant":"yes"`, decision.Facts(decision.FactEnabled, decision.FactCompliance), decision.ChannelUnknown},
	} {
		synctest.Test(t, func(t *testing.T) {
			f := newFake()
			f.say("/v1.0/devices/"+objectID(1), 200, row(1, tt.members))
			s, done := newSource(t, f, Options{PartnerMDM: true})
			defer done()
			v, err := s.Lookup(t.Context(), decision.Key{Kind: decision.KindEntraObject, Value: objectID(1)})
			if err != nil || v.Unreadable != tt.odd || v.Channel != tt.channel {
				t.Errorf("%s: %+v, %v", tt.members, v.Device, err)
			}
		})
	}
}

func TestLookupRefusals(t *testing.T) {
	path := "/v1.0/devices(deviceId='" + deviceID(1) + "')"
	for _, tt := range []struct {
		name    string
		status  int
		body    string
		unknown bool
	}{
		{"no such device", 404, failure("Request_ResourceNotFound"), true},
		{"not found without a word of the directory", 404, `{}`, false},
		{"wrong route", 404, failure("UnknownError"), false},
		{"the right word with a wrong status", 400, failure("Request_ResourceNotFound"), false},
		{"forbidden", 403, failure("Authorization_RequestDenied"), false},
		{"overloaded", 503, failure("ServiceUnavailable"), false},
		{"another device", 200, row(2, ""), false},
		{"a list", 200, `{"value":[]}`, false},
		{"no object", 200, `[]`, false},
		{"no deviceId", 200, `{"id":"` + objectID(1) + `"}`, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFake()
				f.on(path, func(url.Values) (int, string) { return tt.status, tt.body })
				s, done := newSource(t, f, Options{})
				defer done()
				_, err := s.Lookup(t.Context(), entraKey(1))
				if err == nil || errors.Is(err, source.ErrUnknownDevice) != tt.unknown {
					t.Errorf("Lookup = %v, want unknown device: %v", err, tt.unknown)
				}
			})
		})
	}
}

func TestLookupOfOtherKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		s, done := newSource(t, f, Options{})
		defer done()
		for kind, unknown := range map[string]bool{
			decision.KindIntune: true, decision.KindSerial: true, decision.KindDefender: true, decision.KindSID: false,
			decision.KindEntraObject: true, decision.KindPinnedCertificate: false,
		} {
			_, err := s.Lookup(t.Context(), decision.Key{Kind: kind, Value: "a')/b"})
			if err == nil || errors.Is(err, source.ErrUnknownDevice) != unknown {
				t.Errorf("Lookup of kind %s = %v, want unknown device: %v", kind, err, unknown)
			}
			// Anything else than unusable counts as a failure of the directory.
			if errors.Is(err, source.ErrUnusable) == unknown || s.CanLookup(kind) != unknown {
				t.Errorf("Lookup of kind %s = %v; CanLookup %v", kind, err, s.CanLookup(kind))
			}
		}
		if n := len(f.calls()); n != 0 {
			t.Errorf("%d calls, want none", n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := s.Lookup(ctx, entraKey(1)); err == nil || errors.Is(err, source.ErrUnknownDevice) {
			t.Errorf("Lookup with an ended context = %v", err)
		}
	})
}

// TestLookupCounts: what a look-up cannot use is counted until the next complete
// listing, which has the device too.
func TestLookupCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFake()
		f.say("/v1.0/devices(deviceId='"+deviceID(1)+"')", 200, row(1, `"accountEnabled":true,"trustType":"Telepathy","isCompliant":"yes"`))
		d := newDirectory(f, devicesPath)
		d.set(row(1, `"accountEnabled":true,"isCompliant":true`))
		s, done := newSource(t, f, Options{})
		defer done()
		for range 2 {
			if v, err := s.Lookup(t.Context(), entraKey(1)); err != nil || v.Compliance != decision.ComplianceUnknown {
				t.Errorf("compliance %s, %v; want unknown", v.Compliance, err)
			}
		}
		want := []source.SkippedValue{{Field: "isCompliant", Reason: wrongType, Count: 2}, {Field: "trustType", Reason: unknownValue, Count: 2}}
		if got := s.Counters().Skipped; !slices.Equal(got, want) {
			t.Errorf("counts %v, want %v", got, want)
		}
		swept(t, s)
		if got := s.Counters().Skipped; len(got) > 0 {
			t.Errorf("after a complete listing: %v", got)
		}
		if _, err := s.Lookup(t.Context(), entraKey(1)); err != nil || len(s.Counters().Skipped) != 2 {
			t.Errorf("after that: %v, %v", s.Counters().Skipped, err)
		}
	})
}
