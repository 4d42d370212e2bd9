package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/gatehouse-project/gatehouse/decision/policy"
	"github.com/gatehouse-project/gatehouse/decision/revocation"
	"github.com/gatehouse-project/gatehouse/decision/source"
)

func revokeCommand() caddycmd.Command {
	return caddycmd.Command{
		Name: "revoke", Usage: "--device KIND:VALUE | --user NAME | --certificate SHA256 --reason TEXT [--for 24h]",
		Short: "Locks a device, a user or a certificate out, from the next request on",
		Long: `
Locks a device, a user or a certificate out within a second, in every policy.
The revocation is on disk before the command returns, and survives restarts.
Without --for it holds until it is released.

  gatehouse revoke --device serial:PF3XYZ12 --reason "stolen, ticket 4711"
  gatehouse revoke --user alice@corp.example --reason "leaver" --for 24h
`,
		CobraFunc: func(cmd *cobra.Command) {
			adminFlags(cmd)
			jsonFlag(cmd)
			f := cmd.Flags()
			f.String("device", "", "Device id: kind:value, or a bare Entra device id")
			f.String("user", "", "Object id, gateway user id or sign-in name")
			f.String("certificate", "", "SHA-256 of the certificate, in hexadecimal")
			f.String("reason", "", "Why; required")
			f.String("owner", os.Getenv("USER"), "Who asks, for the log")
			f.String("for", "", "How long, such as 24h or 14d")
			cmd.Args = cobra.NoArgs
			cmd.RunE = runRevoke
		},
	}
}

func runRevoke(cmd *cobra.Command, _ []string) error {
	in := RevokeRequest{
		Device: flagValue(cmd, "device"), User: flagValue(cmd, "user"), Certificate: flagValue(cmd, "certificate"),
		Reason: flagValue(cmd, "reason"), Owner: flagValue(cmd, "owner"), For: flagValue(cmd, "for"),
	}
	given := 0
	for _, v := range []string{in.Device, in.User, in.Certificate} {
		if v != "" {
			given++
		}
	}
	if given != 1 {
		return errors.New("give exactly one of --device, --user and --certificate")
	}
	if in.Reason == "" {
		return errors.New(`say why: --reason "..."`)
	}
	if in.For != "" {
		d, err := caddy.ParseDuration(in.For)
		if err != nil || d <= 0 {
			return fmt.Errorf("--for %q is not a duration such as 24h or 14d", in.For)
		}
	}
	return askAdmin(cmd, http.MethodPost, "revoke", in, "", func(w io.Writer, done *Revoked) {
		e := &done.Entry
		until := "until it is released"
		if !e.Until.IsZero() {
			until = "until " + e.Until.UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(w, "revoked %s %s, %s\nid %s\n", e.Kind, policy.Visible(subject(e)), until, e.ID)
		if !done.Known {
			fmt.Fprintln(w, "Careful: no source has this device now. Check the id.")
		}
	})
}

func subject(e *revocation.Entry) string {
	if e.Kind == revocation.KindDevice {
		return e.Device.Kind + ":" + e.Device.Value
	}
	return firstOf(e.User, e.Certificate, e.Session)
}

func releaseCommand() caddycmd.Command {
	return caddycmd.Command{
		Name: "release", Usage: "ID --operator-token-file FILE",
		Short: "Ends a revocation",
		Long: `
Ends the revocation with this id; revoke prints it, and so does devices ID.
This loosens, so it needs the operator token of the configuration.
`,
		CobraFunc: func(cmd *cobra.Command) {
			adminFlags(cmd)
			operatorFlags(cmd)
			jsonFlag(cmd)
			cmd.Args = exactly("the id of the revocation")
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				return askOperator(cmd, "release", args[0], func(w io.Writer, _ *map[string]string) {
					fmt.Fprintf(w, "released %s\n", policy.Visible(args[0]))
				})
			}
		},
	}
}

