package caddymodule

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"
	"go.uber.org/zap/exp/zapslog"

	"github.com/gatehouse-project/gatehouse/cache"
	"github.com/gatehouse-project/gatehouse/decision/identity"
	"github.com/gatehouse-project/gatehouse/decision/revocation"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// pool holds what outlives a config reload: a new configuration is provisioned
// before the old one is cleaned up, so an unchanged source keeps its verdicts.
var pool = caddy.NewUsagePool()

// pooled loads or makes a shared object and notes the key, so that Cleanup gives
// back exactly what Provision took.
func pooled[T caddy.Destructor](a *App, key string, make func() (T, error)) (T, error) {
	v, _, err := pool.LoadOrNew(key, func() (caddy.Destructor, error) { return make() })
	if err != nil {
		var zero T
		return zero, err
	}
	a.held = append(a.held, key)
	return v.(T), nil
}

// configKey names a shared object after its resolved configuration.
func configKey(kind string, parts ...any) (string, error) {
	raw, err := json.Marshal(parts)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(raw)
	return kind + ":" + hex.EncodeToString(sum[:]), nil
}

// sharedState is what belongs to a state directory rather than to one
// configuration.
type sharedState struct {
	dir         string
	revocations *revocation.List
	ring        *decisionRing
	// generation changes whenever a remembered posture may be out of date.
	generation atomic.Uint64
}

func openSharedState(dir string) (*sharedState, error) {
	err := os.MkdirAll(dir, 0o700)
	if err != nil {
		return nil, fmt.Errorf("state directory: %w", err)
	}
	s := &sharedState{dir: dir, ring: newDecisionRing()}
	s.revocations, err = revocation.Open(filepath.Join(dir, "revocations.jsonl"), revocation.Options{})
	if err != nil {
		return nil, fmt.Errorf("opening revocations: %w", err)
	}
	s.revocations.OnChange(func() { s.generation.Add(1) })
	return s, nil
}

// Destruct closes the journal.
func (s *sharedState) Destruct() error { return s.revocations.Close() }

// SourceModule is what a guest of compliance.sources provides.
type SourceModule interface {
	caddy.Module
	// SourceName is the configured name, unique and a metric label.
	SourceName() string
	// NewSource makes the source. It does no remote work. Name, Index, Capacity,
	// Snapshot, Logger and Observer of the options are filled in by the app.
	NewSource(ctx caddy.Context) (source.Source, source.RunnerOptions, error)
}

// pooledSource is one source with its verdicts.
type pooledSource struct {
	runner *source.Runner
	poll   time.Duration
	remote bool // answers look-ups of unknown devices
	once   sync.Once
	cancel context.CancelFunc
}

func (s *pooledSource) start() {
	s.once.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		s.cancel = cancel
		s.runner.Start(ctx)
	})
}

// Destruct ends the source's background work.
func (s *pooledSource) Destruct() error {
	s.once.Do(func() {}) // never start again
	if s.cancel != nil {
		s.cancel()
		s.runner.Stop()
	}
	return nil
}

func (a *App) provisionSources(ctx caddy.Context) error {
	raws := make([]json.RawMessage, len(a.SourcesRaw))
	copy(raws, a.SourcesRaw)
	mods, err := ctx.LoadModule(a, "SourcesRaw")
	if err != nil {
		return fmt.Errorf("loading sources: %w", err)
	}
	names := map[string]bool{}
	for i, m := range mods.([]any) {
		sm, ok := m.(SourceModule)
		if !ok {
			return fmt.Errorf("source %d is not a source module", i+1)
		}
		name := sm.SourceName()
		if names[name] {
			return fmt.Errorf("two sources are called %q; give one of them a name", name)
		}
		names[name] = true
		same, err := withoutPlace(raws[i])
		if err != nil {
			return err
		}
		key, err := configKey("source", same, i, a.capacity(), a.shared.dir)
		if err != nil {
			return err
		}
		s, err := pooled(a, key, func() (*pooledSource, error) { return a.newSource(ctx, sm, i) })
		if err != nil {
			return fmt.Errorf("source %s%s: %w", name, placeOf(raws[i]), err)
		}
		a.sources = append(a.sources, s)
	}
	return nil
}

func (a *App) capacity() int {
	if a.Cache != nil && a.Cache.Capacity > 0 {
		return a.Cache.Capacity
	}
	return 1_000_000
}

