package defender

import (
	"errors"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// onlyStyle answers the filter by device id in one spelling and refuses others.
func onlyStyle(f *fake, quote string) func(string, url.Values) (int, string) {
	return func(_ string, q url.Values) (int, string) {
		filter := q.Get("$filter")
		id, ok := strings.CutPrefix(filter, "aadDeviceId eq "+quote)
		switch {
		case !strings.HasPrefix(filter, "aadDeviceId"):
			return 0, ""
		case quote != "none" && ok && len(id) == 36+len(quote) && id == deviceID(1)+quote:
			return f.page([]string{row(1, "Medium")}, q)
		case quote != "none" && ok && len(id) == 36+len(quote):
			return refuse(404, "ResourceNotFound")
		}
		return refuse(400, "ODataError")
	}
}

func TestLookupQuotes(t *testing.T) {
	for _, quote := range []string{"", "'"} {
		bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
			f.answerWith(onlyStyle(f, quote))
			for range 2 {
				f.calls("")
				v, err := s.Lookup(t.Context(), device(1))
				if err != nil || v.Risk != decision.LevelMedium || !slices.Equal(v.Keys, []decision.Key{machine(1), device(1)}) {
					t.Errorf("quote %q: %+v, %v", quote, v.Device, err)
				}
			}
			if got := f.calls("aadDeviceId"); len(got) != 1 {
				t.Errorf("quote %q: the second look-up asks %q", quote, got)
			}
			if _, err := s.Lookup(t.Context(), device(2)); !errors.Is(err, source.ErrUnknownDevice) {
				t.Errorf("quote %q: unknown device = %v", quote, err)
			}
		})
	}
}

// TestLookupListing refuses every filter by device id.
func TestLookupListing(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
		f.answerWith(onlyStyle(f, "none"))
		f.list("", row(1, "None"), row(2, "None"), row(3, "None"))
		f.have(row(1, "High"), strings.Replace(row(3, "None"), deviceID(3), deviceID(4), 1))
		if _, err := s.Lookup(t.Context(), device(1)); !errors.Is(err, errNotNow) {
			t.Errorf("before the first listing = %v", err)
		}
		again(t, s)
		if v, err := s.Lookup(t.Context(), device(1)); err != nil || v.Risk != decision.LevelHigh {
			t.Errorf("listed device: %v, %v", v.Risk, err)
		}
		for n, what := range map[int]string{2: "removed machine", 3: "machine that is another device now", 5: "unknown device"} {
			if _, err := s.Lookup(t.Context(), device(n)); !errors.Is(err, source.ErrUnknownDevice) {
				t.Errorf("%s = %v", what, err)
			}
		}
		time.Sleep(maxListingAge + time.Second)
		if _, err := s.Lookup(t.Context(), device(5)); !errors.Is(err, errNotNow) {
			t.Errorf("unknown device when the listing is old = %v", err)
		}
		f.calls("")
		time.Sleep(styleRest)
		f.answerWith(onlyStyle(f, ""))
		if _, err := s.Lookup(t.Context(), device(5)); !errors.Is(err, source.ErrUnknownDevice) || len(f.calls("aadDeviceId")) != 1 {
			t.Errorf("a day later = %v", err)
		}
	})
}

func TestLookupAnswers(t *testing.T) {
	for name, tt := range map[string]struct {
		key     decision.Key
		status  int
		body    string
		unknown bool
	}{
		"another device":  {key: device(1), status: 200, body: `{"value":[` + row(2, "None") + `]}`},
		"no list":         {key: device(1), status: 200, body: `{}`},
		"row without id":  {key: device(1), status: 200, body: `{"value":[{"aadDeviceId":"` + deviceID(1) + `"}]}`},
		"proxy's 404":     {key: device(1), status: 404, body: `not here`},
		"forbidden":       {key: device(1), status: 403, body: `{"error":{"code":"Forbidden","message":"no"}}`},
		"empty list":      {key: device(1), status: 200, body: `{"value":[]}`, unknown: true},
		"another machine": {key: machine(1), status: 200, body: row(2, "None")},
		"machine is list": {key: machine(1), status: 200, body: `{"value":[` + row(1, "None") + `]}`},
		"no machine":      {key: machine(1), status: 404, body: `{"error":{"code":"ResourceNotFound","message":"no"}}`, unknown: true},
		"not canonical":   {key: decision.Key{Kind: decision.KindEntra, Value: strings.ToUpper(deviceID(10))}, status: 500, unknown: true},
		"a path":          {key: decision.Key{Kind: decision.KindDefender, Value: "1/alerts"}, status: 500, unknown: true},
		"serial number":   {key: decision.Key{Kind: decision.KindSerial, Value: "X1"}, status: 500, unknown: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
				f.answerWith(func(string, url.Values) (int, string) { return tt.status, tt.body })
				v, err := s.Lookup(t.Context(), tt.key)
				if err == nil || errors.Is(err, source.ErrUnknownDevice) != tt.unknown || len(v.Keys) > 0 {
					t.Errorf("Lookup = %+v, %v", v.Device, err)
				}
				if tt.status == 500 && len(f.calls("")) > 0 {
					t.Error("the service was asked")
				}
			})
		})
	}
}

