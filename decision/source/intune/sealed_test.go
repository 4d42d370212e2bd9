package intune

import (
	"cmp"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/microsoft"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

const (
	connectorsRoute = "graph/mobileThreatDefenseConnectors"
	settingsRoute   = "graph/deviceManagement"
)

// within calls the emulator in this process: a fake clock can run meanwhile.
type within struct{ ms *emulator.Server }

// RoundTrip implements http.RoundTripper.
func (w within) RoundTrip(req *http.Request) (_ *http.Response, err error) {
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler:
			err = cmp.Or(req.Context().Err(), io.ErrUnexpectedEOF)
		default:
			panic(p)
		}
	}()
	rec := httptest.NewRecorder()
	w.ms.ServeHTTP(rec, req)
	return rec.Result(), req.Context().Err()
}

// memory is a snapshot store.
type memory struct {
	mu   sync.Mutex
	body []byte
}

func (m *memory) Load() ([]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.body, nil
}

func (m *memory) Save(body []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.body = body
	return nil
}

// sealed is a fleet and gateways that read it, with a fake clock.
type sealed struct {
	t     *testing.T
	ms    *emulator.Server
	store memory
	poll  time.Duration // default one hour
	stop  func()
	rig
	runner *source.Runner
}

// seal runs f in a bubble, with the fake clock at a time that tokens can have.
func seal(t *testing.T, f func(w *sealed)) {
	synctest.Test(t, func(t *testing.T) {
		w := &sealed{t: t, stop: func() {}, ms: emulator.New(emulator.Options{})}
		f(w)
		w.stop()
	})
}

// start starts a gateway, after the one before was stopped, and lets it read.
func (w *sealed) start(o Options) {
	w.t.Helper()
	w.begin(o)
	w.pass(20 * time.Second)
	if w.runner.Status().LastSync.IsZero() {
		w.t.Fatalf("not read: %+v", w.runner.Status())
	}
}

// begin only starts a gateway.
func (w *sealed) begin(o Options) {
	w.t.Helper()
	w.stop()
	const base = "https://ms.example"
	client, err := microsoft.Connect(microsoft.Options{
		Name: "test", Tenant: emulator.TenantDomain, ClientID: emulator.DefaultClientID, Transport: within{w.ms},
		Credential: microsoft.CredentialOptions{Secret: emulator.DefaultSecret},
		Cloud:      microsoft.Cloud{Authority: base + "/login", Graph: base + "/graph", Defender: base + "/defender", Intune: base + "/nac-resource"},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	o.Client = client
	s, err := New(o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.rig = rig{Source: s, ms: w.ms}
	w.runner = source.NewRunner(s, source.RunnerOptions{
		Name: "intune", Authoritative: true, Remote: true, Poll: cmp.Or(w.poll, time.Hour), Snapshot: &w.store,
		Guards: source.Guards{Off: true}, // a fleet that nobody heard of for a day is news
	})
	w.stop = func() {
		w.runner.Stop()
		client.Close()
	}
	if err := w.runner.Load(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.runner.Start(w.t.Context())
}

func (w *sealed) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// fail breaks a route, with 503 unless another status is named.
func (w *sealed) fail(route string, f emulator.Fault) (repair func()) {
	if f.Kind == "" {
		f.Kind = emulator.Status
	}
	return w.ms.Fail(route, f)
}

func (w *sealed) calls(route string) int { return w.ms.Calls()[route] }

// verdict is what the gateway knows of a device.
func (w *sealed) verdict(name string) decision.Verdict {
	w.t.Helper()
	m := w.runner.Find([]decision.Key{entraKey(w.find(w.t, name).EntraID)})
	if m.Verdict == nil {
		w.t.Fatalf("device %s is unknown", name)
	}
	return *m.Verdict
}

// floor expects the levels of the gateway to count, or to be only the least.
func (w *sealed) floor(when string, want bool) {
	w.t.Helper()
	v := w.verdict(emulator.CaseHealthy)
	if v.Risk != decision.LevelNone || v.RiskFloor != want || (v.Sensor == decision.SensorActive) == want {
		w.t.Errorf("%s: risk %s, floor %t, sensor %s, want floor %t", when, v.Risk, v.RiskFloor, v.Sensor, want)
	}
	if v := w.verdict(emulator.CaseMalware); v.Risk != decision.LevelHigh {
		w.t.Errorf("%s: the infected computer has risk %s", when, v.Risk)
	}
}
