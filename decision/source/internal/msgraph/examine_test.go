package msgraph

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

func wantFinding(t *testing.T, found []checkup.Finding, check string, state checkup.State, text string) {
	t.Helper()
	for _, f := range found {
		if strings.Contains(f.Text+f.Fix, emulator.DefaultSecret) || strings.Contains(f.Text, "eyJ") {
			t.Errorf("a secret or token: %+v", f)
		}
		if f.Check == check && f.State == state && strings.Contains(f.Text, text) {
			if (state == checkup.Fault || state == checkup.Warning) && f.Fix == "" {
				t.Errorf("no next step: %+v", f)
			}
			return
		}
	}
	t.Errorf("want %s %s %q, got %+v", check, state, text, found)
}

const privileged = "DeviceManagementManagedDevices.PrivilegedOperations.All"

func TestExamine(t *testing.T) {
	for name, tc := range map[string]struct {
		clock   time.Duration
		prepare func(*emulator.Server)
		change  func(*Options)
		check   string
		state   checkup.State
		text    string
	}{
		"token":     {check: checkup.CheckToken, state: checkup.OK, text: "graph"},
		"secret":    {check: checkup.CheckCredential, state: checkup.OK, text: "client secret is good until"},
		"clock":     {check: checkup.CheckClock, state: checkup.OK},
		"privilege": {check: checkup.CheckPrivilege, state: checkup.Warning, text: privileged},
		"read only": {
			prepare: func(s *emulator.Server) { s.Grant(privileged, false) },
			check:   checkup.CheckPrivilege, state: checkup.OK,
		},
		"wrong secret": {
			prepare: func(s *emulator.Server) { s.SetSecret("another one") },
			check:   checkup.CheckToken, state: checkup.Fault, text: "AADSTS7000215",
		},
		"expired secret": {
			prepare: func(s *emulator.Server) { s.Fail("login/token", emulator.Fault{Kind: emulator.ExpiredSecret}) },
			check:   checkup.CheckToken, state: checkup.Fault, text: "AADSTS7000222",
		},
		"unknown tenant": {
			prepare: func(s *emulator.Server) { s.Fail("login/token", emulator.Fault{Kind: emulator.UnknownTenant}) },
			check:   checkup.CheckToken, state: checkup.Fault, text: "AADSTS90002",
		},
		"secret ends": {
			prepare: func(s *emulator.Server) { s.SetSecretEnd(time.Now().Add(72 * time.Hour)) },
			check:   checkup.CheckCredential, state: checkup.Warning, text: "ends on",
		},
		"secret has ended": {
			prepare: func(s *emulator.Server) { s.SetSecretEnd(time.Now().Add(-time.Hour)) },
			check:   checkup.CheckCredential, state: checkup.Fault, text: "ended on",
		},
		"end not known": {
			prepare: func(s *emulator.Server) {
				s.Grant("Application.Read.All", false)
				s.Grant("Directory.Read.All", false)
			},
			check: checkup.CheckCredential, state: checkup.Skipped, text: "Application.Read.All",
		},
		"application not readable": {
			prepare: func(s *emulator.Server) {
				s.Fail("graph/application", emulator.Fault{Kind: emulator.Status, Status: 403})
			},
			check: checkup.CheckCredential, state: checkup.Skipped, text: "not known",
		},
		"slow clock": {clock: 2 * time.Minute, check: checkup.CheckClock, state: checkup.Warning, text: "behind"},
		"fast clock": {clock: -20 * time.Minute, check: checkup.CheckClock, state: checkup.Fault, text: "ahead of"},
		"sign-in away": {
			prepare: func(s *emulator.Server) { s.Fail("login/token", emulator.Fault{Kind: emulator.Reset}) },
			check:   checkup.CheckReach, state: checkup.Fault, text: "no token for graph",
		},
		"untrusted": {
			change: func(o *Options) { o.RootCAs = nil },
			check:  checkup.CheckCertificate, state: checkup.Fault, text: "not trusted",
		},
		"no such file": {
			change: func(o *Options) { o.Credential = CredentialOptions{SecretFile: "missing"} },
			check:  checkup.CheckToken, state: checkup.Fault, text: "client secret file",
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, c, _ := emulated(t, emulator.Options{Clock: func() time.Time { return time.Now().Add(tc.clock) }}, tc.change)
			if tc.prepare != nil {
				tc.prepare(s)
			}
			wantFinding(t, c.Examine(t.Context(), nil, Graph, Defender, Intune), tc.check, tc.state, tc.text)
		})
	}
}

// TestExamineUsed: a permission that a source uses is no surplus, and missed.
func TestExamineUsed(t *testing.T) {
	_, c, _ := emulated(t, emulator.Options{}, nil)
	wantFinding(t, c.Examine(t.Context(), []string{privileged}, Graph), checkup.CheckPrivilege, checkup.OK, "no more than is used")
	_, fresh, _ := emulated(t, emulator.Options{}, nil)
	wantFinding(t, fresh.Examine(t.Context(), []string{"Other.Write.All"}, Graph), checkup.CheckPermission, checkup.Warning, "Other.Write.All of Microsoft Graph is missing")
}

