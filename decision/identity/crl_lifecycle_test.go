package identity

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// crlServer answers in memory, so that it works inside a synctest bubble.
type crlServer struct {
	mu      sync.Mutex
	body    []byte
	status  int
	panics  bool
	fetches int
	unread  int // answers with 304
}

func (s *crlServer) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fetches++
	if s.panics {
		panic("transport")
	}
	if s.status == 0 {
		return nil, errors.New("connection refused")
	}
	resp := &http.Response{StatusCode: s.status, Header: http.Header{}, Request: r}
	etag := `"` + string(s.body[len(s.body)-4:]) + `"`
	if s.status == http.StatusOK && r.Header.Get("If-None-Match") == etag {
		s.unread++
		resp.StatusCode, resp.Body = http.StatusNotModified, http.NoBody
		return resp, nil
	}
	resp.Header.Set("ETag", etag)
	resp.Body = io.NopCloser(bytes.NewReader(s.body))
	return resp, nil
}

func (s *crlServer) set(status int, body []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.status, s.body = status, body
}

func (s *crlServer) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

// crlAt makes a list that is issued now, in the bubble's time.
func crlAt(t *testing.T, ca *certCA, number int64, life time.Duration, revoked ...*x509.Certificate) []byte {
	now := time.Now().Truncate(time.Second)
	return ca.crlWith(t, number, func(l *x509.RevocationList) { l.ThisUpdate, l.NextUpdate = now, now.Add(life) }, revoked...)
}

func TestCRLRefresh(t *testing.T) {
	ca := newCertCA(t, "Device Root", nil)
	leaf := ca.issue(t)
	synctest.Test(t, func(t *testing.T) {
		server := &crlServer{body: []byte("none")}
		c, err := NewCRL(CRLOptions{
			URL: "http://pki.example/a.crl", Issuers: []*x509.Certificate{ca.cert}, Client: &http.Client{Transport: server},
		})
		if err != nil {
			t.Fatal(err)
		}
		links := certLinks([]*x509.Certificate{leaf, ca.cert}, []*CRL{c})
		check := func(when, want string) {
			t.Helper()
			got := "ok"
			if err := checkRevocation(links, time.Now()); err != nil {
				got = certErrorReason(t, err)
			}
			if got != want {
				t.Errorf("%s: got %s, want %s (%+v)", when, got, want, c.Status())
			}
		}
		wait := func(d time.Duration) {
			time.Sleep(d)
			synctest.Wait()
		}
		c.Start(t.Context())
		c.Start(t.Context()) // has no effect
		defer c.Close()
		synctest.Wait()
		check("the server is down", "crl_unavailable")
		if n := server.count(); n != 1 {
			t.Errorf("%d fetches at the start, want 1", n)
		}

		wait(30 * time.Minute)
		if n := server.count(); n < 5 || n > 20 {
			t.Errorf("%d fetches in half an hour of failure, want back-off", n)
		}
		server.set(http.StatusOK, []byte("<html>maintenance</html>"))
		wait(crlMaxBackoff)
		check("the server sends a page", "crl_unavailable")

		first := crlAt(t, ca, 1, 4*time.Hour)
		server.set(http.StatusOK, first)
		wait(crlMaxBackoff)
		check("loaded", "ok")

		before := server.count()
		wait(2 * time.Hour)
		if n := server.count() - before; n < 2 || n > 4 {
			t.Errorf("%d fetches in two hours of health, want about one an hour", n)
		}
		if server.unread == 0 {
			t.Error("an unchanged list was read again")
		}
		check("unchanged", "ok")

		server.set(http.StatusOK, crlAt(t, ca, 2, 4*time.Hour, leaf))
		wait(time.Hour)
		check("revoked", "revoked")

		server.set(http.StatusOK, first)
		wait(time.Hour)
		check("the old list again", "revoked")
		if s := c.Status(); !strings.Contains(s.Error, "goes back") || s.Number != "2" {
			t.Errorf("status %+v", s)
		}

		server.set(http.StatusOK, crlAt(t, ca, 3, 2*time.Hour))
		wait(crlMaxBackoff)
		check("taken off hold", "ok")
		server.set(http.StatusInternalServerError, first)
		wait(90 * time.Minute)
		check("the server fails, the list is current", "ok")
		wait(time.Hour)
		check("the server fails, the list is out of date", "crl_unavailable")
		if s := c.Status(); s.Usable || !s.Loaded || s.Error != "status 500" {
			t.Errorf("status %+v", s)
		}

		server.mu.Lock()
		server.panics = true
		server.mu.Unlock()
		wait(crlMaxBackoff)
		if s := c.Status(); !strings.Contains(s.Error, "failed badly") {
			t.Errorf("status after a panic: %+v", s)
		}
		server.mu.Lock()
		server.panics = false
		server.mu.Unlock()
		server.set(http.StatusOK, crlAt(t, ca, 4, 2*time.Hour))
		wait(crlMaxBackoff)
		check("recovered", "ok")

		c.Close()
		before = server.count()
		wait(24 * time.Hour)
		if n := server.count(); n != before {
			t.Error("it fetches after Close")
		}
		c.Start(t.Context()) // stays closed
		wait(time.Hour)
		if n := server.count(); n != before {
			t.Error("it fetches after Start of a closed list")
		}
	})
}

