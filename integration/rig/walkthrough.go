package rig

import (
	"bufio"
	"bytes"
	"errors"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Scene is one command that a program printed to paste, and what the line above it
// promises.
type Scene struct{ Want, About, Command string }

// Walkthrough is a running program that printed scenes.
type Walkthrough struct {
	Scenes []Scene
	// Head are the comment lines before the first scene.
	Head []string

	t      testing.TB
	cmd    *exec.Cmd
	lines  *bufio.Scanner
	errors *lockedBuffer
	ended  bool
}

// StartWalkthrough starts such a program and reads its text. It ends with the test.
func StartWalkthrough(t testing.TB, cmd *exec.Cmd) *Walkthrough {
	t.Helper()
	w := &Walkthrough{t: t, cmd: cmd, errors: &lockedBuffer{}}
	cmd.Stderr = w.errors
	pipe, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.End() })
	timer := time.AfterFunc(2*time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	w.lines = bufio.NewScanner(pipe)
	var last Scene
	for w.lines.Scan() {
		line := w.lines.Text()
		if strings.HasPrefix(line, "# Every command") {
			return w
		}
		switch text, comment := strings.CutPrefix(line, "# "); {
		case comment && last.Want == "" && !strings.Contains(text, "Paste these"):
			w.Head = append(w.Head, text)
		case comment && last.Want == "":
			last.Want = "?" // scenes begin
		case comment:
			last.Want, last.About, _ = strings.Cut(text, ": ")
		case line != "":
			last.Command = line
			w.Scenes = append(w.Scenes, last)
		}
	}
	_ = cmd.Wait()
	w.ended = true
	t.Fatalf("%s did not print its commands: %s", cmd.Path, w.errors)
	return nil
}

// End interrupts the program and returns what else it printed. Later calls do
// nothing.
func (w *Walkthrough) End() (stdout, stderr string) {
	if w.ended {
		return "", ""
	}
	w.ended = true
	_ = w.cmd.Process.Signal(syscall.SIGINT)
	hard := time.AfterFunc(30*time.Second, func() { _ = w.cmd.Process.Kill() })
	defer hard.Stop()
	var rest strings.Builder
	for w.lines.Scan() {
		rest.WriteString(w.lines.Text() + "\n")
	}
	err := w.cmd.Wait()
	if err != nil {
		w.t.Errorf("%s ended with %v", w.cmd.Path, err)
	}
	return rest.String(), w.errors.String()
}

// Drain waits until nobody holds the program's output any more, however it ended.
func (w *Walkthrough) Drain() {
	w.ended = true
	for w.lines.Scan() {
	}
	_ = w.cmd.Wait()
}

// Run runs the command as it stands, checks what the text promises, and returns the
// promised outcome ("allow") or exit status ("0"), and what was printed.
func (s Scene) Run(t *testing.T) (promised, out string) {
	t.Helper()
	cmd := exec.Command("sh", "-c", s.Command)
	cmd.Dir = t.TempDir()
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	out = stdout.String()
	kind, rest, _ := strings.Cut(s.Want, " ")
	if kind == "exit" {
		if strconv.Itoa(cmd.ProcessState.ExitCode()) != rest || out == "" {
			t.Errorf("exit status %d, want %s: %s%s", cmd.ProcessState.ExitCode(), rest, out, &stderr)
		}
		return rest, out
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if got := lines[len(lines)-1]; got != kind {
		t.Errorf("status %q, want %q: %s%s", got, kind, out, &stderr)
	}
	if rest != "" && rest != "allow" && !strings.Contains(out, `"outcome":"`+rest+`"`) {
		t.Errorf("outcome is not %s: %s", rest, out)
	}
	if stderr.Len() > 0 {
		t.Errorf("unexpected on standard error: %s", &stderr)
	}
	return rest, out
}
