package source

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

const tenantID = "aaaaaaaa-1111-4111-8111-000000000001"

// groupLister is a lister that knows the groups of users.
type groupLister struct {
	lister
	member map[string][]string // by user; nobody else exists
	odd    string              // a user who cannot be asked about
	wait   time.Duration
	fails  error
	asked  []string // users, as often as they were asked about
	sizes  []int
	most   int // groups of one call
}

func (g *groupLister) GroupTenant() string { return tenantID }

func (g *groupLister) MemberGroups(ctx context.Context, users, groups []string, _ bool) ([]GroupAnswer, error) {
	g.mu.Lock()
	g.asked = append(g.asked, users...)
	g.sizes = append(g.sizes, len(users))
	g.most = max(g.most, len(groups))
	wait, err := g.wait, g.fails
	out := make([]GroupAnswer, len(users))
	for i, u := range users {
		in, ok := g.member[u]
		out[i].Groups = slices.Clone(in)
		switch {
		case u == g.odd:
			out[i].Err = errors.New("odd")
		case !ok:
			out[i].Err = fmt.Errorf("nobody: %w", ErrUnknownUser)
		}
	}
	g.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return out, err
}

func (g *groupLister) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

// times returns who was asked about since the last call.
func (g *groupLister) times() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	out := g.asked
	g.asked = nil
	return out
}

func groupN(n int) string { return fmt.Sprintf("bbbbbbbb-2222-4222-8222-%012d", n) }
func userN(n int) string  { return fmt.Sprintf("cccccccc-3333-4333-8333-%012d", n) }

// many is somebody with too many groups for a token.
func many(n int) *decision.Identity {
	return &decision.Identity{User: decision.User{
		Issuer: "entra", ID: tenantID + "/" + userN(n), ObjectID: userN(n), Tenant: tenantID, GroupsKnown: decision.No,
	}}
}

// inGroup decides a policy of one group for a posture.
func inGroup(id *decision.Identity, p *decision.Posture, group string) string {
	var e decision.Engine
	var d decision.Decision
	pol := &decision.Policy{
		Ages:         decision.Ages{MaxAge: 5 * time.Minute, StaleIfError: 10 * time.Minute},
		Requirements: []decision.Requirement{{Kind: decision.RequireGroup, Names: []string{group}}},
	}
	e.Decide(pol, &decision.Request{Now: time.Now(), Identity: id, Posture: p}, &d)
	s := d.Outcome.String()
	for _, f := range d.Findings {
		s += " " + f.Reason.Code()
	}
	return s
}

// groupScene is a started runner whose source knows users 1 and 2, of whom 1 is in
// group 1, with one directory.
func groupScene(t *testing.T, f func(t *testing.T, src *groupLister, r *Runner, ask func(n, group int) string)) {
	bubble(t, func(t *testing.T, run func(Source, RunnerOptions) *Runner) {
		src := &groupLister{member: map[string][]string{userN(1): {groupN(1)}, userN(2): {}}}
		src.devices = fleet(2, nil)
		r := run(src, RunnerOptions{Poll: time.Minute})
		release, err := r.WantGroups([]string{groupN(1), groupN(2)})
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		r.Start(t.Context())
		pass(time.Second)
		d := NewDirectory([]*Runner{r}, DirectoryOptions{})
		ids := map[int]*decision.Identity{}
		f(t, src, r, func(n, group int) string {
			if ids[n] == nil {
				ids[n] = many(n)
			}
			return inGroup(ids[n], d.Resolve(t.Context(), ids[n]), groupN(group))
		})
	})
}

