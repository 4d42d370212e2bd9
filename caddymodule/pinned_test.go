package caddymodule

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/identity"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// pinningSource lists devices with the ids of their certificates, unless it fails.
type pinningSource struct {
	keys [][]decision.Key
	err  error
}

func (*pinningSource) Facts() decision.FactSet { return decision.Facts(decision.FactEnabled) }
func (*pinningSource) PinsCertificates() bool  { return true }

func (s *pinningSource) Sync(_ context.Context, sweep *source.Sweep) error {
	for _, keys := range s.keys {
		sweep.Device(decision.Verdict{Device: decision.Device{Keys: keys, Enabled: decision.Yes}})
	}
	return s.err
}

const pinnedID = "5d0c1b7e-2f64-4a1b-9d0e-6a3f1c2b4d5e"

// registered is a registration certificate, as a connection shows it.
func registered(t *testing.T, until time.Time) *tls.ConnectionState {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: pinnedID}, NotBefore: until.AddDate(-10, 0, 0), NotAfter: until}
	der, err := x509.CreateCertificate(rand.Reader, leaf, &x509.Certificate{Subject: pkix.Name{CommonName: "MS-Organization-Access"}}, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
}

func TestPinned(t *testing.T) {
	now := time.Now()
	certs, err := identity.NewPinnedCertificates(0)
	if err != nil {
		t.Fatal(err)
	}
	good, expired := registered(t, now.AddDate(1, 0, 0)), registered(t, now.Add(-time.Hour))
	id := decision.Key{Kind: decision.KindEntra, Value: pinnedID}
	other := decision.Key{Kind: decision.KindEntra, Value: "5d0c1b7e-2f64-4a1b-9d0e-6a3f1c2b4d5f"}
	pin := func(cs *tls.ConnectionState, form int) decision.Key { return certs.FromTLS(cs).Pins[form] }
	for _, tt := range []struct {
		name   string
		cs     *tls.ConnectionState
		keys   [][]decision.Key // nil: not loaded
		want   error
		reason string // of a CertificateError
	}{
		{name: "pinned, hash of the key", cs: good, keys: [][]decision.Key{{id, pin(good, 0)}}},
		{name: "pinned, hash of the whole SubjectPublicKeyInfo", cs: good, keys: [][]decision.Key{{id, pin(good, 1)}}},
		{name: "known and not pinned", cs: good, keys: [][]decision.Key{{id}}, want: identity.ErrForeign},
		{name: "another certificate is pinned", cs: good, keys: [][]decision.Key{{id, pin(expired, 0)}}, want: identity.ErrForeign},
		{name: "pinned to another device", cs: good, keys: [][]decision.Key{{id}, {other, pin(good, 0)}}, want: identity.ErrForeign},
		{name: "pinned to two devices", cs: good, keys: [][]decision.Key{{id, pin(good, 0)}, {other, pin(good, 0)}}, want: identity.ErrForeign},
		{name: "no devices", cs: good, keys: [][]decision.Key{}, want: identity.ErrForeign},
		{name: "not loaded", cs: good, want: errPinsNotLoaded},
		{name: "expired", cs: expired, keys: [][]decision.Key{{id, pin(expired, 0)}}, reason: identity.CertificateExpired},
		{name: "expired and not pinned", cs: expired, keys: [][]decision.Key{{id}}, want: identity.ErrForeign},
		{name: "no certificate", cs: &tls.ConnectionState{}, keys: [][]decision.Key{{id}}, want: identity.ErrForeign},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := source.NewRunner(&pinningSource{keys: tt.keys}, source.RunnerOptions{Name: "entra", Guards: source.Guards{Off: true}})
			defer r.Stop()
			if !r.PinsCertificates() {
				t.Fatal("the source pins no certificates")
			}
			if tt.keys != nil {
				if err := r.SyncNow(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			p := &identifier{pinned: &pinned{certs: certs, runners: []*source.Runner{r}}}
			cert, err := p.fromTLS(tt.cs, now)
			var ce *identity.CertificateError
			switch {
			case tt.reason != "":
				if !errors.As(err, &ce) || ce.Reason != tt.reason {
					t.Errorf("error %v, want %s", err, tt.reason)
				}
			case !errors.Is(err, tt.want):
				t.Errorf("error %v, want %v", err, tt.want)
			case err == nil && (len(cert.Keys) != 1 || cert.Keys[0] != id):
				t.Errorf("keys %v", cert.Keys)
			}
		})
	}
	if f := certificateFault(errPinsNotLoaded); !f.ours || f.status != http.StatusServiceUnavailable || f.reason != decision.NotLoaded {
		t.Errorf("fault %+v, want undecided", f)
	}
}

