// Package nac is the information point for Intune's compliance retrieval service,
// the interface that network access control products ask ("NAC 2.0"). It tells of
// one Intune device id whether the device is registered and whether it is
// compliant: no reasons, no grace, no other fact. It suits a gateway that may not
// read managed devices through Graph; where it may, the information point for
// Intune knows more.
//
// Only single devices are asked for. The service also lists all noncompliant
// ones, but at most once in four hours, and a list without the compliant ones
// cannot say which devices exist.
//
// The package imports decision, decision/source and the client
// decision/source/internal/msgraph. It must never import another information
// point, a policy, or anything that serves HTTP.
//
// Start reading at nac.go. discovery.go finds the tenant's service, decode.go
// reads its XML, verdict.go turns an answer into a verdict.
package nac
