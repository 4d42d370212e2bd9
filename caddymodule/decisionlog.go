package caddymodule

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/gatehouse-project/gatehouse/decision"
)

// decisionRecord is one remembered decision. Posture and identity are immutable,
// so it can be explained later exactly as it was made.
type decisionRecord struct {
	ID       string
	Mode     int
	Took     time.Duration
	Fault    bool
	Request  decision.Request
	Findings []decision.Finding
	Outcome  decision.Outcome
	Policy   *decision.Policy
	Fresh    decision.Freshness
}

// decisionRing remembers the latest decisions. It outlives a config reload.
type decisionRing struct {
	mu   sync.Mutex
	buf  []decisionRecord // grows up to ringSize
	head int              // the oldest
	n    int              // how many are in use
}

// ringSize bounds the remembered decisions; about 1 KiB each.
const ringSize = 10_000

func newDecisionRing() *decisionRing { return &decisionRing{} }

// add remembers rec and forgets what is older than keep.
func (g *decisionRing) add(rec decisionRecord, keep time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.n > 0 && rec.Request.Now.Sub(g.buf[g.head].Request.Now) > keep {
		g.dropOldest()
	}
	if g.n == len(g.buf) {
		if len(g.buf) == ringSize {
			g.dropOldest()
		} else {
			grown := make([]decisionRecord, min(max(64, 2*len(g.buf)), ringSize))
			copy(grown[copy(grown, g.buf[g.head:]):], g.buf[:g.head])
			g.buf, g.head = grown, 0
		}
	}
	g.buf[(g.head+g.n)%len(g.buf)] = rec
	g.n++
}

func (g *decisionRing) dropOldest() {
	g.buf[g.head] = decisionRecord{} // lets go of identity and posture
	g.head = (g.head + 1) % len(g.buf)
	g.n--
}

// latest returns up to n records that are younger than keep, newest first.
func (g *decisionRing) latest(n int, now time.Time, keep time.Duration, want func(*decisionRecord) bool) []decisionRecord {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []decisionRecord
	for i := range g.n {
		rec := &g.buf[(g.head+g.n-1-i)%len(g.buf)]
		if len(out) == n || now.Sub(rec.Request.Now) > keep {
			break
		}
		if want(rec) {
			out = append(out, *rec)
		}
	}
	return out
}

// record writes the decision log line and remembers the decision.
func (a *App) record(r *http.Request, x *exchange, d *decision.Decision, mode int, f *fault) {
	id := x.decisionID()
	took := time.Since(x.start)
	rec := decisionRecord{
		ID: id, Mode: mode, Took: took, Fault: f.bad(), Findings: slices.Clone(d.Findings),
		Outcome: d.Outcome, Policy: d.Policy, Fresh: d.Freshness, Request: x.req,
	}
	if rec.Request.Identity == nil {
		rec.Request = decision.Request{Now: x.start, Method: r.Method, Path: x.orig.Path}
	}
	// Only this much of what the client sent is kept: the ring must not grow with
	// the length of paths.
	rec.Request.Host, rec.Request.Path = keep(siteName(r)), keep(rec.Request.Path)
	rec.Request.Method = keep(rec.Request.Method)
	if !rec.Request.ClientIP.IsValid() {
		rec.Request.ClientIP = clientIP(r)
	}
	a.shared.ring.add(rec, a.privacy.retain)

	ce := a.decisionLog.Check(zap.InfoLevel, "decision")
	if ce == nil {
		return
	}
	fields := make([]zap.Field, 0, 20)
	fields = append(fields,
		zap.String("decision_id", id), zap.String("outcome", d.Outcome.String()), zap.Strings("reasons", reasonCodes(d)),
		zap.String("policy", d.Policy.Name), zap.String("revision", d.Policy.Revision), zap.String("mode", modeNames[mode]),
		zap.String("host", clip(rec.Request.Host)), zap.String("method", clip(r.Method)), zap.String("path", clip(rec.Request.Path)),
		zap.String("client_ip", rec.Request.ClientIP.String()), zap.Duration("duration", took),
	)
	if f.bad() && f.param != "" {
		fields = append(fields, zap.String("detail", f.param))
	}
	if id := rec.Request.Identity; id != nil {
		fields = append(fields, zap.String("proof", id.Device.Proof.String()), zap.String("freshness", d.Freshness.String()))
		if v := a.privacy.user(&id.User); v != "" {
			fields = append(fields, zap.String("user", v))
		}
		if v := a.privacy.device(id.Device.Keys); v != "" {
			fields = append(fields, zap.String("device", v))
		}
	}
	if trace, ok := caddyhttp.GetVar(r.Context(), "trace_id").(string); ok && trace != "" {
		fields = append(fields, zap.String("trace_id", trace))
	}
	ce.Write(fields...)
}

// keep copies the part of s that a log line would show.
func keep(s string) string { return strings.Clone(clip(s)) }

// clip bounds what a client can put into a log line. Control characters are
// escaped by the log encoder.
func clip(s string) string {
	if len(s) > 256 {
		return s[:256]
	}
	return s
}

// privacyFilter hides personal data where the operator asked for it.
type privacyFilter struct {
	users, devices string
	key            []byte
	retain         time.Duration
}

func (p *privacyFilter) user(u *decision.User) string {
	if !u.Known() {
		return ""
	}
	return p.apply(p.users, "u_", firstOf(u.Name, u.ID), u.ID)
}

func (p *privacyFilter) device(keys []decision.Key) string {
	if len(keys) == 0 {
		return ""
	}
	return p.apply(p.devices, "d_", keys[0].Value, keys[0].Kind+":"+keys[0].Value)
}

// text filters a name that belongs to a user or a device.
func (p *privacyFilter) text(mode, prefix, v string) string {
	if v == "" {
		return ""
	}
	return p.apply(mode, prefix, v, v)
}

func (p *privacyFilter) apply(mode, prefix, shown, hashed string) string {
	switch mode {
	case "omit":
		return ""
	case "hash":
		mac := hmac.New(sha256.New, p.key)
		mac.Write([]byte(hashed))
		return prefix + hex.EncodeToString(mac.Sum(nil)[:8])
	}
	return clip(shown)
}

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

func reasonCodes(d *decision.Decision) []string {
	if d == nil {
		return nil
	}
	codes := make([]string, len(d.Findings))
	for i := range d.Findings {
		codes[i] = d.Findings[i].Reason.Code()
	}
	return codes
}

// logFields adds our fields to the site's access log.
func (a *App) logFields(r *http.Request, x *exchange) {
	extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields)
	if !ok || x.result == nil {
		return
	}
	extra.Set(zap.String("compliance.outcome", x.result.Outcome.String()))
	extra.Set(zap.String("compliance.policy", x.result.Policy.Name))
	extra.Set(zap.Strings("compliance.reasons", reasonCodes(x.result)))
	if x.id != "" {
		extra.Set(zap.String("compliance.decision_id", x.id))
	}
	extra.Set(zap.String("compliance.freshness", x.result.Freshness.String()))
}

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// newDecisionID makes an id that a person can read out: 80 random bits in
// Crockford's alphabet, which has no l, o, i or u to mix up.
func newDecisionID() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return idEncoding.EncodeToString(b[:])
}
