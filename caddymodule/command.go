package caddymodule

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name: "compliance", Usage: "<command>",
		Short: "Explains decisions, checks configurations and operates the compliance gateway",
		Long: `
Commands for the compliance gateway. doctor examines what a configuration file
names; explain and lint also work offline, from such a file. The others ask a
running gateway through Caddy's admin endpoint; --address or --config says which
one.
`,
		CobraFunc: func(cmd *cobra.Command) {
			for _, c := range Commands() {
				sub := &cobra.Command{Use: c.Name + " " + c.Usage, Short: c.Short, Long: c.Long}
				c.CobraFunc(sub)
				cmd.AddCommand(sub)
			}
			cmd.Args = cobra.ArbitraryArgs
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				if len(args) > 0 {
					return fmt.Errorf("unknown command %q; see `%s --help`", args[0], cmd.CommandPath())
				}
				return cmd.Help()
			}
		},
	})
}

// The exit statuses of the commands. A command line that cannot be read and a
// call that fails are exitFailure, too.
const (
	exitOK      = 0
	exitFailure = 1 // an error, or lint found errors
	exitStrict  = 2 // lint --strict, and doctor, found warnings only
	exitNotPass = 3 // explain: any outcome but allow
	exitFault   = 3 // doctor found something that does not work
)

// Commands returns the subcommands of `compliance`. A binary may register them
// at its top level as well, so that `gatehouse explain` is short for
// `caddy compliance explain`. Each call makes new values.
func Commands() []caddycmd.Command {
	all := []caddycmd.Command{
		explainCommand(), lintCommand(), devicesCommand(), revokeCommand(),
		releaseCommand(), acceptCommand(), statusCommand(), decisionsCommand(), doctorCommand(),
	}
	for i := range all {
		flags := all[i].CobraFunc
		all[i].Long = strings.TrimSpace(all[i].Long)
		all[i].CobraFunc = func(cmd *cobra.Command) {
			cmd.DisableFlagsInUseLine = true // Usage names those that matter
			flags(cmd)
		}
	}
	return all
}

// errSilent ends a command with status 1 after it has said everything itself.
var errSilent = errors.New("failed")

// exitWith makes a cobra function of one that returns an exit status. Errors are
// printed by cobra as one plain line.
func exitWith(f func(cmd *cobra.Command, args []string) (int, error)) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		status, err := f(cmd, args)
		if err != nil {
			return err
		}
		cmd.SilenceErrors = true
		if status == exitFailure {
			return errSilent // Caddy's wrapper passes on statuses from 2 up only
		}
		return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return status, nil })(cmd, args)
	}
}

// flagValue is a string flag's value; flags are declared in the same file, so a
// missing one is a mistake of ours.
func flagValue(cmd *cobra.Command, flag string) string {
	return cmd.Flags().Lookup(flag).Value.String()
}

func flagSet(cmd *cobra.Command, flag string) bool { return flagValue(cmd, flag) == "true" }

func configFlags(cmd *cobra.Command, what string) {
	cmd.Flags().StringP("config", "c", "", what)
	cmd.Flags().StringP("adapter", "a", "", "Config adapter (default: caddyfile, unless the file ends in .json)")
}

// maxConfig bounds a configuration file.
const maxConfig = 64 << 20

// readConfig reads and adapts a configuration. It does what Caddy's own loader
// does, without the log lines: these commands print answers only. Warnings of
// the adapter go to warn.
func readConfig(path, adapter string, warn io.Writer) ([]byte, error) {
	raw, err := readBounded(path, maxConfig)
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	if adapter == "" && filepath.Ext(path) != ".json" {
		adapter = "caddyfile"
	}
	if adapter == "" || adapter == "json" {
		var v any
		err := json.Unmarshal(raw, &v)
		if err != nil {
			return nil, fmt.Errorf("configuration %s is not JSON: %w", path, err)
		}
		return caddy.RemoveMetaFields(raw), nil
	}
	a := caddyconfig.GetAdapter(adapter)
	if a == nil {
		return nil, fmt.Errorf("no config adapter is called %q", adapter)
	}
	out, warnings, err := a.Adapt(raw, map[string]any{"filename": path})
	if err != nil {
		return nil, fmt.Errorf("configuration: %w", err)
	}
	for _, w := range warnings {
		if strings.Contains(w.Message, "not formatted") {
			continue // `fmt` is for that
		}
		fmt.Fprintf(warn, "%s:%d: %s\n", w.File, w.Line, w.Message)
	}
	return out, nil
}

// readBounded reads a file of at most most bytes; - is standard input.
func readBounded(path string, most int64) ([]byte, error) {
	f := os.Stdin
	if path != "-" {
		var err error
		f, err = os.Open(path)
		if err != nil {
			return nil, err
		}
		defer f.Close()
	}
	raw, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, err
	}
	if int64(len(raw)) > most {
		return nil, fmt.Errorf("%s is larger than %d MiB", path, most>>20)
	}
	return raw, nil
}

// configOrDefault is --config, or the Caddyfile of the present directory.
func configOrDefault(cmd *cobra.Command) (string, error) {
	if c := flagValue(cmd, "config"); c != "" {
		return c, nil
	}
	_, err := os.Stat("Caddyfile")
	if err != nil {
		return "", errors.New("no configuration: there is no Caddyfile here; name one with --config")
	}
	return "Caddyfile", nil
}

func printJSON(w io.Writer, v any) error {
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}
