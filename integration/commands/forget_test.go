package commands

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestForget: what a file does not say any more is shown, with the command that lets
// it go.
func TestForget(t *testing.T) {
	s := newStand(t, 0)
	dir := t.TempDir()
	ask := func(args ...string) result { return run(t, dir, "", append(args, s.address()...)...) }
	raw, err := os.ReadFile(s.inventory)
	if err != nil {
		t.Fatal(err)
	}
	odd := strings.Replace(string(raw), `"noncompliant"`, `"complaint"`, 1)
	err = os.WriteFile(s.inventory+".new", []byte(odd), 0o600)
	if err == nil {
		err = os.Rename(s.inventory+".new", s.inventory)
	}
	if err != nil {
		t.Fatal(err)
	}
	const hint = "take it back with `devices forget entra:" + badID + "`"
	rig.Eventually(t, time.Minute, "the word is kept", func() bool { return contains(ask("devices", badID).out, hint) })
	ask("devices", badID).expect(t, 0, "does not say it any more:\n  inventory: compliance\n", "compliance  noncompliant")
	ask("status").expect(t, 0, "devices ID shows it, devices forget ID takes it back")

	token := filepath.Join(dir, "token")
	err = os.WriteFile(token, []byte(operatorToken+"\n"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	forget := func(args ...string) result {
		return ask(append([]string{"devices", "forget", "--operator-token-file", token}, args...)...)
	}
	ask("devices", "forget").expect(t, 1, "the id of the device is missing; usage: gatehouse devices forget ID")
	ask("devices", "forget", badID).expect(t, 1, "this loosens: name the file with the operator token")
	ask("devices", "forget", badID, goodID).expect(t, 1, `unexpected "`+goodID)
	forget("").expect(t, 1, "the id of the device is empty")
	forget("what?").expect(t, 1, "is not a device id; write kind:value")
	forget("serial:NOPE").expect(t, 1, "no source has the device serial:NOPE")
	forget(badID, "--source", "nope").expect(t, 1, `no source "nope"`)
	forget(goodID).expect(t, 0, "nothing to forget: all that counts about this device, the sources say themselves")
	forget(badID, "--source", "inventory", "--reason", "ticket 4711").expect(t, 0, "forgotten at inventory: compliance\n", "devices ID shows it")
	if r := ask("devices", badID); contains(r.out, "noncompliant") || contains(r.out, "forget") {
		t.Errorf("after it:\n%s", r.out)
	}
	forget(badID, "--json").expect(t, 0, `"source": "inventory"`, `"facts": []`)
	run(t, dir, "", "compliance", "devices", "forget", "--help").expect(t, 0, "gatehouse compliance devices forget ID", "operator token")
	run(t, dir, "", "devices", "--help").expect(t, 0, "\n  forget ", "--refresh")
	if contains(s.Log(), operatorToken) {
		t.Error("the operator token is in the log")
	}
	if !contains(s.Log(), `"reason":"ticket 4711"`) || !contains(s.Log(), `"owner":"tester"`) {
		t.Error("the log does not say who forgot, and why")
	}
}

// TestForgetWithoutGateway: nothing is said to be forgotten.
func TestForgetWithoutGateway(t *testing.T) {
	r := run(t, t.TempDir(), operatorToken, "devices", "forget", badID, "--operator-token-file", "-", "--address", "127.0.0.1:1")
	r.expect(t, 1, "no gateway answers at 127.0.0.1:1: is it running?")
	if r.out != "" {
		t.Errorf("it prints %q", r.out)
	}
}
