package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/gatehouse-project/gatehouse/decision/policy"
)

// forgetCommand is a subcommand of devices.
func forgetCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "forget ID --operator-token-file FILE [--source NAME] [--reason TEXT] [--json]",
		Short: "Takes back bad news about a device that no source says any more",
		Long: strings.TrimSpace(`
Bad news about a device counts until its source says better, also when the source
falls silent about it, and a stop outlives the device's record by 30 days. When
that is wrong for one device (it was wiped and handed out again, or its record was
deleted by mistake), forget takes it back, at all sources or at one. Then counts what
the sources say in the records that they have, and nothing where they say nothing:
a device that a source still calls wiped stays blocked. What was forgotten is gone
from the snapshot when the command returns. A gateway knows nothing of another
one's memory: run it on each.

This loosens, so it needs the operator token of the configuration. devices ID shows
what could be forgotten.

  gatehouse devices forget serial:PF3XYZ12 --operator-token-file token --reason "ticket 4711"
`),
		DisableFlagsInUseLine: true,
		Args:                  exactly("the id of the device"),
		RunE:                  runForget,
	}
	adminFlags(cmd)
	operatorFlags(cmd)
	jsonFlag(cmd)
	cmd.Flags().String("source", "", "Only at the source of this name")
	cmd.Flags().String("reason", "", "Why, for the log")
	return cmd
}

func runForget(cmd *cobra.Command, args []string) error {
	if args[0] == "" {
		return errors.New("the id of the device is empty")
	}
	token, err := operatorToken(cmd)
	if err != nil {
		return err
	}
	in := ForgetRequest{Source: flagValue(cmd, "source"), Reason: flagValue(cmd, "reason"), Owner: flagValue(cmd, "owner")}
	return askAdmin(cmd, http.MethodPost, "devices/"+url.PathEscape(args[0])+"/forget", in, token, printForgotten)
}

func printForgotten(w io.Writer, done *Forgotten) {
	any := false
	for i := range done.Sources {
		s := &done.Sources[i]
		if len(s.Facts) == 0 && s.GoneUntil == nil {
			continue
		}
		any = true
		what := strings.Join(s.Facts, ", ")
		if s.GoneSince != nil && s.GoneUntil != nil {
			what += fmt.Sprintf(" (of the record that ended at %s, and would have counted until %s)",
				s.GoneSince.Format(time.RFC3339), s.GoneUntil.Format(time.RFC3339))
		}
		fmt.Fprintf(w, "forgotten at %s: %s\n", policy.Visible(s.Source), policy.Visible(what))
	}
	if !any {
		fmt.Fprintln(w, "nothing to forget: all that counts about this device, the sources say themselves")
		return
	}
	fmt.Fprintln(w, "Now counts what the sources say in the records that they have; devices ID shows it.")
}

// printForgettable says what counts though no source says it any more, and how to take
// that back.
func printForgettable(w io.Writer, d *DeviceView) {
	said := false
	for i := range d.Sources {
		if e := &d.Sources[i]; len(e.Kept) > 0 {
			if !said {
				fmt.Fprintln(w, "\nbad news that counts though the source does not say it any more:")
				said = true
			}
			fmt.Fprintf(w, "  %s: %s\n", policy.Visible(e.Source), policy.Visible(strings.Join(e.Kept, ", ")))
		}
	}
	if !said {
		return
	}
	id := "ID"
	if len(d.Keys) > 0 && d.Keys[0].Kind != "hash" {
		id = d.Keys[0].Kind + ":" + d.Keys[0].Value
	}
	fmt.Fprintf(w, "if it is wrong for this device, take it back with `devices forget %s`\n", policy.Visible(id))
}
