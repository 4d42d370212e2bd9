package caddymodule

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/caddyserver/certmagic"
)

// rootSecret is the one secret that all other keys are derived from. The first
// entry is the newest: it seals; every entry opens.
type rootSecret struct {
	Version int         `json:"version"`
	Secrets []rootEntry `json:"secrets"`
}

type rootEntry struct {
	Created time.Time `json:"created"`
	Secret  []byte    `json:"secret"`
}

const (
	rootSecretKey  = "gatehouse/root_secret.json"
	rootSecretFile = "root_secret.json"
	secretBytes    = 32
)

// derive makes one sub-key per secret for a purpose, newest first (HKDF, RFC
// 5869): the first seals, all open.
func (r *rootSecret) derive(purpose string, n int) ([][]byte, error) {
	keys := make([][]byte, 0, len(r.Secrets))
	for _, s := range r.Secrets {
		k, err := hkdf.Key(sha256.New, s.Secret, nil, "gatehouse/v1/"+purpose, n)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// id tells one set of root secrets from another, in the names of what is shared
// over reloads and seals or opens files with them.
func (r *rootSecret) id() string {
	h := sha256.New()
	for _, s := range r.Secrets {
		sum := sha256.Sum256(s.Secret)
		h.Write(sum[:])
	}
	return hex.EncodeToString(h.Sum(nil))
}

// signingKeys derives P-256 keys, newest first: the first signs, all are
// published.
func (r *rootSecret) signingKeys(purpose string) ([]*ecdsa.PrivateKey, error) {
	seeds, err := r.derive(purpose, 48)
	if err != nil {
		return nil, err
	}
	keys := make([]*ecdsa.PrivateKey, 0, len(seeds))
	for _, seed := range seeds {
		k, err := signingKey(seed)
		if err != nil {
			return nil, err
		}
		keys = append(keys, k)
	}
	return keys, nil
}

// signingKey reduces 48 bytes modulo the order, which leaves a bias below 2^-128
// (FIPS 186-5, appendix A.2.1).
func signingKey(seed []byte) (*ecdsa.PrivateKey, error) {
	curve := elliptic.P256()
	one := big.NewInt(1)
	k := new(big.Int).SetBytes(seed)
	k.Mod(k, new(big.Int).Sub(curve.Params().N, one)).Add(k, one)
	return ecdsa.ParseRawPrivateKey(curve, k.FillBytes(make([]byte, 32)))
}

// loadRootSecret reads the secret, or makes one at the first start.
func loadRootSecret(ctx context.Context, k *Keys, storage certmagic.Storage) (*rootSecret, error) {
	if k != nil && k.Dir != "" {
		return rootSecretInDir(k.Dir)
	}
	raw, err := storage.Load(ctx, rootSecretKey)
	if errors.Is(err, fs.ErrNotExist) {
		return makeRootSecret(ctx, storage)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the root secret from storage: %w", err)
	}
	return parseRootSecret(raw)
}

// makeRootSecret stores a new secret, unless another gateway with the same
// storage is faster.
func makeRootSecret(ctx context.Context, storage certmagic.Storage) (*rootSecret, error) {
	err := storage.Lock(ctx, rootSecretKey)
	if err != nil {
		return nil, fmt.Errorf("locking the root secret in storage: %w", err)
	}
	defer storage.Unlock(ctx, rootSecretKey) //nolint:errcheck // a lost lock expires by itself
	raw, err := storage.Load(ctx, rootSecretKey)
	if err == nil {
		return parseRootSecret(raw)
	}
	root, raw, err := newRootSecret()
	if err != nil {
		return nil, err
	}
	err = storage.Store(ctx, rootSecretKey, raw)
	if err != nil {
		return nil, fmt.Errorf("storing the root secret: %w", err)
	}
	return root, nil
}

func rootSecretInDir(dir string) (*rootSecret, error) {
	err := os.MkdirAll(dir, 0o700)
	if err != nil {
		return nil, fmt.Errorf("keys dir: %w", err)
	}
	path := filepath.Join(dir, rootSecretFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		root, raw, err := newRootSecret()
		if err != nil {
			return nil, err
		}
		err = createOnce(path, raw)
		if errors.Is(err, fs.ErrExist) { // another gateway was faster
			return rootSecretInDir(dir)
		}
		if err != nil {
			return nil, fmt.Errorf("keys dir: %w", err)
		}
		return root, nil
	}
	if err != nil {
		return nil, fmt.Errorf("keys dir: %w", err)
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("keys dir: %w", err)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("keys dir: %s may be read by others; make it mode 0600", rootSecretFile)
	}
	return parseRootSecret(raw)
}

// createOnce writes a whole new file, or fails with fs.ErrExist: a half-written
// secret is never seen under its name.
func createOnce(path string, raw []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(raw)
	err = errors.Join(err, f.Sync(), f.Close())
	if err != nil {
		return err
	}
	return os.Link(f.Name(), path)
}

func newRootSecret() (*rootSecret, []byte, error) {
	root := &rootSecret{Version: 1, Secrets: []rootEntry{{Created: time.Now().UTC(), Secret: make([]byte, secretBytes)}}}
	_, _ = rand.Read(root.Secrets[0].Secret) // never fails (crypto/rand)
	raw, err := json.MarshalIndent(root, "", "  ")
	return root, raw, err
}

func parseRootSecret(raw []byte) (*rootSecret, error) {
	var root rootSecret
	err := json.Unmarshal(raw, &root)
	if err != nil || root.Version != 1 || len(root.Secrets) == 0 {
		return nil, errors.New("the root secret cannot be read: not version 1")
	}
	for _, s := range root.Secrets {
		if len(s.Secret) < secretBytes {
			return nil, errors.New("the root secret is too short")
		}
	}
	return &root, nil
}
