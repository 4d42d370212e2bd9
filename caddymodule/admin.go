package caddymodule

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/gatehouse-project/gatehouse/decision"
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
	case route == "POST devices" && len(path) == 3 && path[2] == "forget":
		return app.adminForget(w, r, path[1])
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
	if err == nil && dec.Decode(&struct{}{}) != io.EOF {
		err = errors.New("there is more than one JSON value")
	}
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

// OperatorRequest is the body of what loosens: POST /compliance/release and
// POST /compliance/sources/NAME/accept.
type OperatorRequest struct {
	ID    string `json:"id"`              // of the revocation, or of the held change
	Owner string `json:"owner,omitempty"` // who asks, for the log
}

// readOperatorCall reads a call that loosens, if the operator sent it.
func (a *App) readOperatorCall(r *http.Request) (in OperatorRequest, err error) {
	err = a.operatorOnly(r)
	if err == nil {
		err = readBody(r, &in)
	}
	return in, err
}

func (a *App) adminAccept(w http.ResponseWriter, r *http.Request, name string) error {
	in, err := a.readOperatorCall(r)
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

var _ caddy.AdminRouter = (*adminAPI)(nil)
