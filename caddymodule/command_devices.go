package caddymodule

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/gatehouse-project/gatehouse/decision/policy"
)

func devicesCommand() caddycmd.Command {
	return caddycmd.Command{
		Name: "devices", Usage: "[ID] [--compliance STATE] [--limit N] [--refresh] [--json]",
		Short: "Shows what the running gateway knows about devices",
		Long: `
Lists devices, or shows all that is known about one of them and which source
says so. ID is kind:value, such as serial:PF3XYZ12; a bare value is an Entra
device id. --refresh asks the sources about the device first, and tells which of
them could not be asked: what those said before stays. forget ID takes back bad
news that no source says any more.
`,
		CobraFunc: func(cmd *cobra.Command) {
			adminFlags(cmd)
			jsonFlag(cmd)
			cmd.Flags().String("compliance", "", "Only this state, such as compliant, noncompliant or in_grace")
			cmd.Flags().Int("limit", 100, "How many, at most 10000")
			cmd.Flags().Bool("refresh", false, "Ask the sources first")
			cmd.Args = cobra.MaximumNArgs(1)
			cmd.RunE = runDevices
			cmd.AddCommand(forgetCommand())
		},
	}
}

func runDevices(cmd *cobra.Command, args []string) error {
	if len(args) == 1 {
		id := "devices/" + url.PathEscape(args[0])
		if flagSet(cmd, "refresh") {
			return askAdmin(cmd, http.MethodPost, id+"/refresh", struct{}{}, "", printDevice)
		}
		return askAdmin(cmd, http.MethodGet, id, nil, "", printDevice)
	}
	if flagSet(cmd, "refresh") {
		return fmt.Errorf("--refresh needs the id of one device")
	}
	q := url.Values{"limit": {flagValue(cmd, "limit")}}
	if v := flagValue(cmd, "compliance"); v != "" {
		q.Set("compliance", v)
	}
	return askAdmin(cmd, http.MethodGet, "devices?"+q.Encode(), nil, "", printDevices)
}

func printDevices(w io.Writer, in *struct {
	Devices []DeviceView `json:"devices"`
	Records int          `json:"records"`
},
) {
	rows := [][]string{{"DEVICE", "NAME", "COMPLIANCE", "RISK", "OS", "OWNER", "SOURCES", "NOTE"}}
	for i := range in.Devices {
		d := &in.Devices[i]
		id, note := "", ""
		if len(d.Keys) > 0 {
			id = d.Keys[0].Kind + ":" + d.Keys[0].Value
		}
		if d.Revoked != "" {
			note = "revoked"
		}
		var sources []string
		for _, e := range d.Sources {
			if e.Found {
				sources = append(sources, e.Source)
			}
		}
		rows = append(rows, []string{
			id, d.Name, d.Facts["compliance"], d.Facts["risk"], d.Facts["os"], d.Owner, strings.Join(sources, " "), note,
		})
	}
	columns(w, rows...)
	fmt.Fprintf(w, "\n%d shown; the sources have %d records\n", len(in.Devices), in.Records)
}

func printDevice(w io.Writer, d *DeviceView) {
	rows := [][]string{{"name", d.Name}}
	for _, k := range d.Keys {
		rows = append(rows, []string{"id", k.Kind + ":" + k.Value})
	}
	rows = append(rows, []string{"owner", d.Owner})
	if d.Revoked != "" {
		rows = append(rows, []string{"revoked", d.Revoked})
	}
	if d.LastCheckIn != nil {
		rows = append(rows, []string{"last check-in", d.LastCheckIn.Format(time.RFC3339)})
	}
	if d.GraceUntil != nil {
		rows = append(rows, []string{"grace until", d.GraceUntil.Format(time.RFC3339)})
	}
	columns(w, rows...)
	fmt.Fprintln(w, "\nfacts:")
	names := sortedKeys(d.Facts)
	rows = rows[:0]
	from := map[string]*policy.ExplainedFact{}
	for i := range d.Weighed {
		from[d.Weighed[i].Name] = &d.Weighed[i]
	}
	for _, n := range names {
		row := []string{"  " + n, d.Facts[n]}
		if f := from[n]; f != nil {
			row = append(row, f.Source, f.Why)
		}
		rows = append(rows, row)
	}
	columns(w, rows...)
	fmt.Fprintln(w, "\nsources:")
	rows = rows[:0]
	for _, e := range d.Sources {
		said := "does not have it"
		if e.Found {
			said = "has it"
		}
		if e.GoneSince != nil {
			said = "had it until " + e.GoneSince.Format(time.RFC3339) + ", its last word counts"
			if e.GoneUntil != nil {
				said += " until " + e.GoneUntil.Format(time.RFC3339)
			}
		}
		state := ""
		if e.Failing {
			state = "failing"
		}
		rows = append(rows, []string{"  " + e.Source, said, "confirmed " + firstOf(e.Age, "never"), state})
	}
	columns(w, slices.Clip(rows)...)
	printForgettable(w, d)
	printRefreshed(w, d.Refreshed)
	_, _ = io.WriteString(w, policy.ConflictText(d.Weighed))
	if d.Conflicts > 0 {
		fmt.Fprintf(w, "\nfacts on which sources disagree: %d\n", d.Conflicts)
	}
}

// printRefreshed names the sources that could not be asked.
func printRefreshed(w io.Writer, all []RefreshedSource) {
	var rows [][]string
	for _, s := range all {
		switch s.Result {
		case "refreshed", "unknown", "later":
			continue
		}
		when := ""
		if s.RetryAfter > 0 {
			when = fmt.Sprintf("ask again in %d s", s.RetryAfter)
		}
		rows = append(rows, []string{"  " + s.Source, s.Result, when, s.Error})
	}
	if len(rows) == 0 {
		return
	}
	fmt.Fprintln(w, "\nnot asked anew; what they said before stays:")
	columns(w, rows...)
}
