package configmgr

import (
	"net/http"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

func TestExamine(t *testing.T) {
	refuse := func(route string, status int) func(*emulator.Server) {
		return func(e *emulator.Server) { e.Fail(route, emulator.Fault{Kind: emulator.Status, Status: status}) }
	}
	for name, tc := range map[string]struct {
		prepare func(*emulator.Server)
		check   string
		state   checkup.State
		text    string
	}{
		"well":                  {nil, checkup.CheckPermission, checkup.OK, "every class"},
		"version":               {nil, checkup.CheckVersion, checkup.OK, "site P01 has version 5.00"},
		"certificate":           {nil, checkup.CheckCertificate, checkup.OK, "is good until"},
		"clock":                 {nil, checkup.CheckClock, checkup.OK, "agrees"},
		"no sign-in":            {refuse("cm/SMS_R_System", 401), checkup.CheckSignIn, checkup.Fault, "401"},
		"no right":              {refuse("cm/SMS_R_System", 403), checkup.CheckPermission, checkup.Fault, "SMS_R_System: 403"},
		"no right to a class":   {refuse("cm/SMS_UpdateComplianceStatus", 403), checkup.CheckPermission, checkup.Fault, "SMS_UpdateComplianceStatus"},
		"no version":            {refuse("cm/SMS_Site", 403), checkup.CheckVersion, checkup.Skipped, ""},
		"without co-management": {refuse("cm/SMS_Client_ComanagementState", 404), checkup.CheckPermission, checkup.OK, "every class"},
		"without updates":       {refuse("cm/SMS_UpdateComplianceStatus", 404), checkup.CheckAnswer, checkup.Fault, "SMS_UpdateComplianceStatus"},
		"down":                  {refuse("cm/SMS_R_System", 500), checkup.CheckReach, checkup.Fault, "500"},
		"web page": {func(e *emulator.Server) {
			e.Fail("cm/SMS_R_System", emulator.Fault{Kind: emulator.HTML200})
		}, checkup.CheckAnswer, checkup.Fault, "web page"},
	} {
		t.Run(name, func(t *testing.T) {
			e, s := emulated(t, 60)
			if tc.prepare != nil {
				tc.prepare(e)
			}
			expect(t, s, tc.check, tc.state, tc.text)
			if tc.prepare == nil {
				e.Check(t)
			}
		})
	}
}

func expect(t *testing.T, s *Source, check string, state checkup.State, text string) {
	t.Helper()
	x := s.Examine(t.Context())
	for _, f := range x.Findings {
		if f.Check == check && f.State == state && strings.Contains(f.Text, text) {
			return
		}
	}
	t.Errorf("want %s %s %q, got %+v", check, state, text, x.Findings)
}

func TestExamineStranger(t *testing.T) {
	f := newFakeSite(t)
	f.add(1, "", "")
	s := f.source(t, func(o *Options) { o.RootCAs = nil })
	expect(t, s, checkup.CheckCertificate, checkup.Fault, "which is not trusted")
	s = f.source(t, func(o *Options) { o.URL = strings.Replace(o.URL, "127.0.0.1", "localhost", 1) })
	expect(t, s, checkup.CheckCertificate, checkup.Fault, "does not use the name")
	s = f.source(t, func(o *Options) {
		o.Auth = Auth{Basic: &Basic{Username: "reader", PasswordFile: "missing"}}
	})
	expect(t, s, checkup.CheckSignIn, checkup.Fault, "cannot sign in")
	f.Close()
	expect(t, f.source(t), checkup.CheckReach, checkup.Fault, "no answer")
	empty := newFakeSite(t)
	expect(t, empty.source(t), checkup.CheckDevices, checkup.Warning, "no device")
	empty.set(func() {
		empty.fault = func(w http.ResponseWriter, _ *http.Request, _ string) bool {
			w.Header().Set("Retry-After", "30")
			w.WriteHeader(http.StatusTooManyRequests)
			return true
		}
	})
	expect(t, empty.source(t), checkup.CheckHeadroom, checkup.Warning, "asks us to wait")
}
