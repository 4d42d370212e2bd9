package defender

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// TestScoreThatCannotBeRead: it ends a good score, and a bad one is then the least
// that the risk can be, whichever call brings it.
func TestScoreThatCannotBeRead(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
		check := func(when string, n int, d *decision.Device, risk decision.Level) {
			t.Helper()
			if d.Risk != risk || d.RiskFloor != (risk != decision.LevelUnknown) || !d.Unreadable.Has(decision.FactRisk) {
				t.Errorf("%s, machine %d: risk %v, floor %v, unreadable %v; want %v", when, n, d.Risk, d.RiskFloor, d.Unreadable, risk)
			}
		}
		f.list("", row(1, "High"), row(2, "None"), row(3, "Low"))
		f.list("riskScore", row(1, "High"), row(3, "Low"))
		again(t, s)
		odd := []string{row(1, "Extreme"), row(2, "Extreme"), row(3, "Extreme")}
		f.list("lastSeen", odd...)
		f.list("riskScore")
		f.have(odd...)
		want := map[int]decision.Level{1: decision.LevelHigh, 2: decision.LevelUnknown, 3: decision.LevelLow}
		for _, when := range []string{"changes", "complete listing", "complete listing again"} {
			table := again(t, s)
			if table == nil {
				s.dirty = true
				table = again(t, s)
			}
			for n, risk := range want {
				v := find(t, table, device(n))
				check(when, n, &v.Device, risk)
				looked, err := s.Lookup(t.Context(), machine(n))
				if err != nil {
					t.Fatal(err)
				}
				check(when+", look-up", n, &looked.Device, risk)
			}
			if st := s.Stats(); st.Rechecked != 0 || st.AtRisk != 0 {
				t.Errorf("%s: machines whose score cannot be read are asked for: %+v", when, st)
			}
			f.list("", odd...)
			s.fullDue = true
		}
		f.list("", row(1, "None"), row(2, "None"), row(3, "None"))
		f.list("lastSeen")
		s.fullDue = true
		table := again(t, s)
		for n := range want {
			if v := find(t, table, device(n)); v.Risk != decision.LevelNone || v.RiskFloor || v.Unreadable != 0 {
				t.Errorf("machine %d after a score that can be read: %+v", n, v.Device)
			}
		}
	})
}

