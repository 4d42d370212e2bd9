// Package entra is the information point for the directory Microsoft Entra ID:
// its device objects, its users and, with Identity Protection, their risk.
//
// Devices and users are listed once and then followed by delta queries (Graph
// devices/delta and users/delta). A poll that nothing has changed for costs one
// call each. The directory copies the compliance verdict of the management
// system into isCompliant, which is what Conditional Access reads: it is a yes
// or no, without grace, and a little later than the original.
//
// The package imports decision, decision/source and the Graph client
// decision/source/internal/msgraph. It must never import another information
// point, a policy, or anything that serves HTTP.
//
// Start reading at entra.go, then sync.go. device.go decodes one device row,
// registry.go remembers the devices, user.go the users, risk.go what Identity
// Protection says about them; lookup.go asks for one device,
// groups.go for the groups of users whose token cannot list them. mdm.go says whose
// the verdict about a device is, unreadable.go what outlives a value that cannot be
// read, and tombstone.go what outlives an object.
package entra
