package httpjson

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

func TestBearerFileIsReadAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	put := func(s string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var got string
	s := fixed(t, func(w http.ResponseWriter, r *http.Request) {
		got = r.Header.Get("Authorization")
		write("", fine)(w, r)
	})
	o := good()
	o.URL, o.RootCAs, o.BearerFile = s.URL+"/{id}", s.pool(), path
	l, ok := build(t, o).(source.Looker)
	if !ok {
		t.Fatal("source is no Looker")
	}
	for _, tt := range []struct{ content, want, err string }{
		{"", "", "bearer token is empty"},
		{"one\n", "Bearer one", ""},
		{" two ", "Bearer two", ""},
		{"a\nb", "", "spaces"},
		{strings.Repeat("x", maxSecret+1), "", "longer"},
	} {
		put(tt.content)
		got = ""
		_, err := l.Lookup(t.Context(), sn1)
		if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("content %.10q: error %v, want %q", tt.content, err, tt.err)
		}
		if got != tt.want {
			t.Errorf("content %.10q: sent %q, want %q", tt.content, got, tt.want)
		}
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Lookup(t.Context(), sn1); err == nil || errors.Is(err, source.ErrUnknownDevice) {
		t.Errorf("without the file: error %v", err)
	}
}

// TestSecretFilesAreReadAnew: a password is read at every request, a client secret at
// every sign-in.
func TestSecretFilesAreReadAnew(t *testing.T) {
	path := filepath.Join(t.TempDir(), "secret")
	var got string
	s := fixed(t, func(w http.ResponseWriter, r *http.Request) {
		switch user, password, basic := r.BasicAuth(); {
		case r.URL.Path == "/token":
			got = r.FormValue("client_secret")
			write("", `{"access_token": "t", "expires_in": 1}`)(w, r)
		case basic:
			got = user + ":" + password
			write("", fine)(w, r)
		default:
			write("", fine)(w, r)
		}
	})
	sources := map[string]func(*Options){
		"gate:": func(o *Options) { o.Username, o.PasswordFile = "gate", path },
		"": func(o *Options) {
			o.ClientCredentials = &ClientCredentials{TokenURL: s.URL + "/token", ClientID: "gate", SecretFile: path}
		},
	}
	for user, change := range sources {
		for _, tt := range []struct{ content, want, err string }{
			{"one\n", "one", ""},
			{" t w o \r\n", " t w o ", ""},
			{"\n", "", "is empty"},
			{strings.Repeat("x", maxSecret+1), "", "longer than"},
		} {
			err := os.WriteFile(path, []byte(tt.content), 0o600)
			if err != nil {
				t.Fatal(err)
			}
			o := good()
			o.URL, o.RootCAs = s.URL+"/{id}", s.pool()
			change(&o)
			l, ok := build(t, o).(source.Looker)
			if !ok {
				t.Fatal("source is no Looker")
			}
			got = ""
			_, err = l.Lookup(t.Context(), sn1)
			if tt.err == "" && (err != nil || got != user+tt.want) {
				t.Errorf("user %q, content %.10q: sent %q, %v; want %q", user, tt.content, got, err, user+tt.want)
			}
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err) || got != "") {
				t.Errorf("user %q, content %.10q: sent %q, error %v; want %q", user, tt.content, got, err, tt.err)
			}
		}
	}
	// One source goes on with what the file holds now.
	o := good()
	o.URL, o.RootCAs, o.Username, o.PasswordFile = s.URL+"/{id}", s.pool(), "gate", path
	l, ok := build(t, o).(source.Looker)
	if !ok {
		t.Fatal("source is no Looker")
	}
	for _, want := range []string{"old", "new"} {
		err := os.WriteFile(path, []byte(want), 0o600)
		if err == nil {
			_, err = l.Lookup(t.Context(), sn1)
		}
		if err != nil || got != "gate:"+want {
			t.Errorf("sent %q, %v; want gate:%s", got, err, want)
		}
	}
}

// exchange answers requests without a network, for bubbles of synctest.
type exchange func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (x exchange) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return x(r)
}

func response(code int, body string, header ...string) *http.Response {
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	return &http.Response{StatusCode: code, Header: h, Body: io.NopCloser(strings.NewReader(body))}
}

// identityProvider gives out tokens t1, t2 and so on, and serves one device to
// whoever has a token that is not revoked.
type identityProvider struct {
	mu      sync.Mutex
	issued  int
	signIns []url.Values
	valid   string // the only good token
	answer  func(n int) *http.Response
}

func (p *identityProvider) serve(r *http.Request) (*http.Response, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.URL.Path != "/oauth/token" {
		if r.Header.Get("Authorization") != "Bearer "+p.valid {
			return response(http.StatusUnauthorized, ""), nil
		}
		return response(http.StatusOK, fine), nil
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	p.signIns = append(p.signIns, form)
	p.issued++
	if p.answer != nil {
		return p.answer(p.issued), nil
	}
	p.valid = "t" + string(rune('0'+p.issued))
	return response(http.StatusCreated, `{"access_token": "`+p.valid+`", "token_type": "Bearer", "expires_in": 1200}`), nil
}

func (p *identityProvider) source(t *testing.T) source.Looker {
	t.Helper()
	o := good()
	o.URL, o.Transport = "https://mdm.corp.example/{id}", exchange(p.serve)
	o.ClientCredentials = &ClientCredentials{
		TokenURL: "https://mdm.corp.example/oauth/token", ClientID: "gate", ClientSecret: "c-secret", Scope: "devices:read",
	}
	l, ok := build(t, o).(source.Looker)
	if !ok {
		t.Fatal("source is no Looker")
	}
	return l
}

func TestClientCredentials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &identityProvider{}
		l := p.source(t)
		ask := func(want int) {
			t.Helper()
			if _, err := l.Lookup(t.Context(), sn1); err != nil {
				t.Error(err)
			}
			if p.issued != want {
				t.Errorf("%d sign-ins, want %d", p.issued, want)
			}
		}
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { ask(1) })
		}
		wg.Wait()
		f := p.signIns[0]
		if f.Get("grant_type") != "client_credentials" || f.Get("client_id") != "gate" || f.Get("client_secret") != "c-secret" ||
			f.Get("scope") != "devices:read" {
			t.Errorf("sign-in sends %v", f)
		}
		time.Sleep(18 * time.Minute)
		ask(1)
		time.Sleep(2 * time.Minute)
		ask(2) // a minute before its end
		p.valid = "revoked"
		ask(3)
	})
}