func TestExamineCertificate(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "client.pem")
	_, c, _ := emulated(t, emulator.Options{}, func(o *Options) { o.Credential = CredentialOptions{CertificateFile: file} })
	for _, tc := range []struct {
		until time.Duration
		state checkup.State
		text  string
	}{
		{time.Hour, checkup.OK, "client certificate is good until"},
		{5 * time.Minute, checkup.Warning, "ends on"},
		{-time.Hour, checkup.Fault, "expired on"},
	} {
		err := os.WriteFile(file, selfSigned(t, key, key.Public(), time.Now().Add(tc.until)), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		wantFinding(t, []checkup.Finding{c.examineCredential(t.Context(), false)}, checkup.CheckCredential, tc.state, tc.text)
	}
}

func TestExamineHeadroom(t *testing.T) {
	s, c, _ := emulated(t, emulator.Options{}, nil)
	wantFinding(t, c.ExamineHeadroom(), checkup.CheckHeadroom, checkup.OK, "no service")
	s.Fail("graph/managedDevices", emulator.Fault{Kind: emulator.Throttle429, RetryAfter: "90"})
	_, err := c.First(t.Context(), managedDevices())
	f := Judge(checkup.CheckDevices, err)
	wantFinding(t, []checkup.Finding{f}, checkup.CheckHeadroom, checkup.Warning, "throttled")
	wantFinding(t, c.ExamineHeadroom(), checkup.CheckHeadroom, checkup.Warning, "throttles intune calls and asks us to wait 1m")
	b := &c.budgets[scopeDirectory]
	for percent, want := range map[string]checkup.State{"0.85": checkup.OK, "1.4": checkup.Warning} {
		b.answered(map[string][]string{"X-Ms-Throttle-Limit-Percentage": {percent}})
		wantFinding(t, c.ExamineHeadroom(), checkup.CheckHeadroom, want, "of the limit of directory calls")
	}
	b.answered(nil)
	if got := c.Headroom()[scopeDirectory].Pressure; got != 0 {
		t.Errorf("pressure %v after an answer that says nothing", got)
	}
}

func TestExaminePermissions(t *testing.T) {
	s, c, _ := emulated(t, emulator.Options{}, nil)
	s.Grant("Device.Read.All", false)
	s.Grant("Machine.Read.All", false)
	devices := Need{Role: "Device.Read.All", Resource: Graph}
	wide := Need{Role: "Device.Read.All", Resource: Graph, Wider: []string{"Directory.Read.All"}}
	machines := Need{Role: "Machine.Read.All", Resource: Defender, Without: "nothing much"}
	g, found := c.ExaminePermissions(t.Context(), devices, machines)
	wantFinding(t, found, checkup.CheckPermission, checkup.Fault, "Device.Read.All of Microsoft Graph is missing: without it nothing works")
	wantFinding(t, found, checkup.CheckPermission, checkup.Warning, "nothing much")
	if g.Has(devices) || !g.Has(wide) || g.Has(machines) {
		t.Errorf("grants %+v", g)
	}
	g = &Grants{roles: map[Resource][]string{Graph: {"Device.ReadWrite.All"}}}
	if !g.Has(devices) {
		t.Error("a permission to write does not contain that to read")
	}
	s.SetSecret("another one")
	_, fresh, _ := emulated(t, emulator.Options{}, func(o *Options) { o.Credential.Secret = "wrong" })
	g, found = fresh.ExaminePermissions(t.Context(), devices)
	if g != nil {
		t.Error("grants without a token")
	}
	wantFinding(t, found, checkup.CheckToken, checkup.Fault, "AADSTS7000215")
}

func TestJudge(t *testing.T) {
	for name, tc := range map[string]struct {
		err   error
		check string
		state checkup.State
	}{
		"foreign":      {errors.New("odd"), checkup.CheckDevices, checkup.Fault},
		"wrapped":      {fmt.Errorf("nac: %w", &Error{Kind: KindPermission, Status: 403}), checkup.CheckPermission, checkup.Fault},
		"unauthorized": {&Error{Kind: KindUnauthorized, Status: 401}, checkup.CheckToken, checkup.Fault},
		"config":       {&Error{Kind: KindConfig, Code: "AADSTS7000215"}, checkup.CheckToken, checkup.Fault},
		"throttled":    {&Error{Kind: KindThrottled, RetryAfter: time.Second}, checkup.CheckHeadroom, checkup.Warning},
		"down":         {&Error{Kind: KindUnavailable}, checkup.CheckReach, checkup.Fault},
		"gone":         {&Error{Kind: KindGone}, checkup.CheckAnswer, checkup.Fault},
		"missing":      {&Error{Kind: KindNotFound, Status: 404}, checkup.CheckDevices, checkup.Fault},
	} {
		f := Judge(checkup.CheckDevices, tc.err)
		if f.Check != tc.check || f.State != tc.state || f.Text == "" || f.Fix == "" {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

func TestFirst(t *testing.T) {
	s, c, _ := emulated(t, emulator.Options{}, nil)
	row, err := c.First(t.Context(), managedDevices())
	var device struct{ ID string }
	if err != nil || json.Unmarshal(row, &device) != nil || device.ID == "" {
		t.Errorf("first row %s, %v", row, err)
	}
	for body, want := range map[string]string{`{"value":[]}`: "", `{}`: "no \"value\"", `[`: "JSON", `{"value":7}`: "JSON"} {
		undo := s.Fail("graph/managedDevices", emulator.Fault{Kind: emulator.Garbage, Body: body})
		row, err = c.First(t.Context(), managedDevices())
		undo()
		if row != nil || (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s, %v", body, row, err)
		}
	}
}
