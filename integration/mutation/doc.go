// Command mutation checks that the decision vectors would notice a wrong
// decision. It rewrites the decision engine so that every branch can be turned
// into its opposite, one at a time, and runs the vectors against each mutant. A
// mutant under which everything still passes is a branch that nothing checks.
//
//	go run ./integration/mutation [-v] [-run REGEXP]
//
// Run it from the module's root. All mutants are compiled into one test binary,
// which an environment variable switches; the source tree is never touched
// (go test -overlay). What the vectors let live is tried on the unit tests of
// package decision, which stand on boundaries that no file's age can reach.
// Mutants that change nothing that can be observed are listed in equivalents.go,
// each with the reason. The exit status is 1 if any other mutant survives, or
// if an entry of that list has no mutant any more.
//
// The command must never import the packages that it mutates. Start reading at
// main.go; instrument.go says what is mutated.
package main
