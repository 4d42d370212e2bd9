package caddymodule

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// walker follows the routes of one server in the order in which Caddy runs them.
type walker struct {
	*linter
	server string
	srv    *lintServer

	rules    []coverRule
	caches   []point
	epoch    int // of the present point
	epochs   int // the latest one given out
	depth    int
	visits   int
	invoked  []string
	onErrors bool
}

// point is a handler's place.
type point struct {
	place, path string
	chain       []step
}

// Bounds of one server's routes, far above what people write. Named routes that
// invoke each other could multiply without end.
const (
	maxDepth  = 64
	maxVisits = 200_000 // handlers
)

func (l *linter) walk(name string, srv *lintServer) {
	w := &walker{linter: l, server: name, srv: srv}
	root := "apps.http.servers." + name
	w.routes(srv.Routes, root+".routes", nil)
	w.ownPaths(root)
	if srv.Errors != nil {
		// Error routes run for requests that were refused, too.
		e := &walker{linter: l, server: name, srv: srv, onErrors: true}
		e.routes(srv.Errors.Routes, root+".errors.routes", nil)
	}
}

// routes walks a list. Routes of one group exclude each other, so a rewrite in
// one of them is not seen by its neighbours.
func (w *walker) routes(rs []lintRoute, path string, chain []step) {
	w.depth++
	defer func() { w.depth-- }()
	if w.depth > maxDepth {
		w.add(SeverityWarning, "too_deep", w.place(chain), path, "routes are nested too deeply to follow", "flatten them")
		return
	}
	group, entry, after := "", w.epoch, w.epoch
	for i := range rs {
		r := &rs[i]
		if r.Group == "" || r.Group != group {
			group, entry = r.Group, after
		}
		w.epoch = entry
		caches := len(w.caches)
		w.route(r, fmt.Sprintf("%s[%d]", path, i), chain)
		if r.Terminal || r.Group != "" {
			w.caches = w.caches[:caches]
		}
		if !r.Terminal && w.epoch != entry {
			after = w.epoch
		}
	}
	w.epoch = after
}

func (w *walker) route(r *lintRoute, path string, chain []step) {
	if len(r.Match) > 0 {
		chain = append(slices.Clip(chain), step{r.Match, w.epoch})
		for _, set := range r.Match {
			w.usesCertificate(set, path+".match", chain)
		}
	}
	for k, raw := range r.Handle {
		w.handler(raw, fmt.Sprintf("%s.handle[%d]", path, k), chain)
	}
}

// lintHandler is what Lint reads of any handler.
type lintHandler struct {
	Handler string      `json:"handler"`
	Routes  []lintRoute `json:"routes"`
	Errors  *lintRoutes `json:"errors"`
	Name    string      `json:"name"` // of invoke
	Rules   []*Rule     `json:"rules"`

	Upstreams []struct {
		Dial string `json:"dial"`
	} `json:"upstreams"`
	DynamicUpstreams json.RawMessage `json:"dynamic_upstreams"`
	StreamCloseDelay json.RawMessage `json:"stream_close_delay"`
	HandleResponse   []lintRoutes    `json:"handle_response"`

	StatusCode any  `json:"status_code"`
	Abort      bool `json:"abort"`
}

// Handlers that pass requests on or change them, and never answer with content.
var passing = map[string]bool{
	"acme_server": true, "authentication": true, "copy_response": true, "copy_response_headers": true, "encode": true,
	"error": true, "headers": true, "intercept": true, "log_append": true, "map": true, "push": true, "request_body": true,
	"templates": true, "timeouts": true, "tracing": true, "vars": true,
}

// Handlers that answer from a shared store.
var sharedCaches = map[string]bool{"cache": true, "souin": true}

func (w *walker) handler(raw json.RawMessage, path string, chain []step) {
	w.visits++
	if w.visits >= maxVisits {
		if w.visits == maxVisits {
			w.add(SeverityWarning, "too_many", w.server, path, "there are too many handlers to follow", "split the server")
		}
		return
	}
	var h lintHandler
	err := json.Unmarshal(raw, &h)
	if err != nil {
		// A handler of somebody's own may spell our names differently.
		_ = json.Unmarshal(raw, &struct {
			Handler *string `json:"handler"`
		}{&h.Handler})
	}
	w.handlerUsesCertificate(raw, h.Handler, path, chain)
	switch {
	case h.Handler == "compliance":
		w.compliance(&h, chain)
	case h.Handler == "subroute":
		w.routes(h.Routes, path+".routes", chain)
		if h.Errors != nil {
			before := w.onErrors
			w.onErrors = true
			w.routes(h.Errors.Routes, path+".errors.routes", chain)
			w.onErrors = before
		}
	case h.Handler == "invoke":
		w.invoke(h.Name, path, chain)
	case h.Handler == "rewrite":
		w.epochs++
		w.epoch = w.epochs
	case h.Handler == "reverse_proxy":
		w.reverseProxy(&h, path, chain)
	case sharedCaches[h.Handler]:
		w.caches = append(w.caches, point{w.place(chain), path, chain})
	case h.Handler == "static_response" && (h.Abort || redirects(h.StatusCode) || w.onErrors):
		// In an error route it is the message of a refusal.
	case h.Handler == "file_server" || h.Handler == "static_response" || h.Handler == "metrics":
		if c := cover(w.rules, chain); !c.full && len(c.partial) == 0 {
			w.add(SeverityNote, "open_content", w.place(chain), path, h.Handler+" answers without compliance",
				"say so with `compliance off because \"...\"`, or put a policy in front")
		}
	case passing[h.Handler]:
		for i := range h.HandleResponse {
			w.routes(h.HandleResponse[i].Routes, fmt.Sprintf("%s.handle_response[%d].routes", path, i), chain)
		}
	default:
		if c := cover(w.rules, chain); !c.full {
			w.add(SeverityWarning, "open_handler", w.place(chain), path,
				fmt.Sprintf("handler %s is not known to lint and runs without compliance", h.Handler),
				"put `compliance POLICY` in front of it if it answers requests")
		}
	}
}

