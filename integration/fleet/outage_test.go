package fleet

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// outage is one source that fails under load, with ages of seconds.
type outage struct {
	source  string // its line in the Caddyfile
	name    string // its configured name
	require string
	kind    string // of the device id in tokens
	good    string // name of the good device; default emulator.CaseHealthy
	bad     string // name of the bad one
	maxAge  time.Duration
	stale   time.Duration
	routes  []string // of the emulator
	faults  []string // names in faults; empty: fileFaults
}

// some are a source that is killed, one that is slow, and one that is corrupt.
var some = []string{"reset", "hang", "garbage"}

var faults = map[string]emulator.Fault{
	"500":       {Kind: emulator.Status, Status: http.StatusInternalServerError},
	"hang":      {Kind: emulator.Hang},
	"reset":     {Kind: emulator.Reset},
	"garbage":   {Kind: emulator.Garbage},
	"429":       {Kind: emulator.Throttle429, RetryAfter: "2.5"},
	"html":      {Kind: emulator.HTML200},
	"half page": {Kind: emulator.HalfPage},
}

var fileFaults = map[string]func(path string) error{
	"gone":    os.Remove,
	"garbage": func(path string) error { return os.WriteFile(path, []byte("{\"devices\":\x00\xff oops"), 0o600) },
}

var outages = []outage{
	{
		name: "intune", source: "source intune {\n\t\t\tpoll 1s\n\t\t}", require: "compliant", bad: emulator.CaseNoncompliant,
		maxAge: 2 * time.Second, stale: 8 * time.Second,
		routes: []string{"graph/managedDevices", "graph/managedDevice"},
		faults: []string{"500", "hang", "reset", "garbage", "429", "html", "half page"},
	},
	{
		name: "entra", source: "source entra {\n\t\t\tpoll 1s\n\t\t}", require: "compliant", bad: emulator.CaseNoncompliant,
		maxAge: 2 * time.Second, stale: 8 * time.Second, faults: some,
		routes: []string{"graph/devices", "graph/devices/delta", "graph/device", "graph/users/delta"},
	},
	{
		name: "defender", source: "source defender {\n\t\t\tpoll 10s\n\t\t}", require: "risk at_most low", bad: emulator.CaseDefenderHigh,
		maxAge: 13 * time.Second, stale: 8 * time.Second, faults: some, // the service's limits allow no shorter poll
		routes: []string{"defender/machines", "defender/machine", "defender/alerts"},
	},
	{
		name: "configmgr", require: "updated", good: emulator.CaseHybridOnly, bad: emulator.CaseUpdatesMissing,
		source: "source configmgr {base}/cm/AdminService {\n\t\t\tca_file {ca}\n\t\t\tbasic CORP\\gatehouse {env.ADMIN_PASSWORD}\n\t\t\tpoll 1s\n\t\t}",
		maxAge: 2 * time.Second, stale: 8 * time.Second, faults: some,
		routes: []string{"cm/SMS_R_System", "cm/SMS_CombinedDeviceResources", "cm/SMS_UpdateComplianceStatus", "cm/SMS_Client_ComanagementState"},
	},
	{
		name: "nac", source: "source nac {\n\t\t\tpoll 1s\n\t\t}", require: "compliant", kind: "intune", bad: emulator.CaseNoncompliant,
		maxAge: 2 * time.Second, stale: 8 * time.Second, faults: some, routes: []string{"nac/devices"},
	},
	{
		name: "mdm", require: "compliant", bad: emulator.CaseNoncompliant, source: `source httpjson mdm {
			list {base}/graph/v1.0/deviceManagement/managedDevices?$select=id,azureADDeviceId,complianceState&$top=50 {
				items /value
				next /@odata.nextLink
			}
			client_credentials {base}/login/` + emulator.DefaultTenant + "/oauth2/v2.0/token " + emulator.DefaultClientID + ` {env.CLIENT_SECRET} https://graph.microsoft.com/.default
			ca_file {ca}
			poll 1s
			map entra_id /azureADDeviceId
			map compliance /complianceState {
				compliant compliant
				noncompliant noncompliant
			}
		}`,
		maxAge: 2 * time.Second, stale: 8 * time.Second, faults: some, routes: []string{"graph/managedDevices"},
	},
	{
		name: "inventory", source: "source inventory {dir}/devices.json", require: "compliant", bad: emulator.CaseNoncompliant,
		maxAge: 2 * time.Second, stale: 8 * time.Second,
	},
}

