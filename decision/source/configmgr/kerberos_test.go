package configmgr

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jcmturner/gofork/encoding/asn1"
	krb5 "github.com/jcmturner/gokrb5/v8/client"
	"github.com/jcmturner/gokrb5/v8/config"
	"github.com/jcmturner/gokrb5/v8/iana/etypeID"
	"github.com/jcmturner/gokrb5/v8/iana/nametype"
	"github.com/jcmturner/gokrb5/v8/keytab"
	"github.com/jcmturner/gokrb5/v8/krberror"
	"github.com/jcmturner/gokrb5/v8/messages"
	"github.com/jcmturner/gokrb5/v8/service"
	"github.com/jcmturner/gokrb5/v8/spnego"
	"github.com/jcmturner/gokrb5/v8/types"
)

const (
	testRealm   = "TEST.EXAMPLE"
	testService = "HTTP/localhost"
)

// behindNegotiate serves the site to whoever shows a Kerberos ticket for a key that
// keys returns at that moment.
func behindNegotiate(t *testing.T, site *fakeSite, keys func() *keytab.Keytab) *httptest.Server {
	t.Helper()
	inner := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.SetBasicAuth("reader", "correct horse")
		site.ServeHTTP(w, r)
	})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		spnego.SPNEGOKRB5Authenticate(inner, keys(), service.DecodePAC(false)).ServeHTTP(w, r)
	}))
	server.Config.ErrorLog = discard
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

// negotiateOptions read the server as an account in a keytab.
func negotiateOptions(server *httptest.Server, n Negotiate) Options {
	return Options{
		URL: server.URL + "/AdminService", Transport: server.Client().Transport,
		Auth: Auth{Negotiate: &n}, PageSize: 3,
	}
}

func serviceKeys(t *testing.T, password string) *keytab.Keytab {
	t.Helper()
	kt := keytab.New()
	if err := kt.AddEntry(testService, testRealm, password, time.Now(), 1, etypeID.AES256_CTS_HMAC_SHA1_96); err != nil {
		t.Fatal(err)
	}
	return kt
}

// issue makes a service ticket as a KDC would.
func issue(t *testing.T, keys *keytab.Keytab, since, until time.Time) *ticket {
	t.Helper()
	who := types.NewPrincipalName(nametype.KRB_NT_PRINCIPAL, "svc-gatehouse")
	what := types.NewPrincipalName(nametype.KRB_NT_SRV_INST, testService)
	flags := asn1.BitString{Bytes: make([]byte, 4), BitLength: 32}
	tkt, key, err := messages.NewTicket(who, testRealm, what, testRealm, flags, keys, etypeID.AES256_CTS_HMAC_SHA1_96, 1, since, since, until, until)
	if err != nil {
		t.Fatal(err)
	}
	return &ticket{account: krb5.NewWithPassword("svc-gatehouse", testRealm, "", config.New()), ticket: tkt, key: key, since: since, until: until}
}

// negotiatorOf gives access to a source's tickets.
func negotiatorOf(t *testing.T, s *Source, signIn func() (*ticket, error)) *negotiator {
	t.Helper()
	n, ok := s.client.auth.(*negotiator)
	if !ok {
		t.Fatal("the source does not negotiate")
	}
	n.signIn = signIn
	return n
}

