package caddymodule

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/policy"
	"github.com/gatehouse-project/gatehouse/decision/revocation"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

func init() {
	caddy.RegisterModule((*adminAPI)(nil))
}

// adminAPI serves /compliance/… on Caddy's admin endpoint. That endpoint has no
// authentication of its own, so through it one can only tighten; what loosens
// needs the operator token as well.
type adminAPI struct{}

// CaddyModule returns the module's registration.
func (*adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.compliance", New: func() caddy.Module { return new(adminAPI) }}
}

// Routes returns the one route; the paths below it are exact.
func (*adminAPI) Routes() []caddy.AdminRoute {
	return []caddy.AdminRoute{{Pattern: "/compliance/", Handler: caddy.AdminHandlerFunc(serveAdmin)}}
}

func apiError(status int, format string, args ...any) error {
	return caddy.APIError{HTTPStatus: status, Err: fmt.Errorf(format, args...)}
}

// maxAdminBody bounds what a call may send.
const maxAdminBody = 64 << 10

func serveAdmin(w http.ResponseWriter, r *http.Request) error {
	app := processMeters().status.app()
	if app == nil {
		return apiError(http.StatusServiceUnavailable, "the running configuration has no compliance app")
	}
	w.Header().Set("Cache-Control", "no-store")
	path := strings.Split(strings.TrimPrefix(r.URL.Path, "/compliance/"), "/")
	route := r.Method + " " + path[0]
	if r.Method == http.MethodPost {
		ct, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
		if strings.TrimSpace(ct) != "application/json" {
			return apiError(http.StatusUnsupportedMediaType, "send application/json")
		}
	}
	switch {
	case route == "GET status" && len(path) == 1:
		return reply(w, app.Status())
	case route == "GET devices" && len(path) == 1:
		return app.adminDevices(w, r)
	case route == "GET devices" && len(path) == 2:
		return app.adminDevice(w, path[1])
	case route == "POST devices" && len(path) == 3 && path[2] == "refresh":
		return app.adminRefresh(w, r, path[1])
	case route == "POST revoke" && len(path) == 1:
		return app.adminRevoke(w, r)
	case route == "GET revocations" && len(path) == 1:
		return app.adminRevocations(w)
	case route == "POST release" && len(path) == 1:
		return app.adminRelease(w, r)
	case route == "POST sources" && len(path) == 3 && path[2] == "accept":
		return app.adminAccept(w, r, path[1])
	case route == "POST explain" && len(path) == 1:
		return app.adminExplain(w, r)
	case route == "GET decisions" && len(path) == 1:
		return app.adminDecisions(w, r)
	case route == "GET decisions" && len(path) == 2:
		return app.adminDecision(w, path[1])
	}
	return apiError(http.StatusNotFound, "no such call: %s %s", r.Method, clip(r.URL.Path))
}

func reply(w http.ResponseWriter, v any) error {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

func readBody(r *http.Request, to any) error {
	dec := json.NewDecoder(http.MaxBytesReader(nil, r.Body, maxAdminBody))
	dec.DisallowUnknownFields()
	err := dec.Decode(to)
	if err != nil {
		return apiError(http.StatusBadRequest, "reading the call's body: %v", err)
	}
	return nil
}

// operatorOnly guards what loosens.
func (a *App) operatorOnly(r *http.Request) error {
	given, ok := bearer(r.Header.Get("Authorization"))
	if a.operator == "" {
		return apiError(http.StatusForbidden, "this call loosens, and no operator_token is configured")
	}
	if !ok || subtle.ConstantTimeCompare([]byte(given), []byte(a.operator)) != 1 {
		return apiError(http.StatusForbidden, "this call loosens: send the operator token as a bearer token")
	}
	return nil
}

// Status is the answer of GET /compliance/status.
type Status struct {
	Ready       bool            `json:"ready"`
	Sources     []source.Status `json:"sources"`
	Issuers     []IssuerStatus  `json:"issuers,omitempty"`
	CRLs        []CRLStatus     `json:"crls,omitempty"`
	Policies    []PolicyStatus  `json:"policies"`
	Revocations int             `json:"revocations"`
	Generation  uint64          `json:"generation"`
}

// PolicyStatus names one policy and where its trial stands.
type PolicyStatus struct {
	Name            string     `json:"name"`
	Revision        string     `json:"revision"`
	Requirements    int        `json:"requirements"`
	ReportOnlyUntil *time.Time `json:"report_only_until,omitempty"`
	Enforced        bool       `json:"enforced"`
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
		ps := PolicyStatus{Name: name, Revision: p.Revision, Requirements: len(p.Requirements), Enforced: enforce == p}
		if !p.ReportOnlyUntil.IsZero() {
			ps.ReportOnlyUntil = &p.ReportOnlyUntil
		}
		st.Policies = append(st.Policies, ps)
	}
	return st
}

