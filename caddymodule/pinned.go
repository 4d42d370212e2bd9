package caddymodule

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/identity"
	"github.com/gatehouse-project/gatehouse/decision/policy"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// errPinsNotLoaded says that the directory, which alone could tell whose certificate
// it is, has not been read yet, or too long ago.
var errPinsNotLoaded = errors.New("the directory with the certificates has not been read yet, or too long ago")

// pinAges are how long a directory's word about a certificate counts. Who it is must
// be known before a policy can say how old its facts may be.
var pinAges = policy.DefaultAges

// maxPinPoll is the longest poll interval with pinned certificates, by the same
// margin as a policy's max_age: otherwise they would expire between two good reads.
var maxPinPoll = pinAges.MaxAge * 4 / 5

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
			if !m.Answered || !pinsCount(r, &m, now) {
				loaded = false
				continue
			}
			if m.Verdict != nil && !m.Ambiguous && slices.Contains(m.Verdict.Keys, c.Claimed) {
				return c.Matched(now)
			}
		}
	}
	if !loaded {
		return nil, errPinsNotLoaded
	}
	return nil, identity.ErrForeign
}

// pinsCount reports whether what a directory says about a pin is young enough. Without
// a verdict that is the age of its last listing: a pin may have come since.
func pinsCount(r *source.Runner, m *source.Match, now time.Time) bool {
	ev := decision.Evidence{State: r.State()}
	if m.Verdict != nil {
		ev.Confirmed = m.Verdict.Confirmed
	}
	p := decision.Posture{Evidence: []decision.Evidence{ev}}
	fresh := p.FreshnessOf(0, now, pinAges)
	return fresh == decision.Fresh || fresh == decision.Stale
}

// pinTenant is the tenant that a source of the configuration reads.
type pinTenant struct {
	source string // with its place, for messages
	key    string // of the connection
	tenant string // as configured; "" for that of the machine
	pins   bool
}

// checkPinTenants refuses pinned certificates where several tenants are read: a
// certificate proves the device id that it names, by which the records of all
// sources are joined, and each tenant's administrators choose what is pinned in
// theirs.
func checkPinTenants(all []pinTenant) error {
	for _, one := range all {
		for _, other := range all {
			same := one.key == other.key || one.tenant != "" && strings.EqualFold(one.tenant, other.tenant)
			if one.pins && !same {
				return fmt.Errorf("source %s: pinned_certificates needs all sources to read one tenant, but source %s reads %s and this one %s; "+
					"a certificate pinned in one would prove devices of the other (if they are one tenant, write it in the same way)",
					one.source, other.source, other.name(), one.name())
			}
		}
	}
	return nil
}

func (p *pinTenant) name() string {
	if p.tenant == "" {
		return "the tenant of this machine"
	}
	return p.tenant
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
