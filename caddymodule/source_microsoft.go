package caddymodule

import (
	"log/slog"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap/exp/zapslog"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/microsoft"
)

// tenantGuest is what the sources that read a Microsoft tenant have in common.
type tenantGuest struct {
	guest
	// Tenant names the microsoft block. Default: the only one.
	Tenant string `json:"tenant,omitempty"`
	// Poll is the time between two reads of what changed.
	Poll caddy.Duration `json:"poll,omitempty"`

	client *microsoft.Tenant
}

// TenantName implements [TenantSource].
func (g *tenantGuest) TenantName() string { return g.Tenant }

// SetTenant implements [TenantSource].
func (g *tenantGuest) SetTenant(t *microsoft.Tenant) { g.client = t }

func (g *tenantGuest) words(d *caddyfile.Dispenser, least time.Duration) map[string]func(string) error {
	words := g.guest.words(d)
	words["tenant"] = func(string) error { return value(d, &g.Tenant) }
	words["poll"] = pollWord(d, &g.Poll, least)
	return words
}

// runner is how often and in what capacity the source is read.
func (g *tenantGuest) runner(a decision.Authority, poll time.Duration) source.RunnerOptions {
	if g.Poll > 0 {
		poll = time.Duration(g.Poll)
	}
	o := source.RunnerOptions{Remote: true, Authority: a, Poll: poll, Guards: g.limits()}
	if g.client != nil {
		o.Tenant = strings.ToLower(g.client.Tenant())
	}
	return o
}

// check finds what JSON could get wrong.
func (g *tenantGuest) check(least time.Duration) error {
	err := checkPoll(g.Poll, least)
	if err != nil {
		return err
	}
	return g.guest.check()
}

// sourceLogger is the logger of the module that ctx is for.
func sourceLogger(ctx caddy.Context) *slog.Logger {
	return slog.New(zapslog.NewHandler(ctx.Logger().Core()))
}

// switchWord reads a switch.
func switchWord(d *caddyfile.Dispenser, to **bool) func(string) error {
	return func(string) error {
		var v string
		err := choice(d, &v, "on", "off")
		on := v == "on"
		*to = &on
		return err
	}
}

// isOn is a switch with its default.
func isOn(v *bool, otherwise bool) bool {
	if v == nil {
		return otherwise
	}
	return *v
}
