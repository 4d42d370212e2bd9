package defender

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

func TestExamine(t *testing.T) {
	for name, tc := range map[string]struct {
		alerts  bool
		prepare func(*emulator.Server)
		check   string
		state   checkup.State
		text    string
	}{
		"well":          {true, nil, checkup.CheckDevices, checkup.OK, "at least one reported"},
		"alerts":        {true, nil, checkup.CheckAlerts, checkup.OK, ""},
		"no permission": {false, func(e *emulator.Server) { e.Grant("Machine.Read.All", false) }, checkup.CheckPermission, checkup.Fault, "Machine.Read.All of WindowsDefenderATP is missing"},
		"no alerts":     {true, func(e *emulator.Server) { e.Grant("Alert.Read.All", false) }, checkup.CheckPermission, checkup.Fault, "Alert.Read.All"},
		"alerts are not asked for": {
			false, func(e *emulator.Server) { e.Grant("Alert.Read.All", false) },
			checkup.CheckPermission, checkup.OK, "granted: Machine.Read.All",
		},
		"silent": {false, func(e *emulator.Server) {
			e.Update(func(f *emulator.Fleet) {
				for i := range f.Len() {
					for _, m := range f.At(i).Machines {
						m.LastSeen = time.Now().Add(-100 * time.Hour)
					}
				}
			})
		}, checkup.CheckDevices, checkup.Warning, "no machine reported"},
		"empty": {false, func(e *emulator.Server) {
			e.Update(func(f *emulator.Fleet) {
				for i := range f.Len() {
					f.At(i).Machines = nil
				}
			})
		}, checkup.CheckDevices, checkup.Warning, "lists no machine"},
		"throttled": {
			false, func(e *emulator.Server) {
				e.Fail("defender/machines", emulator.Fault{Kind: emulator.Throttle429, RetryAfter: "60"})
			},
			checkup.CheckHeadroom, checkup.Warning, "throttled",
		},
	} {
		t.Run(name, func(t *testing.T) {
			e, s, _ := connect(t, emulator.Options{Strict: true}, Options{Alerts: tc.alerts})
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
