// Package walkthrough is what programs share that show the gateway at work on one
// machine: commands to paste, each with what it shows, and the small servers behind
// them. `gatehouse demo` and examples/microsoft use it.
//
// It imports the standard library alone. Start reading at [Scene].
package walkthrough
