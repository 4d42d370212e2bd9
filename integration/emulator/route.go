package emulator

import (
	"strings"
)

// service is one of the hosts that the path prefixes stand for.
type service uint8

const (
	serviceLogin service = iota
	serviceGraph
	serviceDefender
	serviceNAC
	serviceConfigMgr
	serviceBlob
	numServices
)

// Permissions that the routes need.
const (
	readDevices   = "DeviceManagementManagedDevices.Read.All"
	readConfig    = "DeviceManagementConfiguration.Read.All"
	readService   = "DeviceManagementServiceConfig.Read.All"
	actOnDevices  = "DeviceManagementManagedDevices.PrivilegedOperations.All"
	readDirectory = "Directory.Read.All"
	readDevice    = "Device.Read.All"
	readUser      = "User.Read.All"
	readGroup     = "GroupMember.Read.All"
	readRisk      = "IdentityRiskyUser.Read.All"
	readApps      = "Application.Read.All"
	readMachine   = "Machine.Read.All"
	readAlert     = "Alert.Read.All"
	getCompliance = "get_device_compliance"
)

// rolesOf are the permissions of each resource's application.
var rolesOf = map[service][]string{
	serviceGraph:    {readDevices, readConfig, readService, actOnDevices, readDirectory, readDevice, readUser, readGroup, readRisk, readApps},
	serviceDefender: {readMachine, readAlert},
	serviceNAC:      {getCompliance},
}

// shape is what a route answers; it decides which faults make sense.
type shape uint8

const (
	shapeOther  shape = iota
	shapeObject       // one JSON object
	shapeRows         // a JSON object with a value array
)

// route is one row of the table of routes. Its name is what [Server.Fail] and
// [Server.Calls] use.
type route struct {
	name    string
	service service
	method  string
	path    string // below the service's prefix; {x} matches one segment
	needs   []string
	any     []string // any one of these instead of all of needs
	scope   scope
	cost    int // directory resource units
	shape   shape
	writes  bool // an Intune write
	delta   bool
	free    bool // needs the fleet unlocked: it changes it, or calls others
}

// handlers has one per route. It is filled in init, since handlers use the table.
var handlers map[string]func(*call)

func init() {
	handlers = map[string]func(*call){
		"login/token":     (*call).issue,
		"login/openid":    (*call).openID,
		"login/openid-v1": (*call).openID,
		"login/keys":      (*call).keys,
		"login/msi":       (*call).managedIdentity,

		"graph/managedDevices":                           func(c *call) { c.list(managedFields) },
		"graph/managedDevice":                            (*call).managedDevice,
		"graph/deviceCompliancePolicyStates":             (*call).policyStates,
		"graph/settingStates":                            (*call).settingStates,
		"graph/windowsProtectionState":                   (*call).protectionState,
		"graph/detectedMalwareState":                     (*call).malwareState,
		"graph/managedDeviceUsers":                       (*call).deviceUsers,
		"graph/syncDevice":                               (*call).syncDevice,
		"graph/deviceManagement":                         (*call).tenantSettings,
		"graph/mobileThreatDefenseConnectors":            (*call).connectors,
		"graph/managedDeviceOverview":                    (*call).overview,
		"graph/deviceCompliancePolicyDeviceStateSummary": (*call).complianceSummary,
		"graph/exportJobs":                               (*call).newExport,
		"graph/exportJob":                                (*call).exportStatus,
		"graph/userManagedDevices":                       (*call).userDevices,

		"graph/devices":           func(c *call) { c.list(deviceFields) },
		"graph/devices/delta":     func(c *call) { c.delta(deviceFields, &c.s.changes.devices) },
		"graph/device":            (*call).directoryDevice,
		"graph/users":             func(c *call) { c.list(userFields) },
		"graph/users/delta":       func(c *call) { c.delta(userFields, &c.s.changes.users) },
		"graph/user":              (*call).directoryUser,
		"graph/checkMemberGroups": (*call).checkGroups,
		"graph/getMemberGroups":   (*call).memberGroups,
		"graph/getMemberObjects":  (*call).memberGroups,
		"graph/endpoints":         (*call).endpoints,
		"graph/application":       (*call).application,
		"graph/riskyUsers":        func(c *call) { c.list(riskFields) },
		"graph/riskyUser":         (*call).riskyUser,
		"graph/batch":             (*call).runBatch,

		"defender/machines":      (*call).machines,
		"defender/machine":       (*call).machine,
		"defender/machineAlerts": (*call).machineAlerts,
		"defender/alerts":        func(c *call) { c.list(alertFields) },

		"nac/mdminfo": (*call).nacInfo,
		"nac/devices": (*call).nacDevice,
		"nac/list":    (*call).nacList,
		"nac/v2":      (*call).nacDevice,

		"cm/SMS_R_System":                 func(c *call) { c.class(systemFields) },
		"cm/SMS_CombinedDeviceResources":  func(c *call) { c.class(combinedFields) },
		"cm/SMS_UpdateComplianceStatus":   func(c *call) { c.class(updateFields) },
		"cm/SMS_Client_ComanagementState": func(c *call) { c.class(comanagementFields) },
		"cm/SMS_Site":                     (*call).site,

		"blob/export": (*call).download,
	}
}

