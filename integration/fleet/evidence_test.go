package fleet

import (
	"time"

	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// evidence is one source and what it alone tells about a device.
type evidence struct {
	test   string        // its name
	name   string        // configured name of the source
	source string        // its lines; {poll} is replaced
	kind   string        // of the device id in tokens; default entra
	least  time.Duration // the shortest poll that the source allows
	asked  bool          // it lists nothing: poll is the age that its answers may have
	facts  []fact
}

// fact is one thing that a source says, good or bad, and the policy that needs it.
type fact struct {
	name    string // of the policy
	require string
	like    string // the telling device that those of the test are copies of
	reason  string // code of the refusal
	set     func(d *emulator.Device, good bool)
	polled  bool // it is not about the device, which is all that a re-check asks about
}

const adminService = `source configmgr {base}/cm/AdminService {
			ca_file {ca}
			basic CORP\gatehouse {env.ADMIN_PASSWORD}
			poll {poll}
		}`

// mdmURL lists records of Intune as any other service would.
const mdmURL = "{base}/graph/v1.0/deviceManagement/managedDevices?$select=id,azureADDeviceId,complianceState,isEncrypted"

// The ways in which httpjson may ask.
const (
	mdmOne = "\"" + mdmURL + "&$filter=azureADDeviceId%20eq%20'{id}'\" {\n\t\t\tkinds entra\n\t\t\titem /value"
	mdmAll = "list " + mdmURL + "&$top=50 {\n\t\t\t\titems /value\n\t\t\t\tnext /@odata.nextLink\n\t\t\t}"
)

// mdm is a service of somebody else, which is asked in these ways.
func mdm(ways string) string {
	return `source httpjson mdm ` + ways + `
			client_credentials {base}/login/` + emulator.DefaultTenant + "/oauth2/v2.0/token " + emulator.DefaultClientID + ` {env.CLIENT_SECRET} https://graph.microsoft.com/.default
			ca_file {ca}
			poll {poll}
			map entra_id /azureADDeviceId
			map encrypted /isEncrypted
			map compliance /complianceState {
				compliant compliant
				noncompliant noncompliant
			}
		}`
}

// every has each source with the facts for which people are sent to it.
var every = []evidence{
	{
		test: "intune", name: "intune", source: "source intune {\n\t\t\tpoll {poll}\n\t\t}", least: time.Second,
		facts: []fact{
			{name: "compliant", require: "compliant", like: emulator.CaseHealthy, reason: "noncompliant", set: setCompliance},
			{name: "silent", require: "compliant", like: emulator.CaseHealthy, reason: "noncompliant", set: func(d *emulator.Device, good bool) {
				setCompliance(d, good)
				unseen(d)
			}},
			{name: "retired", require: "managed", like: emulator.CaseHealthy, reason: "device_retired", set: func(d *emulator.Device, good bool) {
				d.Managed[0].State = word(good, "managed", "retirePending")
				unseen(d)
			}},
		},
	},
	{
		test: "entra", name: "entra", source: "source entra {\n\t\t\tpoll {poll}\n\t\t}", least: time.Second,
		facts: []fact{
			{name: "compliant", require: "compliant", like: emulator.CaseHealthy, reason: "noncompliant", set: func(d *emulator.Device, good bool) {
				d.Directory.Compliant = emulator.NullBoolOf(good)
			}},
			{name: "enabled", require: "managed", like: emulator.CaseHealthy, reason: "device_disabled", set: func(d *emulator.Device, good bool) {
				d.Directory.Enabled = good
			}},
			{name: "account", require: "managed", like: emulator.CaseHealthy, reason: "user_disabled", set: func(d *emulator.Device, good bool) {
				d.User.Enabled = good
			}, polled: true},
		},
	},
	{
		// The limits of the service allow no shorter poll. A score and alerts change
		// without the machine reporting.
		test: "defender", name: "defender", source: "source defender {\n\t\t\tpoll {poll}\n\t\t\talerts on\n\t\t}", least: 10 * time.Second,
		facts: []fact{
			{name: "risk", require: "risk at_most low", like: emulator.CaseHealthy, reason: "risk_too_high", set: func(d *emulator.Device, good bool) {
				d.Machines[0].Risk = word(good, "None", "High")
			}},
			{name: "alerts", require: "risk at_most low", like: emulator.CaseHealthy, reason: "risk_too_high", set: setAlert},
		},
	},
	{
		test: "configmgr", name: "configmgr", source: adminService, least: time.Second,
		facts: []fact{
			{name: "compliant", require: "compliant", like: emulator.CaseHybridOnly, reason: "noncompliant", set: setUpdates},
			{name: "updated", require: "updated", like: emulator.CaseHybridOnly, reason: "not_updated", set: setUpdates},
		},
	},
	{
		// Intune leaves the verdict about these to the site and never changes its word.
		test: "comanaged", name: "configmgr", source: "source intune {\n\t\t\tpoll 1h\n\t\t}\n\t\t" + adminService, least: time.Second,
		facts: []fact{{name: "compliant", require: "compliant", like: emulator.CaseComanagedConfigMgr, reason: "noncompliant", set: func(d *emulator.Device, good bool) {
			d.ConfigMgr.ClientCheck = word(good, 1, 2)
		}}},
	},
	{
		test: "httpjson", name: "mdm", source: mdm(mdmOne + "\n\t\t\t" + mdmAll), least: time.Second,
		facts: []fact{
			{name: "compliant", require: "compliant", like: emulator.CaseHealthy, reason: "noncompliant", set: setCompliance},
			{name: "encrypted", require: "encrypted", like: emulator.CaseHealthy, reason: "not_encrypted", set: setEncrypted},
		},
	},
	{
		test: "httpjson without a list", name: "mdm", source: mdm(mdmOne), least: time.Second, asked: true,
		facts: []fact{{name: "encrypted", require: "encrypted", like: emulator.CaseHealthy, reason: "not_encrypted", set: setEncrypted}},
	},
	{
		test: "nac", name: "nac", source: "source nac {\n\t\t\tpoll {poll}\n\t\t}", kind: "intune", least: time.Second, asked: true,
		facts: []fact{{name: "compliant", require: "compliant", like: emulator.CaseHealthy, reason: "noncompliant", set: setCompliance}},
	},
}

func word[T any](good bool, yes, no T) T {
	if good {
		return yes
	}
	return no
}

func setCompliance(d *emulator.Device, good bool) {
	d.Managed[0].Compliance = word(good, "compliant", "noncompliant")
}

// unseen makes a change one that comes without a check-in: a service that is asked for
// the devices that checked in since the last poll does not tell it.
func unseen(d *emulator.Device) { d.Managed[0].LastSync = d.Managed[0].LastSync.Add(time.Second) }

func setEncrypted(d *emulator.Device, good bool) { d.Managed[0].Encrypted = good }

func setAlert(d *emulator.Device, good bool) {
	now := time.Now().Truncate(time.Second)
	d.Machines[0].Alerts = []*emulator.Alert{{
		ID: "da" + d.EntraID.String(), Title: "Suspicious process", Severity: "High", Status: word(good, "Resolved", "New"), Category: "Malware", Created: now, Updated: now,
	}}
}

func setUpdates(d *emulator.Device, good bool) {
	d.ConfigMgr.Updates = []emulator.UpdateState{{CI: 16790001, Article: "5046617", Name: "Cumulative Update", Status: word(good, 3, 2)}}
}
