// Package vectors reads the decision vectors: what a policy must answer for one
// request, written down by hand in YAML so that a network engineer can check it.
// The files are in decision/testdata/vectors, one per topic; README.md there
// explains the form.
//
// The same vectors are replayed against the engine in this process, through the
// command that explains decisions, and over HTTP through a running gateway.
// They therefore use only what all three can produce: one inventory file whose
// age is one of four ([Feed]), tokens of two issuers, and client certificates.
//
// This package must never import Caddy. Start reading at vector.go; request.go
// turns a vector into what the engine decides on.
package vectors
