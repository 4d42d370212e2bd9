package caddymodule

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/gatehouse-project/gatehouse/caddymodule/pages"
	"github.com/gatehouse-project/gatehouse/decision"
)

// refuse answers a request that may not go on. It is the one place where a
// decision becomes an HTTP response.
func (a *App) refuse(w http.ResponseWriter, r *http.Request, x *exchange, d *decision.Decision, f fault, rules []*Rule) error {
	x.decisionID()
	a.record(r, x, d, modeEnforce, &f)
	a.logFields(r, x)

	kind := clientKind(r)
	status := statusOf(d, &f, kind)
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	if listedOrigin(r, rules, x.ambiguous) {
		allowOrigin(h, r)
	}
	if f.close && r.ProtoMajor < 3 { // HTTP/3 clients reject an answer with this field (RFC 9114, 4.2)
		h.Set("Connection", "close")
	}
	a.challenge(h, x, d, &f, kind)
	if status == http.StatusServiceUnavailable {
		h.Set("Retry-After", strconv.Itoa(retrySeconds))
	}
	if status == http.StatusMethodNotAllowed {
		h.Set("Allow", allowedMethods)
	}
	for _, rule := range rules {
		if rule.CaddyErrors {
			return caddyhttp.Error(status, errors.New(problemSlug(d)))
		}
	}
	switch {
	case kind == grpc:
		return writeGRPC(w, d)
	case f.reason == decision.PreflightNotAllowed:
		w.WriteHeader(status)
		return nil
	case kind == navigation || kind == embedded:
		return a.writePage(w, r, x, d, status)
	}
	return a.writeProblem(w, r, x, d, status)
}

// allowedMethods is the Allow header of a 405.
const allowedMethods = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

// retrySeconds is the Retry-After of an undecided answer.
const retrySeconds = 10

func statusOf(d *decision.Decision, f *fault, kind client) int {
	if f.bad() {
		return f.status
	}
	switch d.Outcome {
	case decision.Authenticate, decision.RequestStepUp:
		return http.StatusUnauthorized
	case decision.Undecided:
		return http.StatusServiceUnavailable
	case decision.NoOutcome, decision.Allow, decision.Block:
	}
	return http.StatusForbidden
}

// challenge adds WWW-Authenticate where a 401 needs it.
func (a *App) challenge(h http.Header, x *exchange, d *decision.Decision, f *fault, kind client) {
	switch {
	case f.reason == decision.InvalidToken:
		a.challenges.invalid(h, f.param)
	case f.bad():
	case d.Outcome == decision.RequestStepUp:
		a.challenges.stepUp(h, d.StepUp, &x.req.Identity.User)
	case d.Outcome == decision.Authenticate && x.creds.foreignBearer:
		a.challenges.invalid(h, "foreign")
	case d.Outcome == decision.Authenticate:
		a.challenges.plain(h)
	}
}

// problem is the body for programs (RFC 9457).
type problem struct {
	Type       string          `json:"type"`
	Title      string          `json:"title"`
	Status     int             `json:"status"`
	Detail     string          `json:"detail"`
	Outcome    string          `json:"outcome"`
	DecisionID string          `json:"decision_id,omitempty"` // none of a re-check
	Reasons    []problemReason `json:"reasons"`
	Warnings   []problemReason `json:"warnings,omitempty"`
	StepUp     string          `json:"step_up,omitempty"`
	ACRValues  string          `json:"acr_values,omitempty"`
	MaxAge     int64           `json:"max_age,omitempty"` // seconds
	RetryAfter int             `json:"retry_after,omitempty"`
	Support    *Support        `json:"support,omitempty"`
	// Management is who manages the device, where the device is at fault.
	Management *problemManagement `json:"management,omitempty"`
}

type problemReason struct {
	Code        string `json:"code"`
	Message     string `json:"message"`
	Remediation string `json:"remediation,omitempty"`
	Parameter   string `json:"parameter,omitempty"`
	FixedBy     string `json:"fixed_by"`
}

var titles = map[decision.Outcome]string{
	decision.Authenticate:  "Sign-in needed",
	decision.RequestStepUp: "A stronger sign-in is needed",
	decision.Undecided:     "Access cannot be decided now",
	decision.Block:         "Access denied",
}

// problemSlug names a refusal after its first deciding reason.
func problemSlug(d *decision.Decision) string {
	for i := range d.Findings {
		if d.Findings[i].Effect > decision.EffectWarn {
			return d.Findings[i].Reason.Code()
		}
	}
	return d.Outcome.String()
}

// problemType is stable: it never changes once published.
func problemType(d *decision.Decision) string { return "urn:gatehouse:problem:" + problemSlug(d) }

