package rig

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Gateway is a running gateway process.
type Gateway struct {
	t testing.TB
	// Dir holds everything that the process writes. It is removed at the end.
	Dir string
	// Admin is the base URL of Caddy's admin endpoint.
	Admin string

	config string
	cmd    *exec.Cmd
	out    *lockedBuffer
	exited chan struct{}
}

type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// handedOut are the ports that FreePort returned: the kernel may offer one twice, and a
// gateway's two ports must differ.
var handedOut sync.Map

// FreePort returns a port that was free a moment ago, for TCP and for UDP, and that this
// process was not given before.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 50 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		u, err := net.ListenPacket("udp", fmt.Sprintf("127.0.0.1:%d", port))
		l.Close()
		if err != nil {
			continue
		}
		u.Close()
		if _, twice := handedOut.LoadOrStore(port, true); !twice {
			return port
		}
	}
	t.Fatal("no port is free for both TCP and UDP")
	return 0
}

// Setup is what a test asks of a gateway.
type Setup struct {
	// Compliance is the inside of the global option `compliance`.
	Compliance string
	// Global are further global options.
	Global string
	// Sites are the site blocks.
	Sites string
	// Dir keeps state of an earlier gateway; empty: a new directory.
	Dir string
	// Env are further environment variables, NAME=value.
	Env []string
}

// caddyfile writes the whole configuration of a setup: admin port, storage and
// state are the rig's.
func (s *Setup) caddyfile(dir string, admin int) string {
	return fmt.Sprintf(`{
	admin 127.0.0.1:%d
	persist_config off
	skip_install_trust
	storage file_system %s
	grace_period 5s
	%s
	compliance {
		state %s
		%s
	}
}
%s
`, admin, filepath.Join(dir, "storage"), s.Global, filepath.Join(dir, "state"), s.Compliance, s.Sites)
}