// RevokeRequest is the body of POST /compliance/revoke. Exactly one of Device,
// User and Certificate is given.
type RevokeRequest struct {
	Device      string `json:"device,omitempty"`      // kind:value, or a bare Entra id
	User        string `json:"user,omitempty"`        // object id, gateway user id or sign-in name
	Certificate string `json:"certificate,omitempty"` // SHA-256 of the certificate, hex
	Reason      string `json:"reason"`
	Owner       string `json:"owner,omitempty"` // who asked, for the log
	For         string `json:"for,omitempty"`   // a duration; without it until released
}

// Revoked is the answer to POST /compliance/revoke.
type Revoked struct {
	revocation.Entry
	// Known is false if no source has this device now: look twice at the id.
	Known bool `json:"known"`
}

func (a *App) adminRevoke(w http.ResponseWriter, r *http.Request) error {
	start := time.Now()
	var in RevokeRequest
	err := readBody(r, &in)
	if err != nil {
		return err
	}
	e := revocation.Entry{Reason: in.Reason, Owner: in.Owner, Since: start}
	switch {
	case in.Reason == "":
		return apiError(http.StatusBadRequest, "say why: reason is empty")
	case in.Device != "" && in.User == "" && in.Certificate == "":
		e.Kind = "device"
		e.Device, err = parseKey(in.Device)
		if err == nil && !a.deviceKind(e.Device.Kind) && !a.knowsDevice(e.Device) {
			err = fmt.Errorf("no source or credential uses device ids of kind %q: this would revoke nothing", clip(e.Device.Kind))
		}
	case in.User != "" && in.Device == "" && in.Certificate == "":
		e.Kind, e.User = "user", in.User
	case in.Certificate != "" && in.Device == "" && in.User == "":
		e.Kind, e.Certificate = "certificate", in.Certificate
	default:
		return apiError(http.StatusBadRequest, "give exactly one of device, user and certificate")
	}
	if err != nil {
		return apiError(http.StatusBadRequest, "%v", err)
	}
	if in.For != "" {
		d, err := caddy.ParseDuration(in.For)
		if err != nil || d <= 0 {
			return apiError(http.StatusBadRequest, "for: %q is not a duration", clip(in.For))
		}
		e.Until = start.Add(d)
	}
	e, err = a.shared.revocations.Add(r.Context(), e)
	if errors.Is(err, revocation.ErrInvalid) {
		return apiError(http.StatusBadRequest, "revoke: %v", err)
	}
	if err != nil {
		return apiError(http.StatusInternalServerError, "the revocation is not durable: %v", err)
	}
	a.shared.generation.Add(1)
	a.meters.revocation.Observe(time.Since(start).Seconds())
	a.log.Warn("revoked", zap.String("id", e.ID), zap.String("kind", e.Kind), zap.String("owner", clip(e.Owner)),
		zap.String("reason", clip(e.Reason)), zap.String("actor", r.RemoteAddr))
	return reply(w, Revoked{Entry: e, Known: e.Kind != revocation.KindDevice || a.knowsDevice(e.Device)})
}

// adminRevocations lists what is revoked, with privacy applied: the id is enough
// to release an entry.
func (a *App) adminRevocations(w http.ResponseWriter) error {
	entries := a.shared.revocations.Entries(time.Now())
	for i := range entries {
		e := &entries[i]
		e.User = a.privacy.text(a.privacy.users, "u_", e.User)
		if e.Device.Value != "" {
			e.Device.Value = a.privacy.device([]decision.Key{e.Device})
		}
	}
	return reply(w, map[string]any{"revocations": entries})
}

// deviceKind reports whether a credential may show ids of this kind.
func (a *App) deviceKind(kind string) bool {
	switch kind {
	case decision.KindEntra, decision.KindIntune, decision.KindSerial:
		return true
	}
	for _, is := range a.Issuers {
		if is.DeviceKind == kind {
			return true
		}
	}
	if a.ClientCertificate != nil {
		for _, words := range a.ClientCertificate.DeviceID {
			if len(words) > 0 && words[0] == kind {
				return true
			}
		}
	}
	return false
}

// knowsDevice reports whether any source has the device in memory.
func (a *App) knowsDevice(k decision.Key) bool {
	for _, s := range a.sources {
		if s.runner.Find([]decision.Key{k}).Verdict != nil {
			return true
		}
	}
	return false
}

