package caddymodule

import (
	"net/http"
	"slices"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/policy"
)

func (a *App) adminExplain(w http.ResponseWriter, r *http.Request) error {
	var in ExplainRequest
	err := readBody(r, &in)
	if err != nil {
		return err
	}
	x, err := a.Explain(&in, time.Now())
	if err != nil {
		return apiError(http.StatusBadRequest, "%v", err)
	}
	return reply(w, a.filtered(x))
}

// filtered applies privacy to the one fact that names a person.
func (a *App) filtered(x *policy.Explanation) *policy.Explanation {
	a.hideOwner(x.Facts)
	return x
}

// hideOwner applies privacy to the owner, whoever names them.
func (a *App) hideOwner(facts []policy.ExplainedFact) {
	for i := range facts {
		f := &facts[i]
		if f.Name != decision.FactOwner.String() || f.Source == "" {
			continue
		}
		f.Value = a.privacy.text(a.privacy.users, "u_", f.Value)
		for k := range f.Words {
			f.Words[k].Value = a.privacy.text(a.privacy.users, "u_", f.Words[k].Value)
		}
	}
}

// DecisionView is one remembered decision as the admin API shows it.
type DecisionView struct {
	ID       string       `json:"decision_id"`
	Time     time.Time    `json:"time"`
	Outcome  string       `json:"outcome"`
	Mode     string       `json:"mode"`
	Policy   string       `json:"policy"`
	Revision string       `json:"revision"`
	Reasons  []ReasonView `json:"reasons"`
	User     string       `json:"user,omitempty"`
	Device   string       `json:"device,omitempty"`
	Host     string       `json:"host"`
	Method   string       `json:"method"`
	Path     string       `json:"path"`
	ClientIP string       `json:"client_ip"`
	Fresh    string       `json:"freshness"`
	Micros   int64        `json:"duration_us"`
	// Explanation is given for a single decision.
	Explanation *policy.Explanation `json:"explanation,omitempty"`
}

// ReasonView is one finding of a remembered decision.
type ReasonView struct {
	Code   string `json:"code"`
	Effect string `json:"effect"`
	Param  string `json:"parameter,omitempty"`
	Source string `json:"source,omitempty"`
	Place  string `json:"place,omitempty"`
}

func (a *App) view(rec *decisionRecord) DecisionView {
	v := DecisionView{
		ID: rec.ID, Time: rec.Request.Now.UTC(), Outcome: rec.Outcome.String(), Mode: modeNames[rec.Mode],
		Policy: rec.Policy.Name, Revision: rec.Policy.Revision, Host: clip(rec.Request.Host), Method: clip(rec.Request.Method),
		Path: clip(rec.Request.Path), ClientIP: rec.Request.ClientIP.String(), Fresh: rec.Fresh.String(),
		Micros: rec.Took.Microseconds(), Reasons: []ReasonView{},
	}
	for i := range rec.Findings {
		f := &rec.Findings[i]
		rv := ReasonView{Code: f.Reason.Code(), Effect: f.Effect.String(), Param: f.Param, Source: f.Source}
		if f.Requirement != nil {
			rv.Place = f.Requirement.Place
		}
		v.Reasons = append(v.Reasons, rv)
	}
	if id := rec.Request.Identity; id != nil {
		v.User, v.Device = a.privacy.user(&id.User), a.privacy.device(id.Device.Keys)
	}
	return v
}

func (a *App) adminDecisions(w http.ResponseWriter, r *http.Request) error {
	n, err := limitOf(r, 1000)
	if err != nil {
		return err
	}
	q := r.URL.Query()
	outcome := q.Get("outcome")
	if outcome != "" && !slices.ContainsFunc(decision.Outcomes, func(o decision.Outcome) bool { return o.String() == outcome }) {
		return apiError(http.StatusBadRequest, "there is no outcome %q; write one of %v", clip(outcome), decision.Outcomes)
	}
	recs := a.shared.ring.latest(n, time.Now(), a.privacy.retain, func(rec *decisionRecord) bool {
		return (outcome == "" || outcome == rec.Outcome.String()) &&
			(q.Get("policy") == "" || q.Get("policy") == rec.Policy.Name)
	})
	views := make([]DecisionView, 0, len(recs))
	for i := range recs {
		views = append(views, a.view(&recs[i]))
	}
	return reply(w, map[string]any{"decisions": views})
}

func (a *App) adminDecision(w http.ResponseWriter, id string) error {
	recs := a.shared.ring.latest(1, time.Now(), a.privacy.retain, func(rec *decisionRecord) bool { return rec.ID == id })
	if len(recs) == 0 {
		return apiError(http.StatusNotFound, "no decision %q is remembered", clip(id))
	}
	v := a.view(&recs[0])
	if recs[0].Request.Identity != nil && !recs[0].Fault {
		v.Explanation = a.filtered(policy.Explain(recs[0].Policy, a.engine, &recs[0].Request, nil))
	}
	return reply(w, v)
}
