package caddymodule

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatehouse-project/gatehouse/cache"
	"github.com/gatehouse-project/gatehouse/caddymodule/pages"
	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/policy"
	"github.com/gatehouse-project/gatehouse/decision/revocation"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// checkingOnly reports whether this process runs Caddy's command validate, which
// provisions a configuration and throws it away.
func checkingOnly() bool { return len(os.Args) > 1 && os.Args[1] == "validate" }

// onlyCheck keeps validate from what belongs to the gateway that may be running: the
// lock on its state, its root secret, its snapshots. A configuration that is only
// looked at gets a directory of its own for them.
func (a *App) onlyCheck() error {
	if !checkingOnly() {
		return nil
	}
	dir, err := os.MkdirTemp("", "gatehouse-validate-")
	if err != nil {
		return err
	}
	a.scratch = dir
	_, err = resolveErr(a.StateDir)
	if err != nil {
		return a.at(fmt.Errorf("state: %w", err))
	}
	if a.Keys != nil {
		_, err = resolveErr(a.Keys.Dir)
		if err != nil {
			return a.at(fmt.Errorf("keys dir: %w", err))
		}
	}
	a.StateDir, a.Keys = filepath.Join(dir, "state"), &Keys{Dir: filepath.Join(dir, "keys")}
	return nil
}

// provisionKeys loads the root secret and derives what only keys are made of.
func (a *App) provisionKeys(ctx caddy.Context) (err error) {
	keys := Keys{}
	if a.Keys != nil {
		keys.Dir, err = resolveErr(a.Keys.Dir)
	}
	if err != nil {
		return a.at(fmt.Errorf("keys dir: %w", err))
	}
	a.root, err = loadRootSecret(ctx, &keys, ctx.Storage())
	if err != nil {
		return a.at(err)
	}
	signing, err := a.root.signingKeys("assertion")
	if err != nil {
		return err
	}
	a.asserter, err = newAsserter(signing)
	return err
}

func (a *App) provisionPrivacy(caddy.Context) error {
	hashing, err := a.root.derive("privacy", 32)
	if err != nil {
		return err
	}
	a.privacy.key = hashing[0]
	if p := a.Privacy; p != nil {
		a.privacy.users, a.privacy.devices, a.privacy.retain = p.Users, p.Devices, time.Duration(p.RetainDecisions)
	}
	if a.privacy.retain == 0 {
		a.privacy.retain = 24 * time.Hour
	}
	return nil
}

const literalOperatorToken = "operator_token " + readable

func (a *App) provisionOperator(caddy.Context) (err error) {
	if a.OperatorToken == "" {
		return nil
	}
	if !isPlaceholder(a.OperatorToken) {
		return a.at(errors.New(literalOperatorToken))
	}
	a.operator, err = resolveErr(a.OperatorToken)
	if err != nil {
		return a.at(fmt.Errorf("operator_token: %w", err))
	}
	if len(a.operator) < minOperatorToken {
		return a.at(fmt.Errorf("operator_token is shorter than %d characters", minOperatorToken))
	}
	return nil
}

func (a *App) provisionState(caddy.Context) error {
	dir, err := resolveErr(a.StateDir)
	if err != nil {
		return a.at(fmt.Errorf("state: %w", err))
	}
	if dir == "" {
		dir = filepath.Join(caddy.AppDataDir(), "gatehouse")
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return err
	}
	a.shared, err = pooled(a, "state:"+dir, func() (*sharedState, error) { return openSharedState(dir) })
	if errors.Is(err, revocation.ErrLocked) {
		// `validate` beside a running gateway ends here, too.
		err = fmt.Errorf("another gateway on this machine uses it: stop that one, or give this one a `state` of its own: %w", err)
	}
	if err != nil {
		return a.at(fmt.Errorf("state %s: %w", dir, err))
	}
	return nil
}

func (a *App) provisionPolicies(caddy.Context) error {
	env := policy.Environment{Now: time.Now(), PollIntervals: map[string]time.Duration{}}
	for _, s := range a.sources {
		st := s.runner.State()
		facts := st.Supplies()
		if !st.Loaded() && !s.remote {
			facts = decision.AllFacts // what it can report is not known yet
		}
		env.Facts |= facts
		env.Sources = append(env.Sources, st.Name)
		if s.runner.LooksUpGroups() {
			env.GroupSources = append(env.GroupSources, st.Name)
		}
		if s.lists { // a source that is only asked about single devices has no sweep to wait for
			env.PollIntervals[st.Name] = s.runner.Poll()
		}
	}
	env.FactsFrom = a.factsFrom
	env.Issuers = a.policyIssuers()
	env.Proofs = a.proofs()
	set, err := policy.Compile(a.Policies, a.StepUps, env)
	if err != nil {
		return err
	}
	for _, w := range set.Warnings {
		a.log.Warn(w)
	}
	a.policies, a.engine, a.bound = set, set.Engine, map[string]*boundPolicy{}
	for _, name := range set.Names() {
		p, _ := set.Policy(name)
		b := a.bindPolicy(p)
		a.bound[name] = b
		for i := range p.Requirements {
			k := p.Requirements[i].Kind
			a.needHost = a.needHost || k == decision.RequireExpression
			a.needClientIP = a.needClientIP || k == decision.RequireNetwork || k == decision.RequireExpression
		}
	}
	return nil
}

