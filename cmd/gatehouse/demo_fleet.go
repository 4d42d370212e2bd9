package main

import (
	"fmt"
	"strings"
	"time"
)

// person is somebody with a token. file is the header file's name.
type person struct {
	file, name, device string
	mfa                bool
}

// device is one row of the demo's inventory.
type device struct {
	id, name, owner, platform, version, compliance string
	encrypted, jailbroken                          string
	risk, lifecycle                                string
	seen                                           time.Duration // since the last check-in
	grace                                          time.Duration // left
}

func deviceID(n int) string { return fmt.Sprintf("%08d-0000-4000-8000-000000000000", n) }

// fleet is eight devices, each with something to tell.
func fleet() []device {
	healthy := func(n int, name, owner, platform, version string) device {
		return device{
			id: deviceID(n), name: name, owner: owner, platform: platform, version: version, compliance: "compliant",
			encrypted: "yes", jailbroken: "no", risk: "low", lifecycle: "active", seen: 20 * time.Minute,
		}
	}
	f := []device{
		healthy(1, "ALICE-LAPTOP", "alice", "windows", "10.0.26100.2033"),
		healthy(2, "BOB-LAPTOP", "bob", "windows", "10.0.22631.4460"),
		healthy(3, "CAROL-LAPTOP", "carol", "windows", "10.0.19045.3930"),
		healthy(4, "DAVE-PHONE", "dave", "ios", "17.6"),
		healthy(5, "ERIN-MACBOOK", "erin", "macos", "13.6"),
		healthy(6, "FRANK-LAPTOP", "frank", "windows", "10.0.26100.2033"),
		healthy(7, "GRACE-TABLET", "grace", "android", "15"),
		healthy(8, "HEIDI-LAPTOP", "heidi", "windows", "10.0.26100.2033"),
	}
	f[1].compliance, f[1].grace = "in_grace", 3*24*time.Hour
	f[2].compliance, f[2].encrypted = "noncompliant", "no"
	f[3].jailbroken = "yes"
	f[5].risk = "high"
	f[6].seen = 40 * 24 * time.Hour
	f[7].lifecycle = "retiring"
	return f
}

// people are the owners of the fleet, alice after a stronger sign-in, and
// somebody on a device that no source knows.
func people() []person {
	var all []person
	for _, d := range fleet() {
		all = append(all, person{file: d.owner, name: d.owner, device: d.id})
	}
	return append(all,
		person{file: "alice-mfa", name: "alice", device: deviceID(1), mfa: true},
		person{file: "mallory", name: "mallory", device: deviceID(666)})
}

func devicesCSV(now time.Time) string {
	var b strings.Builder
	b.WriteString("entra_id,name,owner_upn,platform,os_version,compliance,grace_until,managed,encrypted,jailbroken,risk,lifecycle,last_check_in\n")
	for _, d := range fleet() {
		grace := ""
		if d.grace > 0 {
			grace = now.Add(d.grace).UTC().Format(time.RFC3339)
		}
		fmt.Fprintf(&b, "%s,%s,%s@corp.example,%s,%s,%s,%s,yes,%s,%s,%s,%s,%s\n",
			d.id, d.name, d.owner, d.platform, d.version, d.compliance, grace, d.encrypted, d.jailbroken, d.risk, d.lifecycle,
			now.Add(-d.seen).UTC().Format(time.RFC3339))
	}
	return b.String()
}

// The patch scanner's export is patchScanLate old and counts as good for
// patchScanMaxAge: five minutes past that, the policy `vault` wants facts of the
// last minute.
const (
	patchScanLate   = 15 * time.Minute
	patchScanMaxAge = "10m"
)

func patchScanCSV() string {
	var b strings.Builder
	b.WriteString("entra_id,updated\n")
	for _, d := range fleet() {
		fmt.Fprintf(&b, "%s,yes\n", d.id)
	}
	return b.String()
}
