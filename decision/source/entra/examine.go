package entra

import (
	"context"
	"errors"
	"net/url"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// The permissions that are used, and what is lost without them.
var (
	needDevices = msgraph.Need{Role: "Device.Read.All", Resource: msgraph.Graph, Wider: []string{"Directory.Read.All", "Directory.ReadWrite.All"}}
	needUsers   = msgraph.Need{Role: "User.Read.All", Resource: msgraph.Graph, Wider: []string{"Directory.Read.All", "Directory.ReadWrite.All"}}
	needRisk    = msgraph.Need{Role: "IdentityRiskyUser.Read.All", Resource: msgraph.Graph, Without: "no user_risk is known; say risky_users off, or grant it"}
)

// Examine implements [source.Examiner]: permissions, one device, and one page each
// of what else is configured.
func (s *Source) Examine(ctx context.Context) source.Examination {
	needs := []msgraph.Need{needDevices}
	if s.o.Users {
		needs = append(needs, needUsers)
	}
	if s.o.RiskyUsers {
		needs = append(needs, needRisk)
	}
	var x source.Examination
	granted, found := s.o.Client.ExaminePermissions(ctx, needs...)
	x.Add(found...)
	if granted == nil {
		return x
	}
	if granted.Has(needDevices) {
		s.examineDevices(ctx, &x)
		x.Add(s.examineChanges(ctx))
	}
	if s.o.Users && granted.Has(needUsers) {
		x.Add(s.examineUsers(ctx))
	}
	if s.o.RiskyUsers && granted.Has(needRisk) {
		x.Add(s.examineRisk(ctx))
	}
	return x
}

func (s *Source) examineDevices(ctx context.Context, x *source.Examination) {
	row, err := s.o.Client.First(ctx, msgraph.Request{
		Endpoint: msgraph.DirectoryDevices, Path: "/v1.0/devices", Query: url.Values{"$select": {deviceSelect}, "$top": {"1"}}, Priority: "Low",
	})
	switch {
	case err != nil:
		x.Add(msgraph.Judge(checkup.CheckDevices, err))
		return
	case row == nil:
		x.Add(checkup.Warn(checkup.CheckDevices, "the directory lists no device", "check that this is the tenant that the devices are registered in"))
		return
	}
	wire, own, err := decodeDevice(row)
	if err != nil {
		x.Add(checkup.Fail(checkup.CheckAnswer, "a device of the directory cannot be read: "+err.Error(), "report this with the version of the gateway"))
		return
	}
	d := newDevice(own)
	d.merge(&wire, s.o.Now(), &tally{})
	for _, k := range d.Keys {
		if k.Kind == decision.KindEntra {
			x.Sample = []decision.Key{k}
		}
	}
	x.Add(checkup.Ok(checkup.CheckDevices, "devices can be read"))
}

// examineChanges asks for the present position of the delta query, which answers
// with a link alone: every poll depends on it.
func (s *Source) examineChanges(ctx context.Context) checkup.Finding {
	_, err := s.o.Client.First(ctx, msgraph.Request{
		Endpoint: msgraph.DirectoryDevices, Path: devicesPath, Query: url.Values{"$select": {deviceSelect}, "$deltatoken": {"latest"}}, Priority: "Low",
	})
	if err != nil {
		return msgraph.Judge(checkup.CheckChanges, err)
	}
	return checkup.Ok(checkup.CheckChanges, "changes can be asked for")
}

func (s *Source) examineUsers(ctx context.Context) checkup.Finding {
	row, err := s.o.Client.First(ctx, msgraph.Request{
		Endpoint: msgraph.DirectoryUsers, Path: "/v1.0/users", Query: url.Values{"$select": {"id"}, "$top": {"1"}}, Priority: "Low",
	})
	switch {
	case err != nil:
		return msgraph.Judge(checkup.CheckUsers, err)
	case row == nil:
		return checkup.Fail(checkup.CheckUsers, "the directory lists no user", "check that this is the right tenant")
	}
	return checkup.Ok(checkup.CheckUsers, "users can be read")
}

// examineRisk reads one risky user. No licence, and a cloud without the service,
// look like a missing permission.
func (s *Source) examineRisk(ctx context.Context) checkup.Finding {
	_, err := s.o.Client.First(ctx, msgraph.Request{
		Endpoint: msgraph.RiskyUsers, Path: riskPath, Query: url.Values{"$select": {riskSelect}, "$top": {"1"}}, Priority: "Low",
	})
	if err == nil {
		return checkup.Ok(checkup.CheckUserRisk, "users at risk can be read")
	}
	f := msgraph.Judge(checkup.CheckUserRisk, err)
	e, ok := errors.AsType[*msgraph.Error](err)
	if ok && (e.Kind == msgraph.KindPermission || e.Kind == msgraph.KindNotFound || e.Kind == msgraph.KindBadRequest) {
		f.Check, f.State, f.Fix = checkup.CheckUserRisk, checkup.Warning, "user risk takes a P2 licence, and is not in the China cloud: say risky_users off"
	}
	return f
}

var _ source.Examiner = (*Source)(nil)
