package examples

import (
	"encoding/json"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// microsoft builds the example and returns a command that runs it with the gateway
// under test and a temporary directory of its own.
func microsoft(t *testing.T, tmp string) *exec.Cmd {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "microsoft")
	build := exec.Command("go", "build", "-o", binary, "./examples/microsoft")
	build.Dir = rig.Root()
	out, err := build.CombinedOutput()
	if err != nil {
		t.Fatalf("building the example: %v\n%s", err, out)
	}
	cmd := exec.Command(binary, "--gateway", rig.Binary(t))
	cmd.Dir = rig.Root()
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp)
	return cmd
}

// leftovers are the directories of examples in tmp.
func leftovers(tmp string) []string {
	left, _ := filepath.Glob(filepath.Join(tmp, "gatehouse-microsoft-*"))
	return left
}

// TestMicrosoft runs every command that the example prints, as it stands and in
// order, and compares what the text promises.
func TestMicrosoft(t *testing.T) {
	tmp := filepath.Join(t.TempDir(), "it's a dir") // paths must be quoted
	err := os.Mkdir(tmp, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	w := rig.StartWalkthrough(t, microsoft(t, tmp))
	dirs := leftovers(tmp)
	if len(dirs) != 1 {
		t.Fatalf("directories %q, want one", dirs)
	}
	info, err := os.Stat(dirs[0])
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v; want 0700: tokens are in there", info.Mode(), err)
	}
	// What must be in the answer besides.
	inside := map[string][]string{
		"noncompliant: every reason, and how to fix it": {"StorageRequireEncryption", "OsMinimumVersion", "remediation"},
		"in its grace period: allowed, with a warning":  {"(in_grace)"},
		"its user is at high risk":                      {"user_risk_too_high"},
		"Defender says high risk":                       {`"risk_too_high"`},
		"a device that no service knows":                {"device_unknown"},
		"which source says what":                        {"configmgr  has it"},
		"updates are missing":                           {"not_updated", "KB5046617"},
		"mended":                                        {`"source":"intune","result":"refreshed"`},
		"Intune answers 503":                            {"intune", "503"},
		"all devices in a grace period":                 {"lt-grace-far"},
		"metrics":                                       {`gatehouse_microsoft_requests_total{endpoint="nac_device"`, `gatehouse_source_state{source="configmgr"} 0`},
		"what the gateway asked":                        {"cm/SMS_R_System", "nac/devices"},
		"what Microsoft would have refused":             {"null"},
		"ways around the gateway":                       {"0 errors, 0 warnings, 0 notes"},
		"what differs":                                  {"> \t\t\tendpoint graph https://127.0.0.1:"},
	}
	seen := map[string]bool{}
	for _, s := range w.Scenes {
		t.Run(s.About, func(t *testing.T) {
			promised, out := s.Run(t)
			seen[promised] = true
			for about, parts := range inside {
				if !strings.HasPrefix(s.About, about) {
					continue
				}
				delete(inside, about)
				for _, part := range parts {
					if !strings.Contains(out, part) {
						t.Errorf("%q is not in: %s", part, out)
					}
				}
			}
		})
	}
	for about := range inside {
		t.Errorf("no command is about %q", about)
	}
	for _, outcome := range []string{"allow", "block", "authenticate"} {
		if !seen[outcome] {
			t.Errorf("the example does not show %s", outcome)
		}
	}
	// The page promises this very program and some of its lines.
	all := commands(page(t, "examples/microsoft/README.md"))
	if len(all) != 1 || all[0].line != "go run ./examples/microsoft" {
		t.Fatalf("the page has the commands %v", all)
	}
	printed := "# " + strings.Join(w.Head, "\n# ")
	for _, s := range w.Scenes {
		printed += "\n# " + s.Want + ": " + s.About + "\n" + s.Command
	}
	if !matches(printed, all[0].want+"...") {
		t.Errorf("got:\n%s\nwant:\n%s", printed, all[0].want)
	}
	loopbackOnly(t, admin(t, w))
	out, errs := w.End()
	if !strings.Contains(out, "Stopped; removed") || errs != "" {
		t.Errorf("the end: %q, %q", out, errs)
	}
	if left := leftovers(tmp); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

// admin is the address of Caddy's admin endpoint, as the text names it.
func admin(t *testing.T, w *rig.Walkthrough) string {
	t.Helper()
	m := regexp.MustCompile(`http://(127\.0\.0\.1:\d+)/metrics`).FindStringSubmatch(strings.Join(w.Head, "\n"))
	if m == nil {
		t.Fatalf("the text names no admin endpoint: %q", w.Head)
	}
	return m[1]
}

// loopbackOnly: no site of the example listens on another address.
func loopbackOnly(t *testing.T, admin string) {
	t.Helper()
	resp, err := http.Get("http://" + admin + "/config/apps/http/servers")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var servers map[string]struct{ Listen []string }
	err = json.NewDecoder(resp.Body).Decode(&servers)
	if err != nil || len(servers) != 2 {
		t.Fatalf("%d servers, want 2: %v", len(servers), err)
	}
	for _, s := range servers {
		for _, l := range s.Listen {
			if !strings.HasPrefix(l, "127.0.0.1:") {
				t.Errorf("it listens on %s", l)
			}
		}
	}
}

// TestMicrosoftProduction: the Caddyfile that people copy is valid as it stands, but
// for the authority's file, and has no way around the gateway.
func TestMicrosoftProduction(t *testing.T) {
	src := page(t, "examples/microsoft/Caddyfile")
	file := filepath.Join(t.TempDir(), "Caddyfile")
	ca := filepath.Join(rig.Root(), "examples/files/device-ca.pem")
	err := os.WriteFile(file, []byte(strings.ReplaceAll(src, "/etc/gatehouse/device-ca.pem", ca)), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"TENANT_ID", "APP_ID", "CLIENT_ID"} {
		t.Setenv(name, "3f2504e0-4f89-41d3-9a0c-0305e82c3301")
	}
	out, err := inRoot(t, "validate", "--config", file, "--adapter", "caddyfile")
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = inRoot(t, "lint", "--config", file, "--strict")
	if err != nil {
		t.Errorf("lint: %v\n%s", err, out)
	}
	out, err = inRoot(t, "fmt", filepath.Join(rig.Root(), "examples/microsoft/Caddyfile"))
	if err != nil || out != src {
		t.Errorf("it is not formatted: gatehouse fmt: %v", err)
	}
}

// listening reports whether somebody listens on an address.
func listening(addr string) bool {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return false
	}
	_ = c.Close()
	return true
}

// TestMicrosoftEndsWithItsParent: `go run` may be killed without passing that on, and
// so may the example itself.
func TestMicrosoftEndsWithItsParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("a killed parent takes its children along on Linux alone")
	}
	tests := map[string]struct {
		kill string // what the shell kills: itself or the example
		tidy bool   // the example still tidies up
	}{
		"parent":  {"$$", true},
		"example": {"$child", false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			tmp := t.TempDir()
			example := microsoft(t, tmp)
			shell := exec.Command("sh", "-c", `"$@" & child=$!; read -r go; kill -KILL `+tc.kill+`; wait`, "sh")
			shell.Args = append(shell.Args, example.Args...)
			shell.Dir, shell.Env = example.Dir, example.Env
			shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			kill, err := shell.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			w := rig.StartWalkthrough(t, shell)
			t.Cleanup(func() { _ = syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }) // whatever happened
			address := admin(t, w)
			_, _ = kill.Write([]byte("go\n"))
			rig.Eventually(t, time.Minute, "the gateway has ended", func() bool { return !listening(address) })
			if tc.tidy {
				rig.Eventually(t, time.Minute, "its directory is gone", func() bool { return len(leftovers(tmp)) == 0 })
			}
			w.Drain()
		})
	}
}