var routes = [...]route{
	{name: "login/token", service: serviceLogin, method: "POST", path: "{tenant}/oauth2/v2.0/token", free: true},
	{name: "login/openid", service: serviceLogin, method: "GET", path: "{tenant}/v2.0/.well-known/openid-configuration"},
	{name: "login/openid-v1", service: serviceLogin, method: "GET", path: "{tenant}/.well-known/openid-configuration"},
	{name: "login/keys", service: serviceLogin, method: "GET", path: "{tenant}/discovery/v2.0/keys"},
	{name: "login/msi", service: serviceLogin, method: "GET", path: "msi/token", free: true},

	{name: "graph/managedDevices", service: serviceGraph, method: "GET", path: "deviceManagement/managedDevices", needs: []string{readDevices}, scope: scopeIntune, shape: shapeRows},
	{name: "graph/managedDevice", service: serviceGraph, method: "GET", path: "deviceManagement/managedDevices/{id}", needs: []string{readDevices}, scope: scopeIntune, shape: shapeObject},
	{name: "graph/deviceCompliancePolicyStates", service: serviceGraph, method: "GET", path: "deviceManagement/managedDevices/{id}/deviceCompliancePolicyStates", needs: []string{readDevices, readConfig}, scope: scopeIntune, shape: shapeRows},
	{name: "graph/settingStates", service: serviceGraph, method: "GET", path: "deviceManagement/managedDevices/{id}/deviceCompliancePolicyStates/{policy}/settingStates", needs: []string{readDevices, readConfig}, scope: scopeIntune, shape: shapeRows},
	{name: "graph/windowsProtectionState", service: serviceGraph, method: "GET", path: "deviceManagement/managedDevices/{id}/windowsProtectionState", needs: []string{readDevices}, scope: scopeIntune, shape: shapeObject},
	{name: "graph/detectedMalwareState", service: serviceGraph, method: "GET", path: "deviceManagement/managedDevices/{id}/windowsProtectionState/detectedMalwareState", needs: []string{readDevices}, scope: scopeIntune, shape: shapeRows},
	{name: "graph/managedDeviceUsers", service: serviceGraph, method: "GET", path: "deviceManagement/managedDevices/{id}/users", needs: []string{readDevices}, scope: scopeIntune, shape: shapeRows},
	{name: "graph/syncDevice", service: serviceGraph, method: "POST", path: "deviceManagement/managedDevices/{id}/syncDevice", needs: []string{actOnDevices}, scope: scopeIntune, writes: true, free: true},
	{name: "graph/deviceManagement", service: serviceGraph, method: "GET", path: "deviceManagement", needs: []string{readConfig}, scope: scopeIntune, shape: shapeObject},
	{name: "graph/mobileThreatDefenseConnectors", service: serviceGraph, method: "GET", path: "deviceManagement/mobileThreatDefenseConnectors", needs: []string{readService}, scope: scopeIntune, shape: shapeRows},
	{name: "graph/managedDeviceOverview", service: serviceGraph, method: "GET", path: "deviceManagement/managedDeviceOverview", needs: []string{readDevices}, scope: scopeIntune, shape: shapeObject},
	{name: "graph/deviceCompliancePolicyDeviceStateSummary", service: serviceGraph, method: "GET", path: "deviceManagement/deviceCompliancePolicyDeviceStateSummary", needs: []string{readConfig}, scope: scopeIntune, shape: shapeObject},
	{name: "graph/exportJobs", service: serviceGraph, method: "POST", path: "deviceManagement/reports/exportJobs", needs: []string{readDevices}, scope: scopeReports, shape: shapeObject},
	{name: "graph/exportJob", service: serviceGraph, method: "GET", path: "deviceManagement/reports/exportJobs/{job}", needs: []string{readDevices}, scope: scopeIntune, shape: shapeObject},
	{name: "graph/userManagedDevices", service: serviceGraph, method: "GET", path: "users/{id}/managedDevices", needs: []string{readDevices}, scope: scopeIntune, shape: shapeRows},

	{name: "graph/devices", service: serviceGraph, method: "GET", path: "devices", any: []string{readDevice, readDirectory}, scope: scopeDirectory, cost: 1, shape: shapeRows},
	{name: "graph/devices/delta", service: serviceGraph, method: "GET", path: "devices/delta", any: []string{readDevice, readDirectory}, scope: scopeDirectory, cost: 1, shape: shapeRows, delta: true},
	{name: "graph/device", service: serviceGraph, method: "GET", path: "devices/{id}", any: []string{readDevice, readDirectory}, scope: scopeDirectory, cost: 1, shape: shapeObject},
	{name: "graph/users", service: serviceGraph, method: "GET", path: "users", any: []string{readUser, readDirectory}, scope: scopeDirectory, cost: 2, shape: shapeRows},
	{name: "graph/users/delta", service: serviceGraph, method: "GET", path: "users/delta", any: []string{readUser, readDirectory}, scope: scopeDirectory, cost: 1, shape: shapeRows, delta: true},
	{name: "graph/user", service: serviceGraph, method: "GET", path: "users/{id}", any: []string{readUser, readDirectory}, scope: scopeDirectory, cost: 1, shape: shapeObject},
	{name: "graph/checkMemberGroups", service: serviceGraph, method: "POST", path: "users/{id}/checkMemberGroups", needs: []string{readUser, readGroup}, any: []string{readDirectory}, scope: scopeDirectory, cost: 4, shape: shapeObject},
	{name: "graph/getMemberGroups", service: serviceGraph, method: "POST", path: "users/{id}/getMemberGroups", needs: []string{readUser, readGroup}, any: []string{readDirectory}, scope: scopeDirectory, cost: 2, shape: shapeObject},
	{name: "graph/getMemberObjects", service: serviceGraph, method: "POST", path: "users/{id}/getMemberObjects", needs: []string{readUser, readGroup}, any: []string{readDirectory}, scope: scopeDirectory, cost: 2, shape: shapeObject},
	{name: "graph/endpoints", service: serviceGraph, method: "GET", path: "servicePrincipals/appId={app}/endpoints", any: []string{readApps, readDirectory}, scope: scopeDirectory, cost: 1, shape: shapeRows},
	{name: "graph/application", service: serviceGraph, method: "GET", path: "applications/{app}", any: []string{readApps, readDirectory}, scope: scopeDirectory, cost: 1, shape: shapeObject},

	{name: "graph/riskyUsers", service: serviceGraph, method: "GET", path: "identityProtection/riskyUsers", needs: []string{readRisk}, scope: scopeIdentity, shape: shapeRows},
	{name: "graph/riskyUser", service: serviceGraph, method: "GET", path: "identityProtection/riskyUsers/{id}", needs: []string{readRisk}, scope: scopeIdentity, shape: shapeObject},
	{name: "graph/batch", service: serviceGraph, method: "POST", path: "$batch", free: true, shape: shapeObject},

	{name: "defender/machines", service: serviceDefender, method: "GET", path: "machines", needs: []string{readMachine}, scope: scopeDefender, shape: shapeRows},
	{name: "defender/machine", service: serviceDefender, method: "GET", path: "machines/{id}", needs: []string{readMachine}, scope: scopeDefender, shape: shapeObject},
	{name: "defender/machineAlerts", service: serviceDefender, method: "GET", path: "machines/{id}/alerts", needs: []string{readAlert}, scope: scopeDefender, shape: shapeRows},
	{name: "defender/alerts", service: serviceDefender, method: "GET", path: "alerts", needs: []string{readAlert}, scope: scopeDefender, shape: shapeRows},

	{name: "nac/mdminfo", service: serviceNAC, method: "GET", path: "ciscoise/mdminfo", needs: []string{getCompliance}},
	{name: "nac/devices", service: serviceNAC, method: "GET", path: "cisco/devices", needs: []string{getCompliance}},
	{name: "nac/list", service: serviceNAC, method: "GET", path: "cisco/devices", needs: []string{getCompliance}, scope: scopeNACList},
	{name: "nac/v2", service: serviceNAC, method: "GET", path: "v2/cisco/devices", needs: []string{getCompliance}},

	{name: "cm/SMS_R_System", service: serviceConfigMgr, method: "GET", path: "SMS_R_System", shape: shapeRows},
	{name: "cm/SMS_CombinedDeviceResources", service: serviceConfigMgr, method: "GET", path: "SMS_CombinedDeviceResources", shape: shapeRows},
	{name: "cm/SMS_UpdateComplianceStatus", service: serviceConfigMgr, method: "GET", path: "SMS_UpdateComplianceStatus", shape: shapeRows},
	{name: "cm/SMS_Client_ComanagementState", service: serviceConfigMgr, method: "GET", path: "SMS_Client_ComanagementState", shape: shapeRows},
	{name: "cm/SMS_Site", service: serviceConfigMgr, method: "GET", path: "SMS_Site", shape: shapeRows},

	{name: "blob/export", service: serviceBlob, method: "GET", path: "{job}", free: true},
}