func (a *App) adminRelease(w http.ResponseWriter, r *http.Request) error {
	err := a.operatorOnly(r)
	if err != nil {
		return err
	}
	var in struct {
		ID    string `json:"id"`
		Owner string `json:"owner"`
	}
	err = readBody(r, &in)
	if err != nil {
		return err
	}
	// The journal keeps one entry per owner, so that nobody lifts another's by
	// accident; the operator may lift any.
	entries := a.shared.revocations.Entries(time.Now())
	i := slices.IndexFunc(entries, func(e revocation.Entry) bool { return e.ID == in.ID })
	if i < 0 {
		return apiError(http.StatusNotFound, "no revocation %q is in force", clip(in.ID))
	}
	err = a.shared.revocations.Release(r.Context(), in.ID, entries[i].Owner)
	if err != nil {
		return apiError(http.StatusInternalServerError, "release: %v", err)
	}
	a.shared.generation.Add(1)
	a.log.Warn("released", zap.String("id", clip(in.ID)), zap.String("owner", clip(in.Owner)), zap.String("actor", r.RemoteAddr))
	return reply(w, map[string]string{"released": in.ID})
}

func (a *App) adminAccept(w http.ResponseWriter, r *http.Request, name string) error {
	err := a.operatorOnly(r)
	if err != nil {
		return err
	}
	var in struct {
		ID    string `json:"id"`
		Owner string `json:"owner"`
	}
	err = readBody(r, &in)
	if err != nil {
		return err
	}
	for _, s := range a.sources {
		if s.runner.State().Name != name {
			continue
		}
		err = s.runner.Accept(r.Context(), in.ID)
		if err != nil {
			return apiError(http.StatusConflict, "accept: %v", err)
		}
		a.log.Warn("held change accepted", zap.String("source", name), zap.String("id", clip(in.ID)),
			zap.String("owner", clip(in.Owner)), zap.String("actor", r.RemoteAddr))
		return reply(w, s.runner.Status())
	}
	return apiError(http.StatusNotFound, "no source %q", clip(name))
}

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
	for i := range x.Facts {
		if f := &x.Facts[i]; f.Name == decision.FactOwner.String() && f.Source != "" {
			f.Value = a.privacy.text(a.privacy.users, "u_", f.Value)
		}
	}
	return x
}

func (a *App) adminRefresh(w http.ResponseWriter, r *http.Request, id string) error {
	key, err := parseKey(id)
	if err != nil {
		return apiError(http.StatusBadRequest, "%v", err)
	}
	var errs []error
	for _, s := range a.sources {
		// A source that lists everything is read again as a whole: for a file that
		// is no dearer than looking for one row.
		refresh := s.runner.SyncNow
		if s.remote {
			refresh = func(ctx context.Context) error { return s.runner.Refresh(ctx, key) }
		}
		err := refresh(r.Context())
		if err != nil && !errors.Is(err, source.ErrUnknownDevice) {
			errs = append(errs, fmt.Errorf("%s: %w", s.runner.State().Name, err))
		}
	}
	if len(errs) > 0 {
		return apiError(http.StatusBadGateway, "refresh: %v", errors.Join(errs...))
	}
	return a.adminDevice(w, id)
}

// parseKey reads kind:value; a value alone is an Entra id.
func parseKey(s string) (decision.Key, error) {
	kind, value, ok := strings.Cut(s, ":")
	if !ok {
		kind, value = decision.KindEntra, s
	}
	key, ok := decision.CanonicalKey(strings.ToLower(kind), value)
	if !ok {
		return key, fmt.Errorf("%q is not a device id; write kind:value, such as entra:GUID or serial:NUMBER", clip(s))
	}
	return key, nil
}

func limitOf(r *http.Request, most int) (int, error) {
	s := r.URL.Query().Get("limit")
	if s == "" {
		return min(100, most), nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 || n > most {
		return 0, apiError(http.StatusBadRequest, "limit is a number from 1 to %d", most)
	}
	return n, nil
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
	recs := a.shared.ring.latest(n, time.Now(), a.privacy.retain, func(rec *decisionRecord) bool {
		return (q.Get("outcome") == "" || q.Get("outcome") == rec.Outcome.String()) &&
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
		v.Explanation = a.filtered(policy.Explain(recs[0].Policy, a.engine, &recs[0].Request))
	}
	return reply(w, v)
}

var _ caddy.AdminRouter = (*adminAPI)(nil)
