package intune

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

const (
	proofsPerPoll = 5000           // devices whose policies one poll checks
	proofAge      = 24 * time.Hour // a policy may be taken away again
)

// proof says whether a compliance policy is assigned to a device.
type proof struct {
	at  time.Time
	has bool
}

// proofs remembers what StrictDefault needs to know, by Intune id.
type proofs struct {
	known map[string]proof
	// pending are devices that are held back for lack of a proof.
	pending map[string]bool
}

// strict reports whether "compliant" may mean that nothing was evaluated.
func (s *Source) strict() bool {
	return s.o.StrictDefault && s.tenant.secureByDefault != decision.Yes
}

// holdBack takes "compliant" for not evaluated without a proof. The caller holds
// mu. A grace period is proof of a policy.
func (s *Source) holdBack(v *decision.Verdict) {
	id := v.Keys[0].Value
	if !s.strict() || v.Compliance != decision.Compliant || s.proofs.known[id].has {
		delete(s.proofs.pending, id)
		return
	}
	v.Compliance = decision.ComplianceNotEvaluated
	s.proofs.pending[id] = true
}

func (p *proofs) prune(f *fleet) {
	gone := func(id string) bool {
		_, ok := f.get(decision.Key{Kind: decision.KindIntune, Value: id})
		return !ok
	}
	for id := range p.known {
		if gone(id) {
			delete(p.known, id)
		}
	}
	for id := range p.pending {
		if gone(id) {
			delete(p.pending, id)
		}
	}
}

// next returns up to n devices to check, never checked ones first.
func (p *proofs) next(now time.Time, again time.Duration, n int) []string {
	var ids []string
	for id := range p.pending {
		if _, ok := p.known[id]; !ok {
			ids = append(ids, id)
		}
	}
	for id, k := range p.known {
		if age := now.Sub(k.at); age >= proofAge || !k.has && p.pending[id] && age >= again {
			ids = append(ids, id)
		}
	}
	slices.SortFunc(ids, func(a, b string) int {
		return cmp.Or(p.known[a].at.Compare(p.known[b].at), strings.Compare(a, b))
	})
	return ids[:min(n, len(ids))]
}

// prove checks policies in the background. It never fails a Sync: what has no
// proof stays held back.
func (s *Source) prove(ctx context.Context, now time.Time) {
	if s.barred("policies") {
		return
	}
	s.mu.Lock()
	if !s.strict() {
		s.mu.Unlock()
		return
	}
	ids := s.proofs.next(now, s.o.FullSweep, proofsPerPoll)
	s.mu.Unlock()
	ctx, cancel := background(ctx)
	defer cancel()
	d := &decoder{now: now}
	defer func() { s.addOdd(d) }()
	for part := range slices.Chunk(ids, 20) {
		calls := make([]msgraph.Request, len(part))
		for i, id := range part {
			calls[i] = policyRequest(id, "Low")
		}
		answers, err := s.o.Client.Batch(ctx, calls)
		if err != nil {
			s.refused("policies", err)
			return
		}
		for i, a := range answers {
			has, err := false, a.Err
			if err == nil {
				has, err = assigned(d, a.Body)
			}
			if err != nil && kindOf(err) != msgraph.KindNotFound {
				s.refused("policies", err)
				if isThrottled(err) || kindOf(err) == msgraph.KindPermission {
					return
				}
				continue
			}
			s.proved(part[i], proof{now, has})
		}
		s.once("policies", nil)
	}
}

func (s *Source) proved(id string, p proof) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.proofs.known[id] = p
	v, ok := s.fleet.get(decision.Key{Kind: decision.KindIntune, Value: id})
	switch {
	case !ok:
		return
	case p.has && s.proofs.pending[id] && v.Compliance == decision.ComplianceNotEvaluated:
		v.Compliance = decision.Compliant
		s.tenant.judge(&v, p.at)
		delete(s.proofs.pending, id)
	case !p.has && v.Compliance == decision.Compliant:
		s.holdBack(&v)
	default:
		return
	}
	if s.fleet.put(v) {
		s.dirty = true
	}
}

// proveNow checks the policies of a device that is being looked up.
func (s *Source) proveNow(ctx context.Context, v *decision.Verdict, now time.Time) error {
	id := v.Keys[0].Value
	s.mu.Lock()
	k := s.proofs.known[id]
	needed := s.strict() && v.Compliance == decision.Compliant && (!k.has || now.Sub(k.at) >= proofAge)
	s.mu.Unlock()
	if !needed {
		return nil
	}
	a, err := s.o.Client.Do(ctx, policyRequest(id, "High"))
	if err != nil {
		return err
	}
	d := decoder{now: now}
	has, err := assigned(&d, a.Body)
	s.addOdd(&d)
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.proofs.known[id] = proof{now, has}
	s.mu.Unlock()
	return nil
}

// policyWords say whether a state of a policy (Graph complianceStatus) means that it
// applies to the device.
var policyWords = map[string]decision.Tri{
	"compliant": decision.Yes, "remediated": decision.Yes, "noncompliant": decision.Yes, "ingraceperiod": decision.Yes,
	"error": decision.Yes, "conflict": decision.Yes,
	"unknown": decision.No, "notapplicable": decision.No, "notassigned": decision.No,
}

// builtIn are the names of the policy that every device has. It asks for nothing
// but a recent check-in, an existing user and, by the tenant's setting, a policy.
var builtIn = []string{"Default Device Compliance Policy", "Built-in Device Compliance Policy"}

// assigned reports whether a list of policy states has one of an administrator's
// policies that applies to the device.
func assigned(d *decoder, body []byte) (has bool, err error) {
	var wire struct {
		Value *[]policyState `json:"value"`
	}
	if err := json.Unmarshal(body, &wire); err != nil || wire.Value == nil {
		return false, errors.New(`list of policies has no "value"`)
	}
	for _, p := range *wire.Value {
		if p.State.s == "" && !p.State.wrong {
			continue
		}
		if word(d, policyWords, "state", p.State) == decision.Yes && p.Name.s != "" && !slices.Contains(builtIn, p.Name.s) {
			has = true
		}
	}
	return has, nil
}
