// Command generate makes what the examples need and what must never be
// committed: keys, tokens, certificates, and inventories with dates of today.
//
//	go run ./examples/generate DIR
//
// Everything is for trying out on one machine. It imports nothing of the gateway, and
// package authority for the certificates.
// Start reading in main.go.
package main