func acceptCommand() caddycmd.Command {
	return caddycmd.Command{
		Name: "accept", Usage: "SOURCE ID --operator-token-file FILE",
		Short: "Accepts a change of a source that a guard holds back",
		Long: `
Accepts a change that looked like an accident, such as half a fleet that turned
compliant at once. status shows what is held, and its id. This loosens, so it
needs the operator token of the configuration.
`,
		CobraFunc: func(cmd *cobra.Command) {
			adminFlags(cmd)
			operatorFlags(cmd)
			jsonFlag(cmd)
			cmd.Args = exactly("the source's name", "the id of the held change")
			cmd.RunE = func(cmd *cobra.Command, args []string) error {
				uri := "sources/" + url.PathEscape(args[0]) + "/accept"
				return askOperator(cmd, uri, args[1], func(w io.Writer, s *source.Status) {
					fmt.Fprintf(w, "accepted; source %s now has %d devices\n", policy.Visible(s.Name), s.Devices)
				})
			}
		},
	}
}

// exactly wants one argument per name, and says which one is missing.
func exactly(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) < len(names) {
			return fmt.Errorf("%s is missing; usage: %s", names[len(args)], cmd.UseLine())
		}
		if len(args) > len(names) {
			return fmt.Errorf("unexpected %q; usage: %s", args[len(names)], cmd.UseLine())
		}
		return nil
	}
}

func statusCommand() caddycmd.Command {
	return caddycmd.Command{
		Name: "status", Usage: "[--json]",
		Short: "Shows the state of sources and policies of the running gateway",
		CobraFunc: func(cmd *cobra.Command) {
			adminFlags(cmd)
			jsonFlag(cmd)
			cmd.Args = cobra.NoArgs
			cmd.RunE = func(cmd *cobra.Command, _ []string) error {
				return askAdmin(cmd, http.MethodGet, "status", nil, "", printStatus)
			}
		},
	}
}

func printStatus(w io.Writer, st *Status) {
	ready := "ready"
	if !st.Ready {
		ready = "not ready: a source was never read"
	}
	fmt.Fprintf(w, "%s; %d revocations\n\n", ready, st.Revocations)
	rows := [][]string{{"SOURCE", "STATE", "DEVICES", "CONFIRMED", "BAD", "NOTE"}}
	for _, s := range st.Sources {
		note := s.LastError
		if h := s.Held; h != nil {
			note = fmt.Sprintf("held change %s: %s; accept it with `accept %s %s`", h.ID, h.Why, s.Name, h.ID)
		}
		rows = append(rows, []string{
			s.Name, string(s.State), strconv.Itoa(s.Devices), ago(s.Confirmed), strconv.Itoa(s.Bad), note,
		})
	}
	columns(w, rows...)
	printTrouble(w, st)
	fmt.Fprintln(w)
	rows = [][]string{{"POLICY", "REVISION", "REQUIREMENTS", "MODE"}}
	for _, p := range st.Policies {
		mode := "enforced"
		if !p.Enforced {
			mode = "report only"
			if p.ReportOnlyUntil != nil {
				mode += " until " + p.ReportOnlyUntil.Format(time.DateOnly)
			}
		}
		rows = append(rows, []string{p.Name, p.Revision, strconv.Itoa(p.Requirements), mode})
	}
	columns(w, rows...)
}

// printTrouble prints what an operator must mend, and where sources disagree.
func printTrouble(w io.Writer, st *Status) {
	for i := range st.Sources {
		printSkipped(w, &st.Sources[i])
		printKept(w, &st.Sources[i])
	}
	for _, t := range st.Tenants {
		for _, k := range t.Tokens {
			if k.Failure != "" {
				fmt.Fprintf(w, "\ntenant %s: no token for %s (%s): %s\n", policy.Visible(t.Name), k.Resource, k.Failure, policy.Visible(k.Error))
			}
		}
		for _, c := range t.Circuits {
			if c.State != "closed" {
				fmt.Fprintf(w, "\ntenant %s: %s is not called, its circuit is %s: %s\n", policy.Visible(t.Name), c.Endpoint, c.State, policy.Visible(c.Error))
			}
		}
	}
	if st.RevocationJournal != "" {
		fmt.Fprintf(w, "\nrevocations are in force but not on disk: %s\n", policy.Visible(st.RevocationJournal))
	}
	if c := st.Conflicts; c != nil && c.Disagreeing > 0 {
		fmt.Fprintf(w, "\nsources disagree about %d of %d devices, counted %s:", c.Disagreeing, c.Devices, ago(c.At))
		for _, fact := range sortedKeys(c.ByFact) {
			if n := c.ByFact[fact]; n > 0 {
				fmt.Fprintf(w, " %s %d", fact, n)
			}
		}
		fmt.Fprintln(w)
	}
}