// TestScoreThatIsKept: on a runner, the status tells of the machines whose score was bad
// and cannot be read. A worse alert, or one that is as bad, is a word of its own; a better one, a low score and
// another machine of the device that was seen at the same time are no pardon.
func TestScoreThatIsKept(t *testing.T) {
	bubble(t, Options{Alerts: true}, func(t *testing.T, f *fake, s *Source) {
		seen := time.Now().Add(-time.Hour)
		r := source.NewRunner(s, source.RunnerOptions{Name: "defender"})
		defer r.Stop()
		alerts := []string{alertOf(3, "Low", "New"), alertOf(4, "High", "New")}
		f.answerWith(func(path string, q url.Values) (int, string) {
			if path == alertsPath {
				return f.page(alerts, q)
			}
			return 0, ""
		})
		sync := func(rows ...string) {
			t.Helper()
			f.list("", rows...)
			s.fullDue = true
			time.Sleep(time.Minute)
			if err := r.SyncNow(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		all := func(one, two, three, four, low, older, newer string) []string {
			twin := func(n int, risk string) string {
				return strings.ReplaceAll(rowAt(n, risk, seen), deviceID(n), deviceID(6))
			}
			return []string{
				rowAt(1, one, seen), rowAt(2, two, seen), rowAt(3, three, seen), rowAt(4, four, seen), rowAt(5, low, seen),
				twin(6, older), twin(7, newer),
			}
		}
		check := func(when string, kept int, want ...decision.Level) {
			t.Helper()
			for i, level := range want {
				m := r.Find([]decision.Key{device(i + 1)})
				if m.Verdict == nil || m.Verdict.Risk != level {
					t.Errorf("%s: machine %d: %+v, want %s", when, i+1, m.Verdict, level)
				}
			}
			if n := r.Status().Kept; n != kept {
				t.Errorf("%s: the status tells of %d, want %d", when, n, kept)
			}
		}
		const unknown, none, low, medium, high = decision.LevelUnknown, decision.LevelNone, decision.LevelLow, decision.LevelMedium, decision.LevelHigh
		sync(all("High", "None", "Medium", "Medium", "Low", "High", "None")...)
		check("at first", 0, high, none, medium, high, low, high)
		sync(all("Odd", "Odd", "Odd", "Odd", "Odd", "Odd", "None")...)
		check("unreadable", 3, high, unknown, medium, high, low, high) // 1, 3 and the device of 6
		if m := r.Find([]decision.Key{device(3)}); !m.Verdict.RiskFloor || m.Verdict.Unreadable != decision.Facts(decision.FactRisk) {
			t.Errorf("machine 3: %+v", m.Verdict)
		}
		f.have(rowAt(1, "Odd", seen))
		if err := r.Refresh(t.Context(), machine(1)); err != nil {
			t.Fatal(err)
		}
		check("after a look-up that says the same", 3, high)
		alerts = alerts[:1]
		sync(all("None", "None", "None", "None", "None", "None", "None")...)
		check("readable", 0, none, none, low, none, none, none)
	})
}

// TestForgetScoreThatAnAlertSays: what an open alert says at this moment is not kept, also
// where the score that cannot be read any more said the same before: to forget what is
// kept takes back nothing of it.
func TestForgetScoreThatAnAlertSays(t *testing.T) {
	for _, tt := range []struct {
		severity string
		kept     bool
		want     decision.Level // after Forget
	}{
		{"High", false, decision.LevelHigh},
		{"Medium", false, decision.LevelMedium},
		{"Informational", true, decision.LevelUnknown},
	} {
		bubble(t, Options{Alerts: true}, func(t *testing.T, f *fake, s *Source) {
			seen := time.Now().Add(-time.Hour)
			r := source.NewRunner(s, source.RunnerOptions{Name: "defender"})
			defer r.Stop()
			f.answerWith(func(path string, q url.Values) (int, string) {
				if path == alertsPath {
					return f.page([]string{alertOf(1, tt.severity, "New")}, q)
				}
				return 0, ""
			})
			for _, score := range []string{"Medium", "Odd"} {
				f.list("", rowAt(1, score, seen), rowAt(2, "None", seen))
				s.fullDue = true
				time.Sleep(time.Minute)
				if err := r.SyncNow(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if n := r.Status().Kept; (n == 1) != tt.kept {
				t.Errorf("%s: the status tells of %d that is kept", tt.severity, n)
			}
			d := source.NewDirectory([]*source.Runner{r}, source.DirectoryOptions{})
			forgotten, err := d.Forget(device(1), "")
			if err != nil {
				t.Fatal(err)
			}
			for _, k := range forgotten {
				if k.Any() != tt.kept {
					t.Errorf("%s: forgotten %+v, want something: %v", tt.severity, k, tt.kept)
				}
			}
			if m := r.Find([]decision.Key{device(1)}); m.Verdict == nil || m.Verdict.Risk != tt.want {
				t.Errorf("%s: %+v, want %s", tt.severity, m.Verdict, tt.want)
			}
		})
	}
}

// TestSilentSensor: the level of a machine that does not report can refuse and never
// pass.
func TestSilentSensor(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
		silent := func(n int, health, risk string) string {
			return `{"id":"` + machineID(n) + `","aadDeviceId":"` + deviceID(n) + `","healthStatus":` + health + `,"onboardingStatus":"onboarded","riskScore":"` + risk + `"}`
		}
		f.list("", silent(1, `"Inactive"`, "None"), silent(2, `"NoSensorData"`, "High"), silent(3, `null`, "Low"), silent(4, `"Active"`, "Low"))
		table := again(t, s)
		for n, want := range map[int]struct {
			risk  decision.Level
			floor bool
		}{
			1: {decision.LevelNone, true}, 2: {decision.LevelHigh, true}, 3: {decision.LevelLow, true}, 4: {decision.LevelLow, false},
		} {
			if v := find(t, table, device(n)); v.Risk != want.risk || v.RiskFloor != want.floor {
				t.Errorf("machine %d: risk %v, floor %v, want %v", n, v.Risk, v.RiskFloor, want)
			}
		}
		// The sensor reports again, and that alone is news.
		f.list("lastSeen", silent(1, `"Active"`, "None"))
		if table = again(t, s); table == nil {
			t.Fatal("a sensor that reports again is no change")
		}
		if v := find(t, table, device(1)); v.Risk != decision.LevelNone || v.RiskFloor {
			t.Errorf("machine 1 reports again: %+v", v.Device)
		}
	})
}

// TestForgetStays: a score that an operator lets go of does not come back with the next
// listing that cannot be read, nor with a look-up.
func TestForgetStays(t *testing.T) {
	bubble(t, Options{}, func(t *testing.T, f *fake, s *Source) {
		seen := time.Now().Add(-time.Hour)
		r := source.NewRunner(s, source.RunnerOptions{Name: "defender"})
		defer r.Stop()
		read := func(score, other string) decision.Level {
			t.Helper()
			f.list("", rowAt(1, score, seen), rowAt(2, other, seen))
			f.have(rowAt(1, score, seen))
			s.fullDue = true
			time.Sleep(time.Minute)
			if err := r.SyncNow(t.Context()); err != nil {
				t.Fatal(err)
			}
			return r.Find([]decision.Key{device(1)}).Verdict.Risk
		}
		read("High", "None")
		if got := read("Odd", "None"); got != decision.LevelHigh || r.Status().Kept != 1 {
			t.Fatalf("%s is kept", got)
		}
		if _, err := source.NewDirectory([]*source.Runner{r}, source.DirectoryOptions{}).Forget(device(1), ""); err != nil {
			t.Fatal(err)
		}
		for _, other := range []string{"None", "Low", "High"} {
			if got := read("Odd", other); got != decision.LevelUnknown {
				t.Errorf("%s comes back", got)
			}
			if v, err := s.Lookup(t.Context(), machine(1)); err != nil || v.Risk != decision.LevelUnknown {
				t.Errorf("a look-up brings %s back, %v", v.Risk, err)
			}
		}
		if got := read("Medium", "None"); got != decision.LevelMedium {
			t.Errorf("what it says again is %s", got)
		}
	})
}
