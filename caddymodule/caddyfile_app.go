package caddymodule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/gatehouse-project/gatehouse/caddymodule/pages"
	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/identity"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("compliance", parseApp)
}

// parseApp reads the global option `compliance { … }`. Everything that the words
// alone can show wrong is refused here, with file and line.
func parseApp(d *caddyfile.Dispenser, prev any) (any, error) {
	d.Next() // the option's name
	if prev != nil {
		return nil, d.Errf("a second compliance option; put everything into one")
	}
	app := &App{Place: place(d)}
	words := make(map[string]func(string) error, len(appWords))
	for word, parse := range appWords {
		words[word] = func(string) error { return parse(d, app) }
	}
	err := block(d, "compliance", words, "issuer", "microsoft", "source", "step_up", "policy")
	if err == nil {
		err = app.checkWords()
	}
	if err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "compliance", Value: caddyconfig.JSON(app, nil)}, nil
}

var appWords map[string]func(*caddyfile.Dispenser, *App) error

func init() {
	appWords = map[string]func(*caddyfile.Dispenser, *App) error{
		"issuer":                parseIssuer,
		"client_certificate":    parseClientCertificate,
		"forwarded_certificate": parseForwardedCertificate,
		"microsoft":             parseMicrosoft,
		"source":                parseSource,
		"cache":                 parseCache,
		"keys":                  parseKeys,
		"state":                 func(d *caddyfile.Dispenser, a *App) error { return value(d, &a.StateDir) },
		"step_up":               parseStepUp,
		"policy":                parsePolicy,
		"support":               parseSupport,
		"pages":                 func(d *caddyfile.Dispenser, a *App) error { return value(d, &a.PagesDir) },
		"privacy":               parsePrivacy,
		"decision_log":          func(d *caddyfile.Dispenser, a *App) error { return choice(d, &a.DecisionLog, decisionLogs...) },
		"operator_token":        parseOperatorToken,
	}
}

