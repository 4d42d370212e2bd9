package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/gatehouse-project/gatehouse/cmd/walkthrough"
	"github.com/gatehouse-project/gatehouse/integration/emulator"
)

// scenes are the commands to paste.
func (e *example) scenes() []walkthrough.Scene {
	show := walkthrough.Show
	as := func(device, path string) string { return walkthrough.Curl("-H", "@"+e.file(device), e.url(path)) }
	certificate := func(device string) string {
		return walkthrough.Curl("--cacert", e.file("server-ca.pem"), "--cert", e.file(device+".pem"), "--key", e.file(device+".key"),
			fmt.Sprintf("https://localhost:%d/", e.TLS))
	}
	recheck := func(device string) string {
		return "curl -s -X POST -H " + walkthrough.ShellQuote("@"+e.file(device)) + " " + e.url("/.gatehouse/recheck")
	}
	tenant := func(args ...string) string {
		path := args[len(args)-1]
		line := "curl -s --cacert " + walkthrough.ShellQuote(e.file("tenant-ca.pem"))
		for _, a := range args[:len(args)-1] {
			line += " " + walkthrough.ShellQuote(a)
		}
		return line + " " + e.Tenant + "/control/" + path
	}
	change := func(device, fields string) string {
		return tenant("-o", "/dev/null", "-X", "PATCH", "-d", fields, "devices/"+device)
	}
	fault := func(route string) string {
		return tenant("-o", "/dev/null", "-d", `{"Route":"`+route+`","Kind":"status"}`, "faults")
	}
	self := walkthrough.ShellQuote(e.Gateway)
	at := fmt.Sprintf(" --address 127.0.0.1:%d", e.Admin)
	id := func(device string) string { return "entra:" + e.device(device).EntraID.String() }
	const then = " && "

	return []walkthrough.Scene{
		// What people get.
		show("200 allow", "a healthy laptop, enrolled in Intune", as(emulator.CaseHealthy, "/")),
		show("200 allow", "in its grace period: allowed, with a warning", as(emulator.CaseGraceFar, "/")),
		show("403 block", "the same device where the policy is strict", as(emulator.CaseGraceFar, "/finance")),
		show("403 block", "noncompliant: every reason, and how to fix it", as(emulator.CaseNoncompliant, "/")),
		show("403 block", "a rooted phone: a hard stop in every policy", as(emulator.CaseJailbroken, "/")),
		show("403 block", "disabled in the directory", as(emulator.CaseDisabled, "/")),
		show("403 block", "its user is at high risk (Entra ID Protection)", as(emulator.CaseUserHigh, "/")),
		show("403 block", "Defender says high risk, and Intune has not heard of it", as(emulator.CaseDefenderHigh, "/finance")),
		show("403 block", "a device that no service knows", as(stranger, "/")),
		show("401 authenticate", "nobody signed in", walkthrough.Curl(e.url("/"))),

		// Who decides.
		show("200 allow", "co-managed, the compliance workload in Intune: Intune decides", as(emulator.CaseComanaged, "/")),
		show("200 allow", "co-managed, the workload in Configuration Manager: that decides", as(emulator.CaseComanagedConfigMgr, "/")),
		show("exit 0", "which source says what about that one", self+" devices "+id(emulator.CaseComanagedConfigMgr)+at),
		show("403 block", "updates are missing: only Configuration Manager knows", as(emulator.CaseUpdatesMissing, "/patched")),
		show("200 allow", "a Mac that Jamf manages: its verdict is in Entra ID alone", as(emulator.CaseJamf, "/")),
		show("200 allow", "a device certificate instead of a token", certificate(emulator.CaseHealthy)),
		show("200 allow", "a certificate whose device only the NAC service knows", certificate(emulator.CaseNACOnly)),

		// Something changes.
		show("200 allow", "mended: the tenant changes, the person has the device checked again and is let in",
			change(emulator.CaseNoncompliant, `{"Managed.Compliance":"compliant","Managed.Encrypted":true}`)+then+
				recheck(emulator.CaseNoncompliant)+then+as(emulator.CaseNoncompliant, "/")),
		show("403 block", "broken: the healthy laptop turns noncompliant; an administrator does not wait for the next poll",
			change(emulator.CaseHealthy, `{"Managed.Compliance":"noncompliant"}`)+then+
				self+" devices "+id(emulator.CaseHealthy)+" --refresh"+at+" > /dev/null"+then+as(emulator.CaseHealthy, "/")),
		show("200 allow", "and back",
			change(emulator.CaseHealthy, `{"Managed.Compliance":"compliant"}`)+then+
				self+" devices "+id(emulator.CaseHealthy)+" --refresh"+at+" > /dev/null"+then+as(emulator.CaseHealthy, "/")),
		show("200 allow", "Intune answers 503 from now on: it cannot be asked, and nobody in front of the gateway notices",
			fault("graph/managedDevices")+then+fault("graph/managedDevice")+then+
				self+" devices "+id(emulator.CaseHealthy)+" --refresh"+at+" 2>&1; "+as(emulator.CaseHealthy, "/")),
		show("exit 0", "Intune is back", tenant("-X", "DELETE", "faults")),

		// For people who run it.
		show("exit 3", "account for the latest refusal by its id, as on the page and in the log",
			self+" explain $("+self+" decisions --outcome block --limit 1"+at+" | awk 'END {print $NF}')"+at),
		show("exit 3", "why the device in its grace period does not get into /finance, line by line",
			self+" explain --policy finance --user "+e.device(emulator.CaseGraceFar).User.UPN+" --device "+id(emulator.CaseGraceFar)+at),
		show("exit 0", "all devices in a grace period", self+" devices --compliance in_grace"+at),
		show("exit 0", "the state of sources and policies", self+" status"+at),
		show("200", "metrics: calls to each service, devices by compliance",
			fmt.Sprintf(`curl -s -w '%%{http_code}\n' http://127.0.0.1:%d/metrics | grep -E '^gatehouse_(microsoft_requests|source_devices|source_state)|^200'`, e.Admin)),
		show("exit 0", "what the gateway asked the tenant, by route", tenant("calls")),
		show("exit 0", "what Microsoft would have refused of it: nothing", tenant("violations")),
		show("exit 2", "doctor asks every service whether the gateway has what it needs, and one device from end to end",
			"env "+strings.Join(e.settings(), " ")+" "+self+" doctor --config "+walkthrough.ShellQuote(e.file("Caddyfile"))),
		show("exit 0", "ways around the gateway in this configuration", self+" lint --config "+walkthrough.ShellQuote(e.file("Caddyfile"))),
		show("exit 1", "what differs from the Caddyfile to copy: hosts, places of secrets, loopback",
			"diff "+walkthrough.ShellQuote(e.Source)+" "+walkthrough.ShellQuote(e.file("Caddyfile"))),
	}
}

// print writes the text.
func (e *example) print(w io.Writer) error {
	return walkthrough.Print(w, []string{
		fmt.Sprintf("Gatehouse and a Microsoft tenant, both on this machine: %s answered after %d ms. Ctrl-C ends it.",
			e.url("/"), time.Since(e.started).Milliseconds()),
		"  to copy        " + e.Source,
		"  runs here      " + e.file("Caddyfile"),
		"  log            " + e.file("gateway.log"),
		fmt.Sprintf("  metrics        http://127.0.0.1:%d/metrics", e.Admin),
		fmt.Sprintf("  tenant         %s/control/devices  (%d devices)", e.Tenant, fleetSize),
	}, e.scenes(), e.Gateway)
}