func TestGroupsOfAUser(t *testing.T) {
	groupScene(t, func(t *testing.T, src *groupLister, r *Runner, ask func(n, group int) string) {
		for _, tt := range []struct {
			user, group int
			want        string
		}{{1, 1, "allow"}, {1, 2, "block group_missing"}, {2, 1, "block group_missing"}, {9, 1, "block groups_unknown"}} {
			if got := ask(tt.user, tt.group); got != tt.want {
				t.Errorf("user %d, group %d: %s, want %s", tt.user, tt.group, got, tt.want)
			}
		}
		if got := src.times(); len(got) != 3 {
			t.Errorf("%d look-ups, want one for each of three users: %v", len(got), got)
		}
		// Refreshed at each poll, and no request waits or asks.
		pass(2 * time.Minute)
		if got := src.times(); len(got) < 3 {
			t.Errorf("within two polls asked about %v", got)
		}
		start := time.Now()
		for range 100 {
			ask(1, 1)
			ask(2, 1)
		}
		if took := time.Since(start); took != 0 || len(src.times()) != 0 {
			t.Errorf("known users waited %s", took)
		}
		src.change(func() { src.member[userN(1)] = nil })
		pass(70 * time.Second)
		if got := ask(1, 1); got != "block group_missing" {
			t.Errorf("a poll after the group was taken away: %s", got)
		}
		src.change(func() { src.member[userN(1)] = []string{groupN(1)}; delete(src.member, userN(2)) })
		pass(70 * time.Second)
		if a, b := ask(1, 1), ask(2, 1); a != "allow" || b != "block groups_unknown" {
			t.Errorf("a poll after the group was given back: %s; deleted user: %s", a, b)
		}
		if st := r.Status().UserGroups; st == nil || st.Users != 3 || st.Unknown != 2 || st.Groups != 2 || st.LastError != "" || st.Confirmed.IsZero() {
			t.Errorf("status %+v", st)
		}
	})
}

func TestGroupsSingleFlight(t *testing.T) {
	groupScene(t, func(t *testing.T, src *groupLister, r *Runner, _ func(n, group int) string) {
		src.change(func() { src.wait = 100 * time.Millisecond })
		d := NewDirectory([]*Runner{r}, DirectoryOptions{})
		id := many(1)
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				if got := inGroup(id, d.Resolve(t.Context(), id), groupN(1)); got != "allow" {
					t.Errorf("first request: %s", got)
				}
			})
		}
		wg.Wait()
		if got := src.times(); len(got) != 1 {
			t.Errorf("%d look-ups for 50 requests, want 1", len(got))
		}
	})
}

// A look-up that takes too long leaves the user undecided, keeps the next requests
// from waiting, and is finished in the background.
func TestGroupsSlow(t *testing.T) {
	groupScene(t, func(t *testing.T, src *groupLister, _ *Runner, ask func(n, group int) string) {
		src.change(func() { src.wait = 3 * time.Second })
		start := time.Now()
		if got := ask(1, 1); got != "undecided lookup_timeout" || time.Since(start) != 800*time.Millisecond {
			t.Errorf("%s after %s", got, time.Since(start))
		}
		start = time.Now()
		if got := ask(1, 1); got != "undecided lookup_timeout" || time.Since(start) != 0 {
			t.Errorf("%s after %s", got, time.Since(start))
		}
		pass(4 * time.Second)
		if got := ask(1, 1); got != "allow" {
			t.Errorf("after the background had the answer: %s", got)
		}
	})
}

// One call is observed once, whomever it is about, and never as a look-up of a device.
func TestGroupsObserved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []string
		var mu sync.Mutex
		src := &groupLister{member: map[string][]string{}, wait: 100 * time.Millisecond}
		r := NewRunner(src, RunnerOptions{Name: "fake", LookupRate: 1, MaxLookups: 1, Observer: Observer{
			LookedUp: func(_, result string, _ time.Duration) { t.Errorf("a look-up of a device: %s", result) },
			AskedGroups: func(_, result string, took time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				seen = append(seen, fmt.Sprintf("%s %s", result, took))
			},
		}})
		defer r.Stop()
		release, err := r.WantGroups([]string{groupN(1)})
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		var users []string
		for n := range GroupBatch {
			users = append(users, userN(n))
			r.groups.users[userN(n)] = &groupUser{}
		}
		for _, tt := range []struct {
			name string
			set  func()
			want string
		}{
			{"nobody is known", func() {}, "answered 100ms"},
			{"one odd user", func() { src.odd = userN(3) }, "partly 100ms"},
			{"broken", func() { src.fails = errors.New("broken") }, "error 100ms"},
			{"throttled", func() { src.fails = &ThrottledError{} }, "throttled 100ms"},
			{"too slow", func() { src.wait = time.Hour }, "timeout 1s"},
		} {
			src.change(tt.set)
			seen = nil
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			_ = r.groups.refresh(ctx, users, []string{groupN(1)}, false)
			cancel()
			if !slices.Equal(seen, []string{tt.want}) {
				t.Errorf("%s: observed %v, want %s", tt.name, seen, tt.want)
			}
		}
		// The second user within a second finds our own limit spent.
		src.change(func() { src.wait, src.fails = 0, nil })
		seen = nil
		for n := range 2 {
			r.groups.ask(t.Context(), userN(100+n))
		}
		if !slices.Equal(seen, []string{"answered 0s", "throttled 0s"}) {
			t.Errorf("observed %v", seen)
		}
	})
}

