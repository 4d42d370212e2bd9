package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"go.uber.org/zap"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

// ForgetRequest is the body of POST /compliance/devices/ID/forget.
type ForgetRequest struct {
	Source string `json:"source,omitempty"` // name of one source; without it all that have the device
	Reason string `json:"reason,omitempty"` // for the log
	Owner  string `json:"owner,omitempty"`  // who asks, for the log
}

// Forgotten is the answer to POST /compliance/devices/ID/forget: one entry for each
// source that has the device, or had it, in the order of the configuration.
type Forgotten struct {
	Sources []ForgottenSource `json:"sources"`
}

// ForgottenSource is what was kept about the device at one source and is not any more.
type ForgottenSource struct {
	Source string `json:"source"`
	// Facts are those whose bad news counted although the source did not say it any
	// more. Empty: nothing was kept.
	Facts []string `json:"facts"`
	// GoneSince and GoneUntil are since when the source does not list a record whose
	// last word counted, and until when it would have.
	GoneSince *time.Time `json:"gone_since,omitempty"`
	GoneUntil *time.Time `json:"gone_until,omitempty"`
}

// adminForget takes back what the gateway keeps by itself about a device. That loosens.
func (a *App) adminForget(w http.ResponseWriter, r *http.Request, id string) error {
	err := a.operatorOnly(r)
	if err != nil {
		return err
	}
	var in ForgetRequest
	err = readBody(r, &in)
	if err != nil {
		return err
	}
	key, err := parseKey(id)
	if err != nil {
		return apiError(http.StatusBadRequest, "%v", err)
	}
	if in.Source != "" && !slices.ContainsFunc(a.sources, func(s *pooledSource) bool { return s.runner.Name() == in.Source }) {
		return apiError(http.StatusNotFound, "no source %q", clip(in.Source))
	}
	done, err := a.directory.Forget(key, in.Source)
	out := Forgotten{Sources: []ForgottenSource{}}
	for _, k := range done {
		names := factNames(k.Facts)
		out.Sources = append(out.Sources, ForgottenSource{Source: k.Source, Facts: names, GoneSince: optional(k.GoneSince), GoneUntil: optional(k.GoneUntil)})
		if k.Any() {
			a.log.Info("forgotten", zap.String("source", k.Source), zap.String("device", a.privacy.device([]decision.Key{key})),
				zap.Strings("facts", names), zap.Bool("gone", !k.GoneUntil.IsZero()), zap.String("owner", clip(in.Owner)),
				zap.String("reason", clip(in.Reason)), zap.String("actor", r.RemoteAddr))
		}
	}
	if err != nil {
		return forgetError(err, done, clip(in.Source), clip(key.Kind+":"+key.Value))
	}
	return reply(w, out)
}

// forgetError is the answer where a source could not forget the device of this name. What
// others forgot all the same is in it: nobody must believe that nothing happened. in is
// the source that was named, or "".
func forgetError(err error, done []source.Kept, in, name string) error {
	already := ""
	for i := range done {
		if done[i].Any() {
			already += fmt.Sprintf("; forgotten already at source %q", done[i].Source)
		}
	}
	switch {
	case errors.Is(err, source.ErrUnknownDevice) && in != "":
		return apiError(http.StatusNotFound, "source %q does not have the device %s", in, name)
	case errors.Is(err, source.ErrUnknownDevice):
		return apiError(http.StatusNotFound, "no source has the device %s", name)
	case errors.Is(err, source.ErrSeveralDevices):
		return apiError(http.StatusConflict, "forget: %w; name the device by another id%s", err, already)
	case errors.Is(err, source.ErrHeldBack):
		return apiError(http.StatusConflict, "forget: %w; accept or settle that first, see status%s", err, already)
	}
	return apiError(http.StatusInternalServerError, "forgotten, but a restart may bring it back: %w", err)
}

// factNames are the names of facts, in their fixed order; never nil.
func factNames(s decision.FactSet) []string {
	names := []string{}
	for f := range decision.NumFacts {
		if s.Has(f) {
			names = append(names, f.String())
		}
	}
	return names
}
