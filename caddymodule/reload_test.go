package caddymodule

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/go-jose/go-jose/v4"
)

// TestReloadKeepsTheCacheAndLeaksNothing reloads the whole configuration under
// load, in this process: no request fails, verdicts and remembered tokens stay,
// and at the end no goroutine of ours is left.
func TestReloadKeepsTheCacheAndLeaksNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	dir := t.TempDir()
	token := writeIssuer(t, dir)
	inventory := filepath.Join(dir, "devices.json")
	const device = "11111111-1111-4111-8111-111111111111"
	err := os.WriteFile(inventory, []byte(`{"version":1,"devices":[{"ids":{"entra":"`+device+`"},"platform":"windows","compliance":"compliant","managed":true}]}`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	load := func(n int) {
		t.Helper()
		err := caddy.Load(reloadConfig(t, dir, inventory, port, n), true)
		if err != nil {
			t.Fatal(err)
		}
	}
	load(0)
	first := processMeters().status.app()
	runner, tokens := first.sources[0].runner, first.tokens.Tokens

	const reloads = 15
	var wg sync.WaitGroup
	var stop atomic.Bool
	var good, bad atomic.Int64
	for range 4 {
		wg.Go(func() {
			c := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{}}
			defer c.CloseIdleConnections()
			for !stop.Load() {
				req, _ := http.NewRequest(http.MethodGet, fmt.Sprintf("http://127.0.0.1:%d/", port), nil)
				req.Header.Set("Authorization", "Bearer "+token)
				resp, err := c.Do(req)
				if err != nil {
					// Each configuration has a listening socket of its own. A
					// connection that the kernel queued for the old one is reset
					// before any request is read from it, so trying again is safe
					// and is what every client does.
					if bad.Add(1) > 2*reloads {
						t.Errorf("too many connections were reset: %v", err)
						return
					}
					continue
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK {
					t.Errorf("status %d during reload", resp.StatusCode)
					return
				}
				good.Add(1)
			}
		})
	}
	for n := 1; n <= reloads; n++ {
		load(n)
	}
	stop.Store(true)
	wg.Wait()
	if good.Load() < reloads {
		t.Errorf("only %d good requests during %d reloads", good.Load(), reloads)
	}
	last := processMeters().status.app()
	if last == first || last.sources[0].runner != runner || last.tokens.Tokens != tokens {
		t.Error("the reload did not keep the source's verdicts and the remembered tokens")
	}
	if n := tokens.Len(); n != 1 {
		t.Errorf("%d tokens remembered after %d reloads, want 1", n, reloads)
	}
	err = caddy.Stop()
	if err != nil {
		t.Fatal(err)
	}
	if processMeters().status.app() != nil {
		t.Error("a stopped app is still attached to the metrics")
	}
	goleak.VerifyNone(t, before,
		// Caddy's storage refreshes a lock that was just released for up to 5 s.
		goleak.IgnoreAnyFunction("github.com/caddyserver/certmagic.keepLockfileFresh"),
	)
}

func reloadConfig(t *testing.T, dir, inventory string, port, n int) []byte {
	t.Helper()
	type m = map[string]any
	cfg := m{
		"admin":   m{"disabled": true},
		"logging": m{"logs": m{"default": m{"level": "ERROR"}}},
		"storage": m{"module": "file_system", "root": filepath.Join(dir, "storage")},
		"apps": m{
			"compliance": m{
				"state_dir": filepath.Join(dir, "state"),
				"issuers": []m{{
					"name": "corp", "url": "https://idp.corp.example", "jwks_file": filepath.Join(dir, "jwks.json"),
					"audience": []string{"intranet"}, "device_claim": "deviceid", "device_kind": "entra",
				}},
				"sources": []m{{"source": "inventory", "path": inventory}},
				"policies": []m{{"name": "standard", "lines": []m{
					{"words": []string{"require", "user"}}, {"words": []string{"require", "compliant"}},
				}}},
				"support": m{"name": fmt.Sprintf("Desk %d", n)},
			},
			"http": m{"servers": m{"srv": m{
				"listen": []string{fmt.Sprintf("127.0.0.1:%d", port)},
				"routes": []m{{"handle": []m{
					{"handler": "compliance", "rules": []m{{"policy": "standard"}}},
					{"handler": "static_response", "body": "ok"},
				}}},
			}}},
		},
	}
	raw, err := json.Marshal(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// writeIssuer writes a key set and returns a token signed with its key.
func writeIssuer(t *testing.T, dir string) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		t.Fatal(err)
	}
	err = os.WriteFile(filepath.Join(dir, "jwks.json"), set, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now().Unix()
	tok := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
		"iss": "https://idp.corp.example", "aud": "intranet", "sub": "alice", "iat": now, "exp": now + 3600,
		"deviceid": "11111111-1111-4111-8111-111111111111",
	})
	tok.Header["kid"] = "k1"
	s, err := tok.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