// TestSourceFails: while a source fails, known verdicts serve for max_age and
// stale_if_error and not longer; a bad verdict never turns good, no request waits,
// and everything comes back by itself. It runs in real time, and judges each answer
// by the moments between which it was decided, so that a machine that is busy for
// some seconds fails nothing.
func TestSourceFails(t *testing.T) {
	if os.Getenv("GATEHOUSE_LONG") == "" {
		t.Skip("takes minutes: make test-outage")
	}
	for _, o := range outages {
		for _, name := range o.faults {
			t.Run(o.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				o.run(t, func(s *stage) (repair func()) {
					var clears []func()
					for _, r := range o.routes {
						clears = append(clears, s.tenant.Fail(r, faults[name]))
					}
					return func() {
						for _, c := range clears {
							c()
						}
					}
				})
			})
		}
		if len(o.faults) > 0 {
			continue
		}
		for name, change := range fileFaults {
			t.Run(o.name+"/"+name, func(t *testing.T) {
				t.Parallel()
				o.run(t, func(s *stage) (repair func()) {
					err := change(filepath.Join(s.dir, inventoryFile))
					if err != nil {
						t.Fatal(err)
					}
					return func() { writeInventory(s) }
				})
			})
		}
	}
}

func (o outage) run(t *testing.T, fail func(s *stage) (repair func())) {
	o.good = cmp.Or(o.good, emulator.CaseHealthy)
	s := open(t, options{
		Sources: o.source, Kind: o.kind, Before: writeInventory,
		Policies: fmt.Sprintf(`
		policy app {
			require %s
			max_age %s
			stale_if_error %s
		}`, o.require, o.maxAge, o.stale),
	})
	good, bad := s.tokenBy(o.kind, o.good), s.tokenBy(o.kind, o.bad)
	rig.Eventually(t, time.Minute, "the good device's first answer", func() bool { n, _ := s.ask("app", good); return n == http.StatusOK })
	rig.Eventually(t, time.Minute, "the bad device's first answer", func() bool { n, _ := s.ask("app", bad); return n == http.StatusForbidden })

	w := &witness{stage: s, outage: o, goodToken: good, badToken: bad}
	repair := w.begin(fail)
	w.observe()
	repair()
	// The longest pause between two attempts is five minutes.
	rig.Eventually(t, 7*time.Minute, "the recovery", func() bool { n, _ := s.ask("app", good); return n == http.StatusOK })
	if n, reasons := s.ask("app", bad); n != http.StatusForbidden {
		t.Errorf("a bad device after the recovery: %d %v", n, reasons)
	}
}

// tokenBy is a token with the device's id of this kind.
func (s *stage) tokenBy(kind, name string) string {
	d := s.device(name)
	if kind == "intune" {
		return s.issuer.Token(rig.Claims{"deviceid": d.Managed[0].ID.String()})
	}
	return s.token(d)
}

const inventoryFile = "devices.json"

// writeInventory writes the file that source inventory reads.
func writeInventory(s *stage) {
	type device struct {
		IDs        map[string]string `json:"ids"`
		Compliance string            `json:"compliance"`
	}
	doc := struct {
		Version int      `json:"version"`
		Devices []device `json:"devices"`
	}{Version: 1}
	for _, name := range []string{emulator.CaseHealthy, emulator.CaseNoncompliant} {
		d := s.device(name)
		doc.Devices = append(doc.Devices, device{map[string]string{"entra": d.EntraID.String()}, d.Managed[0].Compliance})
	}
	body, err := json.Marshal(doc)
	if err == nil {
		err = os.WriteFile(filepath.Join(s.dir, inventoryFile), body, 0o600)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}
