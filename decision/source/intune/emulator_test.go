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
	hook atomic.Pointer[func()] // called once, between a list of devices and its reader
}

// RoundTrip implements http.RoundTripper.
func (l *lossy) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := l.Transport.RoundTrip(req)
	if err != nil || !strings.HasSuffix(req.URL.Path, "/managedDevices") {
		return resp, err
	}
	if hook := l.hook.Swap(nil); hook != nil {
		(*hook)()
	}
	n := int(l.drop.Load())
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

var toGraph = map[decision.Compliance]string{decision.Compliant: "compliant", decision.NonCompliant: "noncompliant"}

func TestConformance(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T, devices []decision.Verdict) sourcetest.Fixture {
		t.Helper()
		r := start(t, emulator.Options{}, Options{Reasons: true})
		r.ms.Update(func(f *emulator.Fleet) {
			for i := range f.Len() {
				f.RemoveDevice(f.At(i))
			}
			for _, v := range devices {
				f.AddDevice(&emulator.Device{
					Name: v.Name, OS: "Windows", OSVersion: v.OSVersion.String(),
					EntraID: emulator.MustGUID(v.Keys[0].Value), Serial: v.Keys[2].Value,
					Managed: []*emulator.Managed{{
						ID: emulator.MustGUID(v.Keys[1].Value), Compliance: toGraph[v.Compliance], Agent: "mdm", State: "managed",
						Registration: "registered", OwnerType: "company", Encrypted: true, JailBroken: "False", Threat: "secured",
						LastSync: time.Now().Add(-time.Hour),
					}},
				})
			}
		})
		return sourcetest.Fixture{
			Source: r.Source,
			Break: func() {
				for _, route := range []string{"graph/managedDevices", "graph/managedDevice"} {
					r.ms.Fail(route, emulator.Fault{Kind: emulator.HTML200})
				}
			},
			Kinds: []string{decision.KindIntune, decision.KindEntra, decision.KindSerial},
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
