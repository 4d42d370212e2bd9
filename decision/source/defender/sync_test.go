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

func TestNewOptions(t *testing.T) {
	if _, err := New(Options{}); err == nil {
		t.Error("New without a client succeeds")
	}
	bubble(t, Options{}, func(t *testing.T, _ *fake, s *Source) {
		if _, err := New(Options{Client: s.o.Client, FullSweep: -1}); err == nil {
			t.Error("New with a negative time succeeds")
		}
		if st := s.Stats(); st.Mode != "" || st.LookUp != byFilter || s.o.FullSweep != time.Hour {
			t.Errorf("stats %+v, complete listing every %v", st, s.o.FullSweep)
		}
	})
}

// TestSchedule follows when a listing is complete.
func TestSchedule(t *testing.T) {
	bubble(t, Options{FullSweep: 30 * time.Minute}, func(t *testing.T, f *fake, s *Source) {
		start := time.Now()
		now := start
		s.o.Now = func() time.Time { return now }
		f.list("", rows(0, 5, "None")...)
		for _, tt := range []struct {
			at   time.Duration
			mode string
		}{{0, modeFull}, {time.Minute, modeChanges}, {29 * time.Minute, modeChanges}, {30 * time.Minute, modeFull}, {31 * time.Minute, modeChanges}, {-time.Hour, modeFull}} {
			now = start.Add(tt.at)
			again(t, s)
			if got := s.Stats().Mode; got != tt.mode {
				t.Errorf("at %v: %s, want %s", tt.at, got, tt.mode)
			}
		}
	})
}

// TestChangesSince checks that a poll looks back to the last good one.
func TestChangesSince(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
		f.list("", rows(0, 5, "None")...)
		start := time.Now()
		again(t, s)
		since := func(at time.Time) string { return "lastSeen gt " + at.Add(-overlap).UTC().Format(time.RFC3339) }
		time.Sleep(5 * time.Minute)
		f.answerWith(func(_ string, q url.Values) (int, string) {
			if strings.HasPrefix(q.Get("$filter"), "riskScore") {
				return refuse(500, "InternalServerError")
			}
			return 0, ""
		})
		if err := s.Sync(t.Context(), source.NewSweep(0)); err == nil {
			t.Error("Sync succeeds although the second list fails")
		}
		f.answerWith(nil)
		second := time.Now()
		for _, want := range []string{since(start), since(second)} {
			f.calls("")
			again(t, s)
			if got := f.calls("lastSeen"); len(got) != 1 || !strings.Contains(got[0], want) {
				t.Errorf("calls %q, want one with %q", got, want)
			}
		}
	})
}

func TestFailedListing(t *testing.T) {
	bubble(t, Options{Alerts: true}, func(t *testing.T, f *fake, s *Source) {
		f.list("", rows(0, 12_000, "None")...)
		f.answerWith(func(path string, q url.Values) (int, string) {
			if path == machinesPath && q.Get("$skip") != "" {
				return refuse(500, "InternalServerError")
			}
			return 0, ""
		})
		sw := source.NewSweep(0)
		if err := s.Sync(t.Context(), sw); err == nil || sw.Devices() != 0 || s.Stats().Devices != 0 {
			t.Errorf("Sync = %v with %d devices", err, sw.Devices())
		}
		f.answerWith(func(path string, _ url.Values) (int, string) {
			if path == alertsPath {
				return refuse(500, "InternalServerError")
			}
			return 0, ""
		})
		if err := s.Sync(t.Context(), source.NewSweep(0)); err == nil {
			t.Error("Sync succeeds without the alerts")
		}
		// The machines need not be listed again, and are not lost either.
		f.answerWith(nil)
		if n := again(t, s).Len(); n != 12_000 || s.Stats().Mode != modeChanges {
			t.Errorf("%d devices, stats %+v", n, s.Stats())
		}
	})
}

func TestEmptyListing(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
		if n := again(t, s).Len(); n != 0 {
			t.Errorf("%d devices of an empty service", n)
		}
		f.list("", row(1, "High"))
		time.Sleep(time.Hour)
		if r := riskOf(t, again(t, s), 1); r != decision.LevelHigh {
			t.Errorf("risk %v", r)
		}
		f.list("")
		time.Sleep(time.Hour)
		if err := s.Sync(t.Context(), source.NewSweep(0)); !errors.Is(err, errEmpty) {
			t.Errorf("Sync of a service that lost all machines = %v", err)
		}
		f.answerWith(func(string, url.Values) (int, string) { return refuse(404, "") })
		if err := s.Sync(t.Context(), source.NewSweep(0)); err == nil || errors.Is(err, source.ErrUnchanged) {
			t.Errorf("Sync with a 404 that is not the service's = %v", err)
		}
	})
}

// TestRecheck lets more machines leave the answer about those at risk than one
// poll asks for.
func TestRecheck(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
		f.list("", rows(0, 100, "High")...)
		f.list("riskScore", rows(0, 100, "High")...)
		again(t, s)
		time.Sleep(time.Minute)
		f.list("riskScore", rows(25, 100, "High")...) // confirms all but 25
		f.have(append(rows(0, 24, "None"), row(24, "Low"))...)
		table := again(t, s)
		st := s.Stats()
		if st.Mode != modeChanges || st.Rechecked != maxAsked || st.Waiting != 5 || st.AtRisk != 80 {
			t.Errorf("stats %+v, want %d rechecked and 5 waiting", st, maxAsked)
		}
		for n, want := range map[int]decision.Level{0: decision.LevelNone, 19: decision.LevelNone, 20: decision.LevelHigh, 24: decision.LevelHigh, 50: decision.LevelHigh} {
			if got := riskOf(t, table, n); got != want {
				t.Errorf("machine %d: risk %v, want %v", n, got, want)
			}
		}
		f.calls("")
		table = again(t, s)
		if got := f.calls(machinesPath + "/"); len(got) != 5 || riskOf(t, table, 20) != decision.LevelNone || riskOf(t, table, 24) != decision.LevelLow {
			t.Errorf("second poll asks %q", got)
		}
		// Much later a complete listing is cheaper.
		time.Sleep(minFull)
		f.list("riskScore")
		f.list("", rows(0, 100, "None")...)
		table = again(t, s)
		if st := s.Stats(); st.Mode != modeFull || st.AtRisk != 0 || riskOf(t, table, 99) != decision.LevelNone {
			t.Errorf("stats %+v, want a complete listing", st)
		}
	})
}

