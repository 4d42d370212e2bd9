package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Rule is one `compliance` line of a site: which requests it covers and which
// policy they must pass. All rules of a site block that match apply together.
type Rule struct {
	// MatchRaw are Caddy request matchers. Empty: every request.
	MatchRaw caddy.ModuleMap `json:"match,omitempty" caddy:"namespace=http.matchers"`
	// Policy is the policy's name. Exactly one of Policy and OffBecause is set.
	Policy string `json:"policy,omitempty"`
	// OffBecause lets matching requests pass unchecked, overriding the other
	// rules of this site block, and says why. Identity headers are still removed.
	OffBecause string `json:"off_because,omitempty"`
	// Shadow is a policy that is evaluated and counted, but never enforced.
	Shadow string `json:"shadow,omitempty"`

	// IdentityHeaders are sent to the app. Default: Remote-User and X-Device-Id.
	IdentityHeaders []string `json:"identity_headers,omitempty"`
	// Assertion adds X-Gatehouse-Assertion, a signed token about the identity.
	Assertion bool `json:"assertion,omitempty"`
	// StripToken removes the bearer token before the app.
	StripToken bool `json:"strip_token,omitempty"`
	// CORSOrigins may read our refusals and get their preflights answered.
	CORSOrigins []string `json:"cors_origins,omitempty"`
	// PreflightPass hands CORS preflights to the app, unauthenticated.
	PreflightPass bool `json:"preflight_pass,omitempty"`
	// LaxPath switches strict_path off.
	LaxPath bool `json:"lax_path,omitempty"`
	// CaddyErrors hands refusals to the site's handle_errors.
	CaddyErrors bool `json:"caddy_errors,omitempty"`

	Place string `json:"place,omitempty"`

	matcher         caddyhttp.MatcherSet
	policy, shadow  *boundPolicy
	headers         headerSet
	origins         map[string]bool
	described       string // the matchers, before loading clears them
	matchesAnything bool
}

// boundPolicy is a policy with its counters, looked up once at load.
type boundPolicy struct {
	*decision.Policy
	counters *policyCounters
	parent   *boundPolicy
}

func (b *boundPolicy) of(p *decision.Policy) *boundPolicy {
	for ; b != nil; b = b.parent {
		if b.Policy == p {
			return b
		}
	}
	return nil
}

func (r *Rule) validate() error {
	switch {
	case r.Policy == "" && r.OffBecause == "":
		return errors.New("a rule of compliance needs a policy, or off_because")
	case r.Policy != "" && r.OffBecause != "":
		return errors.New("a rule has a policy or off_because, not both")
	case r.OffBecause != "" && (r.Shadow != "" || r.Assertion || len(r.IdentityHeaders) > 0 || r.StripToken ||
		len(r.CORSOrigins) > 0 || r.PreflightPass || r.LaxPath || r.CaddyErrors):
		return errors.New("a line that is off takes no options: its requests are not checked")
	}
	for _, o := range r.CORSOrigins {
		if err := checkOrigin(o); err != nil {
			return err
		}
	}
	return nil
}

// checkOrigin accepts an exact web origin: scheme, host and port, no wildcard.
func checkOrigin(o string) error {
	u, err := url.Parse(o)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || o != u.Scheme+"://"+u.Host || strings.Contains(o, "*") {
		return fmt.Errorf("cors_origins %q is not an origin such as https://app.example", o)
	}
	return nil
}

func (r *Rule) provision(ctx caddy.Context, app *App) error {
	err := r.validate()
	if err != nil {
		return r.at(err)
	}
	r.described = r.describe()
	if len(r.MatchRaw) > 0 {
		mods, err := ctx.LoadModule(r, "MatchRaw")
		if err != nil {
			return r.at(fmt.Errorf("loading matcher: %w", err))
		}
		for name, m := range mods.(map[string]any) {
			// Caddy itself accepts older matchers too; those cannot say that they
			// failed, so they have no place before a policy.
			rm, ok := m.(caddyhttp.RequestMatcherWithError)
			if !ok {
				return r.at(fmt.Errorf("%s cannot be used with compliance: it is not a request matcher that reports errors", name))
			}
			r.matcher = append(r.matcher, rm)
		}
	}
	r.matchesAnything = len(r.matcher) == 0
	if r.Policy != "" {
		r.policy, err = app.bind(r.Policy)
		if err != nil {
			return r.at(err)
		}
	}
	if r.Shadow != "" {
		r.shadow, err = app.bind(r.Shadow)
		if err != nil {
			return r.at(err)
		}
	}
	r.headers, err = parseHeaderSet(r.IdentityHeaders)
	if err != nil {
		return r.at(err)
	}
	r.origins = make(map[string]bool, len(r.CORSOrigins))
	for _, o := range r.CORSOrigins {
		r.origins[strings.ToLower(o)] = true
	}
	return nil
}

func (r *Rule) at(err error) error {
	if r.Place == "" {
		return err
	}
	return fmt.Errorf("%s: %w", r.Place, err)
}

// matches reports whether the rule covers the request. A matcher that fails
// counts as a match for a policy and as no match for `off`: closed both ways.
func (r *Rule) matches(req *http.Request) bool {
	if r.matchesAnything {
		return true
	}
	ok, err := r.matcher.MatchWithError(req)
	if err != nil {
		return r.OffBecause == ""
	}
	return ok
}

func (r *Rule) describe() string {
	if len(r.MatchRaw) == 0 {
		return "every request"
	}
	raw, err := json.Marshal(r.MatchRaw)
	if err != nil {
		return "matching requests"
	}
	return string(raw)
}
