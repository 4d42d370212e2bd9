package identity

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/gatehouse-project/gatehouse/decision"
)

// DefaultTokenEntries is how many verified tokens are remembered by default.
const DefaultTokenEntries = 100_000

// tokenMaxEntries bounds TokenOptions.CacheEntries.
const tokenMaxEntries = 10_000_000

// TokenOptions configure Tokens.
type TokenOptions struct {
	Issuers []IssuerOptions // at least one
	// MaxBytes is the longest token that is read. Default 8 KiB, at most 16.
	MaxBytes int
	// CacheEntries bounds the verified tokens that are remembered, and with
	// 8 KiB for each their memory. Default 100,000.
	CacheEntries int
	// DropClaims leaves User.Claims nil, which about halves the memory of a
	// remembered token. For when no expression of a policy reads claims.
	DropClaims bool
	// Now is the clock. Default time.Now.
	Now func() time.Time
	// OnReject, if set, is told of every refused token: the configured name of
	// the issuer, or "", and the reason. It must not block.
	OnReject func(issuer, reason string)
}

// Token is a verified access token (RFC 9068, or an older shape of it). It is
// immutable and may be remembered, as long as [Token.Live] is asked before it
// is used again.
type Token struct {
	// What every request reads comes first, close together: with very many
	// tokens each further cache line is a wait for memory.
	raw       string  // the whole text, in memory of its own
	owner     *Tokens // who verified it; nil until it is remembered
	key       *jwk
	issuer    *issuer
	notBefore int64 // from when it is accepted, unix seconds
	// Until is when the token stops to be accepted, unix seconds: Expires and
	// the issuer's leeway.
	Until int64

	// Memo is for the caller: one value computed from this token, which lives as
	// long as the token is remembered. All users must store the same type.
	Memo atomic.Value

	Issuer string // configured name
	User   decision.User
	// Device holds the device id that the token names; empty if none.
	Device []decision.Key
	// Confirmation is the SHA-256 of the certificate that the token is bound
	// to (cnf x5t#S256, RFC 8705); nil for a plain bearer token. The caller must
	// ask BoundTo if it is set.
	Confirmation []byte
	ID           string // jti, or Entra's uti; may be empty
	Session      string // sid: the sign-in session at the issuer; may be empty
	IssuedAt     int64  // iat, unix seconds; 0 if absent
	Expires      int64  // exp, unix seconds

	size int // estimate of the memory that it holds
}

// Live reports whether a token that was verified earlier is still good at now:
// within its time, its key still published by the issuer, and the issuer's key
// set not too old. It takes a few nanoseconds and allocates nothing.
func (k *Token) Live(now time.Time) bool {
	if k.key == nil { // not made by Verify
		return false
	}
	unix := now.Unix()
	return unix < k.Until && unix >= k.notBefore && !k.key.retired.Load() && !k.issuer.keys.stale(now)
}

// BoundTo reports whether the token is bound to the certificate with this DER
// encoding. It is false for a token that is bound to none. The comparison takes
// the same time whatever it finds.
func (k *Token) BoundTo(leafDER []byte) bool {
	sum := sha256.Sum256(leafDER)
	return len(leafDER) > 0 && subtle.ConstantTimeCompare(sum[:], k.Confirmation) == 1
}

// Tokens verifies the access tokens of the configured issuers and remembers
// those that passed. It is safe for concurrent use.
type Tokens struct {
	issuers  []*issuer
	byIss    map[string]*issuer
	maxBytes int
	now      func() time.Time
	onReject func(issuer, reason string)
	drop     bool // claims
	cache    *tokenCache
	flight   singleflight.Group

	start  sync.Once
	cancel context.CancelFunc
	done   sync.WaitGroup
	mu     sync.Mutex // guards cancel
}

