package caddymodule

import (
	"context"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gatehouse-project/gatehouse/cache"
	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/identity"
)

// fault is why credentials cannot be used. The zero value is no fault.
type fault struct {
	reason decision.Reason
	param  string // from a closed list: why a token or certificate was refused
	status int
	ours   bool // the gateway cannot tell: undecided
	close  bool // the connection must not go on
}

func (f *fault) bad() bool { return f.reason != decision.NoReason }

// credentials are what one request showed.
type credentials struct {
	entry *identityEntry
	fault fault
	// foreignBearer: there was a bearer token, but of no issuer of ours.
	foreignBearer bool
	// ownBearer: the Authorization header holds a token of ours.
	ownBearer bool
}

// identityEntry is an identity with everything about it that is worth computing
// once: the header values for the app. Immutable.
type identityEntry struct {
	decision.Identity
	key        identityKey
	token      *identity.Token
	cert       *identity.Certificate
	headerVals [numHeaders]string
}

// identityKey names one combination of credentials. Both pointers are unique per
// credential while it is remembered.
type identityKey struct {
	token     *identity.Token
	cert      *identity.Certificate
	forwarded bool
	foreign   bool
}

// identifier turns a request's credentials into an identity.
type identifier struct {
	tokens  *identity.Tokens
	certs   *identity.Certificates
	pinned  *pinned // nil unless a directory pins certificates
	forward *forwardTrust
	known   *cache.Cache[identityKey, *identityEntry]
	nobody  *identityEntry
	revoked func(thumbprint [32]byte, now time.Time) *decision.Revocation
	meters  *meters
	hits    *atomic.Uint64 // identities found with their token, over reloads; known counts its own
}

// connMemo remembers the token that a connection showed last: a client repeats
// its token, and comparing it with one is cheaper than finding it among all. It
// proves nothing by itself: text, time and keys are checked on every request.
type connMemo struct {
	token atomic.Pointer[identity.Token]
}

type connMemoKey struct{}

// withConnMemo gives a new connection its memo.
func withConnMemo(ctx context.Context, _ net.Conn) context.Context {
	return context.WithValue(ctx, connMemoKey{}, new(connMemo))
}

// forwardTrust says which peers may pass a certificate on, and in which dialect.
type forwardTrust struct {
	dialect identity.Dialect
	from    []netip.Prefix
}

func (f *forwardTrust) trusts(remote string) bool {
	ap, err := netip.ParseAddrPort(remote)
	if err != nil {
		return false
	}
	addr := ap.Addr().Unmap()
	for _, p := range f.from {
		if p.Contains(addr) {
			return true
		}
	}
	return false
}

// forwardedChain is what a trusted proxy's headers say about the client's
// certificate. It must be read before strip removes them.
type forwardedChain struct {
	// peer: the request came from a proxy that may pass certificates on. A
	// certificate of its own connection then names the proxy, not a device.
	peer  bool
	chain []*x509.Certificate
	err   error
}

func (id *identifier) forwarded(r *http.Request) (f forwardedChain) {
	if id.forward != nil && id.forward.trusts(r.RemoteAddr) {
		f.peer = true
		f.chain, f.err = id.forward.dialect.Parse(r.Header)
	}
	return f
}

// identify reads the credentials of a request.
func (id *identifier) identify(r *http.Request, fwd *forwardedChain, now time.Time) credentials {
	c := credentials{entry: id.nobody}
	tok := id.token(r, now, &c)
	if c.fault.bad() {
		return c
	}
	key := identityKey{token: tok}
	id.certificate(r, fwd, now, &key, &c)
	if c.fault.bad() {
		return c
	}
	if tok != nil && tok.Confirmation != nil && !bound(r, fwd, tok, key.cert) {
		id.meters.tokenRejected(tok.Issuer, "binding")
		c.fault = fault{reason: decision.InvalidToken, param: "binding", status: http.StatusUnauthorized}
		return c
	}
	c.entry = id.entry(key)
	return c
}

