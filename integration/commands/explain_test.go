package commands

import (
	"encoding/json"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

func TestExplainOffline(t *testing.T) {
	s := newStand(t, 0) // it runs meanwhile, on the same configuration
	// The gateway writes its first snapshot, and the number beside it, right after
	// the start: wait until they are in place.
	rig.Eventually(t, time.Minute, "the first snapshot is written", func() bool {
		names, _ := filepath.Glob(filepath.Join(s.Dir, "state", "source-inventory.snapshot*"))
		return len(names) == 2 && strings.HasSuffix(names[0], ".snapshot") && strings.HasSuffix(names[1], ".seq")
	})
	before, lines := files(t, filepath.Join(s.Dir, "state")), strings.Count(s.Log(), `"logger":"compliance`)
	dir := t.TempDir()
	who := func(name, content string) string {
		path := filepath.Join(dir, name)
		err := os.WriteFile(path, []byte(content), 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
	alice := who("alice.json", `{"user":{"name":"alice","groups":["finance"]},"device":{"keys":{"entra":"`+goodID+`"}}}`)
	tests := []struct {
		name   string
		stdin  string
		args   []string
		status int
		want   []string
	}{
		{"allow", "", []string{"--policy", "standard", "--identity", alice}, 0, []string{"policy standard", ": allow", "compliance  compliant", "inventory"}},
		{"a flag replaces the device", "", []string{"--policy", "standard", "--identity", alice, "--device", badID}, 3, []string{": block", "noncompliant", "not_encrypted", "Caddyfile:"}},
		{"only a user", `{"user":{"name":"bob"}}`, []string{"--policy", "standard", "--identity", "-"}, 3, []string{": block", "device_unidentified"}},
		{"nobody", "", []string{"--policy", "standard"}, 3, []string{": authenticate", "sign_in_required"}},
		{"user and device by flags", "", []string{"--policy", "finance", "--user", "bob", "--device", "entra:" + goodID, "--proof", "certificate"}, 3, []string{"group_missing"}},
		{"JSON", "", []string{"--policy", "finance", "--identity", alice, "--json"}, 0, []string{`"outcome": "allow"`, `"requirements": [`}},
		{"unknown policy", "", []string{"--policy", "nope"}, 1, []string{`unknown policy "nope"; known: finance, standard`}},
		{"no policy", "", nil, 1, []string{"which policy? --policy NAME"}},
		{"bad device", "", []string{"--policy", "standard", "--device", "entra:x"}, 1, []string{`"entra:x" is not a device id; write kind:value`}},
		{"proof without device", "", []string{"--policy", "standard", "--proof", "token"}, 1, []string{"--proof without a device"}},
		{"bad proof", "", []string{"--policy", "standard", "--identity", alice, "--proof", "magic"}, 1, []string{`unknown proof "magic"`}},
		{"unknown member", `{"usr":{}}`, []string{"--policy", "standard", "--identity", "-"}, 1, []string{`unknown field "usr"`}},
		{"no such file", "", []string{"--policy", "standard", "--identity", filepath.Join(dir, "none")}, 1, []string{"no such file"}},
		{"identity and batch", "", []string{"--batch", "-", "--identity", alice}, 1, []string{"give --identity or --batch, not both"}},
	}
	for _, tc := range tests {
		t.Run(tc.name, func(t *testing.T) {
			args := append([]string{"explain", "--config", s.config()}, tc.args...)
			run(t, dir, tc.stdin, args...).expect(t, tc.status, tc.want...)
		})
	}
	t.Run("as a subcommand", func(t *testing.T) {
		run(t, dir, "", "compliance", "explain", "--config", s.config(), "--policy", "standard", "--identity", alice).expect(t, 0, ": allow")
	})
	t.Run("batch", func(t *testing.T) {
		in := `[{"policy":"standard","user":{"name":"a"},"device":{"keys":{"entra":"` + goodID + `"}}},{"policy":"nope"},{"policy":"standard"}]`
		r := run(t, dir, in, "explain", "--config", s.config(), "--batch", "-")
		var answers []struct{ Outcome, Error string }
		err := json.Unmarshal([]byte(r.out), &answers)
		if err != nil || len(answers) != 3 {
			t.Fatalf("%v: %s", err, r.out)
		}
		if r.status != 1 || answers[0].Outcome != "allow" || answers[1].Error == "" || answers[2].Outcome != "authenticate" {
			t.Errorf("status %d, answers %+v", r.status, answers)
		}
	})
	if got := files(t, filepath.Join(s.Dir, "state")); !maps.Equal(got, before) {
		t.Errorf("the state of the running gateway changed:\n%v\nbefore:\n%v", got, before)
	}
	if got := strings.Count(s.Log(), `"logger":"compliance`); got != lines {
		t.Errorf("the running gateway noticed:\n%s", s.Log())
	}
}

// files maps the files below a directory to date and content.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		raw, err := os.ReadFile(path)
		all[path] = info.ModTime().String() + " " + string(raw)
		return err
	})
	if err != nil || len(all) == 0 {
		t.Fatalf("no state in %s: %v", dir, err)
	}
	return all
}