func TestCRLFileChanges(t *testing.T) {
	ca := newCertCA(t, "Device Root", nil)
	leaf := ca.issue(t)
	name := crlFile(t, nil)
	synctest.Test(t, func(t *testing.T) {
		write := func(data []byte) {
			if err := os.WriteFile(name, data, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(name, time.Time{}, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
		write(crlAt(t, ca, 1, time.Hour))
		c, err := NewCRL(CRLOptions{File: name, Issuers: []*x509.Certificate{ca.cert}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		c.Start(ctx)
		time.Sleep(10 * time.Minute)
		if s := c.Status(); !s.Usable || s.Entries != 0 || s.Error != "" {
			t.Errorf("status %+v", s)
		}
		write(crlAt(t, ca, 2, time.Hour, leaf))
		time.Sleep(2 * crlFilePoll)
		if s := c.Status(); s.Entries != 1 || s.Number != "2" {
			t.Errorf("after a change: %+v", s)
		}
		write([]byte("half a li"))
		time.Sleep(2 * crlFilePoll)
		if s := c.Status(); s.Entries != 1 || s.Error == "" {
			t.Errorf("after a broken write: %+v", s)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		if s := c.Status(); s.Usable || s.Error == "" {
			t.Errorf("after nextUpdate: %+v", s)
		}
		cancel()
		c.Close()
	})
}

// The client that NewCRL makes, over a real socket.
func TestCRLDefaultClient(t *testing.T) {
	before := goleak.IgnoreCurrent()
	ca := newCertCA(t, "Device Root", nil)
	der := ca.crl(t, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("/a.crl", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(der) })
	mux.HandleFunc("/large", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, _ *http.Request) {
		for block := make([]byte, 4096); ; {
			if _, err := w.Write(block); err != nil {
				return
			}
		}
	})
	mux.Handle("/moved", http.RedirectHandler("/a.crl", http.StatusFound))
	mux.Handle("/loop", http.RedirectHandler("/loop", http.StatusFound))
	mux.Handle("/ldap", http.RedirectHandler("ldap://pki.example/", http.StatusFound))
	server := httptest.NewServer(mux)
	for path, want := range map[string]string{
		"/a.crl": "", "/moved": "", "/large": "larger than", "/endless": "larger than", "/loop": "too many redirects", "/ldap": "another scheme", "/none": "status 404",
	} {
		c, err := NewCRL(CRLOptions{
			URL: server.URL + path, Issuers: []*x509.Certificate{ca.cert}, MaxBytes: 64 << 10, Now: func() time.Time { return certT0 },
		})
		if err != nil {
			t.Fatal(err)
		}
		err = c.refresh(t.Context())
		if got := err == nil; got != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %q", path, err, want)
		}
		c.Close()
	}
	server.Close()
	goleak.VerifyNone(t, before)
}
