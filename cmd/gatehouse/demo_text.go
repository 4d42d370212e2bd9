package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// scene is one command to paste and what it shows. want begins with the HTTP
// status, or with "exit" and an exit status; a test runs every one of them.
type scene struct{ want, about, command string }

func (d *demo) scenes() []scene {
	curl := func(who, path string) string {
		header := ""
		if who != "" {
			header = "-H @" + shellQuote(filepath.Join(d.Dir, who)) + " "
		}
		return `curl -s -w '\n%{http_code}\n' ` + header + d.url(path)
	}
	self := shellQuote(ownName())
	at := fmt.Sprintf(" --address 127.0.0.1:%d", d.Admin)
	file := func(name string) string { return shellQuote(filepath.Join(d.Dir, name)) }
	alice := "entra:" + deviceID(1)
	edit := func(from, to string) string {
		return fmt.Sprintf("sed -i.old '/ALICE/s/,%s,/,%s,/' %s && sleep 2 && %s", from, to, file("devices.csv"), curl("alice", "/"))
	}
	return []scene{
		{"200 allow", "a compliant laptop; the app learns who asks", curl("alice", "/")},
		{"200 allow", "bob's laptop is in its grace period: allowed, with a warning", curl("bob", "/")},
		{"403 block", "carol's laptop has three faults; she sees all of them at once, and how to fix each", curl("carol", "/")},
		{"403 block", "dave's phone is jailbroken: a hard stop in every policy", curl("dave", "/")},
		{"403 block", "erin's macOS is too old", curl("erin", "/")},
		{"403 block", "frank's laptop has a high risk", curl("frank", "/")},
		{"403 block", "grace's tablet was last seen 40 days ago", curl("grace", "/")},
		{"403 block", "heidi's laptop is being retired", curl("heidi", "/")},
		{"403 block", "mallory's device is in no inventory", curl("mallory", "/")},
		{"401 authenticate", "nobody signed in", curl("", "/")},
		{"401 step_up", "/finance wants a stronger sign-in (RFC 9470 challenge)", curl("alice", "/finance")},
		{"200 allow", "the same after that sign-in", curl("alice-mfa", "/finance")},
		{"503 undecided", "/vault needs facts of the last minute, and the patch scan is late: our fault, and it says so", curl("alice", "/vault")},
		{"exit 0", "the latest decisions", self + " decisions" + at},
		{
			"exit 3", "account for the latest refusal by its id, as on the page and in the log",
			self + " explain $(" + self + " decisions --outcome block --limit 1" + at + " | awk 'END {print $NF}')" + at,
		},
		{"exit 3", "why bob would not get into /finance, line by line", self + " explain --policy finance --user bob --device entra:" + deviceID(2) + at},
		{"exit 0", "the same question offline, from the configuration alone", self + " explain --config " + file("Caddyfile") + " --policy standard --user bob --device entra:" + deviceID(2)},
		{"exit 0", "all devices", self + " devices" + at},
		{"exit 0", "one device, and which source says what", self + " devices " + alice + at},
		{
			"403 block", "revoke alice's laptop; it takes effect with the next request",
			self + " revoke --device " + alice + ` --reason "reported stolen"` + at + " && " + curl("alice", "/"),
		},
		{
			"200 allow", "found again: release it, with the operator token",
			"id=$(" + self + " devices " + alice + at + " | awk '$1 == \"revoked\" {print $2}') && " +
				self + ` release "$id" --operator-token-file ` + file("operator-token") + at + " && " + curl("alice", "/"),
		},
		{"403 block", "edit the inventory: alice's laptop turns noncompliant within a second", edit("compliant", "noncompliant")},
		{"200 allow", "and back", edit("noncompliant", "compliant")},
		{"exit 0", "check the configuration for ways around the gateway", self + " lint --config " + file("Caddyfile")},
		{"200", "metrics, for Prometheus", fmt.Sprintf(`curl -s -w '%%{http_code}\n' http://127.0.0.1:%d/metrics | grep -E '^gatehouse_decisions.* [1-9]|^200'`, d.Admin)},
		{"200", "the state of sources and policies", fmt.Sprintf(`curl -s -w '\n%%{http_code}\n' http://127.0.0.1:%d/compliance/status`, d.Admin)},
	}
}

// print writes the text. Comments make the whole of it safe to paste.
func (d *demo) print(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# Gatehouse demo: %s answered after %d ms. All of it is on this machine; Ctrl-C ends it.\n",
		d.url("/"), time.Since(d.started).Milliseconds())
	fmt.Fprintf(&b, "#   configuration  %s  (worth reading)\n", filepath.Join(d.Dir, "Caddyfile"))
	fmt.Fprintf(&b, "#   devices        %s  (edit it)\n", filepath.Join(d.Dir, "devices.csv"))
	fmt.Fprintf(&b, "#   log            %s\n", filepath.Join(d.Dir, "gateway.log"))
	fmt.Fprintf(&b, "#   metrics        http://127.0.0.1:%d/metrics\n", d.Admin)
	fmt.Fprintf(&b, "#   status         http://127.0.0.1:%d/compliance/status\n", d.Admin)
	b.WriteString("# Paste these into another terminal:\n")
	for _, s := range d.scenes() {
		fmt.Fprintf(&b, "\n# %s: %s\n%s\n", s.want, s.about, s.command)
	}
	b.WriteString("\n# Every command, and the whole syntax: " + ownName() + " help\n")
	_, err := io.WriteString(w, b.String())
	return err
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

// shellQuote makes one word of s for a POSIX shell.
func shellQuote(s string) string {
	if s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && !strings.ContainsRune("-_./:=@%+", r)
	}) {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