// TestLookupDuringSync looks a machine up while a page that says something older
// is on its way.
func TestLookupDuringSync(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
		f.list("", rows(0, 50, "None")...)
		again(t, s)
		for _, tt := range []struct {
			wait time.Duration
			mode string
		}{{time.Minute, modeChanges}, {time.Hour, modeFull}} {
			time.Sleep(tt.wait)
			f.list("lastSeen", row(1, "None"))
			f.have(row(1, "High"))
			f.answerWith(func(path string, q url.Values) (int, string) {
				if path != machinesPath || q.Get("$skip") != "" || strings.HasPrefix(q.Get("$filter"), "riskScore") {
					return 0, ""
				}
				f.answerWith(nil)
				if _, err := s.Lookup(t.Context(), machine(1)); err != nil {
					t.Error(err)
				}
				return 0, "" // the page was made before
			})
			table := again(t, s)
			if got := riskOf(t, table, 1); got != decision.LevelHigh || s.Stats().Mode != tt.mode {
				t.Errorf("%s: risk %v, stats %+v", tt.mode, got, s.Stats())
			}
			f.have(row(1, "None"))
			again(t, s)
		}
	})
}

func TestLookupAlerts(t *testing.T) {
	bubble(t, Options{Alerts: true}, func(t *testing.T, f *fake, s *Source) {
		f.have(row(1, "Low"))
		path := machinesPath + "/" + machineID(1) + "/alerts"
		for name, tt := range map[string]struct {
			status int
			body   string
			want   decision.Level
			fails  bool
		}{
			"open":      {200, `{"value":[` + alertOf(1, "High", "InProgress") + `]}`, decision.LevelHigh, false},
			"lower":     {200, `{"value":[` + alertOf(1, "Informational", "New") + `]}`, decision.LevelLow, false},
			"closed":    {200, `{"value":[` + alertOf(1, "High", "Resolved") + `]}`, decision.LevelLow, false},
			"others":    {200, `{"value":[` + alertOf(2, "High", "New") + `]}`, decision.LevelLow, false},
			"none":      {404, `{"error":{"code":"ResourceNotFound","message":"no"}}`, decision.LevelLow, false},
			"forbidden": {403, `{"error":{"code":"Forbidden","message":"no"}}`, decision.LevelUnknown, true},
		} {
			f.answerWith(func(p string, _ url.Values) (int, string) {
				if p == path {
					return tt.status, tt.body
				}
				return 0, ""
			})
			v, err := s.Lookup(t.Context(), machine(1))
			if v.Risk != tt.want || (err != nil) != tt.fails || errors.Is(err, source.ErrUnknownDevice) {
				t.Errorf("%s: risk %v, %v", name, v.Risk, err)
			}
		}
	})
}

// TestLookupCounts: a look-up counts what it cannot use, as a listing does.
func TestLookupCounts(t *testing.T) {
	bubble(t, Options{Alerts: true}, func(t *testing.T, f *fake, s *Source) {
		odd := strings.Replace(row(1, "Radioactive"), "{", `{"exposureLevel":7,`, 1)
		f.have(odd)
		f.answerWith(func(path string, q url.Values) (int, string) {
			switch {
			case strings.HasSuffix(path, "/alerts"):
				return f.page([]string{alertOf(1, "Apocalyptic", "New"), `{"id":"b","machineId":"x y","severity":"High","status":"New"}`, `[]`}, q)
			case strings.HasPrefix(q.Get("$filter"), "aadDeviceId"):
				return f.page([]string{odd}, q)
			}
			return 0, ""
		})
		for n, k := range []decision.Key{machine(1), device(1)} {
			if _, err := s.Lookup(t.Context(), k); err != nil {
				t.Fatal(err)
			}
			for _, what := range []string{"riskScore: unknown value", "exposureLevel: wrong type", "severity: unknown value", "machineId: bad id", "alert: not an object"} {
				if got := s.Stats().Problems[what]; got != n+1 {
					t.Errorf("%s after %d look-ups: %d times", what, n+1, got)
				}
			}
		}
	})
}
