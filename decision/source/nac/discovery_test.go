package nac

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// lookupTime is what the runner gives a look-up by default.
const lookupTime = 800 * time.Millisecond

func shortly(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), lookupTime)
}

// look does one look-up in the usual time.
func look(t *testing.T, s *Source) error {
	t.Helper()
	ctx, cancel := shortly(t)
	defer cancel()
	_, err := s.Lookup(ctx, askedKey)
	return err
}

// bubble runs f with a fake service and the source of it, in fake time.
func bubble(t *testing.T, run func(t *testing.T, f *fakeService, s *Source)) {
	t.Helper()
	f := newFake(t)
	synctest.Test(t, func(t *testing.T) {
		s, done := newSource(t, f)
		defer done()
		run(t, f, s)
	})
}

func TestDiscoveryIsKeptForADay(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeService, s *Source) {
		for _, step := range []struct {
			wait time.Duration
			want int
		}{{0, 1}, {time.Hour, 1}, {22 * time.Hour, 1}, {2 * time.Hour, 2}, {time.Hour, 2}} {
			time.Sleep(step.wait)
			if err := look(t, s); err != nil {
				t.Fatal(err)
			}
			if n, _ := f.counts(); n != step.want {
				t.Errorf("%d discoveries after another %s, want %d", n, step.wait, step.want)
			}
		}
		if st := s.Stats(); st.Service != unit1 || st.Discoveries != 2 || st.Located.IsZero() || st.Found != 5 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestKnownPlaceServesWhileDiscoveryFails(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeService, s *Source) {
		if err := look(t, s); err != nil {
			t.Fatal(err)
		}
		f.onDiscovery(func(r *http.Request) (int, string) {
			<-r.Context().Done() // silence
			return 500, ""
		})
		time.Sleep(locationAge)
		for range 5 {
			if err := look(t, s); err != nil {
				t.Fatalf("while discovery hangs: %v", err)
			}
		}
		if n, _ := f.counts(); n != 2 {
			t.Errorf("%d discoveries, want one more", n)
		}
		if st := s.Stats(); st.DiscoveryError == "" {
			t.Error("nobody sees that discovery fails")
		}
		f.onDiscovery(nil)
		time.Sleep(refreshGap)
		if err := look(t, s); err != nil || s.Stats().DiscoveryError != "" {
			t.Errorf("%v, stats %+v", err, s.Stats())
		}
	})
}

// atUnit answers calls to one host and fails those to any other as given.
func (f *fakeService) atUnit(unit, answer string, elsewhere func(*http.Request) (int, string, error)) {
	f.on(func(r *http.Request) (int, string, error) {
		if strings.HasPrefix(r.URL.String(), unit+"/") {
			return 200, answer, nil
		}
		return elsewhere(r)
	})
}

func refused(*http.Request) (int, string, error) { return 0, "", syscall.ECONNREFUSED }

func TestMovedServiceIsFoundAtOnce(t *testing.T) {
	for name, gone := range map[string]func(*http.Request) (int, string, error){
		"connection refused": refused,
		"not found":          func(*http.Request) (int, string, error) { return 404, "", nil },
		"gone":               func(*http.Request) (int, string, error) { return 410, "", nil },
		"redirect":           func(*http.Request) (int, string, error) { return 307, "", nil },
	} {
		t.Run(name, func(t *testing.T) {
			answer := answerFile(t, "v3-compliant")
			bubble(t, func(t *testing.T, f *fakeService, s *Source) {
				if err := look(t, s); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Hour)
				f.lists(entry("ComplianceRetrievalService", unit2))
				f.atUnit(unit2, answer, gone)
				if err := look(t, s); err != nil {
					t.Fatal(err)
				}
				if st := s.Stats(); st.Service != unit2 || st.Discoveries != 2 {
					t.Errorf("stats %+v", st)
				}
			})
		})
	}
}

// A service that swallows calls leaves no time to look for it: the next look-up
// does.
func TestSilentServiceIsLookedForNextTime(t *testing.T) {
	answer := answerFile(t, "v3-compliant")
	bubble(t, func(t *testing.T, f *fakeService, s *Source) {
		if err := look(t, s); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		f.lists(entry("ComplianceRetrievalService", unit2))
		f.atUnit(unit2, answer, func(r *http.Request) (int, string, error) {
			<-r.Context().Done()
			return 0, "", r.Context().Err()
		})
		if err := look(t, s); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v, want the deadline", err)
		}
		if err := look(t, s); err != nil {
			t.Errorf("second look-up: %v", err)
		}
		if st := s.Stats(); st.Service != unit2 {
			t.Errorf("stats %+v", st)
		}
	})
}

func TestDeadServiceIsNotLookedForAllTheTime(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeService, s *Source) {
		if err := look(t, s); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		f.on(refused)
		for range 20 {
			var me *msgraph.Error
			if err := look(t, s); !errors.As(err, &me) || me.Kind != msgraph.KindUnavailable {
				t.Fatalf("%v, want unavailable", err)
			}
			time.Sleep(time.Second)
		}
		if n, _ := f.counts(); n > 2 {
			t.Errorf("%d discoveries in 20 s, want 2 at most", n)
		}
	})
}

func TestLookupsShareOneDiscovery(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeService, s *Source) {
		f.onDiscovery(func(*http.Request) (int, string) {
			time.Sleep(100 * time.Millisecond)
			return 200, `{"value":[` + entry("ComplianceRetrievalService", unit1) + `]}`
		})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				if err := look(t, s); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if n, devices := f.counts(); n != 1 || devices != 20 {
			t.Errorf("%d discoveries and %d calls, want 1 and 20", n, devices)
		}
	})
}

