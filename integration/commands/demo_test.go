package commands

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// TestDemo runs every printed command as it stands and checks what the text
// promises.
func TestDemo(t *testing.T) {
	tmp := filepath.Join(t.TempDir(), "it's a dir") // paths must be quoted
	err := os.Mkdir(tmp, 0o700)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	cmd := exec.Command(rig.Binary(t), "demo")
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "HOME="+tmp)
	demo := rig.StartWalkthrough(t, cmd)
	took := time.Since(start)
	t.Logf("from exec to the first decision and the text: %s", took.Round(time.Millisecond))
	if took > 5*time.Minute { // against hanging; the figure itself is for people
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
	for _, s := range demo.Scenes {
		t.Run(s.About, func(t *testing.T) {
			outcome, _ := s.Run(t)
			seen[outcome] = true
		})
	}
	for _, outcome := range []string{"allow", "step_up", "block", "authenticate", "undecided"} {
		if !seen[outcome] {
			t.Errorf("the demo does not show %s", outcome)
		}
	}
	out, errs := demo.End()
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