func parseIssuer(d *caddyfile.Dispenser, app *App) error {
	is := &Issuer{Place: place(d)}
	if !d.NextArg() {
		return d.Errf("issuer needs a name")
	}
	is.Name = d.Val()
	if d.NextArg() {
		is.URL = d.Val()
	}
	for _, other := range app.Issuers {
		if other.Name == is.Name {
			return d.Errf("issuer %q is defined twice", is.Name)
		}
		if is.URL != "" && other.URL == is.URL {
			return d.Errf("issuer %s has the same URL as issuer %s", is.Name, other.Name)
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
	err = is.check()
	if err != nil {
		return at(is.Place, err)
	}
	app.Issuers = append(app.Issuers, is)
	return nil
}

// check finds what the words of an issuer show wrong. What stands in placeholders
// is not known before the configuration is loaded.
func (is *Issuer) check() error {
	switch {
	case is.Name == decision.IssuerCertificate:
		return fmt.Errorf("an issuer cannot be called %q: that name stands for client certificates", is.Name)
	case is.Entra && is.URL != "":
		return fmt.Errorf("issuer %s: give a URL, or a tenant for Entra ID, not both", is.Name)
	case !is.Entra && is.URL == "":
		return fmt.Errorf("issuer %s needs its URL, or a tenant for Entra ID", is.Name)
	case len(is.Audience) == 0:
		return fmt.Errorf("issuer %s needs at least one audience: without it a token for any other app would pass", is.Name)
	}
	later := func(s, stand string) string {
		if strings.Contains(s, "{") {
			return stand
		}
		return s
	}
	_, err := identity.NewTokens(identity.TokenOptions{CacheEntries: 1, Issuers: []identity.IssuerOptions{{
		Name: is.Name, Entra: is.Entra, Tenant: later(is.Tenant, "00000000-0000-4000-8000-000000000000"),
		URL: later(is.URL, "https://placeholder.invalid"), JWKSURL: later(is.JWKS, ""),
		Audiences: is.Audience, Algorithms: is.Algorithms, Types: is.Types, DeviceClaim: is.DeviceClaim, DeviceKind: is.DeviceKind,
		GroupsClaim: is.GroupsClaim, NameClaims: is.NameClaim,
		Leeway: time.Duration(is.Leeway), MaxStale: time.Duration(is.KeysMaxStale),
	}}})
	var wrong *identity.IssuerError
	if errors.As(err, &wrong) {
		return fmt.Errorf("issuer %s: %w", is.Name, wrong.Err)
	}
	return err
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
	words := func(to *[][]string, check func([]string) error) func(string) error {
		return func(word string) error {
			args := d.RemainingArgs()
			err := check(args)
			if err != nil {
				return d.Errf("%s: %v", word, err)
			}
			*to = append(*to, args)
			return nil
		}
	}
	device := func(w []string) error { _, err := identity.ParseDeviceMapping(w); return err }
	user := func(w []string) error { _, err := identity.ParseUserMapping(w); return err }
	err := block(d, "client_certificate", map[string]func(string) error{
		"trust_pool": func(string) error {
			args := d.RemainingArgs()
			if len(args) < 2 || args[0] != "file" || slices.Contains(args, "") {
				return d.Errf("trust_pool takes file PATH...")
			}
			cc.TrustPool = append(cc.TrustPool, args[1:]...)
			return nil
		},
		"device_id":     words(&cc.DeviceID, device),
		"user_id":       words(&cc.UserID, user),
		"intune_tenant": func(string) error { return value(d, &cc.IntuneTenant) },
		"revocation": func(string) error {
			args := d.RemainingArgs()
			if len(args) < 2 || args[0] != "crl" || slices.Contains(args, "") {
				return d.Errf("revocation takes crl URL-or-FILE...")
			}
			cc.CRL = append(cc.CRL, args[1:]...)
			return nil
		},
		"allow_any_eku": func(string) error {
			cc.AllowAnyEKU = true
			return nothingMore(d)
		},
	}, "device_id", "user_id", "trust_pool", "revocation")
	if err != nil {
		return err
	}
	err = cc.validate()
	if err != nil {
		return at(cc.Place, err)
	}
	return nil
}

func parseForwardedCertificate(d *caddyfile.Dispenser, app *App) error {
	fc := &ForwardedCertificate{Place: place(d)}
	app.ForwardedCertificate = fc
	if !d.NextArg() {
		return d.Errf("forwarded_certificate needs the proxy's way of writing: rfc9440, xfcc, nginx or alb")
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
		return at(fc.Place, err)
	}
	return nil
}

func parseSource(d *caddyfile.Dispenser, app *App) error {
	if !d.NextArg() {
		return d.Errf("source needs a kind; known: %s", strings.Join(sourceKinds(), ", "))
	}
	kind := d.Val()
	info, err := caddy.GetModule("compliance.sources." + kind)
	if err != nil {
		return d.Errf("unknown source %q; known: %s", kind, strings.Join(sourceKinds(), ", "))
	}
	where := place(d)
	unm, ok := info.New().(caddyfile.Unmarshaler)
	if !ok {
		return d.Errf("source %q cannot be configured in a Caddyfile", kind)
	}
	err = unm.UnmarshalCaddyfile(d)
	if err != nil {
		return err
	}
	if p, ok := unm.(SourcePlacer); ok {
		p.SetPlace(where)
	}
	if m, ok := unm.(SourceModule); ok {
		name := m.SourceName()
		if slices.Contains(app.sourceNames, name) {
			return at(where, fmt.Errorf("two sources are called %q; give one of them another name: name NAME", name))
		}
		app.sourceNames = append(app.sourceNames, name)
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
	if len(args) < 1 || len(args) > 2 || args[0] == "" {
		return d.Errf("support takes a name and, if there is one, a URL")
	}
	app.Support = &Support{Name: args[0]}
	if len(args) == 2 {
		app.Support.URL = args[1]
	}
	err := pages.CheckSupportURL(app.Support.URL)
	if err != nil {
		return d.Err(err.Error())
	}
	return nil
}

// parseOperatorToken takes a placeholder only: the admin endpoint shows the
// running configuration to everybody who reaches it, and this token is what keeps
// them from loosening.
func parseOperatorToken(d *caddyfile.Dispenser, app *App) error {
	err := value(d, &app.OperatorToken)
	if err == nil && !isPlaceholder(app.OperatorToken) {
		err = d.Errf("%s", literalOperatorToken)
	}
	return err
}

func parsePrivacy(d *caddyfile.Dispenser, app *App) error {
	p := &Privacy{}
	app.Privacy = p
	return block(d, "privacy", map[string]func(string) error{
		"users":   func(string) error { return choice(d, &p.Users, privacyModes...) },
		"devices": func(string) error { return choice(d, &p.Devices, privacyModes...) },
		"retain": func(string) error {
			if !d.NextArg() || d.Val() != "decisions" {
				return d.Errf("retain takes decisions DURATION")
			}
			err := duration(d, &p.RetainDecisions)
			if err == nil && time.Duration(p.RetainDecisions) > maxRetain {
				err = d.Errf("retain decisions is at most 30d")
			}
			return err
		},
	})
}
