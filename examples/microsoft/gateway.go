package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// modulePath is the module whose gateway is built.
const modulePath = "github.com/gatehouse-project/gatehouse"

// moduleRoot is the directory of the module.
func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", modulePath).Output()
	if err != nil || len(out) < 2 {
		return "", fmt.Errorf("module %s was not found (%w): run this in its directory, with Go on the path", modulePath, err)
	}
	return filepath.Clean(string(out[:len(out)-1])), nil
}

// build builds the gateway as README's first command does. An existing binary that
// is up to date is not linked again.
func build(ctx context.Context, root, to string) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", to, "./cmd/gatehouse")
	cmd.Dir = root
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("building the gateway: %w\n%s", err, out)
	}
	return nil
}

// gateway is the running process.
type gateway struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	once sync.Once
}

// start runs the binary; what it writes goes to a file.
func start(binary string, args, env []string, logFile string) (*gateway, error) {
	log, err := os.OpenFile(logFile, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	g := &gateway{cmd: exec.Command(binary, args...), done: make(chan struct{})}
	g.cmd.Env, g.cmd.Stdout, g.cmd.Stderr, g.cmd.SysProcAttr = env, log, log, attached()
	started := make(chan error)
	go func() {
		defer close(g.done)
		// On Linux the child ends with the thread that started it: it must be one
		// that lives as long as this process.
		runtime.LockOSThread()
		err := g.cmd.Start()
		_ = log.Close() // the child has its own
		started <- err
		if err == nil {
			_ = g.cmd.Wait()
		}
	}()
	err = <-started
	if err != nil {
		return nil, fmt.Errorf("starting the gateway: %w", err)
	}
	return g, nil
}

// stop ends the process gently, and hard after ten seconds.
func (g *gateway) stop() {
	g.once.Do(func() {
		_ = g.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-g.done:
		case <-time.After(10 * time.Second):
			_ = g.cmd.Process.Kill()
		}
	})
	<-g.done
}