func TestGroupsFail(t *testing.T) {
	groupScene(t, func(t *testing.T, src *groupLister, r *Runner, ask func(n, group int) string) {
		if got := ask(1, 1); got != "allow" {
			t.Fatal(got)
		}
		pass(2 * time.Minute)
		src.change(func() { src.fails = errors.New("broken") })
		for _, tt := range []struct {
			after      time.Duration
			known, new string
		}{
			{4 * time.Minute, "allow", "undecided source_failing"},
			{5 * time.Minute, "allow", "undecided source_failing"}, // stale
			{10 * time.Minute, "undecided source_failing", "undecided source_failing"},
		} {
			pass(tt.after)
			if a, b := ask(1, 1), ask(2, 1); a != tt.known || b != tt.new {
				t.Errorf("%s later: %s, a new user %s", tt.after, a, b)
			}
		}
		if st := r.Status(); st.State != HealthOK || st.UserGroups.LastError != "broken" {
			t.Errorf("status %+v, %+v: the devices are fine", st.State, st.UserGroups)
		}
		src.change(func() { src.fails = nil })
		pass(6 * time.Minute)
		if a, b := ask(1, 1), ask(2, 1); a != "allow" || b != "block group_missing" {
			t.Errorf("after the repair: %s, %s", a, b)
		}
	})
}

// One user who cannot be asked about must not keep the others waiting.
func TestGroupsOfAnOddUser(t *testing.T) {
	groupScene(t, func(t *testing.T, src *groupLister, _ *Runner, ask func(n, group int) string) {
		src.change(func() {
			for n := range 50 {
				src.member[userN(100+n)] = []string{groupN(1)}
			}
			src.odd = userN(100)
		})
		for n := range 50 {
			want := "allow"
			if n == 0 {
				want = "undecided source_failing"
			}
			if got := ask(100+n, 1); got != want {
				t.Errorf("user %d: %s, want %s", n, got, want)
			}
			pass(100 * time.Millisecond) // 20 look-ups a second
		}
		src.change(func() { src.sizes = nil })
		pass(20 * time.Minute)
		for n := 1; n < 50; n++ {
			if got := ask(100+n, 1); got != "allow" && got != "undecided not_loaded" { // idle users were forgotten
				t.Errorf("user %d after 20 min: %s", n, got)
			}
			pass(100 * time.Millisecond)
		}
		if most := slices.Max(src.sizes); most != GroupBatch {
			t.Errorf("largest batch %d, want %d", most, GroupBatch)
		}
	})
}

func TestGroupsForgetIdleUsers(t *testing.T) {
	groupScene(t, func(t *testing.T, src *groupLister, r *Runner, ask func(n, group int) string) {
		ask(1, 1)
		ask(2, 1)
		for range 50 { // user 1 stays
			pass(time.Minute)
			if got := ask(1, 1); got != "allow" {
				t.Fatalf("user in use: %s", got)
			}
		}
		if st := r.Status().UserGroups; st.Users != 1 {
			t.Errorf("%d users are kept up to date, want 1", st.Users)
		}
		src.times()
		pass(3 * time.Minute)
		if got := src.times(); len(got) < 2 || slices.Contains(got, userN(2)) {
			t.Errorf("asked about %v", got)
		}
	})
}

