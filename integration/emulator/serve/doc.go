// Command serve runs the fake Microsoft of package emulator on a loopback port, for
// examples and for trying things out. It prints what a client needs to know, one
// name=value per line, and serves until it is interrupted.
//
// It imports package emulator and nothing else of this module. Start reading at run.
package main
