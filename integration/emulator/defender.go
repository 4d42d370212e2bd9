package emulator

import (
	"net/http"
	"strings"
	"time"
)

func numMachines(d *Device) int { return len(d.Machines) }

// machineFields is the machine resource of Defender for Endpoint. One page holds up
// to 10 000 rows and has no nextLink: clients page by $skip.
var machineFields = (&collection{
	entity: "microsoft.windowsDefenderATP.api.machine", context: "Machines",
	page: 10000, maxTop: 10000, skips: true, anyOr: true, notFound: true,
	each:   eachDevice(numMachines),
	direct: map[string]func(*Fleet, string) []row{"aadDeviceId": machinesByEntraID},
	fields: []field{
		text("id", "eq or", func(r row) string { return r.machine().ID }),
		text("computerDnsName", "eq startswith", func(r row) string { return r.d.Name + ".corp.example.com" }),
		date("firstSeen", "", func(r row) time.Time { return r.machine().FirstSeen }),
		date("lastSeen", "gt lt ge le", func(r row) time.Time { return r.machine().LastSeen }),
		text("osPlatform", "eq ne", osPlatform),
		orNull("version", "eq", func(row) string { return "25H2" }),
		fixed("osProcessor", `"x64"`),
		fixed("osArchitecture", `"64-bit"`),
		fixed("osBuild", "null"),
		fixed("agentVersion", `"10.8800.26100.1"`),
		text("lastIpAddress", "eq", func(row) string { return "10.20.30.40" }),
		text("lastExternalIpAddress", "", func(row) string { return "192.0.2.40" }),
		text("healthStatus", "eq ne", func(r row) string { return r.machine().Health }),
		text("onboardingStatus", "eq ne", func(r row) string { return r.machine().Onboarding }),
		orNull("deviceValue", "eq ne", func(r row) string { return r.machine().Value }),
		number("rbacGroupId", "eq", func(row) int { return 12 }),
		fixed("rbacGroupName", `"devices"`),
		orNull("riskScore", "eq ne", func(r row) string { return r.machine().Risk }),
		orNull("exposureLevel", "eq ne", func(r row) string { return r.machine().Exposure }),
		tri("isAadJoined", "", func(r row) NullBool { return NullBoolOf(!r.machine().WithoutEntraID && !r.d.EntraID.IsZero()) }),
		{name: "aadDeviceId", kind: kindGUID, ops: "eq ne", json: appendMachineEntraID, get: machineEntraID},
		raw("machineTags", appendTags),
		fixed("ipAddresses", "[]"),
	},
}).ready()

// alertFields is the alert resource of Defender for Endpoint; row.n counts over all
// machines of the device.
var alertFields = (&collection{
	entity: "microsoft.windowsDefenderATP.api.alert", context: "Alerts",
	page: 10000, maxTop: 10000, skips: true, anyOr: true,
	each: eachDevice(numAlerts),
	fields: []field{
		text("id", "", func(r row) string { _, a := r.alert(); return a.ID }),
		number("incidentId", "eq", func(r row) int { return 1000 + int(r.d.slot) }),
		fixed("investigationId", "null"),
		fixed("assignedTo", "null"),
		text("severity", "eq ne", func(r row) string { _, a := r.alert(); return a.Severity }),
		text("status", "eq ne", func(r row) string { _, a := r.alert(); return a.Status }),
		fixed("classification", "null"),
		fixed("determination", "null"),
		fixed("investigationState", `"UnsupportedAlertType"`),
		fixed("detectionSource", `"WindowsDefenderAtp"`),
		text("category", "eq", func(r row) string { _, a := r.alert(); return a.Category }),
		text("title", "", func(r row) string { _, a := r.alert(); return a.Title }),
		date("alertCreationTime", "gt lt ge le", func(r row) time.Time { _, a := r.alert(); return a.Created }),
		date("lastUpdateTime", "gt lt ge le", func(r row) time.Time { _, a := r.alert(); return a.Updated }),
		fixed("resolvedTime", "null"),
		text("machineId", "", func(r row) string { m, _ := r.alert(); return m.ID }),
		text("computerDnsName", "", func(r row) string { return r.d.Name + ".corp.example.com" }),
		fixed("relatedUser", "null"),
	},
}).ready()

func numAlerts(d *Device) (n int) {
	for _, m := range d.Machines {
		n += len(m.Alerts)
	}
	return n
}

// alert finds the row's alert among those of all machines of the device.
func (r row) alert() (*Machine, *Alert) {
	n := r.n
	for _, m := range r.d.Machines {
		if n < len(m.Alerts) {
			return m, m.Alerts[n]
		}
		n -= len(m.Alerts)
	}
	return nil, nil
}

// machinesByEntraID: a machine that is not joined has no id to be found by.
func machinesByEntraID(f *Fleet, s string) (list []row) {
	for _, r := range byEntraID(numMachines)(f, s) {
		if !r.machine().WithoutEntraID {
			list = append(list, r)
		}
	}
	return list
}

func machineEntraID(r row) value {
	none := r.machine().WithoutEntraID || r.d.EntraID.IsZero()
	return value{s: r.d.EntraID.String(), null: none}
}

func appendMachineEntraID(b []byte, r row) []byte {
	v := machineEntraID(r)
	if v.null {
		return append(b, "null"...)
	}
	return appendString(b, v.s)
}

func appendTags(b []byte, r row) []byte {
	b = append(b, '[')
	for i, t := range r.machine().Tags {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, t)
	}
	return append(b, ']')
}

func osPlatform(r row) string {
	switch r.d.OS {
	case "Windows":
		return "Windows11"
	case "Windows Server":
		return "WindowsServer2025"
	}
	return r.d.OS
}

// machines answers 404 when none is left, not an empty list.
func (c *call) machines() {
	if c.s.o.NoAadDeviceIDFilter && strings.Contains(c.query.Get("$filter"), "aadDeviceId") {
		c.fail(http.StatusBadRequest, "ODataError", "Filtering by aadDeviceId is not supported")
		return
	}
	c.list(machineFields)
}

// found is the machine that the path names by id or DNS name.
func (c *call) found() (row, bool) {
	f := c.s.fleet
	if i, ok := f.byMDE[strings.ToLower(c.params[0])]; ok && f.devices[i] != nil {
		for n, m := range f.devices[i].Machines {
			if strings.EqualFold(m.ID, c.params[0]) {
				return row{d: f.devices[i], n: n}, true
			}
		}
	}
	if name, ok := strings.CutSuffix(c.params[0], ".corp.example.com"); ok {
		if d := f.Device(name); d != nil && len(d.Machines) > 0 {
			return row{d: d}, true
		}
	}
	c.fail(http.StatusNotFound, "ResourceNotFound", "Machine "+c.params[0]+" was not found")
	return row{}, false
}

func (c *call) machine() {
	if r, ok := c.found(); ok {
		c.single(machineFields, r)
	}
}

// machineAlerts lists the alerts of one machine.
func (c *call) machineAlerts() {
	r, ok := c.found()
	if !ok {
		return
	}
	col := *alertFields
	all := col.each
	col.each = func(f *Fleet, from int64, yield func(int64, row) bool) {
		all(f, from, func(key int64, x row) bool {
			if x.d != r.d {
				return true
			}
			if m, _ := x.alert(); m != r.machine() {
				return true
			}
			return yield(key, x)
		})
	}
	c.list(&col)
}