// Start runs a gateway and waits until it answers. It ends with the test.
func Start(t testing.TB, s Setup) *Gateway {
	t.Helper()
	g, err := TryStart(t, s)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TryStart is Start for configurations that are expected to be refused.
func TryStart(t testing.TB, s Setup) (*Gateway, error) {
	t.Helper()
	bin := Binary(t)
	dir := s.Dir
	if dir == "" {
		dir = t.TempDir()
	}
	admin := FreePort(t)
	g := &Gateway{
		t: t, Dir: dir, Admin: fmt.Sprintf("http://127.0.0.1:%d", admin),
		config: filepath.Join(dir, "Caddyfile"), out: &lockedBuffer{}, exited: make(chan struct{}),
	}
	err := os.WriteFile(g.config, []byte(s.caddyfile(dir, admin)), 0o600)
	if err != nil {
		return nil, err
	}
	g.cmd = exec.Command(bin, "run", "--config", g.config, "--adapter", "caddyfile")
	g.cmd.Env = append(os.Environ(), append(s.Env, "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir,
		"GORACE=halt_on_error=1")...)
	g.cmd.Stdout, g.cmd.Stderr = g.out, g.out
	err = g.cmd.Start()
	if err != nil {
		return nil, err
	}
	go func() {
		_ = g.cmd.Wait()
		close(g.exited)
	}()
	t.Cleanup(g.Stop)
	err = g.waitReady(2 * time.Minute)
	if err != nil {
		return nil, fmt.Errorf("%w\n%s", err, g.Log())
	}
	return g, nil
}

// Validate loads a setup without starting it: nothing listens. With s.Dir it is the
// configuration of a gateway that may be running.
func Validate(t testing.TB, s Setup) error {
	t.Helper()
	dir := s.Dir
	if dir == "" {
		dir = t.TempDir()
	}
	config := filepath.Join(dir, "Caddyfile.validate")
	err := os.WriteFile(config, []byte(s.caddyfile(dir, FreePort(t))), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(Binary(t), "validate", "--config", config, "--adapter", "caddyfile")
	cmd.Env = append(os.Environ(), append(s.Env, "HOME="+dir, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

func (g *Gateway) waitReady(limit time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	for {
		req, _ := http.NewRequestWithContext(ctx, http.MethodGet, g.Admin+"/compliance/status", nil)
		resp, err := http.DefaultClient.Do(req)
		if err == nil {
			resp.Body.Close()
			// Caddy's apps start one after another: the admin endpoint may answer
			// before the sites do.
			if resp.StatusCode == http.StatusOK && strings.Contains(g.Log(), "serving initial configuration") {
				return nil
			}
		}
		select {
		case <-g.exited:
			return fmt.Errorf("the gateway ended with %v", g.cmd.ProcessState)
		case <-ctx.Done():
			return fmt.Errorf("the gateway does not answer: %w", ctx.Err())
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// Log returns what the process wrote so far.
func (g *Gateway) Log() string { return g.out.String() }

// Stop ends the process gently, and hard after half a minute. A race that the
// detector found fails the test.
func (g *Gateway) Stop() {
	select {
	case <-g.exited:
	default:
		_ = g.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-g.exited:
		case <-time.After(30 * time.Second):
			g.Kill()
		}
	}
	if strings.Contains(g.Log(), "WARNING: DATA RACE") {
		g.t.Errorf("data race in the gateway:\n%s", g.Log())
	}
}

// Suspend stops the process as it stands, like a virtual machine that is paused,
// until the returned function is called.
func (g *Gateway) Suspend() (resume func()) {
	g.t.Helper()
	if err := g.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		g.t.Fatal(err)
	}
	return func() { _ = g.cmd.Process.Signal(syscall.SIGCONT) }
}

// Kill ends the process with SIGKILL and waits for its end.
func (g *Gateway) Kill() {
	_ = g.cmd.Process.Kill()
	<-g.exited
}

// Running reports whether the process still lives.
func (g *Gateway) Running() bool {
	select {
	case <-g.exited:
		return false
	default:
		return true
	}
}

// Reload loads a changed setup into the running process. The admin port stays.
func (g *Gateway) Reload(s Setup) error {
	g.t.Helper()
	var port int
	_, err := fmt.Sscanf(g.Admin, "http://127.0.0.1:%d", &port)
	if err != nil {
		return err
	}
	err = os.WriteFile(g.config, []byte(s.caddyfile(g.Dir, port)), 0o600)
	if err != nil {
		return err
	}
	body, err := os.ReadFile(g.config)
	if err != nil {
		return err
	}
	req, _ := http.NewRequest(http.MethodPost, g.Admin+"/load", bytes.NewReader(body))
	req.Header.Set("Content-Type", "text/caddyfile")
	req.Header.Set("Cache-Control", "must-revalidate") // reload even if nothing changed
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		msg, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("reload: %s: %s", resp.Status, msg)
	}
	return nil
}

// Call makes a call of the admin API. in is sent as JSON if it is not nil; out, if
// not nil, takes the answer. The status is returned as it is.
func (g *Gateway) Call(method, path string, in, out any, header ...string) int {
	g.t.Helper()
	var body io.Reader
	if in != nil {
		b, err := json.Marshal(in)
		if err != nil {
			g.t.Fatal(err)
		}
		body = bytes.NewReader(b)
	}
	req, err := http.NewRequest(method, g.Admin+path, body)
	if err != nil {
		g.t.Fatal(err)
	}
	if in != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	if out != nil && resp.StatusCode == http.StatusOK {
		err = json.Unmarshal(raw, out)
		if err != nil {
			g.t.Fatalf("%s %s: %v: %s", method, path, err, raw)
		}
	}
	return resp.StatusCode
}

// Metric returns the value of one series of the metrics page, as written there:
// `name{label="value"}`; ok is false if there is none.
func (g *Gateway) Metric(series string) (value float64, ok bool) {
	g.t.Helper()
	resp, err := http.Get(g.Admin + "/metrics")
	if err != nil {
		g.t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		g.t.Fatal(err)
	}
	for line := range strings.Lines(string(raw)) {
		if rest, found := strings.CutPrefix(line, series+" "); found {
			_, err := fmt.Sscan(rest, &value)
			return value, err == nil
		}
	}
	return 0, false
}

// Eventually polls until ok is true, and fails the test after limit.
func Eventually(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
		<-time.After(10 * time.Millisecond)
	}
}
