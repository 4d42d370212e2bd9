package caddymodule

import (
	"encoding/json"
	"net/http"
)

// serveOwn answers the paths under /.gatehouse/. They exist on every gated site.
// Without credentials they tell nothing about anybody.
func (h *Handler) serveOwn(w http.ResponseWriter, r *http.Request, x *exchange) error {
	a, header := h.app, w.Header()
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if x.orig.Path == ownPrefix+"recheck" {
		return h.recheck(w, r, x)
	}
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		header.Set("Allow", "GET, HEAD")
		w.WriteHeader(http.StatusMethodNotAllowed)
		return nil
	}
	switch x.orig.Path {
	case ownPrefix + "ready":
		// 200 or 503 and nothing more: a body could tell a stranger why.
		if a.Ready() {
			w.WriteHeader(http.StatusOK)
		} else {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		return nil
	case ownPrefix + "jwks.json":
		body, err := json.Marshal(a.asserter.keys)
		if err != nil {
			return err
		}
		header.Set("Content-Type", "application/jwk-set+json")
		header.Set("Cache-Control", "public, max-age=300")
		w.WriteHeader(http.StatusOK)
		_, err = w.Write(body)
		return err
	}
	w.WriteHeader(http.StatusNotFound)
	return nil
}

// Ready reports whether decisions about devices can be made: every authoritative
// source was read at least once. An issuer without keys does not count: its users
// get 503, and everybody else must not lose the gateway with them.
func (a *App) Ready() bool {
	for _, s := range a.sources {
		// A source that is only asked about single devices has nothing to load.
		if st := s.runner.State(); st.Authoritative && s.lists && !st.Loaded() {
			return false
		}
	}
	return true
}
