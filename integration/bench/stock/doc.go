// Command stock is Caddy with its standard modules and nothing else: what the
// benchmarks compare with. It must never import a package of this module.
package main
