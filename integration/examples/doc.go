// Package examples runs every directory of examples/ as its README says: it makes
// the data, starts the real binary on the Caddyfile and compares what the curl
// commands answer with what README promises.
package examples
