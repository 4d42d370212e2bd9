package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/gatehouse-project/gatehouse/cmd/walkthrough"
)

func (d *demo) scenes() []walkthrough.Scene {
	curl := func(who, path string) string {
		if who == "" {
			return walkthrough.Curl(d.url(path))
		}
		return walkthrough.Curl("-H", "@"+filepath.Join(d.Dir, who), d.url(path))
	}
	self := walkthrough.ShellQuote(ownName())
	at := fmt.Sprintf(" --address 127.0.0.1:%d", d.Admin)
	file := func(name string) string { return walkthrough.ShellQuote(filepath.Join(d.Dir, name)) }
	alice := "entra:" + deviceID(1)
	edit := func(from, to string) string {
		return fmt.Sprintf("sed -i.old '/ALICE/s/,%s,/,%s,/' %s && sleep 2 && %s", from, to, file("devices.csv"), curl("alice", "/"))
	}
	show := walkthrough.Show
	return []walkthrough.Scene{
		show("200 allow", "a compliant laptop; the app learns who asks", curl("alice", "/")),
		show("200 allow", "bob's laptop is in its grace period: allowed, with a warning", curl("bob", "/")),
		show("403 block", "carol's laptop has three faults; she sees all of them at once, and how to fix each", curl("carol", "/")),
		show("403 block", "dave's phone is jailbroken: a hard stop in every policy", curl("dave", "/")),
		show("403 block", "erin's macOS is too old", curl("erin", "/")),
		show("403 block", "frank's laptop has a high risk", curl("frank", "/")),
		show("403 block", "grace's tablet was last seen 40 days ago", curl("grace", "/")),
		show("403 block", "heidi's laptop is being retired", curl("heidi", "/")),
		show("403 block", "mallory's device is in no inventory", curl("mallory", "/")),
		show("401 authenticate", "nobody signed in", curl("", "/")),
		show("401 step_up", "/finance wants a stronger sign-in (RFC 9470 challenge)", curl("alice", "/finance")),
		show("200 allow", "the same after that sign-in", curl("alice-mfa", "/finance")),
		show("503 undecided", "/vault needs facts of the last minute, and the patch scan is late: our fault, and it says so", curl("alice", "/vault")),
		show("exit 0", "the latest decisions", self+" decisions"+at),
		show(
			"exit 3", "account for the latest refusal by its id, as on the page and in the log",
			self+" explain $("+self+" decisions --outcome block --limit 1"+at+" | awk 'END {print $NF}')"+at,
		),
		show("exit 3", "why bob would not get into /finance, line by line", self+" explain --policy finance --user bob --device entra:"+deviceID(2)+at),
		show("exit 0", "the same question offline, from the configuration alone", self+" explain --config "+file("Caddyfile")+" --policy standard --user bob --device entra:"+deviceID(2)),
		show("exit 0", "all devices", self+" devices"+at),
		show("exit 0", "one device, and which source says what", self+" devices "+alice+at),
		show(
			"403 block", "revoke alice's laptop; it takes effect with the next request",
			self+" revoke --device "+alice+` --reason "reported stolen"`+at+" && "+curl("alice", "/"),
		),
		show(
			"200 allow", "found again: release it, with the operator token",
			"id=$("+self+" devices "+alice+at+" | awk '$1 == \"revoked\" {print $2}') && "+
				self+` release "$id" --operator-token-file `+file("operator-token")+at+" && "+curl("alice", "/"),
		),
		show("403 block", "edit the inventory: alice's laptop turns noncompliant within a second", edit("compliant", "noncompliant")),
		show("200 allow", "and back", edit("noncompliant", "compliant")),
		show("exit 0", "check the configuration for ways around the gateway", self+" lint --config "+file("Caddyfile")),
		show("200", "metrics, for Prometheus", fmt.Sprintf(`curl -s -w '%%{http_code}\n' http://127.0.0.1:%d/metrics | grep -E '^gatehouse_decisions.* [1-9]|^200'`, d.Admin)),
		show("200", "the state of sources and policies", walkthrough.Curl(fmt.Sprintf("http://127.0.0.1:%d/compliance/status", d.Admin))),
	}
}

// print writes the text.
func (d *demo) print(w io.Writer) error {
	return walkthrough.Print(w, []string{
		fmt.Sprintf("Gatehouse demo: %s answered after %d ms. All of it is on this machine; Ctrl-C ends it.", d.url("/"), time.Since(d.started).Milliseconds()),
		"  configuration  " + filepath.Join(d.Dir, "Caddyfile") + "  (worth reading)",
		"  devices        " + filepath.Join(d.Dir, "devices.csv") + "  (edit it)",
		"  log            " + filepath.Join(d.Dir, "gateway.log"),
		fmt.Sprintf("  metrics        http://127.0.0.1:%d/metrics", d.Admin),
		fmt.Sprintf("  status         http://127.0.0.1:%d/compliance/status", d.Admin),
	}, d.scenes(), ownName())
}

// ownName is how to call this very binary: by its name if that finds it.
func ownName() string {
	self, err := os.Executable()
	if err != nil {
		return "gatehouse"
	}
	found, err := exec.LookPath("gatehouse")
	if err == nil {
		a, errA := os.Stat(found)
		b, errB := os.Stat(self)
		if errA == nil && errB == nil && os.SameFile(a, b) {
			return "gatehouse"
		}
	}
	return self
}
