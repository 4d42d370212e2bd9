package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/gatehouse-project/gatehouse/decision"
)

// checkRequest looks at the shape of a request, before any credential.
func (h *Handler) checkRequest(r *http.Request, x *exchange, rules []*Rule) (fault, preflight) {
	if h.app.identifier.forward != nil && r.TLS == nil && !x.fwd.peer && !fromHere(r.RemoteAddr) {
		// A site in clear that is not on loopback loads for the proxies of
		// forwarded_certificate: nobody else may use it.
		return fault{reason: decision.MisdirectedRequest, param: "plain_http", status: http.StatusMisdirectedRequest, close: true}, noPreflight
	}
	if x.ambiguous && !x.tolerated {
		return fault{reason: decision.PathNotAllowed, status: http.StatusBadRequest}, noPreflight
	}
	if !methodAllowed(r) {
		return fault{reason: decision.MethodNotAllowed, param: "method", status: http.StatusMethodNotAllowed}, noPreflight
	}
	if r.TLS != nil && !r.TLS.HandshakeComplete && r.Method != http.MethodGet && r.Method != http.MethodHead {
		return fault{reason: decision.EarlyData, status: http.StatusTooEarly}, noPreflight
	}
	if r.Method == http.MethodOptions && isPreflight(r) {
		return checkPreflight(r, rules, x.ambiguous)
	}
	if isWebSocket(r) && !originAllowed(r, rules, x.ambiguous) {
		return fault{reason: decision.OriginNotAllowed, param: "websocket", status: http.StatusForbidden}, noPreflight
	}
	return fault{}, noPreflight
}

// maxHost is the longest Host that is served: a name of 253 bytes, and a port.
const maxHost = 260

// refusal is a way in which a request is refused on every gated site, whatever its
// rules say.
type refusal uint8

const (
	refusedTarget refusal = iota
	refusedMethod
	numRefusals
)

// refusals are the label of the metric and what the client is told.
var refusals = [numRefusals]struct{ why, text string }{
	refusedTarget: {"target", "the request target is not a path on a site"},
	refusedMethod: {"method", "this method is never passed on"},
}

