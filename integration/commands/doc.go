// Package commands tests the command line of the real binary: what it prints,
// with which exit status, and that every command that `demo` prints does what it
// promises.
package commands