// NewTokens checks the configuration and reads key set files. It uses no
// network; call Start to fetch the other key sets. Errors name the issuer.
func NewTokens(o TokenOptions) (*Tokens, error) {
	t := &Tokens{byIss: make(map[string]*issuer), maxBytes: o.MaxBytes, now: o.Now, onReject: o.OnReject, drop: o.DropClaims}
	if t.maxBytes == 0 {
		t.maxBytes = joseDefaultBytes
	}
	if t.maxBytes < 256 || t.maxBytes > joseMaxBytes {
		return nil, fmt.Errorf("tokens: max bytes %d: not within 256 and %d", t.maxBytes, joseMaxBytes)
	}
	if t.now == nil {
		t.now = time.Now
	}
	entries := o.CacheEntries
	if entries == 0 {
		entries = DefaultTokenEntries
	}
	if entries < 0 || entries > tokenMaxEntries {
		return nil, fmt.Errorf("tokens: cache entries %d: not within 0 and %d", entries, tokenMaxEntries)
	}
	t.cache = newTokenCache(entries)
	if len(o.Issuers) == 0 {
		return nil, errors.New("tokens: no issuer")
	}
	names := make(map[string]bool)
	for i := range o.Issuers {
		is, err := newIssuer(&o.Issuers[i], t.now)
		if err != nil {
			return nil, &IssuerError{o.Issuers[i].Name, err}
		}
		if names[is.name] {
			return nil, &IssuerError{is.name, errors.New("configured twice")}
		}
		names[is.name] = true
		for _, u := range is.urls {
			if other := t.byIss[u]; other != nil {
				return nil, &IssuerError{is.name, errors.New("same URL as issuer " + other.name)}
			}
			t.byIss[u] = is
		}
		t.issuers = append(t.issuers, is)
		if !is.keys.origin.remote() {
			if _, err := is.keys.refresh(context.Background()); err != nil {
				return nil, &IssuerError{is.name, fmt.Errorf("%s: %w", o.Issuers[i].JWKSFile, err)}
			}
		}
	}
	return t, nil
}

// Start fetches the key sets and keeps them fresh, with one goroutine for each
// issuer, until ctx ends or Close is called. Only the first call counts.
func (t *Tokens) Start(ctx context.Context) {
	t.start.Do(func() {
		ctx, cancel := context.WithCancel(ctx)
		t.mu.Lock()
		t.cancel = cancel
		t.mu.Unlock()
		for _, is := range t.issuers {
			is.keys.begin() // here, so that a request right after Start waits
			t.done.Go(func() { is.keys.run(ctx) })
		}
	})
}

// Wait returns when the goroutines of Start have ended.
func (t *Tokens) Wait() { t.done.Wait() }

// Close ends the goroutines of Start and waits for them. Tokens may still be
// verified with the keys at hand, until those are too old.
func (t *Tokens) Close() {
	t.start.Do(func() {}) // a later Start does nothing
	t.mu.Lock()
	cancel := t.cancel
	t.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	t.done.Wait()
}

// Owns reports whether raw names a configured issuer, without checking
// anything. A token that is not ours, or that is no JSON web token, belongs to
// the app behind us. Where the payload names two issuers and one is ours, the
// token is ours, and Verify will refuse it.
func (t *Tokens) Owns(raw string) bool {
	if len(raw) > joseMaxBytes {
		// Nothing that long is decoded. What looks like a token is refused
		// rather than handed to an app unread.
		return strings.HasPrefix(raw, "eyJ")
	}
	_, rest, ok := strings.Cut(raw, ".")
	segment, signature, ok2 := strings.Cut(rest, ".")
	if !ok || !ok2 || strings.Contains(signature, ".") {
		return false
	}
	payload, ok := joseSegment(segment)
	if !ok {
		return false
	}
	ours := false
	joseEachIssuer(payload, func(_, iss string) { ours = ours || t.byIss[iss] != nil })
	return ours
}