// refuse answers a request that no policy needs to see.
func (h *Handler) refuse(w http.ResponseWriter, why refusal) error {
	h.app.meters.refused[why].Inc()
	status := http.StatusBadRequest
	if why == refusedMethod {
		status = http.StatusMethodNotAllowed
		w.Header().Set("Allow", allowedMethods)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, err := io.WriteString(w, refusals[why].text+"\n")
	return err
}

// badTarget reports whether the request target is something else than a path on
// a site (RFC 9112, section 3.2): x:http://other/path, an empty path, or *.
func badTarget(r *http.Request, orig *url.URL) bool {
	return orig.Opaque != "" || r.URL.Opaque != "" || !strings.HasPrefix(orig.Path, "/") || len(r.Host) > maxHost
}

// enforced reports whether a decision of the rule counts now.
func (r *Rule) enforced(now time.Time) bool {
	if r.policy == nil {
		return false // off
	}
	p, _ := r.policy.Split(now)
	return p != nil
}

// enforcedOf returns the rules of which a decision counts now.
func enforcedOf(rules []*Rule, now time.Time, to []*Rule) []*Rule {
	for _, rule := range rules {
		if rule.enforced(now) {
			to = append(to, rule)
		}
	}
	if len(to) == len(rules) {
		return rules
	}
	return to
}

// strictestAges are the shortest limits of the policies that are enforced; of
// those on trial if none is.
func strictestAges(rules []*Rule, now time.Time) decision.Ages {
	var ages decision.Ages
	first := true
	add := func(a decision.Ages) {
		if first {
			ages, first = a, false
			return
		}
		ages.MaxAge, ages.StaleIfError = min(ages.MaxAge, a.MaxAge), min(ages.StaleIfError, a.StaleIfError)
	}
	for _, rule := range rules {
		if p, _ := rule.policy.Split(now); p != nil {
			add(p.Ages)
		}
	}
	if first {
		for _, rule := range rules {
			add(rule.policy.Ages)
		}
	}
	return ages
}

// isPreflight reports whether r is a CORS preflight (Fetch standard): it carries
// no credentials, so it is never challenged. A browser's has no body and does not
// ask to become something else; one that does is treated as any other request.
func isPreflight(r *http.Request) bool {
	return len(r.Header["Origin"]) == 1 && len(r.Header["Access-Control-Request-Method"]) == 1 &&
		noBody(r) && len(r.Header["Upgrade"]) == 0
}

// noBody reports whether a request announces no body. Over HTTP/3 the length is
// unknown without a Content-Length, also of a request that has none.
func noBody(r *http.Request) bool {
	return r.ContentLength == 0 || r.ContentLength == -1 && r.ProtoMajor == 3
}

// preflight is what becomes of a CORS preflight that is not at fault.
type preflight uint8

const (
	noPreflight       preflight = iota
	preflightAnswered           // by us, with 204
	preflightPassed             // on to the app, without credentials
)

// checkPreflight decides about a CORS preflight: 204 by us for a listed origin,
// the app's own answer if every rule passes preflights, else a plain 403. all:
// every rule must list the origin, because it is not certain which are meant.
func checkPreflight(r *http.Request, rules []*Rule, all bool) (fault, preflight) {
	pass := true
	for _, rule := range rules {
		pass = pass && rule.PreflightPass
	}
	switch {
	case listedOrigin(r, rules, all):
		return fault{}, preflightAnswered
	case pass:
		return fault{}, preflightPassed
	}
	return fault{reason: decision.PreflightNotAllowed, status: http.StatusForbidden}, noPreflight
}

// stripPreflight leaves a preflight that the app answers nothing to act on: no
// credentials, no body, no other method in disguise.
func stripPreflight(r *http.Request) {
	h := r.Header
	r.Body, r.ContentLength = http.NoBody, 0
	for _, name := range []string{"Authorization", "Cookie", "X-Http-Method", "X-Http-Method-Override", "X-Method-Override"} {
		delete(h, name)
	}
}

// listedOrigin reports whether the rules list the request's origin: at least one
// does, and none has a list without it. all: every rule must have it.
func listedOrigin(r *http.Request, rules []*Rule, all bool) bool {
	origin := strings.ToLower(r.Header.Get("Origin"))
	listed := false
	for _, rule := range rules {
		switch {
		case rule.origins[origin]:
			listed = true
		case all || len(rule.origins) > 0:
			return false
		}
	}
	return listed && origin != ""
}

// originAllowed guards websockets against other sites' pages: a browser sends
// certificates and cookies along by itself. A request without Origin is not from
// a page. A page that came in clear is another site, also under the same name.
func originAllowed(r *http.Request, rules []*Rule, all bool) bool {
	origins := r.Header["Origin"]
	if len(origins) == 0 {
		return true
	}
	if len(origins) > 1 {
		return false
	}
	scheme, host, ok := strings.Cut(origins[0], "://")
	if ok && strings.EqualFold(host, r.Host) && (r.TLS == nil || strings.EqualFold(scheme, "https")) {
		return true
	}
	return listedOrigin(r, rules, all)
}

// answerPreflight answers for the app. Only the listed origin learns anything.
func answerPreflight(w http.ResponseWriter, r *http.Request) error {
	h := w.Header()
	allowOrigin(h, r)
	h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST, PUT, PATCH, DELETE")
	if want := r.Header.Get("Access-Control-Request-Headers"); want != "" && len(want) <= 1024 {
		h.Set("Access-Control-Allow-Headers", want)
	}
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func allowOrigin(h http.Header, r *http.Request) {
	h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	h.Set("Access-Control-Allow-Credentials", "true")
	h.Set("Access-Control-Expose-Headers", "WWW-Authenticate, Retry-After")
	h.Add("Vary", "Origin")
}

// client is how a request wants to be refused.
type client uint8

const (
	script client = iota
	navigation
	embedded
	websocket
	grpc
)

// clientKind tells a person's navigation from a program's call. Fetch metadata
// comes first, because browsers cannot be made to lie in it; without it only a
// plain GET that prefers HTML is a navigation.
func clientKind(r *http.Request) client {
	if isWebSocket(r) {
		return websocket
	}
	if isGRPC(r) {
		return grpc
	}
	accept := r.Header.Get("Accept")
	if strings.Contains(accept, "text/event-stream") {
		return script
	}
	if mode := r.Header.Get("Sec-Fetch-Mode"); mode != "" {
		if mode != "navigate" {
			return script
		}
		switch r.Header.Get("Sec-Fetch-Dest") {
		case "iframe", "frame", "embed", "object", "fencedframe":
			return embedded
		}
		return navigation
	}
	if (r.Method == http.MethodGet || r.Method == http.MethodHead) && prefersHTML(accept) &&
		r.Header.Get("X-Requested-With") == "" && r.Header.Get("Authorization") == "" {
		return navigation
	}
	return script
}

// isGRPC is strict: the answer to a gRPC call is HTTP 200 whatever we decide, and
// nothing that only looks at the status must be led to think that it may pass.
func isGRPC(r *http.Request) bool {
	rest, ok := strings.CutPrefix(r.Header.Get("Content-Type"), "application/grpc")
	rest = strings.TrimPrefix(strings.TrimPrefix(rest, "-web"), "-text")
	return ok && r.ProtoMajor >= 2 && r.Method == http.MethodPost && (rest == "" || rest[0] == '+' || rest[0] == ';')
}

// prefersHTML reports whether HTML is named explicitly and ahead of JSON.
func prefersHTML(accept string) bool {
	accept = strings.ToLower(accept)
	html := strings.Index(accept, "text/html")
	if html < 0 || strings.HasPrefix(accept[html:], "text/html;q=0,") || strings.HasSuffix(accept, "text/html;q=0") {
		return false
	}
	json := strings.Index(accept, "json")
	return json < 0 || html < json
}

// checkServer refuses a site where tokens and verdicts would travel in clear.
func (h *Handler) checkServer(srv *caddyhttp.Server, httpPort uint) error {
	if h.app.needClientIP && trustsProxies(srv) && srv.TrustedProxiesStrict == 0 {
		for _, rule := range h.Rules {
			if rule.OffBecause == "" {
				return rule.at(errors.New("a policy looks at the client's address, and this server takes it from the first " +
					"entry of X-Forwarded-For, which clients can write: set trusted_proxies_strict in servers"))
			}
		}
	}
	if h.app.ForwardedCertificate != nil {
		return nil
	}
	for _, rule := range h.Rules {
		if rule.OffBecause != "" {
			continue
		}
		for _, listen := range srv.Listen {
			addr, err := caddy.ParseNetworkAddress(listen)
			if err == nil && (addr.IsUnixNetwork() || isLoopback(addr.Host)) {
				continue
			}
			// Caddy serves its HTTP port in clear even on a server with TLS.
			if err == nil && len(srv.TLSConnPolicies) > 0 && (addr.StartPort > httpPort || addr.EndPort < httpPort) {
				continue
			}
			return rule.at(fmt.Errorf("the site listens on %s without TLS: use https, bind it to loopback, "+
				"or name the proxy in front in forwarded_certificate", listen))
		}
	}
	return nil
}

// trustsProxies reports whether the server takes client addresses from a header.
// Caddy clears the configuration when it has loaded it, and keeps the result to
// itself; a test watches that it is still found there.
func trustsProxies(srv *caddyhttp.Server) bool {
	if srv.TrustedProxiesRaw != nil {
		return true
	}
	v := reflect.ValueOf(srv).Elem().FieldByName("trustedProxies")
	return v.IsValid() && !v.IsNil()
}

// fromHere reports whether the peer is this machine: loopback, or a unix socket.
func fromHere(remote string) bool {
	ap, err := netip.ParseAddrPort(remote)
	return err != nil || ap.Addr().Unmap().IsLoopback()
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}