func (id *identifier) token(r *http.Request, now time.Time, c *credentials) *identity.Token {
	auth := r.Header["Authorization"]
	if len(auth) == 0 {
		return nil
	}
	if len(auth) > 1 {
		c.fault = fault{reason: decision.AmbiguousCredentials, param: "authorization", status: http.StatusBadRequest}
		return nil
	}
	raw, ok := bearer(auth[0])
	if id.tokens == nil {
		c.foreignBearer = ok
		return nil
	}
	if !ok {
		if almostBearer(auth[0]) {
			c.fault = fault{reason: decision.InvalidToken, param: "malformed", status: http.StatusUnauthorized}
		}
		return nil
	}
	memo, _ := r.Context().Value(connMemoKey{}).(*connMemo) // nil over HTTP/3
	if memo != nil {
		if tok := memo.token.Load(); id.tokens.Same(tok, raw, now) {
			c.ownBearer = true
			return tok
		}
	}
	if tok, ok := id.tokens.Lookup(raw, now); ok {
		c.ownBearer = true
		if memo != nil {
			memo.token.Store(tok)
		}
		return tok
	}
	if !id.tokens.Owns(raw) {
		c.foreignBearer = true
		return nil
	}
	c.ownBearer = true
	tok, err := id.tokens.Verify(r.Context(), raw)
	if err == nil {
		return tok
	}
	c.fault = id.tokenFault(err)
	return nil
}

func (id *identifier) tokenFault(err error) fault {
	var te *identity.TokenError
	switch {
	case errors.As(err, &te) && te.Unavailable():
		id.meters.tokenRejected(te.Issuer, te.Reason)
		return fault{reason: decision.KeysUnavailable, param: te.Issuer, status: http.StatusServiceUnavailable, ours: true}
	case errors.As(err, &te):
		id.meters.tokenRejected(te.Issuer, known(identity.TokenReasons, te.Reason))
		return fault{reason: decision.InvalidToken, param: te.Reason, status: http.StatusUnauthorized}
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault{reason: decision.KeysUnavailable, status: http.StatusServiceUnavailable, ours: true}
	}
	return fault{reason: decision.InvalidToken, param: "malformed", status: http.StatusUnauthorized}
}

// bearer returns the token of an Authorization header with the Bearer scheme
// (RFC 6750, section 2.1; the scheme is case-insensitive).
func bearer(h string) (string, bool) {
	const scheme = "bearer "
	if len(h) <= len(scheme) || !strings.EqualFold(h[:len(scheme)], scheme) {
		return "", false
	}
	return strings.Trim(h[len(scheme):], " "), true
}

