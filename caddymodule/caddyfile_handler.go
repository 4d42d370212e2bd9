package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	httpcaddyfile.RegisterDirective("compliance", parseDirective)
	// Before redir and every rewrite: policy sees what the client sent.
	httpcaddyfile.RegisterDirectiveOrder("compliance", httpcaddyfile.Before, "redir")
}

// parseDirective reads one line
//
//	compliance [matcher] POLICY {
//	    shadow POLICY
//	    identity_headers NAME…
//	    assertion on
//	    strip_token
//	    cors_origins ORIGIN…
//	    preflight pass
//	    strict_path off
//	    errors caddy
//	}
//	compliance [matcher] off because "…"
//
// All lines of one site block become one handler, so that policies apply
// together, an `off` wins over its neighbours, and our own paths are answered
// whatever the matchers say.
func parseDirective(h httpcaddyfile.Helper) ([]httpcaddyfile.ConfigValue, error) {
	if !h.Next() {
		return nil, h.ArgErr()
	}
	where := place(h.Dispenser)
	matcher, err := h.ExtractMatcherSet()
	if err != nil {
		return nil, at(where, err)
	}
	h.Next() // the directive's name
	rule := &Rule{MatchRaw: matcher, Place: where}
	err = parseRule(h.Dispenser, rule)
	if err != nil {
		return nil, err
	}
	err = checkPolicyNames(h, rule)
	if err != nil {
		return nil, err
	}

	if block := blockOf(h); block != nil {
		if block.handler != nil {
			block.handler.Rules = append(block.handler.Rules, rule)
			block.raw[0] = caddyconfig.JSONModuleObject(block.handler, "handler", "compliance", nil)
			return nil, nil
		}
		block.handler = &Handler{Rules: []*Rule{rule}}
		values := h.NewRoute(nil, block.handler)
		block.raw = rawHandlers(values)
		return values, nil
	}
	return h.NewRoute(nil, &Handler{Rules: []*Rule{rule}}), nil
}

func parseRule(d *caddyfile.Dispenser, rule *Rule) error {
	if !d.NextArg() {
		return d.Errf("compliance needs a policy's name, or off because \"...\"")
	}
	name := d.Val()
	if name == "off" {
		if !d.NextArg() || d.Val() != "because" || !d.NextArg() || d.Val() == "" {
			return d.Errf("write why: compliance off because \"...\"")
		}
		rule.OffBecause = d.Val()
	} else {
		rule.Policy = name
	}
	err := block(d, "compliance", ruleWords(d, rule))
	if err != nil {
		return err
	}
	err = rule.validate()
	if err != nil {
		return at(rule.Place, err)
	}
	return nil
}

// ruleWords are the options of one line.
func ruleWords(d *caddyfile.Dispenser, rule *Rule) map[string]func(string) error {
	onOff := func(to *bool, when string) func(string) error {
		return func(string) error {
			var v string
			err := choice(d, &v, "on", "off")
			*to = v == when
			return err
		}
	}
	only := func(to *bool, word string) func(string) error {
		return func(string) error {
			var v string
			*to = true
			return choice(d, &v, word)
		}
	}
	return map[string]func(string) error{
		"shadow": func(string) error { return value(d, &rule.Shadow) },
		"identity_headers": func(string) error {
			err := values(d, &rule.IdentityHeaders)
			if err != nil {
				return err
			}
			_, err = parseHeaderSet(rule.IdentityHeaders)
			if err != nil {
				return d.Err(err.Error())
			}
			return nil
		},
		"assertion":   onOff(&rule.Assertion, "on"),
		"strip_token": func(string) error { rule.StripToken = true; return nothingMore(d) },
		"cors_origins": func(string) error {
			err := values(d, &rule.CORSOrigins)
			for _, o := range rule.CORSOrigins {
				if err == nil && checkOrigin(o) != nil {
					err = d.Err(checkOrigin(o).Error())
				}
			}
			return err
		},
		"preflight":   only(&rule.PreflightPass, "pass"),
		"strict_path": onOff(&rule.LaxPath, "off"),
		"errors":      only(&rule.CaddyErrors, "caddy"),
	}
}

// checkPolicyNames refuses a policy that the global option does not define, while
// file and line are still known.
func checkPolicyNames(h httpcaddyfile.Helper, rule *Rule) error {
	opt, ok := h.Option("compliance").(httpcaddyfile.App)
	if !ok {
		return at(rule.Place, errors.New("there is no global option `compliance { ... }` that defines policies"))
	}
	var app struct {
		Policies []struct {
			Name string `json:"name"`
		} `json:"policies"`
	}
	err := json.Unmarshal(opt.Value, &app)
	if err != nil {
		return h.Errf("reading global option compliance: %v", err)
	}
	known := make([]string, 0, len(app.Policies))
	for _, p := range app.Policies {
		known = append(known, p.Name)
	}
	for _, name := range []string{rule.Policy, rule.Shadow} {
		if name != "" && !slices.Contains(known, name) {
			return at(rule.Place, fmt.Errorf("unknown policy %q; known: %s", name, orNone(known)))
		}
	}
	return nil
}

// siteBlock is what the lines of one block share while it is parsed.
type siteBlock struct {
	keep    reflect.Value // holds the block's matcher map, so that its address stays its own
	handler *Handler
	raw     []json.RawMessage
}

// blockOf finds the block that a directive stands in. Caddy gives a directive no
// name for its block, but each block has a matcher table of its own, and that
// table's address tells blocks apart. If a later Caddy hides it, every line
// becomes a handler of its own: stricter, never laxer (an `off` then has no
// neighbours to override). A golden test watches this.
func blockOf(h httpcaddyfile.Helper) *siteBlock {
	defs := reflect.ValueOf(h).FieldByName("matcherDefs")
	if !defs.IsValid() || defs.Kind() != reflect.Map || defs.IsNil() {
		return nil
	}
	const key = "gatehouse.compliance.blocks"
	blocks, ok := h.State[key].(map[uintptr]*siteBlock)
	if !ok {
		blocks = map[uintptr]*siteBlock{}
		h.State[key] = blocks
	}
	b := blocks[defs.Pointer()]
	if b == nil {
		b = &siteBlock{keep: defs}
		blocks[defs.Pointer()] = b
	}
	return b
}

// rawHandlers returns the handler list inside a freshly made route. The slice is
// shared with the route, so writing to it changes the route.
func rawHandlers(values []httpcaddyfile.ConfigValue) []json.RawMessage {
	for _, v := range values {
		if route, ok := v.Value.(caddyhttp.Route); ok {
			return route.HandlersRaw
		}
	}
	return nil
}

func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
