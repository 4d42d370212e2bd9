package defender

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// The permissions that are used.
var (
	needMachines = msgraph.Need{Role: "Machine.Read.All", Resource: msgraph.Defender}
	needAlerts   = msgraph.Need{Role: "Alert.Read.All", Resource: msgraph.Defender}
)

// reportsWithin is how lately at least one machine of a working fleet sent a full
// report: each does about once a day.
const reportsWithin = 48 * time.Hour

// Examine implements [source.Examiner]: permissions, one machine and one alert. It
// makes at most three of the 100 calls that the service allows a minute.
func (s *Source) Examine(ctx context.Context) source.Examination {
	needs := []msgraph.Need{needMachines}
	if s.o.Alerts {
		needs = append(needs, needAlerts)
	}
	var x source.Examination
	granted, found := s.o.Client.ExaminePermissions(ctx, needs...)
	x.Add(found...)
	if granted == nil {
		return x
	}
	if granted.Has(needMachines) {
		s.examineMachines(ctx, &x)
	}
	if s.o.Alerts && granted.Has(needAlerts) {
		_, err := s.first(ctx, msgraph.DefenderAlerts, alertsPath, "")
		if err != nil {
			x.Add(msgraph.Judge(checkup.CheckAlerts, err))
		} else {
			x.Add(checkup.Ok(checkup.CheckAlerts, "alerts can be read"))
		}
	}
	return x
}

// first returns the first row of a list, or nil: an empty list is a 404 here.
func (s *Source) first(ctx context.Context, ep msgraph.Endpoint, path, filter string) (json.RawMessage, error) {
	q := url.Values{"$top": {"1"}}
	if filter != "" {
		q.Set("$filter", filter)
	}
	row, err := s.o.Client.First(ctx, msgraph.Request{Endpoint: ep, Path: path, Query: q, Priority: "Low"})
	if none(err) {
		return nil, nil
	}
	return row, err
}

func (s *Source) examineMachines(ctx context.Context, x *source.Examination) {
	now := s.o.Now()
	row, err := s.first(ctx, msgraph.DefenderMachines, machinesPath, "lastSeen gt "+now.Add(-reportsWithin).UTC().Format(time.RFC3339))
	recent := row != nil
	if err == nil && !recent {
		row, err = s.first(ctx, msgraph.DefenderMachines, machinesPath, "")
	}
	switch {
	case err != nil:
		x.Add(msgraph.Judge(checkup.CheckDevices, err))
		return
	case row == nil:
		x.Add(checkup.Warn(checkup.CheckDevices, "Defender lists no machine", "check that this is the right tenant and cloud, and that machines are onboarded"))
		return
	}
	v, err := decodeMachine(row, now, tally{})
	if err != nil {
		x.Add(checkup.Fail(checkup.CheckAnswer, "a machine of Defender cannot be read: "+err.Error(), "report this with the version of the gateway"))
		return
	}
	if len(v.Keys) > 1 { // with an id that others know
		x.Sample = v.Keys
	}
	if recent {
		x.Add(checkup.Ok(checkup.CheckDevices, fmt.Sprintf("machines can be read, and at least one reported within %s", checkup.Span(reportsWithin))))
		return
	}
	x.Add(checkup.Warn(checkup.CheckDevices, fmt.Sprintf("no machine reported within %s", checkup.Span(reportsWithin)),
		"look at the service health of Defender, and at the network between the machines and it"))
}

var _ source.Examiner = (*Source)(nil)
