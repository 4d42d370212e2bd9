package main

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// kind is one sort of load; every contestant runs under one of them, and stock
// Caddy under the same.
type kind struct {
	name string
	tls  bool
	plan loadPlan
}

var kinds = map[string]kind{
	"h1":   {name: "HTTP/1.1, 32 connections", plan: loadPlan{Conns: 32, Use: 1}},
	"bare": {name: "HTTP/1.1, 32 connections, bare requests", plan: loadPlan{Conns: 32, Use: 1, Bare: true}},
	"one":  {name: "HTTP/1.1, 1 connection", plan: loadPlan{Conns: 1, Use: 1}},
	"turn": {name: "10,000 identities in turn", plan: loadPlan{Conns: 32, Use: identities}},
	"new":  {name: "every request a new token", plan: loadPlan{Conns: 32, Once: true, Skip: 1}},
	"tls":  {name: "TLS, client certificate, HTTP/1.1, 32 connections", tls: true, plan: loadPlan{Conns: 32, Use: 1}},
	"h2":   {name: "TLS, client certificate, HTTP/2, 8 connections of 4 streams", tls: true, plan: loadPlan{Conns: 8, Streams: 4, HTTP2: true, Use: 1}},
}

// contestant is one configuration of one binary.
type contestant struct {
	key, name string
	kind      string
	binary    string // of builds
	env       []string
	config    func(b *bench, r *running) string
	// authoriser: a second process takes part, and its CPU counts.
	authoriser bool
	device     bool // it can tell a noncompliant device
	// outage: the source of the verdicts is taken away before the load.
	outage bool
	target string
}

// sameGC gives a contestant stock Caddy's garbage collector target.
var sameGC = []string{"GOGC=100"}

var contestants = []contestant{
	{key: "stock", name: "stock Caddy again (noise)", kind: "h1", binary: "stock", env: sameGC, config: (*bench).stock, target: "1.00"},
	{key: "token", name: "Gatehouse, token, same GOGC, no profile", kind: "h1", binary: "plain", env: sameGC, config: (*bench).gateway, device: true, target: "<= 1.05"},
	{key: "shipped", name: "Gatehouse, token, as shipped", kind: "h1", binary: "shipped", config: (*bench).gateway, device: true, target: "<= 0.92"},
	{key: "bare", name: "Gatehouse, token, same GOGC, no profile", kind: "bare", binary: "plain", env: sameGC, config: (*bench).gateway, device: true, target: "-"},
	{key: "outage", name: "Gatehouse, token, source gone", kind: "h1", binary: "plain", env: sameGC, config: (*bench).gateway, device: true, outage: true, target: "as token"},
	{
		key: "forward", name: "Caddy forward_auth, remembering authoriser", kind: "h1", binary: "stock", env: sameGC,
		config: (*bench).forwardAuth, authoriser: true, target: ">= 2.2 times token",
	},
	{key: "turn", name: "Gatehouse, token, same GOGC, no profile", kind: "turn", binary: "plain", env: sameGC, config: (*bench).gateway, device: true, target: "<= 1.00"},
	{key: "new", name: "Gatehouse, token, same GOGC, no profile", kind: "new", binary: "plain", env: sameGC, config: (*bench).gateway, device: true, target: "<= 1.6"},
	{key: "tls", name: "Gatehouse, token and certificate, same GOGC, no profile", kind: "tls", binary: "plain", env: sameGC, config: (*bench).gateway, device: true, target: "<= 1.05"},
	{key: "h2", name: "Gatehouse, token and certificate, same GOGC, no profile", kind: "h2", binary: "plain", env: sameGC, config: (*bench).gateway, device: true, target: "<= 1.05"},
	{key: "one", name: "Gatehouse, token, same GOGC, no profile", kind: "one", binary: "plain", env: sameGC, config: (*bench).gateway, device: true, target: "p50 +10 us at most"},
}

// globals are what all configurations have in common. The admin endpoint stays
// on, as it does in production.
func globals(admin, more string) string {
	return fmt.Sprintf(`{
	admin %s
	persist_config off
	auto_https off
	skip_install_trust
	grace_period 1s
	log {
		level ERROR
	}
	servers {
		protocols h1 h2
	}
	%s
}
`, admin, more)
}

