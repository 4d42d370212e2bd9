package caddymodule

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatehouse-project/gatehouse/cache"
	"github.com/gatehouse-project/gatehouse/decision/revocation"
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

// background is work that belongs to a shared object: it begins once, with the
// first configuration that starts it, and ends when the last one lets go of the
// object.
type background struct {
	begin func(context.Context) // returns at once; the work ends with the context
	end   func()                // called after that; waits for the work

	once   sync.Once
	cancel context.CancelFunc
}

func (b *background) start() {
	b.once.Do(func() {
		ctx, cancel := context.WithCancel(context.Background())
		b.cancel = cancel
		b.begin(ctx)
	})
}

// Destruct ends the work. What never began does not begin any more.
func (b *background) Destruct() error {
	b.once.Do(func() {})
	if b.cancel != nil {
		b.cancel()
		b.end()
	}
	return nil
}

// sharedState is what belongs to a state directory rather than to one
// configuration.
type sharedState struct {
	dir         string
	revocations *revocation.List
	ring        *decisionRing
	rechecks    *rechecks
	// generation changes whenever a remembered posture may be out of date.
	generation atomic.Uint64
}

func openSharedState(dir string) (*sharedState, error) {
	err := os.MkdirAll(dir, 0o700)
	if err != nil {
		return nil, err
	}
	s := &sharedState{dir: dir, ring: newDecisionRing()}
	s.rechecks, err = newRechecks()
	if err != nil {
		return nil, err
	}
	s.revocations, err = revocation.Open(filepath.Join(dir, "revocations.jsonl"), revocation.Options{})
	if err != nil {
		return nil, fmt.Errorf("opening revocations: %w", err)
	}
	s.revocations.OnChange(func() { s.generation.Add(1) })
	return s, nil
}

// Destruct closes the journal.
func (s *sharedState) Destruct() error { return s.revocations.Close() }

// pooledIdentities are the identities made of remembered tokens and certificates.
// They last as long as both do, so that a reload costs no request anything.
type pooledIdentities struct {
	*cache.Cache[identityKey, *identityEntry]
	hits atomic.Uint64
}

// Destruct does nothing: there is only memory.
func (*pooledIdentities) Destruct() error { return nil }
