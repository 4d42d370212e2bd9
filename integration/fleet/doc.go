// Package fleet holds black-box tests of the whole gateway with the sources of a
// Microsoft tenant: the real binary reads the emulator over TLS, and what a device
// may do is seen in the answers to requests.
//
// Start reading at stage_test.go, then cases_test.go.
package fleet