// printSkipped prints which values of a source count as unknown.
func printSkipped(w io.Writer, s *source.Status) {
	if s.Counters == nil || len(s.Counters.Skipped) == 0 {
		return
	}
	parts := make([]string, len(s.Counters.Skipped))
	for i, v := range s.Counters.Skipped {
		parts[i] = fmt.Sprintf("%s %d (%s)", v.Field, v.Count, v.Reason)
	}
	fmt.Fprintf(w, "\nsource %s has values that count as unknown: %s\n", policy.Visible(s.Name), policy.Visible(strings.Join(parts, ", ")))
}

// printKept prints on how many devices bad news stays that the source does not repeat.
func printKept(w io.Writer, s *source.Status) {
	if s.Kept > 0 {
		fmt.Fprintf(w, "\nsource %s: devices with bad news that it does not repeat, which stays until it has better news: %d\n", policy.Visible(s.Name), s.Kept)
	}
	if s.Gone > 0 {
		fmt.Fprintf(w, "\nsource %s: devices that it does not list any more, whose last word still counts: %d\n", policy.Visible(s.Name), s.Gone)
	}
	if s.Kept+s.Gone > 0 {
		fmt.Fprintln(w, "devices ID shows it, devices forget ID takes it back where it is wrong")
	}
}

func ago(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return time.Since(t).Round(time.Second).String() + " ago"
}

func decisionsCommand() caddycmd.Command {
	return caddycmd.Command{
		Name: "decisions", Usage: "[--outcome OUTCOME] [--policy NAME] [--limit N] [--json]",
		Short: "Lists the latest decisions of the running gateway",
		Long: `
Lists the latest decisions, newest first: refusals and warnings, or all of them
with decision_log all. explain ID accounts for one of them.
`,
		CobraFunc: func(cmd *cobra.Command) {
			adminFlags(cmd)
			jsonFlag(cmd)
			cmd.Flags().String("outcome", "", "Only this outcome: allow, authenticate, step_up, block or undecided")
			cmd.Flags().String("policy", "", "Only this policy")
			cmd.Flags().Int("limit", 20, "How many, at most 1000")
			cmd.Args = cobra.NoArgs
			cmd.RunE = func(cmd *cobra.Command, _ []string) error {
				q := url.Values{"limit": {flagValue(cmd, "limit")}}
				for _, name := range []string{"outcome", "policy"} {
					if v := flagValue(cmd, name); v != "" {
						q.Set(name, v)
					}
				}
				return askAdmin(cmd, http.MethodGet, "decisions?"+q.Encode(), nil, "", printDecisions)
			}
		},
	}
}

func printDecisions(w io.Writer, in *struct {
	Decisions []DecisionView `json:"decisions"`
},
) {
	if len(in.Decisions) == 0 {
		fmt.Fprintln(w, "no such decision is remembered")
		return
	}
	rows := [][]string{{"TIME", "OUTCOME", "POLICY", "USER", "DEVICE", "REQUEST", "REASONS", "ID"}}
	for i := range in.Decisions {
		d := &in.Decisions[i]
		outcome := d.Outcome
		if d.Mode != "enforce" {
			outcome += " (" + d.Mode + ")"
		}
		rows = append(rows, []string{
			d.Time.UTC().Format(time.RFC3339), outcome, d.Policy, d.User, d.Device,
			d.Method + " " + d.Host + d.Path, strings.Join(d.codes(), " "), d.ID,
		})
	}
	columns(w, rows...)
}

func (v *DecisionView) codes() []string {
	codes := make([]string, 0, len(v.Reasons))
	for _, r := range v.Reasons {
		codes = append(codes, r.Code)
	}
	return codes
}
