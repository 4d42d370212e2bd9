package caddymodule

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/policy"
)

// ExplainRequest is a question: what would this policy decide about this user
// and this device? It is the body of POST /compliance/explain and the form of
// the identity file of `gatehouse explain`.
type ExplainRequest struct {
	Policy string         `json:"policy"`
	User   *ExplainUser   `json:"user,omitempty"`
	Device *ExplainDevice `json:"device,omitempty"`

	Method   string `json:"method,omitempty"`    // default GET
	Host     string `json:"host,omitempty"`      //
	Path     string `json:"path,omitempty"`      // default /
	ClientIP string `json:"client_ip,omitempty"` //
	// Browser asks as a person's navigation would: a step-up then needs a
	// browser sign-in.
	Browser bool `json:"browser,omitempty"`
}

// ExplainUser is who asks.
type ExplainUser struct {
	Name     string         `json:"name,omitempty"`
	ID       string         `json:"id,omitempty"`     // default: issuer|name
	Issuer   string         `json:"issuer,omitempty"` // default: the only configured one
	ObjectID string         `json:"object_id,omitempty"`
	Tenant   string         `json:"tenant,omitempty"`
	Email    string         `json:"email,omitempty"`
	Groups   []string       `json:"groups,omitempty"`
	Overage  bool           `json:"groups_overage,omitempty"` // too many groups to list
	NoGroups bool           `json:"no_groups,omitempty"`      // the token has no groups claim
	Client   string         `json:"client,omitempty"`
	AppOnly  bool           `json:"app_only,omitempty"`
	ACR      string         `json:"acr,omitempty"`
	ACRs     []string       `json:"acrs,omitempty"`
	AMR      []string       `json:"amr,omitempty"`
	SignedIn string         `json:"signed_in,omitempty"` // "2h" ago, or an RFC 3339 time
	CP1      bool           `json:"cp1,omitempty"`       // the client answers Entra claims challenges
	Claims   map[string]any `json:"claims,omitempty"`    // further verified claims, for expressions
}

// ExplainDevice is the device, by the ids that its credential shows.
type ExplainDevice struct {
	Keys  map[string]string `json:"keys"`            // kind: value
	Proof string            `json:"proof,omitempty"` // default token
}

// Explain answers an ExplainRequest from the verdicts in memory. It changes
// nothing and calls nobody.
func (a *App) Explain(in *ExplainRequest, now time.Time) (*policy.Explanation, error) {
	p, ok := a.policies.Policy(in.Policy)
	if !ok {
		return nil, fmt.Errorf("unknown policy %q; known: %s", in.Policy, strings.Join(a.policies.Names(), ", "))
	}
	id, err := a.explainIdentity(in, now)
	if err != nil {
		return nil, err
	}
	posture, words := a.directory.Weigh(id)
	q := decision.Request{
		Now: now, Identity: id, Posture: posture,
		Method: firstOf(in.Method, "GET"), Host: strings.ToLower(in.Host), Path: firstOf(in.Path, "/"),
	}
	if in.ClientIP != "" {
		q.ClientIP, err = netip.ParseAddr(in.ClientIP)
		if err != nil {
			return nil, fmt.Errorf("client_ip: %w", err)
		}
	}
	q.NoStepUp = !a.challenges.canStepUp(&id.User, in.Browser)
	return policy.Explain(p, a.engine, &q, words), nil
}

func (a *App) explainIdentity(in *ExplainRequest, now time.Time) (*decision.Identity, error) {
	id := &decision.Identity{}
	if u := in.User; u != nil {
		issuer := u.Issuer
		if issuer == "" && len(a.Issuers) == 1 {
			issuer = a.Issuers[0].Name
		}
		id.User = decision.User{
			Issuer: issuer, ID: u.ID, Subject: u.Name, ObjectID: u.ObjectID, Tenant: u.Tenant, Name: u.Name, Email: u.Email,
			Groups: u.Groups, GroupsKnown: decision.Yes, Client: u.Client, AppOnly: u.AppOnly,
			ACR: u.ACR, ACRs: u.ACRs, AMR: u.AMR, ClaimsChallenge: u.CP1, Claims: u.Claims,
		}
		switch {
		case u.Overage:
			id.User.GroupsKnown = decision.No
		case u.NoGroups:
			id.User.GroupsKnown = decision.Unknown
		}
		if id.User.ID == "" {
			id.User.ID = issuer + "|" + firstOf(u.Name, u.Client)
		}
		if u.SignedIn != "" {
			t, err := signedIn(u.SignedIn, now)
			if err != nil {
				return nil, err
			}
			id.User.AuthTime = t.Unix()
		}
	}
	if d := in.Device; d != nil {
		for kind, value := range d.Keys {
			k, ok := decision.CanonicalKey(kind, value)
			if !ok {
				return nil, fmt.Errorf("device key %s: not a usable id", kind)
			}
			id.Device.Keys = append(id.Device.Keys, k)
		}
		if len(id.Device.Keys) == 0 {
			return nil, errors.New("device has no keys")
		}
		proof, ok := decision.ParseProof(firstOf(d.Proof, "token"))
		if !ok {
			return nil, fmt.Errorf("unknown proof %q", d.Proof)
		}
		id.Device.Proof = proof
	}
	return id, nil
}

func signedIn(s string, now time.Time) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, s)
	if err == nil {
		return t, nil
	}
	d, err := caddy.ParseDuration(strings.TrimSuffix(s, " ago"))
	if err != nil {
		return t, fmt.Errorf("signed_in %q is neither a duration nor an RFC 3339 time", s)
	}
	return now.Add(-d), nil
}
