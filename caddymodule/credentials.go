package caddymodule

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/identity"
)

// pooledTokens is a token verifier with its keys and remembered tokens.
type pooledTokens struct {
	background
	*identity.Tokens
}

func (a *App) provisionTokens(caddy.Context) error {
	if len(a.Issuers) == 0 {
		return nil
	}
	// Refusals are counted where the request is refused.
	o := identity.TokenOptions{DropClaims: !a.readsClaims()}
	if a.Cache != nil {
		o.CacheEntries = a.Cache.Tokens
	}
	seen := map[string]bool{}
	for _, is := range a.Issuers {
		if is.Name == "" || is.Name == decision.IssuerCertificate || seen[is.Name] {
			return fmt.Errorf("issuer %q: names must be given and differ, and none may be %q", is.Name, decision.IssuerCertificate)
		}
		seen[is.Name] = true
		io, err := is.options()
		if err != nil {
			return fmt.Errorf("issuer %s%s: %w", is.Name, inBrackets(is.Place), err)
		}
		o.Issuers = append(o.Issuers, io)
	}
	key, err := configKey("tokens", o.Issuers, o.CacheEntries, o.DropClaims)
	if err != nil {
		return err
	}
	a.tokensKey = key
	a.tokens, err = pooled(a, key, func() (*pooledTokens, error) {
		t, err := identity.NewTokens(o)
		if err != nil {
			return nil, err
		}
		return &pooledTokens{background: background{begin: t.Start, end: t.Close}, Tokens: t}, nil
	})
	var wrong *identity.IssuerError
	if errors.As(err, &wrong) {
		for _, is := range a.Issuers {
			if is.Name == wrong.Name {
				return fmt.Errorf("issuer %s%s: %w", is.Name, inBrackets(is.Place), wrong.Err)
			}
		}
	}
	return err
}

// readsClaims reports whether any policy may look at a token's claims. Without
// that they need not be remembered, which halves the memory of a token.
func (a *App) readsClaims() bool {
	for _, p := range a.Policies {
		for _, l := range p.Lines {
			if strings.Contains(strings.Join(l.Words, " "), "claims") {
				return true
			}
		}
	}
	return false
}

// options resolves placeholders: a secret or tenant may come from the environment.
func (is *Issuer) options() (identity.IssuerOptions, error) {
	o := identity.IssuerOptions{
		Name: is.Name, Entra: is.Entra, Algorithms: is.Algorithms, Types: is.Types,
		DeviceClaim: is.DeviceClaim, DeviceKind: is.DeviceKind, GroupsClaim: is.GroupsClaim, NameClaims: is.NameClaim,
		Leeway: time.Duration(is.Leeway), MaxStale: time.Duration(is.KeysMaxStale),
	}
	for from, to := range map[*string]*string{&is.Tenant: &o.Tenant, &is.URL: &o.URL, &is.JWKS: &o.JWKSURL, &is.JWKSFile: &o.JWKSFile} {
		v, err := resolveErr(*from)
		if err != nil {
			return o, err
		}
		*to = v
	}
	for _, aud := range is.Audience {
		v, err := resolveErr(aud)
		if err != nil {
			return o, fmt.Errorf("audience: %w", err)
		}
		o.Audiences = append(o.Audiences, v)
	}
	return o, nil
}

func (cc *ClientCertificate) validate() error {
	if len(cc.TrustPool) == 0 {
		return errors.New("client_certificate needs trust_pool file PATH: the authorities that issue device certificates")
	}
	if len(cc.DeviceID) == 0 && len(cc.UserID) == 0 {
		return errors.New("client_certificate needs a device_id or user_id line that says what is in the certificate")
	}
	return nil
}

// options compiles the mappings; files are read elsewhere.
func (cc *ClientCertificate) options() (identity.CertificateOptions, error) {
	o := identity.CertificateOptions{IntuneTenant: resolve(cc.IntuneTenant), AllowAnyEKU: cc.AllowAnyEKU}
	if cc.IntuneTenant != "" && o.IntuneTenant == "" {
		return o, errors.New("intune_tenant is empty")
	}
	for _, words := range cc.DeviceID {
		m, err := identity.ParseDeviceMapping(words)
		if err != nil {
			return o, fmt.Errorf("device_id: %w", err)
		}
		o.Devices = append(o.Devices, m)
	}
	for _, words := range cc.UserID {
		m, err := identity.ParseUserMapping(words)
		if err != nil {
			return o, fmt.Errorf("user_id: %w", err)
		}
		o.Users = append(o.Users, m)
	}
	return o, nil
}

// pooledCertificates is a certificate checker with its revocation lists.
type pooledCertificates struct {
	background
	*identity.Certificates
	roots []*x509.Certificate
	crls  []*identity.CRL
}

