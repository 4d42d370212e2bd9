package caddymodule

import (
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

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
	case "outcome":
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
