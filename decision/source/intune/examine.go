package intune

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// The permissions that are used, and what is lost without them.
var (
	needDevices = msgraph.Need{Role: "DeviceManagementManagedDevices.Read.All", Resource: msgraph.Graph}
	needConfig  = msgraph.Need{
		Role: "DeviceManagementConfiguration.Read.All", Resource: msgraph.Graph,
		Without: "no reasons of noncompliance, and 30 days for the validity of a verdict",
	}
	needConnectors = msgraph.Need{
		Role: "DeviceManagementServiceConfig.Read.All", Resource: msgraph.Graph,
		Without: "nobody knows whether threat defense partners still speak, so a risk level of Intune counts as bad news only and meets no limit",
	}
)

// RemoteSyncRole is the application permission to tell a device to check in
// (Graph syncDevice).
const RemoteSyncRole = "DeviceManagementManagedDevices.PrivilegedOperations.All"

// reportsWithin is how lately at least one device of a working fleet checked in:
// each does about every eight hours.
const reportsWithin = 24 * time.Hour

// Examine implements [source.Examiner]: permissions, one device, the tenant's
// compliance settings and the threat defense connectors.
func (s *Source) Examine(ctx context.Context) source.Examination {
	var x source.Examination
	granted, found := s.o.Client.ExaminePermissions(ctx, needDevices, needConfig, needConnectors)
	x.Add(found...)
	if granted == nil {
		return x
	}
	if granted.Has(needDevices) {
		s.examineDevices(ctx, &x)
	}
	if granted.Has(needConfig) {
		x.Add(s.examineSettings(ctx)...)
	}
	if granted.Has(needConnectors) {
		x.Add(s.examineConnectors(ctx))
	}
	return x
}

func (s *Source) examineDevices(ctx context.Context, x *source.Examination) {
	now := s.o.Now()
	first := func(filter string) (json.RawMessage, error) {
		r := listRequest(filter)
		r.Query.Set("$top", "1")
		return s.o.Client.First(ctx, r)
	}
	row, err := first("lastSyncDateTime gt " + now.Add(-reportsWithin).UTC().Format(time.RFC3339))
	recent := row != nil
	if err == nil && !recent {
		row, err = first("")
	}
	if err != nil {
		x.Add(msgraph.Judge(checkup.CheckDevices, err))
		return
	}
	if row == nil {
		x.Add(checkup.Warn(checkup.CheckDevices, "Intune lists no device", "check that this is the tenant that manages them"))
		return
	}
	d := &decoder{now: now}
	v, err := d.decode(row)
	if err != nil {
		x.Add(checkup.Fail(checkup.CheckAnswer, "a device of Intune cannot be read: "+err.Error(), "report this with the version of the gateway"))
		return
	}
	x.Sample = v.Keys
	fleet := "devices"
	if n, ok := s.enrolled(ctx); ok {
		fleet = fmt.Sprintf("%d devices", n)
	}
	if recent {
		x.Add(checkup.Ok(checkup.CheckDevices, fmt.Sprintf("%s are enrolled, and at least one checked in within %s", fleet, checkup.Span(reportsWithin))))
		return
	}
	x.Add(checkup.Warn(checkup.CheckDevices, fmt.Sprintf("%s are enrolled, and none checked in within %s", fleet, checkup.Span(reportsWithin)),
		"look at the service health of Intune: verdicts that nobody renews stop counting"))
}

// enrolled is the number of devices of the tenant (Graph managedDeviceOverview).
func (s *Source) enrolled(ctx context.Context) (int, bool) {
	a, err := s.o.Client.Do(ctx, msgraph.Request{
		Endpoint: msgraph.IntuneDevices, Path: "/v1.0/deviceManagement/managedDeviceOverview", Priority: "Low",
	})
	var wire struct {
		Enrolled *int `json:"enrolledDeviceCount"`
	}
	if err != nil || json.Unmarshal(a.Body, &wire) != nil || wire.Enrolled == nil {
		return 0, false
	}
	return *wire.Enrolled, true
}

func (s *Source) examineSettings(ctx context.Context) []checkup.Finding {
	t, err := s.settings(ctx)
	if err != nil {
		return []checkup.Finding{msgraph.Judge(checkup.CheckSettings, err)}
	}
	var found []checkup.Finding
	if t.secureByDefault == decision.No && !s.o.StrictDefault {
		found = append(found, checkup.Warn(checkup.CheckSettings, "the tenant calls a device without a compliance policy compliant (secureByDefault is off)",
			"Intune, device compliance, compliance settings: mark devices with no compliance policy assigned as not compliant; or say require_policy"))
	}
	text := fmt.Sprintf("a verdict counts for %s after the last check-in of its device", checkup.Span(t.checkIn))
	if t.checkIn > defaultCheckIn {
		return append(found, checkup.Warn(checkup.CheckSettings, text, "shorten the compliance status validity period of the tenant"))
	}
	return append(found, checkup.Ok(checkup.CheckSettings, text))
}

// maxConnectors bounds the connectors that are read; there are some twenty partners.
const maxConnectors = 100

func (s *Source) examineConnectors(ctx context.Context) checkup.Finding {
	now := s.o.Now()
	all, on := 0, 0
	var silent []string
	_, err := s.o.Client.Pages(ctx, connectorsRequest(), func(raw json.RawMessage) error {
		var c connector
		if json.Unmarshal(raw, &c) != nil {
			return errors.New("connector cannot be read")
		}
		if all++; all > maxConnectors {
			return errors.New("there are too many connectors")
		}
		if c.State.s == "enabled" {
			on++
		}
		if c.silent(&decoder{now: now}) {
			silent = append(silent, c.describe())
		}
		return nil
	})
	switch {
	case err != nil:
		return msgraph.Judge(checkup.CheckConnectors, err)
	case len(silent) > 0:
		return checkup.Warn(checkup.CheckConnectors, fmt.Sprintf("%d of %d threat defense connectors are silent: %s. Intune ignores them quietly, and nobody can tell which partner a level came from: "+
			"on these platforms a risk level counts as bad news only and meets no limit", len(silent), all, strings.Join(silent, "; ")),
			"look at the partner's console; remove a connector that is not used any more in Intune: tenant administration, connectors and tokens, mobile threat defense")
	case on == 0:
		return checkup.Ok(checkup.CheckConnectors, "no threat defense partner is connected")
	}
	return checkup.Ok(checkup.CheckConnectors, fmt.Sprintf("every enabled threat defense partner speaks to Intune (%d)", on))
}

// describe names a connector by its id, its platforms and its last word: Graph gives
// it no name.
func (c *connector) describe() string {
	var platforms []string
	for _, p := range []struct {
		name string
		on   flag
	}{{"android", c.Android}, {"ios", c.IOS}, {"macos", c.Mac}, {"windows", c.Windows}} {
		if p.on.is == decision.Yes {
			platforms = append(platforms, p.name)
		}
	}
	what := "connector"
	if id, ok := decision.CanonicalKey(decision.KindIntune, c.ID.s); ok {
		what += " " + id.Value
	}
	if len(platforms) > 0 {
		what += " for " + strings.Join(platforms, ", ")
	} else {
		what += " for no platform"
	}
	d := decoder{}
	if at, _ := d.date("lastHeartbeatDateTime", c.Heartbeat); !at.IsZero() {
		what += ", last heard on " + at.UTC().Format(time.DateOnly)
	}
	return what
}

var _ source.Examiner = (*Source)(nil)
