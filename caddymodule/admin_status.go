package caddymodule

import (
	"time"

	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/microsoft"
)

// Status is the answer of GET /compliance/status.
type Status struct {
	Ready       bool            `json:"ready"`
	Sources     []source.Status `json:"sources"`
	Issuers     []IssuerStatus  `json:"issuers,omitempty"`
	CRLs        []CRLStatus     `json:"crls,omitempty"`
	Policies    []PolicyStatus  `json:"policies"`
	Revocations int             `json:"revocations"`
	Generation  uint64          `json:"generation"`
	// Tenants are the connections to Microsoft tenants.
	Tenants []TenantStatus `json:"tenants,omitempty"`
	// Conflicts is on how many devices sources disagree, as last counted; nil before
	// the first count, which follows the first complete read.
	Conflicts *source.Conflicts `json:"conflicts,omitempty"`
	// RevocationJournal is why what was revoked last may not be on disk; empty: it is.
	RevocationJournal string `json:"revocation_journal,omitempty"`
}

// TenantStatus is the state of one connection to a Microsoft tenant.
type TenantStatus struct {
	Name     string                   `json:"name"`
	Tokens   []microsoft.TokenState   `json:"tokens,omitempty"`
	Budgets  []microsoft.Scope        `json:"budgets"`
	Circuits []microsoft.CircuitState `json:"circuits"`
}

// PolicyStatus names one policy and where its trial stands.
type PolicyStatus struct {
	Name            string     `json:"name"`
	Revision        string     `json:"revision"`
	Requirements    int        `json:"requirements"`
	ReportOnlyUntil *time.Time `json:"report_only_until,omitempty"`
	Enforced        bool       `json:"enforced"`
	// MaxAge is how old facts may be, and StaleIfError how much older while their
	// source fails.
	MaxAge       string `json:"max_age"`
	StaleIfError string `json:"stale_if_error"`
}

// IssuerStatus is the state of one issuer's keys.
type IssuerStatus struct {
	Name   string   `json:"name"`
	URLs   []string `json:"urls"`
	Keys   int      `json:"keys"`
	Usable bool     `json:"usable"`
	Age    string   `json:"age"` // since the keys were confirmed
	Error  string   `json:"error,omitempty"`
}

// CRLStatus is the state of one revocation list.
type CRLStatus struct {
	Name       string    `json:"name"`
	Usable     bool      `json:"usable"`
	Issuer     string    `json:"issuer,omitempty"`
	Entries    int       `json:"entries"`
	NextUpdate time.Time `json:"next_update,omitzero"`
	Error      string    `json:"error,omitempty"`
}

// Status describes the running app.
func (a *App) Status() *Status {
	st := &Status{
		Ready: a.Ready(), Sources: []source.Status{}, Policies: []PolicyStatus{},
		Revocations: a.shared.revocations.Len(), Generation: a.shared.generation.Load(),
	}
	for _, s := range a.sources {
		st.Sources = append(st.Sources, s.runner.Status())
	}
	for _, name := range sortedKeys(a.tenants) {
		t := a.tenants[name]
		st.Tenants = append(st.Tenants, TenantStatus{Name: name, Tokens: t.Tokens(), Budgets: t.Headroom(), Circuits: t.Circuits()})
	}
	st.Conflicts = a.conflicts.Load()
	if err := a.shared.revocations.Broken(); err != nil {
		st.RevocationJournal = err.Error()
	}
	if a.tokens != nil {
		for _, is := range a.tokens.Status() {
			st.Issuers = append(st.Issuers, IssuerStatus{
				Name: is.Name, URLs: is.URLs, Keys: is.Keys, Usable: is.Usable, Age: is.Age.Round(time.Second).String(), Error: is.Err,
			})
		}
	}
	if a.certs != nil {
		for _, l := range a.certs.crls {
			c := l.Status()
			st.CRLs = append(st.CRLs, CRLStatus{
				Name: c.Name, Usable: c.Usable, Issuer: c.Issuer, Entries: c.Entries, NextUpdate: c.NextUpdate, Error: c.Error,
			})
		}
	}
	now := time.Now()
	for _, name := range a.policies.Names() {
		p, _ := a.policies.Policy(name)
		enforce, _ := p.Split(now)
		ps := PolicyStatus{
			Name: name, Revision: p.Revision, Requirements: len(p.Requirements), Enforced: enforce == p,
			MaxAge: p.Ages.MaxAge.String(), StaleIfError: p.Ages.StaleIfError.String(),
		}
		if !p.ReportOnlyUntil.IsZero() {
			ps.ReportOnlyUntil = &p.ReportOnlyUntil
		}
		st.Policies = append(st.Policies, ps)
	}
	return st
}
