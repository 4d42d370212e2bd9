package sources

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/source"
	"github.com/gatehouse-project/gatehouse/decision/source/configmgr"
	"github.com/gatehouse-project/gatehouse/decision/source/defender"
	"github.com/gatehouse-project/gatehouse/decision/source/entra"
	"github.com/gatehouse-project/gatehouse/decision/source/httpjson"
	"github.com/gatehouse-project/gatehouse/decision/source/intune"
	"github.com/gatehouse-project/gatehouse/decision/source/inventory"
	"github.com/gatehouse-project/gatehouse/decision/source/microsoft"
	"github.com/gatehouse-project/gatehouse/decision/source/nac"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// subject is one source under test, with the pace that the gateway gives it.
type subject struct {
	name    string
	require string   // the policy's line about it
	routes  []string // of the emulator that it reads
	signsIn bool     // by the tenant's token endpoint
	open    func(t *testing.T, tn *tenant, client *microsoft.Tenant) (source.Source, source.RunnerOptions)

	good, bad string // names of two devices
	// key is the id that a request shows; nil: the Entra device id.
	key func(d *emulator.Device) decision.Key
	// swap makes the good device bad and the bad one good.
	swap func(tn *tenant, good, bad *emulator.Device)
}

// key is the id that a request of the named device shows.
func (s *subject) keyOf(tn *tenant, name string) (k decision.Key) {
	tn.Update(func(f *emulator.Fleet) {
		if d := f.Device(name); s.key != nil {
			k = s.key(d)
		} else {
			k = entraKey(d)
		}
	})
	return k
}

func entraKey(d *emulator.Device) decision.Key {
	return decision.Key{Kind: decision.KindEntra, Value: d.EntraID.String()}
}

func intuneKey(d *emulator.Device) decision.Key {
	return decision.Key{Kind: decision.KindIntune, Value: d.Managed[0].ID.String()}
}

const firstSweep = 30 * time.Minute

func must[T source.Source](t *testing.T, src T, err error) T {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return src
}

func swapCompliance(_ *tenant, good, bad *emulator.Device) {
	good.Managed[0].Compliance, bad.Managed[0].Compliance = bad.Managed[0].Compliance, good.Managed[0].Compliance
}

var subjects = []*subject{
	{
		name: "intune", require: "require compliant", routes: []string{"graph/managedDevices", "graph/managedDevice"}, signsIn: true,
		good: emulator.CaseHealthy, bad: emulator.CaseNoncompliant, swap: swapCompliance,
		open: func(t *testing.T, _ *tenant, c *microsoft.Tenant) (source.Source, source.RunnerOptions) {
			src, err := intune.New(intune.Options{Client: c, Reasons: true})
			return must(t, src, err), source.RunnerOptions{
				Remote: true, Authoritative: true, AskUnknown: true, Poll: 5 * time.Minute, SyncTimeout: firstSweep,
			}
		},
	},
	{
		name: "entra", require: "require compliant", routes: []string{"graph/devices", "graph/devices/delta", "graph/device", "graph/users/delta"}, signsIn: true,
		good: emulator.CaseHealthy, bad: emulator.CaseNoncompliant,
		swap: func(_ *tenant, good, bad *emulator.Device) {
			good.Directory.Compliant, bad.Directory.Compliant = bad.Directory.Compliant, good.Directory.Compliant
		},
		open: func(t *testing.T, _ *tenant, c *microsoft.Tenant) (source.Source, source.RunnerOptions) {
			src, err := entra.New(entra.Options{Client: c, RiskyUsers: true})
			return must(t, src, err), source.RunnerOptions{
				Remote: true, Authoritative: true, AskUnknown: true, Authority: decision.AuthorityDirectory, Poll: time.Minute, SyncTimeout: firstSweep,
			}
		},
	},
	{
		name: "defender", require: "require risk at_most low", routes: []string{"defender/machines", "defender/machine", "defender/alerts", "defender/machineAlerts"}, signsIn: true,
		good: emulator.CaseHealthy, bad: emulator.CaseDefenderHigh,
		swap: func(_ *tenant, good, bad *emulator.Device) {
			g, b := good.Machines[0], bad.Machines[0]
			g.Risk, b.Risk, g.Alerts, b.Alerts = b.Risk, g.Risk, b.Alerts, g.Alerts
			g.LastSeen, b.LastSeen = time.Now(), time.Now()
		},
		open: func(t *testing.T, _ *tenant, c *microsoft.Tenant) (source.Source, source.RunnerOptions) {
			src, err := defender.New(defender.Options{Client: c, Alerts: true})
			return must(t, src, err), source.RunnerOptions{
				Remote: true, Poll: 2 * time.Minute, SyncTimeout: firstSweep, LookupRate: 1, MaxLookups: 20,
			}
		},
	},
	{
		name: "configmgr", require: "require updated", routes: []string{
			"cm/SMS_R_System", "cm/SMS_CombinedDeviceResources", "cm/SMS_UpdateComplianceStatus", "cm/SMS_Client_ComanagementState",
		},
		good: emulator.CaseHybridOnly, bad: emulator.CaseUpdatesMissing,
		swap: func(_ *tenant, good, bad *emulator.Device) {
			good.ConfigMgr.Updates, bad.ConfigMgr.Updates = bad.ConfigMgr.Updates, good.ConfigMgr.Updates
		},
		open: func(t *testing.T, tn *tenant, _ *microsoft.Tenant) (source.Source, source.RunnerOptions) {
			src, err := configmgr.New(configmgr.Options{
				URL: host + "/cm/AdminService", Transport: tn.line,
				Auth: configmgr.Auth{Basic: &configmgr.Basic{Username: emulator.AdminUser, Password: emulator.AdminPassword}},
			})
			t.Cleanup(src.Close)
			return must(t, src, err), source.RunnerOptions{
				Remote: true, Authoritative: true, Authority: decision.AuthorityConfigMgr, Poll: 10 * time.Minute, SyncTimeout: 15 * time.Minute,
			}
		},
	},
	{
		name: "nac", require: "require compliant", routes: []string{"nac/devices", "graph/endpoints"}, signsIn: true,
		good: emulator.CaseHealthy, bad: emulator.CaseNoncompliant, key: intuneKey, swap: swapCompliance,
		open: func(t *testing.T, _ *tenant, c *microsoft.Tenant) (source.Source, source.RunnerOptions) {
			src, err := nac.New(nac.Options{Client: c})
			return must(t, src, err), source.RunnerOptions{Remote: true, Authoritative: true, Authority: decision.AuthorityNAC, Poll: 5 * time.Minute}
		},
	},
	{
		name: "httpjson", require: "require compliant", routes: []string{"graph/managedDevices"}, signsIn: true,
		good: emulator.CaseHealthy, bad: emulator.CaseNoncompliant, swap: swapCompliance, open: openHTTPJSON,
	},
	{
		name: "inventory", require: "require compliant", good: emulator.CaseHealthy, bad: emulator.CaseNoncompliant,
		swap: func(tn *tenant, good, bad *emulator.Device) {
			swapCompliance(tn, good, bad)
			tn.writeInventory(good, bad)
		},
		open: func(t *testing.T, tn *tenant, _ *microsoft.Tenant) (source.Source, source.RunnerOptions) {
			tn.Update(func(f *emulator.Fleet) {
				tn.writeInventory(f.Device(emulator.CaseHealthy), f.Device(emulator.CaseNoncompliant))
			})
			src, err := inventory.New(inventory.Options{Path: tn.inventory(), CheckInterval: time.Second})
			// Without its watch: what waits for the system's notifications keeps a
			// bubble's time from going on.
			return struct{ source.Syncer }{must(t, src, err)}, source.RunnerOptions{Authoritative: true, Authority: decision.AuthorityFile, Poll: time.Second}
		},
	},
}

