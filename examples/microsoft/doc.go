// Command microsoft shows the gateway with the services of a Microsoft tenant, on
// one machine and without a network:
//
//	go run ./examples/microsoft
//
// It plays the tenant (package emulator), builds and runs the gateway with the
// Caddyfile of this directory, and prints commands to paste. It ends with Ctrl-C, and
// when the process that started it ends.
//
// Start reading in main.go; caddyfile.go says how the Caddyfile is changed, scenes.go
// what is shown.
package main