func (a *App) writeProblem(w http.ResponseWriter, r *http.Request, x *exchange, d *decision.Decision, status int) error {
	lang := pages.Language(r.Header.Get("Accept-Language"))
	platform := platformOf(x)
	p := problem{
		Type: problemType(d), Title: titles[d.Outcome], Status: status, Outcome: d.Outcome.String(),
		DecisionID: x.id, Reasons: []problemReason{}, Support: a.Support,
	}
	management, link := a.management(x.req.Posture)
	p.Management = problemManagementOf(management, link, d, lang, platform)
	for i := range d.Findings {
		f := &d.Findings[i]
		t := f.TextBy(lang, platform, management)
		pr := problemReason{
			Code: f.Reason.Code(), Message: t.Message, Remediation: t.Remediation,
			Parameter: f.Param, FixedBy: string(f.Reason.FixedBy()),
		}
		if f.Effect == decision.EffectWarn {
			p.Warnings = append(p.Warnings, pr)
			continue
		}
		if p.Detail == "" {
			p.Detail = t.Message
		}
		p.Reasons = append(p.Reasons, pr)
	}
	if d.StepUp != nil {
		p.StepUp = d.StepUp.Name
		p.ACRValues = strings.Join(d.StepUp.For[x.req.Identity.User.Issuer].ACRValues, " ")
		p.MaxAge = int64(d.StepUp.MaxAge / time.Second)
	}
	if status == http.StatusServiceUnavailable {
		p.RetryAfter = retrySeconds
	}
	var body bytes.Buffer
	enc := json.NewEncoder(&body)
	enc.SetEscapeHTML(false) // read by people in a terminal, never as HTML
	err := enc.Encode(&p)
	if err != nil {
		return caddyhttp.Error(http.StatusInternalServerError, fmt.Errorf("encoding problem document: %w", err))
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Add("Vary", "Accept, Accept-Language, Authorization, Sec-Fetch-Mode, Sec-Fetch-Dest")
	w.Header().Set("Content-Language", lang)
	w.WriteHeader(status)
	if r.Method == http.MethodHead {
		return nil
	}
	_, err = w.Write(body.Bytes())
	return err
}

func (a *App) writePage(w http.ResponseWriter, r *http.Request, x *exchange, d *decision.Decision, status int) error {
	pg := &pages.Page{
		Kind: pageKind(d, status), Lang: pages.Language(r.Header.Get("Accept-Language")), Status: status,
		Platform: platformOf(x), Findings: d.Findings, DecisionID: x.id, Now: x.start, Accepts: a.accepts,
		RetryPath: retryPath(r, x.orig), Unsent: r.Method != http.MethodGet && r.Method != http.MethodHead,
	}
	if status == http.StatusServiceUnavailable {
		pg.RetryAfter = retrySeconds * time.Second
	}
	if x.req.Identity != nil {
		pg.Device, pg.User = x.req.Posture.Name, x.req.Identity.User.Name
	}
	pg.Management, pg.ManageURL = a.management(x.req.Posture)
	err := a.pages.Write(w, pg)
	if err != nil {
		a.log.Error("rendering page", zap.Error(err), zap.String("decision_id", x.id))
	}
	return nil // an answer was written, if only in plain text
}

func pageKind(d *decision.Decision, status int) pages.Kind {
	switch {
	case status == http.StatusServiceUnavailable:
		return pages.Undecided
	case d.Outcome == decision.Authenticate || d.Outcome == decision.RequestStepUp:
		return pages.SignIn
	case status == http.StatusForbidden:
		return pages.Blocked
	}
	return pages.BadRequest
}

// retryPath is where "try again" leads: the same path on this site, never
// anywhere else, and nowhere after a request that was more than a GET.
func retryPath(r *http.Request, orig *url.URL) string {
	p := orig.EscapedPath()
	if r.Method != http.MethodGet && r.Method != http.MethodHead || !strings.HasPrefix(p, "/") ||
		strings.HasPrefix(p, "//") || strings.ContainsAny(p, "\\") || len(p) > 2048 {
		return "/"
	}
	return p
}

func platformOf(x *exchange) decision.Platform {
	if x.req.Posture == nil {
		return decision.PlatformUnknown
	}
	return x.req.Posture.Platform
}

// writeGRPC answers with a trailers-only response: HTTP 200, the status in the
// headers (gRPC over HTTP/2, Responses).
func writeGRPC(w http.ResponseWriter, d *decision.Decision) error {
	code := 7 // PERMISSION_DENIED
	switch d.Outcome {
	case decision.Authenticate, decision.RequestStepUp:
		code = 16 // UNAUTHENTICATED
	case decision.Undecided:
		code = 14 // UNAVAILABLE
	case decision.NoOutcome, decision.Allow, decision.Block:
	}
	h := w.Header()
	h.Set("Content-Type", "application/grpc")
	h.Set("Grpc-Status", strconv.Itoa(code))
	h.Set("Grpc-Message", problemSlug(d))
	w.WriteHeader(http.StatusOK)
	return nil
}
