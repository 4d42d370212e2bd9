package caddymodule

import (
	"fmt"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

func lintCommand() caddycmd.Command {
	return caddycmd.Command{
		Name: "lint", Usage: "[--config FILE] [--adapter NAME] [--strict] [--json]",
		Short: "Finds ways around the gateway in a configuration",
		Long: `
Reads a configuration (any that Caddy reads) and reports, one line each:

  error    an upstream that is reached without compliance, a shared cache in
           front of it, certificate modes that verify nothing, an upstream that
           is Caddy's own admin endpoint
  warning  requests that no rule covers, streams that a reload cuts, settings
           that contradict each other
  note     worth knowing

A route that is open on purpose says so: compliance [matcher] off because "...".
Nothing is started and nobody is asked.

Exit status: 0 clean, 1 errors, 2 warnings with --strict.
`,
		CobraFunc: func(cmd *cobra.Command) {
			configFlags(cmd, "Configuration file (default: the Caddyfile here)")
			cmd.Flags().Bool("strict", false, "Fail on warnings, too")
			jsonFlag(cmd)
			cmd.Args = cobra.NoArgs
			cmd.RunE = exitWith(runLint)
		},
	}
}

func runLint(cmd *cobra.Command, _ []string) (int, error) {
	file, err := configOrDefault(cmd)
	if err != nil {
		return exitFailure, err
	}
	config, err := readConfig(file, flagValue(cmd, "adapter"), cmd.ErrOrStderr())
	if err != nil {
		return exitFailure, err
	}
	findings, err := Lint(config)
	if err != nil {
		return exitFailure, err
	}
	w := cmd.OutOrStdout()
	count := map[Severity]int{}
	for i := range findings {
		count[findings[i].Severity]++
	}
	if flagSet(cmd, "json") {
		err := printJSON(w, map[string]any{"findings": findings})
		if err != nil {
			return exitFailure, err
		}
	} else {
		for i := range findings {
			fmt.Fprintln(w, findings[i].String())
		}
		fmt.Fprintf(w, "%s: %s, %s, %s\n", file, counted(count[SeverityError], SeverityError),
			counted(count[SeverityWarning], SeverityWarning), counted(count[SeverityNote], SeverityNote))
	}
	switch {
	case count[SeverityError] > 0:
		return exitFailure, nil
	case count[SeverityWarning] > 0 && flagSet(cmd, "strict"):
		return exitStrict, nil
	}
	return exitOK, nil
}

// counted prints "1 note", "2 notes".
func counted(n int, what Severity) string {
	if n == 1 {
		return fmt.Sprintf("1 %s", what)
	}
	return fmt.Sprintf("%d %ss", n, what)
}