// Routes are the names of all routes, in the order of the table.
func Routes() []string {
	names := make([]string, len(routes))
	for i := range routes {
		names[i] = routes[i].name
	}
	return names
}

func routeNumber(name string) int {
	for i := range routes {
		if routes[i].name == name {
			return i
		}
	}
	return -1
}

// prefixes of the services, longest first where one begins another.
var prefixes = []struct {
	prefix  string
	service service
	beta    bool
}{
	{"/login/", serviceLogin, false},
	{"/graph/v1.0/", serviceGraph, false},
	{"/graph/beta/", serviceGraph, true},
	{"/defender/api/v1.0/", serviceDefender, false},
	{"/defender/api/", serviceDefender, false},
	{"/nac/", serviceNAC, false},
	{"/cm/AdminService/wmi/", serviceConfigMgr, false},
	{"/blob/", serviceBlob, false},
	{"/", serviceLogin, false}, // Microsoft's client library drops the path of an authority
}

// find finds the route of a path and its parameters. r is nil when there is none;
// svc is then the service that answers so, numServices for none at all.
func find(method, path string) (number int, params []string, svc service, beta bool) {
	for _, p := range prefixes {
		rest, ok := strings.CutPrefix(path, p.prefix)
		if !ok {
			continue
		}
		segments := strings.Split(keysAsSegments(strings.TrimSuffix(rest, "/")), "/")
		for i := range routes {
			r := &routes[i]
			if r.service != p.service || r.method != method {
				continue
			}
			if params, ok := r.match(segments); ok {
				return i, params, p.service, p.beta
			}
		}
		return -1, nil, p.service, p.beta
	}
	return -1, nil, numServices, false
}

