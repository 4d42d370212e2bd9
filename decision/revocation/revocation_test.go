package revocation

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/gatehouse-project/gatehouse/decision"
)

func TestMain(m *testing.M) {
	if path := os.Getenv(killEnv); path != "" {
		addForever(path)
	}
	goleak.VerifyTestMain(m)
}

const (
	entraID  = "11111111-2222-3333-4444-555555555555"
	intuneID = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
	userID   = "tenant/99999999-8888-7777-6666-555555555555"
	objectID = "99999999-8888-7777-6666-555555555555"
)

var thumb = strings.Repeat("ab", 32)

// open opens a list at path and closes it with the test.
func openList(tb testing.TB, path string, o Options) *List {
	tb.Helper()
	l, err := Open(path, o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := l.Close(); err != nil && !errors.Is(err, ErrNotDurable) {
			tb.Error(err)
		}
	})
	return l
}

func newPath(tb testing.TB) string { return filepath.Join(tb.TempDir(), "revoked.jsonl") }

func add(tb testing.TB, l *List, e Entry) Entry {
	tb.Helper()
	got, err := l.Add(context.Background(), e)
	if err != nil {
		tb.Fatal(err)
	}
	return got
}

func closeList(tb testing.TB, l *List) {
	tb.Helper()
	if err := l.Close(); err != nil {
		tb.Fatal(err)
	}
}

func deviceEntry(kind, value string) Entry {
	return Entry{Kind: KindDevice, Device: decision.Key{Kind: kind, Value: value}, Owner: "test"}
}

func userEntry(user string) Entry { return Entry{Kind: KindUser, User: user, Owner: "test"} }

func TestMatch(t *testing.T) {
	entra := decision.Key{Kind: decision.KindEntra, Value: entraID}
	intune := decision.Key{Kind: decision.KindIntune, Value: intuneID}
	person := decision.User{ID: userID, ObjectID: objectID, Name: "Ann@Corp.Example"}
	withDevice := &decision.Identity{User: person, Device: decision.DeviceRef{Keys: []decision.Key{entra}}}
	nobody := &decision.Identity{}
	for name, c := range map[string]struct {
		entry Entry
		id    *decision.Identity
		keys  []decision.Key
		want  string
	}{
		"device by its own id":       {deviceEntry("entra", entraID), nobody, []decision.Key{entra}, "device"},
		"device by another id":       {deviceEntry("intune", intuneID), withDevice, []decision.Key{entra, intune}, "device"},
		"device not resolved":        {deviceEntry("entra", entraID), withDevice, nil, "device"},
		"device written differently": {deviceEntry("entra", " {"+strings.ToUpper(entraID)+"} "), nobody, []decision.Key{entra}, "device"},
		"same value, other kind":     {deviceEntry("intune", entraID), nobody, []decision.Key{entra}, ""},
		"own kind of id":             {deviceEntry("asset", "A-17"), nobody, []decision.Key{{Kind: "asset", Value: "a-17"}}, "device"},
		"other device":               {deviceEntry("entra", intuneID), withDevice, []decision.Key{entra, intune}, ""},
		"no identity, device":        {deviceEntry("entra", entraID), nil, []decision.Key{entra}, "device"},
		"no identity, user":          {userEntry(objectID), nil, []decision.Key{entra}, ""},
		"user by object id":          {userEntry(strings.ToUpper(objectID)), withDevice, nil, "user"},
		"user by id":                 {userEntry(userID), withDevice, nil, "user"},
		"user by name":               {userEntry("ann@corp.example"), withDevice, nil, "user"},
		"user by name, other case":   {userEntry(" ANN@CORP.EXAMPLE "), withDevice, nil, "user"},
		"other user":                 {userEntry("bob@corp.example"), withDevice, []decision.Key{entra, intune}, ""},
		"part of a name":             {userEntry("ann@corp.exampl"), withDevice, nil, ""},
		"name outside ASCII":         {userEntry("JÖRG ſ"), &decision.Identity{User: decision.User{Name: "jörg S"}}, nil, "user"},
		"nobody":                     {userEntry("ann"), nobody, nil, ""},
		"certificate is not matched": {Entry{Kind: KindCertificate, Certificate: thumb}, withDevice, []decision.Key{entra}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			l := openList(t, newPath(t), Options{})
			e := add(t, l, c.entry)
			now := time.Now()
			got := ""
			if r := l.Match(c.id, c.keys, now); r != nil {
				got = r.Subject
				if r.ID != e.ID || !r.Since.Equal(e.Since) {
					t.Errorf("got %+v for entry %+v", r, e)
				}
			}
			if got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if err := l.Release(context.Background(), e.ID, e.Owner); err != nil {
				t.Fatal(err)
			}
			if r := l.Match(c.id, c.keys, now); r != nil {
				t.Errorf("released: got %+v", r)
			}
		})
	}
}

