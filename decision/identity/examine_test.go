package identity

import (
	"context"
	"crypto/x509"
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/checkup"
)

func wantFinding(t *testing.T, found []checkup.Finding, check string, state checkup.State, text string) {
	t.Helper()
	for _, f := range found {
		if f.Check == check && f.State == state && strings.Contains(f.Text, text) {
			if (state == checkup.Fault || state == checkup.Warning) && f.Fix == "" {
				t.Errorf("no next step: %+v", f)
			}
			return
		}
	}
	t.Errorf("want %s %s %q, got %+v", check, state, text, found)
}

func TestExamineIssuer(t *testing.T) {
	keys := testSet(t, testJWK(t, "ec", "ec", nil), testJWK(t, "rsa", "old", map[string]any{"use": "enc"}))
	for name, tc := range map[string]struct {
		metadata func(self string) string // nil: none
		keys     []byte
		date     time.Duration
		change   func(*IssuerOptions)
		check    string
		state    checkup.State
		text     string
	}{
		"well":        {check: checkup.CheckKeys, state: checkup.OK, text: "1 key can be used, 1 ignored"},
		"metadata":    {check: checkup.CheckDiscovery, state: checkup.OK, text: ""},
		"clock":       {check: checkup.CheckClock, state: checkup.OK, text: "agrees"},
		"clock wrong": {date: 10 * time.Minute, check: checkup.CheckClock, state: checkup.Fault, text: "behind"},
		"another issuer": {
			metadata: func(self string) string {
				return fmt.Sprintf(`{"issuer":"https://other.example","jwks_uri":"%s/keys"}`, self)
			},
			check: checkup.CheckDiscovery, state: checkup.Fault, text: `names issuer "https://other.example"`,
		},
		"no metadata": {metadata: func(string) string { return "" }, check: checkup.CheckDiscovery, state: checkup.Fault, text: "404"},
		"not JSON":    {metadata: func(string) string { return "<html>" }, check: checkup.CheckDiscovery, state: checkup.Fault, text: "not JSON"},
		"no keys":     {keys: testSet(t), check: checkup.CheckKeys, state: checkup.Fault, text: "key set"},
		"keys of another algorithm": {
			change: func(o *IssuerOptions) { o.Algorithms = []string{"PS256"} },
			check:  checkup.CheckKeys, state: checkup.Fault, text: "key set",
		},
		"key set by URL": {
			change: func(o *IssuerOptions) { o.JWKSURL = o.URL + "/elsewhere" },
			check:  checkup.CheckKeys, state: checkup.Fault, text: "404",
		},
		"wrong options": {
			change: func(o *IssuerOptions) { o.Audiences = nil },
			check:  checkup.CheckSetting, state: checkup.Fault, text: "audience",
		},
		"file": {
			change: func(o *IssuerOptions) { o.JWKSFile = testSetFile(t, keys) },
			check:  checkup.CheckKeys, state: checkup.OK, text: "1 key",
		},
		"no file": {
			change: func(o *IssuerOptions) { o.JWKSFile = filepath.Join(t.TempDir(), "missing.json") },
			check:  checkup.CheckFile, state: checkup.Fault, text: "no such file",
		},
		"nobody there": {
			change: func(o *IssuerOptions) { o.URL = "http://127.0.0.1:1" },
			check:  checkup.CheckDiscovery, state: checkup.Fault, text: "refused",
		},
	} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", time.Now().Add(tc.date).UTC().Format(http.TimeFormat))
				mux.ServeHTTP(w, r)
			}))
			defer srv.Close()
			text := fmt.Sprintf(`{"issuer":%q,"jwks_uri":"%s/keys"}`, srv.URL, srv.URL)
			if tc.metadata != nil {
				text = tc.metadata(srv.URL)
			}
			mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
				if text == "" {
					w.WriteHeader(http.StatusNotFound)
				}
				_, _ = w.Write([]byte(text))
			})
			mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
				if tc.keys != nil {
					_, _ = w.Write(tc.keys)
					return
				}
				_, _ = w.Write(keys)
			})
			o := IssuerOptions{Name: "corp", URL: srv.URL, Audiences: []string{"intranet"}}
			if tc.change != nil {
				tc.change(&o)
			}
			wantFinding(t, ExamineIssuer(t.Context(), o), tc.check, tc.state, tc.text)
		})
	}
}