func TestClientCredentialsRefused(t *testing.T) {
	tests := map[string]struct {
		res  *http.Response
		want string
	}{
		"bad secret":   {response(401, ""), `sign-in of client "gate": mdm.corp.example: status 401: the service refuses the client "gate"`},
		"bad request":  {response(400, `{"error": "invalid_client"}`), "status 400"},
		"wrong url":    {response(404, ""), "token url or the client is wrong"},
		"no token":     {response(200, `{}`), "bearer token is empty"},
		"a list":       {response(200, `[]`), "no object"},
		"other type":   {response(200, `{"access_token": "x", "token_type": "mac"}`), `type "mac"`},
		"broken token": {response(200, `{"access_token": "a\r\nb"}`), "spaces"},
		"a page":       {response(200, `<html>`), "HTML"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := &identityProvider{answer: func(n int) *http.Response {
					if n == 1 {
						return tt.res
					}
					return response(200, `{"access_token": "good"}`)
				}, valid: "good"}
				l := p.source(t)
				for range 3 { // the answer holds for a while: no storm of sign-ins
					_, err := l.Lookup(t.Context(), sn1)
					if unaccepted := name == "bad secret" || name == "bad request"; errors.Is(err, source.ErrNotAccepted) != unaccepted {
						t.Errorf("not accepted: %v, want %v", !unaccepted, unaccepted)
					}
					if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "secret") {
						t.Errorf("error = %v, want one with %q", err, tt.want)
					}
				}
				if p.issued != 1 {
					t.Errorf("%d sign-ins, want 1", p.issued)
				}
				time.Sleep(tokenRest)
				if _, err := l.Lookup(t.Context(), sn1); err != nil {
					t.Errorf("after the rest: %v", err)
				}
			})
		})
	}
}

// A caller without time is no answer of the service.
func TestClientCredentialsHonourContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &identityProvider{}
		o := good()
		slow := true
		o.URL = "https://mdm.corp.example/{id}"
		o.Transport = exchange(func(r *http.Request) (*http.Response, error) {
			if slow && r.URL.Path == "/oauth/token" {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return p.serve(r)
		})
		o.ClientCredentials = &ClientCredentials{TokenURL: "https://mdm.corp.example/oauth/token", ClientID: "gate", ClientSecret: "s"}
		l, ok := build(t, o).(source.Looker)
		if !ok {
			t.Fatal("source is no Looker")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				if _, err := l.Lookup(ctx, sn1); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("error = %v, want DeadlineExceeded", err)
				}
			})
		}
		wg.Wait()
		slow = false
		if _, err := l.Lookup(t.Context(), sn1); err != nil {
			t.Errorf("after the service woke up: %v", err)
		}
	})
}

// TestRefusedCredentialIsSpared: services lock an account after some refusals.
func TestRefusedCredentialIsSpared(t *testing.T) {
	path := filepath.Join(t.TempDir(), "token")
	for name, sign := range map[string]func(*Options){
		"user":        func(o *Options) { o.Username, o.Password = "gate", "wrong" },
		"bearer":      func(o *Options) { o.Bearer = "wrong" },
		"bearer file": func(o *Options) { o.BearerFile = path },
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte("wrong"), 0o600); err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) {
				calls, status := 0, 401
				o := good()
				sign(&o)
				o.Transport = exchange(func(*http.Request) (*http.Response, error) {
					calls++
					return response(status, "{}"), nil
				})
				l, ok := build(t, o).(source.Looker)
				if !ok {
					t.Fatal("source is no Looker")
				}
				ask := func(want int) {
					t.Helper()
					_, err := l.Lookup(t.Context(), sn1)
					if err == nil || !errors.Is(err, errUnauthorized) || calls != want {
						t.Fatalf("%v after %d calls, want a refusal and %d", err, calls, want)
					}
				}
				ask(1)
				ask(1)
				time.Sleep(source.FirstRefusalPause)
				ask(2)
				time.Sleep(source.FirstRefusalPause)
				ask(2) // the pauses grow
				time.Sleep(source.FirstRefusalPause)
				status = 404
				if _, err := l.Lookup(t.Context(), sn1); !errors.Is(err, source.ErrUnknownDevice) || calls != 3 {
					t.Errorf("accepted again: %v after %d calls", err, calls)
				}
				if name != "bearer file" {
					return
				}
				status = 401
				time.Sleep(source.LongestRefusalPause)
				ask(4)
				if err := os.WriteFile(path, []byte("right"), 0o600); err != nil {
					t.Fatal(err)
				}
				status = 404
				if _, err := l.Lookup(t.Context(), sn1); !errors.Is(err, source.ErrUnknownDevice) || calls != 5 {
					t.Errorf("a changed token: %v after %d calls", err, calls)
				}
			})
		})
	}
}
