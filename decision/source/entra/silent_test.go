package entra

import (
	"errors"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// words lets n users of a directory, from the first on, say this about accountEnabled.
func (d *directory) words(n int, enabled string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := range n {
		d.rows[userID(i)] = user(i, enabled)
	}
}

// TestSilentListing: a complete listing that lost the word about many accounts is an
// error that says what to look at.
func TestSilentListing(t *testing.T) {
	const nobody = `{"id":"` // of a row without accountEnabled
	for _, tt := range []struct {
		name                 string
		users, before, after int // before, after: users without a word
		word                 string
		want                 string // of the error of the second listing; of the first if after is 0
	}{
		{"null, all", 50, 0, 50, "null", "50 of 50 users"},
		{"wrong type", 50, 0, 50, `"yes"`, "50 of 50 users"},
		{"missing", 50, 0, 50, nobody, "50 of 50 users"},
		{"more than a fifth", 100, 0, 21, "null", "21 of 100 users"},
		{"a fifth", 100, 0, 20, "null", ""},
		{"few", 19, 0, 19, "null", ""},
		{"few more than before", 100, 20, 39, "null", ""},
		{"many more than before", 100, 20, 40, "null", "20 of 80 users"},
		{"at the start", 50, 50, 0, "null", "50 of 50 users"},
		{"a fifth at the start", 100, 20, 0, "null", ""},
		{"more than a fifth at the start", 100, 21, 0, "null", "21 of 100 users"},
	} {
		synctest.Test(t, func(t *testing.T) {
			f, _, users := scene(tt.users)
			silence := func(n int) {
				if tt.word != nobody {
					users.words(n, tt.word)
					return
				}
				users.mu.Lock()
				defer users.mu.Unlock()
				for i := range n {
					users.rows[userID(i)] = nobody + userID(i) + `"}`
				}
			}
			s, done := newSource(t, f, Options{Users: true})
			defer done()
			check := func(when string) {
				err := s.Sync(t.Context(), source.NewSweep(0))
				if errors.Is(err, source.ErrUnchanged) {
					err = nil
				}
				switch {
				case tt.want == "" && err != nil:
					t.Errorf("%s, %s: %v", tt.name, when, err)
				case tt.want != "" && err == nil:
					t.Errorf("%s, %s: no error, want one of %q", tt.name, when, tt.want)
				}
				if err != nil {
					for _, part := range []string{"entra users", "accountEnabled", "User.Read.All", tt.want} {
						if !strings.Contains(err.Error(), part) {
							t.Errorf("%s, %s: %v, want %q in it", tt.name, when, err, part)
						}
					}
				}
			}
			silence(tt.before)
			if tt.after == 0 {
				check("first listing")
				return
			}
			swept(t, s)
			time.Sleep(25 * time.Hour)
			silence(tt.after)
			check("second listing")
			time.Sleep(minute)
			check("the next poll")
			if tt.want == "" {
				return
			}
			users.words(tt.users, "false")
			time.Sleep(silentRetry)
			if u, _ := swept(t, s).User(userID(0), ""); u.Enabled != decision.No {
				t.Errorf("%s: a good listing after it says enabled %s, want no", tt.name, u.Enabled)
			}
		})
	}
}

// TestSilentListingLocksNobodyOut: what was known of the users stays.
func TestSilentListingLocksNobodyOut(t *testing.T) {
	ms, s, clock := connect(t, emulator.Options{Devices: 50}, Options{Users: true})
	r := source.NewRunner(s, source.RunnerOptions{Name: "entra"})
	defer r.Stop()
	if err := r.SyncNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	d := source.NewDirectory([]*source.Runner{r}, source.DirectoryOptions{})
	blocked := func() (n, all int) {
		for u := range r.Table().AllUsers() {
			all++
			id := &decision.Identity{User: decision.User{Issuer: "entra", ID: u.ObjectID, ObjectID: u.ObjectID, Name: u.UPN}}
			var dec decision.Decision
			(&decision.Engine{}).Decide(&decision.Policy{}, &decision.Request{Identity: id, Posture: d.Posture(id), Now: time.Now()}, &dec)
			if dec.Outcome == decision.Block {
				n++
			}
		}
		return n, all
	}
	before, all := blocked()
	if all <= maxSilent || before == all {
		t.Fatalf("%d of %d users are blocked at the start", before, all)
	}
	defer ms.Fail("graph/users/delta", emulator.Fault{Kind: emulator.NullFields})()
	clock.Advance(25 * time.Hour)
	if err := r.SyncNow(t.Context()); err == nil || !strings.Contains(err.Error(), "accountEnabled") {
		t.Errorf("SyncNow = %v, want an error that names accountEnabled", err)
	}
	if n, now := blocked(); n != before || now != all {
		t.Errorf("%d of %d users are blocked after a silent listing, want %d of %d", n, now, before, all)
	}
}

// TestSilentChanges: changes that take the word about many accounts back lead to a
// complete listing, and are forgotten whether that succeeds or not.
func TestSilentChanges(t *testing.T) {
	for _, tt := range []struct {
		name   string
		silent int // of 50 users
		all    bool
		fails  bool // the complete listing, once
		want   decision.Tri
	}{
		{name: "few", silent: 19, want: decision.Unknown},
		{name: "many, and the listing knows", silent: 20, want: decision.Yes},
		{name: "many, and the listing fails", silent: 20, fails: true, want: decision.Yes},
		{name: "many, and the listing is silent too", silent: 20, all: true},
	} {
		synctest.Test(t, func(t *testing.T) {
			f, _, users := scene(50)
			s, done := newSource(t, f, Options{Users: true})
			defer done()
			swept(t, s)
			for n := range tt.silent {
				users.change(user(n, "null"))
			}
			users.change(user(49, "false"))
			if tt.all {
				users.words(50, "null")
			} else {
				users.mu.Lock()
				users.rows[userID(49)] = user(49, "false")
				users.mu.Unlock()
			}
			if tt.fails {
				f.on(usersPath, func(q url.Values) (int, string) {
					if q.Has("$deltatoken") {
						return users.answer(q)
					}
					return 403, failure("Authorization_RequestDenied")
				})
			}
			time.Sleep(minute)
			if tt.fails || tt.all {
				for range 2 { // the second poll does not take the changes over either
					if err := s.Sync(t.Context(), source.NewSweep(0)); err == nil {
						t.Fatalf("%s: no error", tt.name)
					}
					time.Sleep(minute)
				}
				if u := s.people.known[guidOf(t, userID(0))]; u.enabled != decision.Yes {
					t.Errorf("%s: enabled %s after the error, want what was known", tt.name, u.enabled)
				}
				if tt.all {
					return
				}
				f.on(usersPath, users.answer)
			}
			table := swept(t, s)
			if u, _ := table.User(userID(0), ""); u.Enabled != tt.want {
				t.Errorf("%s: enabled %s, want %s", tt.name, u.Enabled, tt.want)
			}
			if u, _ := table.User(userID(49), ""); u.Enabled != decision.No {
				t.Errorf("%s: a disabled account is enabled %s", tt.name, u.Enabled)
			}
		})
	}
}

// TestSilentChangesOfDeletedUsers: what is put back is nothing older than a deletion.
func TestSilentChangesOfDeletedUsers(t *testing.T) {
	p, ta, now := newPeople(), tally{}, time.Now()
	apply := func(row string) {
		t.Helper()
		if err := p.apply([]byte(row), now, &ta); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 50 {
		apply(user(n, "true"))
	}
	p.lost = nil
	for n := range 30 {
		apply(user(n, "null"))
	}
	apply(`{"id":"` + userID(0) + `","@removed":{"reason":"changed"}}`)
	apply(user(0, "null"))
	apply(user(1, "false"))
	if n := p.restore(); n != 28 || p.lost != nil {
		t.Errorf("%d accounts put back, want 28", n)
	}
	for n, want := range map[int]decision.Tri{0: decision.No, 1: decision.No, 2: decision.Yes} {
		if u := p.known[guidOf(t, userID(n))]; u.enabled != want {
			t.Errorf("user %d: enabled %s, want %s", n, u.enabled, want)
		}
	}
}

func guidOf(t *testing.T, s string) guid {
	t.Helper()
	g, ok := parseGUID(s)
	if !ok {
		t.Fatalf("%q is no id", s)
	}
	return g
}

// TestSilentListingsAreApart: while the service does not tell accountEnabled, it is not
// asked for all users at every poll.
func TestSilentListingsAreApart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, users := scene(50)
		s, done := newSource(t, f, Options{Users: true})
		defer done()
		r := source.NewRunner(s, source.RunnerOptions{Name: "entra", Poll: 5 * time.Minute, Remote: true})
		defer r.Stop()
		r.Start(t.Context())
		time.Sleep(time.Minute)
		for n := range 50 {
			users.change(user(n, "null"))
		}
		users.words(50, "null")
		before := len(f.calls())
		time.Sleep(24 * time.Hour)
		complete := 0
		for _, c := range f.calls()[before:] {
			if c.URL.Path == usersPath && c.URL.Query().Has("$select") {
				complete++
			}
		}
		if complete < 24 || complete > 49 {
			t.Errorf("%d complete listings of users in a day", complete)
		}
	})
}

// TestListingKeepsDisabled: a complete listing that says nothing of an account takes back
// no "disabled", be it that no sweep brought that yet.
func TestListingKeepsDisabled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _, users := scene(50)
		s, done := newSource(t, f, Options{Users: true})
		defer done()
		swept(t, s)
		for n := range 20 {
			users.change(user(n, "null"))
		}
		users.change(user(49, "false"))
		users.remove(userID(48), "changed")
		users.mu.Lock()
		for n := range 20 {
			users.rows[userID(n)] = user(n, "true")
		}
		users.rows[userID(48)], users.rows[userID(49)] = user(48, "null"), user(49, "null")
		users.mu.Unlock()
		time.Sleep(minute)
		table := swept(t, s)
		for n, want := range map[int]decision.Tri{0: decision.Yes, 47: decision.Yes, 48: decision.No, 49: decision.No} {
			if u, _ := table.User(userID(n), ""); u.Enabled != want {
				t.Errorf("user %d: enabled %s, want %s", n, u.Enabled, want)
			}
		}
	})
}
