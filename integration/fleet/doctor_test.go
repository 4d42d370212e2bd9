package fleet

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// The exit statuses of doctor.
const (
	allWell  = 0
	warnings = 2
	broken   = 3
)

// clinic is a configuration with everything that doctor looks at, and what stands
// behind it.
type clinic struct {
	t      *testing.T
	dir    string
	tenant *emulator.Server
	issuer *rig.Issuer
	ca     *rig.CA
	idp    *http.ServeMux // of the issuer with discovery
	secret string
	idpURL string
	// lines of the configuration that cases change
	siteCA, crl, inventory string
}

// admit makes a clinic in which all is well.
func admit(t *testing.T, o emulator.Options) *clinic {
	t.Helper()
	c := &clinic{
		t: t, dir: t.TempDir(), tenant: emulator.New(o), issuer: rig.NewIssuer(t, "https://idp.corp.example"),
		ca: rig.NewCA(t, "Device CA"), idp: http.NewServeMux(), secret: emulator.DefaultSecret,
	}
	// A gateway has no use for it.
	c.tenant.Grant("DeviceManagementManagedDevices.PrivilegedOperations.All", false)
	c.tenant.Update(func(f *emulator.Fleet) {
		for _, x := range f.Connectors {
			x.State, x.LastHeartbeat = "enabled", time.Now()
		}
	})
	provider := httptest.NewServer(c.idp)
	t.Cleanup(provider.Close)
	srv := provider.URL
	c.idpURL = srv
	c.idp.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"issuer": %q, "jwks_uri": %q}`, srv, srv+"/keys")
	})
	c.idp.HandleFunc("GET /keys", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, c.issuer.JWKS) })
	c.crl = c.write("device-ca.crl", c.ca.CRL(time.Now().Add(-time.Hour), time.Now().Add(7*24*time.Hour)))
	c.inventory = c.write("devices.csv", []byte("serial,name,compliance\nPF3K9ABC,lt-inventory,compliant\n"))
	return c
}

func (c *clinic) write(name string, content []byte) string {
	c.t.Helper()
	path := filepath.Join(c.dir, name)
	err := os.WriteFile(path, content, 0o600)
	if err != nil {
		c.t.Fatal(err)
	}
	return path
}

// report is what doctor prints with --json.
type report struct {
	State    string
	Sections []struct {
		Name, Place, State string
		Findings           []struct{ Check, State, Text, Fix string }
	}
	Device *struct {
		Name    string
		Sources []struct {
			Source string
			Found  bool
		}
	}
	Decisions []struct{ Policy, Outcome string }
	text      string
}

// examine runs doctor against the tenant as it is now.
func (c *clinic) examine(args ...string) (status int, r *report) {
	c.t.Helper()
	base, _, stop := c.tenant.Start()
	defer stop()
	tenantCA := c.write("tenant-ca.pem", c.tenant.CAPEM())
	siteCA := c.siteCA
	if siteCA == "" {
		siteCA = tenantCA
	}
	file := c.write("Caddyfile", []byte(strings.NewReplacer("{base}", base, "{ca}", tenantCA, "{site_ca}", siteCA).Replace(fmt.Sprintf(`{
	compliance {
		issuer corp %s {
			audience intranet
			device_claim deviceid entra
		}
		issuer partner %s {
			jwks file %s
			audience intranet
		}
		client_certificate {
			trust_pool file %s
			device_id entra subject_cn
			revocation crl %s
		}
		microsoft {
			tenant %s
			client_id %s
			client_secret {env.CLIENT_SECRET}
			endpoint authority {base}/login
			endpoint graph {base}/graph
			endpoint defender {base}/defender
			endpoint intune {base}/nac-resource/
			ca_file {ca}
		}
		source intune
		source entra
		source defender
		source nac
		source configmgr {base}/cm/AdminService {
			ca_file {site_ca}
			basic CORP\gatehouse {env.ADMIN_PASSWORD}
		}
		source inventory %s
		policy standard {
			require user
			require compliant
		}
		policy risky {
			require user_risk at_most medium
		}
	}
}

