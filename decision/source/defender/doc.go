// Package defender is the information point for Microsoft Defender for Endpoint:
// the risk, the exposure and the sensor health of machines.
//
// All machines are listed once an hour. Between two complete listings a poll asks
// for the machines that reported since, and for all at risk, because a risk score
// changes without the machine reporting. A machine that was at risk and is not in
// that answer any more is asked for by itself before its risk counts as gone.
//
// The service allows 1,500 calls an hour to one application, so a fleet is read
// in pages of 10,000 machines, and look-ups may take half of the calls: of what
// is not listed, and of what somebody asks to check again.
//
// The package imports decision, decision/source and the client
// decision/source/internal/msgraph. It must never import another information
// point, a policy, or anything that serves HTTP.
//
// Start reading at defender.go, then sync.go. machine.go decodes one machine,
// list.go reads pages, fleet.go remembers the machines, recheck.go asks for single
// ones that a listing left out, alert.go reads open alerts, lookup.go asks for one
// device, style.go remembers how.
package defender
