package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/gatehouse-project/gatehouse/decision"
	"github.com/gatehouse-project/gatehouse/decision/checkup"
	"github.com/gatehouse-project/gatehouse/decision/policy"
)

func doctorCommand() caddycmd.Command {
	return caddycmd.Command{
		Name: "doctor", Usage: "[--config FILE] [--device KIND=ID] [--only NAME] [--timeout 30s] [--json]",
		Short: "Examines every source and issuer of a configuration: access, clocks, limits, expiry",
		Long: `
Asks everything that a configuration names whether it works, and says what to do
where it does not:

  microsoft    tokens, surplus permissions, the end of secret or certificate,
               clock, how much of the limits is left
  source       permissions, one device, tenant settings that surprise, silent
               connectors; TLS, sign-in and version of a site; rows and age of a file
  issuer       metadata, keys, clock, TLS certificate
  client_certificate
               the end of authorities and revocation lists

Then it follows one device from end to end: which sources have it, what they say,
and what every policy decides about it. The user is its owner, signed in a moment
ago and in every group that the policy names. Revocations are not looked at.

Run it where the gateway runs, as its user and with its environment. A gateway that
runs meanwhile is not disturbed: nothing is started, changed or written, no fleet
is listed, and each service gets a handful of calls. No secret or token is printed.

Exit status: 0 all is well, 2 warnings only, 3 something does not work, 1 doctor
itself could not run. Words of the column of checks, and of --json, are stable.
`,
		CobraFunc: func(cmd *cobra.Command) {
			configFlags(cmd, "Configuration file (default: the Caddyfile here)")
			f := cmd.Flags()
			f.String("device", "", "The sample device, KIND=ID or a bare Entra id (default: one that a source names)")
			f.StringSlice("only", nil, "Only this object, such as intune or \"issuer corp\"; may be repeated")
			f.Duration("timeout", 30*time.Second, "Longest time for one object")
			jsonFlag(cmd)
			cmd.Args = cobra.NoArgs
			cmd.RunE = exitWith(runDoctor)
		},
	}
}

// maxDoctorTimeout is above what the services themselves bound.
const maxDoctorTimeout = 10 * time.Minute

func runDoctor(cmd *cobra.Command, _ []string) (int, error) {
	file, err := configOrDefault(cmd)
	if err != nil {
		return exitFailure, err
	}
	timeout, err := cmd.Flags().GetDuration("timeout")
	if err == nil && (timeout < time.Second || timeout > maxDoctorTimeout) {
		err = fmt.Errorf("--timeout is between 1s and %s", maxDoctorTimeout)
	}
	if err != nil {
		return exitFailure, err
	}
	only, err := cmd.Flags().GetStringSlice("only")
	if err != nil {
		return exitFailure, err
	}
	device, err := sampleKey(flagValue(cmd, "device"))
	if err != nil {
		return exitFailure, err
	}
	config, err := readConfig(file, flagValue(cmd, "adapter"), cmd.ErrOrStderr())
	if err != nil {
		return exitFailure, err
	}
	d, err := openDoctor(config, timeout)
	if err != nil {
		return exitFailure, err
	}
	defer d.close()
	ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM) // so that the temporary directory goes
	defer stop()
	report, err := d.run(ctx, only, device)
	if err == nil && ctx.Err() != nil {
		err = errors.New("interrupted")
	}
	if err != nil {
		return exitFailure, err
	}
	if flagSet(cmd, "json") {
		err = printJSON(cmd.OutOrStdout(), report)
	} else {
		printDoctor(cmd.OutOrStdout(), report)
	}
	switch report.State {
	case checkup.Fault:
		return exitFault, err
	case checkup.Warning:
		return exitStrict, err
	case checkup.OK, checkup.Skipped:
	}
	return exitOK, err
}

// sampleKey reads --device; nil without one.
func sampleKey(s string) (*decision.Key, error) {
	if s == "" {
		return nil, nil
	}
	if i := strings.IndexAny(s, "=:"); i >= 0 {
		s = s[:i] + ":" + s[i+1:]
	}
	k, err := parseKey(s)
	if err != nil {
		return nil, fmt.Errorf("--device: %w", err)
	}
	return &k, nil
}

// printDoctor prints a report for people.
func printDoctor(w io.Writer, r *DoctorReport) {
	count := map[checkup.State]int{}
	for i := range r.Sections {
		s := &r.Sections[i]
		fmt.Fprintf(w, "%s%s\n", policy.Visible(s.Name), inBrackets(s.Place))
		for _, f := range s.Findings {
			count[f.State]++
			fmt.Fprintf(w, "  %-8s %-12s %s\n", mark(f.State), f.Check, policy.Visible(f.Text))
			if f.Fix != "" {
				fmt.Fprintf(w, "  %-8s %-12s -> %s\n", "", "", policy.Visible(f.Fix))
			}
		}
		if s.Name == sampleSection && r.Device != nil {
			fmt.Fprintln(w)
			printDevice(w, r.Device)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%s, %s, %d ok, %d skipped\n", counted(count[checkup.Fault], "fault"), counted(count[checkup.Warning], "warning"), count[checkup.OK], count[checkup.Skipped])
}

// mark makes what needs somebody stand out without colours.
func mark(s checkup.State) string {
	if s == checkup.Warning || s == checkup.Fault {
		return strings.ToUpper(s.String())
	}
	return s.String()
}
