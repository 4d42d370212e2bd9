// Package configmgr is the information point for Configuration Manager: it reads
// the AdminService of a site (WMI route) and says what the site knows about the
// devices that have its client.
//
// A sweep lists four classes and joins them by ResourceID: SMS_R_System (ids),
// SMS_CombinedDeviceResources (client health, endpoint protection),
// SMS_UpdateComplianceStatus (missing updates) and SMS_Client_ComanagementState.
// A look-up asks for one device by its Entra device id, its domain SID or its
// SMSUniqueIdentifier. A device is never found by its name.
//
// # The compliance verdict
//
// Configuration Manager stores no single verdict in these classes, so this
// package makes one. It counts where Configuration Manager is the authority of
// the device (co-managed without the compliance workload, or attached only).
//
//   - noncompliant, if one of these is a definite no: the client is active
//     (ClientActiveStatus), the client check passed (ClientCheckPass), the device
//     is not blocked (IsBlocked), no required update is missing
//     (SMS_UpdateComplianceStatus.Status 2), and endpoint protection has no
//     infection left (EPInfectionStatus 3 or 4). Settings name which;
//   - compliant, if each of these is a definite yes. Updates are that when the site
//     has results of a scan and none is "required" or "unknown"; endpoint
//     protection when its status is 1 or 2, or when the site does not manage it;
//   - unknown otherwise.
//
// Configuration items and baselines are not part of it: their classes per device
// are not documented for the AdminService.
//
// What an inactive client reported long ago does not speak for the device: good
// facts of it (updated, antivirus, no malware) become unknown, bad ones stay, and its
// risk is a floor. So it is where nobody can read whether the client is active. A record that the site calls obsolete or decommissioned is left out, as is
// a resource that was only discovered and has no client.
//
// # What cannot be used
//
// Values that count as unknown because nobody can use them (another type, a number
// that no document names, a date in the future, rows of one device that disagree,
// half a record) are counted by property and reason, see [Stats]. The facts that are
// unknown therefore are in Unreadable: no other source's good news stands in for them.
// Null is not counted: it is how the site says that a client never reported something.
// Half a record (no row of SMS_CombinedDeviceResources, or a null IsBlocked) makes the
// verdict alone unreadable: of a block nobody said anything, and others may.
//
// The package must never import another information point, a policy, or anything
// that serves HTTP. Start reading at configmgr.go, then sync.go and verdict.go;
// client.go and page.go talk to the service, auth.go and kerberos.go sign in.
package configmgr
