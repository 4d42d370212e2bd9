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
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/identity"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// pinningSource lists devices with the ids of their certificates.
type pinningSource struct{ keys [][]decision.Key }

func (*pinningSource) Facts() decision.FactSet { return decision.Facts(decision.FactEnabled) }
func (*pinningSource) PinsCertificates() bool  { return true }

func (s *pinningSource) Sync(_ context.Context, sweep *source.Sweep) error {
	for _, keys := range s.keys {
		sweep.Device(decision.Verdict{Device: decision.Device{Keys: keys, Enabled: decision.Yes}})
	}
	return nil
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

// What the Caddyfile parser refuses is refused in JSON too.
func TestEntraSourceFromJSON(t *testing.T) {
	off, on := false, true
	for want, s := range map[string]*EntraSource{
		"pinned_certificates is experimental or absent": {PinnedCertificates: "on"},
		"groups_overage on needs users on":              {Users: &off, GroupsOverage: &on},
		"risky_users on needs users on":                 {Users: &off, RiskyUsers: &on},
	} {
		_, _, err := s.NewSource(caddy.Context{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %s", err, want)
		}
	}
}
