// Command gatehouse is Caddy with the compliance module in it, and with the
// module's commands at the top level: explain, lint, devices, revoke and their
// neighbours, beside Caddy's own. `gatehouse demo` shows everything on loopback.
package main

import (
	"os"
	"runtime/debug"
	_ "time/tzdata" // dates in policies work on machines without a zone database

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	"github.com/gatehouse-project/gatehouse/caddymodule"
)

// gcPercent is the garbage collector's target if GOGC does not say otherwise. A
// proxy's live heap is small and its garbage per request is not: collecting at
// five times the live heap instead of twice saves about a tenth of the CPU, for
// some 20 MiB. Caddy itself sets a memory limit from the cgroup, which bounds it.
const gcPercent = 400

const description = `Gatehouse is an access gateway: it lets a person into a corporate app only from
a device that its management authority calls healthy. It is Caddy with the
compliance module in it, so everything that Caddy does works here as well.

To see it work on this machine, without network or privileges:

	$ gatehouse demo

To run it:

	$ gatehouse lint --config Caddyfile
	$ gatehouse run --config Caddyfile

To find out why somebody was refused:

	$ gatehouse explain INCIDENT-ID
`

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	caddy.CustomBinaryName = "gatehouse"
	caddy.CustomLongDescription = description
	register(append(caddymodule.Commands(), demoCommand()))
	caddycmd.Main()
}