func TestGroupsOfDisabledUsers(t *testing.T) {
	groupScene(t, func(t *testing.T, src *groupLister, r *Runner, ask func(n, group int) string) {
		if got := ask(1, 1); got != "allow" {
			t.Fatal(got)
		}
		src.set(func(f *fake) { f.users = []decision.UserRecord{{ObjectID: userN(1), Enabled: decision.No}} })
		pass(2 * time.Minute)
		src.times()
		if got := ask(1, 1); got != "block groups_unknown user_disabled" && got != "block user_disabled groups_unknown" {
			t.Errorf("disabled user: %s", got)
		}
		pass(3 * time.Minute)
		if got := src.times(); len(got) != 0 {
			t.Errorf("asked about a disabled user: %v", got)
		}
		if st := r.Status().UserGroups; st.Users != 0 {
			t.Errorf("status %+v", st)
		}
	})
}

// A reload with a policy of another group asks at once, and the old answer still
// counts for the old group.
func TestGroupsThatMatterChange(t *testing.T) {
	groupScene(t, func(t *testing.T, src *groupLister, r *Runner, ask func(n, group int) string) {
		src.change(func() { src.member[userN(1)] = []string{groupN(1), groupN(3)} })
		if a, b := ask(1, 1), ask(1, 3); a != "allow" || b != "undecided not_loaded" {
			t.Errorf("before: %s, %s", a, b)
		}
		release, err := r.WantGroups([]string{groupN(3)})
		if err != nil {
			t.Fatal(err)
		}
		if a, b := ask(1, 1), ask(1, 3); a != "allow" || b != "allow" {
			t.Errorf("after: %s, %s", a, b)
		}
		release()
		src.times()
		pass(2 * time.Minute)
		if a := ask(1, 1); a != "allow" {
			t.Errorf("after the release: %s", a)
		}
		var many []string
		for n := range MaxGroups + 1 {
			many = append(many, groupN(n))
		}
		if _, err := r.WantGroups(many); err == nil {
			t.Error("too many groups are accepted")
		}
	})
}

func TestGroupsAreForTheirTenant(t *testing.T) {
	groupScene(t, func(t *testing.T, src *groupLister, r *Runner, _ func(n, group int) string) {
		d := NewDirectory([]*Runner{r}, DirectoryOptions{})
		for name, change := range map[string]func(u *decision.User){
			"other tenant":            func(u *decision.User) { u.Tenant = userN(7) },
			"issuer without a tenant": func(u *decision.User) { u.Tenant = "" },
			"no object id":            func(u *decision.User) { u.ObjectID = "" },
			"app":                     func(u *decision.User) { u.AppOnly = true },
			"groups are listed":       func(u *decision.User) { u.GroupsKnown = decision.Yes },
			"groups are not told":     func(u *decision.User) { u.GroupsKnown = decision.Unknown },
		} {
			id := many(1)
			change(&id.User)
			if p := d.Resolve(t.Context(), id); p.Membership != nil {
				t.Errorf("%s: %+v", name, p.Membership)
			}
		}
		if got := src.times(); len(got) != 0 {
			t.Errorf("asked about %v", got)
		}
		if p := d.Posture(many(1)); p.Membership == nil || p.Membership.Confirmed() != 0 || len(src.times()) != 0 {
			t.Errorf("Posture asked, or knows: %+v", p.Membership)
		}
	})
}

func TestGroupUsersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &groupLister{member: map[string][]string{}}
		r := NewRunner(src, RunnerOptions{Name: "fake"})
		defer r.Stop()
		release, err := r.WantGroups([]string{groupN(1)})
		if err != nil {
			t.Fatal(err)
		}
		defer release()
		for n := range maxGroupUsers {
			r.groups.users[userN(n)] = &groupUser{}
		}
		d := NewDirectory([]*Runner{r}, DirectoryOptions{})
		id := many(maxGroupUsers)
		if got := inGroup(id, d.Resolve(t.Context(), id), groupN(1)); got != "undecided not_loaded" || len(src.times()) != 0 {
			t.Errorf("one user too many: %s", got)
		}
	})
}