func TestMatchCertificateAndSession(t *testing.T) {
	l := openList(t, newPath(t), Options{})
	var hash, other [32]byte
	for i := range hash {
		hash[i] = 0xab
	}
	now := time.Now()
	if l.MatchCertificate(hash, now) != nil || l.MatchSession("s-1", now) != nil {
		t.Error("an empty list matches")
	}
	cert := add(t, l, Entry{Kind: KindCertificate, Certificate: strings.Repeat("AB:", 31) + "AB", Reason: "stolen"})
	session := add(t, l, Entry{Kind: KindSession, Session: "s-1"})
	if cert.Certificate != thumb {
		t.Errorf("certificate %q", cert.Certificate)
	}
	if r := l.MatchCertificate(hash, now); r == nil || r.ID != cert.ID || r.Subject != "certificate" || r.Reason != "stolen" {
		t.Errorf("got %+v", r)
	}
	if r := l.MatchSession("s-1", now); r == nil || r.ID != session.ID || r.Subject != "session" {
		t.Errorf("got %+v", r)
	}
	if l.MatchCertificate(other, now) != nil || l.MatchSession("S-1", now) != nil || l.MatchSession("", now) != nil {
		t.Error("another subject matches")
	}
}

func TestMatchDoesNotAllocate(t *testing.T) {
	id := &decision.Identity{User: decision.User{ID: userID, ObjectID: objectID, Name: "Änn.Long.Name@Corp.Example"}}
	keys := []decision.Key{{Kind: "entra", Value: entraID}, {Kind: "intune", Value: intuneID}, {Kind: "serial", Value: "ABC"}}
	now := time.Now()
	l := openList(t, newPath(t), Options{})
	check := func(name string, matches bool) {
		t.Helper()
		if (l.Match(id, keys, now) != nil) != matches {
			t.Errorf("%s: wrong answer", name)
		}
		n := testing.AllocsPerRun(100, func() {
			l.Match(id, keys, now)
			l.MatchCertificate([32]byte{1}, now)
			l.MatchSession("session", now)
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	check("empty", false)
	for _, e := range []Entry{userEntry("x"), deviceEntry("serial", "x"), {Kind: KindSession, Session: "x"}, {Kind: KindCertificate, Certificate: thumb}} {
		add(t, l, e)
	}
	check("others", false)
	add(t, l, userEntry("änn.long.name@corp.example"))
	check("match", true)
}

func TestAddRefusesInvalid(t *testing.T) {
	l := openList(t, newPath(t), Options{})
	long := strings.Repeat("x", 600)
	for name, e := range map[string]Entry{
		"empty":              {},
		"unknown kind":       {Kind: "group", User: "u"},
		"no device":          {Kind: KindDevice},
		"device not a guid":  deviceEntry("entra", "laptop"),
		"device zero":        deviceEntry("entra", "00000000-0000-0000-0000-000000000000"),
		"device, no kind":    deviceEntry("", entraID),
		"device, long kind":  deviceEntry(long, "x"),
		"no user":            userEntry(" "),
		"user too long":      userEntry(long),
		"user with newline":  userEntry("a\nb"),
		"user not UTF-8":     userEntry("a\xff"),
		"certificate short":  {Kind: KindCertificate, Certificate: thumb[1:]},
		"certificate no hex": {Kind: KindCertificate, Certificate: strings.Repeat("zz", 32)},
		"no session":         {Kind: KindSession},
		"session too long":   {Kind: KindSession, Session: long},
		"two subjects":       {Kind: KindUser, User: "u", Session: "s"},
		"owner too long":     {Kind: KindUser, User: "u", Owner: long},
		"owner with newline": {Kind: KindUser, User: "u", Owner: "a\nb"},
		"ended":              {Kind: KindUser, User: "u", Until: time.Now().Add(-time.Second)},
		"year 10000":         {Kind: KindUser, User: "u", Until: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if _, err := l.Add(context.Background(), e); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
	if l.Len() != 0 {
		t.Errorf("%d entries", l.Len())
	}
}

func TestReasonIsCleaned(t *testing.T) {
	path := newPath(t)
	l := openList(t, path, Options{})
	e := userEntry("u")
	e.Reason = "lost\r\nat \xff airport " + strings.Repeat("é", MaxReason)
	got := add(t, l, e)
	if !strings.HasPrefix(got.Reason, "lost  at ? airport é") || len(got.Reason) > MaxReason || !printable(got.Reason) {
		t.Errorf("reason %q", got.Reason)
	}
	closeList(t, l)
	again := openList(t, path, Options{}).Entries(time.Now())
	if len(again) != 1 || again[0] != got {
		t.Errorf("after reopening %+v, want %+v", again, got)
	}
}

// The longest entry that normalize lets pass must fit into a journal line.
func TestLongestEntryFits(t *testing.T) {
	path := newPath(t)
	l := openList(t, path, Options{})
	e := Entry{
		Kind: KindUser, User: strings.Repeat("<", MaxUser), Owner: strings.Repeat("&", MaxOwner),
		Reason: strings.Repeat("\u2028", MaxReason/3), Until: time.Now().Add(time.Hour),
	}
	add(t, l, e)
	d := deviceEntry(strings.Repeat("<", 64), strings.Repeat("<", 256))
	d.Owner, d.Reason = e.Owner, e.Reason
	add(t, l, d)
	closeList(t, l)
	if got := openList(t, path, Options{}).Len(); got != 2 {
		t.Errorf("%d entries after reopening", got)
	}
}
