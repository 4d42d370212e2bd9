package caddymodule

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/gatehouse-project/gatehouse/decision"
)

func init() {
	caddy.RegisterModule((*Handler)(nil))
}

// Handler is the policy enforcement point of one site block. It lets a request
// go on to the next handler only if every rule that covers it allows that; it is
// the only place in this module that calls the next handler.
type Handler struct {
	// Rules are the block's `compliance` lines.
	Rules []*Rule `json:"rules,omitempty"`

	app *App
	// strict: ambiguous paths are refused.
	strict bool
	// unmatched: every rule covers every request.
	unmatched bool
	// logged: this server keeps access logs, so our fields are worth setting.
	logged bool
}

// CaddyModule returns the module's registration.
func (*Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.compliance", New: func() caddy.Module { return new(Handler) }}
}

// Provision finds the app and compiles the rules.
func (h *Handler) Provision(ctx caddy.Context) error {
	if len(h.Rules) == 0 {
		return errors.New("compliance handler without rules")
	}
	mod, err := ctx.App("compliance")
	if err != nil {
		return err
	}
	h.app = mod.(*App)
	h.unmatched = true
	for _, r := range h.Rules {
		err := r.provision(ctx, h.app)
		if err != nil {
			return err
		}
		h.unmatched = h.unmatched && r.matchesAnything && r.OffBecause == ""
		h.strict = h.strict || r.OffBecause == "" && !r.LaxPath
		if r.OffBecause != "" {
			h.app.log.Info("requests pass unchecked", zap.String("match", r.described),
				zap.String("because", r.OffBecause), zap.String("place", r.Place))
		}
	}
	srv, _ := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if srv == nil {
		return nil
	}
	h.logged = srv.Logs != nil
	h.app.rememberConnections(srv)
	httpPort := uint(caddyhttp.DefaultHTTPPort)
	if mod, err := ctx.AppIfConfigured("http"); err == nil {
		if app, ok := mod.(*caddyhttp.App); ok && app.HTTPPort > 0 {
			httpPort = uint(app.HTTPPort)
		}
	}
	return h.checkServer(srv, httpPort)
}

// ownPrefix is where our own pages live, on every gated site.
const ownPrefix = "/.gatehouse/"

// exchange is everything about one request. Several handlers may share it.
type exchange struct {
	start     time.Time
	orig      *url.URL // as the client sent it
	creds     credentials
	fwd       forwardedChain
	known     bool // creds are read
	ambiguous bool // the path can be read in two ways
	tolerated bool // which a line that covers the request allows
	req       decision.Request
	set       headerSet // identity headers already written
	id        string    // decision id, made when first needed
	result    *decision.Decision
	rule      *Rule
	ages      decision.Ages // the strictest that apply, for what the app is told
	// Room for decisions: the worst so far, the current one, one for the record.
	worst, current, recorded decision.Decision
}

const exchangeVar = "gatehouse.exchange"

// ServeHTTP is the way of a request: own path, strip, identify, look up, decide,
// enforce.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	x, first := h.exchange(r)
	if strings.HasPrefix(x.orig.Path, ownPrefix) {
		return h.serveOwn(w, r, x)
	}
	if first {
		strip(r, h.app.meters.spoofed)
	}
	if r.Method == http.MethodTrace || r.Method == http.MethodConnect && !isExtendedConnect(r) {
		// Never proxied, whatever the rules say: TRACE shows credentials, CONNECT
		// leaves bytes on a shared connection.
		return h.refuse(w, refusedMethod)
	}

	if badTarget(r, x.orig) {
		// No matcher, policy or lint can say which resource this is: a server
		// behind us might take a whole URL from it, with another host.
		return h.refuse(w, refusedTarget)
	}

	var some [4]*Rule
	rules, off := h.match(r, x, some[:0])
	if off || len(rules) == 0 {
		return next.ServeHTTP(w, r)
	}

	// Only what is enforced may change an answer.
	var live [4]*Rule
	enforced := enforcedOf(rules, x.start, live[:0])
	f, pre := fault{}, noPreflight
	if len(enforced) > 0 {
		f, pre = h.checkRequest(r, x, enforced)
	}
	switch pre {
	case preflightAnswered:
		return answerPreflight(w, r)
	case preflightPassed:
		stripPreflight(r)
		h.admit(r, x, rules)
		return next.ServeHTTP(w, r)
	case noPreflight:
	}
	f, d := h.decide(r, x, rules, f)
	if d != nil && d.Outcome != decision.Allow {
		return h.app.refuse(w, r, x, d, f, enforced)
	}
	h.admit(r, x, rules)
	return next.ServeHTTP(w, r)
}

