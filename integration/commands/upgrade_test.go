package commands

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestNoUpgrade: Caddy's own upgrade would put a Caddy without any gate in place of
// the binary.
func TestNoUpgrade(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "gatehouse")
	raw, err := os.ReadFile(rig.Binary(t))
	if err == nil {
		err = os.WriteFile(binary, raw, 0o700)
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"upgrade"}, {"upgrade", "--keep-backup"}, {"add-package", "example.com/x"}, {"remove-package", "example.com/x"}} {
		cmd := exec.Command(binary, args...)
		cmd.Env = append(os.Environ(), "HTTPS_PROXY=http://127.0.0.1:1") // nothing may leave this machine
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "without Gatehouse") {
			t.Errorf("%v: %v: %s", args, err, out)
		}
	}
	out, err := exec.Command(binary, "help").CombinedOutput()
	if err != nil || strings.Contains(string(out), "upgrade") {
		t.Errorf("help speaks of upgrade (%v):\n%s", err, out)
	}
}