func TestNegotiate(t *testing.T) {
	site := newFakeSite(t)
	site.add(100, entraOne, "")
	keys := serviceKeys(t, "one")
	server := behindNegotiate(t, site, func() *keytab.Keytab { return keys })
	s, err := New(negotiateOptions(server, Negotiate{Principal: "svc-gatehouse", Realm: testRealm, KeytabFile: "unused", SPN: testService}))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var signedIn atomic.Int32
	negotiatorOf(t, s, func() (*ticket, error) {
		signedIn.Add(1)
		return issue(t, keys, time.Now(), time.Now().Add(time.Hour)), nil
	})
	if got := sweepOf(t, s); len(got) != 1 {
		t.Errorf("%d devices, want 1", len(got))
	}
	var wg sync.WaitGroup
	for range 8 { // every request has a token of its own: a repeated one is refused
		wg.Go(func() {
			if _, err := s.Lookup(t.Context(), entraKey(entraOne)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := signedIn.Load(); n != 1 {
		t.Errorf("signed in %d times, want once", n)
	}
}

// TestNewServiceKey: after the service got a new key our ticket is refused; a new
// one is got if ours is not brand-new.
func TestNewServiceKey(t *testing.T) {
	for name, tt := range map[string]struct {
		age     time.Duration
		signIns int32
		fine    bool
	}{
		"old ticket":   {time.Hour, 2, true},
		"young ticket": {time.Second, 1, false},
	} {
		t.Run(name, func(t *testing.T) {
			site := newFakeSite(t)
			site.add(100, entraOne, "")
			before, after := serviceKeys(t, "before"), serviceKeys(t, "after")
			server := behindNegotiate(t, site, func() *keytab.Keytab { return after })
			s, err := New(negotiateOptions(server, Negotiate{Principal: "svc-gatehouse", Realm: testRealm, KeytabFile: "unused", SPN: testService}))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			var signIns atomic.Int32
			negotiatorOf(t, s, func() (*ticket, error) {
				if signIns.Add(1) == 1 {
					return issue(t, before, time.Now().Add(-tt.age), time.Now().Add(time.Hour)), nil
				}
				return issue(t, after, time.Now(), time.Now().Add(time.Hour)), nil
			})
			_, err = s.Lookup(t.Context(), entraKey(entraOne))
			if (err == nil) != tt.fine || signIns.Load() != tt.signIns {
				t.Errorf("Lookup = %v after %d sign-ins", err, signIns.Load())
			}
			if err != nil && !strings.Contains(err.Error(), "refuses our Kerberos ticket") {
				t.Errorf("error %v does not say what is refused", err)
			}
		})
	}
}

// pace drives a negotiator without a network.
func pace(t *testing.T, signIn func() (*ticket, error)) *negotiator {
	t.Helper()
	s, err := New(Options{URL: "https://cm01.corp.example/AdminService", Auth: Auth{Negotiate: &Negotiate{Principal: "svc@R", KeytabFile: "k"}}})
	if err != nil {
		t.Fatal(err)
	}
	return negotiatorOf(t, s, signIn)
}

func TestTicketIsRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signIns := 0
		n := pace(t, func() (*ticket, error) {
			signIns++
			return &ticket{since: time.Now(), until: time.Now().Add(time.Hour)}, nil
		})
		first, err := n.current(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(54 * time.Minute)
		if again, _ := n.current(t.Context()); again != first || signIns != 1 {
			t.Errorf("a good ticket is not used again, %d sign-ins", signIns)
		}
		time.Sleep(2 * time.Minute) // four minutes before its end
		if again, _ := n.current(t.Context()); again != first {
			t.Error("the request waits for the renewal")
		}
		synctest.Wait()
		if again, _ := n.current(t.Context()); again == first || signIns != 2 {
			t.Errorf("the ticket is not renewed, %d sign-ins", signIns)
		}
		time.Sleep(2 * time.Hour)
		if _, err := n.current(t.Context()); err != nil || signIns != 3 {
			t.Errorf("after the end: %v, %d sign-ins", err, signIns)
		}
	})
}

func TestFailedSignInIsNotRepeatedAtOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		err     error
		longest time.Duration
	}{
		"wrong key":      {errors.New("pre-authentication failed"), longestPause},
		"no centre":      {krberror.New(krberror.NetworkingError, "no answer"), firstPause},
		"library panics": {nil, longestPause},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				signIns := 0
				n := pace(t, func() (*ticket, error) {
					signIns++
					if tt.err == nil {
						panic("index out of range")
					}
					return nil, tt.err
				})
				pause := firstPause
				for i := range 8 {
					_, err := n.current(t.Context())
					if err == nil || signIns != i+1 {
						t.Fatalf("attempt %d: %v, %d sign-ins", i, err, signIns)
					}
					time.Sleep(pause - time.Second)
					if _, again := n.current(t.Context()); again == nil || again.Error() != err.Error() || signIns != i+1 {
						t.Fatalf("in the pause of %s: %v, %d sign-ins", pause, again, signIns)
					}
					time.Sleep(time.Second)
					pause = min(2*pause, tt.longest)
				}
			})
		})
	}
}

