package nac

import (
	"context"
	"errors"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/internal/msgraph"
)

// The permissions that are used.
var (
	needDiscovery = msgraph.Need{Role: "Application.Read.All", Resource: msgraph.Graph, Wider: []string{"Directory.Read.All", "Directory.ReadWrite.All", "Application.ReadWrite.OwnedBy"}}
	needDevice    = msgraph.Need{Role: "get_device_compliance", Resource: msgraph.Intune}
)

// nobody is an Intune id that no device has: the answer to a question about it
// shows that the service takes questions.
const nobody = "00000000-0000-4000-8000-000000000000"

// Examine implements [source.Examiner]: permissions, where the service is, and
// whether it answers.
func (s *Source) Examine(ctx context.Context) source.Examination {
	var x source.Examination
	granted, found := s.o.Client.ExaminePermissions(ctx, needDiscovery, needDevice)
	x.Add(found...)
	if granted == nil || !granted.Has(needDiscovery) {
		return x
	}
	base, err := s.service.find(ctx)
	switch {
	case errors.Is(err, errNoService):
		x.Add(checkup.Fail(checkup.CheckDiscovery, "the tenant lists no compliance retrieval service", "check that the tenant has an Intune licence"))
		return x
	case err != nil:
		x.Add(msgraph.Judge(checkup.CheckDiscovery, err))
		return x
	}
	x.Add(checkup.Ok(checkup.CheckDiscovery, "the compliance retrieval service is at "+base))
	if !granted.Has(needDevice) {
		return x
	}
	rows, err := s.ask(ctx, nobody)
	if err == nil {
		_, err = s.judge(rows, decision.Key{Kind: decision.KindIntune, Value: nobody})
	}
	if err != nil && !errors.Is(err, source.ErrUnknownDevice) {
		x.Add(msgraph.Judge(checkup.CheckAnswer, err))
		return x
	}
	x.Add(checkup.Ok(checkup.CheckAnswer, "the service answers questions about devices"))
	return x
}

var _ source.Examiner = (*Source)(nil)
