package commands

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// scene is one printed command and what the line above it promises.
type scene struct{ want, about, command string }

// startDemo starts `demo` and reads its text. The process ends with the test.
func startDemo(t *testing.T, tmp string) (scenes []scene, end func() (stdout, stderr string)) {
	t.Helper()
	cmd := exec.Command(rig.Binary(t), "demo")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "HOME="+tmp)
	var errs strings.Builder
	cmd.Stderr = &errs
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	timer := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	lines := bufio.NewScanner(pipe)
	var last scene
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "# Every command") {
			break
		}
		if text, ok := strings.CutPrefix(line, "# "); ok {
			last.want, last.about, _ = strings.Cut(text, ": ")
		} else if line != "" {
			last.command = line
			scenes = append(scenes, last)
		}
	}
	timer.Stop()
	if len(scenes) == 0 {
		_ = cmd.Wait()
		t.Fatalf("demo printed no commands: %s", errs.String())
	}
	ended := false
	end = func() (string, string) {
		if ended {
			return "", ""
		}
		ended = true
		_ = cmd.Process.Signal(syscall.SIGINT)
		hard := time.AfterFunc(15*time.Second, func() { _ = cmd.Process.Kill() })
		defer hard.Stop()
		var rest strings.Builder
		for lines.Scan() {
			rest.WriteString(lines.Text() + "\n")
		}
		err := cmd.Wait()
		if err != nil {
			t.Errorf("demo ended with %v", err)
		}
		return rest.String(), errs.String()
	}
	t.Cleanup(func() { end() })
	return scenes, end
}

// TestDemo runs every printed command as it stands and checks what the text
// promises.
func TestDemo(t *testing.T) {
	tmp := filepath.Join(t.TempDir(), "it's a dir") // paths must be quoted
	err := os.Mkdir(tmp, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	scenes, end := startDemo(t, tmp)
	took := time.Since(start)
	t.Logf("from exec to the first decision and the text: %s", took.Round(time.Millisecond))
	if took > time.Minute { // against hanging; the figure itself is for people
		t.Errorf("demo took %s", took)
	}
	dirs, _ := filepath.Glob(filepath.Join(tmp, "gatehouse-demo-*"))
	if len(dirs) != 1 {
		t.Fatalf("directories %q, want one", dirs)
	}
	info, err := os.Stat(dirs[0])
	if err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("mode %v, %v; want 0700: tokens are in there", info.Mode(), err)
	}
	seen := map[string]bool{}
	for _, s := range scenes {
		t.Run(s.about, func(t *testing.T) {
			kind, rest, _ := strings.Cut(s.want, " ")
			seen[rest] = true
			r := execute(t, t.TempDir(), "", "sh", "-c", s.command)
			if kind == "exit" {
				if strconv.Itoa(r.status) != rest || r.out == "" {
					t.Errorf("exit status %d, want %s: %s%s", r.status, rest, r.out, r.errors)
				}
				return
			}
			lines := strings.Split(strings.TrimSpace(r.out), "\n")
			if got := lines[len(lines)-1]; got != kind {
				t.Errorf("status %q, want %q: %s%s", got, kind, r.out, r.errors)
			}
			if rest != "" && rest != "allow" && !strings.Contains(r.out, `"outcome":"`+rest+`"`) {
				t.Errorf("outcome is not %s: %s", rest, r.out)
			}
			if r.errors != "" {
				t.Errorf("unexpected on standard error: %s", r.errors)
			}
		})
	}
	for _, outcome := range []string{"allow", "step_up", "block", "authenticate", "undecided"} {
		if !seen[outcome] {
			t.Errorf("the demo does not show %s", outcome)
		}
	}
	out, errs := end()
	if !strings.Contains(out, "Stopped; removed") || errs != "" {
		t.Errorf("the end: %q, %q", out, errs)
	}
	if left, _ := filepath.Glob(filepath.Join(tmp, "gatehouse-*")); len(left) != 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestDemoPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	busy := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	r := run(t, t.TempDir(), "", "demo", "--port", busy)
	r.expect(t, 1, "port "+busy, "choose another one with --port")
	run(t, t.TempDir(), "", "demo", "extra").expect(t, 1, "extra")
}
