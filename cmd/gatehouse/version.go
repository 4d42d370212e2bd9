package main

import (
	"fmt"
	"runtime/debug"
	"strings"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// versionLine is what `gatehouse version` and `gatehouse --version` print.
func versionLine() string {
	bi, _ := debug.ReadBuildInfo()
	simple, _ := caddy.Version()
	return fmt.Sprintf("gatehouse %s (caddy %s)", ownVersion(bi), simple)
}

// ownVersion is the version of the main module, else the commit it was built
// from, else devel. bi may be nil.
func ownVersion(bi *debug.BuildInfo) string {
	if bi == nil {
		return "devel"
	}
	if v := bi.Main.Version; v != "" && v != "(devel)" {
		return v
	}
	revision, modified := "", ""
	for _, s := range bi.Settings {
		switch {
		case s.Key == "vcs.revision":
			revision = s.Value[:min(12, len(s.Value))]
		case s.Key == "vcs.modified" && s.Value == "true":
			modified = "+dirty"
		}
	}
	if revision == "" {
		return "devel"
	}
	return revision + modified
}

// register adds our commands to Caddy's. Caddy keeps its root command to itself,
// but the first of our commands has it as its parent when the last one is made.
func register(all []caddycmd.Command) {
	var first *cobra.Command
	for i := range all {
		describe := all[i].CobraFunc
		all[i].CobraFunc = func(cmd *cobra.Command) {
			describe(cmd)
			switch {
			case first == nil:
				first = cmd
			case i == len(all)-1 && first.HasParent():
				nameBinary(first.Root())
			}
		}
		caddycmd.RegisterCommand(all[i])
	}
}

// nameBinary gives Caddy's own commands the name of this binary: its version, and
// examples that can be typed as they stand.
func nameBinary(root *cobra.Command) {
	root.Version = versionLine()
	root.Example = `  $ gatehouse run --config Caddyfile
  $ gatehouse reload --config Caddyfile
  $ gatehouse stop`
	var names []string
	for _, c := range root.Commands() {
		names = append(names, "caddy "+c.Name(), root.Name()+" "+c.Name())
	}
	typed := strings.NewReplacer(names...)
	for _, c := range root.Commands() {
		c.Long, c.Example = typed.Replace(c.Long), typed.Replace(c.Example)
		switch c.Name() {
		case "upgrade", "add-package", "remove-package":
			// They fetch another build of Caddy, without this module, and put it in
			// place of this one: every gate would be gone.
			c.Hidden, c.DisableFlagParsing = true, true
			c.RunE = func(cmd *cobra.Command, _ []string) error {
				return fmt.Errorf("%s would replace this binary by a Caddy without Gatehouse; build a new one instead", cmd.Name())
			}
			continue
		case "version":
		default:
			continue
		}
		c.Short = "Prints the versions of gatehouse and of the Caddy in it"
		c.Long = c.Short + ". What was built without a version is named by its commit, or devel."
		c.RunE = func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionLine())
			return err
		}
	}
}