// match compares the path of the route with segments. Names are case-sensitive.
func (r *route) match(segments []string) (params []string, ok bool) {
	rest := r.path
	for i, s := range segments {
		want, after, more := strings.Cut(rest, "/")
		if more == (i == len(segments)-1) {
			if !(r.service == serviceConfigMgr && i == 0 && len(segments) == 2) { // class and key
				return nil, false
			}
			return []string{segments[1]}, s == want
		}
		rest = after
		before, param, isParam := strings.Cut(want, "{")
		switch {
		case isParam && strings.HasPrefix(s, before) && len(s) > len(before) && param != "":
			params = append(params, s[len(before):])
		case isParam || s != want:
			return nil, false
		}
	}
	return params, true
}

// keysAsSegments writes x('k') and x(n='k') as x/k and x/n=k.
func keysAsSegments(path string) string {
	open := strings.IndexByte(path, '(')
	if open < 0 || strings.Count(path, "(") > 4 { // no route has more
		return path
	}
	end := strings.IndexByte(path[open:], ')')
	if end < 0 {
		return path
	}
	key := strings.ReplaceAll(path[open+1:open+end], "'", "")
	return path[:open] + "/" + key + keysAsSegments(path[open+end+1:])
}

// metadata is what stands between a service's base and the context of an answer.
func (r *route) metadata(beta bool) string {
	switch r.service {
	case serviceGraph:
		if beta {
			return "/graph/beta/$metadata#"
		}
		return "/graph/v1.0/$metadata#"
	case serviceDefender:
		return "/defender/api/$metadata#"
	}
	return "/cm/AdminService/wmi/$metadata#"
}