func (b *bench) site(r *running, directives string) string {
	scheme, tls := "http://", ""
	if kinds[r.kind].tls {
		scheme = "https://" + siteName
		tls = fmt.Sprintf("tls %s %s {\nclient_auth {\nmode verify_if_given\ntrust_pool file %s\n}\n}\n",
			b.file("server.pem"), b.file("server.key"), b.file("ca.pem"))
	}
	return fmt.Sprintf("%s%s {\nbind 127.0.0.1\n%s%s\nreverse_proxy %s\n}\n", scheme, r.site[strings.LastIndexByte(r.site, ':'):], tls, directives, b.upstream.addr)
}

func (b *bench) stock(r *running) string {
	return globals(r.admin, "") + b.site(r, "")
}

func (b *bench) forwardAuth(r *running) string {
	return globals(r.admin, "") + b.site(r, fmt.Sprintf("forward_auth %s {\nuri /check\ncopy_headers Remote-User\n}", r.helper.addr))
}

// gateway has the policy of eight requirements of the documentation.
func (b *bench) gateway(r *running) string {
	interval := "1m"
	if r.outage {
		interval = "1s"
	}
	return globals(r.admin, fmt.Sprintf(`compliance {
		state %s
		issuer corp %s {
			jwks file %s
			audience %s
			device_claim deviceid entra
			groups_claim groups
		}
		client_certificate {
			trust_pool file %s
			device_id entra subject_cn
		}
		source inventory %s {
			check_interval %s
		}
		policy standard {
			require user
			require managed
			require compliant
			require encrypted
			require not jailbroken
			require risk at_most medium
			require os windows 10.0.22631 macos 14.5 ios 17.5 android 14
			require checked_in within 14d
		}
	}`, r.file("state"), issuerURL, b.file("jwks.json"), audience, b.file("ca.pem"), r.file("devices.json"), interval)) +
		b.site(r, "compliance standard")
}

// plan completes a kind's plan for one address.
func (b *bench) plan(k *kind, addr string, d time.Duration) *loadPlan {
	p := k.plan
	p.Addr, p.Time, p.Tokens = addr, d, b.file("tokens")
	if p.Once {
		p.Use = b.tokens - p.Skip
	}
	if k.tls {
		p.CA, p.Cert = b.file("ca.pem"), b.file("device")
	}
	return &p
}

// prove makes sure that a contestant lets good requests pass and refuses what
// it has to, so that nobody wins by not looking.
func (b *bench) prove(r *running) error {
	c, addr := r.contestant, r.site
	k := kinds[c.kind]
	try := func(what, tokens string, use, want int) error {
		p := b.plan(&k, addr, 50*time.Millisecond)
		p.Conns, p.Streams, p.Use, p.Skip, p.Tokens, p.Once = 1, 1, use, 0, b.file(tokens), use > 0
		all, err := load(b.ctx, p)
		if err != nil {
			return err
		}
		res := all[0]
		got := res.Status
		if res.Good > 0 && res.Bad == 0 {
			got = http.StatusOK
		}
		if res.Error != "" || got != want {
			return fmt.Errorf("%s: %s: status %d %s, want %d", c.key, what, got, res.Error, want)
		}
		return nil
	}
	err := try("good token", "tokens", 1, http.StatusOK)
	if err != nil || c.key == "stock" {
		return err
	}
	for what, tokens := range map[string]string{"no token": "", "forged signature": "forged"} {
		err := try(what, tokens, len(tokens)/6, http.StatusUnauthorized)
		if err != nil {
			return err
		}
	}
	if !c.device {
		return nil
	}
	return try("noncompliant device", "bad", 1, http.StatusForbidden)
}

// takeAway removes the inventory and waits until the gateway has noticed, so
// that the load finds a failing source and verdicts inside their window.
func (b *bench) takeAway(r *running) error {
	err := os.Remove(r.file("devices.json"))
	if err != nil {
		return err
	}
	for range 200 {
		body, err := get(b.ctx, "http://"+r.admin+"/metrics")
		if err != nil {
			return err
		}
		if strings.Contains(body, `gatehouse_source_requests_total{result="sync_error"`) {
			return nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return errors.New("the gateway did not notice that its inventory is gone")
}
