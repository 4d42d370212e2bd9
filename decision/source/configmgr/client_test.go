package configmgr

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

func TestErrorsNameTheFix(t *testing.T) {
	answer := func(status int, header ...string) func(http.ResponseWriter, *http.Request, string) bool {
		return func(w http.ResponseWriter, _ *http.Request, _ string) bool {
			for i := 0; i < len(header); i += 2 {
				w.Header().Add(header[i], header[i+1])
			}
			w.WriteHeader(status)
			return true
		}
	}
	tests := []struct {
		name   string
		change func(*Options)
		fault  func(http.ResponseWriter, *http.Request, string) bool
		kind   Kind
		want   string
	}{
		{"integrated authentication wanted", func(o *Options) { o.Auth.Basic.Password = "wrong" }, nil, KindUnauthorized, "configure negotiate with a keytab"},
		{"ours not accepted", nil, answer(401, "WWW-Authenticate", "Basic"), KindUnauthorized, "does not accept the credential"},
		{"forbidden", nil, answer(403), KindPermission, "Read-only Analyst"},
		{"not found", nil, answer(404), KindNotFound, "must end in /AdminService"},
		{"bad request", nil, answer(400), KindBadRequest, "does not accept the query"},
		{"throttled", nil, answer(429, "Retry-After", "7"), KindThrottled, "throttled for 7s"},
		{"busy", nil, answer(503, "Retry-After", "1.5"), KindThrottled, "throttled for 1.5s"},
		{"failed", nil, answer(500), KindUnavailable, "500 the server failed"},
		{"unknown authority", func(o *Options) { o.RootCAs = x509.NewCertPool() }, nil, KindCertificate, "name it in ca_file"},
		{"another name", func(o *Options) { o.URL = strings.Replace(o.URL, "127.0.0.1", "localhost", 1) }, nil, KindCertificate, "does not use the name"},
		{"nobody there", func(o *Options) { o.URL = "https://127.0.0.1:1/AdminService" }, nil, KindUnavailable, "no answer from 127.0.0.1:1"},
		{"no password file", func(o *Options) { o.Auth.Basic = &Basic{Username: "reader", PasswordFile: "/nonexistent/password"} }, nil, KindSignIn, "cannot sign in: password"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			site := newFakeSite(t)
			site.fault = tt.fault
			s := site.source(t, func(o *Options) {
				if tt.change != nil {
					tt.change(o)
				}
			})
			_, err := s.Lookup(t.Context(), entraKey(entraOne))
			e, ok := errors.AsType[*Error](err)
			if !ok || e.Kind != tt.kind || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v, want one of kind %d with %q", err, tt.kind, tt.want)
			}
			if strings.Contains(err.Error(), "horse") || strings.Contains(err.Error(), entraOne) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error says too much: %v", err)
			}
			unaccepted := tt.kind == KindUnauthorized || tt.kind == KindSignIn
			if errors.Is(err, source.ErrNotAccepted) != unaccepted || errors.Is(err, source.ErrNotPermitted) != (tt.kind == KindPermission) {
				t.Errorf("%v counts as another denial", err)
			}
			throttled, is := errors.AsType[*source.ThrottledError](err)
			if is != (tt.kind == KindThrottled) || is && throttled.RetryAfter == 0 {
				t.Errorf("throttled: %v", is)
			}
		})
	}
}

func TestRetryAfter(t *testing.T) {
	for in, want := range map[string]time.Duration{
		"":    0,
		"5":   5 * time.Second,
		"0.5": 500 * time.Millisecond,
		"-5":  0, "soon": 0, "NaN": 0, "1e300": 0,
		now.Add(time.Minute).Format(http.TimeFormat):  time.Minute,
		now.Add(-time.Minute).Format(http.TimeFormat): 0,
	} {
		if got := retryAfter(in, now); got != want {
			t.Errorf("%q: %s, want %s", in, got, want)
		}
	}
}

// plainOptions need no server: the transport answers.
func plainOptions(rt roundTripper) Options {
	return Options{URL: "https://cm01.corp.example/AdminService", Auth: Auth{Basic: &Basic{Username: "reader", Password: "x"}}, Transport: rt}
}

func respond(r *http.Request, status int, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Request: r,
		Body: io.NopCloser(strings.NewReader(body)),
	}
}

func TestSweepsArePatient(t *testing.T) {
	for _, tt := range []struct {
		name     string
		failures int
		want     bool
	}{{"twice", 2, true}, {"for long", 3, false}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				s, err := New(plainOptions(func(r *http.Request) (*http.Response, error) {
					calls++
					switch {
					case calls > tt.failures:
						return respond(r, 200, `{"value":[]}`), nil
					case calls%2 == 0:
						return nil, errors.New("connection reset")
					}
					return respond(r, 503, ""), nil
				}))
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				err = s.Sync(t.Context(), source.NewSweep(0))
				if (err == nil) != tt.want {
					t.Errorf("Sync = %v", err)
				}
				if took := time.Since(start); took < 3*time.Second || took > 5*time.Second {
					t.Errorf("waited %s, want 1 to 2 s and 2 to 3 s", took)
				}
			})
		})
	}
	t.Run("look-ups are not", func(t *testing.T) {
		calls := 0
		s, err := New(plainOptions(func(r *http.Request) (*http.Response, error) {
			calls++
			return respond(r, 503, ""), nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Lookup(t.Context(), entraKey(entraOne)); err == nil || calls != 1 {
			t.Errorf("%d calls, %v; want one failed call", calls, err)
		}
	})
	t.Run("nor after the end", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
			defer cancel()
			s, err := New(plainOptions(func(r *http.Request) (*http.Response, error) { return respond(r, 503, ""), nil }))
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Sync(ctx, source.NewSweep(0)); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("Sync = %v, want deadline exceeded", err)
			}
		})
	})
}

func TestRequestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := plainOptions(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		o.RequestTimeout = 5 * time.Second
		s, err := New(o)
		if err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		_, err = s.Lookup(t.Context(), entraKey(entraOne))
		if err == nil || errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "timed out") || time.Since(start) != 5*time.Second {
			t.Errorf("Lookup = %v after %s, want timed out after 5s", err, time.Since(start))
		}
	})
}

func TestRequestsOnTheWire(t *testing.T) {
	var seen []string
	s, err := New(plainOptions(func(r *http.Request) (*http.Response, error) {
		seen = append(seen, fmt.Sprintf("%s %s %s", r.Method, r.URL, r.Header.Get("Accept")))
		return respond(r, 200, `{"value":[]}`), nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = s.Lookup(t.Context(), entraKey(entraOne))
	want := "GET https://cm01.corp.example/AdminService/wmi/SMS_R_System?$filter=AADDeviceID%20eq%20%27" + entraOne +
		"%27&$select=ResourceID%2CName"
	if len(seen) != 1 || !strings.HasPrefix(seen[0], want) || !strings.HasSuffix(seen[0], "&$top=32 application/json") {
		t.Errorf("sent %v, want a prefix %s", seen, want)
	}
}
