package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	_ "github.com/gatehouse-project/gatehouse/caddymodule/handover" // a listener wrapper
	"github.com/gatehouse-project/gatehouse/caddymodule/pages"
	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/policy"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

func init() {
	caddy.RegisterModule((*App)(nil))
}

// runtime is what an App is made of once its configuration is provisioned.
type runtime struct {
	log, decisionLog *zap.Logger
	meters           *meters

	root    *rootSecret
	shared  *sharedState
	sources []*pooledSource
	tenants map[string]*pooledTenant
	tokens  *pooledTokens
	certs   *pooledCertificates
	pinned  *pinned

	tokensKey, certsKey string // pool keys: identities are made of both

	policies   *policy.Set
	engine     *decision.Engine
	bound      map[string]*boundPolicy
	directory  *source.Directory
	identifier *identifier
	challenges *challenges
	asserter   *asserter
	pages      *pages.Pages
	accepts    pages.Accepts
	privacy    privacyFilter
	operator   string

	logAll       bool
	needClientIP bool
	needHost     bool
	lookups      bool

	conflicts atomic.Pointer[source.Conflicts] // as last counted; nil: not yet

	remembering map[*caddyhttp.Server]bool // servers whose connections have a memo

	held     []string // pool keys to give back, once each
	scratch  string   // a directory to remove, of a configuration that is only checked
	releases []func() // of what the sources were told to look up
	cancel   context.CancelFunc
	wg       sync.WaitGroup
}

// Bounds of what an App takes.
const (
	maxRetain        = 30 * 24 * time.Hour
	minOperatorToken = 16 // characters
)

// at adds the place of the whole option, for members without one of their own.
func (a *App) at(err error) error {
	if a.Place == "" {
		return err
	}
	return fmt.Errorf("compliance (%s): %w", a.Place, err)
}

// CaddyModule returns the module's registration.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "compliance", New: func() caddy.Module { return new(App) }}
}

// Provision builds everything that a correct decision needs: apps start in no
// order, and requests may come before Start. It reads local files only.
func (a *App) Provision(ctx caddy.Context) error {
	a.log = ctx.Logger()
	a.decisionLog = a.log.Named("decisions")
	a.meters = processMeters()
	err := a.meters.register(ctx.GetMetricsRegistry())
	if err != nil {
		return fmt.Errorf("registering metrics: %w", err)
	}
	err = a.validate()
	if err != nil {
		return a.at(err)
	}
	err = a.onlyCheck()
	if err != nil {
		return err
	}
	a.logAll = a.DecisionLog == "all"
	for _, step := range []func(caddy.Context) error{
		a.provisionKeys, a.provisionPrivacy, a.provisionOperator, a.provisionState, a.provisionMicrosoft, a.provisionSources, a.provisionTokens,
		a.provisionCertificates, a.provisionPinned, a.provisionPolicies, a.provisionGroups, a.provisionIdentifier, a.provisionPages,
	} {
		err := step(ctx)
		if err != nil {
			return err
		}
	}
	a.shared.generation.Add(1)
	return nil
}

// The values of closed options, in JSON as in a Caddyfile.
var (
	privacyModes = []string{"clear", "hash", "omit"}
	decisionLogs = []string{"refusals", "all"}
)

// validate checks what JSON could get wrong and the Caddyfile parser has refused
// already. A word that is not known must not mean the laxest one.
func (a *App) validate() error {
	oneOf := func(what, v string, allowed []string) error {
		if v == "" || slices.Contains(allowed, v) {
			return nil
		}
		return fmt.Errorf("%s is one of %s, not %q", what, strings.Join(allowed, ", "), v)
	}
	errs := []error{oneOf("decision_log", a.DecisionLog, decisionLogs)}
	if p := a.Privacy; p != nil {
		errs = append(errs, oneOf("privacy: users", p.Users, privacyModes), oneOf("privacy: devices", p.Devices, privacyModes))
		if d := time.Duration(p.RetainDecisions); d < 0 || d > maxRetain {
			errs = append(errs, errors.New("privacy: retain decisions is at most 30d, and not negative"))
		}
	}
	if c := a.Cache; c != nil && (c.Capacity < 0 || c.Tokens < 0) {
		errs = append(errs, errors.New("cache: capacity and tokens are positive numbers"))
	}
	return errors.Join(errs...)
}

// Start begins background work: watching sources, refreshing keys and lists.
func (a *App) Start() error {
	ctx, cancel := context.WithCancel(context.Background())
	a.cancel = cancel
	for _, s := range a.sources {
		s.start()
	}
	if a.tokens != nil {
		a.tokens.start()
	}
	if a.certs != nil {
		a.certs.start()
	}
	a.meters.status.attach(a)
	for _, watch := range []func(context.Context){a.watchExpiry, a.watchJournal, a.watchConflicts} {
		a.wg.Go(func() { watch(ctx) })
	}
	return nil
}

// Stop ends background work of this configuration. Requests that are still in
// flight keep using the app: nothing that they read is closed here.
func (a *App) Stop() error {
	if a.cancel != nil {
		a.cancel()
		a.wg.Wait()
	}
	return nil
}

// Cleanup gives back what is shared with other configurations.
func (a *App) Cleanup() error {
	if a.meters != nil {
		a.meters.status.detach(a)
	}
	for _, release := range a.releases {
		release()
	}
	a.releases = nil
	var errs []error
	for _, key := range slices.Backward(a.held) { // users before what they use
		_, err := pool.Delete(key)
		errs = append(errs, err)
	}
	a.held = nil
	if a.scratch != "" {
		errs = append(errs, os.RemoveAll(a.scratch))
	}
	return errors.Join(errs...)
}

var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