// openHTTPJSON reads Intune's list as an operator would who knows its form.
func openHTTPJSON(t *testing.T, tn *tenant, _ *microsoft.Tenant) (source.Source, source.RunnerOptions) {
	t.Helper()
	const list = host + "/graph/v1.0/deviceManagement/managedDevices?$select=id,azureADDeviceId,complianceState"
	src, err := httpjson.New(httpjson.Options{
		ListURL: list + "&$top=50", Items: "/value", Next: "/@odata.nextLink", Transport: tn.line,
		URL: list + "&$filter=azureADDeviceId%20eq%20'{id}'", Item: "/value", Kinds: []string{decision.KindEntra},
		ClientCredentials: &httpjson.ClientCredentials{
			TokenURL: host + "/login/" + emulator.DefaultTenant + "/oauth2/v2.0/token",
			ClientID: emulator.DefaultClientID, ClientSecret: emulator.DefaultSecret, Scope: "https://graph.microsoft.com/.default",
		},
		Map: []httpjson.Field{
			{Name: "entra_id", Pointer: "/azureADDeviceId"},
			{Name: "compliance", Pointer: "/complianceState", Values: map[string]string{"compliant": "compliant", "noncompliant": "noncompliant"}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(src.Close)
	return src, source.RunnerOptions{Remote: true, Authoritative: true, Poll: 10 * time.Minute}
}

// inventory is the path of the file.
func (tn *tenant) inventory() string { return filepath.Join(tn.dir, "devices.json") }

// writeInventory writes the file anew, with two devices.
func (tn *tenant) writeInventory(list ...*emulator.Device) {
	type device struct {
		IDs        map[string]string `json:"ids"`
		Compliance string            `json:"compliance"`
	}
	doc := struct {
		Version int      `json:"version"`
		Devices []device `json:"devices"`
	}{Version: 1}
	for _, d := range list {
		doc.Devices = append(doc.Devices, device{map[string]string{decision.KindEntra: d.EntraID.String()}, d.Managed[0].Compliance})
	}
	body, err := json.Marshal(doc)
	if err == nil {
		err = os.WriteFile(tn.inventory(), body, 0o600)
	}
	if err != nil {
		panic(err) // a test's own directory
	}
}
