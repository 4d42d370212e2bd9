//go:build unix

package caddymodule

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	stdruntime "runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"github.com/go-jose/go-jose/v4"
	"github.com/golang-jwt/jwt/v5"

	"github.com/gatehouse-project/gatehouse/decision"
)

// bench is a provisioned handler with the documentation's policy of eight
// requirements, and requests that it lets pass.
type bench struct {
	handler *Handler
	headers []string // Authorization values, one per token
}

// benchDevices is the size of the inventory; tokens share its devices in turn.
const benchDevices = 1000

func benchDevice(i int) string {
	return fmt.Sprintf("%08x-1111-4111-8111-111111111111", i%benchDevices)
}

// newBench provisions the app in this process and signs n tokens of the usual
// size. Nothing listens.
func newBench(tb testing.TB, n int) *bench {
	tb.Helper()
	dir := tb.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: key.Public(), KeyID: "k1", Algorithm: "ES256", Use: "sig"}}})
	if err != nil {
		tb.Fatal(err)
	}
	var rows []string
	for i := range benchDevices {
		rows = append(rows, fmt.Sprintf(`{"ids":{"entra":%q},"name":"L%d","platform":"windows","os_version":"10.0.22631.4460","compliance":"compliant",`+
			`"managed":true,"encrypted":true,"jailbroken":false,"risk":"low","last_check_in":%q}`, benchDevice(i), i, time.Now().UTC().Format(time.RFC3339)))
	}
	for name, content := range map[string]string{
		"jwks.json": string(set), "devices.json": `{"version":1,"devices":[` + strings.Join(rows, ",") + `]}`,
	} {
		err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600)
		if err != nil {
			tb.Fatal(err)
		}
	}
	b := &bench{handler: &Handler{Rules: []*Rule{{Policy: "standard"}}}, headers: benchTokens(tb, key, n)}
	ctx, err := caddy.ProvisionContext(benchConfig(tb, dir, n))
	if err != nil {
		tb.Fatal(err)
	}
	err = b.handler.Provision(ctx)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

func benchConfig(tb testing.TB, dir string, tokens int) *caddy.Config {
	tb.Helper()
	type m = map[string]any
	var lines []m
	for _, l := range []string{
		"user", "managed", "compliant", "encrypted", "not jailbroken", "risk at_most medium",
		"os windows 10.0.22631 macos 14.5", "checked_in within 14d",
	} {
		lines = append(lines, m{"words": append([]string{"require"}, strings.Fields(l)...)})
	}
	raw, err := json.Marshal(m{
		"admin":   m{"disabled": true},
		"logging": m{"logs": m{"default": m{"level": "ERROR"}}},
		"storage": m{"module": "file_system", "root": filepath.Join(dir, "storage")},
		"apps": m{"compliance": m{
			"state_dir": filepath.Join(dir, "state"), "cache": m{"tokens": 2*tokens + 1024},
			"issuers": []m{{
				"name": "corp", "url": "https://idp.corp.example", "jwks_file": filepath.Join(dir, "jwks.json"),
				"audience": []string{"intranet"}, "device_claim": "deviceid", "device_kind": "entra",
			}},
			"sources":  []m{{"source": "inventory", "path": filepath.Join(dir, "devices.json")}},
			"policies": []m{{"name": "standard", "lines": lines}},
		}},
	})
	if err != nil {
		tb.Fatal(err)
	}
	cfg := new(caddy.Config)
	err = json.Unmarshal(raw, cfg)
	if err != nil {
		tb.Fatal(err)
	}
	return cfg
}

// benchSigners is how many goroutines sign.
const benchSigners = 4

func benchTokens(tb testing.TB, key *ecdsa.PrivateKey, n int) []string {
	tb.Helper()
	out := make([]string, n)
	now := time.Now().Unix()
	padding := strings.Repeat("g", 500)
	var wg sync.WaitGroup
	for w := range benchSigners {
		wg.Go(func() {
			for i := w; i < n; i += benchSigners {
				t := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
					"iss": "https://idp.corp.example", "aud": "intranet", "sub": fmt.Sprintf("user%d", i), "iat": now, "exp": now + 6*3600,
					"deviceid": benchDevice(i), "preferred_username": fmt.Sprintf("user%d@corp.example", i), "scope": padding,
				})
				t.Header["kid"] = "k1"
				s, err := t.SignedString(key)
				if err != nil {
					tb.Error(err)
					return
				}
				out[i] = "Bearer " + s
			}
		})
	}
	wg.Wait()
	return out
}

// request makes a request as Caddy hands it to its handlers.
func (b *bench) request(r *http.Request) *http.Request {
	return caddyhttp.PrepareRequest(r, caddy.NewReplacer(), httptest.NewRecorder(), new(caddyhttp.Server))
}