// A directory that is not read any more must not prove devices without end: a
// certificate may have been taken from its device since.
func TestPinsGrowOld(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known, unknown := registered(t, time.Now().AddDate(1, 0, 0)), registered(t, time.Now().AddDate(1, 0, 0))
		certs, err := identity.NewPinnedCertificates(0)
		if err != nil {
			t.Fatal(err)
		}
		id := decision.Key{Kind: decision.KindEntra, Value: pinnedID}
		pins := &pinningSource{keys: [][]decision.Key{{id, certs.FromTLS(known).Pins[0]}}}
		r := source.NewRunner(pins, source.RunnerOptions{Name: "entra", Guards: source.Guards{Off: true}})
		defer r.Stop()
		p := &identifier{pinned: &pinned{certs: certs, runners: []*source.Runner{r}}}
		down := errors.New("down")
		for _, step := range []struct {
			name           string
			after          time.Duration
			read           bool
			err            error // of the read
			known, unknown error
		}{
			{name: "just read", read: true, unknown: identity.ErrForeign},
			{name: "young", after: pinAges.MaxAge, unknown: identity.ErrForeign},
			{name: "nobody reads it", after: time.Second, known: errPinsNotLoaded, unknown: errPinsNotLoaded},
			{name: "read again", read: true, unknown: identity.ErrForeign},
			{name: "failing", after: time.Minute, read: true, err: down, unknown: identity.ErrForeign},
			{name: "failing for some time", after: pinAges.StaleIfError, unknown: identity.ErrForeign},
			{name: "failing for too long", after: pinAges.MaxAge, read: true, err: down, known: errPinsNotLoaded, unknown: errPinsNotLoaded},
			{name: "failing for a month", after: 30 * 24 * time.Hour, read: true, err: down, known: errPinsNotLoaded, unknown: errPinsNotLoaded},
			{name: "back", read: true, unknown: identity.ErrForeign},
		} {
			time.Sleep(step.after)
			if pins.err = step.err; step.read {
				if err := r.SyncNow(t.Context()); !errors.Is(err, step.err) {
					t.Fatal(err)
				}
			}
			if _, err := p.fromTLS(known, time.Now()); !errors.Is(err, step.known) {
				t.Errorf("%s: error %v, want %v", step.name, err, step.known)
			}
			if _, err := p.fromTLS(unknown, time.Now()); !errors.Is(err, step.unknown) {
				t.Errorf("%s, another certificate: error %v, want %v", step.name, err, step.unknown)
			}
		}
		pins.keys = [][]decision.Key{{id}}
		if err := r.SyncNow(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := p.fromTLS(known, time.Now()); !errors.Is(err, identity.ErrForeign) {
			t.Errorf("taken back: error %v", err)
		}
	})
}

// A certificate that one tenant pins proves an id by which the records of all sources
// are joined.
func TestPinsOfSeveralTenants(t *testing.T) {
	const two = "but source intune (Caddyfile:9) reads b.example and this one a.example"
	pins := pinTenant{source: "entra (Caddyfile:4)", key: "1", tenant: "a.example", pins: true}
	for name, tt := range map[string]struct {
		other pinTenant
		want  string
	}{
		"one connection":             {other: pinTenant{key: "1", tenant: "a.example"}},
		"two apps of one tenant":     {other: pinTenant{key: "2", tenant: "A.example"}},
		"two tenants":                {other: pinTenant{source: "intune (Caddyfile:9)", key: "2", tenant: "b.example"}, want: two},
		"a tenant that has no name":  {other: pinTenant{source: "intune", key: "2"}, want: "reads the tenant of this machine"},
		"another pinning connection": {other: pinTenant{key: "1", tenant: "a.example", pins: true}},
	} {
		for _, all := range [][]pinTenant{{pins, tt.other}, {tt.other, pins}} {
			err := checkPinTenants(all)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), "source entra (Caddyfile:4): pinned_certificates needs") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want %q", name, err, tt.want)
			}
		}
	}
	nameless := pinTenant{key: "1", pins: true}
	if err := checkPinTenants([]pinTenant{nameless, {key: "2"}}); err == nil {
		t.Error("two tenants without names count as one")
	}
	if err := checkPinTenants([]pinTenant{{key: "1", tenant: "a.example"}, {key: "2", tenant: "b.example"}}); err != nil {
		t.Errorf("several tenants without pins: %v", err)
	}
}

// What the Caddyfile parser refuses is refused in JSON too.
func TestEntraSourceFromJSON(t *testing.T) {
	off, on := false, true
	for want, s := range map[string]*EntraSource{
		"pinned_certificates is experimental or absent": {PinnedCertificates: "on"},
		"pinned_certificates needs a poll of at most 12m": {
			PinnedCertificates: pinnedExperimental, tenantGuest: tenantGuest{Poll: caddy.Duration(13 * time.Minute)},
		},
		"groups_overage on needs users on": {Users: &off, GroupsOverage: &on},
		"risky_users on needs users on":    {Users: &off, RiskyUsers: &on},
	} {
		_, _, err := s.NewSource(caddy.Context{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