func TestRenewalFailsWhileTicketIsGood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := false
		n := pace(t, func() (*ticket, error) {
			if down {
				return nil, errors.New("down")
			}
			return &ticket{since: time.Now(), until: time.Now().Add(time.Hour)}, nil
		})
		if _, err := n.current(t.Context()); err != nil {
			t.Fatal(err)
		}
		down = true
		time.Sleep(56 * time.Minute)
		for range 3 {
			if _, err := n.current(t.Context()); err != nil {
				t.Errorf("the ticket is good for minutes: %v", err)
			}
			synctest.Wait()
		}
		time.Sleep(4 * time.Minute)
		if _, err := n.current(t.Context()); err == nil {
			t.Error("a ticket is used after its end")
		}
	})
}

func TestSignInIsShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		signIns := 0
		n := pace(t, func() (*ticket, error) {
			signIns++
			time.Sleep(3 * time.Second)
			return &ticket{since: time.Now(), until: time.Now().Add(time.Hour)}, nil
		})
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range 5 {
			wg.Go(func() {
				if _, err := n.current(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		if _, err := n.current(impatient); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who cannot wait gets %v", err)
		}
		wg.Wait()
		if signIns != 1 {
			t.Errorf("%d sign-ins, want one", signIns)
		}
	})
}

func TestSignInErrors(t *testing.T) {
	dir := t.TempDir()
	garbage := filepath.Join(dir, "garbage")
	if err := os.WriteFile(garbage, []byte("\x05\x02\x00\x00\x00\x10garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	noCentre := filepath.Join(dir, "krb5.conf")
	if err := os.WriteFile(noCentre, []byte("[libdefaults]\n default_realm = TEST.EXAMPLE\n[realms]\n TEST.EXAMPLE = {\n }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(dir, "other.keytab")
	b, err := serviceKeys(t, "of somebody else").Marshal()
	if err == nil {
		err = os.WriteFile(other, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	for want, n := range map[string]Negotiate{
		"krb5.conf":           {KeytabFile: other, Krb5ConfFile: filepath.Join(dir, "missing")},
		"keytab":              {KeytabFile: filepath.Join(dir, "missing"), Krb5ConfFile: noCentre},
		"garbage":             {KeytabFile: garbage, Krb5ConfFile: noCentre},
		"kerberos sign-in of": {KeytabFile: other, Krb5ConfFile: noCentre},
	} {
		n.Principal, n.Realm = "svc-gatehouse", testRealm
		s, err := New(Options{URL: "https://localhost/AdminService", Auth: Auth{Negotiate: &n}})
		if err != nil {
			t.Fatal(err)
		}
		_, err = s.Lookup(t.Context(), entraKey(entraOne))
		if e, ok := errors.AsType[*Error](err); !ok || e.Kind != KindSignIn || !strings.Contains(err.Error(), want) {
			t.Errorf("Lookup = %v, want an error with %q", err, want)
		}
	}
}

func TestKrb5Config(t *testing.T) {
	n := &negotiator{o: Negotiate{Realm: testRealm}}
	conf, err := n.krb5Config()
	if err != nil || !conf.LibDefaults.DNSLookupKDC || conf.LibDefaults.DefaultRealm != testRealm {
		t.Errorf("without a file the centres are not found by DNS: %v", err)
	}
	n.o.Krb5ConfFile = filepath.Join(t.TempDir(), "krb5.conf")
	content := "includedir /etc/krb5.conf.d/\n[libdefaults]\n dns_lookup_kdc = true\n[realms]\n TEST.EXAMPLE = {\n  kdc = 192.0.2.1\n  v4_realm = OLD\n }\n"
	if err := os.WriteFile(n.o.Krb5ConfFile, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	if conf, err = n.krb5Config(); err != nil || len(conf.Realms) != 1 {
		t.Errorf("a file with directives that do not matter: %v", err)
	}
	if err := os.WriteFile(n.o.Krb5ConfFile, []byte("[libdefaults]\n clockskew = soon\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = n.krb5Config(); err == nil {
		t.Error("a file that cannot be read is accepted")
	}
}
