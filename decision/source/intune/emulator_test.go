package intune

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"math"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/microsoft"
	"github.com/gatehouse-project/gatehouse/decision/source/sourcetest"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/emulator/emulatortest"
)

// rig is a source and the fake service that it reads.
type rig struct {
	*Source
	ms    *emulator.Server
	lossy *lossy
}

// start is connect, with a check at the end that the real service would have
// refused no call.
func start(t *testing.T, eo emulator.Options, o Options) rig {
	t.Helper()
	r := connect(t, eo, o)
	t.Cleanup(func() { r.ms.Check(t) })
	return r
}

// connect serves a fleet and connects a source to it.
func connect(t testing.TB, eo emulator.Options, o Options) rig {
	t.Helper()
	lossy := &lossy{}
	st := emulatortest.Connect(t, eo, func(mo *microsoft.Options, roots *x509.CertPool) {
		lossy.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
		mo.RootCAs, mo.Transport = nil, lossy
	})
	o.Client = st.Tenant
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return rig{s, st.Server, lossy}
}

// lossy drops rows from every list of devices, and the count that would tell.
type lossy struct {
	*http.Transport
	drop atomic.Int64
	hide atomic.Bool            // filtered lists are empty
	hook atomic.Pointer[func()] // called once, between a list of devices and its reader
	late atomic.Pointer[func()] // called once, between a batch of answers and its reader
}

// RoundTrip implements http.RoundTripper.
func (l *lossy) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.Transport.RoundTrip(req)
	if late := &l.late; err == nil && strings.HasSuffix(req.URL.Path, "/$batch") && late.Load() != nil {
		(*late.Swap(nil))()
	}
	if err != nil || !strings.HasSuffix(req.URL.Path, "/managedDevices") {
		return resp, err
	}
	if hook := l.hook.Swap(nil); hook != nil {
		(*hook)()
	}
	n := int(l.drop.Load())
	if l.hide.Load() && req.URL.Query().Has("$filter") {
		n = math.MaxInt
	}
	if n == 0 {
		return resp, nil
	}
	defer resp.Body.Close()
	var page map[string]json.RawMessage
	var rows []json.RawMessage
	var body io.Reader = resp.Body
	if resp.Header.Get("Content-Encoding") == "gzip" {
		if body, err = gzip.NewReader(resp.Body); err != nil {
			return nil, err
		}
	}
	if err := json.NewDecoder(body).Decode(&page); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(page["value"], &rows); err != nil {
		return nil, err
	}
	page["value"], _ = json.Marshal(rows[:max(0, len(rows)-n)])
	delete(page, "@odata.count")
	text, _ := json.Marshal(page)
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(text)), int64(len(text))
	resp.Header.Del("Content-Encoding")
	resp.Header.Set("Content-Length", strconv.Itoa(len(text)))
	return resp, nil
}

// sync runs one Sync, and what follows it, and returns the table; nil if nothing
// changed.
func (r rig) sync(t *testing.T) *source.Table {
	t.Helper()
	table := r.list(t, r.Sync)
	if !r.FollowUp(t.Context()) {
		return table
	}
	return r.list(t, func(_ context.Context, sweep *source.Sweep) error { return r.emit(sweep) })
}

// list makes one Sync and nothing beside it.
func (r rig) list(t *testing.T, sync func(context.Context, *source.Sweep) error) *source.Table {
	t.Helper()
	sweep := source.NewSweep(0)
	err := sync(t.Context(), sweep)
	if errors.Is(err, source.ErrUnchanged) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	table, err := sweep.Table()
	if err != nil {
		t.Fatal(err)
	}
	if n, rows := sweep.BadRows(); n > 0 {
		t.Errorf("%d bad records: %v", n, rows)
	}
	if n := table.AmbiguousKeys(); n > 0 {
		t.Errorf("%d ambiguous ids", n)
	}
	return table
}

func entraKey(g emulator.GUID) decision.Key {
	return decision.Key{Kind: decision.KindEntra, Value: g.String()}
}

// verdict finds a device in a table.
func verdict(t *testing.T, table *source.Table, d *emulator.Device) decision.Verdict {
	t.Helper()
	row, ok := table.Find(entraKey(d.EntraID))
	if !ok {
		t.Fatalf("device %s is not listed", d.Name)
	}
	return table.Verdict(row)
}

// How the emulator spells what the suite says; nothing is a word that nobody can read.
var (
	toCompliance = map[decision.Compliance]string{0: "odd", decision.Compliant: "compliant", decision.NonCompliant: "noncompliant"}
	toState      = map[decision.Lifecycle]string{0: "odd", decision.LifecycleActive: "managed", decision.LifecycleWiping: "wipePending"}
	toOwner      = map[decision.Ownership]string{0: "odd", decision.Corporate: "company", decision.Personal: "personal"}
	toThreat     = map[decision.Level]string{0: "activated", decision.LevelNone: "secured", decision.LevelHigh: "highSeverity"}
	toRooted     = map[decision.Tri]string{decision.No: "False", decision.Yes: "True"}
)

func TestConformance(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, devices []decision.Verdict) sourcetest.Fixture {
		t.Helper()
		r := start(t, emulator.Options{Devices: 1}, Options{Reasons: true})
		had := 0
		tell := func(devices []decision.Verdict) {
			emulatortest.Replace(r.ms, sourcetest.Names(devices), func(d *emulator.Device, i int, fresh bool) {
				v := &devices[i]
				if fresh {
					d.Directory, d.OS, d.OSVersion = nil, "Windows", v.OSVersion.String()
					d.EntraID, d.Serial = emulator.MustGUID(v.Keys[0].Value), v.Keys[2].Value
					d.Managed = []*emulator.Managed{{ID: emulator.MustGUID(v.Keys[1].Value), Agent: "mdm", Registration: "registered", Encrypted: true}}
				}
				m := d.Managed[0]
				m.LastSync = time.Now()
				m.Compliance, m.State, m.OwnerType = toCompliance[v.Compliance], toState[v.Lifecycle], toOwner[v.Ownership]
				m.Threat, m.JailBroken = toThreat[v.Risk], toRooted[v.Jailbroken]
			})
			if len(devices) < had { // what is gone shows in a complete listing
				r.mu.Lock()
				r.fullDue = true
				r.mu.Unlock()
			}
			had = len(devices)
		}
		tell(devices)
		return sourcetest.Fixture{
			Source: r.Source, Change: tell,
			Break: func() {
				for _, route := range []string{"graph/managedDevices", "graph/managedDevice"} {
					r.ms.Fail(route, emulator.Fault{Kind: emulator.HTML200})
				}
			},
			Kinds: []string{decision.KindIntune, decision.KindEntra, decision.KindSerial},
			Unsaid: map[decision.Fact]string{
				decision.FactManaged:    "Intune never says no: a record that it does not manage says nothing",
				decision.FactEncrypted:  "isEncrypted is true or false in every record of the emulator",
				decision.FactSupervised: "only the devices of Apple tell it, and these are computers with Windows",
			},
		}
	})
}

// BenchmarkSync reads 20,000 devices over HTTP, page by page.
func BenchmarkSync(b *testing.B) {
	r := connect(b, emulator.Options{Devices: 20_000}, Options{FullSweep: 1})
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Sync(b.Context(), source.NewSweep(0)); err != nil {
			b.Fatal(err)
		}
	}
}