// factsFrom names the sources that can report a fact, for messages.
func (a *App) factsFrom(f decision.Fact) string {
	var names []string
	for _, s := range a.sources {
		if st := s.runner.State(); !st.Loaded() && !s.remote || st.Supplies().Has(f) {
			names = append(names, st.Name)
		}
	}
	return strings.Join(names, ", ")
}

// proofs lists what the configured credentials can prove about a device.
func (a *App) proofs() []decision.Proof {
	var proofs []decision.Proof
	for _, is := range a.Issuers {
		if is.DeviceClaim != "" {
			proofs = append(proofs, decision.ProofToken, decision.ProofBoundToken)
			break
		}
	}
	for _, su := range a.StepUps {
		for _, f := range su.For {
			if len(f.Attests) > 0 {
				proofs = append(proofs, decision.ProofAttested)
			}
		}
	}
	if a.pinned != nil || pinsCertificates(a.SourcesRaw) {
		proofs = append(proofs, decision.ProofCertificate)
	}
	if a.ClientCertificate != nil && len(a.ClientCertificate.DeviceID) > 0 {
		proofs = append(proofs, decision.ProofCertificate)
		if a.ForwardedCertificate != nil {
			proofs = append(proofs, decision.ProofForwardedCertificate)
		}
	}
	return proofs
}

func (a *App) bindPolicy(p *decision.Policy) *boundPolicy {
	b := &boundPolicy{Policy: p, counters: a.meters.policy(p.Name)}
	if p.Parent != nil {
		b.parent = a.bindPolicy(p.Parent)
	}
	return b
}

// bind finds a policy for a rule.
func (a *App) bind(name string) (*boundPolicy, error) {
	b, ok := a.bound[name]
	if !ok {
		return nil, fmt.Errorf("unknown policy %q; known: %s", name, orNone(a.policies.Names()))
	}
	return b, nil
}

// provisionGroups tells the sources that can be asked which groups matter.
func (a *App) provisionGroups(caddy.Context) error {
	groups := a.policies.Groups()
	for _, s := range a.sources {
		release, err := s.runner.WantGroups(groups)
		if err != nil {
			return a.at(err)
		}
		a.releases = append(a.releases, release)
	}
	return nil
}

func (a *App) provisionIdentifier(caddy.Context) error {
	capacity := 100_000
	if a.Cache != nil && a.Cache.Tokens > 0 {
		capacity = a.Cache.Tokens
	}
	key, err := configKey("identities", a.tokensKey, a.certsKey, capacity)
	if err != nil {
		return err
	}
	known, err := pooled(a, key, func() (*pooledIdentities, error) {
		c, err := cache.New[identityKey, *identityEntry](cache.Options[identityKey]{Capacity: capacity})
		return &pooledIdentities{Cache: c}, err
	})
	if err != nil {
		return err
	}
	a.identifier = &identifier{known: known.Cache, pinned: a.pinned, hits: &known.hits, nobody: &identityEntry{}, meters: a.meters, revoked: a.shared.revocations.MatchCertificate}
	if a.tokens != nil {
		a.identifier.tokens = a.tokens.Tokens
	}
	if a.certs != nil {
		a.identifier.certs = a.certs.Certificates
	}
	if fc := a.ForwardedCertificate; fc != nil {
		dialect, from, err := fc.compile()
		if err != nil {
			return fmt.Errorf("forwarded_certificate%s: %w", inBrackets(fc.Place), err)
		}
		if a.certs == nil {
			return fmt.Errorf("forwarded_certificate%s needs a client_certificate block that says which authorities issue device certificates", inBrackets(fc.Place))
		}
		a.identifier.forward = &forwardTrust{dialect: dialect, from: from}
	}
	runners := make([]*source.Runner, len(a.sources))
	for i, s := range a.sources {
		runners[i] = s.runner
		a.lookups = a.lookups || s.looks
	}
	a.directory = source.NewDirectory(runners, source.DirectoryOptions{
		Generation: &a.shared.generation,
		Revoked: func(id *decision.Identity, keys []decision.Key) *decision.Revocation {
			return a.shared.revocations.Match(id, keys, time.Now())
		},
	})
	return nil
}

func (a *App) provisionPages(caddy.Context) error {
	dir, err := resolveErr(a.PagesDir)
	if err != nil {
		return a.at(fmt.Errorf("pages: %w", err))
	}
	o := pages.Options{Dir: dir}
	if a.Support != nil {
		o.SupportName, o.SupportURL = a.Support.Name, a.Support.URL
	}
	a.pages, err = pages.New(o)
	if err != nil {
		return a.at(err)
	}
	a.challenges = &challenges{realm: "gatehouse", entra: map[string]entraChallenge{}}
	for _, is := range a.Issuers {
		a.accepts.Issuers = append(a.accepts.Issuers, is.Name)
		if is.Entra {
			a.challenges.entra[is.Name] = entraChallenge{
				tenant: resolve(is.Tenant), authority: "https://login.microsoftonline.com", clientID: resolve(is.Audience[0]),
			}
		}
	}
	a.accepts.Certificate = a.ClientCertificate != nil && len(a.ClientCertificate.UserID) > 0
	return nil
}
