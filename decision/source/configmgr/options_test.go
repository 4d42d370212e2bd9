package configmgr

import (
	"errors"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

var discard = log.New(io.Discard, "", 0)

func TestNewRefuses(t *testing.T) {
	basic := Auth{Basic: &Basic{Username: "u", Password: "p"}}
	const good = "https://cm01.corp.example/AdminService"
	for name, tt := range map[string]struct {
		o    Options
		want string
	}{
		"no url":              {Options{Auth: basic}, "not of the form"},
		"no host":             {Options{URL: "https:///AdminService", Auth: basic}, "not of the form"},
		"credentials in it":   {Options{URL: "https://u:p@cm01/AdminService", Auth: basic}, "not of the form"},
		"a query":             {Options{URL: good + "?x=1", Auth: basic}, "not of the form"},
		"plain http":          {Options{URL: "http://cm01.corp.example/AdminService", Auth: basic}, "must begin with https"},
		"another scheme":      {Options{URL: "ftp://127.0.0.1/AdminService", Auth: basic}, "must begin with https"},
		"nobody signs in":     {Options{URL: good}, "no way to sign in"},
		"two ways":            {Options{URL: good, Auth: Auth{Basic: basic.Basic, Bearer: &Bearer{File: "x"}}}, "more than one way"},
		"empty bearer":        {Options{URL: good, Auth: Auth{Bearer: &Bearer{}}}, "no file"},
		"no user":             {Options{URL: good, Auth: Auth{Basic: &Basic{Password: "p"}}}, "user name"},
		"colon in user":       {Options{URL: good, Auth: Auth{Basic: &Basic{Username: "a:b", Password: "p"}}}, "user name"},
		"no password":         {Options{URL: good, Auth: Auth{Basic: &Basic{Username: "u"}}}, "exactly one"},
		"two passwords":       {Options{URL: good, Auth: Auth{Basic: &Basic{Username: "u", Password: "p", PasswordFile: "f"}}}, "exactly one"},
		"no keytab":           {Options{URL: good, Auth: Auth{Negotiate: &Negotiate{Principal: "u", Realm: "R"}}}, "keytab"},
		"no realm":            {Options{URL: good, Auth: Auth{Negotiate: &Negotiate{Principal: "u", KeytabFile: "k"}}}, "realm"},
		"no service":          {Options{URL: good, Auth: Auth{Negotiate: &Negotiate{Principal: "u@R", KeytabFile: "k", SPN: "cm01"}}}, "HTTP/host"},
		"negative update":     {Options{URL: good, Auth: basic, Updates: []int{-1}}, "neither a CI id"},
		"too many updates":    {Options{URL: good, Auth: basic, Updates: make([]int, MaxUpdates+1)}, "more than 64"},
		"updates but none":    {Options{URL: good, Auth: basic, Updates: []int{1}, NoUpdates: true}, "switched off"},
		"page size too large": {Options{URL: good, Auth: basic, PageSize: MaxPageSize + 1}, "page size"},
	} {
		_, err := New(tt.o)
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want an error with %q", name, err, tt.want)
		}
	}
}

func TestNewAccepts(t *testing.T) {
	for raw, want := range map[string]string{
		"https://cm01.corp.example/AdminService":       "https://cm01.corp.example/AdminService/wmi/X",
		"https://cm01.corp.example/AdminService/":      "https://cm01.corp.example/AdminService/wmi/X",
		"https://cm01.corp.example/AdminService/wmi/":  "https://cm01.corp.example/AdminService/wmi/X",
		"https://cm01.corp.example":                    "https://cm01.corp.example/AdminService/wmi/X",
		"https://cm01.corp.example:8443/AdminService":  "https://cm01.corp.example:8443/AdminService/wmi/X",
		"https://gw.example/CCM_Proxy/72/AdminService": "https://gw.example/CCM_Proxy/72/AdminService/wmi/X",
		"http://127.0.0.1:8080/AdminService":           "http://127.0.0.1:8080/AdminService/wmi/X",
		"http://[::1]:8080/AdminService":               "http://[::1]:8080/AdminService/wmi/X",
	} {
		o := Options{URL: raw}
		if strings.HasPrefix(raw, "https") {
			o.Auth.Negotiate = &Negotiate{Principal: "svc-gatehouse@CORP.EXAMPLE", KeytabFile: "k"}
		}
		s, err := New(o)
		if err != nil {
			t.Errorf("%s: %v", raw, err)
			continue
		}
		if got := s.client.classURL("X"); got != want {
			t.Errorf("%s leads to %s, want %s", raw, got, want)
		}
	}
}