func TestExamineIssuerTLS(t *testing.T) {
	srv := httptest.NewTLSServer(http.NotFoundHandler())
	defer srv.Close()
	o := IssuerOptions{Name: "corp", URL: srv.URL, Audiences: []string{"intranet"}}
	wantFinding(t, ExamineIssuer(t.Context(), o), checkup.CheckCertificate, checkup.Fault, "not trusted")
	o.Client = srv.Client()
	wantFinding(t, ExamineIssuer(t.Context(), o), checkup.CheckCertificate, checkup.OK, "is good until")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	wantFinding(t, ExamineIssuer(ctx, o), checkup.CheckDiscovery, checkup.Fault, "canceled")
}

func TestExamineTrustPool(t *testing.T) {
	ca := newCertCA(t, "Device Root", nil)
	old := newCertCA(t, "Old Root", nil, func(c *x509.Certificate) { c.NotAfter = certT0.Add(-time.Hour) })
	soon := newCertCA(t, "Late Root", nil, func(c *x509.Certificate) { c.NotAfter = certT0.AddDate(0, 0, 40) })
	for name, tc := range map[string]struct {
		pool  []*x509.Certificate
		state checkup.State
		text  string
	}{
		"well":  {[]*x509.Certificate{ca.cert}, checkup.OK, `"Device Root" is good until`},
		"ended": {[]*x509.Certificate{ca.cert, old.cert}, checkup.Fault, `"Old Root" ended`},
		"soon":  {[]*x509.Certificate{soon.cert}, checkup.Warning, `"Late Root" ends`},
		"leaf":  {[]*x509.Certificate{ca.issue(t)}, checkup.Warning, "no authority"},
		"empty": {nil, checkup.Fault, "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			wantFinding(t, ExamineTrustPool(tc.pool, certT0), checkup.CheckTrustPool, tc.state, tc.text)
		})
	}
}

func TestExamineCRL(t *testing.T) {
	ca, other := newCertCA(t, "Device Root", nil), newCertCA(t, "Other Root", nil)
	leaf := ca.issue(t)
	list := ca.crl(t, 1, leaf)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/a.crl" {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		_, _ = w.Write(list)
	}))
	defer srv.Close()
	for name, tc := range map[string]struct {
		o     CRLOptions
		at    time.Duration // after certT0
		state checkup.State
		text  string
	}{
		"file":      {CRLOptions{File: crlFile(t, list)}, 0, checkup.OK, "1 certificates are revoked"},
		"URL":       {CRLOptions{URL: srv.URL + "/a.crl"}, 0, checkup.OK, "is good until"},
		"late":      {CRLOptions{URL: srv.URL + "/a.crl"}, 23 * time.Hour, checkup.Warning, "ends on"},
		"ended":     {CRLOptions{URL: srv.URL + "/a.crl"}, 25 * time.Hour, checkup.Fault, "1h ago"},
		"not there": {CRLOptions{URL: srv.URL + "/b.crl"}, 0, checkup.Fault, "404"},
		"nobody":    {CRLOptions{URL: "http://127.0.0.1:1/a.crl?key=s3cret"}, 0, checkup.Fault, "refused"},
		"no file":   {CRLOptions{File: "missing.crl"}, 0, checkup.Fault, "no such file"},
		"no list":   {CRLOptions{File: crlFile(t, []byte("nothing"))}, 0, checkup.Fault, ""},
		"another's": {CRLOptions{File: crlFile(t, other.crl(t, 1))}, 0, checkup.Fault, ""},
	} {
		t.Run(name, func(t *testing.T) {
			tc.o.Issuers = []*x509.Certificate{ca.cert}
			tc.o.Now = func() time.Time { return certT0.Add(tc.at) }
			tc.o.Load = func() ([]byte, error) { return list, nil }
			tc.o.Save = func([]byte) error { t.Error("the examination keeps the list"); return nil }
			wantFinding(t, []checkup.Finding{ExamineCRL(t.Context(), tc.o)}, checkup.CheckCRL, tc.state, tc.text)
		})
	}
}
