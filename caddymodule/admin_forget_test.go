package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/gatehouse-project/gatehouse/decision/source"
)

// TestForgetErrorNamesWhatWasForgotten: an answer that refuses says what happened
// nevertheless.
func TestForgetErrorNamesWhatWasForgotten(t *testing.T) {
	at := func(name string) source.Kept { return source.Kept{Source: name, GoneUntil: time.Unix(1, 0)} }
	held := fmt.Errorf("source entra: %w", source.ErrHeldBack)
	for _, tc := range []struct {
		name   string
		err    error
		done   []source.Kept
		in     string
		status int
		want   string
	}{
		{"held", held, nil, "", http.StatusConflict, "forget: source entra: " + source.ErrHeldBack.Error() + "; accept or settle that first, see status"},
		{"held, others did", held, []source.Kept{at("intune"), {Source: "file"}, at("jamf")}, "", http.StatusConflict, "forget: source entra: " + source.ErrHeldBack.Error() + `; accept or settle that first, see status; forgotten already at source "intune"; forgotten already at source "jamf"`},
		{"several, another did", source.ErrSeveralDevices, []source.Kept{at("intune")}, "", http.StatusConflict, "forget: " + source.ErrSeveralDevices.Error() + `; name the device by another id; forgotten already at source "intune"`},
		{"unknown", source.ErrUnknownDevice, nil, "", http.StatusNotFound, "no source has the device serial:X"},
		{"unknown there", source.ErrUnknownDevice, nil, "entra", http.StatusNotFound, `source "entra" does not have the device serial:X`},
		{"not saved", source.ErrNotSaved, []source.Kept{at("intune")}, "", http.StatusInternalServerError, "forgotten, but a restart may bring it back: " + source.ErrNotSaved.Error()},
	} {
		t.Run(tc.name, func(t *testing.T) {
			err := forgetError(tc.err, tc.done, tc.in, "serial:X")
			var got caddy.APIError
			if !errors.As(err, &got) || got.HTTPStatus != tc.status || got.Err.Error() != tc.want {
				t.Errorf("%d %v\nwant %d %s", got.HTTPStatus, got.Err, tc.status, tc.want)
			}
		})
	}
}
