// Package gateway holds black-box tests of the gateway: the real binary, a real
// upstream and real TLS. Each file is one concern; stand_test.go is the
// installation that most of them share.
package gateway
