// Package caddyfile pins the Caddyfile syntax. Each file in testdata/good is a
// Caddyfile, a line of dashes and the JSON configuration that it stands for;
// each file in testdata/bad ends with the error text that an operator sees.
// `go test ./integration/caddyfile -update` writes the second half anew: read
// the difference before you keep it.
package caddyfile
