// Package sources holds tests of every source together with the runner, the
// directory and the policy engine, in this process and in a time of their own
// (testing/synctest): an outage of hours, fifty gateways, or a first read of a
// hundred thousand devices take seconds. The services are the emulator's, reached
// without a network.
//
// Start reading at gateway_test.go, then subject_test.go (one row per source) and
// outage_test.go.
package sources
