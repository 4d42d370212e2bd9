// Command gatehouse is Caddy with the compliance module in it.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/gatehouse-project/gatehouse/caddymodule"
)

func main() { caddycmd.Main() }