func (a *App) provisionCertificates(caddy.Context) error {
	cc := a.ClientCertificate
	if cc == nil {
		return nil
	}
	at := func(err error) error { return fmt.Errorf("client_certificate%s: %w", inBrackets(cc.Place), err) }
	err := cc.validate()
	if err != nil {
		return at(err)
	}
	o, err := cc.options()
	if err != nil {
		return at(err)
	}
	o.Roots = x509.NewCertPool()
	var parts []any
	for _, path := range cc.TrustPool {
		path, err := resolveErr(path)
		var certs []*x509.Certificate
		if err == nil {
			certs, err = readCertificates(path)
		}
		if err != nil {
			return at(fmt.Errorf("trust_pool: %w", err))
		}
		for _, c := range certs {
			o.Roots.AddCert(c)
			o.RootCerts = append(o.RootCerts, c)
			parts = append(parts, c.Raw)
		}
	}
	same := *cc
	same.Place = "" // a line added above it is no change
	written, err := json.Marshal(same)
	if err != nil {
		return err
	}
	key, err := configKey("certificates", append(parts, string(resolved(written)), a.shared.dir, a.root.id())...)
	if err != nil {
		return err
	}
	a.certsKey = key
	a.certs, err = pooled(a, key, func() (*pooledCertificates, error) { return a.newCertificates(cc, o) })
	if err != nil {
		return at(err)
	}
	return nil
}

func (a *App) newCertificates(cc *ClientCertificate, o identity.CertificateOptions) (*pooledCertificates, error) {
	p := &pooledCertificates{roots: o.RootCerts}
	p.begin = func(ctx context.Context) {
		for _, l := range p.crls {
			l.Start(ctx)
		}
	}
	p.end = func() {
		for _, l := range p.crls {
			l.Close()
		}
	}
	keys, err := a.root.derive("crl", 32)
	if err != nil {
		return nil, err
	}
	for _, from := range cc.CRL {
		from, err := resolveErr(from)
		if err != nil {
			return nil, fmt.Errorf("revocation crl: %w", err)
		}
		co := crlOptions(from, o.RootCerts)
		name, err := configKey("crl", from)
		if err != nil {
			return nil, err
		}
		file := &snapshotFile{path: filepath.Join(a.shared.dir, safeName(name)+".snapshot"), kind: snapshotCRL, keys: keys}
		co.Load, co.Save = file.Load, file.Save
		crl, err := identity.NewCRL(co)
		if err != nil {
			return nil, fmt.Errorf("revocation crl %s: %w", from, err)
		}
		p.crls = append(p.crls, crl)
	}
	o.CRLs = p.crls
	p.Certificates, err = identity.NewCertificates(o)
	return p, err
}

// crlOptions tells a list behind a URL from one in a file.
func crlOptions(from string, issuers []*x509.Certificate) identity.CRLOptions {
	if strings.Contains(from, "://") {
		return identity.CRLOptions{URL: from, Issuers: issuers}
	}
	return identity.CRLOptions{File: from, Issuers: issuers}
}

// readCertificates reads every certificate of a PEM file; a file without any is
// an error, never an empty pool.
func readCertificates(path string) ([]*x509.Certificate, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var certs []*x509.Certificate
	for {
		var b *pem.Block
		b, raw = pem.Decode(raw)
		if b == nil {
			break
		}
		if b.Type != "CERTIFICATE" {
			continue
		}
		c, err := x509.ParseCertificate(b.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		certs = append(certs, c)
	}
	if len(certs) == 0 {
		return nil, fmt.Errorf("%s holds no certificate", path)
	}
	return certs, nil
}

// minProxyBits keeps somebody from listing everybody, also in two halves. No
// organisation has a larger network of its own.
func minProxyBits(a netip.Addr) int {
	if a.Is4() {
		return 8
	}
	return 16
}

// compile checks the dialect and the peers.
func (fc *ForwardedCertificate) compile() (identity.Dialect, []netip.Prefix, error) {
	d, err := identity.ParseDialect(fc.Dialect)
	if err != nil {
		return d, nil, err
	}
	if len(fc.From) == 0 {
		return d, nil, errors.New("forwarded_certificate needs from CIDR: the proxies that may pass certificates on")
	}
	var from []netip.Prefix
	for _, s := range fc.From {
		p, err := netip.ParsePrefix(s)
		if err != nil {
			addr, err := netip.ParseAddr(s)
			if err != nil {
				return d, nil, fmt.Errorf("from %q is not an address or CIDR", s)
			}
			p = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen())
		}
		switch {
		case p.Bits() < minProxyBits(p.Addr()):
			return d, nil, fmt.Errorf("from %s would believe far too many: the network must be a /%d or smaller", s, minProxyBits(p.Addr()))
		case p.Addr().Is4In6(): // it would match nobody
			return d, nil, fmt.Errorf("from %s is IPv4 in IPv6 form: write it as IPv4", s)
		}
		from = append(from, p.Masked())
	}
	return d, from, nil
}
