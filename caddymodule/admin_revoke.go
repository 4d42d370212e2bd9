package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/revocation"
)

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
		e.Kind = revocation.KindDevice
		e.Device, err = parseKey(in.Device)
		if err == nil && !a.deviceKind(e.Device.Kind) && !a.knowsDevice(e.Device) {
			err = fmt.Errorf("no source or credential uses device ids of kind %q: this would revoke nothing", clip(e.Device.Kind))
		}
	case in.User != "" && in.Device == "" && in.Certificate == "":
		e.Kind, e.User = revocation.KindUser, in.User
	case in.Certificate != "" && in.Device == "" && in.User == "":
		e.Kind, e.Certificate = revocation.KindCertificate, in.Certificate
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

// deviceKind reports whether a request could lead to a device id of this kind: a
// credential shows it, or a source may link it to one that a credential shows.
// Every source may link the kinds that we name; kinds of the operator's own
// depend on what the source holds.
func (a *App) deviceKind(kind string) bool {
	switch kind {
	case decision.KindEntra, decision.KindIntune, decision.KindSerial:
		if len(a.sources) > 0 {
			return true
		}
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
	in, err := a.readOperatorCall(r)
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
	a.log.Warn("released", zap.String("id", clip(in.ID)), zap.String("owner", clip(in.Owner)), zap.String("actor", r.RemoteAddr))
	return reply(w, map[string]string{"released": in.ID})
}
