package caddymodule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/gatehouse-project/gatehouse/decision"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("compliance", parseApp)
}

// parseApp reads the global option `compliance { … }`. Everything that the words
// alone can show wrong is refused here, with file and line.
func parseApp(d *caddyfile.Dispenser, prev any) (any, error) {
	if prev != nil {
		return nil, d.Errf("a second compliance option; put everything into one")
	}
	app := &App{}
	d.Next() // the option's name
	if d.NextArg() {
		return nil, d.ArgErr()
	}
	seen := map[string]bool{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		word := d.Val()
		parse, ok := appWords[word]
		if !ok {
			return nil, d.Errf("unknown word %q in compliance; known: %s", word, strings.Join(sortedKeys(appWords), ", "))
		}
		if !repeatable[word] {
			if seen[word] {
				return nil, d.Errf("%s is given twice", word)
			}
			seen[word] = true
		}
		err := parse(d, app)
		if err != nil {
			return nil, err
		}
	}
	return httpcaddyfile.App{Name: "compliance", Value: caddyconfig.JSON(app, nil)}, nil
}

var repeatable = map[string]bool{"issuer": true, "source": true, "step_up": true, "policy": true}

var appWords map[string]func(*caddyfile.Dispenser, *App) error

func init() {
	appWords = map[string]func(*caddyfile.Dispenser, *App) error{
		"issuer":                parseIssuer,
		"client_certificate":    parseClientCertificate,
		"forwarded_certificate": parseForwardedCertificate,
		"source":                parseSource,
		"cache":                 parseCache,
		"keys":                  parseKeys,
		"state":                 func(d *caddyfile.Dispenser, a *App) error { return value(d, &a.StateDir) },
		"step_up":               parseStepUp,
		"policy":                parsePolicy,
		"support":               parseSupport,
		"pages":                 func(d *caddyfile.Dispenser, a *App) error { return value(d, &a.PagesDir) },
		"privacy":               parsePrivacy,
		"decision_log":          func(d *caddyfile.Dispenser, a *App) error { return choice(d, &a.DecisionLog, "refusals", "all") },
		"operator_token":        func(d *caddyfile.Dispenser, a *App) error { return value(d, &a.OperatorToken) },
	}
}

// block walks a nested block, refusing unknown and repeated words.
func block(d *caddyfile.Dispenser, what string, words map[string]func(word string) error, again ...string) error {
	if d.NextArg() {
		return d.ArgErr()
	}
	seen := map[string]bool{}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		word := d.Val()
		f, ok := words[word]
		if !ok {
			return d.Errf("unknown word %q in %s; known: %s", word, what, strings.Join(sortedKeys(words), ", "))
		}
		if seen[word] && !slices.Contains(again, word) {
			return d.Errf("%s is given twice in %s", word, what)
		}
		seen[word] = true
		err := f(word)
		if err != nil {
			return err
		}
	}
	return nil
}

func value(d *caddyfile.Dispenser, to *string) error {
	if !d.NextArg() || d.Val() == "" {
		return d.ArgErr()
	}
	*to = d.Val()
	if d.NextArg() {
		return d.ArgErr()
	}
	return nil
}

func choice(d *caddyfile.Dispenser, to *string, allowed ...string) error {
	word := d.Val()
	err := value(d, to)
	if err != nil {
		return err
	}
	if !slices.Contains(allowed, *to) {
		return d.Errf("%s is one of %s, not %q", word, strings.Join(allowed, ", "), *to)
	}
	return nil
}

func values(d *caddyfile.Dispenser, to *[]string) error {
	more := d.RemainingArgs()
	if len(more) == 0 || slices.Contains(more, "") {
		return d.ArgErr()
	}
	*to = append(*to, more...)
	return nil
}

func duration(d *caddyfile.Dispenser, to *caddy.Duration) error {
	word := d.Val()
	var s string
	err := value(d, &s)
	if err != nil {
		return err
	}
	v, err := caddy.ParseDuration(s)
	if err != nil || v <= 0 {
		return d.Errf("%s %q is not a duration such as 15m, 4h or 14d", word, s)
	}
	*to = caddy.Duration(v)
	return nil
}

