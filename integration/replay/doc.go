// Package replay puts every decision vector to the real gateway binary: over
// HTTP, through the explain call of the running gateway, and through the offline
// command. All three must answer what the vector says.
//
// One gateway serves many vectors. They share an inventory file, so they are
// grouped by what a gateway has only one of: the state of that file, a trusted
// proxy in front, and step-ups that attest (those count in every policy). Each
// vector has policies of its own names, a site of its own and a device of its
// own. A vector that cannot be put into a request is an error, never skipped.
//
// The package holds tests only and must never import Caddy. Start reading at
// replay_test.go; group_test.go builds the gateways and credentials_test.go the
// requests.
package replay
