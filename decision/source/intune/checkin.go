package intune

import (
	"context"
	"errors"
	"fmt"
	"net/url"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// RequestCheckIn implements [source.CheckInRequester] by Graph's action syncDevice.
// It changes nothing on the device but makes it report at once instead of within
// eight hours. Intune reaches only what is enrolled with it: a device that was
// uploaded by tenant attach, or is managed by a partner, is not supported. While
// the application lacks the permission nobody is asked: once in 15 minutes tells
// whether it was granted.
func (s *Source) RequestCheckIn(ctx context.Context, v *decision.Verdict) error {
	err := s.requestCheckIn(ctx, v)
	if err != nil {
		return fmt.Errorf("intune: check-in of device %s: %w", v.Keys[0].Value, err)
	}
	return nil
}

func (s *Source) requestCheckIn(ctx context.Context, v *decision.Verdict) error {
	switch v.Channel {
	case decision.ChannelIntune, decision.ChannelCoManaged, decision.ChannelUnknown:
	case decision.ChannelConfigMgrAttached, decision.ChannelConfigMgrOnly, decision.ChannelPartnerMDM,
		decision.ChannelMDEAttach, decision.ChannelEAS, decision.ChannelNone:
		return fmt.Errorf("%w: its management channel is %s", source.ErrNotSupported, v.Channel)
	}
	if v.Keys[0].Kind != decision.KindIntune {
		return source.ErrUnknownDevice
	}
	if s.barred("check-ins") {
		return fmt.Errorf("%w: the application lacked the permission a moment ago", source.ErrNotPermitted)
	}
	_, err := s.o.Client.Do(ctx, msgraph.Request{
		Endpoint: msgraph.DeviceAction, Method: "POST", Priority: "Normal",
		Path: devicesPath + "/" + url.PathEscape(v.Keys[0].Value) + "/syncDevice",
	})
	var e *msgraph.Error
	if err == nil || !errors.As(err, &e) {
		return err
	}
	s.bar("check-ins", err)
	switch {
	case e.Kind == msgraph.KindPermission:
		return fmt.Errorf("%w: %w", source.ErrNotPermitted, err)
	case nothingThere(err):
		return fmt.Errorf("%w: %w", source.ErrUnknownDevice, err)
	}
	return err
}
