package commands

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

func TestOperate(t *testing.T) {
	s := newStand(t, 0)
	dir := t.TempDir()
	ask := func(args ...string) result { return run(t, dir, "", append(args, s.address()...)...) }
	id := s.refused(t)

	t.Run("status", func(t *testing.T) {
		ask("status").expect(t, 0, "ready; 0 revocations", "SOURCE", "inventory  ok", "POLICY", "standard", "enforced")
		ask("status", "--json").expect(t, 0, `"ready": true`)
		run(t, dir, "", "status", "--config", s.config()).expect(t, 0, "ready;")
		run(t, dir, "", "compliance", "status", "--address", s.Admin).expect(t, 0, "ready;")
	})
	t.Run("status of odd values", func(t *testing.T) {
		raw, err := os.ReadFile(s.inventory)
		if err != nil {
			t.Fatal(err)
		}
		odd := strings.Replace(string(raw), `"noncompliant"`, `"complaint"`, 1)
		if odd == string(raw) {
			t.Fatal("nothing to replace")
		}
		write := func(content string) {
			err := os.WriteFile(s.inventory+".new", []byte(content), 0o600)
			if err == nil {
				err = os.Rename(s.inventory+".new", s.inventory)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		const want = "source inventory has values that count as unknown: compliance 1 (unknown value)"
		write(odd)
		rig.Eventually(t, time.Minute, "status says so", func() bool { return contains(ask("status").out, want) })
		write(string(raw))
		rig.Eventually(t, time.Minute, "status says so no more", func() bool { return !contains(ask("status").out, want) })
	})
	t.Run("devices", func(t *testing.T) {
		all := ask("devices")
		all.expect(t, 0, "DEVICE", "entra:"+goodID+"  LAPTOP-GOOD", "2 shown; the sources have 2 records")
		if contains(all.out, "\a") {
			t.Errorf("a control character of a device's name reaches the terminal: %q", all.out)
		}
		one := ask("devices", "--compliance", "noncompliant")
		one.expect(t, 0, badID, "1 shown")
		ask("devices", badID).expect(t, 0, "LAPTOP-BAD", "compliance  noncompliant", "encrypted   no", "inventory  has it")
		ask("devices", "entra:"+badID, "--json").expect(t, 0, `"encrypted": "no"`)
		ask("devices", badID, "--refresh").expect(t, 0, "LAPTOP-BAD")
		ask("devices", "serial:NOPE").expect(t, 1, "no source has the device serial:NOPE")
		ask("devices", "what?").expect(t, 1, "is not a device id; write kind:value")
		ask("devices", "--refresh").expect(t, 1, "--refresh needs the id of one device")
		ask("devices", "--compliance", "bad").expect(t, 1, `there is no compliance "bad"`)
		ask("devices", "--limit", "0").expect(t, 1, "limit is a number from 1 to 10000")
	})
	t.Run("decisions", func(t *testing.T) {
		ask("decisions").expect(t, 0, "OUTCOME", "block", "standard", "noncompliant not_encrypted", id)
		ask("decisions", "--outcome", "allow").expect(t, 0, "no such decision is remembered")
		ask("decisions", "--outcome", "denied").expect(t, 1, `there is no outcome "denied"; write one of [allow step_up undecided authenticate block]`)
		ask("decisions", "--policy", "standard", "--json").expect(t, 0, id)
	})
	t.Run("revoke and release", func(t *testing.T) {
		ask("revoke", "--device", goodID).expect(t, 1, `say why: --reason`)
		ask("revoke", "--reason", "x").expect(t, 1, "give exactly one of --device, --user and --certificate")
		ask("revoke", "--reason", "x", "--user", "a", "--device", goodID).expect(t, 1, "give exactly one")
		ask("revoke", "--reason", "x", "--user", "a", "--for", "soon").expect(t, 1, `--for "soon" is not a duration`)
		ask("revoke", "--reason", "x", "--certificate", "zz").expect(t, 1, "certificate")
		r := ask("revoke", "--device", goodID, "--reason", "stolen")
		r.expect(t, 0, "until it is released")
		ask("revoke", "--user", "mallory", "--reason", "leaver", "--for", "2h").expect(t, 0, "revoked user mallory, until 2")
		entry := regexp.MustCompile(`(?m)^id ([0-9a-f]+)$`).FindStringSubmatch(r.out)
		if entry == nil {
			t.Fatalf("no id: %s", r.out)
		}
		ask("devices", goodID).expect(t, 0, "revoked", entry[1])

		token := filepath.Join(dir, "token")
		write := func(content string) {
			err := os.WriteFile(token, []byte(content), 0o600)
			if err != nil {
				t.Fatal(err)
			}
		}
		ask("release").expect(t, 1, "the id of the revocation is missing")
		ask("release", entry[1]).expect(t, 1, "this loosens: name the file with the operator token")
		write("two words\n")
		ask("release", entry[1], "--operator-token-file", token).expect(t, 1, "the file must hold the token and nothing else")
		write("wrong\n")
		ask("release", entry[1], "--operator-token-file", token).expect(t, 1, "send the operator token")
		write(operatorToken + "\n")
		ask("release", entry[1], "--operator-token-file", token).expect(t, 0, "released "+entry[1])
		ask("release", entry[1], "--operator-token-file", token).expect(t, 1, "no revocation")
		if contains(s.Log(), operatorToken) {
			t.Error("the operator token is in the log")
		}
	})
}

func TestAccept(t *testing.T) {
	s := newStand(t, 60)
	dir := t.TempDir()
	ask := func(args ...string) result { return run(t, dir, operatorToken, append(args, s.address()...)...) }
	writeDevices(t, s.inventory, "compliant", 60) // half the fleet turns good at once: an accident?
	held := regexp.MustCompile("accept it with `accept inventory ([^`]+)`")
	var id []string
	rig.Eventually(t, time.Minute, "the guard holds the change", func() bool {
		id = held.FindStringSubmatch(ask("status").out)
		return id != nil
	})
	ask("accept", "inventory").expect(t, 1, "the id of the held change is missing")
	ask("accept", "nope", id[1], "--operator-token-file", "-").expect(t, 1, `no source "nope"`)
	ask("accept", "inventory", "other", "--operator-token-file", "-").expect(t, 1, "accept:")
	ask("devices", "--compliance", "compliant").expect(t, 0, "1 shown")
	ask("accept", "inventory", id[1], "--operator-token-file", "-").expect(t, 0, "accepted; source inventory now has 62 devices")
	ask("devices", "--compliance", "compliant").expect(t, 0, "61 shown")
}

func TestNoGateway(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{
		{"status"},
		{"devices"},
		{"decisions"},
		{"explain", "abc"},
		{"explain", "--policy", "p"},
		{"revoke", "--user", "a", "--reason", "b"},
	} {
		r := run(t, dir, "", append(args, "--address", "127.0.0.1:1")...)
		r.expect(t, 1, "no gateway answers at 127.0.0.1:1: is it running?")
		if r.out != "" {
			t.Errorf("%v prints %q", args, r.out)
		}
	}
}