func TestExplainConfigurations(t *testing.T) {
	dir := t.TempDir()
	write := func(name, content string) {
		err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600)
		if err != nil {
			t.Fatal(err)
		}
	}
	write("plain.Caddyfile", "localhost {\n}\n")
	write("bad.Caddyfile", "{\n\tcompliance {\n\t\tbogus\n\t}\n}\n")
	write("broken.json", "{")
	write("missing.Caddyfile", "{\n\tcompliance {\n\t\tissuer corp https://idp.corp.example {\n\t\t\taudience a\n\t\t\tdevice_claim d entra\n\t\t}\n"+
		"\t\tsource inventory none.csv\n\t\tpolicy p {\n\t\t\trequire compliant\n\t\t}\n\t}\n}\n")
	for config, want := range map[string]string{
		"none":              "no such file",
		"plain.Caddyfile":   "it has no compliance app",
		"bad.Caddyfile":     `bad.Caddyfile:3`,
		"broken.json":       "is not JSON",
		"missing.Caddyfile": "source inventory",
	} {
		t.Run(config, func(t *testing.T) {
			run(t, dir, "", "explain", "--config", config, "--policy", "p").expect(t, 1, want)
		})
	}
	// A file that cannot be read as an inventory is refused like one that is missing.
	write("none.csv", "nonsense\n1\n")
	run(t, dir, "", "explain", "--config", "missing.Caddyfile", "--policy", "p", "--user", "u", "--device", goodID).
		expect(t, 1, "source inventory (missing.Caddyfile:7): none.csv: ", "header has no device id", "correct the file or its path")
	// What only a service knows is undecided offline, and the note says so.
	write("remote.Caddyfile", "{\n\tcompliance {\n\t\tissuer corp https://idp.corp.example {\n\t\t\taudience a\n\t\t\tdevice_claim d entra\n\t\t}\n"+
		"\t\tmicrosoft {\n\t\t\ttenant corp.example\n\t\t\tmanaged_identity\n\t\t}\n\t\tsource intune\n\t\tpolicy p {\n\t\t\trequire compliant\n\t\t}\n\t}\n}\n")
	r := run(t, dir, "", "explain", "--config", "remote.Caddyfile", "--policy", "p", "--user", "u", "--device", goodID)
	r.expect(t, 3, ": undecided")
	if want := "note: nothing is known offline from source intune (it is not a local file)"; !contains(r.errors, want) {
		t.Errorf("no note %q: %s", want, r.errors)
	}
}

func TestExplainOnline(t *testing.T) {
	s := newStand(t, 0)
	dir := t.TempDir()
	id := s.refused(t)
	ask := func(args ...string) result { return run(t, dir, "", append(args, s.address()...)...) }
	ask("explain", id).expect(t, 3, "decision "+id, ": block (enforce)", "GET 127.0.0.1/page", "alice@corp.example", "noncompliant", "not_encrypted")
	ask("explain", id, "--json").expect(t, 3, `"decision_id": "`+id+`"`, `"explanation": {`)
	ask("explain", "nope").expect(t, 1, `no decision "nope" is remembered`)
	ask("explain", id, "--policy", "standard").expect(t, 1, "--policy does not go with the id of a decision")
	ask("explain", "--policy", "standard", "--user", "alice", "--device", goodID).expect(t, 0, "policy standard", ": allow")
	ask("explain", "--policy", "standard", "--user", "alice", "--device", badID).expect(t, 3, ": block")
	ask("explain", "--policy", "nope").expect(t, 1, `unknown policy "nope"`)
	// The configuration names the admin endpoint as well.
	run(t, dir, "", "explain", id, "--config", s.config()).expect(t, 3, "decision "+id)
	// A revocation is known to the running gateway only.
	ask("revoke", "--device", goodID, "--reason", "test").expect(t, 0, "revoked device entra:"+goodID)
	ask("explain", "--policy", "standard", "--user", "alice", "--device", goodID).expect(t, 3, "revoked")
}
