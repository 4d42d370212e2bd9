package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stage is an example whose tenant runs, without a gateway.
func stage(t *testing.T) *example {
	t.Helper()
	e := &example{Dir: t.TempDir(), Gateway: "/opt/gatehouse", Source: "Caddyfile", Port: 9080, TLS: 9443, Admin: 2019, App: "127.0.0.1:2"}
	stop, err := e.startTenant()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	return e
}

// TestCaddyfile: what runs here and what people copy differ in the edits alone.
func TestCaddyfile(t *testing.T) {
	e := stage(t)
	err := e.writeCaddyfile()
	if err != nil {
		t.Fatal(err)
	}
	source, local := read(t, e.Source), read(t, e.file("Caddyfile"))
	for _, left := range []string{"corp.example {", "/etc/gatehouse", "/run/secrets", "kerberos"} {
		if strings.Contains(local, left) {
			t.Errorf("%q is left:\n%s", left, local)
		}
	}
	for line := range strings.Lines(source) {
		if edited := slices.ContainsFunc(e.edits(), func(x edit) bool {
			return strings.Contains(x.from, strings.TrimSpace(line)) || strings.Contains(line, strings.TrimSpace(x.from))
		}); !edited && !strings.Contains(local, line) {
			t.Errorf("the line %q is lost", line)
		}
	}
}

// TestCaddyfileDrift: an edit that fits no longer is an error, not another file.
func TestCaddyfileDrift(t *testing.T) {
	e := stage(t)
	changed := strings.Replace(read(t, e.Source), "source configmgr https://cm01", "source configmgr https://cm02", 1)
	e.Source = filepath.Join(t.TempDir(), "Caddyfile")
	err := os.WriteFile(e.Source, []byte(changed), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	err = e.writeCaddyfile()
	if err == nil || !strings.Contains(err.Error(), "https://cm01.corp.example/AdminService") {
		t.Errorf("got %v, want an error that names the text", err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestText: it names every file that its commands use, and no secret.
func TestText(t *testing.T) {
	e := stage(t)
	var b bytes.Buffer
	err := e.print(&b)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range e.scenes() {
		for word := range strings.FieldsSeq(s.Command) {
			file, ok := strings.CutPrefix(strings.TrimPrefix(word, "@"), e.Dir)
			if !ok || file == "/Caddyfile" {
				continue
			}
			if _, err := os.Stat(e.Dir + file); err != nil {
				t.Errorf("%s: %v", s.About, err)
			}
		}
	}
	secrets := []string{"eyJ", strings.TrimSpace(read(t, e.file("client-secret"))), strings.TrimSpace(read(t, e.file("admin-password")))}
	for _, secret := range secrets {
		if strings.Contains(b.String(), secret) {
			t.Errorf("the text shows the secret %.6s...", secret)
		}
	}
}

func TestUntilOrphaned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var parent atomic.Int64
		parent.Store(7)
		ctx, cancel := untilOrphaned(t.Context(), func() int { return int(parent.Load()) })
		defer cancel()
		time.Sleep(time.Hour)
		synctest.Wait()
		if ctx.Err() != nil {
			t.Fatal("it ended although the parent lives")
		}
		parent.Store(1)
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if ctx.Err() == nil {
			t.Error("it goes on without its parent")
		}
	})
}

// TestGatewayEnds: a gateway that does not start is an error with the end of its
// log, and nothing is left behind.
func TestGatewayEnds(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	broken, err := exec.LookPath("false")
	if err != nil {
		t.Skip(err)
	}
	var out bytes.Buffer
	err = command(t.Context(), []string{"--gateway", broken}, &out, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "does not get ready") {
		t.Errorf("got %v", err)
	}
	err = command(t.Context(), []string{"--gateway", filepath.Join(t.TempDir(), "none")}, &out, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "starting the gateway") {
		t.Errorf("got %v", err)
	}
	if left, _ := filepath.Glob(filepath.Join(os.TempDir(), "*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
}

func TestArguments(t *testing.T) {
	for _, args := range [][]string{{"extra"}, {"--nonsense"}, {"--port", "x"}} {
		err := command(context.Background(), args, io.Discard, io.Discard)
		if err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