// match collects the rules that cover the request; off is true if one of them
// lets it pass unchecked. A path that a backend may read differently could make
// any path matcher err, so then every policy of the block counts and no `off`.
// It is refused besides, unless a line that covers it has strict_path off.
func (h *Handler) match(r *http.Request, x *exchange, rules []*Rule) (_ []*Rule, off bool) {
	x.ambiguous = h.strict && ambiguousPath(x.orig.EscapedPath()) && slices.ContainsFunc(h.Rules, func(rule *Rule) bool {
		return !rule.LaxPath && rule.enforced(x.start)
	})
	if h.unmatched {
		x.tolerated = x.ambiguous && slices.ContainsFunc(h.Rules, func(rule *Rule) bool { return rule.LaxPath && rule.enforced(x.start) })
		return h.Rules, false
	}
	for _, rule := range h.Rules {
		switch {
		case x.ambiguous:
			if rule.OffBecause == "" {
				rules = append(rules, rule)
				x.tolerated = x.tolerated || rule.LaxPath && rule.enforced(x.start) && rule.matches(r)
			}
		case !rule.matches(r):
		case rule.OffBecause != "":
			return nil, true
		default:
			rules = append(rules, rule)
		}
	}
	return rules, false
}

// exchange returns the request's state; first is true for the first of our
// handlers that sees the request.
func (h *Handler) exchange(r *http.Request) (x *exchange, first bool) {
	if x, ok := caddyhttp.GetVar(r.Context(), exchangeVar).(*exchange); ok {
		return x, false
	}
	x = &exchange{start: time.Now(), orig: r.URL}
	if orig, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok && orig.URL != nil {
		x.orig = orig.URL
	}
	x.fwd = h.app.identifier.forwarded(r)
	caddyhttp.SetVar(r.Context(), exchangeVar, x)
	h.app.setPlaceholders(r, x)
	return x, true
}

// decide evaluates the rules' policies, and reads the credentials first unless
// the request's shape is at fault already. It returns the most severe decision of
// those that are enforced, or nil if nothing is enforced here, and the fault that
// it rests on. Policies on trial and shadows are evaluated and counted, and change
// nothing.
func (h *Handler) decide(r *http.Request, x *exchange, rules []*Rule, f fault) (fault, *decision.Decision) {
	app := h.app
	if !f.bad() {
		if !x.known {
			x.creds = app.identifier.identify(r, &x.fwd, x.start)
			x.known = true
		}
		f = x.creds.fault
		if !f.bad() {
			app.fillRequest(r, x)
		}
	}

	var worst *decision.Decision
	for _, rule := range rules {
		enforce, report := rule.policy.Split(x.start)
		if enforce != nil {
			d := &x.current
			app.evaluate(r, x, enforce, &f, d)
			app.meters.count(rule.policy.of(enforce), modeEnforce, d)
			worst = x.keepWorst(worst, d, rule)
		}
		if report != nil {
			app.evaluateForRecord(r, x, rule.policy.of(report), modeReport, &f)
		}
		if rule.shadow != nil {
			app.evaluateForRecord(r, x, rule.shadow, modeShadow, &f)
		}
	}
	if worst != nil {
		x.rule.policy.counters.seconds.Observe(time.Since(x.start).Seconds())
	}
	x.result = worst
	return f, worst
}

// keepWorst keeps the more severe of two decisions in x.worst. The reasons
// of the other one are joined to it, so that the person sees everything at once;
// only a stranger learns nothing but that a sign-in is needed.
func (x *exchange) keepWorst(worst, d *decision.Decision, rule *Rule) *decision.Decision {
	keep := &x.worst
	if worst == nil || d.Outcome > worst.Outcome {
		*keep, *d = *d, *keep
		x.rule = rule
		if worst == nil {
			return keep
		}
	}
	if keep.Outcome == decision.Authenticate && d.Outcome != decision.Authenticate {
		return keep
	}
	if len(keep.Findings) == 0 && len(d.Findings) > 0 { // both allow, this one with a warning
		*keep, *d = *d, *keep
		x.rule = rule
		return keep
	}
	for _, f := range d.Findings {
		if !keep.Has(f.Reason) {
			keep.Findings = append(keep.Findings, f)
		}
	}
	return keep
}

