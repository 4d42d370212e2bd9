package nac

import (
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

func TestExamine(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(*emulator.Server)
		check   string
		state   checkup.State
		text    string
	}{
		"well":      {nil, checkup.CheckAnswer, checkup.OK, "answers questions"},
		"discovery": {nil, checkup.CheckDiscovery, checkup.OK, "/nac"},
		"may not find": {func(e *emulator.Server) {
			e.Grant("Application.Read.All", false)
			e.Grant("Directory.Read.All", false)
		}, checkup.CheckPermission, checkup.Fault, "Application.Read.All of Microsoft Graph"},
		"may not ask": {func(e *emulator.Server) { e.Grant("get_device_compliance", false) }, checkup.CheckPermission, checkup.Fault, "get_device_compliance of Microsoft Intune API"},
		"not there": {func(e *emulator.Server) {
			e.Fail("graph/endpoints", emulator.Fault{Kind: emulator.Garbage, Body: `{"value":[]}`})
		}, checkup.CheckDiscovery, checkup.Fault, "no compliance retrieval service"},
		"down": {func(e *emulator.Server) {
			e.Fail("nac/devices", emulator.Fault{Kind: emulator.Status, Status: 500})
		}, checkup.CheckReach, checkup.Fault, "500"},
	} {
		t.Run(name, func(t *testing.T) {
			e, s, _ := connect(t, 50)
			if tc.prepare != nil {
				tc.prepare(e)
			}
			x := s.Examine(t.Context())
			ok := false
			for _, f := range x.Findings {
				ok = ok || f.Check == tc.check && f.State == tc.state && strings.Contains(f.Text, tc.text)
			}
			if !ok {
				t.Errorf("want %s %s %q, got %+v", tc.check, tc.state, tc.text, x.Findings)
			}
			if tc.prepare == nil {
				e.Check(t)
			}
		})
	}
}
