package examples

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// inRoot runs the binary in the repository's root, with a home of its own.
func inRoot(t *testing.T, args ...string) (string, error) {
	t.Helper()
	home := t.TempDir()
	cmd := exec.Command(rig.Binary(t), args...)
	cmd.Dir = rig.Root()
	cmd.Env = append(os.Environ(), "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

func example(t *testing.T) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(rig.Root(), "Caddyfile.example"))
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

func TestCaddyfileExampleLoads(t *testing.T) {
	out, err := inRoot(t, "validate", "--config", "Caddyfile.example", "--adapter", "caddyfile")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err = inRoot(t, "lint", "--config", "Caddyfile.example", "--strict")
	if err != nil {
		t.Errorf("lint: %v\n%s", err, out)
	}
	out, err = inRoot(t, "fmt", "Caddyfile.example")
	if err == nil && out != example(t) {
		t.Error("Caddyfile.example is not formatted: gatehouse fmt")
	}
}

// commented are the lines that cannot stand in a committed file: dates, secrets
// and places of one's own.
var commented = regexp.MustCompile(`(?m)^(\t+)# ((?:report_only|exempt|operator_token|state|pages|guards|allow_any_eku|intune_tenant)(?: .*)?)$`)

// TestCaddyfileExampleComments loads the lines that are comments, too, with dates
// and paths that exist here.
func TestCaddyfileExampleComments(t *testing.T) {
	dir := t.TempDir()
	token := filepath.Join(dir, "operator")
	err := os.WriteFile(token, []byte("0123456789abcdef0123"), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	src := example(t)
	if n := len(commented.FindAllString(src, -1)); n != 9 {
		t.Fatalf("%d commented lines, want 9", n)
	}
	src = commented.ReplaceAllStringFunc(src, func(line string) string {
		if strings.Contains(line, "# pages") {
			return line // templates are tested with the pages
		}
		return commented.ReplaceAllString(line, "$1$2")
	})
	src = regexp.MustCompile(`\d{4}-\d\d-\d\d`).ReplaceAllString(src, time.Now().UTC().AddDate(0, 0, 30).Format(time.DateOnly))
	src = strings.ReplaceAll(src, "/run/secrets/gatehouse-operator", token)
	src = strings.ReplaceAll(src, "/var/lib/gatehouse", filepath.Join(dir, "state"))
	file := filepath.Join(dir, "Caddyfile")
	err = os.WriteFile(file, []byte(src), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	out, err := inRoot(t, "validate", "--config", file, "--adapter", "caddyfile")
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestNoSecretsInExamples: keys and tokens are made by examples/generate, never
// committed.
func TestNoSecretsInExamples(t *testing.T) {
	secret := regexp.MustCompile(`-----BEGIN [A-Z ]*PRIVATE KEY|"d"\s*:|eyJ[A-Za-z0-9_-]{20,}\.`)
	err := filepath.WalkDir(filepath.Join(rig.Root(), "examples"), func(path string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if d.Name() == "data" { // what generate made here; ignored by git
				return filepath.SkipDir
			}
			return nil
		}
		raw, err := os.ReadFile(path)
		if m := secret.Find(raw); m != nil {
			t.Errorf("%s holds a secret: %.30s", path, m)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