func count(d *caddyfile.Dispenser, to *int) error {
	word := d.Val()
	var s string
	err := value(d, &s)
	if err != nil {
		return err
	}
	n, err := strconv.Atoi(s)
	if err != nil || n <= 0 {
		return d.Errf("%s %q is not a positive number", word, s)
	}
	*to = n
	return nil
}

func parseIssuer(d *caddyfile.Dispenser, app *App) error {
	is := &Issuer{Place: place(d)}
	if !d.NextArg() {
		return d.ArgErr()
	}
	is.Name = d.Val()
	if d.NextArg() {
		is.URL = d.Val()
	}
	for _, other := range app.Issuers {
		if other.Name == is.Name {
			return d.Errf("issuer %q is defined twice", is.Name)
		}
	}
	err := block(d, "issuer", map[string]func(string) error{
		"tenant":       func(string) error { is.Entra = true; return value(d, &is.Tenant) },
		"audience":     func(string) error { return values(d, &is.Audience) },
		"algorithms":   func(string) error { return values(d, &is.Algorithms) },
		"types":        func(string) error { return values(d, &is.Types) },
		"device_claim": func(string) error { return deviceClaim(d, is) },
		"groups_claim": func(string) error { return value(d, &is.GroupsClaim) },
		"name_claim":   func(string) error { return values(d, &is.NameClaim) },
		"leeway":       func(string) error { return duration(d, &is.Leeway) },
		"keys_max_stale": func(string) error {
			return duration(d, &is.KeysMaxStale)
		},
		"jwks": func(string) error { return jwks(d, is) },
	})
	if err != nil {
		return err
	}
	switch {
	case is.Name == decision.IssuerCertificate:
		return d.Errf("an issuer cannot be called %q: that name stands for client certificates", is.Name)
	case is.Entra && is.URL != "":
		return d.Errf("issuer %s: give a URL, or a tenant for Entra ID, not both", is.Name)
	case !is.Entra && is.URL == "":
		return d.Errf("issuer %s needs its URL, or a tenant for Entra ID", is.Name)
	case len(is.Audience) == 0:
		return d.Errf("issuer %s needs at least one audience: without it a token for any other app would pass", is.Name)
	}
	app.Issuers = append(app.Issuers, is)
	return nil
}

func deviceClaim(d *caddyfile.Dispenser, is *Issuer) error {
	args := d.RemainingArgs()
	if len(args) != 2 {
		return d.Errf("device_claim takes the claim and the kind of id in it: entra, intune, serial or a name of yours")
	}
	is.DeviceClaim, is.DeviceKind = args[0], args[1]
	return nil
}

func jwks(d *caddyfile.Dispenser, is *Issuer) error {
	args := d.RemainingArgs()
	switch {
	case len(args) == 1 && strings.Contains(args[0], "://"):
		is.JWKS = args[0]
	case len(args) == 2 && args[0] == "file":
		is.JWKSFile = args[1]
	default:
		return d.Errf("jwks takes a URL, or file PATH")
	}
	return nil
}

func parseClientCertificate(d *caddyfile.Dispenser, app *App) error {
	cc := &ClientCertificate{Place: place(d)}
	app.ClientCertificate = cc
	words := func(to *[][]string) func(string) error {
		return func(string) error {
			args := d.RemainingArgs()
			if len(args) == 0 {
				return d.ArgErr()
			}
			*to = append(*to, args)
			return nil
		}
	}
	err := block(d, "client_certificate", map[string]func(string) error{
		"trust_pool": func(string) error {
			args := d.RemainingArgs()
			if len(args) < 2 || args[0] != "file" {
				return d.Errf("trust_pool takes file PATH...")
			}
			cc.TrustPool = append(cc.TrustPool, args[1:]...)
			return nil
		},
		"device_id":     words(&cc.DeviceID),
		"user_id":       words(&cc.UserID),
		"intune_tenant": func(string) error { return value(d, &cc.IntuneTenant) },
		"revocation": func(string) error {
			args := d.RemainingArgs()
			if len(args) < 2 || args[0] != "crl" {
				return d.Errf("revocation takes crl URL-or-FILE...")
			}
			cc.CRL = append(cc.CRL, args[1:]...)
			return nil
		},
		"allow_any_eku": func(string) error {
			cc.AllowAnyEKU = true
			if d.NextArg() {
				return d.ArgErr()
			}
			return nil
		},
	}, "device_id", "user_id", "trust_pool", "revocation")
	if err != nil {
		return err
	}
	err = cc.validate()
	if err != nil {
		return fmt.Errorf("%s: %w", cc.Place, err)
	}
	return nil
}

