package httpjson

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// service is a device management system of its own dialect.
type service struct {
	*httptest.Server
	mu      sync.Mutex
	devices []decision.Verdict
	broken  atomic.Bool
}

// tell replaces the devices of the service.
func (s *service) tell(devices []decision.Verdict) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.devices = devices
}

func (s *service) fleet() []decision.Verdict {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.devices
}

// newService starts a service over TLS and stops it with the test.
func newService(t *testing.T, devices []decision.Verdict) *service {
	t.Helper()
	s := &service{devices: devices}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /devices/{kind}/{id}", s.one)
	mux.HandleFunc("GET /search", s.search)
	mux.HandleFunc("GET /list", s.list)
	s.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.broken.Load() {
			http.Error(w, "down", http.StatusInternalServerError)
			return
		}
		if r.Header.Get("Authorization") != "Bearer s3cret" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *service) pool() *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(s.Certificate())
	return p
}

// describe spells a device in the service's dialect.
func describe(v *decision.Verdict) map[string]any {
	out := map[string]any{
		"label": v.Name, "os": map[string]any{"family": "Windows 11", "build": v.OSVersion.String()},
		"seen": v.LastCheckIn.UnixMilli(), "threat": threats[v.Risk],
	}
	if v.Encrypted != decision.Unknown { // else the service leaves it out
		out["disk_encrypted"] = v.Encrypted == decision.Yes
	}
	out["status"] = map[decision.Compliance]string{decision.Compliant: "PASS", decision.NonCompliant: "FAIL"}[v.Compliance]
	for _, k := range v.Keys {
		out["id_"+k.Kind] = strings.ToUpper(k.Value)
	}
	return out
}

// threats are the service's words for risk; "odd" is none that the mapping knows.
var threats = map[decision.Level]string{decision.LevelUnknown: "odd", decision.LevelNone: "calm", decision.LevelHigh: "alarm"}

// withRisk is the dialect with one fact more.
var withRisk = append(dialect[:len(dialect):len(dialect)],
	Field{Name: "risk", Pointer: "/threat", Values: map[string]string{"calm": "none", "alarm": "high"}})

var dialect = []Field{
	{Name: "entra_id", Pointer: "/id_entra"},
	{Name: "intune_id", Pointer: "/id_intune"},
	{Name: "serial", Pointer: "/id_serial"},
	{Name: "name", Pointer: "/label"},
	{Name: "platform", Pointer: "/os/family"},
	{Name: "os_version", Pointer: "/os/build"},
	{Name: "compliance", Pointer: "/status", Values: map[string]string{"PASS": "compliant", "FAIL": "noncompliant"}},
	{Name: "encrypted", Pointer: "/disk_encrypted"},
	{Name: "managed", Expression: "true"},
	{Name: "last_check_in", Expression: "doc.seen"},
}

func (s *service) find(kind, id string) *decision.Verdict {
	devices := s.fleet()
	for i := range devices {
		for _, k := range devices[i].Keys {
			if k.Kind == kind && k.Value == id {
				return &devices[i]
			}
		}
	}
	return nil
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (s *service) one(w http.ResponseWriter, r *http.Request) {
	v := s.find(r.PathValue("kind"), r.PathValue("id"))
	if v == nil {
		w.WriteHeader(http.StatusNotFound)
		answer(w, map[string]string{"error": "no such device"})
		return
	}
	answer(w, map[string]any{"device": describe(v)})
}

func (s *service) search(w http.ResponseWriter, r *http.Request) {
	results := []any{}
	if v := s.find(r.FormValue("by"), r.FormValue("id")); v != nil {
		results = append(results, describe(v))
	}
	answer(w, map[string]any{"results": results})
}

// list answers with two devices at a time.
func (s *service) list(w http.ResponseWriter, r *http.Request) {
	offset, _ := strconv.Atoi(r.FormValue("offset"))
	rows, devices := []any{}, s.fleet()
	for i := offset; i < len(devices) && i < offset+2; i++ {
		rows = append(rows, describe(&devices[i]))
	}
	body := map[string]any{"data": map[string]any{"rows": rows}, "token": nil, "next": nil}
	if offset+2 < len(devices) {
		body["token"] = offset + 2
		body["next"] = fmt.Sprintf("?offset=%d", offset+2)
	}
	answer(w, body)
}

// fixed starts a service that always answers in the same way.
func fixed(t *testing.T, h http.HandlerFunc) *service {
	t.Helper()
	s := &service{Server: httptest.NewTLSServer(h)}
	t.Cleanup(s.Close)
	return s
}

// build makes a source and closes it with the test.
func build(t *testing.T, o Options) Source {
	t.Helper()
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func mustURL(t *testing.T, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