func (b *bench) get() *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://app.corp.example/reports/weekly", nil)
	r.Header = http.Header{"User-Agent": {"bench/1"}, "Accept": {"*/*"}, "Accept-Encoding": {"gzip"}, "Accept-Language": {"en"}}
	return r
}

// decideOnce makes one decision, in an exchange that is used again.
func (b *bench) decideOnce(tb testing.TB, r *http.Request, x *exchange, header []string, start time.Time) {
	*x = exchange{start: start, orig: r.URL}
	r.Header["Authorization"] = header
	f, _ := b.handler.checkRequest(r, x, b.handler.Rules)
	_, d := b.handler.decide(r, x, b.handler.Rules, f)
	if d == nil || d.Outcome != decision.Allow {
		tb.Fatalf("not allowed: %+v", d)
	}
}

// reportCPU adds the processor time per operation, which a busy machine distorts
// far less than the time on the clock. Call the result when the loop is done.
func reportCPU(b *testing.B) (done func()) {
	used := func() int64 {
		var u syscall.Rusage
		if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
			return 0
		}
		return u.Utime.Nano() + u.Stime.Nano()
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

func liveHeap() int64 {
	var m stdruntime.MemStats
	stdruntime.GC()
	stdruntime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// BenchmarkDecide is the whole decision on a hit: token, identity, posture,
// policy, counters. The tokens arrive in memory of their own.
func BenchmarkDecide(b *testing.B) {
	const n = 100_000
	s := newBench(b, n)
	r := s.request(s.get())
	headers := make([][]string, n)
	x := new(exchange)
	for i := range headers {
		headers[i] = []string{strings.Clone(s.headers[i])}
	}
	before := liveHeap()
	for i := range headers {
		s.decideOnce(b, r, x, headers[i], time.Now())
	}
	perToken := float64(liveHeap()-before) / n // text, token, identity and posture
	b.Run("100,000 tokens", func(b *testing.B) {
		b.ReportAllocs()
		defer b.ReportMetric(perToken, "B/token") // the loop clears what comes earlier
		defer reportCPU(b)()
		i := 0
		for b.Loop() {
			s.decideOnce(b, r, x, headers[i], time.Now())
			i = (i + 7919) % n
		}
	})
	b.Run("100,000 tokens on all cores", func(b *testing.B) {
		b.ReportAllocs()
		defer reportCPU(b)()
		b.RunParallel(func(pb *testing.PB) {
			r, x, i := s.request(s.get()), new(exchange), 1
			for pb.Next() {
				s.decideOnce(b, r, x, headers[i], time.Now())
				i = (i + 7919) % n
			}
		})
	})
	b.Run("one token", func(b *testing.B) {
		b.ReportAllocs()
		defer reportCPU(b)()
		for b.Loop() {
			s.decideOnce(b, r, x, headers[0], time.Now())
		}
	})
}

// BenchmarkDecideSameConnection is a connection that repeats its token, among
// 1,000 of them.
func BenchmarkDecideSameConnection(b *testing.B) {
	const n = 1000
	s := newBench(b, n)
	requests, headers := make([]*http.Request, n), make([][]string, n)
	x := new(exchange)
	for i := range n {
		requests[i] = s.request(s.get().WithContext(withConnMemo(b.Context(), nil)))
		headers[i] = []string{strings.Clone(s.headers[i])}
		s.decideOnce(b, requests[i], x, headers[i], time.Now()) // verifies
		s.decideOnce(b, requests[i], x, headers[i], time.Now()) // remembers
	}
	for name, of := range map[string]int{"one": 1, "thousand": n} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			defer reportCPU(b)()
			i := 0
			for b.Loop() {
				s.decideOnce(b, requests[i], x, headers[i], time.Now())
				i = (i + 1) % of
			}
		})
	}
}

// BenchmarkServeHTTP is everything that the handler adds to a request.
func BenchmarkServeHTTP(b *testing.B) {
	s := newBench(b, 1)
	next := caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	w := httptest.NewRecorder()
	b.Run("prepare", func(b *testing.B) { // Caddy's own part of the figure below
		b.ReportAllocs()
		defer reportCPU(b)()
		r := s.get()
		r.Header["Authorization"] = []string{s.headers[0]}
		for b.Loop() {
			_ = s.request(r)
		}
	})
	b.Run("prepare and serve", func(b *testing.B) {
		b.ReportAllocs()
		defer reportCPU(b)()
		r := s.get()
		r.Header["Authorization"] = []string{s.headers[0]}
		for b.Loop() {
			err := s.handler.ServeHTTP(w, s.request(r), next)
			if err != nil {
				b.Fatal(err)
			}
		}
	})
}
