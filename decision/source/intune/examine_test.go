package intune

import (
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// reports reports whether an examination has a finding with these words.
func reports(x source.Examination, check string, state checkup.State, text string) bool {
	for _, f := range x.Findings {
		if f.Check == check && f.State == state && strings.Contains(f.Text, text) {
			return true
		}
	}
	return false
}

func TestExamine(t *testing.T) {
	for name, tc := range map[string]struct {
		prepare func(*emulator.Server)
		check   string
		state   checkup.State
		text    string
	}{
		"well":       {nil, checkup.CheckDevices, checkup.OK, "97 devices are enrolled, and at least one checked in"},
		"settings":   {nil, checkup.CheckSettings, checkup.OK, "30d"},
		"connectors": {nil, checkup.CheckConnectors, checkup.OK, "speaks to Intune (1)"},
		"no devices": {func(ms *emulator.Server) {
			ms.Update(func(f *emulator.Fleet) {
				for i := range f.Len() {
					f.RemoveDevice(f.At(i))
				}
			})
		}, checkup.CheckDevices, checkup.Warning, "no device"},
		"a fleet that fell silent": {func(ms *emulator.Server) {
			ms.Update(func(f *emulator.Fleet) {
				for i := range f.Len() {
					for _, m := range f.At(i).Managed {
						m.LastSync = time.Now().Add(-48 * time.Hour)
					}
				}
			})
		}, checkup.CheckDevices, checkup.Warning, "none checked in"},
		"no permission": {func(ms *emulator.Server) { ms.Grant(needDevices.Role, false) }, checkup.CheckPermission, checkup.Fault, needDevices.Role},
		"no connector permission": {
			func(ms *emulator.Server) { ms.Grant(needConnectors.Role, false) },
			checkup.CheckPermission, checkup.Warning, "meets no limit",
		},
		"lax tenant": {
			func(ms *emulator.Server) { ms.Update(func(f *emulator.Fleet) { f.Settings.SecureByDefault = false }) },
			checkup.CheckSettings, checkup.Warning, "secureByDefault",
		},
		"long validity": {
			func(ms *emulator.Server) { ms.Update(func(f *emulator.Fleet) { f.Settings.CheckinDays = 120 }) },
			checkup.CheckSettings, checkup.Warning, "120d",
		},
		"silent partner": {func(ms *emulator.Server) {
			ms.Update(func(f *emulator.Fleet) { f.Connectors[0].LastHeartbeat = time.Now().Add(-20 * 24 * time.Hour) })
		}, checkup.CheckConnectors, checkup.Warning, "android, ios, windows, last heard on"},
		"throttled": {
			func(ms *emulator.Server) {
				ms.Fail("graph/managedDevices", emulator.Fault{Kind: emulator.Throttle429, RetryAfter: "60"})
			},
			checkup.CheckHeadroom, checkup.Warning, "throttled",
		},
		"down": {func(ms *emulator.Server) {
			ms.Fail("graph/managedDevices", emulator.Fault{Kind: emulator.Status, Status: 500})
		}, checkup.CheckReach, checkup.Fault, "500"},
		"portal":    {func(ms *emulator.Server) { ms.Fail("graph/managedDevices", emulator.Fault{Kind: emulator.HTML200}) }, checkup.CheckAnswer, checkup.Fault, "proxy"},
		"no secret": {func(ms *emulator.Server) { ms.SetSecret("another") }, checkup.CheckToken, checkup.Fault, "AADSTS7000215"},
	} {
		t.Run(name, func(t *testing.T) {
			r := connect(t, emulator.Options{Strict: true}, Options{})
			if tc.prepare != nil {
				tc.prepare(r.ms)
			}
			before := r.Stats()
			x := r.Examine(t.Context())
			if !reports(x, tc.check, tc.state, tc.text) {
				t.Errorf("want %s %s %q, got %+v", tc.check, tc.state, tc.text, x.Findings)
			}
			if after := r.Stats(); after.Devices != before.Devices || len(after.Refused) != 0 {
				t.Errorf("the examination changed what the source knows: %+v", after)
			}
			if tc.prepare == nil {
				r.ms.Check(t)
				if len(x.Sample) == 0 {
					t.Error("no sample")
				}
			}
		})
	}
}
