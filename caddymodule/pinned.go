package caddymodule

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/identity"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// errPinsNotLoaded says that the directory, which alone could tell whose certificate
// it is, has not been read yet.
var errPinsNotLoaded = errors.New("the directory with the certificates has not been read yet")

// pinned proves devices by certificates that the directory has in their records.
// Everything is in memory and looked up for each request: a certificate counts no
// longer than the directory says so. Nobody is asked about a certificate that is not
// in memory: it is proven by nothing, and anybody can make one.
type pinned struct {
	certs   *identity.PinnedCertificates
	runners []*source.Runner // that pin certificates
}

// provisionPinned runs after the sources.
func (a *App) provisionPinned(caddy.Context) error {
	var runners []*source.Runner
	for _, s := range a.sources {
		if s.runner.PinsCertificates() {
			runners = append(runners, s.runner)
		}
	}
	if runners == nil {
		return nil
	}
	certs, err := identity.NewPinnedCertificates(0)
	a.pinned = &pinned{certs: certs, runners: runners}
	return err
}

// fromTLS returns the device's certificate if a directory knows it. The errors are
// those of [identity.Certificates.FromTLS], and errPinsNotLoaded.
func (p *pinned) fromTLS(cs *tls.ConnectionState, now time.Time) (*identity.Certificate, error) {
	c := p.certs.FromTLS(cs)
	if c == nil {
		return nil, identity.ErrForeign
	}
	loaded := true
	for _, r := range p.runners {
		for _, pin := range c.Pins {
			m := r.Find([]decision.Key{pin})
			if m.Verdict != nil && !m.Ambiguous && slices.Contains(m.Verdict.Keys, c.Claimed) {
				return c.Matched(now)
			}
			loaded = loaded && m.Answered
		}
	}
	if !loaded {
		return nil, errPinsNotLoaded
	}
	return nil, identity.ErrForeign
}

// fromTLS identifies the certificate of a connection, by our authorities or by the
// directory.
func (id *identifier) fromTLS(cs *tls.ConnectionState, now time.Time) (*identity.Certificate, error) {
	cert, err := (*identity.Certificate)(nil), identity.ErrForeign
	if id.certs != nil {
		cert, err = id.certs.FromTLS(cs, now)
	}
	if id.pinned != nil && errors.Is(err, identity.ErrForeign) {
		cert, err = id.pinned.fromTLS(cs, now)
	}
	return cert, err
}

// pinsCertificates reports whether a source of the configuration as written pins
// certificates: policies are checked before sources are made.
func pinsCertificates(sources []json.RawMessage) bool {
	return slices.ContainsFunc(sources, func(raw json.RawMessage) bool {
		var s struct {
			Source string `json:"source"`
			Pinned string `json:"pinned_certificates"`
		}
		return json.Unmarshal(raw, &s) == nil && s.Source == "entra" && s.Pinned != ""
	})
}