func redirects(status any) bool {
	s := fmt.Sprint(status)
	return len(s) == 3 && s[0] == '3'
}

func (w *walker) compliance(h *lintHandler, chain []step) {
	w.gated[w.server] = true
	for _, r := range h.Rules {
		if r == nil {
			continue
		}
		c := coverRule{chain: chain, own: step{epoch: w.epoch}, rule: r}
		if len(r.MatchRaw) > 0 {
			c.own.sets = []matchSet{matchSet(r.MatchRaw)}
		}
		w.rules = append(w.rules, c)
	}
	for _, p := range w.caches {
		w.add(SeverityError, "cache_in_front", p.place, p.path,
			"a shared cache stands in front of compliance and answers without asking it",
			"order it after compliance, such as `order cache after compliance`")
	}
	w.caches = nil
}

// invoke follows a named route, once per way to it.
func (w *walker) invoke(name, path string, chain []step) {
	r := w.srv.NamedRoutes[name]
	if r == nil || slices.Contains(w.invoked, name) {
		return
	}
	w.invoked = append(w.invoked, name)
	w.depth++
	if w.depth <= maxDepth {
		w.route(r, path+" > named_routes."+name, chain)
	}
	w.depth--
	w.invoked = w.invoked[:len(w.invoked)-1]
}

func (w *walker) reverseProxy(h *lintHandler, path string, chain []step) {
	place := w.place(chain)
	to := h.target()
	for _, u := range h.Upstreams {
		if w.isAdmin(u.Dial) {
			w.add(SeverityError, "admin_upstream", place, path,
				fmt.Sprintf("reverse_proxy leads to Caddy's own admin endpoint, %s", u.Dial),
				"remove it: whoever reaches that endpoint can replace the whole configuration")
		}
	}
	c := cover(w.rules, chain)
	switch {
	case c.full:
		if c.checked && !isDuration(h.StreamCloseDelay) {
			w.add(SeverityWarning, "no_stream_close_delay", place, path,
				fmt.Sprintf("reverse_proxy to %s has no stream_close_delay, so every reload cuts websockets and other streams", to),
				"add `stream_close_delay 24h` to it")
		}
	case w.onErrors:
		w.add(SeverityError, "error_upstream", place, path,
			fmt.Sprintf("handle_errors sends refused requests to %s", to),
			"answer errors with respond or file_server, or put `compliance POLICY` into handle_errors")
	case len(c.partial) > 0:
		var only, places []string
		for _, r := range c.partial {
			only = append(only, r.own.words())
			if r.rule.Place != "" && !slices.Contains(places, r.rule.Place) {
				places = append(places, r.rule.Place)
			}
		}
		w.add(SeverityWarning, "partly_covered", firstOf(strings.Join(places, ", "), place), path,
			fmt.Sprintf("on %s the rules cover only %s; every other request reaches %s unchecked", place, strings.Join(only, " and "), to),
			"add a rule without a matcher: a policy, or `compliance off because \"...\"`")
	default:
		w.add(SeverityError, "not_covered", place, path, fmt.Sprintf("%s is reached without compliance", to),
			"put `compliance POLICY` into the site, or `compliance off because \"...\"` if it is open on purpose")
	}
	for i := range h.HandleResponse {
		w.routes(h.HandleResponse[i].Routes, fmt.Sprintf("%s.handle_response[%d].routes", path, i), chain)
	}
}

func (h *lintHandler) target() string {
	var to []string
	for _, u := range h.Upstreams {
		to = append(to, u.Dial)
	}
	if len(to) == 0 {
		return "a dynamic upstream"
	}
	return strings.Join(to, ", ")
}

func isDuration(raw json.RawMessage) bool {
	return len(raw) > 0 && string(raw) != "0" && string(raw) != `""` && string(raw) != "null"
}

// place names a point by the matchers on the way to it.
func (w *walker) place(chain []step) string {
	var parts []string
	for _, t := range chain {
		if s := t.words(); s != "" {
			parts = append(parts, s)
		}
	}
	if len(parts) == 0 {
		parts = append(parts, w.server+" "+strings.Join(w.srv.Listen, ","))
	}
	return strings.Join(parts, " ")
}
