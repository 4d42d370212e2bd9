package entra

import (
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

func TestExamine(t *testing.T) {
	const directory = "Directory.Read.All" // contains all of them but risk
	for name, tc := range map[string]struct {
		options Options
		prepare func(*emulator.Server)
		check   string
		state   checkup.State
		text    string
	}{
		"well":    {Options{RiskyUsers: true}, nil, checkup.CheckPermission, checkup.OK, "Device.Read.All, User.Read.All, IdentityRiskyUser.Read.All"},
		"changes": {Options{RiskyUsers: true}, nil, checkup.CheckChanges, checkup.OK, ""},
		"risk":    {Options{RiskyUsers: true}, nil, checkup.CheckUserRisk, checkup.OK, ""},
		"wider":   {Options{Users: true}, func(e *emulator.Server) { e.Grant("Device.Read.All", false) }, checkup.CheckDevices, checkup.OK, ""},
		"no permission": {Options{}, func(e *emulator.Server) {
			e.Grant("Device.Read.All", false)
			e.Grant(directory, false)
		}, checkup.CheckPermission, checkup.Fault, "Device.Read.All of Microsoft Graph is missing"},
		"no users": {Options{Users: true}, func(e *emulator.Server) {
			e.Grant("User.Read.All", false)
			e.Grant(directory, false)
		}, checkup.CheckPermission, checkup.Fault, "User.Read.All"},
		"no risk": {
			Options{RiskyUsers: true},
			func(e *emulator.Server) { e.Grant("IdentityRiskyUser.Read.All", false) },
			checkup.CheckPermission, checkup.Warning, "no user_risk is known",
		},
		"no licence": {
			Options{RiskyUsers: true},
			func(e *emulator.Server) {
				e.Fail("graph/riskyUsers", emulator.Fault{Kind: emulator.Status, Status: 403})
			},
			checkup.CheckUserRisk, checkup.Warning, "403",
		},
		"no delta": {
			Options{},
			func(e *emulator.Server) {
				e.Fail("graph/devices/delta", emulator.Fault{Kind: emulator.Status, Status: 400})
			},
			checkup.CheckAnswer, checkup.Fault, "400",
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, s, _ := connect(t, emulator.Options{Strict: true}, tc.options)
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
			if tc.prepare == nil && (len(x.Sample) != 1 || x.Sample[0].Kind != decision.KindEntra) {
				t.Errorf("sample %v", x.Sample)
			}
			if tc.prepare == nil {
				e.Check(t)
			}
		})
	}
}
