package msgraph

import "strconv"

// Resource is a service with tokens of its own.
type Resource uint8

// The resources.
const (
	Graph    Resource = iota
	Defender          // Defender for Endpoint
	Intune            // Intune's compliance retrieval service (NAC 2.0)
	numResources
)

var resourceNames = [numResources]string{"graph", "defender", "intune"}

// String returns the name used in messages.
func (r Resource) String() string {
	if r < numResources {
		return resourceNames[r]
	}
	return strconv.Itoa(int(r))
}

// Endpoint is one use of a resource: a closed set, fit for a metric label. Each
// has a circuit breaker; those that share a limit of the service share a budget.
type Endpoint uint8

// The endpoints.
const (
	IntuneDevices    Endpoint = iota // managedDevices and what hangs below one
	DirectoryDevices                 // devices, and their delta
	DirectoryUsers                   // users, and their delta
	RiskyUsers                       // identityProtection/riskyUsers
	IntuneConfig                     // deviceManagement settings and connectors
	DefenderMachines                 // machines
	DefenderAlerts                   // alerts
	Discovery                        // where a tenant's Intune services are
	NACDevice                        // compliance retrieval for one device
	NACList                          // compliance retrieval for all noncompliant devices
	DeviceAction                     // remote actions on a managed device
	Reports                          // export jobs
	MemberGroups                     // which of some groups a user is in
	numEndpoints
)

// endpointSpec says what an endpoint belongs to. permission is the application
// permission that operators must grant.
type endpointSpec struct {
	name       string
	resource   Resource
	scope      scopeID
	permission string
}

var endpoints = [numEndpoints]endpointSpec{
	IntuneDevices:    {"intune_devices", Graph, scopeIntune, "DeviceManagementManagedDevices.Read.All"},
	DirectoryDevices: {"directory_devices", Graph, scopeDirectory, "Device.Read.All"},
	DirectoryUsers:   {"directory_users", Graph, scopeDirectory, "User.Read.All"},
	RiskyUsers:       {"risky_users", Graph, scopeIdentityProtection, "IdentityRiskyUser.Read.All"},
	IntuneConfig:     {"intune_config", Graph, scopeIntune, "DeviceManagementConfiguration.Read.All and DeviceManagementServiceConfig.Read.All"},
	DefenderMachines: {"defender_machines", Defender, scopeDefender, "Machine.Read.All of WindowsDefenderATP"},
	DefenderAlerts:   {"defender_alerts", Defender, scopeDefender, "Alert.Read.All of WindowsDefenderATP"},
	Discovery:        {"discovery", Graph, scopeDirectory, "Application.Read.All"},
	NACDevice:        {"nac_device", Intune, scopeNACDevice, "get_device_compliance of Microsoft Intune API"},
	NACList:          {"nac_list", Intune, scopeNACList, "get_device_compliance of Microsoft Intune API"},
	DeviceAction:     {"device_action", Graph, scopeIntuneWrites, "DeviceManagementManagedDevices.PrivilegedOperations.All"},
	MemberGroups:     {"member_groups", Graph, scopeDirectory, "GroupMember.Read.All and User.Read.All"},
	Reports:          {"reports", Graph, scopeReports, "DeviceManagementManagedDevices.Read.All"},
}

// String returns the name used in messages and metric labels.
func (e Endpoint) String() string {
	if e < numEndpoints {
		return endpoints[e].name
	}
	return strconv.Itoa(int(e))
}

// Resource returns the service that the endpoint belongs to.
func (e Endpoint) Resource() Resource {
	if e < numEndpoints {
		return endpoints[e].resource
	}
	return numResources
}

// EndpointNames lists the names of all endpoints, for metrics that start at 0.
func EndpointNames() []string {
	names := make([]string, numEndpoints)
	for i := range endpoints {
		names[i] = endpoints[i].name
	}
	return names
}
