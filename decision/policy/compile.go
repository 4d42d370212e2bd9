package policy

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
)

// Environment is what the rest of the configuration can supply. Whatever a
// policy needs beyond it is a load error.
type Environment struct {
	// Facts is the union over all sources.
	Facts decision.FactSet
	// FactsFrom names the sources that supply a fact, separated by commas; ""
	// if none does. It may be nil: then every source is taken to supply every
	// fact in Facts.
	FactsFrom func(decision.Fact) string
	// Sources are the configured names of the sources.
	Sources []string
	// Issuers are the configured issuers. A certificate block that maps a user
	// adds one with the name [decision.IssuerCertificate].
	Issuers []Issuer
	// Proofs of a device that the credential blocks can produce.
	Proofs []decision.Proof
	// PollIntervals says how often each source is read completely. A policy's
	// max_age below 1.25 times the interval of a source that it needs is an error,
	// since its facts would expire between two good reads. Sources that are asked
	// per device are not in it.
	PollIntervals map[string]time.Duration
	// GroupSources are the sources that look up the groups of users whose token
	// has too many to list, once per poll interval.
	GroupSources []string
	// Now is the time of loading: dates more than 90 days later are refused.
	Now time.Time
}

// Issuer is one configured issuer.
type Issuer struct {
	Name  string
	Entra bool // has authentication contexts
}

// Set is every policy of one configuration, compiled. It is immutable.
type Set struct {
	// Engine evaluates the policies of this set.
	Engine *decision.Engine
	// Warnings are what loads but deserves a look, each with its place: an
	// expired trial or exemption, a suffix without effect.
	Warnings []string

	policies map[string]*decision.Policy
}

// Policy returns the policy with that name.
func (s *Set) Policy(name string) (*decision.Policy, bool) {
	p, ok := s.policies[name]
	return p, ok
}

// Groups returns the object ids of the groups that policies and their exemptions
// name, sorted. Groups that are named otherwise are not in it: a name may be given
// to another group.
func (s *Set) Groups() []string {
	ids := map[string]bool{}
	for _, p := range s.policies {
		for _, id := range groupIDs(p) {
			ids[id] = true
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

// Names returns the names of all policies, sorted.
func (s *Set) Names() []string { return slices.Sorted(maps.Keys(s.policies)) }

// compiler holds the work of one Compile.
type compiler struct {
	env       Environment
	bad       problems
	warnings  []string
	stepUp    map[string]*decision.StepUp
	attesting []*decision.StepUp
	parsed    map[string]*parsed
	built     map[string]*decision.Policy
}

// Compile checks all policies and step-ups against each other and the
// environment, and builds the set. On error the set is nil; the error is an
// [*Error] or several joined, in the order of the configuration. Compile keeps
// nothing of its arguments.
func Compile(policies []PolicyConfig, stepUps []StepUpConfig, env Environment) (*Set, error) {
	c := &compiler{
		env:    env,
		stepUp: make(map[string]*decision.StepUp, len(stepUps)),
		parsed: make(map[string]*parsed, len(policies)),
		built:  make(map[string]*decision.Policy, len(policies)),
	}
	c.stepUps(stepUps)
	order := c.parse(policies)
	for _, p := range order {
		c.build(p, nil)
	}
	if err := c.bad.err(); err != nil {
		return nil, err
	}
	return &Set{
		Engine:   &decision.Engine{Attesting: c.attesting},
		Warnings: c.warnings,
		policies: c.built,
	}, nil
}

// parse reads all policies; a faulty one is entered too, so that a policy that
// extends it adds no second error.
func (c *compiler) parse(policies []PolicyConfig) []*parsed {
	if len(policies) > maxPolicies {
		c.bad.add("", "%d policies: at most %d", len(policies), maxPolicies)
		return nil
	}
	var order []*parsed
	for _, cfg := range policies {
		p, bad := parsePolicy(cfg)
		c.bad = append(c.bad, bad...)
		if _, twice := c.parsed[cfg.Name]; twice {
			c.bad.add(cfg.Place, "second policy %s", cfg.Name)
			continue
		}
		if len(bad) > 0 {
			c.parsed[cfg.Name] = nil
			continue
		}
		c.parsed[cfg.Name] = p
		order = append(order, p)
	}
	return order
}

// build compiles one policy after its parents. It returns nil if the policy or
// a parent is faulty; the error is recorded then.
func (c *compiler) build(p *parsed, path []string) *decision.Policy {
	if done, ok := c.built[p.Name]; ok {
		return done
	}
	var parent *decision.Policy
	if name := p.extends(); name != "" {
		if parent = c.parent(p, append(path, p.Name)); parent == nil {
			c.built[p.Name] = nil
			return nil
		}
	}
	before := len(c.bad)
	out := c.compilePolicy(p, parent)
	if len(c.bad) > before {
		out = nil
	}
	c.built[p.Name] = out
	return out
}

func (c *compiler) parent(p *parsed, path []string) *decision.Policy {
	line := p.line("extends")
	if i := slices.Index(path, line.name); i >= 0 {
		// Every member of the circle comes by here; the first reports it.
		if _, reported := c.built[line.name]; !reported {
			c.bad.add(line.place, "policies extend each other: %s", strings.Join(append(path[i:], line.name), ", "))
			c.built[line.name] = nil
		}
		return nil
	}
	next, ok := c.parsed[line.name]
	if !ok {
		c.bad.add(line.place, "unknown policy %q; configured: %s", line.name, orNone(c.otherPolicies(p.Name)))
	}
	if next == nil {
		return nil
	}
	return c.build(next, path)
}

func (c *compiler) otherPolicies(except string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(c.parsed)) {
		if name != except {
			names = append(names, name)
		}
	}
	return names
}

func (c *compiler) issuerNames() []string {
	var names []string
	for _, is := range c.env.Issuers {
		if is.Name != decision.IssuerCertificate {
			names = append(names, is.Name)
		}
	}
	return names
}

func (c *compiler) warn(place, msg string) {
	e := Error{Place: place, Msg: msg}
	c.warnings = append(c.warnings, e.Error())
}

// step finds a step-up by the name that a line gives it.
func (c *compiler) step(place, name string) *decision.StepUp {
	su, ok := c.stepUp[name]
	if !ok {
		c.bad.add(place, "unknown step_up %q; configured: %s", name, orNone(slices.Sorted(maps.Keys(c.stepUp))))
	}
	return su
}
