package entra

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

func user(n int, enabled string) string {
	return fmt.Sprintf(`{"id":%q,"accountEnabled":%s,"userPrincipalName":"User%d@example.com"}`, userID(n), enabled, n)
}

// scene is a directory with one device and some users.
func scene(users int) (f *fakeGraph, devices, people *directory) {
	f = newFake()
	devices, people = newDirectory(f, devicesPath), newDirectory(f, usersPath)
	devices.set(row(0, `"isCompliant":true`))
	for n := range users {
		people.set(user(n, "true"))
	}
	return f, devices, people
}

func TestUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, users := scene(4)
		users.set(user(4, "false"))
		users.set(user(5, "null"))
		users.set(user(6, `"yes"`))
		s, done := newSource(t, f, Options{Users: true})
		defer done()
		table := swept(t, s)
		if table.Users() != 7 {
			t.Fatalf("%d users, want 7", table.Users())
		}
		for n, want := range map[int]decision.Tri{0: decision.Yes, 4: decision.No, 5: decision.Unknown, 6: decision.Unknown} {
			u, ok := table.User(userID(n), "")
			if !ok || u.Enabled != want || u.UPN != fmt.Sprintf("User%d@example.com", n) {
				t.Errorf("user %d: %+v, %v, want enabled %s", n, u, ok, want)
			}
			if unread := want == decision.Unknown; u.Unreadable.Has(decision.FactUserEnabled) != unread {
				t.Errorf("user %d: unreadable %v, want %v", n, u.Unreadable, unread)
			}
			if u.Risk != decision.LevelUnknown || u.Compromised != decision.Unknown {
				t.Errorf("user %d: risk %s, which nobody read", n, u.Risk)
			}
		}
		if n := s.Stats().Problems["accountEnabled: wrong type"]; n != 1 {
			t.Errorf("%d wrong types counted, want 1", n)
		}
		// A change without a name keeps the name.
		users.change(`{"id":"` + userID(1) + `","accountEnabled":false}`)
		table = swept(t, s)
		if u, ok := table.User("", "user1@EXAMPLE.com"); !ok || u.Enabled != decision.No {
			t.Errorf("disabled user %+v, %v", u, ok)
		}
	})
}

func TestDeletedUserCountsAsDisabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, users := scene(3)
		s, done := newSource(t, f, Options{Users: true})
		defer done()
		swept(t, s)
		users.remove(userID(1), "changed")
		table := swept(t, s)
		if u, ok := table.User(userID(1), ""); !ok || u.Enabled != decision.No {
			t.Errorf("deleted user %+v, %v, want disabled", u, ok)
		}
		if _, ok := table.User("", "user1@example.com"); ok {
			t.Error("the name of a deleted user still belongs to somebody")
		}
		// Still after a complete listing, and until no token can be alive.
		time.Sleep(25 * time.Hour)
		if u, ok := swept(t, s).User(userID(1), ""); !ok || u.Enabled != decision.No {
			t.Errorf("after 25 h: %+v, %v, want disabled", u, ok)
		}
		time.Sleep(24 * time.Hour)
		if _, ok := swept(t, s).User(userID(1), ""); ok {
			t.Error("after 49 h the deleted user is still remembered")
		}
		// Restored.
		users.remove(userID(2), "changed")
		swept(t, s)
		users.set(user(2, "true"))
		if u, ok := swept(t, s).User(userID(2), ""); !ok || u.Enabled != decision.Yes {
			t.Errorf("restored user %+v, %v", u, ok)
		}
	})
}

func TestVanishedUsers(t *testing.T) {
	for _, tt := range []struct {
		lost int
		want decision.Tri
	}{{3, decision.No}, {4, decision.Unknown}, {60, decision.Unknown}} {
		synctest.Test(t, func(t *testing.T) {
			f, _, users := scene(100)
			users.page = 50
			s, done := newSource(t, f, Options{Users: true})
			defer done()
			swept(t, s)
			users.mu.Lock()
			for n := range tt.lost {
				delete(users.rows, userID(n))
			}
			users.mu.Unlock()
			time.Sleep(25 * time.Hour)
			u, ok := swept(t, s).User(userID(0), "")
			if u.Enabled != tt.want || ok != (tt.want == decision.No) {
				t.Errorf("%d of 100 are lost: %+v, %v, want enabled %s", tt.lost, u, ok, tt.want)
			}
		})
	}
}

