package configmgr

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

func entraKey(id string) decision.Key { return decision.Key{Kind: decision.KindEntra, Value: id} }

func TestLookupByEachKind(t *testing.T) {
	site := newFakeSite(t)
	site.add(100, strings.ToUpper(entraOne), sidOne)
	site.add(101, entraTwo, "")
	s := site.source(t)
	swept := sweepOf(t, s)["LT-0100"]
	for _, key := range swept.Keys {
		v, err := s.Lookup(t.Context(), key)
		if err != nil {
			t.Fatalf("%v: %v", key, err)
		}
		if v.Name != "LT-0100" || v.Compliance != swept.Compliance || v.Channel != swept.Channel || v.Updated != swept.Updated {
			t.Errorf("%v: a look-up says something else than the sweep: %+v", key, v)
		}
	}
	for _, key := range []decision.Key{
		{Kind: decision.KindSerial, Value: "LT-0100"}, // never by name or by what can be forged
		{Kind: "name", Value: "lt-0100"},
		{Kind: decision.KindEntra, Value: strings.ToUpper(entraOne)}, // not canonical
		{Kind: decision.KindSID, Value: "s-1-5-21-1-2-3-4"},
	} {
		if _, err := s.Lookup(t.Context(), key); !errors.Is(err, source.ErrUnknownDevice) {
			t.Errorf("%v: %v, want unknown device", key, err)
		}
	}
}

// TestLookupQuotes: an id cannot change the query.
func TestLookupQuotes(t *testing.T) {
	key := decision.Key{Kind: decision.KindConfigMgr, Value: "guid:1' or '1' eq '1"}
	if got, want := filterFor(key), "SMSUniqueIdentifier eq 'GUID:1'' OR ''1'' EQ ''1'"; got != want {
		t.Errorf("filter %s, want %s", got, want)
	}
	site := newFakeSite(t)
	site.add(100, entraOne, "")
	site.fault = func(w http.ResponseWriter, _ *http.Request, class string) bool {
		writeRows(w, class, site.classes[class]) // a server that ignores $filter
		return true
	}
	for _, k := range []decision.Key{key, entraKey(entraTwo)} {
		if _, err := site.source(t).Lookup(t.Context(), k); !errors.Is(err, source.ErrUnknownDevice) {
			t.Errorf("%v: %v, want unknown device", k, err)
		}
	}
}

func TestLookupOtherDevicesRows(t *testing.T) {
	site := newFakeSite(t)
	site.add(100, entraOne, "")
	_, facts := site.add(101, entraTwo, "")
	facts["ClientCheckPass"] = 2
	site.fault = func(w http.ResponseWriter, _ *http.Request, class string) bool {
		if class != classResources {
			return false
		}
		writeRows(w, class, site.classes[class][1:]) // the row of 101, whatever was asked
		return true
	}
	v, err := site.source(t).Lookup(t.Context(), entraKey(entraOne))
	if err != nil || v.Compliance != decision.ComplianceUnknown {
		t.Errorf("compliance %s, %v; want unknown without a row of its own", v.Compliance, err)
	}
	site.set(func() {
		site.fault = func(w http.ResponseWriter, _ *http.Request, class string) bool {
			if class != classUpdates {
				return false
			}
			writeRows(w, class, []row{{"MachineID": 101, "CI_ID": 1, "Status": 3}})
			return true
		}
	})
	if _, err := site.source(t).Lookup(t.Context(), entraKey(entraOne)); err == nil || errors.Is(err, source.ErrUnknownDevice) {
		t.Errorf("update rows of another device: %v, want an error", err)
	}
}

func TestLookupTwins(t *testing.T) {
	site := newFakeSite(t)
	_, old := site.add(100, entraOne, "")
	old["LastActiveTime"], old["ClientCheckPass"] = "2026-10-01T00:00:00Z", 2
	site.add(101, entraOne, "")
	s := site.source(t)
	v, err := s.Lookup(t.Context(), entraKey(entraOne))
	if err != nil || v.Name != "LT-0101" || v.Compliance != decision.Compliant {
		t.Errorf("%s is %s, %v; want the record that was active last", v.Name, v.Compliance, err)
	}
	if _, err := s.Lookup(t.Context(), decision.Key{Kind: decision.KindConfigMgr, Value: "guid:00000064-0000-4000-8000-00000000c0de"}); err != nil {
		t.Errorf("the older record by its own id: %v", err)
	}
	for i := range maxLive {
		site.add(200+i, entraOne, "")
	}
	if _, err := s.Lookup(t.Context(), entraKey(entraOne)); err == nil || errors.Is(err, source.ErrUnknownDevice) {
		t.Errorf("too many records: %v, want an error", err)
	}
}

func TestLookupComanagementNames(t *testing.T) {
	site := newFakeSite(t)
	site.add(100, entraOne, "")
	site.set(func() {
		site.classes[classComanagement] = []row{{"ResourceID": 100, "MDMEnrolled": 1, "ComgmtPolicyPresent": 0}}
		site.fault = func(w http.ResponseWriter, r *http.Request, _ string) bool {
			if strings.HasPrefix(r.URL.Query().Get("$filter"), "MachineId ") {
				w.WriteHeader(http.StatusBadRequest)
				return true
			}
			return false
		}
	})
	v, err := site.source(t).Lookup(t.Context(), entraKey(entraOne))
	if err != nil || v.Channel != decision.ChannelConfigMgrOnly {
		t.Errorf("channel %s, %v; want configmgr_only", v.Channel, err)
	}
}

// TestLookupNeverUnknownByAccident: a failing class is an error, never "unknown
// device".
func TestLookupNeverUnknownByAccident(t *testing.T) {
	for _, class := range []string{classSystem, classResources, classUpdates, classComanagement} {
		for _, status := range []int{400, 401, 403, 404, 429, 500, 503} {
			if class == classComanagement && status == 404 {
				continue // a site without co-management
			}
			site := newFakeSite(t)
			site.add(100, entraOne, "")
			site.fault = func(w http.ResponseWriter, _ *http.Request, c string) bool {
				if c == class {
					w.WriteHeader(status)
				}
				return c == class
			}
			_, err := site.source(t).Lookup(t.Context(), entraKey(entraOne))
			if err == nil || errors.Is(err, source.ErrUnknownDevice) || !strings.Contains(err.Error(), class) {
				t.Errorf("%s answers %d: %v", class, status, err)
			}
		}
	}
}

func TestLookupEndsWithContext(t *testing.T) {
	site := newFakeSite(t)
	site.add(100, entraOne, "")
	release := make(chan struct{})
	defer close(release)
	slow := site.source(t, func(o *Options) {
		o.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			select {
			case <-release:
			case <-r.Context().Done():
			}
			return nil, r.Context().Err()
		})
	})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := slow.Lookup(ctx, entraKey(entraOne)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Lookup = %v, want deadline exceeded", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