func TestRecheckFails(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
		f.list("", append(rows(0, 3, "High"), rows(3, 50, "None")...)...)
		again(t, s)
		f.have(row(0, "None"), row(2, "None"))
		f.answerWith(func(path string, _ url.Values) (int, string) {
			if strings.HasSuffix(path, "2") {
				return refuse(500, "InternalServerError")
			}
			return 0, ""
		})
		table := again(t, s)
		if riskOf(t, table, 0) != decision.LevelNone || riskOf(t, table, 2) != decision.LevelHigh {
			t.Errorf("risks %v and %v", riskOf(t, table, 0), riskOf(t, table, 2))
		}
		if _, ok := table.Find(device(1)); ok {
			t.Error("a machine that the service does not have is listed")
		}
		if st := s.Stats(); st.Rechecked != 2 || st.Waiting != 1 {
			t.Errorf("stats %+v", st)
		}
	})
}

// TestLowRisk stops following low risk where there is too much of it.
func TestLowRisk(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
		f.list("", rows(0, maxLow+1, "Low")...)
		again(t, s)
		f.calls("")
		again(t, s)
		want := machinesPath + " riskScore eq 'High' or riskScore eq 'Medium'"
		if got := f.calls("riskScore"); !slices.Equal(got, []string{want}) {
			t.Errorf("calls %q, want %q", got, want)
		}
		if st := s.Stats(); st.Rechecked != 0 || st.AtRisk != maxLow+1 {
			t.Errorf("stats %+v", st)
		}
	})
}

// TestListingLeavesOut checks machines that a complete listing does not have.
func TestListingLeavesOut(t *testing.T) {
	for name, tt := range map[string]struct {
		missing, kept int // the first machines; of these the service still has some
		silent        bool
		asked, want   int
		fails         bool
	}{
		"one that is still there": {missing: 1, kept: 1, asked: 1, want: 100},
		"one that is gone":        {missing: 1, asked: 1, want: 99},
		"silent for weeks":        {missing: 30, kept: 30, silent: true, want: 70},
		"many that are gone":      {missing: 40, asked: maxAsked, want: 60},
		"many that are there":     {missing: 40, kept: 40, asked: 1, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
				seen := time.Now().Add(-time.Hour)
				if tt.silent {
					seen = time.Now().Add(-2 * recent)
				}
				var gone []string
				for n := range tt.missing {
					gone = append(gone, rowAt(n, "None", seen))
				}
				rest := rows(tt.missing, 100, "None")
				f.list("", append(slices.Clone(gone), rest...)...)
				again(t, s)
				time.Sleep(time.Hour)
				f.list("", rest...)
				f.have(gone[:tt.kept]...)
				f.calls("")
				sw := source.NewSweep(0)
				err := s.Sync(t.Context(), sw)
				if got := len(f.calls(machinesPath + "/")); got != tt.asked {
					t.Errorf("asks for %d machines, want %d", got, tt.asked)
				}
				if (err != nil) != tt.fails || !tt.fails && sw.Devices() != tt.want {
					t.Errorf("Sync = %v with %d devices, want %d", err, sw.Devices(), tt.want)
				}
				if n := s.fleet.listing.Len(); tt.fails && n != 100 {
					t.Errorf("%d machines after a failure, want the 100 before", n)
				}
			})
		})
	}
}

// TestTwins lets a device change which of its machines is the newest.
func TestTwins(t *testing.T) {
	twin := func(id, of int, risk string, seen time.Time) string {
		return strings.Replace(rowAt(id, risk, seen), deviceID(id), deviceID(of), 1)
	}
	bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
		now := time.Now()
		f.list("", twin(1, 7, "High", now.Add(-time.Hour)), twin(2, 7, "None", now.Add(-2*time.Hour)), row(9, "None"))
		table := again(t, s)
		if v := find(t, table, device(7)); v.Keys[0] != machine(1) || table.Len() != 2 || s.Stats().Duplicates != 1 {
			t.Errorf("device %+v of %d, stats %+v", v.Device, table.Len(), s.Stats())
		}
		f.list("lastSeen", twin(2, 7, "Low", now))
		f.list("riskScore", twin(1, 7, "High", now.Add(-time.Hour)), twin(2, 7, "Low", now))
		table = again(t, s)
		if v := find(t, table, device(7)); v.Keys[0] != machine(2) || v.Risk != decision.LevelLow || table.AmbiguousKeys() != 0 {
			t.Errorf("device %+v", v.Device)
		}
		// Of two that reported at once the one at higher risk counts.
		f.list("riskScore", twin(1, 7, "High", now), twin(2, 7, "Low", now))
		if v := find(t, again(t, s), device(7)); v.Risk != decision.LevelHigh {
			t.Errorf("device %+v", v.Device)
		}
	})
}