func TestUsersWithoutPermissionFail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, _ := scene(1)
		f.say(usersPath, 403, failure("Authorization_RequestDenied"))
		s, done := newSource(t, f, Options{Users: true})
		defer done()
		err := s.Sync(t.Context(), source.NewSweep(0))
		if err == nil || !strings.Contains(err.Error(), "User.Read.All") {
			t.Errorf("Sync = %v, want an error that names the permission", err)
		}
	})
}

// risky answers riskyUsers from rows, by state, and counts.
func risky(rows ...string) func(url.Values) (int, string) {
	return func(q url.Values) (int, string) {
		var out []string
		for _, r := range rows {
			for _, state := range riskStates {
				if strings.Contains(r, state) && strings.Contains(q.Get("$filter"), state) {
					out = append(out, r)
				}
			}
		}
		return 200, `{"value":[` + strings.Join(out, ",") + `]}`
	}
}

func riskOf(n int, level, state string) string {
	return fmt.Sprintf(`{"id":%q,"riskLevel":%q,"riskState":%q}`, userID(n), level, state)
}

func TestUserRisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, _ := scene(6)
		f.on(riskPath, risky(riskOf(1, "low", "atRisk"), riskOf(2, "high", "atRisk"), riskOf(3, "high", "confirmedCompromised"),
			riskOf(4, "hidden", "atRisk"), riskOf(77, "medium", "atRisk")))
		s, done := newSource(t, f, Options{RiskyUsers: true})
		defer done()
		table := swept(t, s)
		for n, want := range map[int]decision.UserRecord{
			0:  {Risk: decision.LevelNone, Compromised: decision.No},
			1:  {Risk: decision.LevelLow, Compromised: decision.No},
			2:  {Risk: decision.LevelHigh, Compromised: decision.No},
			3:  {Risk: decision.LevelHigh, Compromised: decision.Yes},
			4:  {Risk: decision.LevelUnknown, Compromised: decision.No},
			77: {Risk: decision.LevelMedium, Compromised: decision.No},
		} {
			u, ok := table.User(userID(n), "")
			if !ok || u.Risk != want.Risk || u.Compromised != want.Compromised {
				t.Errorf("user %d: %+v, %v, want %+v", n, u, ok, want)
			}
		}
		if st := s.Stats(); st.UserRisk != riskCurrent || st.AtRisk != 5 {
			t.Errorf("stats %+v", st)
		}
		f.on(riskPath, risky(riskOf(1, "low", "atRisk")))
		f.calls()
		time.Sleep(30 * time.Second)
		_ = s.Sync(t.Context(), source.NewSweep(0))
		if n := f.count(riskPath); n != 0 {
			t.Errorf("%d calls within the same minute, want none", n)
		}
		time.Sleep(30 * time.Second)
		if u, _ := swept(t, s).User(userID(3), ""); u.Compromised != decision.No || u.Risk != decision.LevelNone {
			t.Errorf("user whose risk was dismissed %+v", u)
		}
	})
}

func TestUserRiskInTwoLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, _ := scene(4)
		both := risky(riskOf(1, "low", "atRisk"), riskOf(3, "high", "confirmedCompromised"),
			riskOf(2, "high", "atRisk"), riskOf(2, "low", "confirmedCompromised")) // changed state between the lists
		f.on(riskPath, func(q url.Values) (int, string) {
			if strings.Contains(q.Get("$filter"), " or ") {
				return 400, failure("BadRequest")
			}
			return both(q)
		})
		s, done := newSource(t, f, Options{RiskyUsers: true})
		defer done()
		table := swept(t, s)
		if u, _ := table.User(userID(3), ""); u.Compromised != decision.Yes {
			t.Errorf("compromised user %+v", u)
		}
		if u, _ := table.User(userID(1), ""); u.Risk != decision.LevelLow {
			t.Errorf("user at risk %+v", u)
		}
		if u, _ := table.User(userID(2), ""); u.Risk != decision.LevelHigh || u.Compromised != decision.Yes {
			t.Errorf("user in both lists %+v", u)
		}
		f.calls()
		time.Sleep(minute)
		_ = s.Sync(t.Context(), source.NewSweep(0))
		if n := f.count(riskPath); n != 2 {
			t.Errorf("%d calls, want 2: the refused form is not tried again", n)
		}
	})
}

func TestUserRiskUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, _ := scene(2)
		f.say(riskPath, 403, failure("Forbidden"))
		s, done := newSource(t, f, Options{RiskyUsers: true})
		defer done()
		sw := source.NewSweep(0)
		if err := s.Sync(t.Context(), sw); err != nil {
			t.Fatal(err)
		}
		if facts, ok := sw.Facts(); !ok || facts.Has(decision.FactUserRisk) || !facts.Has(decision.FactUserEnabled) {
			t.Errorf("facts %v, %v", facts, ok)
		}
		if at, why := sw.Confirmed(); !at.IsZero() || why != nil {
			t.Errorf("confirmed %v, %v: a missing licence is no failure", at, why)
		}
		if st := s.Stats(); st.UserRisk != riskDenied {
			t.Errorf("stats %+v", st)
		}
		f.calls()
		time.Sleep(10 * minute)
		_ = s.Sync(t.Context(), source.NewSweep(0))
		if n := f.count(riskPath); n != 0 {
			t.Errorf("%d calls within a quarter of an hour, want none", n)
		}
		f.on(riskPath, risky())
		time.Sleep(5 * minute)
		sw = source.NewSweep(0)
		if err := s.Sync(t.Context(), sw); err != nil {
			t.Fatal(err)
		}
		if facts, ok := sw.Facts(); !ok || !facts.Has(decision.FactUserRisk) {
			t.Error("the fact is not supplied after the permission was granted")
		}
	})
}

func TestUserRiskFailsForAWhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, _ := scene(2)
		good := risky(riskOf(1, "high", "confirmedCompromised"))
		f.on(riskPath, good)
		s, done := newSource(t, f, Options{RiskyUsers: true})
		defer done()
		read := time.Now()
		swept(t, s)

		f.say(riskPath, 503, failure("ServiceUnavailable"))
		time.Sleep(2 * minute)
		sw := source.NewSweep(0)
		_ = s.Sync(t.Context(), sw)
		if at, why := sw.Confirmed(); !at.Equal(read) || why != nil {
			t.Errorf("confirmed %v, %v, want the time of the last good list %v", at, why, read)
		}
		time.Sleep(5 * minute)
		sw = source.NewSweep(0)
		if err := s.Sync(t.Context(), sw); err != nil {
			t.Fatalf("Sync = %v: the devices are fine", err)
		}
		if at, why := sw.Confirmed(); !at.IsZero() || why == nil {
			t.Errorf("confirmed %v, %v, want a reason", at, why)
		}
		table, err := sw.Table()
		if err != nil {
			t.Fatal(err)
		}
		if u, _ := table.User(userID(0), ""); u.Risk != decision.LevelUnknown || u.Compromised != decision.Unknown {
			t.Errorf("user of whom nothing is known any more %+v", u)
		}
		if u, _ := table.User(userID(1), ""); u.Risk != decision.LevelHigh || u.Compromised != decision.Yes {
			t.Errorf("a finding was lost: %+v", u)
		}
		if st := s.Stats(); st.UserRisk != riskLate {
			t.Errorf("stats %+v", st)
		}
		f.on(riskPath, good)
		time.Sleep(5 * minute)
		if u, _ := swept(t, s).User(userID(0), ""); u.Risk != decision.LevelNone {
			t.Errorf("user after the repair %+v", u)
		}
	})
}

func TestRiskStates(t *testing.T) {
	for _, tt := range []struct {
		row   string
		risky bool
		want  finding
	}{
		{riskOf(1, "medium", "atRisk"), true, finding{decision.LevelMedium, decision.No, false}},
		{riskOf(1, "high", "remediated"), false, finding{}},
		{riskOf(1, "high", "dismissed"), false, finding{}},
		{riskOf(1, "high", "confirmedSafe"), false, finding{}},
		{riskOf(1, "high", "none"), false, finding{}},
		{riskOf(1, "high", "unknownFutureValue"), true, finding{decision.LevelHigh, decision.Unknown, true}},
		{riskOf(1, "unknownFutureValue", "atRisk"), true, finding{decision.LevelUnknown, decision.No, true}},
		{riskOf(1, "none", "atRisk"), true, finding{decision.LevelUnknown, decision.No, false}},
		{`{"id":"` + userID(1) + `","riskLevel":3,"riskState":null}`, true, finding{unreadable: true}},
	} {
		_, f, risky, err := decodeRisk([]byte(tt.row), &tally{})
		if err != nil || risky != tt.risky || risky && f != tt.want {
			t.Errorf("%s: %+v, %v, %v, want %+v, %v", tt.row, f, risky, err, tt.want, tt.risky)
		}
	}
}
