package policy

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/gatehouse-project/gatehouse/decision"
)

// attestable are the requirements that an identity provider can check itself
// (Entra: "require compliant device" and its device filters). Who is the
// primary user, and when the device last checked in, is not among them.
var attestable = []decision.Kind{
	decision.RequireManaged, decision.RequireCompliant, decision.RequireEncrypted, decision.RequireUpdated,
	decision.RequireNotJailbroken, decision.RequireNotMalware, decision.RequireRisk, decision.RequireOS,
	decision.RequireTrust, decision.RequireOwnership,
}

func attestWord(k decision.Kind) string { return strings.ReplaceAll(k.String(), " ", "_") }

// stepUps compiles the step_up blocks.
func (c *compiler) stepUps(configs []StepUpConfig) {
	if len(configs) > maxStepUps {
		c.bad.add("", "%d step_up blocks: at most %d", len(configs), maxStepUps)
		return
	}
	for i := range configs {
		cfg := &configs[i]
		if err := checkName("step_up", cfg.Name); err != nil {
			c.bad.add(cfg.Place, "%s", err)
			continue
		}
		if _, twice := c.stepUp[cfg.Name]; twice {
			c.bad.add(cfg.Place, "second step_up %s", cfg.Name)
			continue
		}
		// Entered even when faulty, so that lines that name it add no second error.
		c.stepUp[cfg.Name] = c.compileStepUp(cfg)
	}
}

func (c *compiler) compileStepUp(cfg *StepUpConfig) *decision.StepUp {
	su := &decision.StepUp{Name: cfg.Name, For: make(map[string]decision.StepUpMethod, len(cfg.For))}
	if cfg.MaxAge != "" {
		d, err := positiveDuration(cfg.MaxAge)
		if err != nil {
			c.bad.add(cfg.Place, "step_up %s: max_age: %s", cfg.Name, err)
		}
		su.MaxAge = d
	}
	if len(cfg.For) == 0 {
		c.bad.add(cfg.Place, "step_up %s has no for block: no issuer could do it", cfg.Name)
	}
	if len(cfg.For) > maxValues {
		c.bad.add(cfg.Place, "step_up %s has %d for blocks: at most %d", cfg.Name, len(cfg.For), maxValues)
		return su
	}
	attests := false
	for i := range cfg.For {
		f := &cfg.For[i]
		place := f.Place
		if place == "" {
			place = cfg.Place
		}
		m, err := c.method(cfg, f)
		if _, twice := su.For[f.Issuer]; err == nil && twice {
			err = fmt.Errorf("second for %s", f.Issuer)
		}
		if err != nil {
			c.bad.add(place, "step_up %s: %s", cfg.Name, err)
			continue
		}
		su.For[f.Issuer] = m
		attests = attests || len(m.Attests) > 0
	}
	if attests {
		c.attesting = append(c.attesting, su)
	}
	return su
}

func (c *compiler) method(cfg *StepUpConfig, f *StepUpFor) (decision.StepUpMethod, error) {
	m := decision.StepUpMethod{AuthContext: f.AuthContext, ACRValues: slices.Clone(f.ACRValues), AMR: slices.Clone(f.AMR)}
	i := slices.IndexFunc(c.env.Issuers, func(is Issuer) bool { return is.Name == f.Issuer })
	if i < 0 || f.Issuer == decision.IssuerCertificate {
		return m, fmt.Errorf("unknown issuer %q; configured: %s", f.Issuer, orNone(c.issuerNames()))
	}
	if m.AuthContext != "" {
		n, err := strconv.Atoi(strings.TrimPrefix(m.AuthContext, "c"))
		if err != nil || n < 1 || n > 99 || m.AuthContext != "c"+strconv.Itoa(n) {
			return m, fmt.Errorf("bad auth_context %q: c1 to c99", m.AuthContext)
		}
		if !c.env.Issuers[i].Entra {
			return m, fmt.Errorf("issuer %s is not an Entra issuer and has no auth_context; use acr_values or amr", f.Issuer)
		}
	}
	if err := checkValues("acr_values", f.ACRValues); err != nil {
		return m, err
	}
	if err := checkValues("amr", f.AMR); err != nil {
		return m, err
	}
	if m.AuthContext == "" && len(m.ACRValues) == 0 && len(m.AMR) == 0 && cfg.MaxAge == "" {
		return m, fmt.Errorf("for %s asks for nothing: add auth_context, acr_values or amr, or max_age to the step_up", f.Issuer)
	}
	for _, word := range f.Attests {
		i := slices.IndexFunc(attestable, func(k decision.Kind) bool { return attestWord(k) == word })
		if i < 0 {
			return m, unknownWord(word, "attests", attestWords())
		}
		if slices.Contains(m.Attests, attestable[i]) {
			return m, fmt.Errorf("attests %s is named twice", word)
		}
		m.Attests = append(m.Attests, attestable[i])
	}
	if len(m.Attests) > 0 && m.AuthContext == "" {
		return m, fmt.Errorf("attests needs an auth_context: only an authentication context shows that %s checked the device", f.Issuer)
	}
	return m, nil
}

// checkValues checks a list of claim values. A blank would divide the value on
// its way to the issuer (acr_values is a space-separated parameter).
func checkValues(word string, values []string) error {
	if len(values) > maxValues {
		return fmt.Errorf("%s has %d values: at most %d", word, len(values), maxValues)
	}
	for _, v := range values {
		if v == "" || len(v) > maxWord || strings.ContainsAny(v, " \t\r\n") {
			return fmt.Errorf("%s has an empty, overlong or divided value", word)
		}
	}
	return nil
}

func attestWords() []string {
	words := make([]string, len(attestable))
	for i, k := range attestable {
		words[i] = attestWord(k)
	}
	return words
}

// orNone prints a list for an error.
func orNone(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