// Lookup returns a token that was verified before and is still good at now. It
// allocates nothing and does no cryptography; the whole of raw is compared.
func (t *Tokens) Lookup(raw string, now time.Time) (*Token, bool) {
	token := t.cache.get(raw)
	if token == nil {
		return nil, false
	}
	if !token.Live(now) {
		t.cache.drop(raw, token)
		return nil, false
	}
	return token, true
}

// Same reports whether Lookup or Verify would return token for raw at now without
// a check: t verified exactly this text, and the token is still live. It is for a
// caller who remembers the last token of a connection, and spares the look-up
// among all tokens. The whole of raw is compared. A nil token is never the same.
func (t *Tokens) Same(token *Token, raw string, now time.Time) bool {
	return token != nil && token.owner == t && token.raw == raw && token.Live(now)
}

// Verify checks raw, which is what follows "Bearer ", and returns what it says.
// Any error is a *TokenError. Concurrent calls for one token cause one
// signature check. It may wait up to 300 ms for a fetch of keys, or until ctx
// ends.
func (t *Tokens) Verify(ctx context.Context, raw string) (*Token, error) {
	if token, ok := t.Lookup(raw, t.now()); ok {
		return token, nil
	}
	token, refused := t.verify(ctx, raw)
	if refused != nil {
		if t.onReject != nil {
			t.onReject(refused.Issuer, refused.Reason)
		}
		return nil, refused
	}
	return token, nil
}

func (t *Tokens) verify(ctx context.Context, raw string) (*Token, *TokenError) {
	j, reason := joseParse(raw, t.maxBytes)
	if reason != "" {
		return nil, &TokenError{Reason: reason}
	}
	iss := joseIssuer(j.payload)
	is := t.byIss[iss]
	if is == nil {
		return nil, &TokenError{Reason: ReasonUnknownIssuer}
	}
	if reason := is.admits(&j.header); reason != "" {
		return nil, &TokenError{Reason: reason, Issuer: is.name}
	}
	key, reason := is.keys.find(ctx, &j.header, joseAlgorithms[j.header.alg])
	if reason != "" {
		return nil, &TokenError{Reason: reason, Issuer: is.name}
	}
	// What follows is computing only, a fraction of a millisecond, so that
	// waiting for another caller who does the same needs no context.
	v, err, _ := t.flight.Do(raw, func() (any, error) {
		now := t.now()
		if token, ok := t.Lookup(raw, now); ok {
			return token, nil
		}
		token, refused := is.token(j, iss, key, now)
		if refused != nil {
			return nil, refused
		}
		if t.drop {
			token.detach(j)
		}
		token.raw, token.owner = strings.Clone(raw), t // raw may share memory with all headers of its request
		t.cache.put(token.raw, token)
		return token, nil
	})
	if err != nil {
		var refused *TokenError
		if !errors.As(err, &refused) {
			refused = &TokenError{Reason: ReasonMalformed, Issuer: is.name}
		}
		return nil, refused
	}
	token, ok := v.(*Token)
	if !ok {
		return nil, &TokenError{Reason: ReasonMalformed, Issuer: is.name}
	}
	return token, nil
}

// IssuerStatus is the state of one issuer, for the admin interface and metrics.
type IssuerStatus struct {
	Name    string
	URLs    []string // accepted values of iss
	Keys    int      // usable keys
	Ignored int      // keys in the set that cannot be used
	Usable  bool     // there are keys, and they are not too old
	Loaded  time.Time
	// Age is the time since the keys were last confirmed, 0 if they never were.
	Age   time.Duration
	Tried time.Time
	Err   string // of the last try; "" if it went well
}

// Status reports on every issuer, in the configured order.
func (t *Tokens) Status() []IssuerStatus {
	now := t.now()
	list := make([]IssuerStatus, 0, len(t.issuers))
	for _, is := range t.issuers {
		s := is.keys.status(now)
		s.Name, s.URLs = is.name, append([]string(nil), is.urls...)
		list = append(list, s)
	}
	return list
}

// Len returns the number of tokens that are remembered.
func (t *Tokens) Len() int { return t.cache.len() }
