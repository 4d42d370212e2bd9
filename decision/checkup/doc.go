// Package checkup is the vocabulary of an examination: what a source, an issuer or
// a certificate list found out about itself when somebody asked whether it would
// work. `gatehouse doctor` prints it.
//
// The package imports the standard library only and calls nobody.
//
// Start reading at finding.go.
package checkup