func TestDiscovery(t *testing.T) {
	for _, tt := range []struct {
		name    string
		entries []string
		want    string // location, or part of the error
	}{
		{"first of the two", []string{entry("ComplianceRetrievalService", unit1), entry("ComplianceRetrievalService", unit2)}, unit1},
		{"among others", []string{entry("NACAPIService", unit1), entry("COMPLIANCERETRIEVALSERVICE", unit2)}, unit2},
		{"service name", []string{`{"providerName":null,"serviceName":"ComplianceRetrievalService","uri":"` + unit2 + `"}`}, unit2},
		{"provider before service name", []string{`{"providerName":"X","serviceName":"ComplianceRetrievalService","uri":"` + unit2 + `"}`}, "lists no"},
		{"strange entries beside", []string{`7`, `null`, `{"providerName":{}}`, entry("ComplianceRetrievalService", ""), entry("ComplianceRetrievalService", unit2)}, unit2},
		{"none", nil, "lists no ComplianceRetrievalService"},
		{"legacy alone", []string{entry("NACAPIService", unit1)}, "lists no ComplianceRetrievalService"},
		{"no TLS", []string{entry("ComplianceRetrievalService", "http://fef.unit1.manage.intune.example/x")}, "refused"},
		{"foreign host", []string{entry("ComplianceRetrievalService", "https://attacker.example/x")}, "leads to attacker.example"},
		{"look-alike", []string{entry("ComplianceRetrievalService", "https://evilmanage.intune.example/x")}, "leads to evilmanage"},
		{"suffix behind", []string{entry("ComplianceRetrievalService", "https://fef.manage.intune.example.attacker.example/x")}, "leads to"},
		{"other port", []string{entry("ComplianceRetrievalService", "https://fef.unit1.manage.intune.example:8443/x")}, "leads to"},
		{"path alone", []string{entry("ComplianceRetrievalService", "/x")}, "refused"},
		{"user", []string{entry("ComplianceRetrievalService", "https://u@fef.unit1.manage.intune.example/x")}, "refused"},
		{"query", []string{entry("ComplianceRetrievalService", unit1+"?a=b")}, "query"},
		{"dot segments", []string{entry("ComplianceRetrievalService", unit1+"/../x")}, "dot segments"},
		{"refused one, then a good one", []string{entry("ComplianceRetrievalService", "https://attacker.example/x"), entry("ComplianceRetrievalService", unit2)}, unit2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, f *fakeService, s *Source) {
				f.lists(tt.entries...)
				err := look(t, s)
				if strings.HasPrefix(tt.want, "https://") {
					if got := s.Stats().Service; err != nil || got != tt.want {
						t.Errorf("found %q, %v; want %q", got, err, tt.want)
					}
					return
				}
				if err == nil || !strings.Contains(err.Error(), tt.want) || errors.Is(err, source.ErrUnknownDevice) {
					t.Fatalf("%v, want %q", err, tt.want)
				}
				if _, devices := f.counts(); devices != 0 {
					t.Errorf("%d calls to a service that was not found", devices)
				}
				// The refusal is remembered for a while, and then tried again.
				if again := look(t, s); again == nil || again.Error() != err.Error() {
					t.Errorf("second: %v, want the same", again)
				}
				if n, _ := f.counts(); n != 1 {
					t.Errorf("%d discoveries at once", n)
				}
				time.Sleep(refusalGap)
				f.lists(entry("ComplianceRetrievalService", unit1))
				if err := look(t, s); err != nil {
					t.Errorf("after the mend: %v", err)
				}
			})
		})
	}
}

func TestDiscoveryFailures(t *testing.T) {
	for _, tt := range []struct {
		status int
		body   string
		kind   msgraph.Kind
	}{
		{403, `{"error":{"code":"Authorization_RequestDenied","message":"no"}}`, msgraph.KindPermission},
		{429, `{"error":{"code":"TooManyRequests","message":"no"}}`, msgraph.KindThrottled},
		{500, `{"error":{"code":"x","message":"no"}}`, msgraph.KindUnavailable},
		{200, `<html>sign in</html>`, msgraph.KindAnswer},
		{200, `{"values":[]}`, msgraph.KindAnswer},
	} {
		bubble(t, func(t *testing.T, f *fakeService, s *Source) {
			f.onDiscovery(func(*http.Request) (int, string) { return tt.status, tt.body })
			var me *msgraph.Error
			if err := look(t, s); !errors.As(err, &me) || me.Kind != tt.kind || me.Endpoint != msgraph.Discovery {
				t.Errorf("%d %s: %v, want kind %v", tt.status, tt.body, err, tt.kind)
			}
			f.onDiscovery(nil)
			time.Sleep(2 * time.Minute)
			if err := look(t, s); err != nil {
				t.Errorf("after %d: %v", tt.status, err)
			}
		})
	}
}

// A caller that gives up while somebody else looks for the service leaves nothing
// behind.
func TestDiscoveryHonoursContext(t *testing.T) {
	bubble(t, func(t *testing.T, f *fakeService, s *Source) {
		f.onDiscovery(func(r *http.Request) (int, string) {
			<-r.Context().Done()
			return 500, ""
		})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if err := look(t, s); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("%v, want the deadline", err)
				}
			})
		}
		start := time.Now()
		wg.Wait()
		if took := time.Since(start); took > lookupTime+time.Millisecond {
			t.Errorf("took %s", took)
		}
		f.onDiscovery(nil)
		if err := look(t, s); err != nil {
			t.Errorf("afterwards: %v", err)
		}
	})
}