func (a *App) newSource(ctx caddy.Context, sm SourceModule, index int) (*pooledSource, error) {
	src, o, err := sm.NewSource(ctx)
	if err != nil {
		return nil, err
	}
	keys, err := a.root.derive("snapshot", 32)
	if err != nil {
		return nil, err
	}
	o.Name, o.Index, o.Capacity = sm.SourceName(), index, a.capacity()
	o.Snapshot = &snapshotFile{path: filepath.Join(a.shared.dir, "source-"+safeName(o.Name)+".snapshot"), kind: snapshotSource, keys: keys}
	o.Logger = slog.New(zapslog.NewHandler(a.log.Named("source").Core()))
	o.Observer = a.meters.observe(o.Name)
	_, syncs := src.(source.Syncer)
	s := &pooledSource{runner: source.NewRunner(src, o), poll: o.Poll, remote: !syncs}
	shared := a.shared // not a: the source outlives this configuration
	s.runner.OnChange(func() { shared.generation.Add(1) })
	err = s.runner.Load(ctx)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) {
		if f, ok := sm.(interface{ SourcePath() string }); ok {
			err = fmt.Errorf("%s: %w", f.SourcePath(), err)
		}
		return nil, err
	}
	if err != nil {
		// A broken file at start: everything else may run, and decisions that
		// need this source are undecided until a good one comes.
		a.log.Error("source not loaded: decisions that need it are undecided", zap.String("source", o.Name), zap.Error(err))
	}
	return s, nil
}

func placeOf(raw json.RawMessage) string {
	var v struct {
		Place string `json:"place"`
	}
	if json.Unmarshal(raw, &v) != nil || v.Place == "" {
		return ""
	}
	return " (" + v.Place + ")"
}

// withoutPlace drops the line number from a source's configuration: a comment above
// it in the Caddyfile must not cost its verdicts at a reload.
func withoutPlace(raw json.RawMessage) (map[string]json.RawMessage, error) {
	var v map[string]json.RawMessage
	err := json.Unmarshal(raw, &v)
	delete(v, "place")
	return v, err
}

// safeName keeps a configured name usable as part of a file name.
func safeName(s string) string {
	b := []byte(s)
	for i, c := range b {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
			b[i] = '_'
		}
	}
	return string(b)
}

// snapshotFile keeps the last good answer of a source or of a revocation list for
// a warm start. The file is authenticated: a changed or foreign one is refused.
type snapshotFile struct {
	path, kind string
	keys       [][]byte // the first writes, all read
}

// The kinds of snapshots, so that no file can pose as another.
const (
	snapshotSource = "gatehouse-source"
	snapshotCRL    = "gatehouse-crl"
)

const (
	snapshotVersion = 1 // of the body's framing; sources and lists version their own content
	snapshotMax     = 1 << 30
)

// Load returns the stored answer, or an error that wraps fs.ErrNotExist.
func (f *snapshotFile) Load() ([]byte, error) {
	var err error
	for _, key := range f.keys {
		var h cache.Header
		var body []byte
		h, body, err = cache.ReadSnapshot(f.path, key, f.kind, snapshotMax)
		switch {
		case err == nil && h.Version == snapshotVersion:
			return body, nil
		case err == nil:
			return nil, fmt.Errorf("snapshot has version %d, not %d", h.Version, snapshotVersion)
		case errors.Is(err, cache.ErrSnapshotMissing):
			return nil, fs.ErrNotExist
		case !errors.Is(err, cache.ErrSnapshotForeign):
			return nil, err
		}
	}
	return nil, err
}

// Save replaces the stored answer.
func (f *snapshotFile) Save(body []byte) error {
	return cache.WriteSnapshot(f.path, f.keys[0], cache.Header{Kind: f.kind, Version: snapshotVersion, Created: time.Now()}, body)
}

// pooledTokens is a token verifier with its keys and remembered tokens.
type pooledTokens struct {
	*identity.Tokens
	once   sync.Once
	cancel context.CancelFunc
}

func (t *pooledTokens) start() {
	t.once.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		t.cancel = cancel
		t.Tokens.Start(ctx)
	})
}

// Destruct ends the refreshing of keys.
func (t *pooledTokens) Destruct() error {
	t.once.Do(func() {})
	if t.cancel != nil {
		t.cancel()
		t.Close()
	}
	return nil
}

// pooledIdentities are the identities made of remembered tokens and certificates.
// They last as long as both do, so that a reload costs no request anything.
type pooledIdentities struct {
	*cache.Cache[identityKey, *identityEntry]
	hits atomic.Uint64
}

// Destruct does nothing: there is only memory.
func (*pooledIdentities) Destruct() error { return nil }

// pooledCertificates is a certificate checker with its revocation lists.
type pooledCertificates struct {
	*identity.Certificates
	roots  []*x509.Certificate
	crls   []*identity.CRL
	once   sync.Once
	cancel context.CancelFunc
}

func (c *pooledCertificates) start() {
	c.once.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		c.cancel = cancel
		for _, l := range c.crls {
			l.Start(ctx)
		}
	})
}

// Destruct ends the refreshing of revocation lists.
func (c *pooledCertificates) Destruct() error {
	c.once.Do(func() {})
	if c.cancel != nil {
		c.cancel()
		for _, l := range c.crls {
			l.Close()
		}
	}
	return nil
}
