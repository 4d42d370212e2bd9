package examples

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-project/gatehouse/integration/rig"
)

// command is one line of a README's console block and the output it promises.
type command struct{ line, want string }

// commands returns the commands of every console block in a text.
func commands(readme string) []command {
	var all []command
	inside := false
	for line := range strings.Lines(readme) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case !inside:
		case strings.HasPrefix(line, "$ "):
			all = append(all, command{line: line[2:]})
		case len(all) > 0:
			all[len(all)-1].want += line + "\n"
		}
	}
	return all
}

// matches compares output with a promise, in which ... stands for anything.
func matches(got, want string) bool {
	var p strings.Builder
	for i, part := range strings.Split(strings.TrimSpace(want), "...") {
		if i > 0 {
			p.WriteString(`(?s:.*)`)
		}
		p.WriteString(regexp.QuoteMeta(part))
	}
	return regexp.MustCompile(`\A` + p.String() + `\z`).MatchString(strings.TrimSpace(got))
}

func TestExamples(t *testing.T) {
	dirs, err := filepath.Glob(filepath.Join(rig.Root(), "examples", "*", "Caddyfile"))
	if err != nil || len(dirs) < 4 {
		t.Fatalf("examples: %v, %v", dirs, err)
	}
	generate := filepath.Join(t.TempDir(), "generate")
	out, err := exec.Command("go", "build", "-o", generate, filepath.Join(rig.Root(), "examples", "generate")).CombinedOutput()
	if err != nil {
		t.Fatalf("building generate: %v\n%s", err, out)
	}
	for _, file := range dirs {
		from := filepath.Dir(file)
		if filepath.Base(from) == "microsoft" {
			continue // a program of its own: TestMicrosoft
		}
		t.Run(filepath.Base(from), func(t *testing.T) { runExample(t, from, generate) })
	}
}

// runExample works in a copy, with ports of its own.
func runExample(t *testing.T, from, generate string) {
	dir := t.TempDir()
	ports := strings.NewReplacer(
		":9080", fmt.Sprintf(":%d", rig.FreePort(t)), ":9443", fmt.Sprintf(":%d", rig.FreePort(t)),
		":2019", fmt.Sprintf(":%d", rig.FreePort(t)), ":9081", fmt.Sprintf(":%d", rig.FreePort(t)),
	)
	read := func(name string) string {
		raw, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(raw)
	}
	caddyfile := ports.Replace(read("Caddyfile"))
	err := os.WriteFile(filepath.Join(dir, "Caddyfile"), []byte(caddyfile), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	var asked int
	for _, c := range commands(read("README.md")) {
		switch {
		case c.line == "go run ../generate data":
			sh(t, dir, generate+" data")
		case strings.HasPrefix(c.line, "go run ../../cmd/gatehouse run"):
			start(t, dir, strings.Fields(c.line)[3:], ports.Replace("http://127.0.0.1:2019/compliance/status"))
		case strings.HasPrefix(c.line, "curl "), strings.HasPrefix(c.line, "touch "), strings.HasPrefix(c.line, "sleep "),
			strings.HasPrefix(c.line, "go run ../../cmd/gatehouse "):
			if strings.HasPrefix(c.line, "curl ") {
				asked++
			}
			got := sh(t, dir, ports.Replace(strings.Replace(c.line, "go run ../../cmd/gatehouse", rig.Binary(t), 1)))
			if !matches(got, c.want) {
				t.Errorf("%s\ngot:\n%s\nwant:\n%s", c.line, got, c.want)
			}
		default:
			t.Errorf("README has a command that nothing runs: %s", c.line)
		}
	}
	if asked < 2 {
		t.Errorf("README shows %d curl commands, want at least 2", asked)
	}
}

func sh(t *testing.T, dir, line string) string {
	t.Helper()
	cmd := exec.Command("sh", "-c", line)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", line, err, out)
	}
	return string(out)
}

// start runs the gateway in dir until the test ends.
func start(t *testing.T, dir string, args []string, status string) {
	t.Helper()
	log, err := os.Create(filepath.Join(dir, "gateway.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(rig.Binary(t), args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)
	cmd.Stdout, cmd.Stderr = log, log
	err = cmd.Start()
	if err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(exited)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		select {
		case <-exited:
		case <-time.After(time.Minute):
			_ = cmd.Process.Kill()
			<-exited
		}
		_ = log.Close()
	})
	rig.Eventually(t, time.Minute, "the gateway answers", func() bool {
		select {
		case <-exited:
			raw, _ := os.ReadFile(log.Name())
			t.Fatalf("the gateway ended:\n%s", raw)
		default:
		}
		resp, err := http.Get(status)
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
}