func parseForwardedCertificate(d *caddyfile.Dispenser, app *App) error {
	fc := &ForwardedCertificate{Place: place(d)}
	app.ForwardedCertificate = fc
	if !d.NextArg() {
		return d.ArgErr()
	}
	fc.Dialect = d.Val()
	err := block(d, "forwarded_certificate", map[string]func(string) error{
		"from": func(string) error { return values(d, &fc.From) },
	}, "from")
	if err != nil {
		return err
	}
	_, _, err = fc.compile()
	if err != nil {
		return fmt.Errorf("%s: %w", fc.Place, err)
	}
	return nil
}

func parseSource(d *caddyfile.Dispenser, app *App) error {
	if !d.NextArg() {
		return d.ArgErr()
	}
	kind := d.Val()
	info, err := caddy.GetModule("compliance.sources." + kind)
	if err != nil {
		return d.Errf("unknown source %q; known: %s", kind, strings.Join(sourceKinds(), ", "))
	}
	at := place(d)
	unm, ok := info.New().(caddyfile.Unmarshaler)
	if !ok {
		return d.Errf("source %q cannot be configured in a Caddyfile", kind)
	}
	err = unm.UnmarshalCaddyfile(d)
	if err != nil {
		return err
	}
	if p, ok := unm.(interface{ SetPlace(string) }); ok {
		p.SetPlace(at)
	}
	app.SourcesRaw = append(app.SourcesRaw, caddyconfig.JSONModuleObject(unm, "source", kind, nil))
	return nil
}

func sourceKinds() []string {
	var kinds []string
	for _, m := range caddy.GetModules("compliance.sources") {
		kinds = append(kinds, m.ID.Name())
	}
	return kinds
}

func parseCache(d *caddyfile.Dispenser, app *App) error {
	app.Cache = &Cache{}
	return block(d, "cache", map[string]func(string) error{
		"capacity": func(string) error { return count(d, &app.Cache.Capacity) },
		"tokens":   func(string) error { return count(d, &app.Cache.Tokens) },
	})
}

func parseKeys(d *caddyfile.Dispenser, app *App) error {
	args := d.RemainingArgs()
	switch {
	case len(args) == 1 && args[0] == "storage":
		app.Keys = &Keys{}
	case len(args) == 2 && args[0] == "dir":
		app.Keys = &Keys{Dir: args[1]}
	default:
		return d.Errf("keys takes storage, or dir PATH")
	}
	return nil
}

func parseSupport(d *caddyfile.Dispenser, app *App) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return d.Errf("support takes a name and, if there is one, a URL")
	}
	app.Support = &Support{Name: args[0]}
	if len(args) == 2 {
		app.Support.URL = args[1]
	}
	return nil
}

func parsePrivacy(d *caddyfile.Dispenser, app *App) error {
	p := &Privacy{}
	app.Privacy = p
	return block(d, "privacy", map[string]func(string) error{
		"users":   func(string) error { return choice(d, &p.Users, "clear", "hash", "omit") },
		"devices": func(string) error { return choice(d, &p.Devices, "clear", "hash", "omit") },
		"retain": func(string) error {
			if !d.NextArg() || d.Val() != "decisions" {
				return d.Errf("retain takes decisions DURATION")
			}
			return duration(d, &p.RetainDecisions)
		},
	})
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
