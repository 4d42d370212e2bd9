package caddymodule

import (
	"errors"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/policy"
)

// checkWords finds what the words of the whole option show wrong together: names
// that nothing defines, a policy that is laxer than the one it extends, dates too
// far ahead, requirements that no credential block can meet. Which facts a source
// reports is not known before it is loaded, so here it may report every fact.
func (a *App) checkWords() error {
	if fc := a.ForwardedCertificate; fc != nil && a.ClientCertificate == nil {
		return at(fc.Place, errors.New("forwarded_certificate needs a client_certificate block that says which authorities issue device certificates"))
	}
	env := policy.Environment{Now: time.Now(), Sources: a.sourceNames, Issuers: a.policyIssuers(), Proofs: a.proofs()}
	if len(a.sourceNames) > 0 {
		env.Facts = decision.AllFacts
	}
	_, err := policy.Compile(a.Policies, a.StepUps, env)
	return placed(err)
}

// policyIssuers are the issuers as policies see them.
func (a *App) policyIssuers() []policy.Issuer {
	var issuers []policy.Issuer
	for _, is := range a.Issuers {
		issuers = append(issuers, policy.Issuer{Name: is.Name, Entra: is.Entra})
	}
	if a.ClientCertificate != nil && len(a.ClientCertificate.UserID) > 0 {
		issuers = append(issuers, policy.Issuer{Name: decision.IssuerCertificate})
	}
	return issuers
}