http://127.0.0.1:1 {
	compliance standard
}
`, c.idpURL, c.issuer.URL, c.issuer.JWKS, c.ca.File, c.crl, emulator.DefaultTenant, emulator.DefaultClientID, c.inventory))))
	home := filepath.Join(c.dir, "home")
	_ = os.Mkdir(home, 0o700) // it may be there from an earlier run
	cmd := exec.CommandContext(c.t.Context(), rig.Binary(c.t), append([]string{"doctor", "--config", file, "--json", "--timeout", "2m"}, args...)...)
	cmd.Dir = c.dir
	cmd.Env = append(os.Environ(), "CLIENT_SECRET="+c.secret, "ADMIN_PASSWORD="+emulator.AdminPassword,
		"HOME="+home, "TMPDIR="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.WaitDelay = 5 * time.Second
	err := cmd.Run()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		c.t.Fatal(err)
	}
	for _, secret := range []string{c.secret, emulator.AdminPassword, "eyJ"} {
		if secret != "" && strings.Contains(out.String()+errs.String(), secret) {
			c.t.Errorf("the output has a secret or a token in it (%.4s...)", secret)
		}
	}
	if left, _ := os.ReadDir(home); len(left) > 0 {
		c.t.Errorf("doctor leaves %v behind", left)
	}
	r = &report{text: out.String() + errs.String()}
	err = json.Unmarshal(out.Bytes(), r)
	if err != nil {
		c.t.Fatalf("output is not JSON: %v\n%s", err, r.text)
	}
	return cmd.ProcessState.ExitCode(), r
}

// has reports whether a section has a finding of a check in a state, with a text.
func (r *report) has(section, check, state, text string) bool {
	for _, s := range r.Sections {
		if s.Name != section {
			continue
		}
		for _, f := range s.Findings {
			if f.Check == check && f.State == state && strings.Contains(f.Text, text) && (state == "ok" || state == "skipped" || f.Fix != "") {
				return true
			}
		}
	}
	return false
}

// TestDoctorWell: where all is well doctor says so, follows a device, and disturbs
// nobody.
func TestDoctorWell(t *testing.T) {
	c := admit(t, emulator.Options{})
	status, r := c.examine()
	if status != allWell || r.State != "ok" {
		t.Errorf("status %d, state %s\n%s", status, r.State, r.text)
	}
	for _, want := range []struct{ section, check, text string }{
		{"configuration", "load", "sources: 6"},
		{"microsoft", "token", "graph"},
		{"microsoft", "token", "defender"},
		{"microsoft", "token", "intune"},
		{"microsoft", "credential", "client secret is good until"},
		{"microsoft", "clock", "agrees"},
		{"microsoft", "privilege", "no more than is used"},
		{"microsoft", "headroom", "no service asked"},
		{"source intune", "permission", "DeviceManagementServiceConfig.Read.All"},
		{"source intune", "devices", "enrolled"},
		{"source intune", "connectors", "speaks"},
		{"source intune", "settings", "30d"},
		{"source entra", "users", ""},
		{"source entra", "user_risk", ""},
		{"source entra", "changes", ""},
		{"source defender", "devices", ""},
		{"source nac", "discovery", "/nac"},
		{"source nac", "answer", ""},
		{"source configmgr", "sign_in", ""},
		{"source configmgr", "permission", ""},
		{"source configmgr", "version", "5.00.9135"},
		{"source inventory", "rows", "1 devices"},
		{"source inventory", "age", ""},
		{"issuer corp", "discovery", ""},
		{"issuer corp", "keys", "1 key"},
		{"issuer partner", "keys", "1 key"},
		{"client_certificate", "trust_pool", "Device CA"},
		{"client_certificate", "crl", "is good until"},
		{"sample device", "lookup", "source intune has the device"},
		{"sample device", "lookup", "source entra has the device"},
		{"sample device", "lookup", "source entra has the owner of the device"},
		{"sample device", "decision", "policy standard: allow (as its owner)"},
		{"sample device", "decision", "policy risky: allow (as its owner)"},
	} {
		if !r.has(want.section, want.check, "ok", want.text) {
			t.Errorf("%s does not say %s %q", want.section, want.check, want.text)
		}
	}
	if r.Device == nil || r.Device.Name != emulator.CaseHealthy || len(r.Decisions) != 2 {
		t.Errorf("sample %+v, %d decisions", r.Device, len(r.Decisions))
	}
	for _, s := range r.Sections {
		if s.Name != "sample device" && !strings.HasPrefix(s.Place, "Caddyfile:") && !strings.Contains(s.Place, "/Caddyfile:") {
			t.Errorf("%s is placed at %q", s.Name, s.Place)
		}
	}
	c.tenant.Check(t)
	total := 0
	for route, n := range c.tenant.Calls() {
		if total += n; n > 6 {
			t.Errorf("%d calls of %s", n, route)
		}
	}
	if total > 60 {
		t.Errorf("%d calls in all", total)
	}
	t.Log(r.text)

	d := c.tenant.Devices()
	bad := d[slices.IndexFunc(d, func(d *emulator.Device) bool { return d.Name == emulator.CaseNoncompliant })]
	status, r = c.examine("--only", "intune", "--device", "entra="+bad.EntraID.String())
	if status != allWell || !r.has("sample device", "decision", "ok", "policy standard: block: noncompliant") || len(r.Sections) != 2 {
		t.Errorf("--device: status %d\n%s", status, r.text)
	}
	for name, want := range map[string]string{
		emulator.CaseUserHigh:     "policy risky: block: user_risk_too_high",
		emulator.CaseUserDisabled: "policy standard: block: user_disabled",
	} {
		owned := d[slices.IndexFunc(d, func(d *emulator.Device) bool { return d.Name == name })]
		_, r = c.examine("--only", "entra", "--device", "entra="+owned.EntraID.String())
		if !r.has("sample device", "decision", "ok", want) {
			t.Errorf("%s: not %q\n%s", name, want, r.text)
		}
	}
}

// TestDoctorNamesFaults: each prepared fault is found, under its word, where it is.
func TestDoctorNamesFaults(t *testing.T) {
	hour := time.Hour
	for name, tc := range map[string]struct {
		options              emulator.Options
		prepare              func(*clinic)
		status               int
		section, check, text string
	}{
		"wrong client secret": {
			prepare: func(c *clinic) { c.secret = "not-the-secret" },
			status:  broken, section: "microsoft", check: "token", text: "AADSTS7000215",
		},
		"expired client secret": {
			prepare: func(c *clinic) { c.tenant.Fail("login/token", emulator.Fault{Kind: emulator.ExpiredSecret}) },
			status:  broken, section: "microsoft", check: "token", text: "AADSTS7000222",
		},
		"client secret that ends soon": {
			prepare: func(c *clinic) { c.tenant.SetSecretEnd(time.Now().Add(49 * hour)) },
			status:  warnings, section: "microsoft", check: "credential", text: "client secret ends on",
		},
		"unknown tenant": {
			prepare: func(c *clinic) { c.tenant.Fail("login/token", emulator.Fault{Kind: emulator.UnknownTenant}) },
			status:  broken, section: "microsoft", check: "token", text: "AADSTS90002",
		},
		"unknown application": {
			prepare: func(c *clinic) { c.tenant.Fail("login/token", emulator.Fault{Kind: emulator.UnknownApp}) },
			status:  broken, section: "microsoft", check: "token", text: "AADSTS700016",
		},
		"missing Graph permission": {
			prepare: func(c *clinic) { c.tenant.Grant("DeviceManagementManagedDevices.Read.All", false) },
			status:  broken, section: "source intune", check: "permission", text: "DeviceManagementManagedDevices.Read.All of Microsoft Graph is missing",
		},
		"missing permission that is not vital": {
			prepare: func(c *clinic) { c.tenant.Grant("IdentityRiskyUser.Read.All", false) },
			status:  warnings, section: "source entra", check: "permission", text: "no user_risk is known",
		},
		"missing Defender permission": {
			prepare: func(c *clinic) { c.tenant.Grant("Machine.Read.All", false) },
			status:  broken, section: "source defender", check: "permission", text: "Machine.Read.All of WindowsDefenderATP is missing",
		},
		"surplus permission": {
			prepare: func(c *clinic) { c.tenant.Grant("DeviceManagementManagedDevices.PrivilegedOperations.All", true) },
			status:  warnings, section: "microsoft", check: "privilege", text: "PrivilegedOperations",
		},
		"clock a little wrong": {
			options: emulator.Options{Clock: func() time.Time { return time.Now().Add(2 * time.Minute) }},
			status:  warnings, section: "microsoft", check: "clock", text: "behind that of",
		},
		"clock wrong": {
			options: emulator.Options{Clock: func() time.Time { return time.Now().Add(-10 * time.Minute) }},
			status:  broken, section: "microsoft", check: "clock", text: "ahead of that of",
		},
		"site of an unknown authority": {
			prepare: func(c *clinic) { c.siteCA = rig.NewCA(c.t, "Another CA").File },
			status:  broken, section: "source configmgr", check: "certificate", text: "which is not trusted",
		},
		"site refuses to be read": {
			prepare: func(c *clinic) {
				c.tenant.Fail("cm/SMS_CombinedDeviceResources", emulator.Fault{Kind: emulator.Status, Status: http.StatusForbidden})
			},
			status: broken, section: "source configmgr", check: "permission", text: "SMS_CombinedDeviceResources: 403",
		},
		"site refuses the sign-in": {
			prepare: func(c *clinic) {
				c.tenant.Fail("cm/SMS_R_System", emulator.Fault{Kind: emulator.Status, Status: http.StatusUnauthorized})
			},
			status: broken, section: "source configmgr", check: "sign_in", text: "401",
		},
		"issuer that is not there": {
			prepare: func(c *clinic) { c.idpURL = fmt.Sprintf("http://127.0.0.1:%d", rig.FreePort(c.t)) },
			status:  broken, section: "issuer corp", check: "discovery", text: "connection refused",
		},
		"issuer that names another one": {
			prepare: func(c *clinic) { c.idpURL = strings.Replace(c.idpURL, "127.0.0.1", "localhost", 1) },
			status:  broken, section: "issuer corp", check: "discovery", text: "document names issuer",
		},
		"authority of devices that has ended": {
			prepare: func(c *clinic) {
				c.ca = rig.NewCA(c.t, "Old CA", func(x *x509.Certificate) { x.NotAfter = time.Now().Add(-hour) })
				c.crl = c.write("device-ca.crl", c.ca.CRL(time.Now().Add(-2*hour), time.Now().Add(24*hour)))
			},
			status: broken, section: "client_certificate", check: "trust_pool", text: `device authority "Old CA" ended on`,
		},
		"revocation list out of date": {
			prepare: func(c *clinic) {
				c.crl = c.write("device-ca.crl", c.ca.CRL(time.Now().Add(-3*hour), time.Now().Add(-hour)))
			},
			status: broken, section: "client_certificate", check: "crl", text: "ended on",
		},
		"inventory that is not there": {
			prepare: func(c *clinic) { c.inventory = filepath.Join(c.dir, "missing.csv") },
			status:  broken, section: "source inventory", check: "file", text: "no such file",
		},
		"inventory that is too old": {
			prepare: func(c *clinic) {
				old := time.Now().Add(-60 * hour)
				err := os.Chtimes(c.inventory, old, old)
				if err != nil {
					c.t.Fatal(err)
				}
			},
			status: broken, section: "source inventory", check: "age", text: "old, of at most 26h",
		},
		"silent partner": {
			prepare: func(c *clinic) {
				c.tenant.Update(func(f *emulator.Fleet) { f.Connectors[0].State = "unresponsive" })
			},
			status: warnings, section: "source intune", check: "connectors", text: "1 of 1 threat defense connectors are silent",
		},
		"tenant that calls strangers compliant": {
			prepare: func(c *clinic) { c.tenant.Update(func(f *emulator.Fleet) { f.Settings.SecureByDefault = false }) },
			status:  warnings, section: "source intune", check: "settings", text: "secureByDefault",
		},
		"throttled tenant": {
			prepare: func(c *clinic) {
				c.tenant.Fail("graph/managedDevices", emulator.Fault{Kind: emulator.Throttle429, RetryAfter: "60"})
			},
			status: warnings, section: "microsoft", check: "headroom", text: "throttles intune calls and asks us to wait",
		},
		"a placeholder without a value": {
			prepare: func(c *clinic) { c.secret = "" },
			status:  broken, section: "configuration", check: "load", text: "client_secret",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := admit(t, tc.options)
			if tc.prepare != nil {
				tc.prepare(c)
			}
			status, r := c.examine()
			state := "fault"
			if tc.status == warnings {
				state = "warning"
			}
			if status != tc.status || r.State != state || !r.has(tc.section, tc.check, state, tc.text) {
				t.Errorf("status %d, state %s; want %d and %s: %s %q\n%s", status, r.State, tc.status, tc.section, tc.check, tc.text, r.text)
			}
		})
	}
}

// TestDoctorBesideGateway: doctor takes nothing from a gateway that runs with the
// same configuration.
func TestDoctorBesideGateway(t *testing.T) {
	s := open(t, options{
		Sources:  "source intune",
		Policies: "\n\t\tpolicy app {\n\t\t\trequire compliant\n\t\t}",
	})
	names := func() (all []string) {
		err := filepath.WalkDir(filepath.Join(s.gateway.Dir), func(path string, _ os.DirEntry, err error) error {
			all = append(all, path)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return all
	}
	before := names()
	cmd := exec.CommandContext(t.Context(), rig.Binary(t), "doctor", "--config", filepath.Join(s.gateway.Dir, "Caddyfile"))
	home := t.TempDir()
	cmd.Env = append(os.Environ(), "CLIENT_SECRET="+emulator.DefaultSecret, "HOME="+home, "TMPDIR="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != warnings || !strings.Contains(string(out), "PrivilegedOperations") {
		t.Errorf("status %d, %v\n%s", cmd.ProcessState.ExitCode(), err, out)
	}
	if after := names(); !slices.Equal(before, after) {
		t.Errorf("the gateway's files were %v and are %v", before, after)
	}
	if n, reasons := s.ask("app", s.token(s.device(emulator.CaseHealthy))); n != http.StatusOK {
		t.Errorf("a request afterwards: %d %v", n, reasons)
	}
}