// fillRequest prepares what the engine sees.
func (a *App) fillRequest(r *http.Request, x *exchange) {
	if x.req.Identity != nil {
		return
	}
	e := x.creds.entry
	x.req = decision.Request{
		Now: x.start, Identity: &e.Identity, Method: r.Method, Path: x.orig.Path,
	}
	if a.needHost {
		x.req.Host = siteName(r)
	}
	if a.lookups {
		x.req.Posture = a.directory.Resolve(r.Context(), &e.Identity) // from memory, unless a source never heard of the device or user
	} else {
		x.req.Posture = a.directory.Posture(&e.Identity)
	}
	if a.needClientIP {
		x.req.ClientIP = clientIP(r)
	}
}

// evaluate makes one decision, from the request's fault if it has one.
func (a *App) evaluate(r *http.Request, x *exchange, p *decision.Policy, f *fault, d *decision.Decision) {
	if f.bad() {
		faultDecision(p, f, d)
		return
	}
	x.req.NoStepUp = false
	a.engine.Decide(p, &x.req, d)
	if d.Outcome == decision.RequestStepUp && !a.challenges.canStepUp(&x.req.Identity.User, clientKind(r) == navigation) {
		x.req.NoStepUp = true
		a.engine.Decide(p, &x.req, d)
	}
}

func (a *App) evaluateForRecord(r *http.Request, x *exchange, b *boundPolicy, mode int, f *fault) {
	d := &x.recorded
	a.evaluate(r, x, b.Policy, f, d)
	a.meters.count(b, mode, d)
	if d.Outcome != decision.Allow {
		a.record(r, x, d, mode, f)
	}
}

// faultDecision turns a fault into a decision of the policy.
func faultDecision(p *decision.Policy, f *fault, d *decision.Decision) {
	findings := append(d.Findings[:0], decision.Finding{Reason: f.reason, Effect: decision.EffectBlock, Param: f.param})
	*d = decision.Decision{Policy: p, Outcome: decision.Block, Findings: findings}
	switch {
	case f.ours:
		d.Outcome, d.Findings[0].Effect = decision.Undecided, decision.EffectUndecided
	case f.status == http.StatusUnauthorized:
		d.Outcome, d.Findings[0].Effect = decision.Authenticate, decision.EffectAuthenticate
	}
}

// admit prepares an allowed request for the app.
func (h *Handler) admit(r *http.Request, x *exchange, rules []*Rule) {
	if h.logged {
		h.app.logFields(r, x)
	}
	if x.result != nil && (h.app.logAll || len(x.result.Findings) > 0) {
		h.app.record(r, x, x.result, modeEnforce, &fault{})
	}
	if x.req.Identity == nil { // a bad credential under report_only: no identity
		return
	}
	x.ages = strictestAges(rules, x.start)
	for _, rule := range rules {
		if rule.StripToken && x.creds.ownBearer {
			delete(r.Header, "Authorization")
		}
		set := rule.headers &^ x.set
		x.set |= rule.headers
		if set.has(hDecision) {
			x.decisionID()
		}
		setHeaders(r.Header, set, x)
		if rule.Assertion && r.Header[headerAssertion] == nil {
			h.app.assert(r, x)
		}
	}
}

func (x *exchange) decisionID() string {
	if x.id == "" {
		x.id = newDecisionID()
	}
	return x.id
}

// rememberConnections gives every connection of a server its memo, once.
func (a *App) rememberConnections(srv *caddyhttp.Server) {
	if a.remembering[srv] {
		return
	}
	if a.remembering == nil {
		a.remembering = map[*caddyhttp.Server]bool{}
	}
	a.remembering[srv] = true
	srv.RegisterConnContext(withConnMemo)
}

// siteName is the host that the client asked for, in one spelling.
func siteName(r *http.Request) string { return strings.ToLower(bareHost(r.Host)) }

// clientIP is Caddy's resolved client address; invalid if there is none.
func clientIP(r *http.Request) netip.Addr {
	s, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	addr, err := netip.ParseAddr(s)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap()
}

var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