// almostBearer recognises the Bearer scheme with something else than spaces after
// it. An app may well read a token there; we must not look away.
func almostBearer(h string) bool {
	const scheme = "bearer"
	if len(h) < len(scheme) || !strings.EqualFold(h[:len(scheme)], scheme) {
		return false
	}
	if len(h) == len(scheme) {
		return false // nothing follows
	}
	c := h[len(scheme)] | 0x20
	return h[len(scheme)] != ' ' && (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-'
}

func (id *identifier) certificate(r *http.Request, fwd *forwardedChain, now time.Time, key *identityKey, c *credentials) {
	if id.certs == nil && id.pinned == nil {
		return
	}
	var cert *identity.Certificate
	var err error
	switch {
	case errors.Is(fwd.err, identity.ErrForwardedDuplicate):
		c.fault = fault{reason: decision.AmbiguousCredentials, param: "forwarded_certificate", status: http.StatusBadRequest}
		return
	case errors.Is(fwd.err, identity.ErrForeign): // the proxy says that it did not verify it
		key.foreign = true
		id.meters.foreign.Inc()
		return
	case fwd.err != nil:
		c.fault = fault{reason: decision.MalformedRequest, param: "forwarded_certificate", status: http.StatusBadRequest}
		return
	case len(fwd.chain) > 0:
		key.forwarded = true
		cert, err = id.certs.FromForwarded(fwd.chain, now)
	}
	if !fwd.peer && r.TLS != nil && len(r.TLS.PeerCertificates) > 0 {
		cert, err = id.fromTLS(r.TLS, now)
	}
	if errors.Is(err, identity.ErrForeign) {
		key.foreign = true
		id.meters.foreign.Inc()
		return
	}
	if err != nil {
		c.fault = certificateFault(err)
		return
	}
	if cert == nil {
		return
	}
	if id.revoked(cert.Thumbprint, now) != nil {
		c.fault = fault{reason: decision.Revoked, param: "certificate", status: http.StatusForbidden, close: true}
		return
	}
	if !key.forwarded && !sniMatchesHost(r.TLS, r.Host) {
		c.fault = fault{reason: decision.MisdirectedRequest, status: http.StatusMisdirectedRequest, close: true}
		return
	}
	key.cert = cert
}

func certificateFault(err error) fault {
	var ce *identity.CertificateError
	switch {
	case errors.Is(err, errPinsNotLoaded):
		return fault{reason: decision.NotLoaded, status: http.StatusServiceUnavailable, ours: true}
	case errors.As(err, &ce) && ce.Unavailable:
		return fault{reason: decision.RevocationListUnavailable, status: http.StatusServiceUnavailable, ours: true}
	case errors.As(err, &ce):
		return fault{reason: decision.CertificateInvalid, param: ce.Reason, status: http.StatusForbidden, close: true}
	}
	return fault{reason: decision.CertificateInvalid, param: "malformed", status: http.StatusForbidden, close: true}
}

// sniMatchesHost guards against a connection that was opened, and authenticated,
// for another site.
func sniMatchesHost(cs *tls.ConnectionState, host string) bool {
	if cs.ServerName == "" {
		return true // no name was asked for: nothing to mistake
	}
	return cs.ServerName == host || strings.EqualFold(cs.ServerName, bareHost(host))
}

// bareHost drops the port and a trailing dot.
func bareHost(host string) string {
	if i := strings.LastIndexByte(host, ':'); i > strings.LastIndexByte(host, ']') {
		host = host[:i]
	}
	return strings.TrimSuffix(host, ".")
}

// bound reports whether a certificate-bound token came with its certificate
// (RFC 8705, section 3). The certificate need not be of our pool for that.
func bound(r *http.Request, fwd *forwardedChain, tok *identity.Token, cert *identity.Certificate) bool {
	if cert != nil {
		return subtle.ConstantTimeCompare(cert.Thumbprint[:], tok.Confirmation) == 1
	}
	return !fwd.peer && r.TLS != nil && len(r.TLS.PeerCertificates) > 0 && tok.BoundTo(r.TLS.PeerCertificates[0].Raw)
}

// entry finds or builds the identity of a combination of credentials.
func (id *identifier) entry(key identityKey) *identityEntry {
	if key == (identityKey{}) {
		return id.nobody
	}
	if key.token != nil {
		if e, ok := key.token.Memo.Load().(*identityEntry); ok && e.key == key {
			id.hits.Add(1)
			return e
		}
	}
	if e, res := id.known.Get(key); res == cache.Hit {
		return e
	}
	e := combine(key)
	// A token nearly always comes with the same certificate, or with none: that
	// identity lives with the token. Further combinations go into the cache.
	if key.token == nil || !key.token.Memo.CompareAndSwap(nil, e) {
		id.known.Put(key, e, time.Time{})
	}
	return e
}

// combine joins token and certificate: the user comes from the token if there is
// one, the device from both; contradicting ids stay side by side and become
// ambiguous when they are resolved.
func combine(key identityKey) *identityEntry {
	e := &identityEntry{key: key, token: key.token, cert: key.cert}
	e.Foreign = key.foreign
	if c := key.cert; c != nil {
		e.User = c.User
		e.Device.Keys = append(e.Device.Keys, c.Keys...)
		if len(c.Keys) > 0 {
			e.Device.Proof = decision.ProofCertificate
			if key.forwarded {
				e.Device.Proof = decision.ProofForwardedCertificate
			}
		}
		e.Expires = c.NotAfter.Unix()
	}
	if t := key.token; t != nil {
		e.User = t.User
		e.Expires = t.Until // with the issuer's leeway: a token counts as long as Verify accepts it
		for _, k := range t.Device {
			if !hasKey(e.Device.Keys, k) {
				e.Device.Keys = append(e.Device.Keys, k)
			}
		}
		if len(t.Device) > 0 {
			p := decision.ProofToken
			if t.Confirmation != nil {
				p = decision.ProofBoundToken
			}
			e.Device.Proof = max(e.Device.Proof, p)
		}
	}
	e.headerVals = headerValues(&e.Identity)
	return e
}

func hasKey(keys []decision.Key, k decision.Key) bool {
	for _, h := range keys {
		if h == k {
			return true
		}
	}
	return false
}
