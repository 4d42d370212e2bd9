// Package house holds the tests that keep the house in order: which package may
// import which, how large a file may grow, and that the texts in README follow
// the code. It has no code of its own.
package house