func TestSecretFilesAreReadAgain(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var sent []string
	rt := roundTripper(func(r *http.Request) (*http.Response, error) {
		sent = append(sent, r.Header.Get("Authorization"))
		return respond(r, 200, `{"value":[]}`), nil
	})
	for scheme, auth := range map[string]Auth{
		"Bearer": {Bearer: &Bearer{File: file}},
		"Basic":  {Basic: &Basic{Username: "u", PasswordFile: file}},
	} {
		o := plainOptions(rt)
		o.Auth = auth
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		sent = nil
		for _, content := range []string{"first\n", "second"} {
			write(content)
			_, _ = s.Lookup(t.Context(), entraKey(entraOne))
		}
		if len(sent) != 2 || sent[0] == sent[1] || !strings.HasPrefix(sent[1], scheme+" ") {
			t.Errorf("%s sent %v", scheme, sent)
		}
		for content, want := range map[string]string{"": "empty", "a\nb": "more than one line", strings.Repeat("x", maxSecret+1): "larger"} {
			write(content)
			_, err := s.Lookup(t.Context(), entraKey(entraOne))
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want an error with %q", scheme, err, want)
			}
		}
	}
}

// TestProxyOnThisMachine: who needs no sign-in sends none.
func TestProxyOnThisMachine(t *testing.T) {
	var header string
	o := plainOptions(func(r *http.Request) (*http.Response, error) {
		header = r.Header.Get("Authorization")
		return respond(r, 401, ""), nil
	})
	o.URL, o.Auth = "http://localhost:8080/AdminService", Auth{}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Lookup(t.Context(), entraKey(entraOne))
	if err == nil || header != "" || !strings.Contains(err.Error(), "wants somebody to sign in") {
		t.Errorf("sent %q, got %v", header, err)
	}
}

// TestRunnerReadsTheSite joins the source with the runner that will own it.
func TestRunnerReadsTheSite(t *testing.T) {
	site := newFakeSite(t)
	site.add(100, entraOne, "")
	r := source.NewRunner(site.source(t), source.RunnerOptions{Name: "configmgr", Poll: DefaultPoll, SyncTimeout: DefaultSyncTimeout, LookupTimeout: 10 * time.Second})
	defer r.Stop()
	if err := r.Refresh(t.Context(), entraKey(entraOne)); err != nil {
		t.Fatal(err)
	}
	if err := r.SyncNow(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r.Table().Len() != 1 {
		t.Errorf("%d devices, want 1", r.Table().Len())
	}
}

// TestRefusedCredentialIsSpared: a directory locks an account after some refusals.
func TestRefusedCredentialIsSpared(t *testing.T) {
	for name, auth := range map[string]func(file string) Auth{
		"basic":  func(file string) Auth { return Auth{Basic: &Basic{Username: "u", PasswordFile: file}} },
		"bearer": func(file string) Auth { return Auth{Bearer: &Bearer{File: file}} },
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "secret")
			write := func(s string) {
				t.Helper()
				if err := os.WriteFile(file, []byte(s), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			synctest.Test(t, func(t *testing.T) {
				calls, status := 0, 401
				o := plainOptions(func(r *http.Request) (*http.Response, error) {
					calls++
					return respond(r, status, `{"value":[]}`), nil
				})
				o.Auth = auth(file)
				s, err := New(o)
				if err != nil {
					t.Fatal(err)
				}
				write("wrong")
				ask := func(want int) {
					t.Helper()
					_, err := s.Lookup(t.Context(), entraKey(entraOne))
					if e, ok := errors.AsType[*Error](err); status == 401 && (!ok || e.Kind != KindUnauthorized || !strings.Contains(err.Error(), "does not accept the credential")) {
						t.Errorf("error %v", err)
					}
					if err := syncError(t, s); (err == nil) != (status == 200) || calls != want {
						t.Fatalf("Sync = %v after %d calls, want %d", err, calls, want)
					}
				}
				ask(1)
				pause := firstPause
				for i := range 8 {
					time.Sleep(pause - time.Second)
					ask(1 + i)
					time.Sleep(2 * time.Second)
					ask(2 + i)
					pause = min(2*pause, longestPause)
				}
				write("also wrong")
				ask(10)
				time.Sleep(firstPause + time.Second) // not the long one
				ask(11)
				write("right")
				status = 200
				before := calls
				if _, err := s.Lookup(t.Context(), entraKey(entraOne)); !errors.Is(err, source.ErrUnknownDevice) || calls != before+1 {
					t.Errorf("a changed credential: %v, %d calls", err, calls-before)
				}
				if err := syncError(t, s); err != nil {
					t.Errorf("Sync = %v", err)
				}
			})
		})
	}
}
