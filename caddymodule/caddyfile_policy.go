package caddymodule

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/gatehouse-project/gatehouse/decision/policy"
)

// parsePolicy reads `policy NAME { … }`. The grammar of the lines belongs to
// decision/policy, so that Caddyfile and JSON share it word for word.
func parsePolicy(d *caddyfile.Dispenser, app *App) error {
	pc := policy.PolicyConfig{Place: place(d)}
	if !d.NextArg() {
		return d.Errf("policy needs a name")
	}
	pc.Name = d.Val()
	err := nothingMore(d)
	if err != nil {
		return err
	}
	for _, other := range app.Policies {
		if other.Name == pc.Name {
			return d.Errf("policy %q is defined twice", pc.Name)
		}
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if d.Val() == "{" {
			return d.Errf("a line of a policy takes no block in braces")
		}
		line := policy.Line{Place: place(d), Words: append([]string{d.Val()}, d.RemainingArgs()...)}
		err := policy.CheckLine(line)
		if err != nil {
			return placed(err)
		}
		pc.Lines = append(pc.Lines, line)
	}
	err = policy.CheckPolicy(pc)
	if err != nil {
		return placed(err)
	}
	app.Policies = append(app.Policies, pc)
	return nil
}

// parseStepUp reads
//
//	step_up NAME {
//	    for ISSUER {
//	        auth_context c1
//	        acr_values VALUE…
//	        amr VALUE…
//	        attests REQUIREMENT…
//	    }
//	    max_age 12h
//	}
func parseStepUp(d *caddyfile.Dispenser, app *App) error {
	su := policy.StepUpConfig{Place: place(d)}
	if !d.NextArg() {
		return d.Errf("step_up needs a name")
	}
	su.Name = d.Val()
	for _, other := range app.StepUps {
		if other.Name == su.Name {
			return d.Errf("step_up %q is defined twice", su.Name)
		}
	}
	err := block(d, "step_up", map[string]func(string) error{
		"max_age": func(string) error { return value(d, &su.MaxAge) },
		"for": func(string) error {
			f := policy.StepUpFor{Place: place(d)}
			if !d.NextArg() {
				return d.Errf("for needs an issuer's name")
			}
			f.Issuer = d.Val()
			for _, other := range su.For {
				if other.Issuer == f.Issuer {
					return d.Errf("step_up %s has two blocks for issuer %s", su.Name, f.Issuer)
				}
			}
			err := block(d, "for", map[string]func(string) error{
				"auth_context": func(string) error { return value(d, &f.AuthContext) },
				"acr_values":   func(string) error { return values(d, &f.ACRValues) },
				"amr":          func(string) error { return values(d, &f.AMR) },
				"attests":      func(string) error { return values(d, &f.Attests) },
			})
			su.For = append(su.For, f)
			return err
		},
	}, "for")
	if err != nil {
		return err
	}
	if len(su.For) == 0 {
		return at(su.Place, fmt.Errorf("step_up %s names no issuer: write for ISSUER { ... }", su.Name))
	}
	app.StepUps = append(app.StepUps, su)
	return nil
}
