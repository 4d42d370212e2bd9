// Package house holds the tests that keep the house in order: which package may
// import which, how large a file may grow, that tables in the
// texts follow the code and links between them lead somewhere. It has no code of its own.
package house
