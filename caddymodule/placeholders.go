package caddymodule

import (
	"crypto/rand"
	"encoding/base32"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/gatehouse-project/gatehouse/decision"
)

// setPlaceholders makes {http.auth.user.id} and {http.compliance.*} known for the
// request. They are computed when somebody asks, and are never left literal.
func (a *App) setPlaceholders(r *http.Request, x *exchange) {
	repl, ok := r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
	if !ok {
		return
	}
	repl.Map(func(key string) (any, bool) {
		if key == "http.auth.user.id" {
			// Caddy writes this one into the access log.
			if v := x.placeholder("user.id"); v != "" {
				return a.privacy.text(a.privacy.users, "u_", v), true
			}
			return "", true
		}
		rest, ok := strings.CutPrefix(key, "http.compliance.")
		if !ok {
			return nil, false
		}
		return x.placeholder(rest), true
	})
}

// placeholder returns the value of {http.compliance.NAME}; "" for an unknown name
// or one that has no value on this request.
func (x *exchange) placeholder(name string) string {
	d := x.result
	switch name {
	case "decision_id":
		return x.decisionID()
	case "decision", "outcome":
		if d != nil {
			return d.Outcome.String()
		}
	case "policy":
		if d != nil {
			return d.Policy.Name
		}
	case "reason":
		if d != nil && d.Outcome != decision.Allow {
			return problemSlug(d)
		}
	case "reasons":
		return strings.Join(reasonCodes(d), ",")
	case "freshness":
		if d != nil {
			return d.Freshness.String()
		}
	}
	if x.req.Identity == nil || d != nil && d.Outcome == decision.Authenticate {
		return ""
	}
	e := x.creds.entry
	switch name {
	case "user.id":
		return e.headerVals[hUserID]
	case "user.name":
		return e.headerVals[hUser]
	case "user.groups":
		return e.headerVals[hGroups]
	case "device.id":
		return e.headerVals[hDevice]
	case "device.name":
		return cleanValue(x.req.Posture.Name)
	case "device.proof":
		return e.Device.Proof.String()
	case "device.compliance":
		return x.compliance().String()
	case "device.platform":
		return x.req.Posture.Platform.String()
	}
	return ""
}

func reasonCodes(d *decision.Decision) []string {
	if d == nil {
		return nil
	}
	codes := make([]string, len(d.Findings))
	for i := range d.Findings {
		codes[i] = d.Findings[i].Reason.Code()
	}
	return codes
}

// logFields adds our fields to the site's access log.
func (a *App) logFields(r *http.Request, x *exchange) {
	extra, ok := r.Context().Value(caddyhttp.ExtraLogFieldsCtxKey).(*caddyhttp.ExtraLogFields)
	if !ok || x.result == nil {
		return
	}
	extra.Set(zap.String("compliance.outcome", x.result.Outcome.String()))
	extra.Set(zap.String("compliance.policy", x.result.Policy.Name))
	extra.Set(zap.Strings("compliance.reasons", reasonCodes(x.result)))
	if x.id != "" {
		extra.Set(zap.String("compliance.decision_id", x.id))
	}
	extra.Set(zap.String("compliance.freshness", x.result.Freshness.String()))
}

var idEncoding = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// newDecisionID makes an id that a person can read out: 80 random bits in
// Crockford's alphabet, which has no l, o, i or u to mix up.
func newDecisionID() string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	return idEncoding.EncodeToString(b[:])
}
